import type { Client } from '@cable/api';
import type { NetworkView, PortView, RouterView, SecurityGroupRule, SecurityGroupView, SubnetView } from '@cable/model';
import { OPEN_PORT } from './traffic/protocol.ts';

/** A client of the API for each tenant. */
export type Tenants = { readonly blue: Client; readonly red: Client };

/** The networks and security groups that the lab's guests use: all made over the API. */
export type Cloud = {
  readonly blue: Segment;
  /** Blue's other subnet, behind the router. */
  readonly blueBack: Segment;
  /** The other tenant's network, with blue's addresses. */
  readonly red: Segment;
  readonly router: RouterView;
  /** Allows ping and the lab's own port from anywhere. */
  readonly blueGroup: SecurityGroupView;
  readonly redGroup: SecurityGroupView;
  /** Without rules of its own: other groups' rules name it as their remote group. */
  readonly clientsGroup: SecurityGroupView;
};

export type Segment = { readonly network: NetworkView; readonly subnet: SubnetView };

export const BLUE_PROJECT = 'lab-blue';
export const RED_PROJECT = 'lab-red';

export const BLUE_CIDR = '10.10.0.0/24';
export const BLUE_BACK_CIDR = '10.20.0.0/24';

/** Makes the lab's cloud. */
export async function createCloud(tenants: Tenants): Promise<Cloud> {
  const { blue, red } = tenants;
  const front = await createSegment(blue, 'blue', BLUE_CIDR);
  const back = await createSegment(blue, 'blue-back', BLUE_BACK_CIDR);
  const other = await createSegment(red, 'red', BLUE_CIDR);
  const router = await blue.create('router', { name: 'blue-router' });
  for (const { subnet } of [front, back]) {
    await blue.action('router', router.id, 'add_router_interface', { subnet_id: subnet.id });
  }
  const blueGroup = await createGroup(blue, 'lab');
  const redGroup = await createGroup(red, 'lab');
  const clientsGroup = await blue.create('security_group', { name: 'clients' });
  return { blue: front, blueBack: back, red: other, router, blueGroup, redGroup, clientsGroup };
}

async function createSegment(client: Client, name: string, cidr: string): Promise<Segment> {
  const network = await client.create('network', { name });
  const subnet = await client.create('subnet', {
    name,
    network_id: network.id,
    ip_version: 4,
    cidr,
    dns_nameservers: ['192.0.2.53'],
  });
  return { network, subnet };
}

async function createGroup(client: Client, name: string): Promise<SecurityGroupView> {
  const group = await client.create('security_group', { name });
  await allow(client, group, { protocol: 'icmp' });
  await allow(client, group, { protocol: 'tcp', port_range_min: OPEN_PORT, port_range_max: OPEN_PORT });
  return group;
}

/** Adds an ingress rule for IPv4. */
export function allow(client: Client, group: SecurityGroupView, rule: object): Promise<SecurityGroupRule> {
  const body = { security_group_id: group.id, direction: 'ingress', ethertype: 'IPv4', ...rule };
  return client.create('security_group_rule', body);
}

export type PortWish = {
  readonly name: string;
  readonly segment: Segment;
  readonly group: SecurityGroupView;
  readonly host: string;
  /** The address wanted; absent: any. */
  readonly ip?: string;
  readonly vnicType?: 'normal' | 'baremetal';
  readonly userData?: string;
};

/** Makes a port that is bound to a host, as Nova (or an operator, for a physical machine) does. */
export function createPort(client: Client, wish: PortWish): Promise<PortView> {
  const { segment, vnicType = 'normal' } = wish;
  const fixedIp = { subnet_id: segment.subnet.id, ...(wish.ip === undefined ? {} : { ip_address: wish.ip }) };
  return client.create('port', {
    name: wish.name,
    network_id: segment.network.id,
    fixed_ips: [fixedIp],
    security_groups: [wish.group.id],
    device_owner: vnicType === 'baremetal' ? 'baremetal:none' : 'compute:nova',
    device_id: `${wish.name}-instance`,
    'binding:host_id': wish.host,
    'binding:vnic_type': vnicType,
    ...(wish.userData === undefined ? {} : { 'cable:user_data': Buffer.from(wish.userData).toString('base64') }),
  });
}
