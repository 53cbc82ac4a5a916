/** Neutron's objects, as far as rows of OVN are made of them, and as they come from outside. */
import { formatCidr, formatIp, isUuid, parseIp, parseIpOrCidr, parseMac } from '@cable/model';

/** The resources that become rows. */
export const RESOURCES = [
  'network',
  'subnet',
  'port',
  'router',
  'security_group',
  'address_group',
  'floatingip',
] as const;
export type ResourceName = (typeof RESOURCES)[number];

type Common = { readonly id: string; readonly name: string; readonly revision: number };

export type Network = Common & {
  readonly mtu: number;
  /** Null: an overlay, which is OVN's own. */
  readonly physicalNetwork: string | null;
  /** VLAN; null: frames are untagged. */
  readonly tag: number | null;
};

export type Subnet = Common & {
  readonly networkId: string;
  readonly cidr: string;
  readonly version: 4 | 6;
  readonly gateway: string | null;
  readonly hasDhcp: boolean;
  readonly nameServers: readonly string[];
  readonly hostRoutes: readonly { readonly destination: string; readonly nexthop: string }[];
  readonly addressMode: Ipv6Mode | null;
  readonly raMode: Ipv6Mode | null;
};

export type Ipv6Mode = 'slaac' | 'dhcpv6-stateful' | 'dhcpv6-stateless';

export type Port = Common & {
  readonly networkId: string;
  readonly mac: string;
  readonly isUp: boolean;
  readonly fixedIps: readonly { readonly subnetId: string; readonly address: string }[];
  readonly deviceId: string;
  readonly deviceOwner: string;
  readonly hasSecurity: boolean;
  readonly groups: readonly string[];
  readonly pairs: readonly { readonly prefix: string; readonly mac: string }[];
  readonly dhcpOptions: readonly { readonly version: 4 | 6; readonly name: string; readonly value: string }[];
  /** Empty: not bound. */
  readonly host: string;
};

export type Router = Common & {
  readonly isUp: boolean;
  readonly gateway: {
    readonly networkId: string;
    readonly hasSnat: boolean;
    readonly fixedIps: readonly { readonly subnetId: string; readonly address: string }[];
  } | null;
  readonly routes: readonly { readonly destination: string; readonly nexthop: string }[];
};

export type SecurityGroup = Common & { readonly isStateful: boolean; readonly rules: readonly SecurityGroupRule[] };

export type SecurityGroupRule = {
  readonly id: string;
  readonly direction: 'ingress' | 'egress';
  readonly version: 4 | 6;
  /** Name or number, in lower case; null: any. */
  readonly protocol: string | null;
  readonly portMin: number | null;
  readonly portMax: number | null;
  readonly remotePrefix: string | null;
  readonly remoteGroup: string | null;
  readonly remoteAddressGroup: string | null;
};

export type AddressGroup = Common & { readonly prefixes: readonly string[] };

export type FloatingIp = Common & {
  readonly address: string;
  /** Null: it leads nowhere. */
  readonly fixedAddress: string | null;
  readonly portId: string | null;
  readonly routerId: string | null;
};

/** Each resource's objects. */
export type Objects = {
  readonly network: Network;
  readonly subnet: Subnet;
  readonly port: Port;
  readonly router: Router;
  readonly security_group: SecurityGroup;
  readonly address_group: AddressGroup;
  readonly floatingip: FloatingIp;
};

/** `reason`: which attribute is not what it is to be. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

/** An object as Neutron's API shows it. What is not said has the API's default; what rows are not made of is not looked at. */
export function parseObject<R extends ResourceName>(resource: R, given: unknown): Parsed<Objects[R]> {
  const parse: (fields: Fields) => Objects[R] = PARSERS[resource];
  try {
    return { ok: true, value: parse(new Fields(given)) };
  } catch (err) {
    if (err instanceof FieldError) return { ok: false, reason: err.message };
    throw err;
  }
}

