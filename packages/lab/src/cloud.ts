import type { Client } from '@cable/api';
import type { NetworkView, PortView, RouterView, SecurityGroupRule, SecurityGroupView, SubnetView } from '@cable/model';
import { OPEN_PORT } from './traffic/protocol.ts';
import type { AllowSpec, World } from './world.ts';

/** A client of the API for each project. */
export type Tenants = Readonly<Record<string, Client>>;

/** The networks, routers and security groups of a world, by its names: all made over the API. */
export type Cloud = {
  readonly networks: Readonly<Record<string, Segment>>;
  readonly routers: Readonly<Record<string, RouterView>>;
  readonly groups: Readonly<Record<string, SecurityGroupView>>;
};

export type Segment = { readonly network: NetworkView; readonly subnet: SubnetView };

/** Makes the cloud of a world. */
export async function createCloud(world: World, tenants: Tenants): Promise<Cloud> {
  const networks: Record<string, Segment> = {};
  for (const [name, { project, cidr }] of Object.entries(world.networks)) {
    networks[name] = await createSegment(clientOf(tenants, project), name, cidr);
  }
  const routers: Record<string, RouterView> = {};
  for (const [name, router] of Object.entries(world.routers ?? {})) {
    const segments = router.networks.map((network) => networks[network]).filter((segment) => segment !== undefined);
    routers[name] = await createRouter(clientOf(tenants, router.project), name, segments);
  }
  const groups: Record<string, SecurityGroupView> = {};
  for (const [name, { project, allow }] of Object.entries(world.groups)) {
    groups[name] = await createGroup(clientOf(tenants, project), name, allow);
  }
  return { networks, routers, groups };
}

function clientOf(tenants: Tenants, project: string): Client {
  const client = tenants[project];
  if (client === undefined) throw new Error(`the world has no project ${project}`);
  return client;
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

async function createRouter(client: Client, name: string, segments: readonly Segment[]): Promise<RouterView> {
  const router = await client.create('router', { name });
  for (const { subnet } of segments) {
    await client.action('router', router.id, 'add_router_interface', { subnet_id: subnet.id });
  }
  return router;
}

async function createGroup(client: Client, name: string, rules: readonly AllowSpec[]): Promise<SecurityGroupView> {
  const group = await client.create('security_group', { name });
  for (const rule of rules) await allow(client, group, ruleBody(rule));
  return group;
}

function ruleBody(rule: AllowSpec): object {
  if (rule === 'ping') return { protocol: 'icmp' };
  const protocol = rule === 'service' ? 'tcp' : 'udp';
  return { protocol, port_range_min: OPEN_PORT, port_range_max: OPEN_PORT };
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
