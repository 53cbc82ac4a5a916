import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { Subnet } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import { refuseBehind } from '../engine/loaded-types.ts';
import { CLUSTER } from '../engine/of-clusters.ts';
import { Plan } from '../engine/plan.ts';

export type NodeGatewayKeeperDeps = EngineDeps & { readonly signal: AbortSignal; readonly log: Logger };

const LOOK_EVERY_MS = 5000;

/** As of gateways of routers: longer than an agent takes to come back, and than a server that was started takes to hear it. */
const SILENT_MS = 30_000;

/**
 * Sees to it that each subnet that names nodes says by which of them it leaves: the one that has taken the place, as it says itself, and where none can (nobody has ever answered it) one
 * whose agent reports. What is so stays. Every server does so; a transaction compares the subnet as it is.
 */
export class NodeGatewayKeeper {
  readonly #deps: NodeGatewayKeeperDeps;
  readonly #loop: Loop;
  /** Active nodes that are not alive, each with the time since when that is known here. */
  readonly #silent = new Map<string, number>();
  /** Subnets of which nodes have taken the place, each with the node. */
  readonly #taken = new Map<string, string>();

  constructor(deps: NodeGatewayKeeperDeps) {
    this.#deps = deps;
    const { log, signal } = deps;
    this.#loop = startLoop({ name: 'gateway nodes', log, signal, everyMs: LOOK_EVERY_MS, run: () => this.round() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** The node says that it has taken the place of another, which is dead as far as it can see: so it is, if the subnet names it. Other ids are passed over. */
  take(host: string, ids: readonly string[]): void {
    for (const id of ids) {
      if (!this.#mayTake(id, host)) continue;
      this.#taken.set(id, host);
      this.#loop.trigger();
    }
  }

  /** Looks at each such subnet once, at those whose place was taken first. */
  async round(): Promise<void> {
    const { tables, signal } = this.#deps;
    for (const [id, host] of this.#taken) {
      if (signal.aborted) return;
      this.#taken.delete(id);
      if (this.#mayTake(id, host)) await this.#write(id, () => (this.#mayTake(id, host) ? host : undefined));
    }
    const clusters = [...tables.any(CLUSTER).values()].map(({ id }) => id);
    const subnets = clusters.flatMap((id) => tables.of('subnet').by('cable:gateway_cluster', id));
    const active = new Set(subnets.map((one) => one['cable:gateway_node']));
    for (const host of this.#silent.keys()) if (!active.has(host) || this.#isAlive(host)) this.#silent.delete(host);
    for (const { id } of subnets) {
      if (signal.aborted) return;
      if (this.#wanted(id) !== undefined) await this.#write(id, () => this.#wanted(id));
    }
  }

  #mayTake(id: string, host: string): boolean {
    const subnet = this.#subnet(id);
    return (
      subnet?.['cable:gateway_nodes'].includes(host) === true &&
      subnet['cable:gateway_node'] !== host &&
      this.#isNode(subnet, host)
    );
  }

  /** The node by which it is to leave instead; undefined: it stays. */
  #wanted(id: string): string | undefined {
    const subnet = this.#subnet(id);
    const active = subnet?.['cable:gateway_node'] ?? null;
    if (subnet === undefined || active === null) return undefined;
    if (this.#isNode(subnet, active) && !this.#isSilent(active)) return undefined;
    return subnet['cable:gateway_nodes'].find(
      (one) => one !== active && this.#isNode(subnet, one) && this.#isAlive(one),
    );
  }

  #subnet(id: string): Subnet | undefined {
    const subnet = this.#deps.tables.of('subnet').get(id);
    // One of before names none.
    return (subnet?.['cable:gateway_nodes'] ?? []).length === 0 ? undefined : subnet;
  }

  /** A host that was removed, or is of another cluster now, is none. */
  #isNode(subnet: Subnet, host: string): boolean {
    return this.#deps.tables.of('host').get(host)?.cluster === subnet['cable:gateway_cluster'];
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

  async #write(id: string, wanted: () => string | undefined): Promise<void> {
    const { tables, store, changeover, now, log } = this.#deps;
    const leave = await changeover.enter();
    const plan = new Plan(this.#deps, `${now().toISOString().slice(0, 19)}Z`);
    try {
      refuseBehind(this.#deps);
      const subnet = tables.of('subnet').get(id);
      const to = wanted();
      if (subnet === undefined || to === undefined) return;
      plan.replace('subnet', { ...subnet, 'cable:gateway_node': to });
      const { compares, ops } = plan.transaction();
      const { ok, revision } = await store.txn(compares, ops);
      await tables.waitFor(revision, LOOK_EVERY_MS);
      if (ok) log.info({ subnet: id, from: subnet['cable:gateway_node'], to }, 'a subnet leaves by another node');
    } finally {
      plan.dispose();
      leave();
    }
  }
}
