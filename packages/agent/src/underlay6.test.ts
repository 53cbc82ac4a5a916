/** Real agents on an underlay of IPv6, whichever makes VXLAN, and a host that has no agent but the kernel's VXLAN device. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import type { LocalPort } from '@cable/model';
import { createNetns, type TestNetns } from './net/testing.ts';
import type { Encapsulation } from './options.ts';
import {
  sampleEndpoint,
  sampleHost,
  sampleId,
  sampleNetwork,
  samplePolicy,
  samplePort,
  sampleRule,
  sampleSubnet,
} from './plan/testing/sample.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from './testing/agent-bed.ts';
import { carries, Inside } from './testing/traffic.ts';

/** 1500 less 70. */
const MTU = 1430;
const VNI = 101;
const SUBNET_6 = sampleSubnet(2, { cidr: '2001:db8:1::/64', ipVersion: 6, gatewayIp: null, enableDhcp: false });

let bed: AgentBed;
let h1: BedHost;
let h2: BedHost;
let plain: BedHost;
let guests: readonly Guest[] = [];

type Guest = { readonly port: LocalPort; readonly netns: TestNetns; readonly addresses: readonly string[] };

function dualPort(n: number, fields: Partial<LocalPort> = {}): LocalPort {
  const fixedIps = [
    { subnetId: sampleId('sub', 1), ipAddress: `10.0.0.${n}` },
    { subnetId: SUBNET_6.id, ipAddress: `2001:db8:1::${n}` },
  ];
  return samplePort(n, { policy: 'policy:p', fixedIps, ...fields });
}

const POD_1 = dualPort(1, { vifKind: 'veth' });
const POD_2 = dualPort(2, { vifKind: 'veth' });
const TAP_2 = dualPort(3);
/** On the host without an agent. */
const FAR = dualPort(9, { vifKind: 'host' });
const addressesOf = (port: LocalPort): readonly string[] => port.fixedIps.map(({ ipAddress }) => ipAddress);

before(async () => {
  bed = await createAgentBed('un6', 3, 6);
  const [first, second, third] = bed.hosts;
  assert.ok(first && second && third);
  [h1, h2, plain] = [first, second, third];
  guests = [addGuest(POD_1, h1), addGuest(POD_2, h2), addGuest(TAP_2, h2)];
  const rules = (['IPv4', 'IPv6'] as const).flatMap((ethertype, i) => [
    sampleRule(1 + 2 * i, { direction: 'egress', ethertype }),
    sampleRule(2 + 2 * i, { ethertype }),
  ]);
  bed.server.set([
    sampleHost(h1.name, [POD_1]),
    sampleHost(h2.name, [POD_2, TAP_2]),
    ...sampleNetwork(1, { mtuBytes: MTU, subnets: [sampleSubnet(1), SUBNET_6] }, [
      sampleEndpoint(POD_1, h1.name, h1.underlay),
      sampleEndpoint(POD_2, h2.name, h2.underlay),
      sampleEndpoint(TAP_2, h2.name, h2.underlay),
      sampleEndpoint(FAR, plain.name, plain.underlay),
    ]),
    samplePolicy('p', rules),
  ]);
});

after(async () => {
  for (const { netns } of guests) netns.remove();
  await bed.remove();
});

afterEach(async () => {
  await Promise.all([h1.end('SIGKILL'), h2.end('SIGKILL')]);
});

