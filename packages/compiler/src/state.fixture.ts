/** What the compiler's tests share: states as immutable values, tables made of them, and changes between them. */
import { Table } from '@cable/kit';
import {
  type CompilerTables,
  type EndpointSetRow,
  type FloatingIpRow,
  type HostRow,
  INDEXES,
  indexKeys,
  isGatewayPort,
  isRouterInterface,
  type ListenerRow,
  type LoadBalancerRow,
  type MemberRow,
  type NetworkRow,
  type PoolRow,
  type PortForwardingRow,
  type PortRow,
  type PseudowireRow,
  type QosBandwidthLimitRuleRow,
  type RouterPeeringRow,
  type RouterPolicyRow,
  type RouterRow,
  type Rows,
  type RowType,
  type SecurityGroupRow,
  type SecurityGroupRuleRow,
  type ServiceRow,
  type ServiceScopeRow,
  type SnatLeaseRow,
  type SubnetRow,
  type TableChange,
  type TableName,
  type TableRows,
  type TapFlowRow,
  type TapMirrorRow,
  type TapServiceRow,
  type TrunkRow,
} from './compiler-tables.ts';

/** All rows, by type and id. Never changed: `withRow` and `without` give new states. */
export type State = { readonly [K in RowType]: ReadonlyMap<string, Rows[K]> };

export const EMPTY_STATE: State = {
  network: new Map(),
  subnet: new Map(),
  port: new Map(),
  router: new Map(),
  router_peering: new Map(),
  router_egress: new Map(),
  router_policy: new Map(),
  service_scope: new Map(),
  service: new Map(),
  endpoint_set: new Map(),
  kubernetes_namespace: new Map(),
  network_policy: new Map(),
  cluster_network_policy: new Map(),
  host_policy: new Map(),
  security_group: new Map(),
  address_group: new Map(),
  log: new Map(),
  trunk: new Map(),
  tap_service: new Map(),
  tap_flow: new Map(),
  tap_mirror: new Map(),
  floatingip: new Map(),
  port_forwarding: new Map(),
  security_group_rule: new Map(),
  qos_policy: new Map(),
  subnetpool: new Map(),
  qos_bandwidth_limit_rule: new Map(),
  qos_packet_rate_limit_rule: new Map(),
  qos_dscp_marking_rule: new Map(),
  snat_lease: new Map(),
  pseudowire: new Map(),
  host: new Map(),
  loadbalancer: new Map(),
  listener: new Map(),
  pool: new Map(),
  member: new Map(),
  healthmonitor: new Map(),
  health: new Map(),
  vpn: new Map(),
  vpn_target: new Map(),
  vpn_peering: new Map(),
};

export const ROW_TYPES: readonly RowType[] = Object.keys(EMPTY_STATE) as RowType[];

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
  const names = Object.keys(INDEXES) as TableName[];
  const owned = Object.fromEntries(
    names.map((name) => [name, new Table<TableRows[TableName], string>(name, makers(name))]),
  );
  const write = (name: TableName, id: string, row: TableRows[TableName] | undefined): void => {
    if (row === undefined) owned[name]?.delete(id);
    else owned[name]?.put(id, row);
  };
  const apply = ({ type, before, after }: TableChange): void => {
    const id = (after ?? before)?.id ?? '';
    write(type, id, after);
    if (type !== 'port') return;
    write('router_interface', id, after && isRouterInterface(after) ? after : undefined);
    write('router_gateway', id, after && isGatewayPort(after) ? after : undefined);
  };
  for (const change of changesBetween(EMPTY_STATE, state)) apply(change);
  return { tables: owned as unknown as CompilerTables, apply };
}

function makers(table: TableName): Record<string, (row: TableRows[TableName]) => readonly string[]> {
  return Object.fromEntries(
    Object.keys(INDEXES[table]).map((index) => [index, (row: TableRows[TableName]) => indexKeys(table, index, row)]),
  );
}

export function network(id: string, more: Partial<NetworkRow> = {}): NetworkRow {
  return {
    id,
    name: id,
    project_id: 'p',
    admin_state_up: true,
    mtu: 1450,
    dns_domain: '',
    'router:external': false,
    'provider:network_type': 'vxlan',
    'provider:physical_network': null,
    'provider:segmentation_id': 7,
    'cable:flow_export': null,
    qos_policy_id: null,
    vni: null,
    ...more,
  };
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
    ipv6_ra_mode: null,
    ipv6_address_mode: null,
    subnetpool_id: null,
    'cable:private': false,
    'cable:nat_outgoing': true,
    'cable:gateway_nodes': [],
    'cable:gateway_node': null,
    'cable:gateway_cluster': null,
    'cable:allow_subnets': [],
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
    binding_failed: false,
    inactive_bindings: [],
    standby_hosts: [],
    tapped: false,
    'cable:hostname': null,
    'cable:user_data': null,
    'cable:public_keys': [],
    'cable:vendor_data': null,
    'cable:flow_export': null,
    'cable:cluster': null,
    'cable:default_route': null,
    'cable:zone': '',
    'cable:announces': true,
    'cable:namespace': null,
    'cable:labels': [],
    'cable:named_ports': [],
    dns_name: '',
    dns_domain: '',
    extra_dhcp_opts: [],
    qos_policy_id: null,
    ...more,
  };
}

