import { type CompilerTables, hostOf, isBound, isRouterInterface, type RowChange } from '@cable/compiler';
import type { Port, SliceKey } from '@cable/model';
import type { SliceCache } from '../slices/slice-cache.ts';

/** What is still to be proven of a port: hosts that have not yet acknowledged the revision that describes it. */
type Pending = { readonly revision: number; readonly waiting: Set<string> };

export type PortProofDeps = {
  readonly tables: CompilerTables;
  readonly cache: SliceCache;
  readonly isAlive: (host: string) => boolean;
  /** The last revision the host has programmed. */
  readonly acknowledged: (host: string) => number;
};

/**
 * Which live hosts have yet to program each port's current data. A port is pending from the revision at which slices changed by it,
 * for the hosts that need those slices, until each has acknowledged that revision or died. A host that comes to need a network later
 * is not waited for: what uses that host is a port of its own, which is pending for it.
 */
export class PortProof {
  readonly #deps: PortProofDeps;
  readonly #pending = new Map<string, Pending>();
  readonly #portsByHost = new Map<string, Set<string>>();

  constructor(deps: PortProofDeps) {
    this.#deps = deps;
  }

  /** Number of ports with a host to wait for. */
  get size(): number {
    return this.#pending.size;
  }

  /** True when every live host that must carry the port's current data has it. */
  isProven(portId: string): boolean {
    return !this.#pending.has(portId);
  }

  /** Hosts the port waits for. */
  waitingFor(portId: string): ReadonlySet<string> {
    return this.#pending.get(portId)?.waiting ?? EMPTY;
  }

  /** After a restart: what described the port may have been written at `revision`, its last write. */
  load(port: Port, revision: number): void {
    const keys: SliceKey[] = [];
    if (isBound(port)) keys.push(`host:${hostOf(port)}`, `network:${port.network_id}`);
    if (isRouterInterface(port)) keys.push(`router:${port.device_id}`);
    this.#await(port.id, revision, keys);
  }

  /** A change of a port that the slices already hold, and those it touched; gives the hosts that the port waits for. */
  change(change: RowChange<'port'>, touched: ReadonlySet<SliceKey>, revision: number): ReadonlySet<string> {
    const { before, after } = change;
    const id = (after ?? before)?.id ?? '';
    if (after === undefined || !(isBound(after) || isRouterInterface(after))) {
      this.#settle(id);
      return EMPTY;
    }
    return touched.size === 0 ? EMPTY : this.#await(id, revision, touched);
  }

  /** The host has programmed everything up to the revision; gives the ports that waited for that. */
  acknowledge(host: string, revision: number): string[] {
    const settled: string[] = [];
    for (const portId of this.#portsByHost.get(host) ?? []) {
      const pending = this.#pending.get(portId);
      if (pending === undefined || pending.revision > revision) continue;
      this.#strike(portId, pending, host);
      settled.push(portId);
    }
    return settled;
  }

  /** The host is dead and not waited for; gives the ports that did. */
  died(host: string): string[] {
    return this.acknowledge(host, Number.POSITIVE_INFINITY);
  }

  /** The host is alive: ports that are pending wait for it too, if it needs their network and has not acknowledged. */
  cameAlive(host: string): void {
    const acknowledged = this.#deps.acknowledged(host);
    for (const [portId, pending] of this.#pending) {
      const port = this.#deps.tables.port.get(portId);
      if (port === undefined || pending.revision <= acknowledged) continue;
      if (this.#deps.cache.reaches(host, `network:${port.network_id}`)) this.#add(portId, pending, host);
    }
  }

  #await(portId: string, revision: number, keys: Iterable<SliceKey>): ReadonlySet<string> {
    const { cache, isAlive, acknowledged } = this.#deps;
    const before = this.#pending.get(portId);
    this.#settle(portId);
    const pending: Pending = { revision, waiting: new Set() };
    for (const host of before?.waiting ?? []) this.#add(portId, pending, host);
    for (const key of keys) {
      for (const host of cache.subscribers(key)) {
        if (isAlive(host) && acknowledged(host) < revision) this.#add(portId, pending, host);
      }
    }
    return pending.waiting;
  }

  #add(portId: string, pending: Pending, host: string): void {
    pending.waiting.add(host);
    this.#pending.set(portId, pending);
    const ports = this.#portsByHost.get(host);
    if (ports === undefined) this.#portsByHost.set(host, new Set([portId]));
    else ports.add(portId);
  }

  #strike(portId: string, pending: Pending, host: string): void {
    pending.waiting.delete(host);
    if (pending.waiting.size === 0) this.#pending.delete(portId);
    const ports = this.#portsByHost.get(host);
    ports?.delete(portId);
    if (ports?.size === 0) this.#portsByHost.delete(host);
  }

  #settle(portId: string): void {
    const pending = this.#pending.get(portId);
    if (pending !== undefined) for (const host of [...pending.waiting]) this.#strike(portId, pending, host);
  }
}

const EMPTY: ReadonlySet<string> = new Set();
