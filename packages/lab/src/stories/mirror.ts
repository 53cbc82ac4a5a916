import { randomInt } from 'node:crypto';
import { mapEntries } from '../agent-state.ts';
import { type Check, duration, expect, expectPings } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { eventually } from '../eventually.ts';
import { mustRun, run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { startCapture } from '../traffic/capture.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT, type TransferResult } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WATCHER = { kind: 'vm', dhcp: 'udhcpc', network: 'blue', group: 'blue' } as const;

const WORLD = {
  stores: ['lmdb', 'etcd'],
  servers: 1,
  ...TWO_VMS,
  guests: { ...TWO_VMS.guests, watch1: { ...WATCHER, host: 'h1' }, watch2: { ...WATCHER, host: 'h2' } },
} as const;

type MirrorWorld = typeof WORLD;

/** In the underlay: a machine that is no host of Cable's, and an address that nobody has. */
const COLLECTOR = '10.255.255.200';
const NOBODY = '10.255.255.222';
const PINGS = 20;
const SECONDS = 4;

type Counters = {
  readonly mirror: string;
  readonly packets: number;
  readonly over_rate: number;
  readonly lost: number;
};

/** What a mirror has counted on the host of the guest whose traffic it copies. */
async function countersOf({ host }: Guest, mirror: string): Promise<Counters | undefined> {
  const rows = ((await mapEntries(host)).get('cb_mirrored_1') ?? []) as readonly Counters[];
  return rows.find((row) => row.mirror === mirror);
}

/** A tap service or its like, for as long as `work` takes, and until its host knows it; afterwards until its host has forgotten it. */
async function whileMirrored<T>(
  lab: Lab<MirrorWorld>,
  source: Guest,
  mirror: { readonly type: 'tap_flow' | 'tap_mirror'; readonly fields: object },
  work: (name: string) => Promise<T>,
): Promise<T> {
  const { blue } = lab.tenants;
  const name = `${mirror.type}-${randomInt(1e9)}`;
  const { id } = await blue.create(mirror.type, { name, ...mirror.fields });
  const known = async (): Promise<boolean> => (await countersOf(source, name)) !== undefined;
  try {
    await eventually(
      { what: `${name} at ${source.host.name}`, deadlineMs: 60_000 },
      async () => (await known()) || undefined,
    );
    return await work(name);
  } finally {
    await blue.delete(mirror.type, id);
    await eventually({ what: `the end of ${name}`, deadlineMs: 60_000 }, async () => !(await known()) || undefined);
  }
}

/** A tap service of the guest. */
async function serviceOf(lab: Lab<MirrorWorld>, { portId }: Guest): Promise<string> {
  const { id } = await lab.tenants.blue.create('tap_service', { name: 'ids', port_id: portId });
  return id;
}

const flow = (source: Guest, service: string, more: object = {}) =>
  ({
    type: 'tap_flow',
    fields: { source_port: source.portId, tap_service_id: service, direction: 'BOTH', ...more },
  }) as const;

const collected = (source: Guest, remote: string, type: 'gre' | 'erspanv1', more: object = {}) =>
  ({
    type: 'tap_mirror',
    fields: {
      port_id: source.portId,
      directions: { IN: 101, OUT: 102 },
      remote_ip: remote,
      mirror_type: type,
      ...more,
    },
  }) as const;

/** Pings between two guests are seen by a third, each question and each answer once, as they were. */
function watchedCheck(watcher: 'watch1' | 'watch2', where: string): Check<MirrorWorld> {
  return {
    group: 'ports',
    name: `a port on ${where} sees all that another sends and receives, once, as it was`,
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const watching = lab.guests[watcher];
      const service = await serviceOf(lab, watching);
      return whileMirrored(lab, vm1, flow(vm1, service), async (name) => {
        const capture = await startCapture(watching, 'icmp');
        await expectPings(vm1, vm2, PINGS);
        const lines = await capture.until((all) => all.length >= 2 * PINGS);
        const asked = lines.filter((line) => line.includes(`${vm1.ip} > ${vm2.ip}: ICMP echo request`));
        const answered = lines.filter((line) => line.includes(`${vm2.ip} > ${vm1.ip}: ICMP echo reply`));
        expect(
          lines.length === 2 * PINGS && asked.length === PINGS && answered.length === PINGS,
          `${lines.length} packets were seen, ${asked.length} questions and ${answered.length} answers of ${PINGS}`,
        );
        const counted = await countersOf(vm1, name);
        expect((counted?.packets ?? 0) >= 2 * PINGS, `${counted?.packets} packets were counted`);
        return `${asked.length} questions, ${answered.length} answers`;
      });
    },
  };
}

