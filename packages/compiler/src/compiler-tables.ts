import type { TableReader } from '@cable/kit';
import type {
  AddressGroup,
  ClusterNetworkPolicy,
  EndpointSet,
  FloatingIp,
  HealthMonitor,
  Host,
  HostPolicy,
  KubernetesNamespace,
  Listener,
  LoadBalancer,
  Log,
  Member,
  Network,
  NetworkPolicy,
  Pool,
  Port,
  PortForwarding,
  QosBandwidthLimitRule,
  QosDscpMarkingRule,
  QosPacketRateLimitRule,
  QosPolicy,
  Router,
  RouterEgress,
  RouterPeering,
  RouterPolicy,
  SecurityGroup,
  SecurityGroupRule,
  Service,
  ServiceScope,
  SnatLease,
  StoredPseudowire,
  Subnet,
  SubnetPool,
  TapFlow,
  TapMirror,
  TapService,
  Trunk,
  VpnPeering,
  VpnTarget,
} from '@cable/model';

/** The attributes of each resource type that slices are made of; a change of any other touches no slice. */
const ATTRIBUTES = {
  network: [
    'id',
    'name',
    'project_id',
    'admin_state_up',
    'mtu',
    'dns_domain',
    'router:external',
    'provider:network_type',
    'provider:physical_network',
    'provider:segmentation_id',
    'qos_policy_id',
    'cable:flow_export',
    'vni',
  ],
  subnet: [
    'id',
    'network_id',
    'cidr',
    'ip_version',
    'gateway_ip',
    'enable_dhcp',
    'dns_nameservers',
    'host_routes',
    'ipv6_ra_mode',
    'ipv6_address_mode',
    'subnetpool_id',
    'cable:private',
    'cable:nat_outgoing',
    'cable:gateway_nodes',
    'cable:gateway_node',
    'cable:gateway_cluster',
    'cable:allow_subnets',
  ],
  subnetpool: ['id', 'address_scope_id'],
  port: [
    'id',
    'name',
    'project_id',
    'network_id',
    'mac_address',
    'admin_state_up',
    'device_id',
    'device_owner',
    'fixed_ips',
    'allowed_address_pairs',
    'port_security_enabled',
    'security_groups',
    'binding:host_id',
    'binding:vnic_type',
    'binding_failed',
    'inactive_bindings',
    'standby_hosts',
    'tapped',
    'cable:hostname',
    'cable:user_data',
    'cable:public_keys',
    'cable:vendor_data',
    'cable:flow_export',
    'cable:cluster',
    'cable:default_route',
    'cable:zone',
    'cable:announces',
    'cable:namespace',
    'cable:labels',
    'cable:named_ports',
    'dns_name',
    'dns_domain',
    'extra_dhcp_opts',
    'qos_policy_id',
  ],
  security_group: ['id', 'stateful'],
  address_group: ['id', 'addresses'],
  log: ['id', 'project_id', 'resource_id', 'target_id', 'event', 'enabled'],
  trunk: ['id', 'port_id', 'sub_ports'],
  tap_service: ['id', 'port_id', 'vni'],
  tap_flow: ['id', 'name', 'tap_service_id', 'source_port', 'in_place', 'out_place', 'cable:filter', 'cable:max_kbps'],
  tap_mirror: [
    'id',
    'name',
    'port_id',
    'mirror_type',
    'remote_ip',
    'in_place',
    'out_place',
    'in_tunnel',
    'out_tunnel',
    'cable:filter',
    'cable:max_kbps',
  ],
  router: [
    'id',
    'name',
    'admin_state_up',
    'routes',
    'external_gateway_info',
    'transit_vni',
    'gateway_port_id',
    'cable:snat',
    'cable:node_egress',
    'cable:cluster',
    'distributed',
  ],
  router_peering: ['id', 'name', 'created_at', 'router_id', 'peer_router_id', 'subnet_ids', 'accepted_prefixes'],
  router_egress: ['id', 'router_id'],
  router_policy: [
    'id',
    'name',
    'router_id',
    'priority',
    'action',
    'next_hop',
    'subnet_id',
    'source_ip_prefix',
    'destination_ip_prefix',
    'protocol',
    'port_range_min',
    'port_range_max',
    'source_port_range_min',
    'source_port_range_max',
  ],
  service_scope: ['id', 'cidrs', 'router_ids', 'cluster_domain'],
  service: [
    'id',
    'name',
    'project_id',
    'scope_id',
    'cluster_ips',
    'external_ips',
    'external_name',
    'ports',
    'session_affinity',
    'session_affinity_timeout',
    'internal_traffic_policy',
    'external_traffic_policy',
    'load_balancer_ips',
    'announced_ips',
    'load_balancer_source_ranges',
    'health_check_node_port',
  ],
  endpoint_set: ['id', 'scope_id', 'service_id', 'ports', 'endpoints'],
  kubernetes_namespace: ['id', 'name', 'cluster', 'labels'],
  network_policy: ['id', 'name', 'namespace', 'pods', 'directions', 'log', 'rules'],
  cluster_network_policy: [
    'id',
    'name',
    'cluster',
    'tier',
    'priority',
    'namespaces',
    'pods',
    'log',
    'domain_except',
    'rules',
  ],
  floatingip: [
    'id',
    'floating_network_id',
    'floating_ip_address',
    'floating_port_id',
    'port_id',
    'fixed_ip_address',
    'router_id',
    'qos_policy_id',
  ],
  port_forwarding: [
    'id',
    'floatingip_id',
    'router_id',
    'protocol',
    'external_port_range',
    'internal_port_id',
    'internal_ip_address',
    'internal_port_range',
  ],
  security_group_rule: [
    'id',
    'security_group_id',
    'direction',
    'ethertype',
    'protocol',
    'port_range_min',
    'port_range_max',
    'remote_ip_prefix',
    'remote_group_id',
    'remote_address_group_id',
  ],
  qos_policy: ['id'],
  qos_bandwidth_limit_rule: ['id', 'qos_policy_id', 'direction', 'max_kbps', 'max_burst_kbps'],
  qos_packet_rate_limit_rule: ['id', 'qos_policy_id', 'direction', 'max_kpps', 'max_burst_kpps'],
  qos_dscp_marking_rule: ['id', 'qos_policy_id', 'dscp_mark'],
  snat_lease: ['id', 'router_id', 'network_id', 'external_address', 'port_id', 'host_id', 'first_ports'],
  pseudowire: [
    'id',
    'object_id',
    'project_id',
    'name',
    'vni',
    'port_ids',
    'at_port_id',
    'at',
    'back_port_id',
    'transparent',
    'matches',
    'precedence',
    'admitted_kbps',
    'guaranteed_kbps',
  ],
  host: ['id', 'underlay', 'bridge_mappings', 'features', 'cluster'],
  host_policy: ['id', 'revision_number', 'cluster', 'hosts', 'directions', 'rules'],
  loadbalancer: [
    'id',
    'name',
    'project_id',
    'admin_state_up',
    'vip_network_id',
    'vip_subnet_id',
    'vip_port_id',
    'vip_address',
  ],
  listener: ['id', 'loadbalancer_id', 'admin_state_up', 'protocol', 'protocol_port', 'default_pool_id'],
  pool: ['id', 'loadbalancer_id', 'admin_state_up', 'protocol', 'lb_algorithm', 'session_persistence'],
  member: ['id', 'pool_id', 'admin_state_up', 'address', 'protocol_port', 'subnet_id', 'weight', 'monitor_port'],
  healthmonitor: [
    'id',
    'pool_id',
    'admin_state_up',
    'type',
    'delay',
    'timeout',
    'max_retries',
    'max_retries_down',
    'http_method',
    'url_path',
    'expected_codes',
    'domain_name',
  ],
  health: ['id', 'state'],
  vpn: ['id', 'name', 'project_id', 'proton', 'router_id', 'label', 'route_distinguisher', 'targets'],
  vpn_target: ['id', 'proton', 'target', 'direction'],
  vpn_peering: ['id', 'proton', 'local_as', 'local_address', 'peer_as', 'peer_address'],
} as const;

