/** Real frames of lines between real agents' hosts. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Pseudowire } from '@cable/model';
import { CB_PW_LOCAL, CB_PW_SENT, CB_PW_TAKEN, CB_PW_TOO_BIG } from '../bpf/abi.gen.ts';
import { answers } from '../labels/testing.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { carries, Inside } from '../testing/traffic.ts';
import {
  addTapGuest,
  addWireGuest,
  countOf,
  GUEST_MTU_BYTES,
  line,
  type TapGuest,
  traces,
  viewOf,
  type WireGuest,
  wireWorld,
} from './testing.ts';

let bed: AgentBed;
let hosts: readonly [BedHost, BedHost];
/** Guests 1 and 2 are on the first host, guest 3 on the second. */
let guests: readonly [WireGuest, WireGuest, WireGuest];
let taps: readonly [TapGuest, TapGuest, TapGuest];
const services = new Inside();

before(async () => {
  bed = await createAgentBed('pwl', 2);
  const [h1, h2] = bed.hosts;
  assert.ok(h1 && h2);
  hosts = [h1, h2];
  guests = [addWireGuest(1, h1), addWireGuest(2, h1), addWireGuest(3, h2)];
  taps = [addTapGuest(11, h1), addTapGuest(12, h1), addTapGuest(13, h2)];
});

after(async () => {
  await services.end();
  for (const { tap } of taps) tap.close();
  for (const { netns } of guests) netns.remove();
  await bed.remove();
});

async function put(...wires: readonly Pseudowire[]): Promise<void> {
  bed.server.set(wireWorld(hosts, [...guests, ...taps], wires));
  for (const host of hosts) {
    const own = wires.filter(({ from, to }) => [from.host, to.host].includes(host.name));
    await eventually('the wires are there', async () => {
      const view = await viewOf(host);
      return own.length === 0 ? view === null : view?.wires.length === own.length;
    });
  }
}

test('without a wire nothing of it is there, and ports that have none reach nobody', async () => {
  bed.server.set(wireWorld(hosts, [...guests, ...taps], []));
  await Promise.all(hosts.map((host) => host.start()));
  for (const host of hosts) assert.deepEqual(traces(host), []);
  assert.ok(!answers(guests[0].netns, '10.9.0.2'));
});

test('a line on one host, and one between hosts, carry all that IP is', async () => {
  const [one, two, three] = guests;
  for (const [what, from, to] of [
    ['on one host', one, two],
    ['between hosts', one, three],
  ] as const) {
    await put(...line(1, from, to));
    const last = to === two ? 2 : 3;
    for (const address of [`10.9.0.${last}`, `2001:db8:9::${last}`]) {
      await services.serve(to.netns.path, address);
      assert.ok(answers(from.netns, address), `${address} ${what}`);
      await carries(from.netns, address, `${address} ${what}`, GUEST_MTU_BYTES);
    }
  }
  assert.ok((await countOf(hosts[0], CB_PW_LOCAL)) > 1000);
  assert.ok((await countOf(hosts[0], CB_PW_SENT)) > 1000);
  assert.ok((await countOf(hosts[1], CB_PW_TAKEN)) > 1000);
});

const [TO, FROM] = ['020000000002', '020000000001'];

/** Frames of all kinds, in hexadecimal. */
const FRAMES: Readonly<Record<string, string>> = {
  ARP: `ffffffffffff${FROM}08060001080006040001${FROM}0a090001000000000000${'0a090002'}`,
  LLDP: `0180c200000e${FROM}88cc020704${FROM}0403053031060200780000`,
  STP: `0180c2000000${FROM}002642420300000000000080000200000000010000000080000200000000018001000014000200${'0f00'}`,
  LACP: `0180c2000002${FROM}8809${'01'.repeat(50)}`,
  'a pause': `0180c2000001${FROM}8808000100ff${'00'.repeat(42)}`,
  PPPoE: `${TO}${FROM}886411000001000400210102`,
  MPLS: `${TO}${FROM}884700064140${'45'.repeat(20)}`,
  'a VLAN tag': `${TO}${FROM}8100600708004500001c${'00'.repeat(24)}`,
  'two tags': `${TO}${FROM}88a8200581000007${'0806'}${'ab'.repeat(28)}`,
  'three tags': `${TO}${FROM}88a82005810000078100000988b5${'cd'.repeat(40)}`,
  'a priority tag': `${TO}${FROM}8100e00086dd60000000${'ef'.repeat(40)}`,
  'a multicast group': `01005e010203${FROM}08004500${'11'.repeat(40)}`,
  'an EtherType of nobody': `${TO}${FROM}ffff${'77'.repeat(46)}`,
  'no EtherType, but a length': `${TO}${FROM}0003${'424203'}${'00'.repeat(43)}`,
  'the shortest': `${TO}${FROM}88b5`,
  'IPv4 with a header too short': `${TO}${FROM}08004100001c${'00'.repeat(24)}`,
  'IPv4 of another version': `${TO}${FROM}08006500001c${'00'.repeat(24)}`,
  'the largest': `${TO}${FROM}88b5${'5a'.repeat(GUEST_MTU_BYTES)}`,
  'the largest with a tag': `${TO}${FROM}8100000788b5${'5a'.repeat(GUEST_MTU_BYTES)}`,
};

/** The kernel's VXLAN drops what says that it is IP and has not so many bytes. */
const CUT: Readonly<Record<string, string>> = {
  'IPv4 that is cut': `${TO}${FROM}08004500`,
  'IPv4 without a header': `${TO}${FROM}0800`,
  'IPv6 that is cut': `${TO}${FROM}86dd6000000000`,
};

test('every frame comes as it was sent, whatever it is, on one host and between hosts', async () => {
  const [one, two, three] = taps;
  for (const [where, from, to, frames] of [
    ['on one host', one, two, { ...FRAMES, ...CUT }],
    ['between hosts', one, three, FRAMES],
  ] as const) {
    await put(...line(1, from, to));
    for (const [what, hex] of Object.entries(frames)) {
      for (const [way, sender, receiver] of [
        ['there', from, to],
        ['back', to, from],
      ] as const) {
        receiver.tap.take();
        sender.tap.send(Buffer.from(hex, 'hex'));
        const got = await eventually(`${what} ${where} ${way}`, () => receiver.tap.take()[0]?.toString('hex'));
        assert.equal(got, hex, `${what} ${where} ${way}`);
      }
    }
  }
});

test('what the underlay cannot carry is counted', async () => {
  const [h1] = hosts;
  const [one, , three] = taps;
  h1.exec('ip', 'link', 'set', `tap${one.port.id.slice(0, 11)}`, 'mtu', '1500');
  await put(...line(1, one, three));
  const before = await countOf(h1, CB_PW_TOO_BIG);
  one.tap.send(Buffer.from(`${TO}${FROM}88b5${'5a'.repeat(1451)}`, 'hex'));
  await eventually('it is counted', async () => (await countOf(h1, CB_PW_TOO_BIG)) === before + 1);
  three.tap.take();
  one.tap.send(Buffer.from(`${TO}${FROM}88b5${'5a'.repeat(1400)}`, 'hex'));
  await eventually('a smaller one comes', () => three.tap.take()[0]);
});

test('the last wire takes all of it along', async () => {
  await put(...line(1, guests[0], guests[2]));
  assert.deepEqual(traces(hosts[0]), ['pw_sent', 'pw_delivered', 'cablew0', 'maps']);
  await put();
  for (const host of hosts) await eventually('nothing is left', () => traces(host).length === 0);
});
