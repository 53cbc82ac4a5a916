import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { unlinkSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import type { LocalPort } from '@cable/model';
import { removeTcxProgram, tcxProgramIds } from './bpf/tcx.ts';
import { createScratch, type Scratch } from './bpf/testing.ts';
import { inNetns } from './net/netns.ts';
import { createNetns, type TestNetns } from './net/testing.ts';
import type { Encapsulation } from './options.ts';
import {
  type SampleSlice,
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRule,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { ENTRY } from './reconcile/program-slots.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';
import { carries, ended, Inside, inside } from './testing/traffic.ts';

/** Real packets between real agents' hosts, and to one that has no agent but the kernel's VXLAN device. */
let bed: AgentBed;
let h1: BedHost;
let h2: BedHost;
let plain: BedHost;
let guests: readonly Guest[] = [];
let scratch: Scratch;

type Guest = {
  readonly port: LocalPort;
  readonly host: BedHost;
  readonly netns: TestNetns;
  readonly address: string;
  readonly address6: string;
};

const VNI = 101;
const SUBNET_6 = sampleSubnet(2, { cidr: '2001:db8:1::/64', ipVersion: 6, gatewayIp: null, enableDhcp: false });
const POD_1 = dualPort(1, { vifKind: 'veth' });
const POD_2 = dualPort(2, { vifKind: 'veth' });
const TAP_2 = dualPort(3);
/** On the host without an agent. */
const FAR = dualPort(9, { vifKind: 'host' });
const [FAR_ADDRESS, FAR_ADDRESS6] = FAR.fixedIps.map(({ ipAddress }) => ipAddress) as [string, string];

before(async () => {
  scratch = createScratch('encap');
  bed = await createAgentBed('encap', 3);
  const [first, second, third] = bed.hosts;
  assert.ok(first && second && third);
  [h1, h2, plain] = [first, second, third];
  guests = [addGuest(POD_1, h1), addGuest(POD_2, h2), addGuest(TAP_2, h2)];
  const at = ({ port, host }: Guest): [LocalPort, string, string] => [port, host.name, host.underlay];
  const slices: readonly SampleSlice[] = [
    sampleHost(h1.name, [POD_1]),
    sampleHost(h2.name, [POD_2, TAP_2]),
    ...sampleNetwork(1, { subnets: [sampleSubnet(1), SUBNET_6] }, [
      ...guests.map((guest) => sampleEndpoint(...at(guest))),
      sampleEndpoint(FAR, plain.name, plain.underlay),
    ]),
    samplePolicy(
      'p',
      (['IPv4', 'IPv6'] as const).flatMap((ethertype, i) => [
        sampleRule(1 + 2 * i, { direction: 'egress', ethertype }),
        sampleRule(2 + 2 * i, { ethertype }),
      ]),
    ),
  ];
  bed.server.set(slices);
});

after(async () => {
  for (const { netns } of guests) netns.remove();
  await bed.remove();
  scratch.remove();
});

afterEach(async () => {
  await Promise.all([h1.end('SIGKILL'), h2.end('SIGKILL')]);
});

/** A port with an address of both families. */
function dualPort(n: number, fields: Partial<LocalPort> = {}): LocalPort {
  const fixedIps = [
    { subnetId: sampleId('sub', 1), ipAddress: `10.0.0.${n}` },
    { subnetId: SUBNET_6.id, ipAddress: `2001:db8:1::${n}` },
  ];
  return samplePort(n, { policy: 'policy:p', fixedIps, ...fields });
}

/** A veth with the name that the port's device has; for a tap's packets the vrouter does what it does for a tap. */
function addGuest(port: LocalPort, host: BedHost): Guest {
  const [address = '', address6 = ''] = port.fixedIps.map(({ ipAddress }) => ipAddress);
  const one = { port, host, netns: createNetns(), address, address6 };
  one.netns.ip('link', 'set', 'lo', 'up');
  plug(one);
  return one;
}

function plug({ port, host, netns, address, address6 }: Guest): void {
  const device = `${port.vifKind === 'veth' ? 'cv' : 'tap'}${port.id.slice(0, 11)}`;
  host.exec('ip', 'link', 'add', device, 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
  // As a pod's: one that is nobody's is left over, and removed when the agent starts.
  host.exec('ip', 'link', 'set', device, 'alias', port.id);
  netns.ip('link', 'set', 'eth0', 'address', port.macAddress, 'mtu', '1450', 'up');
  netns.ip('address', 'add', `${address}/24`, 'dev', 'eth0');
  netns.ip('address', 'add', `${address6}/64`, 'dev', 'eth0', 'nodad');
}

function guest(port: LocalPort): Guest {
  const found = guests.find((one) => one.port === port);
  assert.ok(found);
  return found;
}

async function start(host: BedHost, encapsulation: Encapsulation): Promise<void> {
  await host.start('--encapsulation', encapsulation);
  await eventually(`the ports of ${host.name} are up`, async () => {
    const status = await host.ask<Status>('/status');
    const ready = status !== undefined && status.vifs.up > 0 && status.vifs.down + status.vifs.error === 0;
    const { peers, devices } = status?.underlay_path ?? { peers: 0, devices: [] };
    return ready && (encapsulation === 'kernel' || (peers === 2 && devices.length === 1));
  });
}

type Status = {
  readonly vifs: { readonly up: number; readonly down: number; readonly error: number };
  readonly underlay_path: {
    readonly encapsulation: string;
    readonly peers: number;
    readonly devices: readonly { readonly name: string; readonly error: string | null }[];
  };
};

/** An operator's own filter. */
const NO_ICMP = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc")
int no_icmp(struct __sk_buff *skb)
{
	__u8 protocol = 0;

	bpf_skb_load_bytes(skb, 23, &protocol, 1);
	return protocol == 1 ? 2 : 0;
}
char cb_license[] SEC("license") = "Dual BSD/GPL";
`;

/** Packets that the overlay device has received and sent. */
function byDevice(host: BedHost): number {
  const [link] = JSON.parse(host.exec('ip', '-s', '-j', 'link', 'show', 'cablevx'));
  return link.stats64.rx.packets + link.stats64.tx.packets;
}

function ifindexOf(host: BedHost, device = 'eth0'): number {
  const links: readonly { ifindex: number; ifname: string }[] = JSON.parse(host.exec('ip', '-j', 'link', 'show'));
  return links.find(({ ifname }) => ifname === device)?.ifindex ?? 0;
}

function hasProgram(host: BedHost): boolean {
  const ifindex = ifindexOf(host);
  return inNetns(`/run/netns/${host.netns}`, () => tcxProgramIds(ifindex, ENTRY.uplink.dispatcher).length === 1);
}

type Hop = { readonly host: string; readonly underlay: string; readonly next_hop: string; readonly mtu_bytes: number };

async function hopsOf(host: BedHost): Promise<readonly Hop[]> {
  const maps = await host.ask<Readonly<Record<string, readonly Hop[]>>>('/maps');
  return maps?.['cb_hop_1'] ?? [];
}

const PAIRS = [
  ['own', 'own'],
  ['own', 'kernel'],
  ['kernel', 'own'],
] as const;
// Both ways of a mixed pair are tried with either.
for (const [one, other] of PAIRS.slice(0, ofAll(2, PAIRS.length))) {
  test(`guests of a host with ${one} and one with ${other} encapsulation reach each other, whole`, async (t) => {
    await start(h1, one);
    await start(h2, other);
    const [pod1, pod2, tap2] = [guest(POD_1), guest(POD_2), guest(TAP_2)];
    const tools = new Inside();
    try {
      for (const { netns, address, address6 } of guests) {
        await tools.serve(netns.path, address);
        await tools.serve(netns.path, address6);
      }
      for (const family of ['address', 'address6'] as const) {
        const before = byDevice(h1) + byDevice(h2);
        await carries(pod1.netns, pod2[family], 'pod to pod');
        await carries(pod2.netns, pod1[family], 'and back');
        const passed = byDevice(h1) + byDevice(h2) - before;
        t.diagnostic(`${family}: ${passed} packets went by the devices`);
        if (one === 'own' && other === 'own') assert.ok(passed < 100, `${family}: ${passed} by the devices`);
        else assert.ok(passed > 200, `${family}: ${passed} by the devices`);
        await carries(pod1.netns, tap2[family], 'pod to tap');
        await carries(tap2.netns, pod1[family], 'tap to pod');
      }
    } finally {
      await tools.end();
    }
  });
}

for (const checksum of ['udpcsum', 'noudpcsum'] as const) {
  test(`a guest and a host with the kernel's VXLAN device reach each other, ${checksum}`, async () => {
    await start(h1, 'own');
    const { netns, address, address6 } = guest(POD_1);
    const tunnel = ['id', String(VNI), 'dstport', '4789', 'local', plain.underlay, 'remote', h1.underlay, checksum];
    plain.exec('ip', 'link', 'add', 'vx0', 'address', FAR.macAddress, 'mtu', '1450', 'type', 'vxlan', ...tunnel);
    const tools = new Inside();
    try {
      plain.exec('ip', 'address', 'add', `${FAR_ADDRESS}/24`, 'dev', 'vx0');
      plain.exec('ip', 'link', 'set', 'vx0', 'up');
      plain.exec('ip', 'address', 'add', `${FAR_ADDRESS6}/64`, 'dev', 'vx0', 'nodad');
      const far: TestNetns = { ...netns, path: `/run/netns/${plain.netns}`, run: plain.exec };
      for (const [here, there] of [
        [address, FAR_ADDRESS],
        [address6, FAR_ADDRESS6],
      ] as const) {
        await tools.serve(netns.path, here);
        await tools.serve(far.path, there);
        await carries(netns, there, 'to the device');
        await carries(far, here, 'from the device');
      }
    } finally {
      await tools.end();
      plain.exec('ip', 'link', 'delete', 'vx0');
    }
  });
}

