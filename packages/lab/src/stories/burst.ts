import { askAgent } from '../agent-socket.ts';
import { type Check, duration, expect } from '../checks/check.ts';
import { eventually } from '../eventually.ts';
import { ipBatch } from '../exec.ts';
import { tapName } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { portLinks } from '../topology.ts';

const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  hosts: { h1: {} },
  projects: ['blue'],
  networks: { blue: { project: 'blue', cidr: '10.32.0.0/16' } },
  groups: { blue: { project: 'blue', allow: ['ping'] } },
  guests: {},
  settings: { taps: { standard: 200, least: 10, what: 'taps that are made at once' } },
} as const;

type BurstLab = Lab<typeof WORLD>;
type Vif = { readonly port_id: string; readonly state: 'up' | 'down' | 'error' };

const DEADLINE_MS = 10_000;
/** In one request. */
const PORTS_AT_ONCE = 100;

const CHECKS: readonly Check<typeof WORLD>[] = [
  {
    group: 'burst',
    name: 'all ports reach the agent, and wait for their taps',
    concerns: ['server', 'agent'],
    run: async (lab) => {
      const { taps } = lab.settings;
      for (let made = 0; made < taps; made += PORTS_AT_ONCE)
        await createPorts(lab, Math.min(PORTS_AT_ONCE, taps - made));
      await untilStates(lab, 'down', taps, 60_000);
      return `${taps} ports`;
    },
  },
  {
    group: 'burst',
    name: 'taps made at once are all plugged within 10 s',
    concerns: ['agent'],
    run: async (lab) => {
      const taps = (await vifsOf(lab)).map((vif) => tapName(vif.port_id));
      const startedAt = performance.now();
      await makeTaps(lab, taps);
      const made = performance.now() - startedAt;
      await untilStates(lab, 'up', taps.length, DEADLINE_MS);
      const took = performance.now() - startedAt;
      expect(took <= DEADLINE_MS, `it took ${duration(took)}`);
      return `${taps.length} taps in ${duration(took)}, of which making them took ${duration(made)}`;
    },
  },
  {
    group: 'burst',
    name: 'a tap that comes after them is plugged too',
    concerns: ['agent'],
    run: async (lab) => {
      const { taps } = lab.settings;
      await createPorts(lab, 1);
      await untilStates(lab, 'down', 1, DEADLINE_MS);
      const late = (await vifsOf(lab)).find((vif) => vif.state === 'down');
      expect(late !== undefined, 'the new port is not there');
      const tap = tapName(late.port_id);
      const startedAt = performance.now();
      await makeTaps(lab, [tap]);
      await untilStates(lab, 'up', taps + 1, DEADLINE_MS);
      return duration(performance.now() - startedAt);
    },
  },
  {
    group: 'burst',
    name: 'every port is ACTIVE',
    concerns: ['server', 'agent'],
    run: async ({ tenants }) => {
      const ports = await eventually(
        { what: 'every port to be ACTIVE', deadlineMs: DEADLINE_MS, everyMs: 100 },
        async () => {
          const listed = await tenants.blue.list('port');
          const waiting = listed.filter((port) => port.status !== 'ACTIVE').length;
          expect(waiting === 0, `${waiting} are not`);
          return listed;
        },
      );
      return `${ports.length} ports`;
    },
  },
  {
    group: 'burst',
    name: 'taps are removed at once: within 10 s of the last every port is down',
    concerns: ['agent'],
    run: async (lab) => {
      const taps = await portLinks(lab.hosts.h1);
      const startedAt = performance.now();
      await ipBatch(
        lab.hosts.h1.netns,
        taps.map((tap) => `link del ${tap}`),
      );
      const removed = performance.now() - startedAt;
      await untilStates(lab, 'down', taps.length, DEADLINE_MS);
      const took = performance.now() - startedAt;
      return `${taps.length} taps in ${duration(took)}, of which removing them took ${duration(removed)}`;
    },
  },
  {
    group: 'burst',
    name: 'taps made while the agent cannot listen are all plugged within 10 s',
    concerns: ['agent'],
    run: async (lab) => {
      const taps = (await vifsOf(lab)).map((vif) => tapName(vif.port_id));
      const agent = lab.hosts.h1.agent?.current();
      agent?.signal('SIGSTOP');
      try {
        await makeTaps(lab, taps);
      } finally {
        agent?.signal('SIGCONT');
      }
      const startedAt = performance.now();
      await untilStates(lab, 'up', taps.length, DEADLINE_MS);
      return `${taps.length} taps, ${duration(performance.now() - startedAt)} after it listens again`;
    },
  },
];

/** In the order in which a hypervisor would: each is made and set up. */
async function makeTaps({ hosts }: BurstLab, taps: readonly string[]): Promise<void> {
  const commands = taps.flatMap((tap) => [`tuntap add dev ${tap} mode tap`, `link set ${tap} up`]);
  await ipBatch(hosts.h1.netns, commands);
}

async function createPorts({ tenants, networks, groups, hosts }: BurstLab, count: number): Promise<void> {
  const body = {
    network_id: networks.blue.network.id,
    security_groups: [groups.blue.id],
    device_owner: 'compute:nova',
    'binding:host_id': hosts.h1.name,
  };
  await tenants.blue.createMany('port', Array<typeof body>(count).fill(body));
}

async function vifsOf({ hosts }: BurstLab): Promise<readonly Vif[]> {
  return (await askAgent(hosts.h1, '/vifs')) as readonly Vif[];
}

/** Waits until so many of the host's ports are in a state, as the agent counts them: asked for all of them it would be kept from its work. */
async function untilStates({ hosts }: BurstLab, state: Vif['state'], count: number, deadlineMs: number): Promise<void> {
  await eventually({ what: `${count} ports to be ${state}`, deadlineMs, everyMs: 20 }, async () => {
    const { vifs } = (await askAgent(hosts.h1, '/status')) as { readonly vifs: Readonly<Record<Vif['state'], number>> };
    expect(vifs[state] === count, `there are: ${JSON.stringify(vifs)}`);
    return true;
  });
}

export const BURST: Story = defineStory({
  name: 'burst',
  sentence: 'Many taps are made on one host at once: all are plugged within ten seconds, and so is the next.',
  world: WORLD,
  checks: CHECKS,
});
