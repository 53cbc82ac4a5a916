/** A policy that remembers nothing: each packet needs a rule of its own direction, and no packet needs one before it. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CB_VIF_F_STATELESS, DROP_REASONS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { ICMP, type Ipv4, icmp, icmpError, PROTO, TCP, tcp, udp } from './packet.ts';
import { DEFAULT_FLAGS, type Guest, type Rule, World } from './world.ts';

const VNI = 320;
const HOST = '192.0.2.9';
const [S, B, FAR] = ['02:00:00:00:00:05', '02:00:00:00:00:0b', '02:00:00:00:00:0f'];
const POLICY = 70;
const OF_B = 71;
const FLOWS = 256;

let world: World;
let s: Guest;
let b: Guest;
let added: Rule[] = [];

/** s is stateless, b is not; both on this host, far on another. */
before(() => {
  world = new World(8, FLOWS);
  s = world.addGuest('s', {
    mac: S,
    ip: '10.0.0.5',
    vni: VNI,
    policy: POLICY,
    flags: DEFAULT_FLAGS | CB_VIF_F_STATELESS,
  });
  b = world.addGuest('b', { mac: B, ip: '10.0.0.2', vni: VNI, policy: OF_B });
  world.addRemote(VNI, '10.0.0.9', FAR, HOST);
  world.addPeer(HOST);
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  for (const rule of added) world.removeRule(rule);
  added = [];
});

function allow(...rules: readonly (Omit<Rule, 'policy'> & { readonly policy?: number })[]): void {
  for (const rule of rules) {
    const whole = { policy: POLICY, ...rule };
    world.addRule(whole);
    added.push(whole);
  }
}

const there: Ipv4 = { src: S, dst: FAR, from: '10.0.0.5', to: '10.0.0.9' };
const back: Ipv4 = { src: FAR, dst: S, from: '10.0.0.9', to: '10.0.0.5' };
const sends = (frame: Buffer): string => world.send(s, frame).verdict;
const receives = (frame: Buffer): string => world.receive({ vni: VNI, from: HOST }, frame).verdict;
const OUT = `overlay ${VNI} ${HOST}`;
const query = udp(there, { sport: 1000, dport: 53 });
const answer = udp(back, { sport: 53, dport: 1000 });
const synAck = tcp(back, { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack });

test('an answer needs an ingress rule, before and after the question', () => {
  allow({ direction: 'egress' });
  assert.deepEqual([sends(query), receives(answer)], [OUT, 'drop policy_ingress']);
  allow({ direction: 'ingress', protocol: PROTO.udp, port: 1000 });
  world.forgetFlows();
  assert.equal(receives(answer), 'vif s');
  assert.deepEqual([sends(query), receives(answer)], [OUT, 'vif s']);
});

test('what it answers needs an egress rule, by the port that it goes to', () => {
  allow({ direction: 'ingress', protocol: PROTO.udp, port: 53 });
  const asked = udp(back, { sport: 1000, dport: 53 });
  const said = udp(there, { sport: 53, dport: 1000 });
  assert.deepEqual([receives(asked), sends(said)], ['vif s', 'drop policy_egress']);
  allow({ direction: 'egress', protocol: PROTO.udp, port: 1000 });
  world.forgetFlows();
  assert.deepEqual([receives(asked), sends(said), sends(said)], ['vif s', OUT, OUT]);
});

test('a refused answer is counted for it, and does not end what is allowed', () => {
  const denied = (): bigint =>
    world.stat(s).drops[DROP_REASONS.find(({ name }) => name === 'policy_ingress')?.code ?? 0] ?? 0n;
  allow({ direction: 'egress' });
  const before = denied();
  sends(query);
  receives(answer);
  assert.equal(denied(), before + 1n);
  assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
});

test('SYN+ACK, RST and ICMP answers pass without a beginning where a rule allows them, and are not remembered', () => {
  const reply = icmp(back, { type: ICMP.echoReply, id: 5 });
  const frames = [synAck, tcp(back, { sport: 80, dport: 1000, flags: TCP.rst }), reply];
  assert.deepEqual(frames.map(receives), new Array(3).fill('drop policy_ingress'));
  allow({ direction: 'ingress', protocol: PROTO.tcp }, { direction: 'ingress', protocol: PROTO.icmp, port: 8 << 8 });
  assert.deepEqual(frames.map(receives), ['vif s', 'vif s', 'drop policy_ingress']);
  allow({ direction: 'ingress', protocol: PROTO.icmp, port: 0 });
  assert.equal(receives(reply), 'vif s', 'type 0');
  assert.deepEqual(world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
});

test('an echo reply to what it asked needs a rule for its type', () => {
  allow({ direction: 'egress' }, { direction: 'ingress', protocol: PROTO.icmp, port: 8 << 8 });
  const reply = icmp(back, { type: ICMP.echoReply, id: 5 });
  sends(icmp(there, { type: ICMP.echo, id: 5 }));
  assert.equal(receives(reply), 'drop policy_ingress');
  allow({ direction: 'ingress', protocol: PROTO.icmp, port: 0 });
  assert.equal(receives(reply), 'vif s');
});

test('an ICMP error comes back to what it sent, and to nothing else', () => {
  allow({ direction: 'egress' });
  const error = icmpError(back, { type: ICMP.unreachable, code: 3 }, query);
  assert.equal(receives(error), 'drop invalid_state');
  sends(query);
  assert.equal(receives(error), 'vif s');
});

test('one end that remembers is enough: it is judged as ever', () => {
  allow({ direction: 'egress' }, { direction: 'ingress' }, { policy: OF_B, direction: 'egress' });
  const toB: Ipv4 = { src: S, dst: B, from: '10.0.0.5', to: '10.0.0.2' };
  const toS: Ipv4 = { src: B, dst: S, from: '10.0.0.2', to: '10.0.0.5' };
  assert.equal(sends(tcp(toB, { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack })), 'drop invalid_state');
  assert.equal(sends(udp(toB, { sport: 53, dport: 1000 })), 'drop policy_ingress');
  assert.equal(world.send(b, udp(toS, { sport: 1000, dport: 53 })).verdict, 'vif s');
  assert.equal(sends(udp(toB, { sport: 53, dport: 1000 })), 'vif b', 'the answer to what b asked');
});

test('a rule that is removed cuts its direction at once, and the other not', () => {
  const ingress = { policy: POLICY, direction: 'ingress' } as const;
  allow({ direction: 'egress' }, ingress);
  assert.deepEqual([sends(query), receives(answer)], [OUT, 'vif s']);
  world.removeRule(ingress);
  added.pop();
  world.raiseEpoch(s);
  assert.deepEqual([receives(answer), sends(query)], ['drop policy_ingress', OUT]);
});

test('packets for which the flow table has no room pass all the same; those of others do not', () => {
  allow({ direction: 'egress' }, { policy: OF_B, direction: 'egress' });
  const from = (sport: number): Buffer => udp(there, { sport, dport: 53 });
  const verdicts = Array.from({ length: 2 * FLOWS }, (_, n) => sends(from(1000 + n)));
  assert.deepEqual([...new Set(verdicts)], [OUT]);
  assert.ok(world.audit().live < FLOWS);
  const fromB: Ipv4 = { src: B, dst: FAR, from: '10.0.0.2', to: '10.0.0.9' };
  const others = Array.from(
    { length: 2 * FLOWS },
    (_, n) => world.send(b, udp(fromB, { sport: 1000 + n, dport: 53 })).verdict,
  );
  assert.equal(others.at(-1), 'drop flow_share');
});
