import { portDrops } from '../agent-state.ts';
import { untilSynced } from '../checks/agent-status.ts';
import { ALL_AGENTS, type Check, expect, expectPings } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { eventually } from '../eventually.ts';
import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT, type TransferResult } from '../traffic/protocol.ts';

const VM = { kind: 'vm', dhcp: 'udhcpc' } as const;

/** Two projects with a router each; each lets one of its networks through to the other, and keeps one to itself. */
const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {}, h2: {} },
  projects: ['shop', 'bank'],
  networks: {
    tills: { project: 'shop', cidr: '10.71.0.0/24' },
    stock: { project: 'shop', cidr: '10.72.0.0/24' },
    desks: { project: 'bank', cidr: '10.81.0.0/24' },
    vault: { project: 'bank', cidr: '10.82.0.0/24' },
  },
  routers: {
    mall: { project: 'shop', networks: ['tills', 'stock'] },
    hall: { project: 'bank', networks: ['desks', 'vault'] },
  },
  groups: {
    shop: { project: 'shop', allow: ['ping', 'service'] },
    bank: { project: 'bank', allow: ['ping', 'service'] },
  },
  guests: {
    till: { ...VM, host: 'h1', network: 'tills', group: 'shop' },
    shelf: { ...VM, host: 'h2', network: 'stock', group: 'shop' },
    desk1: { ...VM, host: 'h1', network: 'desks', group: 'bank' },
    desk2: { ...VM, host: 'h2', network: 'desks', group: 'bank' },
    safe: { ...VM, host: 'h1', network: 'vault', group: 'bank' },
  },
} as const;

type PeeringWorld = typeof WORLD;
type PeeringLab = Lab<PeeringWorld>;
type Side = 'shop' | 'bank';

/** What each side lets through, and its router. */
const SIDES = {
  shop: { router: 'mall', peer: 'hall', network: 'tills' },
  bank: { router: 'hall', peer: 'mall', network: 'desks' },
} as const;

const WAIT_MS = 60_000;
const BYTES = 20_000_000;
/** One router is on the way: that of the sender. */
const ROUTED_TTL = 63;
const FLOW_ID = 4711;

type Peering = {
  readonly id: string;
  readonly status: string;
  readonly waits_for: string;
  readonly peer_prefixes: readonly string[];
};

const path = (lab: PeeringLab, side: Side): string => `/v2.0/routers/${lab.routers[SIDES[side].router].id}/peerings`;

async function addSide(lab: PeeringLab, side: Side): Promise<Peering> {
  const { peer, network } = SIDES[side];
  const body = {
    name: `with-${peer}`,
    peer_router_id: lab.routers[peer].id,
    subnet_ids: [lab.networks[network].subnet.id],
  };
  const answer = await lab.tenants[side].request('POST', path(lab, side), { router_peering: body });
  return (answer as { readonly router_peering: Peering }).router_peering;
}

async function showSide(lab: PeeringLab, side: Side, id: string): Promise<Peering> {
  const answer = await lab.tenants[side].request('GET', `${path(lab, side)}/${id}`);
  return (answer as { readonly router_peering: Peering }).router_peering;
}

async function removeSide(lab: PeeringLab, side: Side): Promise<void> {
  const { router_peerings: all } = (await lab.tenants[side].request('GET', path(lab, side))) as {
    readonly router_peerings: readonly Peering[];
  };
  for (const { id } of all) await lab.tenants[side].request('DELETE', `${path(lab, side)}/${id}`);
}

/** Both sides, until the guests that they join meet. */
async function peered(lab: PeeringLab): Promise<Readonly<Record<Side, Peering>>> {
  const [shop, bank] = [await addSide(lab, 'shop'), await addSide(lab, 'bank')];
  await untilMet(lab);
  return { shop, bank };
}

/** Each guest that a side lets through, with each of the other side: on one host, and on two. */
const pairsOf = ({ guests: { till, desk1, desk2 } }: PeeringLab): readonly (readonly [Guest, Guest])[] => [
  [till, desk1],
  [desk1, till],
  [till, desk2],
  [desk2, till],
];

async function untilMet(lab: PeeringLab): Promise<void> {
  for (const [from, to] of pairsOf(lab)) {
    await eventually({ what: `${from.name} to meet ${to.name}`, deadlineMs: WAIT_MS, everyMs: 50 }, async () =>
      (await isAnswered(from, to.ip)) ? true : undefined,
    );
  }
}