/** A router's leg in a network. */
export function leg(id: string, routerId: string, networkId: string, more: Partial<PortRow> = {}): PortRow {
  return port(id, networkId, '', { device_id: routerId, device_owner: 'network:router_interface', ...more });
}

export function router(id: string, more: Partial<RouterRow> = {}): RouterRow {
  return {
    ...{ id, name: id, admin_state_up: true, routes: [] },
    ...{
      external_gateway_info: null,
      transit_vni: null,
      gateway_port_id: null,
      'cable:snat': 'shared',
      'cable:node_egress': false,
      'cable:cluster': null,
      distributed: true,
    },
    ...more,
  };
}

/** A router's gateway: its port in an external network, and what the router says of it. */
export function gatewayOf(
  routerId: string,
  networkId: string,
  host: string,
): { readonly router: RouterRow; readonly port: PortRow } {
  const id = `g-${routerId}`;
  const fixed = [{ subnet_id: `s-${networkId}`, ip_address: '203.0.113.9' }];
  const owner = { device_id: routerId, device_owner: 'network:router_gateway' };
  const info = { network_id: networkId, enable_snat: true, external_fixed_ips: fixed };
  return {
    router: router(routerId, { external_gateway_info: info, transit_vni: 77, gateway_port_id: id }),
    port: port(id, networkId, host, { ...owner, fixed_ips: fixed, mac_address: '02:00:00:00:00:99' }),
  };
}

export function floatingIp(id: string, networkId: string, more: Partial<FloatingIpRow> = {}): FloatingIpRow {
  return {
    id,
    floating_network_id: networkId,
    floating_ip_address: `203.0.113.1${id.slice(-1)}`,
    floating_port_id: `o-${id}`,
    qos_policy_id: null,
    port_id: null,
    fixed_ip_address: null,
    router_id: null,
    ...more,
  };
}

/** Port 2222 of a floating IP, which leads to port 22 of port `p1`. */
export function forwarding(id: string, floatingIpId: string, more: Partial<PortForwardingRow> = {}): PortForwardingRow {
  return {
    id,
    floatingip_id: floatingIpId,
    router_id: 'r1',
    protocol: 'tcp',
    external_port_range: '2222:2222',
    internal_port_id: 'p1',
    internal_ip_address: '10.0.0.1',
    internal_port_range: '22:22',
    ...more,
  };
}

export function group(id: string, stateful: boolean): SecurityGroupRow {
  return { id, stateful };
}

/** A trunk whose sub-ports have the tags 101, 102 and so on. */
export function trunk(id: string, parentId: string, subPorts: readonly string[]): TrunkRow {
  const tagged = (port_id: string, at: number): TrunkRow['sub_ports'][number] => {
    return { port_id, segmentation_type: 'vlan', segmentation_id: 101 + at };
  };
  return { id, port_id: parentId, sub_ports: subPorts.map(tagged) };
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
    remote_address_group_id: null,
    ...more,
  };
}

export function bandwidthLimit(
  id: string,
  policyId: string,
  more: Partial<QosBandwidthLimitRuleRow> = {},
): QosBandwidthLimitRuleRow {
  return { id, qos_policy_id: policyId, direction: 'egress', max_kbps: 1000, max_burst_kbps: 0, ...more };
}

export function snatLease(
  id: string,
  routerId: string,
  networkId: string,
  portId: string,
  hostId: string,
): SnatLeaseRow {
  return {
    ...{ id, router_id: routerId, network_id: networkId, external_address: '203.0.113.9' },
    ...{ port_id: portId, host_id: hostId, first_ports: [1024] },
  };
}

/** A wire between two ports. */
export function pseudowire(
  id: string,
  fromPort: string,
  toPort: string,
  more: Partial<PseudowireRow> = {},
): PseudowireRow {
  return {
    ...{ id, object_id: 'o', project_id: 'p', name: id, vni: 99, port_ids: [fromPort, toPort] },
    ...{ at_port_id: null, at: 'sent', back_port_id: null, transparent: false, matches: [], precedence: 0 },
    ...{ admitted_kbps: null, guaranteed_kbps: null },
    ...more,
  };
}

export function host(id: string, underlay: string, more: Partial<HostRow> = {}): HostRow {
  return { id, underlay, bridge_mappings: {}, features: [], cluster: null, ...more };
}

export function loadBalancer(
  id: string,
  networkId: string,
  portId: string,
  more: Partial<LoadBalancerRow> = {},
): LoadBalancerRow {
  return {
    id,
    name: id,
    project_id: 'p',
    admin_state_up: true,
    vip_network_id: networkId,
    vip_subnet_id: `s-${networkId}`,
    vip_port_id: portId,
    vip_address: '10.0.0.100',
    ...more,
  };
}

