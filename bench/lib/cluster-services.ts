import { randomUUID } from 'node:crypto';
import type { CableBed } from './cable.ts';
import { PORTS } from './cable-paths.ts';
import { MOVED_PORT, type Moved } from './linux-router.ts';
import { ipIn, type Path } from './net.ts';

const CIDR = '10.53.0.0/16';
const CLUSTER_IPS = '10.96.0.0/16';
const CLUSTER_IP = '10.96.0.10';
const ENDPOINTS = 4;
/** Objects in a request. */
const BULK = 250;
const IN_FORCE_MS = 120_000;
const AGAIN_MS = 200;

/** Two pods of one host, one of which serves by its own address and, as four endpoints, by a Service of a cluster; and as many other Services as are asked for. */
export type ClusterServices = {
  /** To the pod's own address. */
  readonly direct: Path;
  /** To the ClusterIP. */
  readonly served: Path;
  readonly moved: Moved;
  /** Adds others until there are so many, and waits until the host has them. */
  growTo(services: number): Promise<void>;
};

export async function addClusterServices(bed: CableBed, groupId: string): Promise<ClusterServices> {
  const { client: api } = bed;
  const network = await api.create('network', { name: 'cluster' });
  const subnet = await api.create('subnet', { network_id: network.id, ip_version: 4, cidr: CIDR });
  const router = await api.create('router', { name: 'cluster' });
  await api.action('router', router.id, 'add_router_interface', { subnet_id: subnet.id });
  const scope = randomUUID();
  await api.create('service_scope', { id: scope, cidrs: [CLUSTER_IPS], router_ids: [router.id] });
  const client = await bed.addPod('asks', bed.names.h1, groupId, network.id);
  const server = await bed.addPod('serves', bed.names.h1, groupId, network.id);
  const more = Array.from({ length: ENDPOINTS - 1 }, (_, n) => `10.53.200.${n + 1}`);
  const addresses = [server.address, ...more];
  const fixed = addresses.map((ip_address) => ({ subnet_id: subnet.id, ip_address }));
  await api.update('port', server.portId, { fixed_ips: fixed });
  for (const address of more) ipIn(server.netns, 'addr', 'add', `${address}/16`, 'dev', 'eth0');
  const endpointsAt = (places: readonly string[]): readonly object[] => places.map((address) => ({ address }));
  const addService = async (ip: string, ports: readonly object[], places: readonly string[]): Promise<string> => {
    const service = await api.create('service', { id: randomUUID(), scope_id: scope, cluster_ips: [ip], ports });
    const body = { id: randomUUID(), service_id: service.id, ports, endpoints: endpointsAt(places) };
    return (await api.create('endpoint_set', body)).id;
  };
  await addService(CLUSTER_IP, PORTS.map(portOf), addresses);
  const pair = [server.address, more[0] ?? ''] as const;
  // Of its own, as the endpoints of a Service of several ports are changed together.
  const movedIp = '10.96.0.11';
  const movedSet = await addService(movedIp, [portOf(['UDP', MOVED_PORT])], [pair[0]]);
  let made = 1;
  const growTo = async (services: number): Promise<void> => {
    for (; made < services; made += BULK) {
      const some = Array.from({ length: Math.min(BULK, services - made) }, (_, n) => ({
        id: randomUUID(),
        n: made + n,
      }));
      const ports = [portOf(['TCP', 80])];
      await api.createMany(
        'service',
        some.map(({ id, n }) => ({ ...{ id, scope_id: scope, ports }, cluster_ips: [otherIp(n)] })),
      );
      await api.createMany(
        'endpoint_set',
        some.map(({ id }) => ({ ...{ id: randomUUID(), service_id: id, ports }, endpoints: endpointsAt(addresses) })),
      );
    }
    made = services;
    await inForce(bed, client.portId, services === 1 ? CLUSTER_IP : otherIp(services - 1), services === 1 ? 7000 : 80);
  };
  const path = (name: string, serverAddress: string): Path => ({
    ...{ name, client: client.netns, server: server.netns, serverAddress },
  });
  return {
    direct: path('Cable, the pod itself', server.address),
    served: path('Cable, a Service', CLUSTER_IP),
    moved: {
      ...{ address: movedIp, port: MOVED_PORT, addresses: pair },
      moveTo: async (which) => {
        await api.update('endpoint_set', movedSet, { endpoints: endpointsAt([pair[which]]) });
      },
    },
    growTo,
  };
}

function portOf([protocol, port]: readonly [string, number]): object {
  return { name: `${protocol.toLowerCase()}-${port}`, protocol, port };
}

function otherIp(n: number): string {
  return `10.96.${1 + (n >> 8)}.${n & 255}`;
}

/** The vrouter itself is asked. */
async function inForce({ client }: CableBed, portId: string, ip: string, port: number): Promise<void> {
  const deadline = performance.now() + IN_FORCE_MS;
  for (;;) {
    const path = `/cable/v1/ports/${portId}/trace?to=${ip}&protocol=tcp&dport=${port}`;
    const { verdict } = (await client.request('GET', path)) as { readonly verdict: string };
    if (verdict === 'passes') return;
    if (performance.now() > deadline) throw new Error(`the Service at ${ip} is not in force: a trace says ${verdict}`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
