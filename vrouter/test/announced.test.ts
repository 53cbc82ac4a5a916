/** Addresses of Services that a host announces on a device of its own: ARP and ND are answered by the program on it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CB_ANNOUNCED_F_HERE, cbAnnounced, cbAnnouncedKey } from '../../packages/agent/src/bpf/abi.gen.ts';
import { parseAddress } from '../../packages/agent/src/plan/address.ts';
import { neighborAdvertisement, neighborSolicitation, solicitedNode } from './icmp6.ts';
import { arp, BROADCAST, macBytes, multicastMac, udp, vlan } from './packet.ts';
import { UPLINK_MAC, World } from './world.ts';

const CLIENT = '02:00:00:00:ee:01';
const OTHER = '02:00:00:00:ee:02';
const NOBODY = '00:00:00:00:00:00';
const [OURS, LISTENED, STRANGE] = ['192.0.2.200', '192.0.2.201', '192.0.2.202'];
const [OURS6, LISTENED6] = ['2001:db8::200', '2001:db8::201'];

let world: World;

before(() => {
  world = new World();
  for (const one of [OURS, OURS6]) put(one, CB_ANNOUNCED_F_HERE);
  for (const one of [LISTENED, LISTENED6]) put(one, 0);
});

after(() => world.close());

function keyOf(address: string, ifindex = world.uplink): Uint8Array {
  const addr = parseAddress(address);
  assert.ok(addr);
  return cbAnnouncedKey.encode({ ifindex, addr });
}

function put(address: string, flags: number): void {
  const row = { mac: macBytes(UPLINK_MAC), flags, otherMac: new Uint8Array(6), otherNs: 0n };
  world.map({ name: 'cb_announced_1' }).update(keyOf(address), cbAnnounced.encode(row));
}

/** Who else has said that he has the address. */
function otherOf(address: string): string {
  const value = world.map({ name: 'cb_announced_1' }).lookup(keyOf(address));
  assert.ok(value);
  const { otherMac, otherNs } = cbAnnounced.decode(value);
  return otherNs === 0n ? NOBODY : [...otherMac].map((one) => one.toString(16).padStart(2, '0')).join(':');
}

function ask(tpa: string, spa = '192.0.2.9'): Buffer {
  return arp({ src: CLIENT, dst: BROADCAST }, { op: 'request', sha: CLIENT, spa, tpa });
}

function ask6(target: string, from: string, mac: string | undefined): Buffer {
  const group = solicitedNode(target);
  const ip = { src: CLIENT, dst: multicastMac(group), from, to: group };
  return neighborSolicitation(ip, { target, ...(mac === undefined ? {} : { mac }) });
}

test('who asks for an announced address by ARP is told the MAC of the device, who looks for a duplicate too', () => {
  for (const spa of ['192.0.2.9', '0.0.0.0']) {
    const out = world.arrive(ask(OURS, spa));
    assert.equal(out.verdict, 'wire');
    const answer = { op: 'reply', sha: UPLINK_MAC, spa: OURS, tha: CLIENT, tpa: spa } as const;
    assert.deepEqual(Buffer.from(out.data), arp({ src: UPLINK_MAC, dst: CLIENT }, answer));
  }
});

test('the same by ND: to who asks, or to all where he has no address yet', () => {
  const asked = world.arrive(ask6(OURS6, '2001:db8::9', CLIENT));
  assert.equal(asked.verdict, 'wire');
  const answer = { target: OURS6, mac: UPLINK_MAC, override: true };
  const back = { src: UPLINK_MAC, dst: CLIENT, from: OURS6, to: '2001:db8::9' };
  assert.deepEqual(Buffer.from(asked.data), neighborAdvertisement(back, { ...answer, solicited: true }));
  const probed = world.arrive(ask6(OURS6, '::', undefined));
  const toAll = { src: UPLINK_MAC, dst: multicastMac('ff02::1'), from: OURS6, to: 'ff02::1' };
  assert.deepEqual(Buffer.from(probed.data), neighborAdvertisement(toAll, answer));
});

test('addresses that are only listened for, or are none of ours, are the host’s business, as is what is tagged, routed or no question', () => {
  const routed = ask6(OURS6, '2001:db8::9', CLIENT);
  routed[14 + 7] = 254;
  const frames = [
    ...[ask(LISTENED), ask(STRANGE), ask6(LISTENED6, '2001:db8::9', CLIENT), routed],
    vlan(ask(OURS), { id: 7 }),
    arp({ src: CLIENT, dst: UPLINK_MAC }, { op: 'reply', sha: CLIENT, spa: '192.0.2.9', tpa: OURS }),
    ask(OURS).subarray(0, 40),
    ask6(OURS6, '2001:db8::9', CLIENT).subarray(0, 70),
    ask6('::ffff:192.0.2.200', '2001:db8::9', CLIENT),
    udp({ src: CLIENT, dst: UPLINK_MAC, from: '192.0.2.9', to: OURS }, { sport: 1, dport: 2 }),
  ];
  for (const frame of frames) {
    const out = world.arrive(frame);
    assert.equal(out.verdict, 'pass');
    assert.deepEqual(Buffer.from(out.data), Buffer.from(frame));
  }
});

test('who else says that he has one is heard, and goes on to the host', () => {
  const [eth, eth6] = [
    { src: OTHER, dst: BROADCAST },
    { src: OTHER, dst: multicastMac('ff02::1'), from: LISTENED6, to: 'ff02::1' },
  ];
  const said = [
    arp(eth, { op: 'request', sha: OTHER, spa: OURS, tpa: OURS }),
    arp(eth, { op: 'reply', sha: OTHER, spa: LISTENED, tha: UPLINK_MAC, tpa: '0.0.0.0' }),
    neighborAdvertisement(eth6, { target: LISTENED6, mac: OTHER, override: true }),
  ];
  assert.deepEqual([OURS, LISTENED, LISTENED6, OURS6].map(otherOf), [NOBODY, NOBODY, NOBODY, NOBODY]);
  for (const frame of said) assert.equal(world.arrive(frame).verdict, 'pass');
  assert.deepEqual([OURS, LISTENED, LISTENED6, OURS6].map(otherOf), [OTHER, OTHER, OTHER, NOBODY]);
  put(OURS, CB_ANNOUNCED_F_HERE);
  const own = arp({ src: UPLINK_MAC, dst: BROADCAST }, { op: 'request', sha: UPLINK_MAC, spa: OURS, tpa: OURS });
  world.arrive(own);
  assert.equal(otherOf(OURS), NOBODY, 'its own announcement that comes back is nobody else’s');
});