const PARSERS: { readonly [R in ResourceName]: (fields: Fields) => Objects[R] } = {
  network: (from) => {
    const isTagged = from.text('provider:network_type', '') === 'vlan';
    return {
      ...commonOf(from),
      mtu: from.integer('mtu', 0, 65_535) ?? 1442,
      physicalNetwork: from.textOrNull('provider:physical_network'),
      tag: isTagged ? from.integer('provider:segmentation_id', 1, 4094) : null,
    };
  },
  subnet: (from) => ({
    ...commonOf(from),
    networkId: from.uuid('network_id'),
    cidr: from.prefix('cidr'),
    version: from.text('cidr').includes(':') ? 6 : 4,
    gateway: from.addressOrNull('gateway_ip'),
    hasDhcp: from.flag('enable_dhcp', true),
    nameServers: from.list('dns_nameservers').map((one) => checkedAddress(one, 'dns_nameservers')),
    hostRoutes: from.list('host_routes').map(routeOf),
    addressMode: from.mode('ipv6_address_mode'),
    raMode: from.mode('ipv6_ra_mode'),
  }),
  port: (from) => ({
    ...commonOf(from),
    networkId: from.uuid('network_id'),
    mac: from.mac('mac_address'),
    isUp: from.flag('admin_state_up', true),
    fixedIps: from.list('fixed_ips').map(fixedIpOf),
    deviceId: from.text('device_id', ''),
    deviceOwner: from.text('device_owner', ''),
    hasSecurity: from.flag('port_security_enabled', true),
    groups: from.list('security_groups').map((id) => checkedUuid(id, 'security_groups')),
    pairs: from.list('allowed_address_pairs').map(pairOf),
    dhcpOptions: from.list('extra_dhcp_opts').map(dhcpOptionOf),
    host: from.host('binding:host_id'),
  }),
  router: (from) => ({
    ...commonOf(from),
    isUp: from.flag('admin_state_up', true),
    gateway: gatewayOf(from.value('external_gateway_info')),
    routes: from.list('routes').map(routeOf),
  }),
  security_group: (from) => ({
    ...commonOf(from),
    isStateful: from.flag('stateful', true),
    rules: from.list('security_group_rules').map(ruleOf),
  }),
  address_group: (from) => ({
    ...commonOf(from),
    prefixes: from.list('addresses').map((one) => checkedPrefix(one, 'addresses')),
  }),
  floatingip: (from) => ({
    ...commonOf(from),
    address: checkedAddress(from.value('floating_ip_address'), 'floating_ip_address'),
    fixedAddress: from.addressOrNull('fixed_ip_address'),
    portId: from.uuidOrNull('port_id'),
    routerId: from.uuidOrNull('router_id'),
  }),
};

class FieldError extends Error {}

/** Reads attributes of one object; throws `FieldError` for what is not as it is to be. */
class Fields {
  readonly #given: Readonly<Record<string, unknown>>;

  constructor(given: unknown) {
    if (typeof given !== 'object' || given === null || Array.isArray(given))
      throw new FieldError('object is no object');
    this.#given = given as Readonly<Record<string, unknown>>;
  }

