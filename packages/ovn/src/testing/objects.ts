/** Objects as Neutron's API shows them, for tests: each of its number. */

const PREFIXES: Readonly<Record<string, string>> = {
  network: '00000000-0000-4000-8000-01',
  subnet: '00000000-0000-4000-8000-02',
  port: '00000000-0000-4000-8000-03',
  router: '00000000-0000-4000-8000-04',
  security_group: '00000000-0000-4000-8000-05',
  floatingip: '00000000-0000-4000-8000-06',
  address_group: '00000000-0000-4000-8000-07',
  rule: '00000000-0000-4000-8000-08',
};

/** The id of the resource's object with this number. */
export function idOf(resource: string, n: number): string {
  return `${PREFIXES[resource]}${String(n).padStart(10, '0')}`;
}

type Some = Readonly<Record<string, unknown>>;
type Made = Some & { readonly id: string };

export function aNetwork(n = 1, more: Some = {}): Made {
  return {
    id: idOf('network', n),
    name: `network ${n}`,
    revision_number: 1,
    mtu: 1400,
    'provider:network_type': 'geneve',
    ...more,
  };
}

/** 10.<n>.0.0/16. */
export function aSubnet(n = 1, more: Some = {}): Made {
  return {
    id: idOf('subnet', n),
    network_id: idOf('network', n),
    name: `subnet ${n}`,
    revision_number: 1,
    cidr: `10.${n}.0.0/16`,
    ip_version: 4,
    gateway_ip: `10.${n}.0.1`,
    enable_dhcp: true,
    dns_nameservers: ['192.0.2.53'],
    host_routes: [],
    ipv6_address_mode: null,
    ipv6_ra_mode: null,
    ...more,
  };
}

export function macOf(n: number): string {
  const hex = n.toString(16).padStart(6, '0');
  return `fa:16:3e:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
}

/** In network `network` with the address 10.<network>.x.y, of which `n` is 1 less than the last two bytes say; in group 1. */
export function aPort(n: number, more: Some = {}, network = 1): Made {
  const host = n + 9;
  return {
    id: idOf('port', n),
    network_id: idOf('network', network),
    name: '',
    revision_number: 1,
    mac_address: macOf(n),
    admin_state_up: true,
    fixed_ips: [{ subnet_id: idOf('subnet', network), ip_address: `10.${network}.${host >> 8}.${host & 255}` }],
    device_id: `machine ${n}`,
    device_owner: 'compute:nova',
    port_security_enabled: true,
    security_groups: [idOf('security_group', 1)],
    allowed_address_pairs: [],
    extra_dhcp_opts: [],
    'binding:host_id': '',
    ...more,
  };
}

/** Neutron's default group: all may leave, and what its own ports send may enter. */
export function aSecurityGroup(n = 1, rules: readonly Some[] = defaultRules(n), more: Some = {}): Made {
  return {
    id: idOf('security_group', n),
    name: `group ${n}`,
    revision_number: 1,
    stateful: true,
    security_group_rules: rules,
    ...more,
  };
}

/** A rule of IPv4 that lets all in, but for what is said. */
export function aRule(n: number, more: Some = {}): Some {
  return {
    id: idOf('rule', n),
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

export function defaultRules(n: number): readonly Some[] {
  const remote = { remote_group_id: idOf('security_group', n) };
  return [
    aRule(10 * n + 1, { direction: 'egress' }),
    aRule(10 * n + 2, { direction: 'egress', ethertype: 'IPv6' }),
    aRule(10 * n + 3, remote),
    aRule(10 * n + 4, { ...remote, ethertype: 'IPv6' }),
  ];
}

export function aRouter(n = 1, more: Some = {}): Made {
  return {
    id: idOf('router', n),
    name: `router ${n}`,
    revision_number: 1,
    admin_state_up: true,
    external_gateway_info: null,
    routes: [],
    ...more,
  };
}

/** Port `n` of a router, at the gateway's address of the network's subnet. */
export function aRouterPort(n: number, router: number, network: number, more: Some = {}): Made {
  return aPort(
    n,
    {
      device_id: idOf('router', router),
      device_owner: 'network:router_interface',
      fixed_ips: [{ subnet_id: idOf('subnet', network), ip_address: `10.${network}.0.1` }],
      security_groups: [],
      port_security_enabled: false,
      ...more,
    },
    network,
  );
}
