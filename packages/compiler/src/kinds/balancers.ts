import type { BalancedListener, Balancer } from '@cable/model';
import { type ListenerRow, type LoadBalancerRow, sortedById } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** Load balancers whose virtual address is in one network. */
export const balancersKind: Kind = defineKind({
  name: 'balancers',
  header: (reader, id) =>
    reader.get('network', id) === undefined ? undefined : { value: { networkId: id }, refs: [] },
  items: {
    table: 'loadbalancer',
    index: 'vip_network_id',
    sourceKeys: (id) => [id],
    compute: (reader, balancer) => balancerItems(reader, balancer),
  },
});

/** None while its port is not known: there is no MAC to answer with. */
function balancerItems(
  reader: Reader,
  balancer: LoadBalancerRow,
): readonly (ComputedItem & { readonly value: Balancer })[] {
  const port = reader.get('port', balancer.vip_port_id);
  if (port === undefined) return [];
  const rows = balancer.admin_state_up ? sortedById(reader.by('listener', 'loadbalancer_id', balancer.id)) : [];
  const listeners = rows.flatMap(listenerOf);
  const value: Balancer = {
    id: balancer.id,
    name: balancer.name,
    projectId: balancer.project_id,
    ipAddress: balancer.vip_address,
    macAddress: port.mac_address,
    listeners,
  };
  const pools = new Set(listeners.map(({ poolId }) => poolId));
  return [{ key: balancer.id, value, refs: [...pools].map((pool) => `pool:${pool}` as const) }];
}

/** Who has no pool, or is turned off, is as one that is not there: connections are refused. */
function listenerOf(listener: ListenerRow): readonly BalancedListener[] {
  const { protocol, protocol_port: port, default_pool_id: poolId } = listener;
  if (!listener.admin_state_up || poolId === null) return [];
  return protocol === 'TCP' || protocol === 'UDP' || protocol === 'SCTP' ? [{ protocol, port, poolId }] : [];
}
