import type { PoolMember } from '@cable/model';
import type { MemberRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** One pool; its members are the items. */
export const poolKind: Kind = defineKind({
  name: 'pool',
  header: (reader, id) => {
    const pool = reader.get('pool', id);
    if (pool === undefined) return undefined;
    const affinity = pool.lb_algorithm === 'SOURCE_IP' || pool.session_persistence?.type === 'SOURCE_IP';
    const vipNetworkId = reader.get('loadbalancer', pool.loadbalancer_id)?.vip_network_id ?? null;
    return { value: { id, adminStateUp: pool.admin_state_up, affinity, vipNetworkId }, refs: [] };
  },
  items: { table: 'member', index: 'pool_id', sourceKeys: (id) => [id], compute: memberItems },
});

/** None while its subnet is not known: nobody could say where the address is. */
function memberItems(reader: Reader, member: MemberRow): readonly (ComputedItem & { readonly value: PoolMember })[] {
  const pool = reader.get('pool', member.pool_id);
  const balancer = pool === undefined ? undefined : reader.get('loadbalancer', pool.loadbalancer_id);
  const subnet = reader.get('subnet', member.subnet_id ?? balancer?.vip_subnet_id ?? '');
  if (subnet === undefined) return [];
  const value: PoolMember = {
    id: member.id,
    networkId: subnet.network_id,
    ipAddress: member.address,
    port: member.protocol_port,
    weight: member.admin_state_up ? member.weight : 0,
  };
  return [{ key: member.id, value, refs: [] }];
}
