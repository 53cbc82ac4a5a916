import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { sleep } from '@cable/kit';
import { deleteTable, readTable } from './net/nft.ts';
import { NETLINK, NetlinkSocket } from './net/socket.ts';
import { type AgentBed, type BedHost, createAgentBed } from './testing/agent-bed.ts';
import { arpRequest, ethernet, type Packet, ping, tcpSyn, udp, vxlan } from './testing/raw-frames.ts';
import { type Ear, hearFrames, holdTap, type RawGuest } from './testing/raw-guest.ts';

/** As Nova names it. */
const TAP = 'tap01234567-89';
const GUEST_MAC = 'fa:16:3e:00:00:09';
/** A peer whose packets the guest forges. */
const FORGED_PEER = '192.0.2.77';
const MARK = Buffer.from('from-the-guest');

let bed: AgentBed;
let host: BedHost;
/** Never has an agent. */
let bare: BedHost;
let witness: BedHost;

before(async () => {
  bed = await createAgentBed('baretap', 3);
  const [first, second, third] = bed.hosts;
  assert.ok(first && second && third);
  [host, bare, witness] = [first, second, third];
  for (const [index, one] of [host, bare].entries()) makeRouter(one, index + 1);
  witness.exec('ip', 'address', 'add', 'fd00:2::3/64', 'dev', 'eth0', 'nodad');
});

after(() => bed.remove());

afterEach(() => host.end('SIGKILL'));

/** A host that forwards whatever comes: the worst case. */
function makeRouter(one: BedHost, index: number): void {
  const settings = [
    ...['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1', 'net.ipv6.conf.default.accept_dad=0'],
    ...['net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0', 'net.ipv4.icmp_echo_ignore_broadcasts=0'],
  ];
  one.exec('sysctl', '-qw', ...settings);
  one.exec('ip', 'address', 'add', `fd00:2::${index}/64`, 'dev', 'eth0', 'nodad');
}

type Attack = {
  readonly what: string;
  readonly frame: (ends: Omit<Packet, 'from' | 'to'>, target: string) => Buffer;
  /** Where it shows that the host took the frame, and by what. */
  readonly shows: 'uplink' | 'tap';
  readonly isSign: (frame: Buffer) => boolean;
};

const hasMark = (frame: Buffer): boolean => frame.includes(MARK);
const isIpv4 = (frame: Buffer, protocol: number): boolean =>
  frame.readUInt16BE(12) === 0x0800 && frame[23] === protocol;
const isIcmp6 = (frame: Buffer, type: number): boolean =>
  frame.readUInt16BE(12) === 0x86dd && frame[20] === 58 && frame[54] === type;
const ALL_NODES = { mac: '33:33:00:00:00:01', ip: 'ff02::1' };
const GUEST_LINK_LOCAL = 'fe80::f816:3eff:fe00:9';

const ATTACKS: readonly Attack[] = [
  {
    what: 'VXLAN to another host, as if from a peer',
    frame: (ends) => vxlan({ ...ends, from: FORGED_PEER, to: '192.0.2.3' }, 7, MARK),
    shows: 'uplink',
    isSign: hasMark,
  },
  {
    what: 'UDP that is forwarded',
    frame: (ends) => udp({ ...ends, from: '198.51.100.9', to: '192.0.2.3' }, 53, MARK),
    shows: 'uplink',
    isSign: hasMark,
  },
  {
    what: 'IPv6 that is forwarded',
    frame: (ends) => udp({ ...ends, from: 'fd00:9::9', to: 'fd00:2::3' }, 53, MARK),
    shows: 'uplink',
    isSign: hasMark,
  },
  {
    what: 'a frame with a priority tag, of VLAN 0',
    frame: (ends) => tagged(udp({ ...ends, from: '198.51.100.9', to: '192.0.2.3' }, 53, MARK)),
    shows: 'uplink',
    isSign: hasMark,
  },
  {
    what: 'a ping of the host, answered by the uplink',
    frame: (ends, target) => ping({ ...ends, from: '192.0.2.3', to: target }),
    shows: 'uplink',
    isSign: (frame) => isIpv4(frame, 1) && frame[34] === 0,
  },
  {
    what: 'a TCP SYN to a port of the host',
    frame: (ends, target) => tcpSyn({ ...ends, from: '192.0.2.3', to: target }, 80),
    shows: 'uplink',
    isSign: (frame) => isIpv4(frame, 6),
  },
  {
    what: "ARP for the host's address",
    frame: (ends, target) => arpRequest({ ...ends, toMac: 'ff:ff:ff:ff:ff:ff', from: '192.0.2.3', to: target }),
    shows: 'tap',
    isSign: (frame) => frame.readUInt16BE(12) === 0x0806 && frame[21] === 2,
  },
  {
    what: 'an IPv6 ping of all nodes',
    frame: (ends) => ping({ ...ends, toMac: ALL_NODES.mac, from: GUEST_LINK_LOCAL, to: ALL_NODES.ip }),
    shows: 'tap',
    isSign: (frame) => isIcmp6(frame, 129) || isIcmp6(frame, 135),
  },
];