function addGuest(port: LocalPort, host: BedHost): Guest {
  const netns = createNetns();
  const addresses = addressesOf(port);
  netns.ip('link', 'set', 'lo', 'up');
  const device = `${port.vifKind === 'veth' ? 'cv' : 'tap'}${port.id.slice(0, 11)}`;
  host.exec('ip', 'link', 'add', device, 'up', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', netns.name);
  // As a pod's: one that is nobody's is left over, and removed when the agent starts.
  host.exec('ip', 'link', 'set', device, 'alias', port.id);
  netns.ip('link', 'set', 'eth0', 'address', port.macAddress, 'mtu', String(MTU), 'up');
  netns.ip('address', 'add', `${addresses[0]}/24`, 'dev', 'eth0');
  netns.ip('address', 'add', `${addresses[1]}/64`, 'dev', 'eth0', 'nodad');
  return { port, netns, addresses };
}

function guest(port: LocalPort): Guest {
  const found = guests.find((one) => one.port === port);
  assert.ok(found);
  return found;
}

type Status = {
  readonly vifs: { readonly up: number; readonly down: number; readonly error: number };
  readonly underlay_path: { readonly encapsulation: string; readonly peers: number };
};

async function start(host: BedHost, encapsulation: Encapsulation): Promise<void> {
  await host.start('--encapsulation', encapsulation);
  await eventually(`the ports of ${host.name} are up`, async () => {
    const status = await host.ask<Status>('/status');
    const isReady = status !== undefined && status.vifs.up > 0 && status.vifs.down + status.vifs.error === 0;
    return isReady && (encapsulation === 'kernel' || status.underlay_path.peers === 2);
  });
}

function byDevice(host: BedHost): number {
  const [link] = JSON.parse(host.exec('ip', '-s', '-j', 'link', 'show', 'cablevx'));
  return link.stats64.rx.packets + link.stats64.tx.packets;
}

const PAIRS = [
  ['own', 'own'],
  ['own', 'kernel'],
  ['kernel', 'own'],
] as const;
// Both ways of a mixed pair are tried with either.
for (const [one, other] of PAIRS.slice(0, ofAll(2, PAIRS.length))) {
  test(`guests of a host with ${one} and one with ${other} encapsulation reach each other over IPv6, whole`, async (t) => {
    await start(h1, one);
    await start(h2, other);
    const [pod1, pod2, tap2] = [guest(POD_1), guest(POD_2), guest(TAP_2)];
    const tools = new Inside();
    try {
      for (const { netns, addresses } of guests) for (const one of addresses) await tools.serve(netns.path, one);
      for (const family of [0, 1]) {
        const to = ({ addresses }: Guest): string => addresses[family] ?? '';
        const before = byDevice(h1) + byDevice(h2);
        await carries(pod1.netns, to(pod2), 'pod to pod', MTU);
        await carries(pod2.netns, to(pod1), 'and back', MTU);
        const passed = byDevice(h1) + byDevice(h2) - before;
        t.diagnostic(`${to(pod1)}: ${passed} packets went by the devices`);
        if (one === 'own' && other === 'own') assert.ok(passed < 100, `${passed} by the devices`);
        else assert.ok(passed > 200, `${passed} by the devices`);
        await carries(pod1.netns, to(tap2), 'pod to tap', MTU);
        await carries(tap2.netns, to(pod1), 'tap to pod', MTU);
      }
    } finally {
      await tools.end();
    }
  });
}

for (const checksum of ['udp6zerocsumtx', 'noudp6zerocsumtx'] as const) {
  test(`a guest and a host with the kernel's VXLAN device reach each other over IPv6, ${checksum}`, async () => {
    await start(h1, 'own');
    const { netns, addresses } = guest(POD_1);
    const tunnel = ['id', String(VNI), 'dstport', '4789', 'local', plain.underlay, 'remote', h1.underlay];
    // What a VTEP must be told: the kernel's drops datagrams without a checksum by itself.
    const options = [checksum, 'udp6zerocsumrx'];
    plain.exec(
      'ip',
      'link',
      'add',
      'vx0',
      'address',
      FAR.macAddress,
      'mtu',
      '1430',
      'type',
      'vxlan',
      ...tunnel,
      ...options,
    );
    const tools = new Inside();
    try {
      const [far4 = '', far6 = ''] = addressesOf(FAR);
      plain.exec('ip', 'address', 'add', `${far4}/24`, 'dev', 'vx0');
      plain.exec('ip', 'link', 'set', 'vx0', 'up');
      plain.exec('ip', 'address', 'add', `${far6}/64`, 'dev', 'vx0', 'nodad');
      const far: TestNetns = { ...netns, path: `/run/netns/${plain.netns}`, run: plain.exec };
      for (const [here = '', there = ''] of [
        [addresses[0], far4],
        [addresses[1], far6],
      ]) {
        await tools.serve(netns.path, here);
        await tools.serve(far.path, there);
        await carries(netns, there, 'to the device', MTU);
        await carries(far, here, 'from the device', MTU);
      }
    } finally {
      await tools.end();
      plain.exec('ip', 'link', 'delete', 'vx0');
    }
  });
}

test('hops follow the IPv6 routes: on the link, by a gateway with its link-local address, none', async () => {
  await start(h1, 'own');
  type Hop = { readonly underlay: string; readonly next_hop: string; readonly mtu_bytes: number };
  const hopTo = (what: string, holds: (hop: Hop | undefined) => boolean): Promise<true> =>
    eventually(what, async () => {
      const maps = await h1.ask<Readonly<Record<string, readonly Hop[]>>>('/maps');
      return holds((maps?.['cb_hop_1'] ?? []).find((hop) => hop.underlay === h2.underlay));
    });
  await hopTo('on the link', (hop) => hop?.next_hop === h2.underlay && hop.mtu_bytes === 1500);
  h1.exec('ip', 'route', 'add', `${h2.underlay}/128`, 'via', 'fe80::77', 'dev', 'eth0', 'mtu', '1400');
  await hopTo('by the gateway', (hop) => hop?.next_hop === 'fe80::77' && hop.mtu_bytes === 1400);
  h1.exec('ip', 'route', 'delete', `${h2.underlay}/128`);
  await hopTo('on the link again', (hop) => hop?.next_hop === h2.underlay);
  h1.exec('ip', '-6', 'rule', 'add', 'to', `${h2.underlay}/128`, 'prohibit', 'priority', '100');
  await hopTo('forbidden by a rule', (hop) => hop === undefined);
  h1.exec('ip', '-6', 'rule', 'delete', 'priority', '100');
  await hopTo('allowed', (hop) => hop?.next_hop === h2.underlay);
});

test('an agent that is not told leaves VXLAN to the kernel if IPsec is to have what goes by IPv6', async () => {
  const policy = ['src', h1.underlay, 'dst', '::/0', 'dir', 'out'];
  h1.exec('ip', 'xfrm', 'policy', 'add', ...policy, 'tmpl', 'proto', 'esp', 'mode', 'transport');
  try {
    await h1.start();
    const status = await h1.ask<Status>('/status');
    assert.equal(status?.underlay_path.encapsulation, 'kernel');
  } finally {
    h1.exec('ip', 'xfrm', 'policy', 'delete', ...policy);
  }
});
