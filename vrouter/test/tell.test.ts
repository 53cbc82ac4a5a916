/** What is told of flows and drops of VIFs whose row says so. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import {
  CB_POLICY_NONE,
  CB_REASON_POLICY_EGRESS,
  CB_REASON_POLICY_INGRESS,
  CB_TOLD_BEGIN,
  CB_TOLD_BURST,
  CB_TOLD_BYTES,
  CB_TOLD_DROP,
  CB_TOLD_END,
  CB_TOLD_F_BY_RECEIVER,
  CB_TOLD_FORCED,
  CB_TOLD_IDLE,
  CB_TOLD_OVER,
  type CbTold,
  type CbUse,
  cbTold,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { arrayIndex } from '../../packages/agent/src/bpf/codec.ts';
import { RingBuffer } from '../../packages/agent/src/bpf/ring.ts';
import { choiceOf } from '../../packages/agent/src/flow-export/flow-record.ts';
import { formatAddress } from '../../packages/agent/src/plan/address.ts';
import { type Ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { type Guest, type GuestOptions, World } from './world.ts';

const VNI = 300;
const [A, B] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b'];
const PB = 8002;
const SENDER: GuestOptions = { mac: A, ip: '10.0.0.1', vni: VNI, policy: CB_POLICY_NONE };
const RECEIVER: GuestOptions = { mac: B, ip: '10.0.0.2', vni: VNI, policy: PB, project: 2 };
const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ba: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };

let world: World;
let ring: RingBuffer;
let a: Guest;
let b: Guest;

before(() => {
  world = new World();
  ring = new RingBuffer(world.map({ name: 'cb_told_1' }));
  a = world.addGuest('a', SENDER);
  b = world.addGuest('b', RECEIVER);
  for (const protocol of [PROTO.udp, PROTO.tcp])
    world.addRule({ policy: PB, direction: 'ingress', protocol, port: 80, bits: 16 });
});

after(() => {
  ring.close();
  world.close();
});

beforeEach(() => {
  world.forgetFlows();
  setTells(0, 0);
  told();
});

function setTells(ofSender: number, ofReceiver: number): void {
  world.setVif(a, { ...SENDER, tells: ofSender });
  world.setVif(b, { ...RECEIVER, tells: ofReceiver });
}

function told(): readonly CbTold[] {
  return ring.read(100_000).map((bytes) => cbTold.decode(bytes));
}

function gauge(): { readonly toldLost: bigint; readonly toldHeld: bigint } {
  return MAPS.cb_gauge_1.value.decode(world.map(MAPS.cb_gauge_1).lookup(arrayIndex.encode(0)) ?? new Uint8Array(0));
}

test('of who does not ask for it nothing is told', () => {
  assert.equal(world.send(a, udp(ab, { sport: 1, dport: 80 })).verdict, 'vif b');
  world.send(a, udp(ab, { sport: 1, dport: 81 }));
  assert.deepEqual(told(), []);
});

test('begin and end of a connection are told, with what both directions carried, whoever of both ends asks', () => {
  for (const [sender, receiver] of [
    [1, 0],
    [0, 1],
    [1, 1],
  ] as const) {
    setTells(sender, receiver);
    const [there, back] = [
      { sport: 1000, dport: 80 },
      { sport: 80, dport: 1000 },
    ];
    world.send(a, tcp(ab, { ...there, flags: TCP.syn }));
    const [begin, ...more] = told();
    assert.ok(begin !== undefined && more.length === 0);
    assert.equal(begin.kind, CB_TOLD_BEGIN);
    assert.equal(begin.tuple[0] && choiceOf(begin.tuple[0]), begin.choice, 'the agent computes the same');
    assert.deepEqual(
      [begin.owner, begin.project],
      [
        [a.vif, b.vif],
        [1, 2],
      ],
    );
    assert.deepEqual(
      [begin.packets, begin.bytes],
      [
        [0n, 0n],
        [0n, 0n],
      ],
    );
    assert.equal(formatAddress(begin.tuple[0]?.src ?? new Uint8Array(16)), '10.0.0.1');
    world.send(b, tcp(ba, { ...back, flags: TCP.syn | TCP.ack, ack: 1 }));
    world.send(a, tcp(ab, { ...there, flags: TCP.ack, seq: 1, ack: 1 }));
    assert.deepEqual(told(), [], 'nothing of what is established');
    world.send(a, tcp(ab, { ...there, flags: TCP.rst, seq: 1 }));
    world.send(a, tcp(ab, { ...there, flags: TCP.syn, seq: 5 }));
    const [end, next] = told();
    assert.deepEqual(
      [end?.kind, end?.reason, end?.flow, end?.life],
      [CB_TOLD_END, CB_TOLD_OVER, begin.flow, begin.life],
    );
    assert.deepEqual([end?.packets, end?.begunNs], [[3n, 1n], begin.begunNs]);
    assert.ok((end?.bytes[0] ?? 0n) >= 3n * 54n);
    assert.equal(next?.kind, CB_TOLD_BEGIN);
    assert.notEqual(next?.life, begin.life);
    world.forgetFlows();
    told();
  }
});

test('it is told why a flow ended', () => {
  setTells(1, 0);
  const packet = udp(ab, { sport: 2, dport: 80 });
  world.send(a, packet);
  world.age(1000);
  world.send(a, packet);
  assert.deepEqual(
    told().map(({ kind, reason }) => [kind, reason]),
    [
      [CB_TOLD_BEGIN, 0],
      [CB_TOLD_END, CB_TOLD_IDLE],
      [CB_TOLD_BEGIN, 0],
    ],
  );
  const rule = { policy: PB, direction: 'ingress', protocol: PROTO.udp, port: 80, bits: 16 } as const;
  world.removeRule(rule);
  world.raiseEpochs();
  world.send(a, packet);
  world.addRule(rule);
  assert.deepEqual(
    told().map(({ kind, reason }) => [kind, reason]),
    [
      [CB_TOLD_END, CB_TOLD_FORCED],
      [CB_TOLD_DROP, CB_REASON_POLICY_INGRESS],
    ],
  );
});

test('a flow whose begin was told has its end told, also when its ends ask no more', () => {
  setTells(1, 0);
  world.send(a, udp(ab, { sport: 3, dport: 80 }));
  setTells(0, 0);
  world.age(1000);
  world.send(a, udp(ab, { sport: 3, dport: 80 }));
  assert.deepEqual(
    told().map(({ kind }) => kind),
    [CB_TOLD_BEGIN, CB_TOLD_END],
  );
});

test('one of so many flows is told, and of a flow begin and end or neither', () => {
  setTells(4, 0);
  for (let sport = 1000; sport < 2000; sport += 1) world.send(a, udp(ab, { sport, dport: 80 }));
  const begun = told().map(({ flow, choice }) => {
    assert.equal(choice % 4, 0);
    return flow;
  });
  assert.ok(begun.length > 150 && begun.length < 350, `${begun.length} of 1000`);
  world.age(1000);
  for (let sport = 1000; sport < 2000; sport += 1) world.send(a, udp(ab, { sport, dport: 80 }));
  const ended = told().flatMap(({ kind, flow }) => (kind === CB_TOLD_END ? [flow] : []));
  assert.deepEqual(ended.sort(), begun.sort());
});

test('drops are told with the reason, a guest’s flood of them by a rate', () => {
  setTells(0, 1);
  world.send(a, udp(ab, { sport: 9, dport: 81 }));
  const [drop] = told();
  assert.deepEqual([drop?.kind, drop?.reason, drop?.packets], [CB_TOLD_DROP, CB_REASON_POLICY_INGRESS, [1n, 0n]]);
  assert.deepEqual([drop?.owner, drop?.tuple[0]?.dportBe], [[a.vif, b.vif], 81]);
  assert.deepEqual([drop?.flags, drop?.tuple[1]?.dportBe], [CB_TOLD_F_BY_RECEIVER, 81]);
  for (let n = 0; n < 3 * CB_TOLD_BURST; n += 1) world.send(a, udp(ab, { sport: 1000 + n, dport: 81 }));
  const [passed, held] = [told().length, Number(gauge().toldHeld)];
  assert.equal(passed + held, 3 * CB_TOLD_BURST);
  assert.ok(held > 0 && passed >= CB_TOLD_BURST - 1, `${passed} told, ${held} held`);
});

test('of an answer it is told whose rules refuse it: those of whom it is for, of his connection', () => {
  setTells(1, 1);
  world.send(a, udp(ab, { sport: 30, dport: 80 }));
  told();
  world.setVif(a, { ...SENDER, tells: 1, policy: PB });
  world.raiseEpochs();
  world.send(b, udp(ba, { sport: 80, dport: 30 }));
  const drops = told().filter(({ kind }) => kind === CB_TOLD_DROP);
  assert.deepEqual(
    drops.map(({ reason, flags, owner }) => [reason, flags, owner]),
    [[CB_REASON_POLICY_EGRESS, CB_TOLD_F_BY_RECEIVER, [b.vif, a.vif]]],
  );
});

test('of a VIF that is followed begins, ends and drops are told by a rate; what is exported is told as ever', () => {
  world.setVif(a, { ...SENDER, tells: 4, isFollowed: true });
  const count = 4 * CB_TOLD_BURST;
  for (let sport = 1000; sport < 1000 + count; sport += 1) world.send(a, udp(ab, { sport, dport: 80 }));
  const begun = told();
  const exported = begun.filter(({ choice }) => choice % 4 === 0);
  const [rest, held] = [begun.length - exported.length, Number(world.use(a.vif).toldHeld)];
  assert.equal(begun.length + held, count, 'what is not told is counted');
  assert.ok(held > 0 && rest >= CB_TOLD_BURST - 1, `${rest} told, ${held} held`);
  world.age(1000);
  for (let sport = 1000; sport < 1000 + count; sport += 1) world.send(a, udp(ab, { sport, dport: 80 }));
  const ended = new Set(told().flatMap(({ kind, flow }) => (kind === CB_TOLD_END ? [flow] : [])));
  assert.ok(
    exported.every(({ flow }) => ended.has(flow)),
    'the ends of those that are exported are all told',
  );
  world.setUse(a.vif, { flows: [0, 0], serviceNs: 0n, floodNs: 0n });
  world.setVif(a, SENDER);
  world.setVif(b, { ...RECEIVER, isFollowed: true });
  world.forgetFlows();
  told();
  for (const dport of [80, 81]) world.send(a, udp(ab, { sport: 5, dport }));
  assert.deepEqual(
    told().map(({ kind }) => kind),
    [CB_TOLD_BEGIN, CB_TOLD_DROP],
  );
});

test('who follows a port is told of what it has with one that is followed, too, and floods', () => {
  const over = process.hrtime.bigint() + 3_600_000_000_000n;
  const use = (followNs: bigint): Partial<CbUse> => ({ followNs, toldNs: followNs });
  world.setVif(a, { ...SENDER, isFollowed: true });
  world.setVif(b, { ...RECEIVER, isFollowed: true });
  const held = (): readonly number[] => [a, b].map(({ vif }) => Number(world.use(vif).toldHeld));
  for (const [dport, kind] of [
    [80, CB_TOLD_BEGIN],
    [81, CB_TOLD_DROP],
  ] as const) {
    for (const [ofA, ofB, expected] of [
      [over, 0n, [0, 0]],
      [0n, over, [0, 0]],
      [over, over, [1, 1]],
    ] as const) {
      world.forgetFlows();
      world.setUse(a.vif, use(ofA));
      world.setUse(b.vif, use(ofB));
      told();
      world.send(a, udp(ab, { sport: 7, dport }));
      const kinds = told().map((one) => one.kind);
      assert.deepEqual([kinds, held()], [expected[0] === 0 ? [kind] : [], expected], `${dport} ${ofA} ${ofB}`);
    }
  }
  for (const { vif } of [a, b]) world.setUse(vif, {});
});

test('what the full ring has no room for is counted, and flows go on', () => {
  setTells(1, 0);
  const room = Math.floor(CB_TOLD_BYTES / (cbTold.size + 8));
  for (let n = 0; n < room + 100; n += 1) {
    if (n % 2000 === 0) world.forgetFlows();
    const packet = udp(ab, { sport: 1000 + (n % 2000), dport: 80 });
    if (n % 1000 === 0) assert.equal(world.send(a, packet).verdict, 'vif b');
    else world.program('from_vif').testRun({ data: packet, context: { ifindex: a.ifindex } });
  }
  const lost = Number(gauge().toldLost);
  assert.ok(lost > 0, 'lost ones are counted');
  assert.equal(told().length, room);
  world.send(a, udp(ab, { sport: 60_000, dport: 80 }));
  assert.equal(told().length, 1, 'and it goes on when it was read');
});
