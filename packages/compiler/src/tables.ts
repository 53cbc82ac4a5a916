import type { TableReader } from '@cable/kit';

/** The attributes of each resource type that slices are made of. The model's types satisfy these. */
export type Rows = {
  readonly network: NetworkRow;
  readonly subnet: SubnetRow;
  readonly port: PortRow;
  readonly router: RouterRow;
  readonly security_group_rule: SecurityGroupRuleRow;
  readonly host: HostRow;
};

export type RowType = keyof Rows;

export type NetworkRow = {
  readonly id: string;
  readonly name: string;
  readonly project_id: string;
  readonly mtu: number;
  /** The VNI; null: not allocated, so the network cannot carry traffic yet. */
  readonly 'provider:segmentation_id': number | null;
};

export type SubnetRow = {
  readonly id: string;
  readonly network_id: string;
  readonly cidr: string;
  readonly ip_version: 4 | 6;
  readonly gateway_ip: string | null;
  readonly enable_dhcp: boolean;
  readonly dns_nameservers: readonly string[];
  readonly host_routes: readonly RouteRow[];
};

export type RouteRow = { readonly destination: string; readonly nexthop: string };

export type PortRow = {
  readonly id: string;
  readonly name: string;
  readonly project_id: string;
  readonly network_id: string;
  readonly mac_address: string;
  readonly admin_state_up: boolean;
  readonly device_id: string;
  readonly device_owner: string;
  readonly fixed_ips: readonly { readonly subnet_id: string; readonly ip_address: string }[];
  readonly allowed_address_pairs: readonly { readonly ip_address: string; readonly mac_address: string }[];
  readonly port_security_enabled: boolean;
  readonly security_groups: readonly string[];
  /** Name of the host that carries the port; empty: none. */
  readonly 'binding:host_id': string;
  readonly 'binding:vnic_type': string;
  /** Name asked for by the user; empty: none. */
  readonly dns_name: string;
  /** Base64; null: none. */
  readonly user_data: string | null;
};

export type RouterRow = {
  readonly id: string;
  readonly name: string;
  readonly admin_state_up: boolean;
  readonly routes: readonly RouteRow[];
};

export type SecurityGroupRuleRow = {
  readonly id: string;
  readonly security_group_id: string;
  readonly direction: 'ingress' | 'egress';
  readonly ethertype: 'IPv4' | 'IPv6';
  /** Name or number as text; null: any. */
  readonly protocol: string | null;
  readonly port_range_min: number | null;
  readonly port_range_max: number | null;
  readonly remote_ip_prefix: string | null;
  readonly remote_group_id: string | null;
};

export type HostRow = {
  /** The host's name, as in a port's `binding:host_id`. */
  readonly id: string;
  /** Address other hosts tunnel to; null: not registered. */
  readonly underlay: string | null;
};

/** What the compiler reads. `router_interface` holds those rows of `port` for which `isRouterInterface` is true. */
export type CompilerTables = {
  readonly network: TableReader<NetworkRow>;
  readonly subnet: TableReader<SubnetRow, 'network_id'>;
  readonly port: TableReader<PortRow, 'network_id' | 'binding:host_id' | 'security_groups'>;
  readonly router_interface: TableReader<PortRow, 'network_id' | 'device_id'>;
  readonly router: TableReader<RouterRow>;
  readonly security_group_rule: TableReader<SecurityGroupRuleRow, 'security_group_id'>;
  readonly host: TableReader<HostRow>;
};

/** One row's change. `before` undefined: created; `after` undefined: deleted. */
export type TableChange = { readonly [K in RowType]: RowChange<K> }[RowType];

export type RowChange<K extends RowType> = {
  readonly type: K;
  readonly before: Rows[K] | undefined;
  readonly after: Rows[K] | undefined;
};

/** True for a port that is a router's leg in a network; its `device_id` is the router's id. */
export function isRouterInterface(port: Pick<PortRow, 'device_owner'>): boolean {
  return port.device_owner === 'network:router_interface';
}

/** True for a port that a host carries: it has a host and is not a router's leg, which every host has. */
export function isBound(port: Pick<PortRow, 'device_owner' | 'binding:host_id'>): boolean {
  return port['binding:host_id'] !== '' && !isRouterInterface(port);
}

/** Compares by code units, so that every machine sorts alike. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Copies the rows, sorted by id. */
export function sortedById<T extends { readonly id: string }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => compareText(a.id, b.id));
}
