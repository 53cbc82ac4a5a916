import { type Check, expect } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT } from '../traffic/protocol.ts';

/** Two networks with a router between them, on two hosts, with guests of every kind. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['blue'],
  networks: {
    front: { project: 'blue', cidr: '10.10.0.0/24' },
    back: { project: 'blue', cidr: '10.20.0.0/24' },
  },
  routers: { router: { project: 'blue', networks: ['front', 'back'] } },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    client: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'front', group: 'blue' },
    far: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'back', group: 'blue' },
    vm: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'front', group: 'blue' },
    pod: { kind: 'pod', host: 'h1', network: 'front', group: 'blue' },
    machine: { kind: 'machine', host: 'h2', network: 'back', group: 'blue' },
  },
} as const;

type BalancerWorld = typeof WORLD;

const PORT = 80;
const VIP = '10.10.0.200';

/** Ids of what the checks have made. */
const made: { listener: string; pool: string } = { listener: '', pool: '' };

/** Names of the guests that one meets at the virtual address, each with how often. */
async function meets(from: Guest, times: number): Promise<ReadonlyMap<string, number>> {
  const met = new Map<string, number>();
  for (let n = 0; n < times; n += 1) {
    const name = await inGuest<string>(from, 'who', { ip: VIP, port: PORT });
    met.set(name, (met.get(name) ?? 0) + 1);
  }
  return met;
}

function text(met: ReadonlyMap<string, number>): string {
  return [...met].map(([name, count]) => `${name} ${count}`).join(', ');
}

/** Waits until the guest meets these at the virtual address, and nobody else. */
async function untilMeets(from: Guest, names: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const what = `${from.name} to meet ${names.join(', ')} at ${VIP}`;
  return eventually({ what, deadlineMs: 20_000 }, async () => {
    const met = await meets(from, 12).catch(() => new Map<string, number>());
    return [...met.keys()].sort().join() === [...names].sort().join() ? met : undefined;
  });
}

type Traced = {
  readonly verdict: string;
  readonly cause: { readonly reason: string } | null;
  readonly receiver: { readonly id: string } | null;
};

/** What a trace says of a connection to the virtual address. */
async function traced(lab: Lab<BalancerWorld>, { portId }: Guest): Promise<Traced> {
  const path = `/cable/v1/ports/${portId}/trace?to=${VIP}&protocol=tcp&dport=${PORT}`;
  return (await lab.tenants.blue.request('GET', path)) as Traced;
}

function memberOf(guest: Guest, subnet_id: string, weight: number): object {
  return { name: guest.name, address: guest.ip, protocol_port: OPEN_PORT, subnet_id, weight };
}

/** Makes these guests the members of the pool. */
async function setMembers(
  lab: Lab<BalancerWorld>,
  guests: readonly (readonly [Guest, weight: number])[],
): Promise<void> {
  const { front, back } = lab.networks;
  const members = guests.map(([guest, weight]) =>
    memberOf(guest, guest.name === 'machine' ? back.subnet.id : front.subnet.id, weight),
  );
  await lab.tenants.blue.action('pool', made.pool, 'replace_members', { members });
}

