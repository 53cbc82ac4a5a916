import type { LocalPort } from '@cable/model';
import type { PlanReader } from './unit.ts';

/** `device_owner` of the port of a Kubernetes node: the host's own link in a cluster's network, by which it reaches pods, and pods what is outside. */
export const NODE_OWNER = 'kubernetes:node';

/** Ports of this host as a node, in one of these networks. */
export function portsOfNode(reader: PlanReader, networkIds: ReadonlySet<string>): readonly LocalPort[] {
  return reader.sortedFacts('machine-port', '').flatMap(({ member }) => {
    const port = reader.item('host', reader.host, member);
    return port?.deviceOwner === NODE_OWNER && networkIds.has(port.networkId) ? [port] : [];
  });
}