/** In GRE with its key, or in ERSPAN type II with its session: what stands in IP packets before the pings within. */
const WRAPPINGS = {
  gre: {
    name: 'GRE',
    questions: 'ip[20:4] = 0x20006558 and ip[24:4] = 102 and ip[51] = 1 and ip[62] = 8',
    answers: 'ip[20:4] = 0x20006558 and ip[24:4] = 101 and ip[51] = 1 and ip[62] = 0',
  },
  erspanv1: {
    name: 'ERSPAN',
    questions: 'ip[20:4] = 0x100088be and ip[28:4] = 0x10000066 and ip[59] = 1 and ip[70] = 8',
    answers: 'ip[20:4] = 0x100088be and ip[28:4] = 0x10000065 and ip[59] = 1 and ip[70] = 0',
  },
} as const;

/** The same at a collector, each direction by its own tunnel number. */
function collectorCheck(type: 'gre' | 'erspanv1'): Check<MirrorWorld> {
  const { name, questions, answers } = WRAPPINGS[type];
  return {
    group: 'collectors',
    name: `a collector in the underlay gets each in ${name}`,
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      return whileMirrored(lab, vm1, collected(vm1, COLLECTOR, type), async () => {
        const from = `proto gre and src ${vm1.host.underlay} and dst ${COLLECTOR}`;
        const capture = await startCapture(
          { netns: lab.names.underlayNamespace, device: 'br0' },
          `${from} and ((${questions}) or (${answers}))`,
        );
        await expectPings(vm1, vm2, PINGS);
        const lines = await capture.until((all) => all.length >= 2 * PINGS);
        expect(lines.length === 2 * PINGS, `${lines.length} packets came of ${2 * PINGS}`);
        return `${lines.length} packets, e.g. ${lines[0]?.slice(16, 100)}`;
      });
    },
  };
}

/** Megabits a second by TCP, whole. */
async function throughput(from: Guest, to: Guest): Promise<number> {
  const result = await inGuest<TransferResult>(from, 'put', { ip: to.ip, port: OPEN_PORT }, { seconds: SECONDS });
  expect(result.ok, `TCP from ${from.name} to ${to.name} did not arrive whole`);
  return (result.received * 8) / 1000 / result.ms;
}