async function unpeered(lab: PeeringLab): Promise<void> {
  for (const side of ['shop', 'bank'] as const) await removeSide(lab, side);
}

/** A ping as a new connection, once. */
async function isAnswered(from: Guest, address: string): Promise<boolean> {
  return (await ttlOf(from, address)) !== undefined;
}

async function ttlOf(from: Guest, address: string): Promise<number | undefined> {
  const { stdout } = await run(['ping', '-n', '-c', '1', '-W', '1', address], { netns: from.netns, timeoutMs: 10_000 });
  const ttl = stdout.match(/ttl=(\d+)/)?.[1];
  return ttl === undefined ? undefined : Number(ttl);
}

async function opens(from: Guest, ip: string): Promise<boolean> {
  const script = `exec 3<>/dev/tcp/${ip}/${OPEN_PORT}`;
  const { code } = await run(['timeout', '1', 'bash', '-c', script], { netns: from.netns, timeoutMs: 10_000 });
  return code === 0;
}

/** Neither ping nor TCP, either way. */
async function expectApart(pairs: readonly (readonly [Guest, Guest])[]): Promise<void> {
  for (const [one, other] of pairs) {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      expect(!(await isAnswered(from, to.ip)), `${to.name} answers ${from.name}`);
      expect(!(await opens(from, to.ip)), `${from.name} has a connection to ${to.name}`);
    }
  }
}

/** Pings with one identifier are of one flow: whether it passes, as soon as it does. */
async function untilFlow(from: Guest, to: Guest, passes: boolean): Promise<void> {
  const what = `the flow of ${from.name} to ${to.name} to be ${passes ? 'answered' : 'cut'}`;
  await eventually({ what, deadlineMs: WAIT_MS, everyMs: 50 }, async () => {
    const command = ['ping', '-n', '-e', String(FLOW_ID), '-c', '1', '-W', '1', to.ip];
    const { stdout } = await run(command, { netns: from.netns, timeoutMs: 10_000 });
    return stdout.includes('ttl=') === passes ? true : undefined;
  });
}

/** What the shop lets through from now on. */
async function letThrough(lab: PeeringLab, id: string, subnetIds: readonly string[]): Promise<void> {
  const body = { router_peering: { subnet_ids: subnetIds } };
  await lab.tenants.shop.request('PUT', `${path(lab, 'shop')}/${id}`, body);
}

async function dropsOf(guest: Guest, reason: string): Promise<number> {
  return (await portDrops(guest.host, guest.portId)).get(reason) ?? 0;
}

async function ask(lab: PeeringLab, side: Side, guest: Guest, query: string): Promise<string> {
  return JSON.stringify(await lab.tenants[side].request('GET', `/cable/v1/ports/${guest.portId}/${query}`));
}