export type RowType = keyof typeof ATTRIBUTES;

type Attributes<K extends RowType> = (typeof ATTRIBUTES)[K][number];

export type NetworkRow = Pick<Network, Attributes<'network'>>;

export type SubnetRow = Pick<Subnet, Attributes<'subnet'>>;

export type SubnetPoolRow = Pick<SubnetPool, Attributes<'subnetpool'>>;

/** `open`: its guests may send and get what they like under the addresses that they have; absent: what its groups allow. */
export type PortRow = Pick<Port, Attributes<'port'>> & { readonly open?: true };

export type RouterRow = Pick<Router, Attributes<'router'>>;

export type RouterPeeringRow = Pick<RouterPeering, Attributes<'router_peering'>>;

export type RouterEgressRow = Pick<RouterEgress, Attributes<'router_egress'>>;

export type RouterPolicyRow = Pick<RouterPolicy, Attributes<'router_policy'>>;

export type ServiceScopeRow = Pick<ServiceScope, Attributes<'service_scope'>>;

export type ServiceRow = Pick<Service, Attributes<'service'>>;

export type EndpointSetRow = Pick<EndpointSet, Attributes<'endpoint_set'>>;

export type KubernetesNamespaceRow = Pick<KubernetesNamespace, Attributes<'kubernetes_namespace'>>;

