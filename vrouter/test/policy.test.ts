import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { BROADCAST, ICMP, type Ipv4, icmp, ipv4, PROTO, sctp, TCP, tcp, udp } from './packet.ts';
import { type Guest, type Rule, World } from './world.ts';

const VNI = 200;
const OTHER = 201;
const HOST = '192.0.2.9';
const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const FAR = '02:00:00:00:00:0f';
const PA = 7001;
const PB = 7002;

let world: World;
let a: Guest;
let b: Guest;
let a2: Guest;
let b2: Guest;

before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, policy: PA });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, policy: PB });
  // The same MACs and addresses in another network: another tenant.
  a2 = world.addGuest('a2', { mac: A, ip: '10.0.0.1', vni: OTHER });
  b2 = world.addGuest('b2', { mac: B, ip: '10.0.0.2', vni: OTHER });
  world.addRemote(VNI, '10.0.0.3', FAR, HOST);
  world.addPeer(HOST);
  world.setFlood(VNI, [{ guest: a }, { guest: b }, { host: HOST }]);
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const ab: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const ports = { sport: 1000, dport: 2000 };
const egressAny: Rule = { policy: PA, direction: 'egress' };

/** Runs with rules that go afterwards. */
function withRules(rules: readonly Rule[], run: () => void): void {
  for (const rule of rules) world.addRule(rule);
  try {
    run();
  } finally {
    for (const rule of rules) world.removeRule(rule);
  }
}

const udpTo = (dport: number): Buffer => udp(ab, { sport: 1000, dport });
const tcpTo = (dport: number): Buffer => tcp(ab, { sport: 1000, dport, flags: TCP.syn });
const echo = icmp(ab, { type: ICMP.echo, id: 5 });

/** Cases against the receiver's ingress rules; the sender may send anything. */
const INGRESS: readonly {
  name: string;
  rules: readonly Omit<Rule, 'policy' | 'direction'>[];
  pass: readonly Buffer[];
  stop: readonly Buffer[];
}[] = [
  { name: 'no rule allows nothing', rules: [], pass: [], stop: [udpTo(2000), tcpTo(80), echo] },
  {
    name: 'a rule for any protocol allows all',
    rules: [{}],
    pass: [udpTo(1), tcpTo(80), echo, ipv4(ab, 99, Buffer.alloc(8))],
    stop: [],
  },
  {
    name: 'a rule for TCP allows only TCP',
    rules: [{ protocol: PROTO.tcp }],
    pass: [tcpTo(1), tcpTo(65535)],
    stop: [udpTo(1), echo],
  },
  {
    name: 'a rule for one port allows only it',
    rules: [{ protocol: PROTO.tcp, port: 80 }],
    pass: [tcpTo(80)],
    stop: [tcpTo(79), tcpTo(81), udpTo(80), tcpTo(20480)],
  },
  {
    name: 'the port range 8000 to 8005 as two prefixes allows these',
    rules: [
      { protocol: PROTO.udp, port: 8000, bits: 14 },
      { protocol: PROTO.udp, port: 8004, bits: 15 },
    ],
    pass: [udpTo(8000), udpTo(8003), udpTo(8004), udpTo(8005)],
    stop: [udpTo(7999), udpTo(8006), tcpTo(8000)],
  },
  {
    name: 'a rule for ICMP type 8 allows echo requests',
    rules: [{ protocol: PROTO.icmp, port: 8 << 8, bits: 8 }],
    pass: [echo],
    stop: [icmp(ab, { type: 13, id: 5 }), udpTo(2048)],
  },
  {
    name: 'a rule for ICMP type and code allows only that code',
    rules: [{ protocol: PROTO.icmp, port: (8 << 8) | 1 }],
    pass: [icmp(ab, { type: 8, code: 1, id: 5 })],
    stop: [echo],
  },
  {
    name: 'a rule for SCTP looks at its ports',
    rules: [{ protocol: PROTO.sctp, port: 2905 }],
    pass: [sctp(ab, { sport: 1, dport: 2905 })],
    stop: [sctp(ab, { sport: 1, dport: 1 })],
  },
];

for (const { name, rules, pass, stop } of INGRESS) {
  test(name, () => {
    withRules([egressAny, ...rules.map((rule) => ({ ...rule, policy: PB, direction: 'ingress' as const }))], () => {
      for (const frame of pass) assert.equal(world.send(a, frame).verdict, 'vif b');
      for (const frame of stop) assert.equal(world.send(a, frame).verdict, 'drop policy_ingress');
    });
  });
}

