import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_ENDPOINT_VIF } from '../../packages/agent/src/bpf/abi.gen.ts';
import { ICMP, type Ipv4, icmp, PROTO, TCP, tcp, udp } from './packet.ts';
import { type Guest, type Rule, World } from './world.ts';

const VNI = 300;
const HOST = '192.0.2.9';
const NEW_HOST = '192.0.2.10';
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const FAR = '02:00:00:00:00:0f';
const PA = 8001;
const PB = 8002;

let world: World;
let a: Guest;
let b: Guest;
let spare: Guest;

/** a may send; b may be reached by UDP, TCP and ICMP; nothing the other way. */
const RULES: readonly Rule[] = [
  { policy: PA, direction: 'egress', protocol: PROTO.udp },
  { policy: PA, direction: 'egress', protocol: PROTO.tcp },
  { policy: PA, direction: 'egress', protocol: PROTO.icmp },
  { policy: PB, direction: 'ingress', protocol: PROTO.udp },
  { policy: PB, direction: 'ingress', protocol: PROTO.tcp },
  { policy: PB, direction: 'ingress', protocol: PROTO.icmp },
];

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, policy: PA });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, policy: PB });
  spare = world.addGuest('spare', { mac: '02:00:00:00:00:0e', ip: '10.0.0.14', vni: VNI, policy: PB });
  world.addPeer(HOST);
  world.addPeer(NEW_HOST);
  for (const rule of RULES) world.addRule(rule);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  world.addRemote(VNI, '10.0.0.3', FAR, HOST);
});

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ba: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
const there = { sport: 1000, dport: 80 };
const back = { sport: 80, dport: 1000 };
const segment = (flags: number): Buffer => tcp(ab, { ...there, flags });
const answer = (flags: number): Buffer => tcp(ba, { ...back, flags });
const udpThere = udp(ab, there);
const udpBack = udp(ba, back);

function withoutRule(rule: Rule, run: () => void): void {
  world.removeRule(rule);
  world.raiseEpochs();
  try {
    run();
  } finally {
    world.addRule(rule);
    world.raiseEpochs();
  }
}

const STATES = { 1: 'new', 2: 'established', 3: 'closing', 4: 'closed', 5: 'picked up' } as const;

/** State of both directions. */
function states(): string[] {
  return world.ways().map(({ way }) => Object.entries(STATES).find(([n]) => Number(n) === way.state)?.[1] ?? '?');
}

test('TCP goes through its states', () => {
  for (const [who, flags, expected] of [
    [a, TCP.syn, 'new'],
    [b, TCP.syn | TCP.ack, 'established'],
    [a, TCP.ack, 'established'],
    [b, TCP.ack, 'established'],
    [a, TCP.fin | TCP.ack, 'closing'],
    [b, TCP.ack, 'closing'],
    [b, TCP.fin | TCP.ack, 'closed'],
    [a, TCP.ack, 'closed'],
  ] as const) {
    const out = who === a ? world.send(a, segment(flags)) : world.send(b, answer(flags));
    assert.equal(out.verdict, who === a ? 'vif b' : 'vif a');
    assert.deepEqual(states(), [expected, expected], `after flags ${flags} from ${who.name}`);
  }
});

test('a RST closes, and a SYN after the end starts anew', () => {
  world.send(a, segment(TCP.syn));
  world.send(b, answer(TCP.rst | TCP.ack));
  assert.deepEqual(states(), ['closed', 'closed']);
  assert.equal(world.send(a, segment(TCP.syn)).verdict, 'vif b');
  assert.deepEqual(states(), ['new', 'new']);
});

test('a repeated SYN does not start anew', () => {
  world.send(a, segment(TCP.syn));
  world.send(b, answer(TCP.syn | TCP.ack));
  world.send(a, segment(TCP.syn));
  assert.deepEqual(states(), ['established', 'established']);
});

test('UDP and ICMP are new until answered', () => {
  world.send(a, udpThere);
  world.send(a, udpThere);
  assert.deepEqual(states(), ['new', 'new']);
  world.send(b, udpBack);
  assert.deepEqual(states(), ['established', 'established']);
  world.forgetFlows();
  world.send(a, icmp(ab, { type: ICMP.echo, id: 3 }));
  world.send(b, icmp(ba, { type: ICMP.echoReply, id: 3 }));
  assert.deepEqual(states(), ['established', 'established']);
});