export type NetworkPolicyRow = Pick<NetworkPolicy, Attributes<'network_policy'>>;

export type HostPolicyRow = Pick<HostPolicy, Attributes<'host_policy'>>;

export type ClusterNetworkPolicyRow = Pick<ClusterNetworkPolicy, Attributes<'cluster_network_policy'>>;

export type AddressGroupRow = Pick<AddressGroup, Attributes<'address_group'>>;

export type SecurityGroupRow = Pick<SecurityGroup, Attributes<'security_group'>>;
export type LogRow = Pick<Log, Attributes<'log'>>;

export type TrunkRow = Pick<Trunk, Attributes<'trunk'>>;

export type TapServiceRow = Pick<TapService, Attributes<'tap_service'>>;

export type TapFlowRow = Pick<TapFlow, Attributes<'tap_flow'>>;

export type TapMirrorRow = Pick<TapMirror, Attributes<'tap_mirror'>>;

export type FloatingIpRow = Pick<FloatingIp, Attributes<'floatingip'>>;

export type PortForwardingRow = Pick<PortForwarding, Attributes<'port_forwarding'>>;

export type SecurityGroupRuleRow = Pick<SecurityGroupRule, Attributes<'security_group_rule'>>;

export type QosPolicyRow = Pick<QosPolicy, Attributes<'qos_policy'>>;

export type QosBandwidthLimitRuleRow = Pick<QosBandwidthLimitRule, Attributes<'qos_bandwidth_limit_rule'>>;

export type QosPacketRateLimitRuleRow = Pick<QosPacketRateLimitRule, Attributes<'qos_packet_rate_limit_rule'>>;

export type QosDscpMarkingRuleRow = Pick<QosDscpMarkingRule, Attributes<'qos_dscp_marking_rule'>>;

export type SnatLeaseRow = Pick<SnatLease, Attributes<'snat_lease'>>;

export type PseudowireRow = Pick<StoredPseudowire, Attributes<'pseudowire'>>;

export type HostRow = Pick<Host, Attributes<'host'>>;

export type LoadBalancerRow = Pick<LoadBalancer, Attributes<'loadbalancer'>>;

export type ListenerRow = Pick<Listener, Attributes<'listener'>>;

export type PoolRow = Pick<Pool, Attributes<'pool'>>;

export type MemberRow = Pick<Member, Attributes<'member'>>;

export type HealthMonitorRow = Pick<HealthMonitor, Attributes<'healthmonitor'>>;

/** What the host of a member of a pool told of it last; `id` is the member's. */
export type HealthRow = { readonly id: string; readonly state: 'up' | 'down' | 'silent' };

