/** Stored objects for tests. */
import {
  type AnyObject,
  BUILT_IN_RESOURCES,
  type Host,
  type Network,
  type Port,
  type Router,
  type SecurityGroupRule,
  type Subnet,
} from '@cable/model';
import { parseObject } from '../object-text.ts';

export function uuid(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
}

const STANDARD = {
  project_id: 'p',
  description: '',
  created_at: '2026-01-01T00:00:00Z',
  updated_at: '2026-01-01T00:00:00Z',
  revision_number: 0,
};

/** The object as the store has it: attributes not given have their declared defaults, so that a new one changes nothing here. */
function stored<T extends AnyObject>(type: string, given: Partial<T>): T {
  const resource = BUILT_IN_RESOURCES.find(({ name }) => name === type);
  const object = resource === undefined ? undefined : parseObject(resource, JSON.stringify(given));
  if (object === undefined) throw new Error(`not a ${type}`);
  return object as T;
}

export function testNetwork(n: number, more: Partial<Network> = {}): Network {
  return stored<Network>('network', {
    id: uuid(n),
    name: `net${n}`,
    admin_state_up: true,
    status: 'ACTIVE',
    mtu: 1450,
    port_security_enabled: true,
    'provider:network_type': 'vxlan',
    'provider:physical_network': null,
    'provider:segmentation_id': n,
    ...STANDARD,
    ...more,
  });
}

export function testPort(n: number, network: Network, host: string, more: Partial<Port> = {}): Port {
  return stored<Port>('port', {
    id: uuid(n),
    name: `port${n}`,
    network_id: network.id,
    admin_state_up: true,
    mac_address: `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`,
    fixed_ips: [{ subnet_id: testSubnet(network).id, ip_address: `10.0.${n >> 8}.${n & 255}` }],
    device_id: '',
    device_owner: 'compute:nova',
    status: 'DOWN',
    security_groups: [],
    allowed_address_pairs: [],
    port_security_enabled: true,
    'binding:host_id': host,
    'binding:vnic_type': 'normal',
    binding_failed: false,
    inactive_bindings: [],
    standby_hosts: [],
    tapped: false,
    'binding:profile': {},
    'cable:hostname': null,
    'cable:user_data': null,
    ...STANDARD,
    ...more,
  });
}

/** A router's leg in a network. */
export function testLeg(n: number, router: string, network: Network): Port {
  return testPort(n, network, '', { device_owner: 'network:router_interface', device_id: router });
}

export function testSubnet(network: Network, more: Partial<Subnet> = {}): Subnet {
  return stored<Subnet>('subnet', {
    id: `${network.id.slice(0, 4)}5${network.id.slice(5)}`,
    name: '',
    network_id: network.id,
    ip_version: 4,
    cidr: '10.0.0.0/16',
    gateway_ip: '10.0.0.1',
    allocation_pools: [],
    enable_dhcp: true,
    dns_nameservers: [],
    host_routes: [],
    ...STANDARD,
    ...more,
  });
}

export function testRouter(n: number): Router {
  return stored<Router>('router', {
    id: uuid(n),
    name: '',
    admin_state_up: true,
    status: 'ACTIVE',
    routes: [],
    ...STANDARD,
  });
}

export function testRule(n: number, group: string, remoteGroup: string | null): SecurityGroupRule {
  return stored<SecurityGroupRule>('security_group_rule', {
    id: uuid(n),
    security_group_id: group,
    direction: 'ingress',
    ethertype: 'IPv4',
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_group_id: remoteGroup,
    ...STANDARD,
  });
}

export function testHost(name: string, underlay: string): Host {
  return {
    id: name,
    underlay,
    underlay_mtu: null,
    bridge_mappings: {},
    gateway: true,
    bandwidth: {},
    admin_state_up: true,
    description: '',
    availability_zone: 'nova',
    cluster: null,
    features: [],
    agent_version: '1',
    created_at: '',
    updated_at: '',
  };
}