test('a flow counts the packets and bytes of each direction', () => {
  for (let i = 0; i < 3; i++) world.send(a, udpThere);
  for (let i = 0; i < 2; i++) world.send(b, udpBack);
  const counts = world.ways().map(({ direction, tally }) => [direction, tally.packets, tally.bytes]);
  assert.deepEqual(counts.sort(), [
    [0, 3n, BigInt(3 * udpThere.length)],
    [1, 2n, BigInt(2 * udpBack.length)],
  ]);
});

for (const [what, seconds, setUp, late, verdict] of [
  ['an unanswered UDP flow lasts 29 s', 29, [udpThere], udpBack, 'vif a'],
  ['an unanswered UDP flow does not last 31 s', 31, [udpThere], udpBack, 'drop policy_egress'],
  ['an answered UDP flow lasts 179 s', 179, [udpThere, udpBack], udpBack, 'vif a'],
  ['an answered UDP flow does not last 181 s', 181, [udpThere, udpBack], udpBack, 'drop policy_egress'],
  ['a half-open TCP flow lasts 119 s', 119, [segment(TCP.syn)], answer(TCP.syn | TCP.ack), 'vif a'],
  [
    'a half-open TCP flow does not last 121 s',
    121,
    [segment(TCP.syn)],
    answer(TCP.syn | TCP.ack),
    'drop invalid_state',
  ],
  ['an established TCP flow lasts 4 days', 345_600, [segment(TCP.syn), answer(18)], answer(TCP.ack), 'vif a'],
  [
    'an established TCP flow does not last 6 days',
    518_400,
    [segment(TCP.syn), answer(18)],
    answer(TCP.ack),
    'drop policy_egress',
  ],
  ['a closed TCP flow does not last 11 s', 11, [segment(TCP.syn), answer(20)], answer(TCP.ack), 'drop policy_egress'],
] as const) {
  test(what, () => {
    for (const frame of setUp) world.send(frame === udpThere || frame[11] === 0x0a ? a : b, frame);
    world.age(seconds);
    assert.equal(world.send(b, late).verdict, verdict);
  });
}

test('a packet refreshes the time of both directions, at most once a second', () => {
  world.send(a, udpThere);
  world.send(b, udpBack);
  world.age(100);
  world.send(a, udpThere);
  const seen = world.ways().map(({ way }) => way.expiresNs);
  assert.equal(seen[0], seen[1]);
  world.age(100);
  assert.equal(world.send(b, udpBack).verdict, 'vif a', 'not 200 s old');
  const now = world.ways()[0]?.way.expiresNs;
  world.send(b, udpBack);
  assert.equal(world.ways()[0]?.way.expiresNs, now, 'not again within the second');
});

test('a changed epoch keeps what is still allowed, in both directions', () => {
  for (const [first, reply] of [
    [udpThere, udpBack],
    [segment(TCP.ack), answer(TCP.ack)],
    [icmp(ab, { type: ICMP.echo, id: 3 }), icmp(ba, { type: ICMP.echoReply, id: 3 })],
  ] as const) {
    world.forgetFlows();
    world.send(a, first);
    world.send(b, reply);
    world.raiseEpochs();
    assert.equal(world.send(b, reply).verdict, 'vif a', 'the answer first: not judged as a connection of b');
    assert.equal(world.send(a, first).verdict, 'vif b');
    assert.deepEqual(states(), ['established', 'established']);
  }
});

for (const [what, rule, reason] of [
  ["the sender's egress rule", { policy: PA, direction: 'egress', protocol: PROTO.udp }, 'policy_egress'],
  ["the receiver's ingress rule", { policy: PB, direction: 'ingress', protocol: PROTO.udp }, 'policy_ingress'],
] as const) {
  for (const first of ['packet', 'answer'] as const) {
    test(`without ${what} the next ${first} is dropped and the flow ends`, () => {
      world.send(a, udpThere);
      world.send(b, udpBack);
      withoutRule(rule, () => {
        const out = first === 'packet' ? world.send(a, udpThere) : world.send(b, udpBack);
        assert.equal(out.verdict, `drop ${reason}`);
        assert.deepEqual(states(), []);
      });
    });
  }
}