/** A network of the table of networks is a VPN: its id is this one's. `targets`: what a target is used for the rows of `vpn_target` say. */
export type VpnRow = {
  readonly id: string;
  readonly name: string;
  readonly project_id: string;
  readonly proton: string;
  readonly router_id: string;
  readonly label: number;
  readonly route_distinguisher: string;
  readonly targets: readonly string[];
};

export type VpnTargetRow = Pick<VpnTarget, Attributes<'vpn_target'>>;

export type VpnPeeringRow = Pick<VpnPeering, Attributes<'vpn_peering'>>;

/** The row of each resource type. */
export type Rows = {
  readonly network: NetworkRow;
  readonly subnet: SubnetRow;
  readonly subnetpool: SubnetPoolRow;
  readonly port: PortRow;
  readonly router: RouterRow;
  readonly router_peering: RouterPeeringRow;
  readonly router_egress: RouterEgressRow;
  readonly router_policy: RouterPolicyRow;
  readonly service_scope: ServiceScopeRow;
  readonly service: ServiceRow;
  readonly endpoint_set: EndpointSetRow;
  readonly kubernetes_namespace: KubernetesNamespaceRow;
  readonly network_policy: NetworkPolicyRow;
  readonly cluster_network_policy: ClusterNetworkPolicyRow;
  readonly host_policy: HostPolicyRow;
  readonly security_group: SecurityGroupRow;
  readonly address_group: AddressGroupRow;
  readonly log: LogRow;
  readonly trunk: TrunkRow;
  readonly tap_service: TapServiceRow;
  readonly tap_flow: TapFlowRow;
  readonly tap_mirror: TapMirrorRow;
  readonly floatingip: FloatingIpRow;
  readonly port_forwarding: PortForwardingRow;
  readonly security_group_rule: SecurityGroupRuleRow;
  readonly qos_policy: QosPolicyRow;
  readonly qos_bandwidth_limit_rule: QosBandwidthLimitRuleRow;
  readonly qos_packet_rate_limit_rule: QosPacketRateLimitRuleRow;
  readonly qos_dscp_marking_rule: QosDscpMarkingRuleRow;
  readonly snat_lease: SnatLeaseRow;
  readonly pseudowire: PseudowireRow;
  readonly host: HostRow;
  readonly loadbalancer: LoadBalancerRow;
  readonly listener: ListenerRow;
  readonly pool: PoolRow;
  readonly member: MemberRow;
  readonly healthmonitor: HealthMonitorRow;
  readonly health: HealthRow;
  readonly vpn: VpnRow;
  readonly vpn_target: VpnTargetRow;
  readonly vpn_peering: VpnPeeringRow;
};

/** The row of each table. `router_interface` and `router_gateway` hold those rows of `port` for which `isRouterInterface` and `isGatewayPort` are true. */
export type TableRows = Rows & { readonly router_interface: PortRow; readonly router_gateway: PortRow };

export type TableName = keyof TableRows;

/** Names of each table's indexes that slices are computed from. */
type IndexNames = {
  readonly network: never;
  readonly subnet: 'network_id' | 'cable:gateway_cluster';
  readonly subnetpool: never;
  readonly port:
    | 'network_id'
    | 'device_id'
    | 'binding:host_id'
    | 'standby_hosts'
    | 'security_groups'
    | 'cable:cluster'
    | 'cable:namespace';
  readonly router_interface: 'network_id' | 'device_id';
  readonly router_gateway: 'binding:host_id' | 'standby_hosts' | 'device_id';
  readonly router: never;
  readonly router_peering: 'router_id';
  readonly router_egress: 'router_id';
  readonly router_policy: 'router_id';
  readonly service_scope: 'router_ids';
  readonly service: 'scope_id';
  readonly endpoint_set: 'scope_id';
  readonly kubernetes_namespace: 'cluster' | 'name';
  readonly network_policy: 'namespace';
  readonly cluster_network_policy: 'cluster';
  readonly host_policy: 'directions' | 'hosts';
  readonly security_group: never;
  readonly address_group: never;
  readonly log: 'enabled';
  readonly trunk: 'sub_ports.port_id';
  readonly floatingip: 'router_id' | 'port_id';
  readonly port_forwarding: 'router_id';
  readonly tap_service: 'port_id';
  readonly tap_flow: 'source_port' | 'tap_service_id';
  readonly tap_mirror: 'port_id';
  readonly security_group_rule: 'security_group_id';
  readonly qos_policy: never;
  readonly qos_bandwidth_limit_rule: 'qos_policy_id';
  readonly qos_packet_rate_limit_rule: 'qos_policy_id';
  readonly qos_dscp_marking_rule: 'qos_policy_id';
  readonly snat_lease: 'router_id' | 'host_id';
  readonly pseudowire: 'port_ids';
  readonly host: never;
  readonly loadbalancer: 'vip_network_id';
  readonly listener: 'loadbalancer_id';
  readonly pool: never;
  readonly member: 'pool_id';
  readonly healthmonitor: 'pool_id';
  readonly health: never;
  readonly vpn: 'targets';
  readonly vpn_target: 'target';
  readonly vpn_peering: 'proton';
};

