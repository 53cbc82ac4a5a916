import type { HttpProbe, PoolMember, PoolMonitor } from '@cable/model';
import { type HealthMonitorRow, type MemberRow, sortedById } from '../compiler-tables.ts';
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
    const monitor = monitorOf(reader, id);
    const value = {
      ...{ id, adminStateUp: pool.admin_state_up, affinity, vipNetworkId },
      ...(pool.protocol === 'UDP' ? { udp: true as const } : {}),
      ...(monitor === undefined ? {} : { monitor }),
    };
    return { value, refs: [] };
  },
  items: { table: 'member', index: 'pool_id', sourceKeys: (id) => [id], compute: memberItems },
});

/** None while its subnet is not known: nobody could say where the address is. What was told of it counts as long as it is to be probed. */
function memberItems(reader: Reader, member: MemberRow): readonly (ComputedItem & { readonly value: PoolMember })[] {
  const pool = reader.get('pool', member.pool_id);
  const balancer = pool === undefined ? undefined : reader.get('loadbalancer', pool.loadbalancer_id);
  const subnet = reader.get('subnet', member.subnet_id ?? balancer?.vip_subnet_id ?? '');
  if (subnet === undefined) return [];
  const isProbed = monitorOf(reader, member.pool_id) !== undefined;
  const told = isProbed ? reader.get('health', member.id)?.state : undefined;
  const value: PoolMember = {
    id: member.id,
    networkId: subnet.network_id,
    ipAddress: member.address,
    port: member.protocol_port,
    weight: member.admin_state_up ? member.weight : 0,
    ...(member.monitor_port === null ? {} : { monitorPort: member.monitor_port }),
    ...(told === 'down' || told === 'silent' ? { health: told } : {}),
  };
  return [{ key: member.id, value, refs: [] }];
}

/** One that is turned off is as none: its pool's members take connections whatever they are. */
function monitorOf(reader: Reader, poolId: string): PoolMonitor | undefined {
  const monitor = sortedById(reader.by('healthmonitor', 'pool_id', poolId))[0];
  if (monitor?.admin_state_up !== true) return undefined;
  const { type } = monitor;
  if (type !== 'TCP' && type !== 'HTTP' && type !== 'UDP-CONNECT' && type !== 'PING') return undefined;
  return {
    type,
    delayMs: monitor.delay * 1000,
    timeoutMs: monitor.timeout * 1000,
    rise: monitor.max_retries,
    fall: monitor.max_retries_down,
    ...(type === 'HTTP' ? { http: httpProbe(monitor) } : {}),
  };
}

function httpProbe({ http_method, url_path, domain_name, expected_codes }: HealthMonitorRow): HttpProbe {
  const codes = (expected_codes ?? '200').split(',').map((range): readonly [number, number] => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return [first, last];
  });
  return {
    method: http_method ?? 'GET',
    path: url_path ?? '/',
    ...(domain_name === null ? {} : { host: domain_name }),
    codes,
  };
}