const CHECKS: readonly Check<PeeringWorld>[] = [
  {
    group: 'peering',
    name: 'one side alone leads nowhere and says what it waits for; with the other, what both let through meets, on one host and on two',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { till, desk1, desk2 } = lab.guests;
      try {
        const shop = await addSide(lab, 'shop');
        expect(shop.status === 'DOWN', `the first side is ${shop.status}`);
        expect(shop.waits_for.includes(lab.routers.hall.id), `it waits for ${shop.waits_for}`);
        await expectApart([
          [till, desk1],
          [till, desk2],
        ]);
        const bank = await addSide(lab, 'bank');
        expect(bank.status === 'ACTIVE', `the second side is ${bank.status}: ${bank.waits_for}`);
        await untilMet(lab);
        const now = await showSide(lab, 'shop', shop.id);
        expect(now.status === 'ACTIVE' && now.waits_for === '', `the first side is ${now.status}: ${now.waits_for}`);
        expect(now.peer_prefixes.join() === '10.81.0.0/24', `it takes ${now.peer_prefixes.join()}`);
        for (const [from, to] of pairsOf(lab)) {
          await expectPings(from, to, 20);
          const ttl = await ttlOf(from, to.ip);
          expect(ttl === ROUTED_TTL, `${to.name} answers ${from.name} with TTL ${ttl}`);
          const target = { ip: to.ip, port: OPEN_PORT };
          const sent = await inGuest<TransferResult>(from, 'put', target, { bytes: BYTES, seed: from.name });
          expect(sent.ok, `${sent.received} of ${sent.bytes} bytes came from ${from.name} to ${to.name}`);
        }
        return `20 of 20 pings and ${BYTES / 1e6} MB in each of four directions`;
      } finally {
        await unpeered(lab);
      }
    },
  },
  {
    group: 'hidden',
    name: 'what a side does not let through neither sends to the other nor is reached by it, and the drop, the trace and why say so',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { till, shelf, desk1, desk2, safe } = lab.guests;
      try {
        await peered(lab);
        await expectApart([
          [till, safe],
          [shelf, desk1],
          [shelf, desk2],
          [shelf, safe],
        ]);
        await expectPings(till, shelf);
        await expectPings(desk2, safe);
        const drops = await dropsOf(shelf, 'peering');
        expect(drops > 0, 'no drop of the shelf’s counts as peering');
        expect((await dropsOf(till, 'peering')) === 0, 'drops of the till count as peering');
        const there = await ask(lab, 'shop', till, `trace?to=${desk2.ip}&protocol=icmp`);
        expect(there.includes('peering with-hall'), `the trace of what passes says ${there}`);
        const refused = await ask(lab, 'shop', shelf, `trace?to=${desk2.ip}&protocol=icmp`);
        expect(refused.includes('"peering"') && refused.includes('subnet_ids'), `the trace of a drop says ${refused}`);
        return `${drops} packets dropped as peering`;
      } finally {
        await unpeered(lab);
      }
    },
  },
  {
    group: 'away',
    name: 'traffic goes on without the server and while agents are killed, and an agent that starts without the server lets the same through',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { till, shelf, desk2 } = lab.guests;
      const [server] = lab.control.servers;
      const agents = [lab.hosts.h1, lab.hosts.h2];
      try {
        await peered(lab);
        const { pings } = await duringPings(till, desk2, async () => {
          for (const { agent } of agents) {
            await agent?.kill();
            await agent?.start();
          }
          await server.kill();
          try {
            await lab.hosts.h1.agent?.kill();
            await lab.hosts.h1.agent?.start();
            for (const [from, to] of pairsOf(lab)) await expectPings(from, to);
            await expectApart([[shelf, desk2]]);
          } finally {
            await server.start();
          }
          for (const host of agents) await untilSynced(host, WAIT_MS);
        });
        return `${pings} pings answered`;
      } finally {
        await unpeered(lab);
      }
    },
  },
  {
    group: 'cut',
    name: 'a side that goes, or lets a subnet through no more, cuts at once what it let through, and no packet within either project is lost',
    concerns: ['server', ...ALL_AGENTS],
    run: async (lab) => {
      const { till, shelf, desk1, desk2, safe } = lab.guests;
      const joined = [
        [till, desk1],
        [till, desk2],
      ] as const;
      try {
        const { shop } = await peered(lab);
        const cut = async (how: () => Promise<unknown>): Promise<void> => {
          for (const [from, to] of joined) await untilFlow(from, to, true);
          await how();
          for (const [from, to] of joined) await untilFlow(from, to, false);
          await expectApart(joined);
        };
        const { pings, result: others } = await duringPings(shelf, till, async () => {
          const inBank = await duringPings(desk2, safe, async () => {
            await cut(() => letThrough(lab, shop.id, []));
            await letThrough(lab, shop.id, [lab.networks.tills.subnet.id]);
            await untilMet(lab);
            await cut(() => removeSide(lab, 'bank'));
          });
          return inBank.pings;
        });
        const left = await showSide(lab, 'shop', shop.id);
        expect(left.status === 'DOWN', `the side that is left is ${left.status}`);
        return `cut twice; ${pings} and ${others} pings within the projects answered meanwhile`;
      } finally {
        await unpeered(lab);
      }
    },
  },
];

/** Peerings of routers of two projects, with real traffic. */
export const ROUTER_PEERING: Story = defineStory({
  name: 'router-peering',
  sentence:
    'Two projects peer their routers: the networks that both let through meet, on one host and on two, what is kept back stays apart, and when one side goes the way is cut while everything else goes on.',
  world: WORLD,
  checks: CHECKS,
});