export type IndexName<T extends TableName> = IndexNames[T];

type IndexKeys<Row> = (row: Row) => readonly string[];

/** The keys under which a row stands in each index. The tables must have these indexes, under these names. */
export const INDEXES: { readonly [T in TableName]: Readonly<Record<IndexName<T>, IndexKeys<TableRows[T]>>> } = {
  network: {},
  subnet: {
    network_id: (row) => [row.network_id],
    'cable:gateway_cluster': (row) => someText(row['cable:gateway_cluster']),
  },
  subnetpool: {},
  port: {
    network_id: (row) => [row.network_id],
    device_id: (row) => (row.device_id === '' ? [] : [row.device_id]),
    'binding:host_id': (row) => (hostOf(row) === '' ? [] : [hostOf(row)]),
    standby_hosts: (row) => row.standby_hosts,
    security_groups: (row) => row.security_groups,
    'cable:cluster': (row) => someText(row['cable:cluster']),
    'cable:namespace': (row) => someText(row['cable:namespace']),
  },
  router_interface: { network_id: (row) => [row.network_id], device_id: (row) => [row.device_id] },
  router_gateway: {
    'binding:host_id': (row) => (hostOf(row) === '' ? [] : [hostOf(row)]),
    standby_hosts: (row) => row.standby_hosts,
    device_id: (row) => [row.device_id],
  },
  router: {},
  router_peering: { router_id: (row) => [row.router_id] },
  router_egress: { router_id: (row) => [row.router_id] },
  router_policy: { router_id: (row) => [row.router_id] },
  service_scope: { router_ids: (row) => row.router_ids },
  service: { scope_id: (row) => [row.scope_id] },
  endpoint_set: { scope_id: (row) => [row.scope_id] },
  kubernetes_namespace: { cluster: (row) => [row.cluster], name: (row) => [row.name] },
  network_policy: { namespace: (row) => [row.namespace] },
  cluster_network_policy: { cluster: (row) => [row.cluster] },
  host_policy: { directions: (row) => row.directions, hosts: (row) => row.hosts },
  security_group: {},
  address_group: {},
  tap_service: { port_id: (row) => [row.port_id] },
  tap_flow: { source_port: (row) => [row.source_port], tap_service_id: (row) => [row.tap_service_id] },
  tap_mirror: { port_id: (row) => [row.port_id] },
  log: { enabled: (row) => [String(row.enabled)] },
  trunk: { 'sub_ports.port_id': (row) => row.sub_ports.map((one) => one.port_id) },
  floatingip: {
    router_id: (row) => (row.router_id === null ? [] : [row.router_id]),
    port_id: (row) => (row.port_id === null ? [] : [row.port_id]),
  },
  port_forwarding: { router_id: (row) => [row.router_id] },
  security_group_rule: { security_group_id: (row) => [row.security_group_id] },
  qos_policy: {},
  qos_bandwidth_limit_rule: { qos_policy_id: (row) => [row.qos_policy_id] },
  qos_packet_rate_limit_rule: { qos_policy_id: (row) => [row.qos_policy_id] },
  qos_dscp_marking_rule: { qos_policy_id: (row) => [row.qos_policy_id] },
  snat_lease: { router_id: (row) => [row.router_id], host_id: (row) => (row.host_id === '' ? [] : [row.host_id]) },
  pseudowire: { port_ids: (row) => row.port_ids },
  host: {},
  loadbalancer: { vip_network_id: (row) => [row.vip_network_id] },
  listener: { loadbalancer_id: (row) => [row.loadbalancer_id] },
  pool: {},
  member: { pool_id: (row) => [row.pool_id] },
  healthmonitor: { pool_id: (row) => [row.pool_id] },
  health: {},
  vpn: { targets: (row) => row.targets },
  vpn_target: { target: (row) => [row.target] },
  vpn_peering: { proton: (row) => [row.proton] },
};

