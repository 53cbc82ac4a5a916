/** Which hosts may still have rows of a block that is taken back: as long as one may, nobody else gets it. */
import type { Port, SnatLease } from '@cable/model';
import type { TableChange, Tables } from '../tables.ts';

export type SnatForgottenDeps = {
  readonly tables: Pick<Tables, 'of' | 'modRevision'>;
  readonly monotonicMs: () => number;
  /** What the host has programmed. */
  readonly acknowledged: (host: string) => number;
};

/** A host that has said nothing for so long counts as dead: what its guests had is free. */
const DEAD_MS = 3_600_000;

/**
 * A block is in force where its lease names the host, and where the router's gateway is or may be: at its host, at those that stand by, which may have taken its place without a
 * server's word, and at those that did so until lately.
 */
export class SnatForgotten {
  readonly #deps: SnatForgottenDeps;
  /** Hosts that are not alive, each with the time since when that is known here. */
  readonly #silent = new Map<string, number>();
  /** By router: hosts that may not have its gateway any more, each with the revision that says so. */
  readonly #former = new Map<string, Map<string, number>>();

  constructor(deps: SnatForgottenDeps) {
    this.#deps = deps;
  }

  /** Tables have changed. */
  take(revision: number, { before, after }: Pick<TableChange, 'before' | 'after'>): void {
    const [was, is] = [before, after] as unknown as readonly [Port | undefined, Port | undefined];
    if (was?.device_owner !== 'network:router_gateway') return;
    const left = new Set(hostsOf(was));
    for (const host of is === undefined ? [] : hostsOf(is)) left.delete(host);
    const former = this.#former.get(was.device_id) ?? new Map<string, number>();
    for (const host of left) former.set(host, revision);
    if (former.size > 0) this.#former.set(was.device_id, former);
  }

  /** Whether no host has what was taken back from the lease. */
  isForgotten(lease: SnatLease): boolean {
    const { tables } = this.#deps;
    const revision = tables.modRevision('snat_lease', lease.id) ?? 0;
    const hosts = new Set([lease.host_id, ...this.#gatewayHosts(lease.router_id)]);
    const former = this.#former.get(lease.router_id) ?? new Map<string, number>();
    for (const [host, since] of former) if (this.#hasFollowed(host, since)) former.delete(host);
    if (former.size === 0) this.#former.delete(lease.router_id);
    for (const host of former.keys()) hosts.add(host);
    // Each is looked at: their silence begins when it is first seen.
    return [...hosts].filter((host) => !this.#hasFollowed(host, revision)).length === 0;
  }

  #gatewayHosts(routerId: string): readonly string[] {
    const { tables } = this.#deps;
    const gateway = tables.of('port').get(tables.of('router').get(routerId)?.gateway_port_id ?? '');
    return gateway === undefined ? [] : hostsOf(gateway);
  }

  /** Whether the host has programmed the revision; or is gone, or has been silent for very long. */
  #hasFollowed(host: string, revision: number): boolean {
    const { tables, monotonicMs, acknowledged } = this.#deps;
    if (tables.of('host').get(host) === undefined) return true;
    if (tables.of('alive').get(host) !== undefined) {
      this.#silent.delete(host);
      return acknowledged(host) >= revision;
    }
    const since = this.#silent.get(host) ?? monotonicMs();
    this.#silent.set(host, since);
    return monotonicMs() - since >= DEAD_MS;
  }
}

function hostsOf(port: Port): readonly string[] {
  return [port['binding:host_id'] ?? '', ...port.standby_hosts].filter((host) => host !== '');
}
