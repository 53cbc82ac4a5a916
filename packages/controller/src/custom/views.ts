/**
 * What a project of OpenStack has by Neutron's door, shown in its namespace: custom resources to look at and to refer to. They hold nothing: deleting one deletes
 * nothing, and what is changed in one is put back.
 */
import type { AnyObject } from '@cable/model';
import { EXCLUDED_MAX, excludedOf } from './subnet-ranges.ts';

/** On a custom resource that only shows what Neutron's door has made. It is the controller's to set. */
export const MANAGED_BY = 'cable.io/managed-by';
export const NEUTRON = 'neutron';

/** On the same: ID of what it shows. */
export const SHOWN_ID = 'cable.io/id';

export type View = {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: Readonly<Record<string, unknown>>;
  readonly subnetIds?: readonly string[];
};

/** How objects of one type are shown. */
export type ViewOf = {
  readonly kind: string;
  readonly type: string;
  /** Other objects that it takes, all of the project's. */
  readonly beside?: string;
  /** Undefined: it is not shown. */
  readonly show: (row: AnyObject, beside: readonly AnyObject[]) => View | undefined;
};

export const VIEWS: readonly ViewOf[] = [
  { kind: 'Vpc', type: 'router', show: vpcOf },
  { kind: 'Subnet', type: 'network', beside: 'subnet', show: subnetOf },
  { kind: 'SecurityGroup', type: 'security_group', show: groupOf },
  { kind: 'QosPolicy', type: 'qos_policy', show: policyOf },
  { kind: 'Port', type: 'port', show: portOf },
  { kind: 'FloatingIP', type: 'floatingip', show: floatingOf },
];

/** `<name>-<first eight of the ID>`: names of Neutron need not be unique, nor names in Kubernetes. */
export function viewName({ id, name }: AnyObject): string {
  const plain = String(name ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-+|-+$/g, '');
  return `${plain === '' ? '' : `${plain}-`}${id.slice(0, 8)}`;
}

type Gateway = { readonly network_id: string; readonly external_fixed_ips: readonly { readonly ip_address: string }[] };

export function vpcOf(row: AnyObject): View {
  const info = row['external_gateway_info'] as Gateway | null;
  const routes = row['routes'] as readonly { readonly destination: string; readonly nexthop: string }[];
  return {
    spec: {
      ...textOf(row),
      ...(routes.length === 0
        ? {}
        : { staticRoutes: routes.map((one) => ({ cidr: one.destination, nextHop: one.nexthop })) }),
      ...(info === null ? {} : { externalGateway: { network: info.network_id } }),
    },
    status: { externalIPs: info?.external_fixed_ips.map((one) => one.ip_address) ?? [], peerings: [] },
  };
}

export function subnetOf(row: AnyObject, subnets: readonly AnyObject[]): View | undefined {
  const own = subnets
    .filter((one) => one['network_id'] === row.id)
    .sort((a, b) => Number(a['ip_version']) - Number(b['ip_version']));
  const [first, second, ...more] = own;
  // A network that spec has no words for is seen by its name or ID.
  if (first === undefined || row['router:external'] === true || more.length > 0) return undefined;
  if (second !== undefined && second['ip_version'] === first['ip_version']) return undefined;
  const isPrivate = first['cable:private'] === true;
  if (own.some((one) => (one['cable:private'] === true) !== isPrivate)) return undefined;
  const allowed = own.flatMap((one) => (one['cable:allow_subnets'] ?? []) as readonly string[]);
  const gateway = own.flatMap((one) => one['gateway_ip'] ?? []).join(',');
  const excluded = own.flatMap((one) => excludedOf(one));
  const gatewayNodes = (first['cable:gateway_nodes'] ?? []) as readonly string[];
  const servers = own.flatMap((one) => one['dns_nameservers'] as readonly string[]);
  return {
    spec: {
      ...textOf(row),
      ...{ cidrBlock: own.map((one) => one['cidr']).join(','), enableDHCP: first['enable_dhcp'] },
      ...(gateway === '' ? {} : { gateway }),
      ...(excluded.length === 0 ? {} : { excludeIps: excluded.slice(0, EXCLUDED_MAX) }),
      ...(servers.length === 0 ? {} : { dnsServers: servers.slice(0, 6) }),
      ...(isPrivate ? { private: true } : {}),
      ...(own.some((one) => one['cable:nat_outgoing'] === false) ? { natOutgoing: false } : {}),
      ...(gatewayNodes.length === 0 ? {} : { gatewayType: 'centralized', gatewayNodes }),
      ...(allowed.length === 0 ? {} : { allowSubnets: allowed.slice(0, 256) }),
    },
    status: { networkID: row.id, subnetIDs: own.map(({ id }) => id), gateway, gatewayNode: gatewayNodeOf(first) },
    subnetIds: own.map(({ id }) => id),
  };
}