const CHECKS: readonly Check<BalancerWorld>[] = [
  {
    group: 'members',
    name: 'a client meets a VM, a pod and a physical machine, on both hosts and in both networks, behind one address',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { blue } = lab.tenants;
      const subnet = lab.networks.front.subnet.id;
      const balancer = await blue.create('loadbalancer', { vip_subnet_id: subnet, vip_address: VIP });
      const listener = await blue.create('listener', {
        loadbalancer_id: balancer.id,
        protocol: 'TCP',
        protocol_port: PORT,
      });
      const pool = await blue.create('pool', {
        listener_id: listener.id,
        protocol: 'TCP',
        lb_algorithm: 'SOURCE_IP_PORT',
      });
      Object.assign(made, { listener: listener.id, pool: pool.id });
      const { client, vm, pod, machine } = lab.guests;
      await setMembers(lab, [
        [vm, 1],
        [pod, 1],
        [machine, 1],
      ]);
      return text(await untilMeets(client, ['vm', 'pod', 'machine']));
    },
  },
  {
    group: 'members',
    name: 'it is reached through a router, from another host',
    concerns: ['agent'],
    run: async ({ guests: { far } }) => text(await untilMeets(far, ['vm', 'pod', 'machine'])),
  },
  {
    group: 'members',
    name: 'traces from both networks come to a member and back',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { client, far, vm, pod, machine } = lab.guests;
      const members: readonly Guest[] = [vm, pod, machine];
      const said = await Promise.all([client, far].map((from) => traced(lab, from)));
      const names = said.map(({ verdict, cause, receiver }) => {
        const member = members.find(({ portId }) => portId === receiver?.id);
        expect(
          verdict === 'passes' && member !== undefined,
          `a trace says ${verdict}, ${cause?.reason}, to ${receiver?.id}`,
        );
        return member?.name;
      });
      return names.join(', ');
    },
  },
  {
    group: 'members',
    name: 'the machine that is a host reaches it, too',
    concerns: ['agent-h2'],
    run: async (lab) => {
      const { vm, pod, machine } = lab.guests;
      await setMembers(lab, [
        [vm, 1],
        [pod, 1],
      ]);
      return text(await untilMeets(machine, ['vm', 'pod']));
    },
  },
  {
    group: 'members',
    name: 'a member that asks for itself is answered',
    concerns: ['agent-h2'],
    run: async (lab) => {
      const { vm } = lab.guests;
      await setMembers(lab, [[vm, 1]]);
      return text(await untilMeets(vm, ['vm']));
    },
  },
  {
    group: 'changes',
    name: 'with the weight 0 a member gets no new connections',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { client, vm, pod } = lab.guests;
      await setMembers(lab, [
        [vm, 0],
        [pod, 1],
      ]);
      return text(await untilMeets(client, ['pod']));
    },
  },
  {
    group: 'changes',
    name: 'all connections of a client go to one member if that is asked for',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { client, vm, pod } = lab.guests;
      await setMembers(lab, [
        [vm, 1],
        [pod, 1],
      ]);
      await untilMeets(client, ['vm', 'pod']);
      await lab.tenants.blue.update('pool', made.pool, { lb_algorithm: 'SOURCE_IP' });
      const one = await eventually({ what: 'the client to keep one member', deadlineMs: 20_000 }, async () => {
        const met = await meets(client, 12);
        return met.size === 1 ? met : undefined;
      });
      return text(one);
    },
  },
  {
    group: 'changes',
    name: 'without members connections are refused at once',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { client } = lab.guests;
      await setMembers(lab, []);
      if (client.netns === null) throw new Error('the client has no namespace');
      const { netns } = client;
      const ask = ['socat', '-u', 'OPEN:/dev/null', `TCP4:${VIP}:${PORT},connect-timeout=5`];
      await eventually({ what: 'the client to be refused', deadlineMs: 20_000 }, async () => {
        const { stderr } = await run(ask, { netns, timeoutMs: 10_000 });
        return stderr.includes('Connection refused') ? true : undefined;
      });
      const { verdict, cause } = await traced(lab, client);
      expect(verdict === 'refused' && cause?.reason === 'no_member', `a trace says ${verdict}, ${cause?.reason}`);
      return `Connection refused: ${cause?.reason}`;
    },
  },
  {
    group: 'changes',
    name: 'the load balancer goes with all that is behind it, and its address with it',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { blue } = lab.tenants;
      await blue.delete('listener', made.listener);
      await blue.delete('pool', made.pool);
      for (const { id } of await blue.list('loadbalancer')) await blue.delete('loadbalancer', String(id));
      const { client } = lab.guests;
      expect((await blue.list('port', { device_owner: 'Octavia' })).length === 0, 'the port of the address is there');
      await eventually({ what: 'the address to be gone', deadlineMs: 10_000 }, async () =>
        (await meets(client, 1).catch(() => new Map())).size === 0 ? true : undefined,
      );
      return `${VIP} is free`;
    },
  },
];

export const LOAD_BALANCER: Story = defineStory({
  name: 'load-balancer',
  sentence: 'One virtual address, and behind it a VM, a pod and a physical machine on two hosts.',
  world: WORLD,
  checks: CHECKS,
});
