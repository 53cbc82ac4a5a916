/** What a segment that somebody guessed, or that came late, may do to a connection: nothing (RFC 5961). */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type Ipv4, PROTO, TCP, tcp } from './packet.ts';
import { type Guest, World } from './world.ts';

const VNI = 310;
const HOST = '192.0.2.9';
const [A, FAR] = ['02:00:00:00:00:0a', '02:00:00:00:00:0f'];
const POLICY = 60;

let world: World;
let a: Guest;

/** a may open TCP connections, and be reached at port 22. */
before(() => {
  world = new World();
  a = world.addGuest('a', { mac: A, ip: '10.0.0.1', vni: VNI, policy: POLICY });
  world.addRemote(VNI, '10.0.0.9', FAR, HOST);
  world.addPeer(HOST);
  world.addRule({ policy: POLICY, direction: 'egress', protocol: PROTO.tcp });
  world.addRule({ policy: POLICY, direction: 'ingress', protocol: PROTO.tcp, port: 22 });
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

type Segment = { flags: number; seq?: number; ack?: number; payload?: Buffer };

const there: Ipv4 = { src: A, dst: FAR, from: '10.0.0.1', to: '10.0.0.9' };
const back: Ipv4 = { src: FAR, dst: A, from: '10.0.0.9', to: '10.0.0.1' };
const sends = (segment: Segment): string => world.send(a, tcp(there, { sport: 1000, dport: 80, ...segment })).verdict;
const receives = (segment: Segment): string =>
  world.receive({ vni: VNI, from: HOST }, tcp(back, { sport: 80, dport: 1000, ...segment })).verdict;
const OUT = `overlay ${VNI} ${HOST}`;

const states = (): number[] => world.ways().map(({ way }) => way.state);
const [NEW, ESTABLISHED, CLOSING, CLOSED, PICKED_UP] = [1, 2, 3, 4, 5];

/** A connection with a's numbers from 5000 on and the other end's from 9000 on, with 100 bytes sent each way. */
function connect(): void {
  assert.equal(sends({ flags: TCP.syn, seq: 4999 }), OUT);
  assert.equal(receives({ flags: TCP.syn | TCP.ack, seq: 8999, ack: 5000 }), 'vif a');
  assert.equal(sends({ flags: TCP.ack, seq: 5000, ack: 9000, payload: Buffer.alloc(100) }), OUT);
  assert.equal(receives({ flags: TCP.ack, seq: 9000, ack: 5100, payload: Buffer.alloc(100) }), 'vif a');
  assert.equal(sends({ flags: TCP.ack, seq: 5100, ack: 9100 }), OUT);
  assert.deepEqual(states(), [ESTABLISHED, ESTABLISHED]);
}

for (const [what, seq, verdict, state] of [
  ['0', 0, 'drop tcp_window', ESTABLISHED],
  ['a GiB away', 9100 + 0x4000_0000, 'drop tcp_window', ESTABLISHED],
  ['one too low', 9099, 'drop tcp_window', ESTABLISHED],
  ['one too high, in the window', 9101, 'vif a', ESTABLISHED],
  ['what a waits for', 9100, 'vif a', CLOSED],
] as const) {
  test(`a RST with number ${what}: ${verdict}`, () => {
    connect();
    assert.equal(receives({ flags: TCP.rst, seq }), verdict);
    assert.deepEqual(states(), [state, state]);
  });
}

test('a RST after data that was not acknowledged yet ends the connection', () => {
  connect();
  receives({ flags: TCP.ack, seq: 9100, ack: 5100, payload: Buffer.alloc(300) });
  assert.equal(receives({ flags: TCP.rst, seq: 9400 }), 'vif a');
  assert.deepEqual(states(), [CLOSED, CLOSED]);
});

test('a RST in answer to a SYN must say which', () => {
  sends({ flags: TCP.syn, seq: 4999 });
  assert.equal(receives({ flags: TCP.rst, seq: 0 }), 'drop tcp_window');
  assert.equal(receives({ flags: TCP.rst | TCP.ack, seq: 0, ack: 4999 }), 'drop tcp_window');
  assert.deepEqual(states(), [NEW, NEW]);
  assert.equal(receives({ flags: TCP.rst | TCP.ack, seq: 0, ack: 5000 }), 'vif a');
  assert.deepEqual(states(), [CLOSED, CLOSED]);
});

test('a SYN+ACK must answer the SYN', () => {
  sends({ flags: TCP.syn, seq: 4999 });
  assert.equal(receives({ flags: TCP.syn | TCP.ack, seq: 7, ack: 4711 }), 'drop tcp_window');
  assert.deepEqual(states(), [NEW, NEW]);
  assert.equal(receives({ flags: TCP.syn | TCP.ack, seq: 8999, ack: 5000 }), 'vif a');
  assert.deepEqual(states(), [ESTABLISHED, ESTABLISHED]);
});

test('a SYN against an established connection is judged by its own, and changes nothing', () => {
  connect();
  assert.equal(receives({ flags: TCP.syn, seq: 1 }), 'drop policy_ingress');
  world.addRule({ policy: POLICY, direction: 'ingress', protocol: PROTO.tcp, port: 1000 });
  try {
    world.raiseEpochs();
    assert.equal(receives({ flags: TCP.syn, seq: 1 }), 'vif a', 'a asks whether it was meant');
  } finally {
    world.removeRule({ policy: POLICY, direction: 'ingress', protocol: PROTO.tcp, port: 1000 });
    world.raiseEpochs();
  }
  assert.deepEqual(states(), [ESTABLISHED, ESTABLISHED]);
  assert.equal(receives({ flags: TCP.ack, seq: 9100, ack: 5100 }), 'vif a');
});

test('a FIN from far outside of the window changes no state', () => {
  connect();
  assert.equal(receives({ flags: TCP.fin | TCP.ack, seq: 1, ack: 5100 }), 'vif a');
  assert.deepEqual(states(), [ESTABLISHED, ESTABLISHED]);
  assert.equal(receives({ flags: TCP.fin | TCP.ack, seq: 9100, ack: 5100 }), 'vif a');
  assert.deepEqual(states(), [CLOSING, CLOSING]);
});

test('a bare ACK from outside makes no flow where no rule allows it; from inside one for five minutes', () => {
  assert.equal(receives({ flags: TCP.ack, seq: 1, ack: 1 }), 'drop policy_ingress');
  assert.deepEqual(states(), []);
  const before = process.hrtime.bigint();
  assert.equal(sends({ flags: TCP.ack, seq: 5000, ack: 9000 }), OUT);
  const after = process.hrtime.bigint();
  assert.deepEqual(states(), [PICKED_UP, PICKED_UP]);
  const ends = world.ways()[0]?.way.expiresNs ?? 0n;
  // The kernel may look at its clock a little less often than we do.
  const [least, most] = [ends - after, ends - before].map((ns) => Number(ns) / 1e9) as [number, number];
  assert.ok(least < 301 && most > 299, `between ${least} and ${most} s`);
  assert.equal(receives({ flags: TCP.ack, seq: 9000, ack: 5000 }), 'vif a');
  assert.deepEqual(states(), [ESTABLISHED, ESTABLISHED]);
});

test('of a connection that was taken up in its middle, a RST ends only what it can name', () => {
  assert.equal(sends({ flags: TCP.ack, seq: 5000, ack: 9000 }), OUT);
  assert.equal(receives({ flags: TCP.rst, seq: 4 }), 'drop tcp_window');
  assert.equal(receives({ flags: TCP.rst, seq: 9000 }), 'vif a');
  assert.deepEqual(states(), [CLOSED, CLOSED]);
});
