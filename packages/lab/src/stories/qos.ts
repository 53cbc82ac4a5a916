import { mapEntries, portDrops } from '../agent-state.ts';
import { type Check, expect } from '../checks/check.ts';
import { duringPings } from '../checks/during.ts';
import { eventually } from '../eventually.ts';
import { mustRun, run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import type { Lab } from '../lab.ts';
import { defineStory, type Story } from '../story.ts';
import { inGuest } from '../traffic/in-guest.ts';
import { OPEN_PORT, type TransferResult } from '../traffic/protocol.ts';
import { TWO_VMS } from './two-vms.ts';

const WORLD = { stores: ['lmdb', 'etcd'], servers: 1, ...TWO_VMS } as const;

type QosWorld = typeof WORLD;
type Direction = 'egress' | 'ingress';

const LIMIT_KBPS = 20_000;
const SECONDS = 10;
const UDP_PORT = 7777;
const DATAGRAM_BYTES = 1200;
/** Ethernet, IPv4 and UDP. */
const HEADER_BYTES = 42;
/** What may pass besides the rate: the burst, and what waits when the sender has ended. */
const SLACK_KBITS = 4_000;

/** A policy of its own with one bandwidth limit. */
async function limitedPolicy(lab: Lab<QosWorld>, direction: Direction): Promise<{ policy: string; rule: string }> {
  const { blue } = lab.tenants;
  const { id: policy } = await blue.create('qos_policy', { name: direction });
  const limit = { direction, max_kbps: LIMIT_KBPS };
  const { id: rule } = await blue.within(policy).create('qos_bandwidth_limit_rule', limit);
  return { policy, rule };
}

type Meter = { readonly max_kbps?: number; readonly max_kpps?: number; readonly dscp?: number };

/** Until the limits of the host's guests are as said. */
async function untilMeters({ host }: Guest, what: string, fits: (meters: readonly Meter[]) => boolean): Promise<void> {
  await eventually({ what: `meters: ${what}`, deadlineMs: 10_000, everyMs: 20 }, async () =>
    fits(((await mapEntries(host)).get('cb_meter_1') ?? []) as readonly Meter[]) ? true : undefined,
  );
}

/** The port has this policy, or none, and its host knows. */
async function give(lab: Lab<QosWorld>, guest: Guest, policy: string | null): Promise<void> {
  await lab.tenants.blue.update('port', guest.portId, { qos_policy_id: policy });
  await untilMeters(guest, policy ?? 'none', (meters) => (meters.length === 0) === (policy === null));
}

/** Never more than the rate lets pass in the time; how much it was is told. */
function describe(kbits: number, ms: number, kbps: number, how: string): string {
  const measured = kbits / (ms / 1000);
  const most = kbps + SLACK_KBITS / (ms / 1000);
  expect(measured <= most, `${measured.toFixed(0)} kbit/s by ${how} came through a limit of ${kbps}`);
  return `${(measured / 1000).toFixed(1)} Mbit/s by ${how}`;
}

/** Sends by TCP for some seconds. What is counted is the payload. */
async function byTcp(from: Guest, to: Guest, kbps: number): Promise<string> {
  const result = await inGuest<TransferResult>(from, 'put', { ip: to.ip, port: OPEN_PORT }, { seconds: SECONDS });
  expect(result.ok, `TCP from ${from.name} to ${to.name} did not arrive whole`);
  return describe((result.received * 8) / 1000, result.ms, kbps, 'TCP');
}

/** Sends datagrams for some seconds, as fast as it goes. Returns how many came, and in which time. */
async function datagrams(from: Guest, to: Guest): Promise<{ readonly count: number; readonly ms: number }> {
  const receive = `timeout ${SECONDS + 2} socat -u UDP4-RECV:${UDP_PORT},rcvbuf=4000000 STDOUT | wc -c`;
  const heard = run(['sh', '-c', receive], { netns: to.netns });
  const startedAt = performance.now();
  const send = ['socat', '-u', '-b', String(DATAGRAM_BYTES), 'OPEN:/dev/zero', `UDP4-SENDTO:${to.ip}:${UDP_PORT}`];
  await run(['timeout', String(SECONDS), ...send], { netns: from.netns });
  const ms = performance.now() - startedAt;
  const count = Number((await heard).stdout) / DATAGRAM_BYTES;
  expect(count > 0, `no datagram of ${from.name} reached ${to.name}`);
  return { count, ms };
}

/** The same, of a limit of bits: whole frames are counted. */
async function byUdp(from: Guest, to: Guest, kbps: number): Promise<string> {
  const { count, ms } = await datagrams(from, to);
  return describe((count * (DATAGRAM_BYTES + HEADER_BYTES) * 8) / 1000, ms, kbps, 'UDP');
}

async function dropsOf(guest: Guest): Promise<number> {
  return (await portDrops(guest.host, guest.portId)).get('rate_qos') ?? 0;
}

/** The limit holds in the direction for the guest that has it. */
function limitCheck(direction: Direction): Check<QosWorld> {
  return {
    group: 'bandwidth',
    name: `a limit of ${LIMIT_KBPS / 1000} Mbit/s of what a guest ${direction === 'egress' ? 'sends' : 'receives'} holds for TCP and UDP`,
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const limited = direction === 'egress' ? vm1 : vm2;
      const { policy } = await limitedPolicy(lab, direction);
      await give(lab, limited, policy);
      const told = [await byTcp(vm1, vm2, LIMIT_KBPS), await byUdp(vm1, vm2, LIMIT_KBPS)];
      const dropped = await dropsOf(limited);
      expect(dropped > 0, 'nothing was counted as rate_qos');
      await give(lab, limited, null);
      return `${told.join(', ')}, ${dropped} dropped`;
    },
  };
}

