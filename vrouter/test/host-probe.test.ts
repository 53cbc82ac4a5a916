import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  CB_BEACON_F_SERVES,
  CB_PROBE_ANSWER,
  CB_PROBE_ASK,
  CB_PROBE_ETHERTYPE,
  CB_PROBE_NEVER,
  CB_PROBE_VERSION,
  type CbProbe,
  cbBeacon,
  cbHeard,
  cbHeardKey,
  cbProbe,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex } from '../../packages/agent/src/bpf/codec.ts';
import { parseAddress } from '../../packages/agent/src/plan/address.ts';
import { ethernet } from './packet.ts';
import { type Guest, World } from './world.ts';

const PEER = '192.0.2.1';
const THIRD = '192.0.2.3';
const TOKEN = 0x1234_5678_9abc_def0n;
const ENDS = { src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' };
const NOBODY = {
  ...{ flags: 0, count: 0, standsBe: Array.from({ length: 32 }, () => 0), about: new Uint8Array(16) },
  announces: [0, 0, 0, 0],
};
const BEACON = {
  ...NOBODY,
  flags: CB_BEACON_F_SERVES,
  count: 1,
  standsBe: [0xc000_0207, ...NOBODY.standsBe.slice(1)],
  announces: [7, 0, 0, 0xffff],
};

let world: World;
let guest: Guest;

before(() => {
  world = new World();
  guest = world.addGuest('a', { mac: '02:00:00:00:00:0a', ip: '10.0.0.1', vni: 600 });
  world.addProber(PEER);
  world.map({ name: 'cb_beacon_1' }).update(arrayIndex.encode(0), cbBeacon.encode(BEACON));
});

after(() => world.close());

function frame(more: Partial<CbProbe>): Buffer {
  const probe = { version: CB_PROBE_VERSION, kind: CB_PROBE_ASK, sequence: 7, token: TOKEN, aboutBe: 0, aboutMs: 0 };
  return ethernet(ENDS, CB_PROBE_ETHERTYPE, Buffer.from(cbProbe.encode({ ...probe, beacon: NOBODY, ...more })));
}

function keyOf(host: string): Uint8Array {
  const addr = parseAddress(host);
  assert.ok(addr);
  return cbHeardKey.encode({ addr });
}

function expect(host: string, heardNs = 0n): void {
  const heard = { token: TOKEN, heardNs, sequence: 0, aboutBe: 0, aboutMs: 0, beacon: NOBODY };
  world.map({ name: 'cb_heard_1' }).update(keyOf(host), cbHeard.encode(heard));
}

function heardOf(host: string): ReturnType<typeof cbHeard.decode> {
  const value = world.map({ name: 'cb_heard_1' }).lookup(keyOf(host));
  assert.ok(value);
  return cbHeard.decode(value);
}

test('a question of a host goes back as the answer, with what this host says of itself', () => {
  const out = world.receive({ vni: 0, from: PEER }, frame({}));
  assert.equal(out.verdict, `overlay 0 ${PEER}`);
  const answer = cbProbe.decode(Buffer.from(out.data).subarray(14));
  assert.deepEqual([answer.kind, answer.sequence, answer.token], [CB_PROBE_ANSWER, 7, TOKEN]);
  assert.deepEqual(answer.beacon, BEACON);
  assert.equal(answer.aboutMs, CB_PROBE_NEVER, 'it was not asked about anybody');
});

test('who is asked about a third host says how long ago that answered', () => {
  const aboutBe = 0xc000_0203;
  const ask = (): number => {
    const out = world.receive({ vni: 0, from: PEER }, frame({ aboutBe }));
    return cbProbe.decode(Buffer.from(out.data).subarray(14)).aboutMs;
  };
  assert.equal(ask(), CB_PROBE_NEVER, 'it does not know the host');
  expect(THIRD);
  assert.equal(ask(), CB_PROBE_NEVER, 'it has not heard it yet');
  expect(THIRD, process.hrtime.bigint());
  assert.ok(ask() < 3_600_000);
});

test('an answer is heard only with the token of the question, and only of a host that was asked', () => {
  const answer = { kind: CB_PROBE_ANSWER, sequence: 9, aboutBe: 5, aboutMs: 6, beacon: BEACON };
  assert.equal(world.receive({ vni: 0, from: PEER }, frame(answer)).verdict, 'drop probe', 'it was not asked');
  expect(PEER);
  assert.equal(world.receive({ vni: 0, from: PEER }, frame({ ...answer, token: 1n })).verdict, 'drop probe');
  assert.equal(heardOf(PEER).heardNs, 0n);
  assert.equal(world.receive({ vni: 0, from: PEER }, frame(answer)).verdict, 'flood 0 copies');
  const { heardNs, ...heard } = heardOf(PEER);
  assert.ok(heardNs > 0n);
  assert.deepEqual(heard, { token: TOKEN, sequence: 9, aboutBe: 5, aboutMs: 6, beacon: BEACON });
});

for (const [what, from, sent] of [
  ['of another version', PEER, frame({ version: 9 })],
  ['of another kind', PEER, frame({ kind: 3 })],
  ['that is cut', PEER, frame({}).subarray(0, 100)],
  ['of another ethertype', PEER, ethernet(ENDS, 0x0800, Buffer.alloc(200))],
] as const) {
  test(`a probe ${what} is dropped`, () => {
    assert.equal(world.receive({ vni: 0, from }, sent).verdict, 'drop probe');
  });
}

test('a host that is no peer, and a guest, ask nothing', () => {
  assert.equal(world.receive({ vni: 0, from: '192.0.2.66' }, frame({})).verdict, 'drop unknown_peer');
  assert.match(world.send(guest, frame({})).verdict, /^drop /);
});

test('over IPv6 a host is asked about another by its address, which stands in the beacon of the question; the tag goes back as it came', () => {
  const [self, peer, third] = ['2001:db8:ffff::1', '2001:db8:ffff::2', '2001:db8:ffff::3'];
  const six = new World(2, 8192, { underlay: self });
  try {
    six.addProber(peer);
    const about = parseAddress(third);
    assert.ok(about);
    const heard = { token: TOKEN, heardNs: 1n, sequence: 0, aboutBe: 0, aboutMs: 0, beacon: NOBODY };
    six.map({ name: 'cb_heard_1' }).update(cbHeardKey.encode({ addr: about }), cbHeard.encode(heard));
    const tag = 0x1234_5678;
    const ask = (address: Uint8Array): ReturnType<typeof cbProbe.decode> => {
      const out = six.receive({ vni: 0, from: peer }, frame({ aboutBe: tag, beacon: { ...NOBODY, about: address } }));
      assert.equal(out.verdict, `overlay 0 ${peer}`);
      return cbProbe.decode(Uint8Array.from(out.data.subarray(14)));
    };
    const known = ask(about);
    assert.equal(known.aboutBe, tag);
    assert.ok(known.aboutMs > 0 && known.aboutMs < CB_PROBE_NEVER);
    assert.equal(ask(parseAddress('2001:db8:ffff::4') ?? about).aboutMs, CB_PROBE_NEVER);
    assert.equal(six.receive({ vni: 0, from: '2001:db8:ffff::9' }, frame({})).verdict, 'drop unknown_peer');
  } finally {
    six.close();
  }
});