const CHECKS: readonly Check<MirrorWorld>[] = [
  watchedCheck('watch1', 'the same host'),
  watchedCheck('watch2', 'another host'),
  {
    group: 'ports',
    name: 'a mirror of a mirror, and two ports that watch each other: no copy is copied again',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2, watch1 } = lab.guests;
      const [there, back] = [await serviceOf(lab, watch1), await serviceOf(lab, vm1)];
      return whileMirrored(lab, vm1, flow(vm1, there), async (name) =>
        whileMirrored(lab, watch1, flow(watch1, back), async (other) => {
          const [before, otherBefore] = [await countersOf(vm1, name), await countersOf(watch1, other)];
          const capture = await startCapture(watch1, `icmp and host ${vm2.ip}`);
          await expectPings(vm1, vm2, PINGS);
          const lines = await capture.until((all) => all.length >= 2 * PINGS);
          expect(lines.length === 2 * PINGS, `${lines.length} packets were seen`);
          const [after, otherAfter] = [await countersOf(vm1, name), await countersOf(watch1, other)];
          const copied = (after?.packets ?? 0) - (before?.packets ?? 0);
          const again = (otherAfter?.packets ?? 0) - (otherBefore?.packets ?? 0);
          expect(copied >= 2 * PINGS && copied < 3 * PINGS, `${copied} copies of ${2 * PINGS} packets`);
          // Of its own there may be an ARP packet or two.
          expect(again < PINGS, `${again} copies of what watch1 was given`);
          return `${copied} copies, ${again} by the other mirror`;
        }),
      );
    },
  },
  {
    group: 'ports',
    name: 'a filter: only what it names is copied',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2, watch1 } = lab.guests;
      const filter = [{ protocol: 'tcp', remote_ip_prefix: `${vm2.ip}/32`, port_range_min: OPEN_PORT }];
      const mirror = flow(vm1, await serviceOf(lab, watch1), { 'cable:filter': filter });
      return whileMirrored(lab, vm1, mirror, async () => {
        const capture = await startCapture(watch1, `host ${vm1.ip} and (icmp or tcp)`);
        await expectPings(vm1, vm2, PINGS);
        const met = await inGuest<string>(vm1, 'who', { ip: vm2.ip, port: OPEN_PORT });
        expect(met === vm2.name, `vm1 met ${met}`);
        const lines = await capture.until((all) => all.filter((line) => line.includes('Flags [F')).length >= 2);
        expect(!lines.some((line) => line.includes('ICMP')), 'pings were copied');
        return `${lines.length} packets of TCP`;
      });
    },
  },
  collectorCheck('gre'),
  collectorCheck('erspanv1'),
  {
    group: 'collectors',
    name: 'a collector that does not answer: no ping is lost, a connection stays whole',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      return whileMirrored(lab, vm1, collected(vm1, NOBODY, 'erspanv1'), async (name) => {
        const { result, pings } = await duringPings(vm1, vm2, () => throughput(vm1, vm2));
        const counted = await countersOf(vm1, name);
        expect((counted?.packets ?? 0) > 0, 'nothing was copied');
        return `${pings} pings, ${result.toFixed(0)} Mbit/s, ${counted?.packets} packets copied for nobody`;
      });
    },
  },
  {
    group: 'throughput',
    name: 'how fast a mirrored port is, beside the same port without a mirror',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2, watch1 } = lab.guests;
      const service = await serviceOf(lab, watch1);
      const told: string[] = [];
      for (const [what, mirror] of [
        ['port', flow(vm1, service)],
        ['ERSPAN', collected(vm1, COLLECTOR, 'erspanv1')],
      ] as const) {
        const ratios: number[] = [];
        let dropped = 0;
        for (let round = 0; round < 3; round += 1) {
          const without = await throughput(vm1, vm2);
          const [mirrored, counted] = await whileMirrored(lab, vm1, mirror, async (name) => [
            await throughput(vm1, vm2),
            await countersOf(vm1, name),
          ]);
          ratios.push(mirrored / without);
          dropped += counted?.over_rate ?? 0;
        }
        ratios.sort((a, b) => a - b);
        told.push(
          `${what} ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}× (${dropped} GSO packets over the rate)`,
        );
      }
      return told.join('; ');
    },
  },
  {
    group: 'agents',
    name: 'copies go on while the agent is killed, and when it is back',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2, watch1 } = lab.guests;
      const { h1 } = lab.hosts;
      const mirror = flow(vm1, await serviceOf(lab, watch1));
      return whileMirrored(lab, vm1, mirror, async () => {
        const capture = await startCapture(watch1, `icmp and src ${vm1.ip}`);
        const startedAt = performance.now();
        await h1.agent?.kill();
        await expectPings(vm1, vm2, PINGS);
        await h1.agent?.start();
        await expectPings(vm1, vm2, PINGS);
        const lines = await capture.until((all) => all.length >= 2 * PINGS);
        expect(lines.length === 2 * PINGS, `${lines.length} of ${2 * PINGS} pings were seen`);
        return `${lines.length} pings seen in ${duration(performance.now() - startedAt)}`;
      });
    },
  },
  {
    group: 'agents',
    name: 'nothing is left of mirrors that are gone',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { blue } = lab.tenants;
      for (const { id } of (await blue.list('tap_service')) as readonly { readonly id: string }[])
        await blue.delete('tap_service', id);
      for (const { netns } of Object.values(lab.hosts)) {
        const links = await mustRun(['ip', '-brief', 'link', 'show', 'cablem0'], { netns });
        expect(links.includes('UP'), `cablem0 of ${netns}: ${links}`);
      }
      for (const host of Object.values(lab.hosts)) {
        await eventually({ what: `no mirror at ${host.name}`, deadlineMs: 60_000 }, async () => {
          const maps = await mapEntries(host);
          return (maps.get('cb_mirror_1') ?? []).length + (maps.get('cb_mirrored_1') ?? []).length === 0
            ? true
            : undefined;
        });
      }
      return 'no entry, on no host';
    },
  },
];

/** The collector is there before anything is mirrored to it. */
const WITH_COLLECTOR: readonly Check<MirrorWorld>[] = [
  {
    group: 'collectors',
    name: 'a machine of the underlay that is no host',
    concerns: [],
    run: async (lab) => {
      const { code } = await run(['ip', 'address', 'add', `${COLLECTOR}/24`, 'dev', 'br0'], {
        netns: lab.names.underlayNamespace,
      });
      expect(code === 0, `no address ${COLLECTOR}`);
      return COLLECTOR;
    },
  },
  ...CHECKS,
];

/** Copies from end to end. */
export const MIRROR: Story = defineStory({
  name: 'mirror',
  sentence:
    'Mirrors: ports on the same host and on others, and collectors, see what a port sends and receives; it does not notice.',
  world: WORLD,
  checks: WITH_COLLECTOR,
});