/** Of a subnet, the node by which it leaves; empty: each port by its own. */
export function gatewayNodeOf(subnet: AnyObject | undefined): string {
  return String(subnet?.['cable:gateway_node'] ?? '');
}

export function groupOf(row: AnyObject): View {
  const rules = row['security_group_rules'] as readonly AnyObject[];
  const of = (direction: string) => rules.filter((one) => one['direction'] === direction).map(ruleOf);
  return {
    spec: { ...textOf(row), ingressRules: of('ingress').slice(0, 500), egressRules: of('egress').slice(0, 500) },
    status: { rules: rules.length },
  };
}

function ruleOf(rule: AnyObject): object {
  const names = {
    ...{ protocol: 'protocol', portRangeMin: 'port_range_min', portRangeMax: 'port_range_max' },
    ...{ remoteAddress: 'remote_ip_prefix', remoteSecurityGroup: 'remote_group_id', description: 'description' },
  };
  const given = Object.entries(names).flatMap(([name, attribute]) => {
    const value = rule[attribute] ?? null;
    return value === null || value === '' ? [] : [[name, value] as const];
  });
  return { ipVersion: rule['ethertype'] === 'IPv6' ? 'ipv6' : 'ipv4', ...Object.fromEntries(given) };
}

export function policyOf(row: AnyObject): View {
  const rules = row['rules'] as readonly Readonly<Record<string, unknown>>[];
  const of = (type: string) => rules.filter((one) => one['type'] === type);
  const [mark] = of('dscp_marking');
  return {
    spec: {
      ...textOf(row),
      bandwidthLimits: of('bandwidth_limit').flatMap((one) =>
        Number(one['max_kbps']) > 0
          ? [{ direction: one['direction'], maxKbps: one['max_kbps'], maxBurstKbps: one['max_burst_kbps'] }]
          : [],
      ),
      ...(mark === undefined ? {} : { dscpMark: mark['dscp_mark'] }),
    },
    status: {},
  };
}

/** Those of machines, and those that wait for one. */
export function portOf(row: AnyObject): View | undefined {
  const owner = String(row['device_owner']);
  const fixedIps = row['fixed_ips'] as readonly { readonly subnet_id: string; readonly ip_address: string }[];
  const [first] = fixedIps;
  if ((owner !== '' && !owner.startsWith('compute:')) || first === undefined) return undefined;
  const ipAddresses = fixedIps.map((one) => one.ip_address);
  return {
    spec: {
      ...textOf(row),
      ...{ subnet: first.subnet_id, ipAddresses: ipAddresses.slice(0, 2), macAddress: row['mac_address'] },
      securityGroups: (row['security_groups'] as readonly string[]).slice(0, 64),
    },
    status: {
      ...{ ipAddresses, macAddress: row['mac_address'], deviceOwner: owner },
      ...{ deviceID: row['device_id'], status: row['status'] },
    },
  };
}

export function floatingOf(row: AnyObject): View {
  const [port, fixed] = [row['port_id'] ?? null, row['fixed_ip_address'] ?? null];
  return {
    spec: {
      ...{ ...textOf(row), externalNetwork: row['floating_network_id'] },
      ...(port === null ? {} : { target: { portID: port } }),
    },
    status: { address: row['floating_ip_address'], fixedIP: fixed ?? '', portID: port ?? '' },
  };
}

function textOf({ description = '' }: AnyObject): object {
  return description === '' ? {} : { description };
}