test('going from one to the other and back loses no ping and breaks no connection', async () => {
  await start(h1, 'own');
  await start(h2, 'own');
  const [pod1, pod2] = [guest(POD_1), guest(POD_2)];
  const tools = new Inside();
  try {
    await tools.serve(pod2.netns.path, pod2.address);
    pod1.netns.run('ping', '-c', '1', '-W', '1', pod2.address);
    const pings = spawn('nsenter', [`--net=${pod1.netns.path}`, 'ping', '-i', '0.005', '-q', pod2.address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let report = '';
    pings.stdout.on('data', (text: Buffer) => {
      report += text.toString();
    });
    const stream = inside(pod1.netns, 'tcp', pod2.address, Number.MAX_SAFE_INTEGER, 20);
    for (const encapsulation of ['kernel', 'own'] as const) {
      for (const host of [h1, h2]) {
        await host.end('SIGTERM');
        await start(host, encapsulation);
      }
    }
    assert.equal(stream.exitCode, null, 'the connection is open still');
    stream.kill('SIGTERM');
    const told = once(pings, 'exit');
    pings.kill('SIGINT');
    await told;
    await ended(stream, 'TCP over all changes');
    assert.match(report, /(\d+) packets transmitted, \1 received/);
  } finally {
    await tools.end();
  }
});

test('the program stays on the uplink when the agent ends, goes with --encapsulation kernel and with --teardown; filters of others stay', async () => {
  h1.exec('tc', 'qdisc', 'add', 'dev', 'eth0', 'clsact');
  const object = scratch.compile('no_icmp', NO_ICMP);
  h1.exec('tc', 'filter', 'add', 'dev', 'eth0', 'ingress', 'prio', '1', 'bpf', 'da', 'obj', object, 'sec', 'tc');
  const others = (): string => h1.exec('tc', 'filter', 'show', 'dev', 'eth0', 'ingress');
  const before = others();
  try {
    await start(h1, 'own');
    await start(h2, 'own');
    assert.ok(hasProgram(h1));
    assert.equal((await hopsOf(h1)).length, 2);
    assert.throws(() => h1.exec('ping', '-c', '1', '-W', '1', h2.underlay), "the host's own passes others' filters");
    guest(POD_1).netns.run('ping', '-c', '3', '-i', '0.01', '-W', '1', guest(POD_2).address);
    await h1.end('SIGTERM');
    assert.ok(hasProgram(h1));
    await start(h1, 'kernel');
    await eventually('the program is off the uplink', () => !hasProgram(h1));
    assert.deepEqual(await hopsOf(h1), []);
    await h1.end('SIGTERM');
    await start(h1, 'own');
    await h1.end('SIGTERM');
    assert.ok(hasProgram(h1));
    h1.run('--teardown');
    plug(guest(POD_1));
    assert.ok(!hasProgram(h1));
    assert.equal(others(), before);
  } finally {
    h1.exec('tc', 'qdisc', 'delete', 'dev', 'eth0', 'clsact');
  }
});

test('a program of the same name that another left on the uplink is replaced, one that somebody took off is put back', async () => {
  await start(h1, 'own');
  const ifindex = ifindexOf(h1);
  const { dispatcher } = ENTRY.uplink;
  const ids = (): readonly number[] => inNetns(`/run/netns/${h1.netns}`, () => tcxProgramIds(ifindex, dispatcher));
  const [first] = ids();
  await h1.end('SIGKILL');
  await start(h1, 'own');
  assert.deepEqual(ids(), [first], 'a restart leaves the dispatcher on the device');
  await h1.end('SIGKILL');
  // The next start makes another, as an agent of another name would.
  unlinkSync(`${h1.pins}/progs/${dispatcher}`);
  await start(h1, 'own');
  await eventually('another program is there, alone', () => ids().length === 1 && ids()[0] !== first);
  // (Nobody looks whether it is gone: the agent may have put it back before.)
  assert.ok(inNetns(`/run/netns/${h1.netns}`, () => removeTcxProgram(ifindex, dispatcher)));
  h1.exec('ip', 'route', 'add', '198.51.100.0/24', 'via', h2.underlay);
  await eventually('it is back at the next look', () => hasProgram(h1));
  h1.exec('ip', 'route', 'delete', '198.51.100.0/24');
});

test('hops follow the routes: a gateway, its MTU, none, and the link again', async () => {
  await start(h1, 'own');
  const hopTo = (host: BedHost, what: string, holds: (hop: Hop | undefined) => boolean): Promise<true> =>
    eventually(
      what,
      async () => holds((await hopsOf(h1)).find((hop) => hop.underlay === host.underlay)) || undefined,
    ).then(() => true);
  await hopTo(h2, 'on the link', (hop) => hop?.next_hop === h2.underlay && hop.mtu_bytes === 1500);
  h1.exec('ip', 'route', 'add', h2.underlay, 'via', plain.underlay, 'mtu', '1400');
  await hopTo(h2, 'by the gateway', (hop) => hop?.next_hop === plain.underlay && hop.mtu_bytes === 1400);
  h1.exec('ip', 'route', 'replace', 'blackhole', h2.underlay);
  await hopTo(h2, 'none', (hop) => hop === undefined);
  h1.exec('ip', 'route', 'delete', 'blackhole', h2.underlay);
  await hopTo(h2, 'on the link again', (hop) => hop?.next_hop === h2.underlay);
  h1.exec('ip', 'rule', 'add', 'to', `${h2.underlay}/32`, 'prohibit', 'priority', '100');
  await hopTo(h2, 'forbidden by a rule', (hop) => hop === undefined);
  h1.exec('ip', 'rule', 'delete', 'priority', '100');
  await hopTo(h2, 'allowed', (hop) => hop?.next_hop === h2.underlay);
  h1.exec('ip', 'link', 'set', 'eth0', 'mtu', '1480');
  await hopTo(h2, 'the MTU of the device', (hop) => hop?.mtu_bytes === 1480);
  h1.exec('ip', 'link', 'set', 'eth0', 'mtu', '1500');
});

test('the device of the underlay goes down, loses its address, vanishes and comes again: packets pass again', async () => {
  await start(h1, 'own');
  await start(h2, 'own');
  const [pod1, pod2] = [guest(POD_1), guest(POD_2)];
  const address = `${h1.underlay}/24`;
  const passes = (): boolean => {
    try {
      pod1.netns.run('ping', '-c', '1', '-W', '1', pod2.address);
      return true;
    } catch {
      return false;
    }
  };
  const used = async (what: string): Promise<void> => {
    await eventually(`${what}: packets pass`, passes);
    await eventually(`${what}: by own encapsulation`, async () => {
      const status = await h1.ask<Status>('/status');
      const names = status?.underlay_path.devices.map(({ name }) => name);
      return names?.join() === 'eth0' && status?.underlay_path.peers === 2 && hasProgram(h1);
    });
    // On a busy machine a ping may take longer than it waits.
    await eventually(`${what}: by it alone`, async () => {
      const before = byDevice(h1);
      return passes() && byDevice(h1) - before < 2;
    });
  };
  await used('first');
  h1.exec('ip', 'link', 'set', 'eth0', 'down');
  await eventually('no hop by a device that is down', async () => (await hopsOf(h1)).length === 0);
  h1.exec('ip', 'link', 'set', 'eth0', 'up');
  await used('up again');
  h1.exec('ip', 'address', 'delete', address, 'dev', 'eth0');
  await eventually('no hop without the address', async () => (await hopsOf(h1)).length === 0);
  await eventually('no program without the address', () => !hasProgram(h1));
  h1.exec('ip', 'address', 'add', address, 'dev', 'eth0');
  await used('addressed again');
  const bridge = h1.netns.replace(/h1$/, 'u');
  h1.exec('ip', 'link', 'delete', 'eth0');
  await eventually('no hop without the device', async () => (await hopsOf(h1)).length === 0);
  h1.exec('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'p1', 'netns', bridge);
  execFileSync('ip', ['-n', bridge, 'link', 'set', 'p1', 'master', 'br0', 'up']);
  h1.exec('ip', 'address', 'add', address, 'dev', 'eth0');
  h1.exec('ip', 'link', 'set', 'eth0', 'up');
  await used('made anew');
});

test('a host with several addresses, and its own traffic on the uplink, is not disturbed', async () => {
  h1.exec('ip', 'address', 'add', '192.0.2.101/24', 'dev', 'eth0');
  await start(h1, 'own');
  const tools = new Inside();
  try {
    for (const address of [h1.underlay, '192.0.2.101']) {
      await tools.serve(`/run/netns/${h1.netns}`, address);
      const far: TestNetns = { ...guest(POD_1).netns, path: `/run/netns/${h2.netns}`, run: h2.exec };
      await carries(far, address, `the host's own ${address}`);
    }
    const [hop] = await hopsOf(h1);
    assert.ok(hop);
  } finally {
    await tools.end();
    h1.exec('ip', 'address', 'delete', '192.0.2.101/24', 'dev', 'eth0');
  }
});

test('hosts behind their default gateways reach each other, and the next hop is the gateway', async () => {
  const router = createNetns();
  const bridge = h1.netns.replace(/h1$/, 'u');
  try {
    // The router has a leg in each host's network, on the same wire.
    router.ip('link', 'add', 'wire', 'up', 'type', 'veth', 'peer', 'name', 'prouter', 'netns', bridge);
    execFileSync('ip', ['-n', bridge, 'link', 'set', 'prouter', 'master', 'br0', 'up']);
    router.run(
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.send_redirects=0',
      'net.ipv4.conf.wire.send_redirects=0',
    );
    router.ip('address', 'add', '192.0.2.254/32', 'dev', 'wire');
    for (const host of [h1, h2]) {
      router.ip('route', 'add', host.underlay, 'dev', 'wire');
      host.exec('ip', 'address', 'flush', 'dev', 'eth0');
      host.exec('ip', 'address', 'add', `${host.underlay}/32`, 'dev', 'eth0');
      host.exec('ip', 'route', 'add', 'default', 'via', '192.0.2.254', 'dev', 'eth0', 'onlink');
    }
    await start(h1, 'own');
    await start(h2, 'own');
    assert.deepEqual(new Set((await hopsOf(h1)).map((hop) => hop.next_hop)), new Set(['192.0.2.254']));
    const [pod1, pod2] = [guest(POD_1), guest(POD_2)];
    const tools = new Inside();
    try {
      await tools.serve(pod2.netns.path, pod2.address);
      const before = byDevice(h1) + byDevice(h2);
      await carries(pod1.netns, pod2.address, 'by gateways');
      assert.ok(byDevice(h1) + byDevice(h2) - before < 20);
    } finally {
      await tools.end();
    }
  } finally {
    router.remove();
    for (const host of [h1, h2]) {
      host.exec('ip', 'address', 'flush', 'dev', 'eth0');
      host.exec('ip', 'address', 'add', `${host.underlay}/24`, 'dev', 'eth0');
    }
  }
});

test('an agent that is not told makes VXLAN itself, and leaves it to the kernel once IPsec is to have it', async () => {
  const encapsulation = async (): Promise<string | undefined> =>
    (await h1.ask<Status>('/status'))?.underlay_path.encapsulation;
  const policy = ['src', h1.underlay, 'dst', '0.0.0.0/0', 'dir', 'out'];
  // "Use": without keys packets pass as they are.
  const template = ['tmpl', 'proto', 'esp', 'mode', 'transport', 'level', 'use'];
  await h1.start();
  await start(h2, 'kernel');
  assert.equal(await encapsulation(), 'own');
  const [pod1, pod2] = [guest(POD_1), guest(POD_2)];
  pod1.netns.run('ping', '-c', '1', '-W', '5', pod2.address);
  try {
    h1.exec('ip', 'xfrm', 'policy', 'add', ...policy, ...template);
    await eventually('the kernel has it', async () => (await encapsulation()) === 'kernel');
    await eventually('what the vrouter sent by is gone', async () => (await hopsOf(h1)).length === 0);
    pod1.netns.run('ping', '-c', '1', '-W', '5', pod2.address);
    h1.exec('ip', 'xfrm', 'policy', 'delete', ...policy);
    assert.equal(await encapsulation(), 'kernel', 'until it is started again');
    await h1.end('SIGTERM');
    h1.exec('ip', 'xfrm', 'policy', 'add', ...policy, ...template);
    await h1.start();
    assert.equal(await encapsulation(), 'kernel');
  } finally {
    h1.exec('ip', 'xfrm', 'policy', 'flush');
  }
});