test('a decision again looks at the port that the first packet went to', () => {
  const anyPort: Rule = { policy: PB, direction: 'ingress', protocol: PROTO.udp };
  const onePort: Rule = { ...anyPort, port: 80 };
  world.send(a, udpThere);
  world.send(b, udpBack);
  world.addRule(onePort);
  withoutRule(anyPort, () => {
    assert.equal(world.send(b, udpBack).verdict, 'vif a');
    world.removeRule(onePort);
    world.addRule({ ...onePort, port: 1000 });
    world.raiseEpochs();
    assert.equal(world.send(b, udpBack).verdict, 'drop policy_ingress');
  });
  world.removeRule({ ...onePort, port: 1000 });
});

test('a flow is not a way around the rules of another sender of the same addresses', () => {
  world.allowSource(spare, A, '10.0.0.1');
  assert.equal(world.send(a, udpThere).verdict, 'vif b');
  assert.equal(world.send(spare, udpThere).verdict, 'drop policy_egress');
});

test('without a new epoch an established flow is not decided again', () => {
  const rule: Rule = { policy: PB, direction: 'ingress', protocol: PROTO.udp };
  world.send(a, udpThere);
  world.removeRule(rule);
  try {
    assert.equal(world.send(a, udpThere).verdict, 'vif b');
  } finally {
    world.addRule(rule);
  }
});

test('an endpoint that moved is found again with the next epoch: remote to remote, remote to local', () => {
  const toFar = udp({ ...ab, dst: FAR, to: '10.0.0.3' }, there);
  assert.equal(world.send(a, toFar).verdict, `overlay ${VNI} ${HOST}`);
  world.addRemote(VNI, '10.0.0.3', FAR, NEW_HOST);
  world.raiseEpochs();
  assert.equal(world.send(a, toFar).verdict, `overlay ${VNI} ${NEW_HOST}`);
  world.setEndpoint(VNI, ['10.0.0.3'], FAR, { kind: CB_ENDPOINT_VIF, guest: spare });
  world.allowSource(spare, FAR, '10.0.0.3');
  world.raiseEpochs();
  assert.equal(world.send(a, toFar).verdict, 'vif spare');
  const reply = udp({ src: FAR, dst: A, from: '10.0.0.3', to: '10.0.0.1' }, back);
  assert.equal(world.send(spare, reply).verdict, 'vif a', 'its answers belong to the flow that came over the overlay');
});

test('a flow follows a sender that moved here from another host', () => {
  const fromFar: Ipv4 = { src: FAR, dst: B, from: '10.0.0.3', to: '10.0.0.2' };
  const toFar: Ipv4 = { src: B, dst: FAR, from: '10.0.0.2', to: '10.0.0.3' };
  assert.equal(world.receive({ vni: VNI, from: HOST }, udp(fromFar, there)).verdict, 'vif b');
  assert.equal(world.send(b, udp(toFar, back)).verdict, `overlay ${VNI} ${HOST}`);
  world.setEndpoint(VNI, ['10.0.0.3'], FAR, { kind: CB_ENDPOINT_VIF, guest: spare });
  world.allowSource(spare, FAR, '10.0.0.3');
  world.addRule({ policy: PB, direction: 'egress' });
  world.raiseEpochs();
  try {
    assert.equal(world.send(spare, udp(fromFar, there)).verdict, 'vif b');
    assert.equal(world.send(b, udp(toFar, back)).verdict, 'vif spare');
  } finally {
    world.removeRule({ policy: PB, direction: 'egress' });
  }
});

test('a flow is not a way around the rules of another receiver', () => {
  world.send(a, udpThere);
  const other = world.addGuest('closed', { mac: '02:00:00:00:00:cc', ip: '10.0.0.44', vni: VNI, policy: 9999 });
  const sameTuple = udp({ ...ab, dst: other.mac }, there);
  assert.equal(world.send(a, sameTuple).verdict, 'drop policy_ingress', 'the same addresses and ports to another MAC');
});

