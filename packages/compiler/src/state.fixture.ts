/** What the compiler's tests share: states as immutable values, tables made of them, and changes between them. */
import { Table } from '@cable/kit';
import type {
  CompilerTables,
  HostRow,
  NetworkRow,
  PortRow,
  RouterRow,
  Rows,
  RowType,
  SecurityGroupRuleRow,
  SubnetRow,
  TableChange,
} from './tables.ts';
import { isRouterInterface } from './tables.ts';

/** All rows, by type and id. Never changed: `withRow` and `without` give new states. */
export type State = { readonly [K in RowType]: ReadonlyMap<string, Rows[K]> };

export const EMPTY_STATE: State = {
  network: new Map(),
  subnet: new Map(),
  port: new Map(),
  router: new Map(),
  security_group_rule: new Map(),
  host: new Map(),
};

export const ROW_TYPES: readonly RowType[] = ['network', 'subnet', 'port', 'router', 'security_group_rule', 'host'];

export function withRow<K extends RowType>(state: State, type: K, row: Rows[K]): State {
  return { ...state, [type]: new Map<string, unknown>([...state[type], [row.id, row]]) };
}

export function without(state: State, type: RowType, id: string): State {
  return { ...state, [type]: new Map<string, unknown>([...state[type]].filter(([one]) => one !== id)) };
}

/** Changes that make one state of another, in the order of types and ids. */
export function changesBetween(from: State, to: State): TableChange[] {
  return ROW_TYPES.flatMap((type) => {
    const ids = new Set([...from[type].keys(), ...to[type].keys()]);
    return [...ids].flatMap((id) => {
      const [before, after] = [from[type].get(id), to[type].get(id)];
      return before === after ? [] : [{ type, before, after } as TableChange];
    });
  });
}

/** Tables of a state, indexed as the server's are. */
export type StateTables = { readonly tables: CompilerTables; apply(change: TableChange): void };

export function createTables(state: State = EMPTY_STATE): StateTables {
  const owned = {
    network: new Table<NetworkRow>('network', {}),
    subnet: new Table<SubnetRow, 'network_id'>('subnet', { network_id: (row) => [row.network_id] }),
    port: new Table<PortRow, 'network_id' | 'binding:host_id' | 'security_groups'>('port', {
      network_id: (row) => [row.network_id],
      'binding:host_id': (row) => (row['binding:host_id'] ? [row['binding:host_id']] : []),
      security_groups: (row) => row.security_groups,
    }),
    router: new Table<RouterRow>('router', {}),
    security_group_rule: new Table<SecurityGroupRuleRow, 'security_group_id'>('security_group_rule', {
      security_group_id: (row) => [row.security_group_id],
    }),
    host: new Table<HostRow>('host', {}),
  };
  const legs = new Table<PortRow, 'network_id' | 'device_id' | 'fixed_ips.subnet_id'>('router_interface', {
    network_id: (row) => [row.network_id],
    device_id: (row) => [row.device_id],
    'fixed_ips.subnet_id': (row) => row.fixed_ips.map((ip) => ip.subnet_id),
  });
  const apply = (change: TableChange): void => {
    const { before, after } = change;
    const table = owned[change.type] as Table<Rows[RowType]>;
    if (after === undefined) table.delete(before?.id ?? '');
    else table.put(after.id, after);
    if (change.type !== 'port') return;
    legs.delete((change.after ?? change.before)?.id ?? '');
    if (change.after !== undefined && isRouterInterface(change.after)) legs.put(change.after.id, change.after);
  };
  for (const change of changesBetween(EMPTY_STATE, state)) apply(change);
  return { tables: { ...owned, router_interface: legs }, apply };
}

export function network(id: string, more: Partial<NetworkRow> = {}): NetworkRow {
  return { id, name: id, project_id: 'p', admin_state_up: true, mtu: 1450, 'provider:segmentation_id': 7, ...more };
}

export function subnet(id: string, networkId: string, more: Partial<SubnetRow> = {}): SubnetRow {
  return {
    id,
    network_id: networkId,
    cidr: '10.0.0.0/24',
    ip_version: 4,
    gateway_ip: '10.0.0.1',
    enable_dhcp: true,
    dns_nameservers: [],
    host_routes: [],
    ...more,
  };
}

export function port(id: string, networkId: string, host: string, more: Partial<PortRow> = {}): PortRow {
  return {
    id,
    name: id,
    project_id: 'p',
    network_id: networkId,
    mac_address: `02:00:00:00:00:${id.slice(-1).padStart(2, '0')}`,
    admin_state_up: true,
    device_id: 'vm',
    device_owner: 'compute:nova',
    fixed_ips: [{ subnet_id: `s-${networkId}`, ip_address: `10.0.0.${id.slice(-1)}` }],
    allowed_address_pairs: [],
    port_security_enabled: true,
    security_groups: [],
    'binding:host_id': host,
    'binding:vnic_type': 'normal',
    'cable:hostname': null,
    'cable:user_data': null,
    ...more,
  };
}

/** A router's leg in a network. */
export function leg(id: string, routerId: string, networkId: string, more: Partial<PortRow> = {}): PortRow {
  return port(id, networkId, '', { device_id: routerId, device_owner: 'network:router_interface', ...more });
}

export function router(id: string, more: Partial<RouterRow> = {}): RouterRow {
  return { id, name: id, admin_state_up: true, routes: [], ...more };
}

export function rule(id: string, groupId: string, more: Partial<SecurityGroupRuleRow> = {}): SecurityGroupRuleRow {
  return {
    id,
    security_group_id: groupId,
    direction: 'ingress',
    ethertype: 'IPv4',
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id: null,
    ...more,
  };
}

export function host(id: string, underlay: string): HostRow {
  return { id, underlay };
}

/** A generator of numbers in [0, 1) that gives the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