function tagged(frame: Buffer): Buffer {
  const inner = Buffer.concat([Buffer.from([0x20, 0]), frame.subarray(12)]);
  const mac = (at: number): string => frame.subarray(at, at + 6).toString('hex');
  return ethernet({ toMac: mac(0), fromMac: mac(6) }, 0x8100, inner);
}

type Stage = { readonly guest: RawGuest; readonly tapMac: string; readonly tap: Ear; readonly uplink: Ear };

/** A tap that nobody but the kernel has touched, with a guest behind it. */
async function onStage<T>(one: BedHost, name: string, act: (stage: Stage) => Promise<T>): Promise<T> {
  const netns = `/run/netns/${one.netns}`;
  one.exec('ip', 'tuntap', 'add', name, 'mode', 'tap');
  const guest = holdTap(netns, name);
  try {
    one.exec('ip', 'link', 'set', name, 'up');
    const link = linkOf(one, name);
    const tap = hearFrames(netns, link.ifindex);
    const uplink = hearFrames(`/run/netns/${witness.netns}`, linkOf(witness, 'eth0').ifindex);
    try {
      return await act({ guest, tapMac: link.address, tap, uplink });
    } finally {
      tap.close();
      uplink.close();
    }
  } finally {
    guest.close();
    one.exec('ip', 'link', 'delete', name);
  }
}

function linkOf(one: BedHost, name: string): { readonly ifindex: number; readonly address: string } {
  const [link] = JSON.parse(one.exec('ip', '-j', 'link', 'show', name)) as [{ ifindex: number; address: string }];
  return link;
}

/** Long enough for what takes a neighbour's resolution first, where nothing is to come. */
const WAIT_MS = 1_500;

/** The attacks that the host let itself in for, within some time. */
async function attack(
  one: BedHost,
  { guest, tapMac, tap, uplink }: Stage,
  waitMs: number = WAIT_MS,
): Promise<readonly string[]> {
  const taken = new Set<string>();
  const uplinkMac = Buffer.from(linkOf(one, 'eth0').address.replaceAll(':', ''), 'hex');
  const ends = { fromMac: GUEST_MAC, toMac: tapMac };
  const look = (): void => {
    // The other host may still be sending what waited for a neighbour.
    const uplinkFrames = uplink.take().filter((frame) => frame.subarray(6, 12).equals(uplinkMac));
    const heard = { tap: tap.take(), uplink: uplinkFrames };
    for (const { what, shows, isSign } of ATTACKS) if (heard[shows].some(isSign)) taken.add(what);
  };
  for (let at = performance.now(); performance.now() - at < waitMs && taken.size < ATTACKS.length; await sleep(50)) {
    for (const { frame } of ATTACKS) guest.send(frame(ends, one.underlay));
    look();
  }
  return [...taken].sort();
}

const ALL = ATTACKS.map(({ what }) => what).sort();

test('a host on which no agent ever ran lets itself in for each of the attacks: they are real', async () => {
  assert.deepEqual(await onStage(bare, TAP, (stage) => attack(bare, stage, 60_000)), ALL);
});

test("what comes in by a VM's tap does not meet the host's stack: while the agent runs, and after it was killed", async () => {
  await host.start();
  assert.deepEqual(await onStage(host, TAP, (stage) => attack(host, stage)), [], 'no port has the tap');
  await host.end('SIGKILL');
  assert.deepEqual(await onStage(host, TAP, (stage) => attack(host, stage)), [], 'no agent');
});

const isGuarded = (one: BedHost): boolean => {
  using socket = new NetlinkSocket({ protocol: NETLINK.netfilter, netns: `/run/netns/${one.netns}` });
  return (['inet', 'arp'] as const).some((family) => readTable(socket, { family, name: 'cable' }) !== undefined);
};

test('an agent that stops leaves the guard, one that tears down removes it', async () => {
  await host.start();
  await host.end('SIGTERM');
  assert.equal(isGuarded(host), true);
  host.run('--teardown');
  assert.equal(isGuarded(host), false);
});

test('somebody who flushes the ruleset is answered, and status counts it', async () => {
  type Status = { guard: { error: null; restored: number; dropped: { what: string; packets: number }[] } };
  await host.start();
  using socket = new NetlinkSocket({ protocol: NETLINK.netfilter, netns: `/run/netns/${host.netns}` });
  for (const family of ['inet', 'arp'] as const) deleteTable(socket, { family, name: 'cable' });
  // Without being told, the agent would look a minute later.
  const deadline = performance.now() + 45_000;
  while (!isGuarded(host)) {
    assert.ok(performance.now() < deadline, 'in vain');
    await sleep(20);
  }
  assert.deepEqual(await onStage(host, TAP, (stage) => attack(host, stage)), []);
  const { guard } = (await host.ask<Status>('/status')) ?? {};
  assert.deepEqual([guard?.error, guard?.dropped.length], [null, 1]);
  assert.ok((guard?.restored ?? 0) >= 1);
});
