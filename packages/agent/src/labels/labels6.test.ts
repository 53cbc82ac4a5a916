/** VPNs of hosts that have IPv6 in the underlay. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CB_LABELLED_CHECKSUM, CB_LABELLED_MALFORMED, CB_LABELLED_TAKEN } from '../bpf/abi.gen.ts';
import { sampleLabel, sampleVpn } from '../plan/testing/sample-vpn.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { carries, Inside } from '../testing/traffic.ts';
import type { LabelView } from './label-keeper.ts';
import {
  addVpnGuest,
  answers,
  echo,
  ipv4,
  type Labelled,
  labelled6,
  ProviderRouter,
  VPN_MTU_BYTES,
  type VpnGuest,
  vpnPlaces,
  vpnWorld,
} from './testing.ts';

let bed: AgentBed;
let hosts: readonly [BedHost, BedHost, BedHost];
let guests: readonly [VpnGuest, VpnGuest];
const services = new Inside();

before(async () => {
  bed = await createAgentBed('lb6', 3, 6);
  const [h1, h2, pe] = bed.hosts;
  assert.ok(h1 && h2 && pe);
  hosts = [h1, h2, pe];
  guests = [addVpnGuest(1, 1, 1, h1), addVpnGuest(2, 1, 2, h2)];
});

after(async () => {
  await services.end();
  for (const { netns } of guests) netns.remove();
  await bed.remove();
});

test('everything passes between hosts', async () => {
  const [h1, h2, pe] = hosts;
  const place = { host: 'pe', underlay: pe.underlay, prefixes: ['172.16.0.0/16'], label: 300_123 };
  const vpn = sampleVpn(1, vpnPlaces(guests, 1), { more: new Map([['other/1', place]]) });
  bed.server.set(vpnWorld([h1, h2], guests, [vpn]));
  await Promise.all([h1.start(), h2.start()]);
  const [from, to] = guests;
  for (const { ipAddress } of to.port.fixedIps) {
    await services.serve(to.netns.path, ipAddress);
    await eventually(`${ipAddress} answers`, () => answers(from.netns, ipAddress));
    await carries(from.netns, ipAddress, `to ${ipAddress}`, VPN_MTU_BYTES);
  }
});

test('a UDP checksum is zero or right', async () => {
  const [h1, , pe] = hosts;
  const router = new ProviderRouter(pe);
  const [link] = JSON.parse(h1.exec('ip', '-j', 'link', 'show', 'eth0')) as { address: string }[];
  const around: Labelled = {
    ...{ srcMac: router.mac, dstMac: link?.address ?? '', from: pe.underlay, to: h1.underlay, label: sampleLabel(1) },
  };
  const counts = async (): Promise<readonly number[]> =>
    (await h1.ask<{ labels: LabelView }>('/status'))?.labels.counts ?? [];
  for (const [bytes, sum, kind] of [
    [33, null, CB_LABELLED_TAKEN],
    [33, 0, CB_LABELLED_TAKEN],
    [1000, 0, CB_LABELLED_TAKEN],
    [1300, 0, CB_LABELLED_TAKEN],
    [33, 1, CB_LABELLED_CHECKSUM],
    [1300, 257, CB_LABELLED_CHECKSUM],
  ] as const) {
    const packet = ipv4({ from: '172.16.5.9', to: '10.0.0.1', protocol: 1 }, echo(8, 7, Buffer.alloc(bytes, 0xa7)));
    const before = (await counts())[kind] ?? 0;
    router.send(labelled6(around, packet, sum));
    await eventually(`${bytes} bytes, ${sum}`, async () => (await counts())[kind] === before + 1);
  }
  const before = (await counts())[CB_LABELLED_MALFORMED] ?? 0;
  router.send(
    labelled6({ ...around, from: '::' }, ipv4({ from: '172.16.5.9', to: '10.0.0.1', protocol: 1 }, echo(8, 7)), null),
  );
  await eventually('from nobody', async () => (await counts())[CB_LABELLED_MALFORMED] === before + 1);
  router.close();
});