export function listener(
  id: string,
  balancerId: string,
  poolId: string | null,
  more: Partial<ListenerRow> = {},
): ListenerRow {
  return {
    id,
    loadbalancer_id: balancerId,
    admin_state_up: true,
    protocol: 'TCP',
    protocol_port: 80,
    default_pool_id: poolId,
    ...more,
  };
}

export function pool(id: string, balancerId: string, more: Partial<PoolRow> = {}): PoolRow {
  return {
    id,
    loadbalancer_id: balancerId,
    admin_state_up: true,
    protocol: 'TCP',
    lb_algorithm: 'SOURCE_IP_PORT',
    session_persistence: null,
    ...more,
  };
}

export function member(id: string, poolId: string, more: Partial<MemberRow> = {}): MemberRow {
  return {
    id,
    pool_id: poolId,
    admin_state_up: true,
    address: '10.0.0.5',
    protocol_port: 8080,
    subnet_id: null,
    weight: 1,
    monitor_port: null,
    ...more,
  };
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

/** A tap service of a port. */
export function tapService(id: string, portId: string, vni: number): TapServiceRow {
  return { id, port_id: portId, vni };
}

/** A tap flow of both directions, in the first places. */
export function tapFlow(id: string, serviceId: string, sourcePort: string): TapFlowRow {
  return {
    ...{ id, name: id, tap_service_id: serviceId, source_port: sourcePort, in_place: 0, out_place: 0 },
    ...{ 'cable:filter': [], 'cable:max_kbps': 1000 },
  };
}

/** A side of a peering that lets these subnets through. */
export function routerPeering(
  id: string,
  routerId: string,
  peerId: string,
  subnetIds: readonly string[],
  more: Partial<RouterPeeringRow> = {},
): RouterPeeringRow {
  return {
    ...{ id, name: id, created_at: '2026-11-27T00:00:00Z', router_id: routerId, peer_router_id: peerId },
    ...{ subnet_ids: [...subnetIds], accepted_prefixes: [], ...more },
  };
}

/** A scope of Services in 10.96.0.0/16. */
export function serviceScope(id: string, routerIds: readonly string[]): ServiceScopeRow {
  return { id, cidrs: ['10.96.0.0/16'], router_ids: [...routerIds], cluster_domain: '' };
}

/** A Service at TCP port 80. */
export function service(id: string, scopeId: string, more: Partial<ServiceRow> = {}): ServiceRow {
  return {
    ...{ id, name: id, project_id: 'k', scope_id: scopeId, cluster_ips: ['10.96.0.10'], external_ips: [] },
    external_name: '',
    ports: [{ name: '', protocol: 'TCP', port: 80, node_port: null }],
    ...{ session_affinity: 'None', session_affinity_timeout: 10_800 },
    ...{ internal_traffic_policy: 'Cluster', external_traffic_policy: 'Cluster' },
    ...{
      load_balancer_ips: [],
      announced_ips: [],
      load_balancer_source_ranges: [],
      health_check_node_port: null,
      ...more,
    },
  };
}

/** Endpoints that are ready, at port 8080. */
export function endpointSet(
  id: string,
  serviceOf: ServiceRow,
  endpoints: readonly (Partial<EndpointSetRow['endpoints'][number]> & { readonly address: string })[],
): EndpointSetRow {
  return {
    ...{ id, scope_id: serviceOf.scope_id, service_id: serviceOf.id },
    ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    endpoints: endpoints.map((one) => ({
      ...{
        port_id: null,
        host_id: '',
        host_address: null,
        hostname: '',
        ready: true,
        serving: true,
        terminating: false,
      },
      ...{ zone_hints: [], host_hints: [], ...one },
    })),
  };
}

/** A policy route that drops everything. */
export function routerPolicy(id: string, routerId: string, more: Partial<RouterPolicyRow> = {}): RouterPolicyRow {
  return {
    ...{ id, name: id, router_id: routerId, priority: 1, action: 'drop', next_hop: null, subnet_id: null },
    ...{ source_ip_prefix: null, destination_ip_prefix: null, protocol: null },
    ...{ port_range_min: null, port_range_max: null, source_port_range_min: null, source_port_range_max: null },
    ...more,
  };
}

/** A tap mirror of what a port sends, in GRE. */
export function tapMirror(id: string, portId: string, tunnel: number): TapMirrorRow {
  return {
    ...{ id, name: id, port_id: portId, mirror_type: 'gre', remote_ip: '192.0.2.50' },
    ...{ in_place: null, out_place: 1, in_tunnel: null, out_tunnel: tunnel },
    ...{
      'cable:filter': [{ protocol: 'tcp', remote_ip_prefix: null, port_range_min: 80, port_range_max: null }],
      'cable:max_kbps': 1000,
    },
  } as TapMirrorRow;
}
