/**
 * Endpoints that are nodes themselves: API servers, and pods in the host's network. In the cluster a node is known by its port, so that address stands for its own ones: what is sent to these
 * would come to the kernel of the sender's node, which takes a packet from itself by its own device for forged.
 */
import { cidrContains, type IpPrefix, parseCidr, parseIp } from '@cable/model';
import type { EndpointFacts } from './service-facts.ts';

/** What is known of a node besides its status, which it writes itself. */
export type NodeClaim = {
  readonly addresses: readonly string[];
  /** Its `creationTimestamp`. */
  readonly madeAt?: string;
  /** Each as key=value. */
  readonly labels?: readonly string[];
};

/** Labels of nodes with an API server. A kubelet cannot give them to its own node (the admission plug-in NodeRestriction). */
const CONTROL_PLANE = /^node-role\.kubernetes\.io\/(control-plane|master)=/;

/**
 * A node writes its own status, and one that was taken over may write anything. Where an endpoint says its node, that node's word is enough, for it is about what runs there. Else a node has an
 * address that its status says, and that is its host's underlay address (what goes to its port is tunnelled there, so by saying another's it gets nothing), or that it says as one of the control
 * plane. What is of the cluster itself (pods, nodes' ports, Services) is no node's.
 */
export class NodeAddresses {
  #clusters: readonly IpPrefix[] = [];
  readonly #byNode = new Map<string, NodeClaim>();
  /** Nodes that say that they have the address. */
  readonly #claims = new Map<string, Set<string>>();
  /** Underlay addresses of hosts, by their names, which are those of nodes. */
  readonly #underlays = new Map<string, string>();

  constructor(clusterCidrs: readonly string[] = []) {
    this.cover(clusterCidrs);
  }

  /** From now on these are the cluster's own: no node that is told of later has an address of them. */
  cover(clusterCidrs: readonly string[]): void {
    this.#clusters = clusterCidrs.flatMap((one) => parseCidr(one) ?? []);
  }

  /** The node says this of itself; no addresses: it is gone. */
  put(node: string, claim: NodeClaim): void {
    const addresses = claim.addresses.filter((one) => !this.#isOfCluster(one));
    for (const address of this.of(node)) {
      const claims = this.#claims.get(address);
      claims?.delete(node);
      if (claims?.size === 0) this.#claims.delete(address);
    }
    if (addresses.length === 0) this.#byNode.delete(node);
    else this.#byNode.set(node, { ...claim, addresses });
    for (const address of addresses) {
      const claims = this.#claims.get(address);
      if (claims === undefined) this.#claims.set(address, new Set([node]));
      else claims.add(node);
    }
  }

  /** Forgets what hosts were known, and takes these. */
  takeHosts(hosts: readonly { readonly id: string; readonly underlay: string }[]): void {
    this.#underlays.clear();
    for (const { id, underlay } of hosts) this.#underlays.set(id, underlay);
  }

  putHost({ id, underlay }: { readonly id: string; readonly underlay: string }): void {
    this.#underlays.set(id, underlay);
  }

  /** Names of those. */
  get hosts(): Iterable<string> {
    return this.#underlays.keys();
  }

  /** Undefined: its host is not known. */
  underlayOf(node: string): string | undefined {
    return this.#underlays.get(node);
  }

  /** Name of the node that has the address; undefined: none has. `host`: the node that the endpoint says; empty: it says none. */
  nodeOf(address: string, host = ''): string | undefined {
    if (host !== '') return this.#claims.get(address)?.has(host) === true ? host : undefined;
    const first = this.#first(address);
    return first !== undefined && this.#rank(first, address) < UNPROVEN ? first : undefined;
  }

  of(node: string): readonly string[] {
    return this.#byNode.get(node)?.addresses ?? [];
  }

  /** Addresses that the node says it has, and another has. */
  ofOthers(node: string): readonly { readonly address: string; readonly node: string }[] {
    return this.of(node).flatMap((address) => {
      const first = this.#first(address);
      return first === undefined || first === node ? [] : [{ address, node: first }];
    });
  }

  #isOfCluster(address: string): boolean {
    const ip = parseIp(address);
    return ip !== undefined && this.#clusters.some((prefix) => cidrContains(prefix, ip));
  }

  /** Of those who say one address the one that shows it best, then the one that was made first. */
  #first(address: string): string | undefined {
    const order = (name: string): string =>
      `${this.#rank(name, address)} ${this.#byNode.get(name)?.madeAt ?? ''} ${name}`;
    return [...(this.#claims.get(address) ?? [])].sort((one, other) => (order(one) < order(other) ? -1 : 1))[0];
  }

  #rank(node: string, address: string): number {
    if (this.#underlays.get(node) === address) return 0;
    return this.#byNode.get(node)?.labels?.some((one) => CONTROL_PLANE.test(one)) === true ? 1 : UNPROVEN;
  }
}

/** Rank of a node that only says that it has an address. */
const UNPROVEN = 2;

export type HostEndpointsDeps = {
  readonly nodes: Pick<NodeAddresses, 'nodeOf'>;
  /** Addresses of the port of a node; none: it has none yet. */
  readonly portAddresses: (node: string) => readonly string[];
};

/** Each with the address by which it is reached in the cluster, and of a node that at which it listens; where two are one then, the first counts. */
export function reachedAt(
  endpoints: readonly EndpointFacts[],
  { nodes, portAddresses }: HostEndpointsDeps,
): readonly EndpointFacts[] {
  const reached = endpoints.map((one): EndpointFacts => {
    const node = nodes.nodeOf(one.address, one.host_id);
    if (node === undefined) return one;
    const isIpv6 = one.address.includes(':');
    const address = portAddresses(node).find((other) => other.includes(':') === isIpv6);
    return address === undefined ? one : { ...one, address, host_address: one.address, host_id: node };
  });
  const seen = new Set<string>();
  return reached.filter(({ address }) => {
    const isFirst = !seen.has(address);
    seen.add(address);
    return isFirst;
  });
}
