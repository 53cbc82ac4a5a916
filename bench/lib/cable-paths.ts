import type { CableBed } from './cable.ts';
import { count } from './linux-router.ts';
import { ipIn, type Path } from './net.ts';

const MACHINE = '203.0.113.1';
const NETWORKS = { guests: '10.51.0.0/16', services: '10.52.0.0/16' } as const;
const BULK = 100;
/** As many listeners as a load balancer may have. */
const LISTENERS = 250;
const MEMBERS = 4;
/** What the loads use. */
export const PORTS = [
  ['TCP', 7000],
  ['UDP', 7000],
  ['TCP', 7001],
] as const;

/** A network of its own for each purpose. */
async function addNetwork(
  { client }: CableBed,
  name: keyof typeof NETWORKS,
): Promise<{ id: string; subnetId: string }> {
  const { id } = await client.create('network', { name });
  const subnet = await client.create('subnet', { network_id: id, ip_version: 4, cidr: NETWORKS[name] });
  return { id, subnetId: subnet.id };
}

/** From a pod through a router with its gateway on the same host to a machine outside, with the router's own address. */
export async function addCableSnat(bed: CableBed, groupId: string): Promise<Path> {
  const { client, outside } = bed;
  if (outside === undefined) throw new Error('the bed has no machine outside');
  ipIn(outside, 'addr', 'add', `${MACHINE}/24`, 'dev', 'eth0');
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
  const external = await client.create('network', { name: 'outside', 'router:external': true, ...flat });
  const outer = { ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE, enable_dhcp: false };
  await client.create('subnet', { network_id: external.id, ...outer });
  const router = await client.create('router', { external_gateway_info: { network_id: external.id } });
  const { id, subnetId } = await addNetwork(bed, 'guests');
  await client.action('router', router.id, 'add_router_interface', { subnet_id: subnetId });
  const pod = await bed.addPod('guest', bed.names.h1, groupId, id);
  return { name: 'Cable, SNAT', client: pod.netns, server: outside, serverAddress: MACHINE };
}

/** Through that many services, each a listener with four members; those of the loads are the addresses of one pod. */
export async function addCableServices(bed: CableBed, groupId: string, services: number): Promise<Path> {
  const { client: api } = bed;
  const { id, subnetId } = await addNetwork(bed, 'services');
  const client = await bed.addPod('caller', bed.names.h1, groupId, id);
  const server = await bed.addPod('member', bed.names.h1, groupId, id);
  const more = Array.from({ length: MEMBERS - 1 }, (_, n) => `10.52.200.${n + 1}`);
  const addresses = [server.address, ...more];
  const fixed = addresses.map((ip_address) => ({ subnet_id: subnetId, ip_address }));
  await api.update('port', server.portId, { fixed_ips: fixed });
  for (const address of more) ipIn(server.netns, 'addr', 'add', `${address}/16`, 'dev', 'eth0');
  const addService = async (balancer: string, protocol: string, port: number): Promise<void> => {
    const listener = await api.create('listener', { loadbalancer_id: balancer, protocol, protocol_port: port });
    const how = { listener_id: listener.id, protocol, lb_algorithm: 'SOURCE_IP_PORT' };
    const pool = await api.create('pool', how);
    const members = addresses.map((address) => ({ address, protocol_port: port, subnet_id: subnetId }));
    await api.action('pool', pool.id, 'replace_members', { members });
  };
  const own = await api.create('loadbalancer', { name: 'loads', vip_subnet_id: subnetId });
  for (const [protocol, port] of PORTS) await addService(own.id, protocol, port);
  for (let n = 1; n < services; n += LISTENERS) {
    const other = await api.create('loadbalancer', { name: `others-${n}`, vip_subnet_id: subnetId });
    const ports = Array.from({ length: Math.min(LISTENERS, services - n) }, (_, m) => 8000 + m);
    for (const port of ports) await addService(other.id, 'TCP', port);
  }
  const name = `Cable, load balancer, ${count(services)}`;
  return { name, client: client.netns, server: server.netns, serverAddress: String(own['vip_address']) };
}

/** Between two hosts, in a network that has so many more ports on the other host. */
export async function addCableCrowd(bed: CableBed, groupId: string, endpoints: number): Promise<Path> {
  const client = await bed.addPod('near', bed.names.h1, groupId);
  const server = await bed.addPod('far', bed.names.h2, groupId);
  const port = { network_id: bed.networkId, security_groups: [groupId], 'binding:host_id': bed.names.h2.name };
  for (let n = 0; n < endpoints; n += BULK) {
    await bed.client.createMany('port', Array(Math.min(BULK, endpoints - n)).fill(port));
  }
  const name = `Cable, two hosts, ${endpoints} remote endpoints`;
  return { name, client: client.netns, server: server.netns, serverAddress: server.address };
}
