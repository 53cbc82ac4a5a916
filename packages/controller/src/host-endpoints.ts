/**
 * Endpoints that are nodes themselves: API servers, and pods in the host's network. In the cluster a node is known by its port, so that address stands for its own ones: what is sent to these
 * would come to the kernel of the sender's node, which takes a packet from itself by its own device for forged.
 */
import type { EndpointFacts } from './service-facts.ts';

export class NodeAddresses {
  readonly #byNode = new Map<string, readonly string[]>();
  readonly #nodes = new Map<string, string>();

  /** The node has these addresses; none: it is gone. */
  put(node: string, addresses: readonly string[]): void {
    for (const address of this.#byNode.get(node) ?? []) {
      if (this.#nodes.get(address) === node) this.#nodes.delete(address);
    }
    this.#byNode.delete(node);
    if (addresses.length === 0) return;
    this.#byNode.set(node, addresses);
    for (const address of addresses) this.#nodes.set(address, node);
  }

  /** Name of the node that has the address; undefined: none has. */
  nodeOf(address: string): string | undefined {
    return this.#nodes.get(address);
  }

  of(node: string): readonly string[] {
    return this.#byNode.get(node) ?? [];
  }
}

export type HostEndpointsDeps = {
  readonly nodes: Pick<NodeAddresses, 'nodeOf'>;
  /** Addresses of the port of a node; none: it has none yet. */
  readonly portAddresses: (node: string) => readonly string[];
};

/** Each with the address by which it is reached in the cluster; where two are one then, the first counts. */
export function reachedAt(
  endpoints: readonly EndpointFacts[],
  { nodes, portAddresses }: HostEndpointsDeps,
): readonly EndpointFacts[] {
  const reached = endpoints.map((one): EndpointFacts => {
    const node = nodes.nodeOf(one.address);
    if (node === undefined) return one;
    const isIpv6 = one.address.includes(':');
    const address = portAddresses(node).find((other) => other.includes(':') === isIpv6);
    return address === undefined ? one : { ...one, address, host_id: one.host_id === '' ? node : one.host_id };
  });
  const seen = new Set<string>();
  return reached.filter(({ address }) => {
    const isFirst = !seen.has(address);
    seen.add(address);
    return isFirst;
  });
}
