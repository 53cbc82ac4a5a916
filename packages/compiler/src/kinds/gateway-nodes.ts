/** Subnets that leave by nodes that they name, as the router tells of them by which a cluster's nodes are the way outside. */
import type { CentralizedSubnet } from '@cable/model';
import { type RouterRow, type SubnetRow, sortedById } from '../compiler-tables.ts';
import type { Reader } from '../reader.ts';

/** Of the router's cluster, whatever router they are behind: each node may have to take the place of another, and has this router. */
export function centralizedOf(reader: Reader, router: RouterRow): readonly CentralizedSubnet[] {
  const cluster = router['cable:cluster'] ?? null;
  if (cluster === null || router['cable:node_egress'] !== true) return [];
  return sortedById(reader.by('subnet', 'cable:gateway_cluster', cluster)).map((subnet) => ({
    subnetId: subnet.id,
    hosts: hostsOf(reader, subnet),
  }));
}

/** The active one first. Those that are no hosts any more are left out. */
function hostsOf(reader: Reader, subnet: SubnetRow): CentralizedSubnet['hosts'] {
  const { 'cable:gateway_nodes': names, 'cable:gateway_node': active } = subnet;
  const order = [...names].sort((a, b) => Number(b === active) - Number(a === active));
  return order.flatMap((host) => {
    const underlay = reader.get('host', host)?.underlay ?? null;
    return underlay === null ? [] : [{ host, underlay }];
  });
}
