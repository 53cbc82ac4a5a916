import type { TableReader } from '@cable/kit';
import type { Host, Network, Port, Router, SecurityGroupRule, Subnet } from '@cable/model';

/** The attributes of each resource type that slices are made of. */
export type Rows = {
  readonly network: NetworkRow;
  readonly subnet: SubnetRow;
  readonly port: PortRow;
  readonly router: RouterRow;
  readonly security_group_rule: SecurityGroupRuleRow;
  readonly host: HostRow;
};

export type RowType = keyof Rows;

export type NetworkRow = Pick<
  Network,
  'id' | 'name' | 'project_id' | 'admin_state_up' | 'mtu' | 'provider:segmentation_id'
>;

export type SubnetRow = Pick<
  Subnet,
  'id' | 'network_id' | 'cidr' | 'ip_version' | 'gateway_ip' | 'enable_dhcp' | 'dns_nameservers' | 'host_routes'
>;

export type PortRow = Pick<
  Port,
  | 'id'
  | 'name'
  | 'project_id'
  | 'network_id'
  | 'mac_address'
  | 'admin_state_up'
  | 'device_id'
  | 'device_owner'
  | 'fixed_ips'
  | 'port_security_enabled'
  | 'security_groups'
  | 'binding:host_id'
  | 'binding:vnic_type'
  | 'cable:hostname'
  | 'cable:user_data'
> & {
  /** A pair without a MAC means the port's own. */
  readonly allowed_address_pairs: readonly { readonly ip_address: string; readonly mac_address?: string | null }[];
};

export type RouterRow = Pick<Router, 'id' | 'name' | 'admin_state_up' | 'routes'>;

export type SecurityGroupRuleRow = Pick<
  SecurityGroupRule,
  | 'id'
  | 'security_group_id'
  | 'direction'
  | 'ethertype'
  | 'protocol'
  | 'port_range_min'
  | 'port_range_max'
  | 'remote_ip_prefix'
  | 'remote_group_id'
>;

export type HostRow = Pick<Host, 'id' | 'underlay'>;

/** What the compiler reads. `router_interface` holds those rows of `port` for which `isRouterInterface` is true. */
export type CompilerTables = {
  readonly network: TableReader<NetworkRow>;
  readonly subnet: TableReader<SubnetRow, 'network_id'>;
  readonly port: TableReader<PortRow, 'network_id' | 'binding:host_id' | 'security_groups'>;
  readonly router_interface: TableReader<PortRow, 'network_id' | 'device_id' | 'fixed_ips.subnet_id'>;
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

/** Name of the host a port is bound to; empty: none. */
export function hostOf(port: Pick<PortRow, 'binding:host_id'>): string {
  return port['binding:host_id'] ?? '';
}

/** True for a port that a host carries: it has a host and is not a router's leg, which every host has. */
export function isBound(port: Pick<PortRow, 'device_owner' | 'binding:host_id'>): boolean {
  return hostOf(port) !== '' && !isRouterInterface(port);
}

/** Compares by code units, so that every machine sorts alike. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Copies the rows, sorted by id. */
export function sortedById<T extends { readonly id: string }>(rows: readonly T[]): T[] {
  return [...rows].sort((a, b) => compareText(a.id, b.id));
}