test('an egress rule lets out, also to another host, and an ingress rule does not', () => {
  const far = udp({ ...ab, dst: FAR, to: '10.0.0.3' }, ports);
  withRules([{ policy: PA, direction: 'ingress' }], () => {
    assert.equal(world.send(a, far).verdict, 'drop policy_egress');
  });
  withRules([egressAny], () => assert.equal(world.send(a, far).verdict, `overlay ${VNI} ${HOST}`));
});

test('from another host only the rules of the receiver count', () => {
  const frame = udp({ src: FAR, dst: B, from: '10.0.0.3', to: '10.0.0.2' }, ports);
  assert.equal(world.receive({ vni: VNI, from: HOST }, frame).verdict, 'drop policy_ingress');
  withRules([{ policy: PB, direction: 'ingress', protocol: PROTO.udp }], () => {
    assert.equal(world.receive({ vni: VNI, from: HOST }, frame).verdict, 'vif b');
  });
});

test('a drop by policy is counted for the VIF whose rules decided', () => {
  const code = (name: string): number => DROP_REASONS.find((one) => one.name === name)?.code ?? 0;
  const read = (guest: Guest, name: string): bigint => world.stat(guest).drops[code(name)] ?? 0n;
  const before = [read(a, 'policy_egress'), read(b, 'policy_ingress')];
  world.send(a, udpTo(1));
  withRules([egressAny], () => world.send(a, udpTo(1)));
  assert.deepEqual(
    [read(a, 'policy_egress'), read(b, 'policy_ingress')],
    [(before[0] ?? 0n) + 1n, (before[1] ?? 0n) + 1n],
  );
});

test('the class of the remote address chooses the rules, the longest prefix first', () => {
  world.addClass(PB, '10.0.0.0/24', 31);
  world.addClass(PB, '10.0.0.1/32', 32);
  const rule = (classId: number): Rule => ({ policy: PB, direction: 'ingress', classId, protocol: PROTO.udp });
  const far = udp({ src: FAR, dst: B, from: '10.0.0.3', to: '10.0.0.2' }, ports);
  for (const [classId, fromA, fromFar] of [
    [32, 'vif b', 'drop policy_ingress'],
    [31, 'drop policy_ingress', 'vif b'],
    [0, 'drop policy_ingress', 'drop policy_ingress'],
  ] as const) {
    withRules([egressAny, rule(classId)], () => {
      world.forgetFlows();
      assert.equal(world.send(a, udpTo(2000)).verdict, fromA, `class ${classId}`);
      assert.equal(world.receive({ vni: VNI, from: HOST }, far).verdict, fromFar, `class ${classId}`);
    });
  }
  const outside = udp({ src: FAR, dst: B, from: '10.9.0.3', to: '10.0.0.2' }, ports);
  withRules([rule(0)], () => {
    assert.equal(world.receive({ vni: VNI, from: HOST }, outside).verdict, 'vif b', 'no class: class 0');
  });
  for (const cidr of ['10.0.0.0/24', '10.0.0.1/32']) world.removeClass(PB, cidr);
});

test('the answer of an allowed connection passes without a rule, the reverse connection does not', () => {
  const answer: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
  withRules([egressAny, { policy: PB, direction: 'ingress' }], () => {
    world.send(a, udpTo(2000));
    world.send(a, tcpTo(80));
    world.send(a, echo);
    assert.equal(world.send(b, udp(answer, { sport: 2000, dport: 1000 })).verdict, 'vif a');
    const synAck = tcp(answer, { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack });
    assert.equal(world.send(b, synAck).verdict, 'vif a');
    assert.equal(world.send(b, icmp(answer, { type: ICMP.echoReply, id: 5 })).verdict, 'vif a');
    assert.equal(world.send(b, udp(answer, { sport: 2000, dport: 1001 })).verdict, 'drop policy_egress');
    const reverse = tcp(answer, { sport: 80, dport: 1000, flags: TCP.syn });
    assert.equal(world.send(b, reverse).verdict, 'drop policy_egress', 'a SYN over the same ports');
    assert.equal(world.send(b, icmp(answer, { type: ICMP.echo, id: 5 })).verdict, 'drop policy_egress');
    assert.equal(world.send(b, icmp(answer, { type: ICMP.echoReply, id: 6 })).verdict, 'drop invalid_state');
  });
});