function someText(text: string | null): readonly string[] {
  return text === null ? [] : [text];
}

/** What the compiler reads. */
export type CompilerTables = { readonly [T in TableName]: TableReader<TableRows[T], IndexName<T>> };

/** One row's change. `before` undefined: created; `after` undefined: deleted. */
export type TableChange = { readonly [K in RowType]: RowChange<K> }[RowType];

export type RowChange<K extends RowType> = {
  readonly type: K;
  readonly before: Rows[K] | undefined;
  readonly after: Rows[K] | undefined;
};

/** True if something differs that slices are made of. A port's status is nothing of that kind. */
export function isCompiled(change: TableChange): boolean {
  const { before, after } = change;
  if (before === undefined || after === undefined) return before !== after;
  const [one, other] = [before as Fields, after as Fields];
  return one['open'] !== other['open'] || ATTRIBUTES[change.type].some((name) => !isSame(one[name], other[name]));
}

/** Keys under which the row stands in an index of the table. */
export function indexKeys(table: TableName, index: string, row: TableRows[TableName]): readonly string[] {
  const makers = INDEXES[table] as Readonly<Record<string, IndexKeys<TableRows[TableName]>>>;
  return makers[index]?.(row) ?? [];
}

/** True for a port that is a router's leg in a network; its `device_id` is the router's id. */
export function isRouterInterface(port: Pick<PortRow, 'device_owner'>): boolean {
  return port.device_owner === 'network:router_interface';
}

/** True for a router's port in an external network. */
export function isGatewayPort(port: Pick<PortRow, 'device_owner'>): boolean {
  return port.device_owner === 'network:router_gateway';
}

/** Name of the host that is to carry a port; empty: none. */
export function hostOf(port: Pick<PortRow, 'binding:host_id' | 'binding_failed'>): string {
  return port.binding_failed === true ? '' : (port['binding:host_id'] ?? '');
}

/** True when the port was carried by the host, and may still get packets there. */
export function hasLeft(port: Pick<PortRow, 'inactive_bindings'>, host: string): boolean {
  return port.inactive_bindings.some((one) => one.host === host && one.was_active);
}

/**
 * What plugs a port on a host: the port's `device_id`, but on a host where another pod of its machine is, of which the binding there tells. Of what controllers have made alone: others
 * may not say that somebody's pod is theirs.
 */
export function deviceOn(
  port: Pick<PortRow, 'device_id' | 'inactive_bindings' | 'cable:cluster'>,
  host: string,
): string {
  const profile = port.inactive_bindings.find((one) => one.host === host)?.profile ?? {};
  const { device_id: device } = profile;
  return port['cable:cluster'] !== null && typeof device === 'string' ? device : port.device_id;
}

/** True for a port that a host carries: it has a host, and is neither a router's leg, which every host has, nor its gateway, which is no device. */
export function isBound(port: Pick<PortRow, 'device_owner' | 'binding:host_id' | 'binding_failed'>): boolean {
  return hostOf(port) !== '' && !isRouterInterface(port) && !isGatewayPort(port);
}

/** Compares by code units, so that every machine sorts alike. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Copies the rows, sorted by id. */
export function sortedById<T extends { readonly id: string }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => compareText(a.id, b.id));
}

type Fields = Readonly<Record<string, unknown>>;

function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  return typeof one === 'object' && typeof other === 'object' && JSON.stringify(one) === JSON.stringify(other);
}
