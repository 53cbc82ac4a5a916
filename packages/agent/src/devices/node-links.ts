/** Links by which this host is a node of a Kubernetes cluster: it forwards what comes by them. */
import type { HostLink, KeptAddresses } from '../desired.ts';
import { versionsOf } from './node-sysctls.ts';

type NodeLink = KeptAddresses & { readonly versions: readonly (4 | 6)[] };

/** Which there are, by the name of the machine's end, and who keeps his address there. */
export class NodeLinks {
  #links: ReadonlyMap<string, NodeLink> = new Map();

  get names(): readonly string[] {
    return [...this.#links.keys()];
  }

  /** Versions of IP that any of them has. */
  get versions(): ReadonlySet<4 | 6> {
    return new Set([...this.#links.values()].flatMap(({ versions }) => versions));
  }

  /** Of all of them. */
  get keeping(): KeptAddresses {
    const all = [...this.#links.values()];
    return {
      prefixes: sorted(all.flatMap(({ prefixes }) => prefixes)),
      nodes: sorted(all.flatMap(({ nodes }) => nodes)),
    };
  }

  /** True: there are more of them now, or others keep their addresses. */
  add(links: Iterable<HostLink>): boolean {
    return this.#become(new Map([...this.#links, ...forwarding(links)]));
  }

  /** These are all. True: there are fewer of them now, or others keep their addresses. */
  keep(links: Iterable<HostLink>): boolean {
    return this.#become(forwarding(links));
  }

  #become(links: ReadonlyMap<string, NodeLink>): boolean {
    const next = new Map([...links].sort(([a], [b]) => (a < b ? -1 : 1)));
    const isSame = JSON.stringify([...next]) === JSON.stringify([...this.#links]);
    this.#links = next;
    return !isSame;
  }
}

const NOBODY: KeptAddresses = { prefixes: [], nodes: [] };

function forwarding(links: Iterable<HostLink>): ReadonlyMap<string, NodeLink> {
  const own = [...links].filter(({ forwards }) => forwards === true);
  return new Map(
    own.map(({ name, addresses, keeping = NOBODY }) => [name, { ...keeping, versions: versionsOf(addresses) }]),
  );
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}