test('a refused reverse connection does no harm to the flow', () => {
  const answer: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
  withRules([egressAny, { policy: PB, direction: 'ingress' }], () => {
    world.send(a, tcpTo(80));
    world.send(b, tcp(answer, { sport: 80, dport: 1000, flags: TCP.syn }));
    const synAck = tcp(answer, { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack });
    assert.equal(world.send(b, synAck).verdict, 'vif a');
  });
});

test('broadcast obeys the egress rules once and the ingress rules of each receiver', () => {
  const frame = udp({ ...ab, dst: BROADCAST, to: '10.0.0.255' }, ports);
  assert.equal(world.send(a, frame).verdict, 'drop policy_egress');
  withRules([egressAny], () => assert.equal(world.send(a, frame).verdict, 'flood 1 copies', 'to the other host'));
  withRules([egressAny, { policy: PB, direction: 'ingress' }], () => {
    assert.equal(world.send(a, frame).verdict, 'flood 2 copies');
  });
});

const VIRTUAL = '00:00:5e:00:01:07';

test('a connection to a MAC that nobody is known to have is a flow: its answers pass without a rule', () => {
  world.allowSource(b, VIRTUAL, '10.0.0.50');
  const there: Ipv4 = { ...ab, dst: VIRTUAL, to: '10.0.0.50' };
  const back: Ipv4 = { src: VIRTUAL, dst: A, from: '10.0.0.50', to: '10.0.0.1' };
  const syn = tcp(there, { sport: 1000, dport: 80, flags: TCP.syn });
  const synAck = tcp(back, { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack });
  withRules([egressAny], () => {
    assert.equal(world.send(a, syn).verdict, 'flood 1 copies', 'not to b, which allows nothing');
    assert.equal(world.send(b, synAck).verdict, 'drop policy_ingress', 'judged as the answer to what b did not allow');
  });
  withRules([egressAny, { policy: PB, direction: 'ingress' }], () => {
    assert.equal(world.send(b, synAck).verdict, 'drop invalid_state');
    assert.equal(world.send(a, syn).verdict, 'flood 2 copies');
    assert.equal(world.send(b, synAck).verdict, 'vif a');
    assert.equal(world.send(a, tcp(there, { sport: 1000, dport: 80, flags: TCP.ack })).verdict, 'flood 2 copies');
  });
});

test('an answer to a MAC that nobody is known to have reaches who asked', () => {
  world.allowSource(a, VIRTUAL, '10.0.0.51');
  const there: Ipv4 = { src: VIRTUAL, dst: B, from: '10.0.0.51', to: '10.0.0.2' };
  const back: Ipv4 = { src: B, dst: VIRTUAL, from: '10.0.0.2', to: '10.0.0.51' };
  withRules([egressAny, { policy: PB, direction: 'ingress' }], () => {
    const sent = world.sentTo(a);
    assert.equal(world.send(a, udp(there, ports)).verdict, 'vif b');
    assert.equal(world.send(b, udp(back, { sport: 2000, dport: 1000 })).verdict, 'flood 2 copies');
    assert.equal(world.sentTo(a), sent + 1);
    assert.equal(world.send(b, udp(back, { sport: 2000, dport: 1001 })).verdict, 'drop policy_egress');
  });
});

test('an answer to nobody in particular is dropped', () => {
  withRules([egressAny], () => {
    const reply = icmp({ ...ab, dst: BROADCAST, to: '10.0.0.255' }, { type: ICMP.echoReply, id: 5 });
    assert.equal(world.send(a, reply).verdict, 'drop invalid_state');
  });
});

test('two tenants with the same addresses do not meet, nor share flows or rules', () => {
  assert.equal(world.send(a2, udpTo(2000)).verdict, 'vif b2');
  assert.equal(world.send(a, udpTo(2000)).verdict, 'drop policy_egress', 'the flow of the other tenant is not used');
  withRules([egressAny, { policy: PB, direction: 'ingress' }], () => {
    assert.equal(world.send(a, udpTo(2000)).verdict, 'vif b');
  });
  const answer: Ipv4 = { src: B, dst: A, from: '10.0.0.2', to: '10.0.0.1' };
  assert.equal(world.send(b2, udp(answer, { sport: 2000, dport: 1000 })).verdict, 'vif a2');
});
