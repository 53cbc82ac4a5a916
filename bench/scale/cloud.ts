import { type Client, createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import type { PortWish, ScaleHost, World } from './world.ts';

const PORTS_A_REQUEST = 200;
const REQUESTS_AT_ONCE = 6;
const PROJECT = 'scale';

/** The world's networks on the server. */
export type Cloud = {
  readonly client: Client;
  /** By index. */
  readonly networks: readonly CloudNetwork[];
};

export type CloudNetwork = { readonly id: string; readonly groupId: string | null };

/** Makes networks, subnets, groups and ports over the API, in bulk. */
export async function createCloud(
  url: string,
  world: World,
  say: (line: string) => void,
): Promise<{ readonly cloud: Cloud; readonly portsPerSecond: number }> {
  const client = createClient({ transport: httpTransport(url, { timeoutMs: 120_000 }), projectId: PROJECT });
  const networks: CloudNetwork[] = [];
  await inParallel(
    Array.from({ length: world.size.networks }, (_, index) => index),
    16,
    async (index) => {
      networks[index] = await createNetwork(client, world, index);
      if (index % 500 === 499) say(`${index + 1} of ${world.size.networks} networks`);
    },
  );
  const cloud: Cloud = { client, networks };
  const startedAt = performance.now();
  let made = 0;
  await inParallel(chunks(world.ports, PORTS_A_REQUEST), REQUESTS_AT_ONCE, async (wishes) => {
    await client.createMany(
      'port',
      wishes.map((wish) => portBody(cloud, world, wish)),
    );
    made += wishes.length;
    if (made % 10_000 < wishes.length) {
      const rate = Math.round((made * 1000) / (performance.now() - startedAt));
      say(`${made} of ${world.size.ports} ports, ${rate} a second`);
    }
  });
  return { cloud, portsPerSecond: (world.size.ports * 1000) / (performance.now() - startedAt) };
}

/** Makes a host known, without its agent. */
export async function registerHost(url: string, { host, underlay }: ScaleHost): Promise<void> {
  const answer = await fetch(`${url}/cable/v1/hosts/${host}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ underlay, agentVersion: 'bench' }),
  });
  if (!answer.ok) throw new Error(`registration of ${host} was answered ${answer.status}: ${await answer.text()}`);
}

/** The request for a port of the world. */
export function portBody(cloud: Cloud, world: World, wish: PortWish): object {
  const network = cloud.networks[wish.network];
  return {
    network_id: network?.id,
    device_owner: 'compute:scale',
    'binding:host_id': world.hosts[wish.host]?.host,
    security_groups: wish.isMember && network?.groupId ? [network.groupId] : [],
  };
}

/** A group has its members as remote: so every host with a member hears of each. */
async function createNetwork(client: Client, world: World, index: number): Promise<CloudNetwork> {
  const network = await client.create('network', { name: `scale-${index}` });
  await client.create('subnet', {
    network_id: network.id,
    ip_version: 4,
    cidr: world.size.ports / world.size.networks > 60_000 ? '10.0.0.0/14' : '10.0.0.0/16',
  });
  if (world.size.memberships === 0) return { id: network.id, groupId: null };
  const group = await client.create('security_group', { name: `scale-${index}` });
  await client.create('security_group_rule', {
    security_group_id: group.id,
    direction: 'ingress',
    ethertype: 'IPv4',
    remote_group_id: group.id,
  });
  return { id: network.id, groupId: group.id };
}

/** Runs the work on all items, some at once. */
export async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const item = items[next];
      next += 1;
      if (item !== undefined) await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}

function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
