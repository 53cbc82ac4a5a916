import { type Check, expect, pingFrom } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';

/** A network of clients and one of two members, one on each of two hosts, joined by a router; a third host has only a client. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {}, h3: {} },
  projects: ['blue'],
  networks: {
    clients: { project: 'blue', cidr: '10.62.0.0/24' },
    members: { project: 'blue', cidr: '10.63.0.0/24' },
  },
  routers: { router: { project: 'blue', networks: ['clients', 'members'] } },
  groups: { blue: { project: 'blue', allow: ['ping', 'service'] } },
  guests: {
    client1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'clients', group: 'blue' },
    client3: { kind: 'vm', dhcp: 'udhcpc', host: 'h3', network: 'clients', group: 'blue' },
    member1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'members', group: 'blue' },
    member2: { kind: 'vm', dhcp: 'udhcpc', host: 'h2', network: 'members', group: 'blue' },
  },
} as const;

type L2World = typeof WORLD;
const VIP = '10.63.0.100';
const SMALL_MTU = 1200;

async function inside(guest: Guest, ...command: readonly string[]): Promise<string> {
  if (guest.netns === null) throw new Error(`${guest.name} has no namespace`);
  const { code, stdout, stderr } = await run(command, { netns: guest.netns, timeoutMs: 15_000 });
  expect(code === 0, `${guest.name}: ${command.join(' ')}: ${stderr.trim()} ${stdout.trim()}`);
  return stdout;
}

async function pings(from: Guest, address: string): Promise<number> {
  return (await pingFrom(from, address, { count: 3, deadlineSeconds: 3 })).answered;
}

/** The guest says that it has the shared address, by the ARP request that a packet from it needs. */
async function claim(guest: Guest): Promise<void> {
  if (guest.netns === null) return;
  await inside(guest, 'ip', 'neigh', 'flush', 'dev', guest.device);
  const command = ['ping', '-n', '-c', '1', '-W', '1', '-I', VIP, '10.63.0.1'];
  await run(command, { netns: guest.netns, timeoutMs: 5_000 });
}

/**
 * Until three of three are answered, from every client to the shared address and from there to every client. `claims`: the holder says before each try that it has the
 * address, as keepalived repeats it: a host that does not know yet that it may passes it over.
 */
async function untilReached(lab: Lab<L2World>, holder: Guest, claims = false): Promise<void> {
  const { client1, client3 } = lab.guests;
  for (const client of [client1, client3]) {
    await eventually({ what: `${client.name} to ping ${VIP}`, deadlineMs: 15_000, everyMs: 100 }, async () => {
      if (claims) await claim(holder);
      return (await pings(client, VIP)) === 3 ? true : undefined;
    });
    await inside(holder, 'ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', '-I', VIP, client.ip);
  }
}

/** May it have the shared address? */
async function setPair(lab: Lab<L2World>, guest: Guest): Promise<void> {
  await lab.tenants.blue.update('port', guest.portId, { allowed_address_pairs: [{ ip_address: VIP }] });
}

const CHECKS: readonly Check<L2World>[] = [
  {
    group: 'shared address',
    name: 'the allowed address pair of one port is reached through the router, and reaches others',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { member1 } = lab.guests;
      await setPair(lab, member1);
      await inside(member1, 'ip', 'address', 'add', `${VIP}/32`, 'dev', member1.device);
      await untilReached(lab, member1);
      return 'from two hosts, both directions';
    },
  },
  {
    group: 'shared address',
    name: 'it is reached after it has moved to another port with the same pair, and back',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { member1, member2 } = lab.guests;
      await setPair(lab, member2);
      for (const [from, to] of [
        [member1, member2],
        [member2, member1],
      ] as const) {
        await inside(from, 'ip', 'address', 'delete', `${VIP}/32`, 'dev', from.device);
        await inside(to, 'ip', 'address', 'add', `${VIP}/32`, 'dev', to.device);
        await untilReached(lab, to, true);
      }
      return 'there and back';
    },
  },
  {
    group: 'router',
    name: 'traffic goes on when an interface of the router is removed and added again',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { blue } = lab.tenants;
      const { client1, member2 } = lab.guests;
      const router = lab.routers.router.id;
      const subnet_id = lab.networks.clients.subnet.id;
      expect((await pings(client1, member2.ip)) === 3, 'client1 does not ping member2');
      await blue.action('router', router, 'remove_router_interface', { subnet_id });
      await eventually({ what: 'the interface to be gone', deadlineMs: 10_000, everyMs: 50 }, async () =>
        (await pings(client1, member2.ip)) === 0 ? true : undefined,
      );
      await blue.action('router', router, 'add_router_interface', { subnet_id });
      await eventually({ what: 'client1 to ping member2', deadlineMs: 10_000, everyMs: 50 }, async () =>
        (await pings(client1, member2.ip)) === 3 ? true : undefined,
      );
      return 'three of three';
    },
  },
  {
    group: 'MTU',
    name: 'large packets that may be cut come into a network with a smaller MTU, those that may not are refused with it',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { client1, client3, member1, member2 } = lab.guests;
      await lab.tenants.blue.update('network', lab.networks.members.network.id, { mtu: SMALL_MTU });
      for (const client of [client1, client3]) {
        for (const member of [member1, member2]) {
          const large = ['ping', '-n', '-c', '5', '-i', '0.2', '-W', '2', '-s', '1300'];
          await eventually({ what: `${client.name} to be refused`, deadlineMs: 10_000, everyMs: 100 }, async () => {
            if (client.netns === null) return true;
            const { stdout } = await run([...large, '-M', 'do', member.ip], { netns: client.netns, timeoutMs: 15_000 });
            return new RegExp(`From 10\\.62\\.0\\.1 .*mtu = ${SMALL_MTU}`).test(stdout) ? true : undefined;
          });
          const said = await inside(client, ...large, '-M', 'dont', member.ip);
          expect(said.includes('5 received'), `${client.name} to ${member.name}: ${said}`);
        }
      }
      return 'four ways, five of five';
    },
  },
];

/** What machines expect of a link and its router. */
export const L2: Story = defineStory({
  name: 'l2',
  sentence:
    'An address that two machines share is reached through a router wherever it is, a router’s interface comes back unnoticed, and what is too large for a network is cut or refused.',
  world: WORLD,
  checks: CHECKS,
});