const CHECKS: readonly Check<QosWorld>[] = [
  {
    group: 'bandwidth',
    name: 'a guest without a policy has no limits',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const rule = { security_group_id: lab.groups.blue.id, direction: 'ingress', ethertype: 'IPv4', protocol: 'udp' };
      const ports = { port_range_min: UDP_PORT, port_range_max: UDP_PORT };
      await lab.tenants.blue.create('security_group_rule', { ...rule, ...ports });
      await untilMeters(vm1, 'none', (meters) => meters.length === 0);
      return byTcp(vm1, vm2, Number.POSITIVE_INFINITY);
    },
  },
  limitCheck('egress'),
  limitCheck('ingress'),
  {
    group: 'changes',
    name: 'limits are changed, taken off and given again under traffic: no ping is lost, a connection stays whole',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const { blue } = lab.tenants;
      const { policy, rule } = await limitedPolicy(lab, 'egress');
      await give(lab, vm1, policy);
      const seconds = 4;
      const stream = inGuest<TransferResult>(vm1, 'put', { ip: vm2.ip, port: OPEN_PORT }, { seconds, rate: 100_000 });
      const change = async (): Promise<number> => {
        const rates = [LIMIT_KBPS * 2, LIMIT_KBPS, LIMIT_KBPS * 4];
        for (const max_kbps of rates) {
          await blue.within(policy).update('qos_bandwidth_limit_rule', rule, { max_kbps });
          await untilMeters(vm1, `${max_kbps}`, ([meter]) => Math.round(meter?.max_kbps ?? 0) === max_kbps);
        }
        await give(lab, vm1, null);
        await give(lab, vm1, policy);
        return rates.length + 2;
      };
      const { result, pings } = await duringPings(vm1, vm2, change);
      const { ok } = await stream;
      expect(ok, 'the connection did not arrive whole');
      await give(lab, vm1, null);
      return `${result} changes, ${pings} pings`;
    },
  },
  {
    group: 'changes',
    name: 'a network’s policy holds for its ports, a port’s own before it',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1 } = lab.guests;
      const { blue } = lab.tenants;
      const network = lab.networks.blue.network.id;
      const { policy } = await limitedPolicy(lab, 'egress');
      const { id: own } = await blue.create('qos_policy', { name: 'own' });
      await blue.within(own).create('qos_dscp_marking_rule', { dscp_mark: 10 });
      await blue.update('network', network, { qos_policy_id: policy });
      await untilMeters(vm1, 'of the network', ([meter]) => meter?.max_kbps === LIMIT_KBPS);
      await blue.update('port', vm1.portId, { qos_policy_id: own });
      await untilMeters(vm1, 'of the port', ([meter]) => meter?.dscp === 10 && meter.max_kbps === undefined);
      await blue.update('network', network, { qos_policy_id: null });
      await give(lab, vm1, null);
      return 'network, port, none';
    },
  },
  {
    group: 'packets',
    name: 'a limit of 1,000 packets a second holds',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const { blue } = lab.tenants;
      const { id: policy } = await blue.create('qos_policy', { name: 'packets' });
      await blue.within(policy).create('qos_packet_rate_limit_rule', { max_kpps: 1 });
      await give(lab, vm1, policy);
      const { count, ms } = await datagrams(vm1, vm2);
      // 0.8 s may pass at once.
      const most = 1000 * (ms / 1000 + 0.8) + 100;
      expect(count <= most, `${count} packets came through in ${ms.toFixed(0)} ms`);
      await give(lab, vm1, null);
      return `${(count / (ms / 1000)).toFixed(0)} a second, 800 of them at once`;
    },
  },
  {
    group: 'dscp',
    name: 'what a guest sends has the DSCP of its policy where it arrives',
    concerns: ['agent', 'server'],
    run: async (lab) => {
      const { vm1, vm2 } = lab.guests;
      const { blue } = lab.tenants;
      const { id: policy } = await blue.create('qos_policy', { name: 'marked' });
      await blue.within(policy).create('qos_dscp_marking_rule', { dscp_mark: 46 });
      await give(lab, vm1, policy);
      const heard = mustRun(
        ['timeout', '15', 'tcpdump', '-n', '-v', '-c', '1', '-i', vm2.device, `icmp and src ${vm1.ip}`],
        { netns: vm2.netns },
      );
      await duringPings(vm1, vm2, async () => {
        const text = await heard;
        expect(text.includes('tos 0xb8'), `vm2 hears ${text}`);
      });
      await give(lab, vm1, null);
      return 'EF at the other end';
    },
  },
];

/** Limits and marks from end to end. */
export const QOS: Story = defineStory({
  name: 'qos',
  sentence:
    'QoS: limits of what guests send and receive hold for TCP and UDP, change under traffic without a lost packet, and packets are marked.',
  world: WORLD,
  checks: CHECKS,
});