  value(name: string): unknown {
    return Object.hasOwn(this.#given, name) ? this.#given[name] : undefined;
  }

  text(name: string, absent?: string): string {
    const given = this.value(name) ?? absent;
    if (typeof given === 'string' && given.length <= 1024) return given;
    throw new FieldError(`${name} is no text of at most 1024 characters`);
  }

  textOrNull(name: string): string | null {
    return this.value(name) == null ? null : this.text(name);
  }

  integer(name: string, least: number, most: number): number | null {
    const given = this.value(name);
    if (given === undefined || given === null) return null;
    if (typeof given === 'number' && Number.isInteger(given) && given >= least && given <= most) return given;
    throw new FieldError(`${name} is no number from ${least} to ${most}`);
  }

  flag(name: string, absent: boolean): boolean {
    const given = this.value(name) ?? absent;
    if (typeof given === 'boolean') return given;
    throw new FieldError(`${name} is neither true nor false`);
  }

  list(name: string): readonly unknown[] {
    const given = this.value(name) ?? [];
    if (Array.isArray(given) && given.length <= 100_000) return given;
    throw new FieldError(`${name} is no list`);
  }

  uuid(name: string): string {
    return checkedUuid(this.value(name), name);
  }

  uuidOrNull(name: string): string | null {
    return this.value(name) == null ? null : this.uuid(name);
  }

  addressOrNull(name: string): string | null {
    return this.value(name) == null ? null : checkedAddress(this.value(name), name);
  }

  prefix(name: string): string {
    return checkedPrefix(this.value(name), name);
  }

  mac(name: string): string {
    return checkedMac(this.value(name), name);
  }

  /** OVN takes several hosts with commas between: a port is on one. */
  host(name: string): string {
    const given = this.text(name, '');
    if (!given.includes(',')) return given;
    throw new FieldError(`${name} has a comma, which no name of a host has`);
  }

  mode(name: string): Ipv6Mode | null {
    const given = this.value(name) ?? null;
    if (given === null || given === 'slaac' || given === 'dhcpv6-stateful' || given === 'dhcpv6-stateless')
      return given;
    throw new FieldError(`${name} is none of slaac, dhcpv6-stateful, dhcpv6-stateless`);
  }
}

function commonOf(from: Fields): Common {
  const revision = from.integer('revision_number', 0, Number.MAX_SAFE_INTEGER) ?? 0;
  return { id: from.uuid('id'), name: from.text('name', ''), revision };
}

function fixedIpOf(given: unknown): Port['fixedIps'][number] {
  const from = new Fields(given);
  return { subnetId: from.uuid('subnet_id'), address: checkedAddress(from.value('ip_address'), 'ip_address') };
}

function pairOf(given: unknown): Port['pairs'][number] {
  const from = new Fields(given);
  return { prefix: checkedPrefix(from.value('ip_address'), 'ip_address'), mac: from.mac('mac_address') };
}

function dhcpOptionOf(given: unknown): Port['dhcpOptions'][number] {
  const from = new Fields(given);
  const version = from.integer('ip_version', 4, 6) === 6 ? 6 : 4;
  return { version, name: from.text('opt_name'), value: from.text('opt_value') };
}

function routeOf(given: unknown): Router['routes'][number] {
  const from = new Fields(given);
  return { destination: from.prefix('destination'), nexthop: checkedAddress(from.value('nexthop'), 'nexthop') };
}

function gatewayOf(given: unknown): Router['gateway'] {
  if (given === null || given === undefined) return null;
  const from = new Fields(given);
  const fixedIps = from.list('external_fixed_ips').map(fixedIpOf);
  return { networkId: from.uuid('network_id'), hasSnat: from.flag('enable_snat', true), fixedIps };
}

function ruleOf(given: unknown): SecurityGroupRule {
  const from = new Fields(given);
  const direction = from.text('direction');
  const prefix = from.textOrNull('remote_ip_prefix');
  if (direction !== 'ingress' && direction !== 'egress')
    throw new FieldError('direction of a rule is neither ingress nor egress');
  const protocol = from.value('protocol') ?? null;
  if (protocol !== null && !/^[a-z0-9-]{1,40}$/i.test(String(protocol)))
    throw new FieldError('protocol of a rule is neither a name nor a number');
  return {
    id: from.uuid('id'),
    direction,
    version: from.text('ethertype', 'IPv4').toLowerCase() === 'ipv6' ? 6 : 4,
    protocol: protocol === null ? null : String(protocol).toLowerCase(),
    portMin: from.integer('port_range_min', 0, 65_535),
    portMax: from.integer('port_range_max', 0, 65_535),
    remotePrefix: prefix === null ? null : checkedPrefix(prefix, 'remote_ip_prefix'),
    remoteGroup: from.uuidOrNull('remote_group_id'),
    remoteAddressGroup: from.uuidOrNull('remote_address_group_id'),
  };
}

function checkedUuid(given: unknown, name: string): string {
  if (typeof given === 'string' && isUuid(given)) return given;
  throw new FieldError(`${name} is no UUID`);
}

function checkedAddress(given: unknown, name: string): string {
  const ip = typeof given === 'string' ? parseIp(given) : undefined;
  if (ip !== undefined) return formatIp(ip);
  throw new FieldError(`${name} is no IP address`);
}

/** An address alone stays one; host bits are cleared. */
function checkedPrefix(given: unknown, name: string): string {
  const prefix = typeof given === 'string' ? parseIpOrCidr(given) : undefined;
  if (prefix !== undefined) return String(given).includes('/') ? formatCidr(prefix) : formatIp(prefix.base);
  throw new FieldError(`${name} is neither an IP address nor a prefix`);
}

function checkedMac(given: unknown, name: string): string {
  const mac = typeof given === 'string' ? parseMac(given) : undefined;
  if (mac !== undefined) return mac;
  throw new FieldError(`${name} is no MAC address`);
}
