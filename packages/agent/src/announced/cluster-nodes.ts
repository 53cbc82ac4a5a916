import { NODE_OWNER } from '../plan/node-port.ts';
import type { SliceReader, StateUpdate } from '../stream/slice-reader.ts';
import type { Candidate } from './candidates.ts';

/** The nodes of the cluster that this host is one of: who has a port in the networks in which it has that of a node. */
export class ClusterNodes {
  readonly #host: string;
  readonly #slices: Pick<SliceReader, 'items'>;
  #networks: ReadonlySet<string> = new Set();
  #now: readonly Candidate[] | undefined;
  /** Somebody has to look whether it is still so. */
  #isDoubtful = true;

  constructor(host: string, slices: Pick<SliceReader, 'items'>) {
    this.#host = host;
    this.#slices = slices;
  }

  /** The same value until something is different. */
  get now(): readonly Candidate[] {
    if (this.#now !== undefined && !this.#isDoubtful) return this.#now;
    this.#isDoubtful = false;
    const found = this.#find();
    if (this.#now === undefined || !isSame(found, this.#now)) this.#now = found;
    return this.#now;
  }

  /** The state changed. */
  take({ changes }: Pick<StateUpdate, 'changes'>): void {
    this.#isDoubtful ||= changes.some(
      ({ key }) =>
        (key === `host:${this.#host}` && !isSameSet(this.#ownNetworks(), this.#networks)) ||
        (key.startsWith('endpoints:') && this.#networks.has(key.slice('endpoints:'.length))),
    );
  }

  /** Pods come and go among the host's ports: those of the node alone say where nodes are. */
  #ownNetworks(): ReadonlySet<string> {
    const own = [...this.#slices.items(`host:${this.#host}`)].filter(([, port]) => port.deviceOwner === NODE_OWNER);
    return new Set(own.map(([, { networkId }]) => networkId));
  }

  #find(): readonly Candidate[] {
    this.#networks = this.#ownNetworks();
    if (this.#networks.size === 0) return [];
    const nodes = new Map<string, Candidate>();
    for (const id of this.#networks) {
      for (const [, { host, underlay, announces }] of this.#slices.items(`endpoints:${id}`)) {
        nodes.set(host, { host, underlay: underlay ?? undefined, ...(announces === false ? { announces } : {}) });
      }
    }
    // Nobody asks itself.
    nodes.set(this.#host, { ...nodes.get(this.#host), host: this.#host, underlay: undefined });
    return [...nodes.values()].sort((a, b) => (a.host < b.host ? -1 : 1));
  }
}

function isSame(a: readonly Candidate[], b: readonly Candidate[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ host, underlay, announces }, at) =>
        host === b[at]?.host && underlay === b[at]?.underlay && announces === b[at]?.announces,
    )
  );
}

function isSameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}
