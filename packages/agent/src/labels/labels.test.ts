/** Real packets of L3VPNs between real agents' hosts, and to a provider's router that is a socket here: MPLS in UDP is UDP to it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  CB_LABELLED_ECN,
  CB_LABELLED_MALFORMED,
  CB_LABELLED_NO_LABEL,
  CB_LABELLED_NO_SENDER,
  CB_LABELLED_SENT,
  CB_LABELLED_STACK,
  CB_LABELLED_TAKEN,
  CB_LABELLED_TRANSIT,
  CB_LABELLED_TTL,
} from '../bpf/abi.gen.ts';
import { tcxProgramIds } from '../bpf/tcx.ts';
import { inNetns } from '../net/netns.ts';
import type { SampleSlice } from '../plan/testing/sample.ts';
import { type SampleVpnPort, sampleLabel, sampleVpn } from '../plan/testing/sample-vpn.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { carries, Inside } from '../testing/traffic.ts';
import type { LabelView } from './label-keeper.ts';
import {
  addVpnGuest,
  answers,
  echo,
  ipv4,
  type Labelled,
  labelled,
  ProviderRouter,
  VPN_MTU_BYTES,
  type VpnGuest,
  vpnPlaces,
  vpnWorld,
} from './testing.ts';

let bed: AgentBed;
let h1: BedHost;
let h2: BedHost;
let pe: BedHost;
const services = new Inside();

let guests: readonly VpnGuest[] = [];

before(async () => {
  bed = await createAgentBed('lbl', 3);
  const [first, second, third] = bed.hosts;
  assert.ok(first && second && third);
  [h1, h2, pe] = [first, second, third];
  guests = [addVpnGuest(1, 1, 1, h1), addVpnGuest(2, 1, 2, h2), addVpnGuest(3, 2, 1, h1), addVpnGuest(4, 2, 2, h2)];
});

after(async () => {
  await services.end();
  for (const { netns } of guests) netns.remove();
  await bed.remove();
});

function placesOf(vpn: number): readonly SampleVpnPort[] {
  return vpnPlaces(guests, vpn);
}

function slices(...vpns: readonly (readonly SampleSlice[])[]): readonly SampleSlice[] {
  return vpnWorld([h1, h2], guests, vpns);
}

async function viewOf(host: BedHost): Promise<LabelView | null> {
  return (await host.ask<{ labels: LabelView | null }>('/status'))?.labels ?? null;
}

function guestAt(vpn: number, host: BedHost): VpnGuest {
  const found = guests.find((one) => one.vpn === vpn && one.host === host);
  assert.ok(found);
  return found;
}

function ifindexOf(host: BedHost, device: string): number {
  const [link] = JSON.parse(host.exec('ip', '-j', 'link', 'show', device)) as { readonly ifindex: number }[];
  return link?.ifindex ?? 0;
}

/** What there is of VPNs on the host. */
function traces(host: BedHost): readonly string[] {
  const has = (device: string, name: string, hook: 'ingress' | 'egress'): boolean =>
    host.links().includes(device) &&
    inNetns(`/run/netns/${host.netns}`, () => tcxProgramIds(ifindexOf(host, device), name, hook).length === 1);
  return [
    ...(has('eth0', 'from_lsp', 'ingress') ? ['from_lsp'] : []),
    ...(has('cablep0', 'to_lsp', 'egress') ? ['to_lsp'] : []),
    ...host.links().filter((name) => name.startsWith('cablep')),
    ...(existsSync(join(host.pins, 'labels')) ? ['maps'] : []),
  ];
}

const ALL_TRACES = ['from_lsp', 'to_lsp', 'cablep1', 'cablep0', 'maps'];

test('without a VPN nothing of it is there', async () => {
  bed.server.set(slices());
  await Promise.all([h1.start(), h2.start()]);
  for (const host of [h1, h2]) assert.deepEqual(traces(host), []);
});

test('two VPNs with equal addresses carry everything between hosts, each its own', async () => {
  bed.server.set(slices(sampleVpn(1, placesOf(1)), sampleVpn(2, placesOf(2))));
  for (const host of [h1, h2]) {
    await eventually('the programs are there', async () => (await viewOf(host))?.lsps === 4);
    assert.deepEqual(traces(host), ALL_TRACES);
  }
  for (const vpn of [1, 2]) {
    const [from, to] = [guestAt(vpn, h1), guestAt(vpn, h2)];
    for (const { ipAddress } of to.port.fixedIps) await services.serve(to.netns.path, ipAddress);
    for (const { ipAddress } of to.port.fixedIps) {
      await eventually('it answers', () => answers(from.netns, ipAddress));
      await carries(from.netns, ipAddress, `VPN ${vpn} to ${ipAddress}`, VPN_MTU_BYTES);
    }
  }
  const [, taken] = (await viewOf(h2))?.counts ?? [];
  assert.ok((taken ?? 0) > 1000, `taken: ${taken}`);
});