test('TCP in its middle is taken up where its own direction is allowed, and only there', () => {
  assert.equal(world.send(b, answer(TCP.ack)).verdict, 'drop policy_egress');
  assert.equal(world.send(a, segment(TCP.ack)).verdict, 'vif b');
  assert.deepEqual(states(), ['picked up', 'picked up']);
  assert.equal(world.send(b, answer(TCP.ack)).verdict, 'vif a');
  assert.deepEqual(states(), ['established', 'established']);
});

for (const [what, flags] of [
  ['SYN and ACK', TCP.syn | TCP.ack],
  ['RST', TCP.rst],
] as const) {
  test(`${what} without a flow is dropped, though the rules allow TCP`, () => {
    assert.equal(world.send(a, segment(flags)).verdict, 'drop invalid_state');
    assert.deepEqual(states(), []);
  });
}

test('a hundred connections are two directions each', () => {
  for (let sport = 2000; sport < 2100; sport++) world.send(a, tcp(ab, { sport, dport: 80, flags: TCP.syn }));
  assert.equal(world.ways().length, 200);
});

test('a changed row decides again what goes through it, and nothing else', () => {
  const other: Ipv4 = { src: A, dst: spare.mac, from: '10.0.0.1', to: spare.ip };
  world.send(a, udpThere);
  world.send(a, udp(other, there));
  const rule: Rule = { policy: PB, direction: 'ingress', protocol: PROTO.udp };
  world.removeRule(rule);
  try {
    world.raiseEpoch(b);
    assert.equal(world.send(a, udp(other, there)).verdict, 'vif spare', 'not its row');
    assert.equal(world.send(a, udpThere).verdict, 'drop policy_ingress', 'the receiver’s row');
    world.raiseEpoch(VNI);
    assert.equal(world.send(a, udp(other, there)).verdict, 'drop policy_ingress', 'the network’s row');
  } finally {
    world.addRule(rule);
  }
});

test('what is decided while a row is written is not remembered, and a denial then ends no flow', () => {
  const rule: Rule = { policy: PB, direction: 'ingress', protocol: PROTO.udp };
  world.send(a, udpThere);
  world.send(b, udpBack);
  world.unsettled(() => {
    world.removeRule(rule);
    assert.equal(world.send(a, udpThere).verdict, 'drop policy_ingress');
    assert.deepEqual(states(), ['established', 'established']);
    world.addRule(rule);
    assert.equal(world.send(a, udpThere).verdict, 'vif b');
    world.removeRule(rule);
    assert.equal(world.send(a, udpThere).verdict, 'drop policy_ingress', 'decided for each packet');
    world.addRule(rule);
  });
  assert.equal(world.send(b, udpBack).verdict, 'vif a');
  assert.equal(world.send(a, udpThere).verdict, 'vif b');
});

test('a stranger with the addresses of a flow does not end it before its answer either', () => {
  world.send(a, udpThere);
  world.allowSource(spare, A, '10.0.0.1');
  world.raiseEpochs();
  assert.equal(world.send(spare, udpThere).verdict, 'drop policy_egress');
  assert.equal(world.send(b, udpBack).verdict, 'vif a');
});

test('a packet that would be its own answer is no connection, and is told by its reason', () => {
  const land = { ...ab, dst: '02:00:00:00:00:77', to: '10.0.0.1' };
  assert.equal(world.send(a, udp(land, { sport: 1000, dport: 1000 })).verdict, 'drop invalid_state');
  const { tuples, counted, live } = world.audit();
  assert.deepEqual({ tuples, counted, live }, { tuples: 0, counted: 0, live: 0 });
});

test('a stranger with the addresses of a flow does not end it', () => {
  world.send(a, udpThere);
  world.send(b, udpBack);
  world.allowSource(spare, A, '10.0.0.1');
  world.raiseEpochs();
  assert.equal(world.send(spare, udpThere).verdict, 'drop policy_egress');
  assert.equal(world.send(b, udpBack).verdict, 'vif a');
  assert.deepEqual(states(), ['established', 'established']);
});
