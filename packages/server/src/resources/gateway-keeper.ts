import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Network, Port } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { refuseBehind } from '../engine/loaded-types.ts';
import { Plan } from '../engine/plan.ts';
import { gatewayHostFor, gatewayRouter, mayBeGateway, standbysAfterMove, standbysFor } from './gateway-hosts.ts';

export type GatewayKeeperDeps = EngineDeps & { readonly signal: AbortSignal; readonly log: Logger };

/** A gateway without a host gets one as soon as there is one that can carry it. */
const LOOK_EVERY_MS = 5000;

/** How long a host may say nothing before its gateways move: longer than its agent takes to come back, and than a server that was started takes to hear it. */
const SILENT_MS = 30_000;

/** Where a gateway is to be, and whether it is there as far as is known. */
type Places = Pick<Port, 'binding:host_id' | 'standby_hosts' | 'status'>;

/**
 * Sees to it that each router's gateway is on a host that is on its physical network and whose agent reports, and has standbys that are such hosts. What is so stays.
 * Every server does so; a transaction compares the port as it is, so of two that move one the second finds it moved.
 */
export class GatewayKeeper {
  readonly #deps: GatewayKeeperDeps;
  readonly #loop: Loop;
  /** Hosts of gateways that are not alive, each with the time since when that is known here. */
  readonly #silent = new Map<string, number>();
  /** Gateways whose place hosts have taken, by the port's id. */
  readonly #taken = new Map<string, string>();

  constructor(deps: GatewayKeeperDeps) {
    this.#deps = deps;
    const { log, signal } = deps;
    this.#loop = startLoop({ name: 'gateways', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** The host says that it has taken the place of the hosts of these gateways, which are dead as far as it can see: so it is, if it is their standby. What any other says is passed over at once. */
  take(host: string, portIds: readonly string[]): void {
    for (const id of portIds) {
      if (this.#takenBy(id, host) === undefined) continue;
      this.#taken.set(id, host);
      this.#loop.trigger();
    }
  }

  /** Looks at each gateway once, at those that hosts have taken first. */
  async round(): Promise<void> {
    const { tables, signal } = this.#deps;
    for (const [id, host] of this.#taken) {
      if (signal.aborted) return;
      this.#taken.delete(id);
      if (this.#takenBy(id, host) !== undefined) await this.#write(id, () => this.#takenBy(id, host));
    }
    const ports = [...tables.any('router_gateway').values()] as unknown as readonly Port[];
    const hosts = new Set(ports.flatMap((port) => [port['binding:host_id'] ?? '', ...port.standby_hosts]));
    for (const host of this.#silent.keys()) if (!hosts.has(host) || this.#isAlive(host)) this.#silent.delete(host);
    for (const { id } of ports) {
      if (signal.aborted) return;
      if (this.#wanted(id) !== undefined) await this.#write(id, () => this.#wanted(id));
    }
  }

  #takenBy(portId: string, host: string): Places | undefined {
    const port = this.#deps.tables.any('router_gateway').get(portId) as unknown as Port | undefined;
    if (port === undefined || port['binding:host_id'] === host || !port.standby_hosts.includes(host)) return undefined;
    return { ...movedTo(port, host), status: port.status };
  }

  /** Where the gateway is to be instead; undefined: it stays. */
  #wanted(portId: string): Places | undefined {
    const { tables } = this.#deps;
    const port = tables.of('port').get(portId);
    const network = port === undefined ? undefined : tables.of('network').get(port.network_id);
    if (port === undefined || network === undefined) return undefined;
    const host = this.#nextHost(port, network);
    const places = host === undefined ? port : { ...port, ...movedTo(port, host) };
    const standbys = standbysFor(tables, network, gatewayRouter(tables, port.device_id), places, (one) =>
      this.#isSilent(one),
    );
    // Of a host that has it proof is to come; of one that is silent there is none.
    const isThere = host === undefined && !this.#isSilent(port['binding:host_id'] ?? '');
    const status = isThere ? port.status : 'DOWN';
    const same = host === undefined && String(standbys) === String(port.standby_hosts) && status === port.status;
    return same ? undefined : { 'binding:host_id': places['binding:host_id'], standby_hosts: [...standbys], status };
  }

  /** The host that the gateway is to be on instead; undefined: it stays. */
  #nextHost(port: Port, network: Network): string | undefined {
    const { tables } = this.#deps;
    const host = port['binding:host_id'] ?? '';
    const row = tables.of('host').get(host);
    const router = gatewayRouter(tables, port.device_id);
    const carries = row !== undefined && mayBeGateway(row, network, router.zones);
    if (carries && !this.#isSilent(host)) return undefined;
    const standby = port.standby_hosts.find((one) => {
      const other = tables.of('host').get(one);
      return other !== undefined && mayBeGateway(other, network, router.zones) && this.#isAlive(one);
    });
    const next = standby ?? gatewayHostFor(tables, network, router);
    if (next === undefined || next === host) return undefined;
    // From a host that cannot have it anyway it goes to any that could; from one that is only silent, to one that is not.
    return carries && !this.#isAlive(next) ? undefined : next;
  }

  #isAlive(host: string): boolean {
    return this.#deps.tables.of('alive').get(host) !== undefined;
  }

  #isSilent(host: string): boolean {
    const { monotonicMs } = this.#deps;
    if (this.#isAlive(host)) return false;
    const since = this.#silent.get(host) ?? monotonicMs();
    this.#silent.set(host, since);
    return monotonicMs() - since >= SILENT_MS;
  }

  /** Writes where the gateway is to be, by what the tables say once no other write of this server changes the shape of objects. */
  async #write(portId: string, wanted: () => Places | undefined): Promise<void> {
    const { tables, store, changeover, now, log } = this.#deps;
    const leave = await changeover.enter();
    const plan = new Plan(this.#deps, `${now().toISOString().slice(0, 19)}Z`);
    try {
      refuseBehind(this.#deps);
      const port = tables.of('port').get(portId);
      const places = wanted();
      if (port === undefined || places === undefined) return;
      plan.replace('port', { ...port, ...places });
      const { compares, ops } = plan.transaction();
      const { ok, revision } = await store.txn(compares, ops);
      await tables.waitFor(revision, LOOK_EVERY_MS);
      const [from, to] = [port['binding:host_id'] || 'none', places['binding:host_id']];
      if (ok && from !== to) log.info({ router: port.device_id, from, to }, 'the gateway of a router has another host');
    } finally {
      plan.dispose();
      leave();
    }
  }
}

function movedTo(port: Port, host: string): Omit<Places, 'status'> {
  return { 'binding:host_id': host, standby_hosts: standbysAfterMove(port, host) };
}