const PE_LABEL = 300_123;

function withPe(): readonly SampleSlice[] {
  const place = { host: 'pe', underlay: pe.underlay, prefixes: ['172.16.0.0/16'], label: PE_LABEL };
  return sampleVpn(1, placesOf(1), { more: new Map([['other/1', place]]) });
}

async function countsOf(host: BedHost): Promise<readonly number[]> {
  return (await viewOf(host))?.counts ?? [];
}

test('towards a provider’s router each byte is as RFC 7510 and RFC 3032 say, and what it sends back arrives', async () => {
  bed.server.set(slices(withPe(), sampleVpn(2, placesOf(2))));
  await eventually('there is a way', async () => (await viewOf(h1))?.lsps === 6);
  const router = new ProviderRouter(pe);
  const { netns } = guestAt(1, h1);
  const child = spawn(
    'nsenter',
    [`--net=${netns.path}`, 'ping', '-c', '1', '-W', '20', '-Q', '0xb9', '-s', '100', '172.16.5.9'],
    {
      stdio: 'ignore',
    },
  );
  const ended = once(child, 'exit');
  const sent = await eventually('the router hears it', () => router.heard[0]);
  const { inner, sport, ...around } = sent;
  assert.deepEqual(around, {
    ...{ from: h1.underlay, to: pe.underlay, tos: 1, ttl: 64, dontFragment: true, checksum: 0 },
    ...{ label: PE_LABEL, class: 0, bottom: true, labelTtl: 255 },
  });
  assert.ok(sport >= 0xc000, `source port ${sport} is from the dynamic range`);
  assert.equal(inner.length, 128);
  assert.deepEqual([inner[1], inner[8], inner[9]], [0xb9, 63, 1], 'TOS as it was, TTL one less, ICMP');
  assert.deepEqual([...inner.subarray(12, 20)], [10, 0, 0, 1, 172, 16, 5, 9]);
  const answer = ipv4(
    { from: '172.16.5.9', to: '10.0.0.1', protocol: 1 },
    echo(0, inner.readUInt16BE(24), inner.subarray(28)),
  );
  router.send(labelled(backFrom(router), answer));
  const [code] = (await ended) as [number];
  assert.equal(code, 0, 'ping has its answer');
  router.close();
});

/** To VPN 1 at the first host. */
function backFrom(router: ProviderRouter): Labelled {
  const [link] = JSON.parse(h1.exec('ip', '-j', 'link', 'show', 'eth0')) as { address: string }[];
  return { srcMac: router.mac, dstMac: link?.address ?? '', from: pe.underlay, to: h1.underlay, label: sampleLabel(1) };
}

test('what should not come is dropped, each for its reason, and no guest has it', async () => {
  const router = new ProviderRouter(pe);
  const around = backFrom(router);
  const packet = ipv4({ from: '172.16.5.9', to: '10.0.0.1', protocol: 1 }, echo(8, 77));
  const cut = packet.subarray(0, 10);
  const cases: readonly (readonly [string, number, Buffer])[] = [
    ['a label of nobody', CB_LABELLED_NO_LABEL, labelled({ ...around, label: 999_999 }, packet)],
    ['a special label', CB_LABELLED_NO_LABEL, labelled({ ...around, label: 0 }, packet)],
    ['another VPN’s label', CB_LABELLED_NO_SENDER, labelled({ ...around, label: sampleLabel(2) }, packet)],
    ['from an address that nobody told', CB_LABELLED_NO_SENDER, labelled({ ...around, from: '192.0.2.77' }, packet)],
    ['a second label', CB_LABELLED_STACK, labelled({ ...around, bottom: false }, packet)],
    ['TTL 1', CB_LABELLED_TTL, labelled({ ...around, ttl: 1 }, packet)],
    ['TTL 0', CB_LABELLED_TTL, labelled({ ...around, ttl: 0 }, packet)],
    ['a wrong length of UDP', CB_LABELLED_MALFORMED, labelled({ ...around, missing: 4 }, packet)],
    ['no IP inside', CB_LABELLED_MALFORMED, labelled(around, Buffer.alloc(60, 0xff))],
    ['an inner packet that is cut', CB_LABELLED_MALFORMED, labelled(around, cut)],
    ['nothing inside', CB_LABELLED_MALFORMED, labelled(around, Buffer.alloc(0))],
    ['a mark of congestion for who knows none', CB_LABELLED_ECN, labelled({ ...around, tos: 3 }, packet)],
  ];
  for (const [what, reason, frame] of cases) {
    const before = await countsOf(h1);
    router.send(frame);
    await eventually(what, async () => (await countsOf(h1))[reason] === (before[reason] ?? 0) + 1);
    assert.equal((await countsOf(h1))[CB_LABELLED_TAKEN], before[CB_LABELLED_TAKEN], what);
  }
  router.close();
});

test('a guest’s own address does not come from outside, nor does anything go through to another router or host', async () => {
  const router = new ProviderRouter(pe);
  const around = backFrom(router);
  const before = await countsOf(h1);
  for (const [from, to] of [
    ['10.0.0.1', '10.0.0.1'],
    ['172.16.5.9', '172.16.5.10'],
    ['172.16.5.9', '10.0.0.2'],
  ] as const)
    router.send(labelled(around, ipv4({ from, to, protocol: 1 }, echo(8, 78))));
  const packet = ipv4({ from: '172.16.5.9', to: '10.0.0.1', protocol: 1 }, echo(8, 79));
  router.send(labelled(around, packet));
  const heard = await eventually('the guest answers what it may have', () => router.heard[0]);
  assert.equal(heard.inner.readUInt16BE(24), 79);
  const now = await countsOf(h1);
  assert.equal(now[CB_LABELLED_SENT], (before[CB_LABELLED_SENT] ?? 0) + 1, 'the answer is all that was sent');
  assert.equal(now[CB_LABELLED_TRANSIT], (before[CB_LABELLED_TRANSIT] ?? 0) + 2);
  router.close();
});

test('the VPN’s router answers who is beyond: echoes, and what is too large or too old', async () => {
  const router = new ProviderRouter(pe);
  const around = backFrom(router);
  const at = { from: '172.16.5.9', protocol: 1 } as const;
  for (const [what, packet, from, type, code] of [
    ['echo', ipv4({ ...at, to: '10.0.0.254' }, echo(8, 90)), '10.0.0.254', 0, 0],
    [
      'too large',
      ipv4({ ...at, to: '10.0.0.1', dontFragment: true }, echo(8, 91, Buffer.alloc(1440))),
      undefined,
      3,
      4,
    ],
    ['too old', ipv4({ ...at, to: '10.0.0.1', ttl: 1 }, echo(8, 92)), undefined, 11, 0],
  ] as const) {
    router.heard.length = 0;
    router.send(labelled(around, packet));
    const { inner, label } = await eventually(what, () => router.heard[0]);
    assert.equal(label, PE_LABEL, what);
    assert.deepEqual([...inner.subarray(16, 20)], [172, 16, 5, 9], what);
    assert.deepEqual([inner[20], inner[21]], [type, code], what);
    if (from !== undefined) assert.deepEqual([...inner.subarray(12, 16)], [10, 0, 0, 254], what);
  }
  router.close();
});

test('a killed agent leaves it, another takes it over, and with the last VPN all of it goes', async () => {
  const { netns } = guestAt(1, h1);
  await Promise.all([h1.end('SIGKILL'), h2.end('SIGKILL')]);
  assert.ok(answers(netns, '10.0.0.2'), 'while no agent runs');
  await Promise.all([h1.start(), h2.start()]);
  assert.ok(answers(netns, '10.0.0.2'), 'after the start');
  await eventually('the way to the router is known again', async () => (await viewOf(h1))?.lsps === 6);
  assert.deepEqual(traces(h1), ALL_TRACES);
  bed.server.set(slices(sampleVpn(2, placesOf(2))));
  await eventually('one VPN is gone', async () => (await viewOf(h1))?.lsps === 2);
  assert.ok(answers(guestAt(2, h1).netns, '10.0.0.2'), 'the other is there');
  bed.server.set(slices());
  for (const host of [h1, h2]) await eventually('nothing is left', () => traces(host).length === 0);
});

test('it goes with an agent that is away when the last VPN does, and with the teardown of a host', async () => {
  bed.server.set(slices(sampleVpn(2, placesOf(2))));
  for (const host of [h1, h2]) await eventually('it is there', () => traces(host).length === ALL_TRACES.length);
  await Promise.all([h1.end('SIGKILL'), h2.end('SIGKILL')]);
  bed.server.set(slices());
  await h1.start();
  await eventually('nothing is left', () => traces(h1).length === 0);
  h2.run('--teardown');
  assert.deepEqual(traces(h2), []);
});
