/** Blocks of ports of a router's address: who has which, on the gateway's host and on others. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_ENDPOINT_GATEWAY, CB_NET_F_TRANSIT } from '../../packages/agent/src/bpf/abi.gen.ts';
import {
  addExternal,
  addGateway,
  addLease,
  addOwnWay,
  addRemoteBlock,
  forgetNextHop,
  type Gateway,
  heldBlock,
  type Lease,
  removeLease,
  setSnat,
} from './outside.ts';
import { arp, gre, ICMP, type Ipv4, icmp, icmpError, ipv4, PROTO, sctp, TCP, tcp, udp } from './packet.ts';
import { type Guest, OPEN_FLAGS, type Outcome, World } from './world.ts';

const [INSIDE, EXTERNAL, TRANSIT] = [100, 900, 800];
const [VRF, EXIT] = [5, 6];
const [A, B, OPEN] = ['02:00:00:00:01:0a', '02:00:00:00:01:0b', '02:00:00:00:01:0c'];
/** The router's MACs: inside, and outside on the gateway's host and on the other. */
const [R1, G, H] = ['02:00:00:00:01:fe', '02:00:00:00:09:fe', '06:00:00:00:09:fe'];
const N = '02:00:00:00:ee:01';
const [OUTER, NEXT, S] = ['198.51.100.7', '203.0.113.1', '203.0.113.2'];
/** Underlay addresses of the gateway's host and of the other. */
const [GATEWAY_HOST, OTHER_HOST] = ['192.0.2.1', '192.0.2.2'];
const WIRE = 'wire';

const gateway: Gateway = { vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: NEXT };
const ports = { sport: 1000, dport: 2000 };

/** The port or identifier with which a packet left. */
function portOf({ packet }: Pick<Outcome, 'packet'>): number {
  const found = /(?:udp|tcp) (\d+) >|icmp \S+ id (\d+)/.exec(packet);
  return Number(found?.[1] ?? found?.[2]);
}

function isOf(port: number, first: number): boolean {
  return port >= first && port < first + 64;
}

const out = (from: Pick<Guest, 'mac' | 'ip'>): Ipv4 => ({ src: from.mac, dst: R1, from: from.ip, to: OUTER });
/** As it comes from outside: by the gateway's host it keeps its MACs. */
const back: Ipv4 = { src: N, dst: G, from: OUTER, to: S };
const reply = (dst: string): Buffer =>
  arp({ src: N, dst }, { op: 'reply', sha: N, spa: NEXT, tha: dst, tpa: dst === G ? S : '0.0.0.0' });

describe('a host that is not the gateway’s', () => {
  let world: World;
  let a: Guest;
  let b: Guest;
  let open: Guest;
  const lease = (over: Partial<Lease> = {}): Lease => ({
    ...{ vrf: VRF, sender: { guest: a }, ip: S, ports: [2048], exit: EXIT, mac: H },
    ...over,
  });

  before(() => {
    world = new World();
    addExternal(world, EXTERNAL);
    a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE });
    b = world.addGuest('b', { mac: B, ip: '10.0.0.6', vni: INSIDE });
    open = world.addGuest('open', { mac: OPEN, ip: '10.0.0.7', vni: INSIDE, flags: OPEN_FLAGS });
    world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
    addOwnWay(world, { ...gateway, host: GATEWAY_HOST, transit: TRANSIT, exit: EXIT, ownMac: H });
  });

  after(() => world.close());

  beforeEach(() => {
    world.forgetFlows();
    addLease(world, lease());
    addLease(world, lease({ sender: { guest: open }, ports: [2112] }));
    world.raiseEpochs();
    world.arrive(reply(H));
  });

  /** What the gateway's host gives on. */
  const relayed = (frame: Uint8Array): Outcome => world.receive({ vni: TRANSIT, from: GATEWAY_HOST }, frame);

  test('asks for the next hop by a probe: nobody learns that the router’s address is here', () => {
    forgetNextHop(world, EXTERNAL, NEXT);
    const first = world.send(a, udp(out(a), ports));
    assert.equal(first.verdict, `${WIRE} (no_neighbour)`);
    assert.match(first.packet, new RegExp(`^${H} > ff:ff:ff:ff:ff:ff arp request ${H} 0.0.0.0 to \\S+ ${NEXT}$`));
    world.arrive(reply(H));
    assert.equal(world.send(a, udp(out(a), ports)).verdict, WIRE);
  });

  test('does not answer for the router’s address', () => {
    const asked = world.arrive(arp({ src: N, dst: 'ff:ff:ff:ff:ff:ff' }, { op: 'request', sha: N, spa: NEXT, tpa: S }));
    assert.doesNotMatch(asked.packet, /arp reply/);
    assert.equal(asked.verdict, 'pass');
  });

  for (const [what, frame, answer, own] of [
    [
      'TCP',
      (from: Guest) => tcp(out(from), { sport: 1000, dport: 80, flags: TCP.syn }),
      (port: number) => tcp(back, { sport: 80, dport: port, flags: TCP.syn | TCP.ack }),
      'tcp 80 > 1000',
    ],
    [
      'UDP',
      (from: Guest) => udp(out(from), { sport: 1000, dport: 80 }),
      (port: number) => udp(back, { sport: 80, dport: port }),
      'udp 80 > 1000',
    ],
    [
      'ICMP',
      (from: Guest) => icmp(out(from), { type: ICMP.echo, id: 1000 }),
      (id: number) => icmp(back, { type: ICMP.echoReply, id }),
      'icmp 0/0 id 1000',
    ],
  ] as const) {
    test(`sends ${what} by its own uplink and MAC, with a port of the sender’s block, and takes the answer from the gateway’s`, () => {
      const sent = world.send(a, frame(a));
      assert.equal(sent.verdict, WIRE);
      assert.match(sent.packet, new RegExp(`^${H} > ${N} ip ${S} > ${OUTER} ttl 63 `));
      const port = portOf(sent);
      assert.ok(isOf(port, 2048), String(port));
      for (const round of ['first', 'established', 'decided anew']) {
        const got = relayed(answer(port));
        assert.equal(got.verdict, 'vif a', round);
        assert.equal(got.packet, `${R1} > ${A} ip ${OUTER} > ${a.ip} ttl 63 ${own}`);
        assert.equal(portOf(world.send(a, frame(a))), port);
        if (round === 'established') world.raiseEpochs();
      }
      assert.ok(isOf(portOf(world.send(open, frame(open))), 2112), 'another guest has another block');
      assert.deepEqual(world.audit(), { tuples: 4, counted: 2, live: 2, owned: 2 });
    });
  }

  test('an answer that comes by its own uplink is one too: the gateway may have moved here', () => {
    const port = portOf(world.send(a, udp(out(a), ports)));
    assert.equal(relayed(udp(back, { sport: 2000, dport: port })).verdict, 'vif a');
    assert.equal(world.arrive(udp({ ...back, dst: H }, { sport: 2000, dport: port })).verdict, 'vif a');
    assert.deepEqual(world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
  });

  test('ICMP errors about what a guest has sent come by the gateway’s host', () => {
    const port = portOf(world.send(a, udp(out(a), ports)));
    const quoted = udp({ src: H, dst: N, from: S, to: OUTER }, { ...ports, sport: port });
    const got = relayed(icmpError({ ...back, from: '192.0.2.99' }, { type: ICMP.timeExceeded }, quoted));
    assert.equal(got.verdict, 'vif a');
    assert.match(got.packet, new RegExp(`ip 192.0.2.99 > ${a.ip} ttl 63 icmp 11/0 id 0$`));
  });

  test('what answers nothing goes nowhere', () => {
    const port = portOf(world.send(a, tcp(out(a), { ...ports, flags: TCP.syn })));
    const answer = { sport: 2000, dport: port, flags: TCP.syn | TCP.ack };
    assert.equal(relayed(tcp({ ...back, from: '198.51.100.9' }, answer)).verdict, 'drop no_endpoint');
    assert.equal(relayed(tcp(back, { ...answer, flags: TCP.syn, dport: 2100 })).verdict, 'drop no_endpoint');
    assert.equal(relayed(udp(back, { sport: 9, dport: 2100 })).verdict, 'drop no_endpoint');
    assert.equal(relayed(icmp(back, { type: ICMP.echo, id: 1 })).verdict, 'drop no_endpoint');
    assert.equal(relayed(udp({ ...back, to: a.ip }, ports)).verdict, 'drop no_route', 'by his own address');
    assert.equal(world.receive({ vni: TRANSIT, from: OTHER_HOST }, tcp(back, answer)).verdict, 'drop unknown_peer');
    assert.equal(relayed(tcp(back, answer)).verdict, 'vif a');
  });

  test('who has no block, and what has no ports, goes by the gateway’s host; so does what is for its neighbours', () => {
    for (const frame of [
      udp(out(b), ports),
      tcp(out(b), { ...ports, flags: TCP.syn }),
      sctp(out(a), ports),
      gre(out(a), { type: 0x0800 }),
      udp({ ...out(a), to: '203.0.113.77' }, ports),
    ]) {
      const from = frame.includes(Buffer.from(B.replaceAll(':', ''), 'hex')) ? b : a;
      const sent = world.send(from, frame);
      assert.equal(sent.verdict, `overlay ${TRANSIT} ${GATEWAY_HOST}`);
      assert.match(sent.packet, new RegExp(`> ${G} ip ${from.ip.replaceAll('.', '\\.')} > `));
    }
  });

  test('a guest that gets a block keeps the connections that were answered', () => {
    const first = { sport: 77, dport: 78 };
    assert.equal(world.send(b, udp(out(b), first)).verdict, `overlay ${TRANSIT} ${GATEWAY_HOST}`);
    world.addPeer(GATEWAY_HOST, [INSIDE]);
    const answer = udp({ src: R1, dst: B, from: OUTER, to: b.ip }, { sport: 78, dport: 77 });
    assert.equal(world.receive({ vni: INSIDE, from: GATEWAY_HOST }, answer).verdict, 'vif b');
    addLease(world, lease({ sender: { guest: b }, ports: [4096] }));
    world.raiseEpochs();
    assert.equal(world.send(b, udp(out(b), first)).verdict, `overlay ${TRANSIT} ${GATEWAY_HOST}`);
    assert.ok(isOf(portOf(world.send(b, udp(out(b), { ...first, sport: 79 }))), 4096));
    removeLease(world, lease({ sender: { guest: b } }));
  });

  test('with the block its connections end, and nobody else’s', () => {
    world.send(a, udp(out(a), ports));
    const other = portOf(world.send(open, udp(out(open), ports)));
    removeLease(world, lease());
    world.raiseEpoch(INSIDE);
    assert.equal(world.send(a, udp(out(a), ports)).verdict, 'drop nat_gone');
    assert.equal(world.send(a, udp(out(a), ports)).verdict, `overlay ${TRANSIT} ${GATEWAY_HOST}`);
    assert.equal(portOf(world.send(open, udp(out(open), ports))), other);
  });

  test('an answer to a block that is another’s now ends the connection, too', () => {
    const port = portOf(world.send(a, udp(out(a), ports)));
    addLease(world, lease({ ports: [8192] }));
    addLease(world, lease({ sender: { guest: open }, ports: [2112, 2048] }));
    world.raiseEpochs();
    assert.equal(relayed(udp(back, { sport: 2000, dport: port })).verdict, 'drop nat_gone');
    assert.ok(isOf(portOf(world.send(a, udp(out(a), ports))), 8192));
  });

  test('a block has 64 ports for one destination, says when they run short, and others are not concerned', () => {
    const verdicts = Array.from({ length: 400 }, (_, n) => world.send(a, udp(out(a), { sport: 3000 + n, dport: 9 })));
    const used = verdicts.filter(({ verdict }) => verdict === WIRE).map(portOf);
    assert.equal(new Set(used).size, used.length, 'each its own');
    assert.ok(used.every((port) => isOf(port, 2048)));
    assert.ok(used.length > 48 && used.length <= 64, String(used.length));
    const refused = verdicts.filter(({ verdict }) => verdict !== WIRE);
    assert.ok(refused.every(({ verdict }) => verdict === 'drop snat_blocks'));
    assert.ok(heldBlock(world, S, 2048).wantedNs > 0n, 'more are wanted');
    assert.equal(heldBlock(world, S, 2112).wantedNs, 0n);
    assert.equal(world.send(a, udp(out(a), { sport: 3000, dport: 10 })).verdict, WIRE, 'to another destination');
    assert.equal(world.send(open, udp(out(open), { sport: 3000, dport: 9 })).verdict, WIRE);
    addLease(world, lease({ ports: [2048, 6400] }));
    world.raiseEpochs();
    const more = Array.from({ length: 20 }, (_, n) => world.send(a, udp(out(a), { sport: 5000 + n, dport: 9 })));
    assert.ok(
      more.some((sent) => isOf(portOf(sent), 6400)),
      'with another block',
    );
  });

  test('a frame of the gateway’s own, with the router’s address, is not taken for a lie', () => {
    const spoken = world.arrive(udp({ src: G, dst: H, from: S, to: '203.0.113.50' }, ports));
    assert.notEqual(spoken.verdict, 'drop spoofed_peer');
  });
});

describe('the gateway’s host', () => {
  let world: World;
  let a: Guest;

  before(() => {
    world = new World();
    addExternal(world, EXTERNAL);
    a = world.addGuest('a', { mac: A, ip: '10.0.0.5', vni: INSIDE });
    world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
    world.addRemote(INSIDE, '10.0.0.6', B, OTHER_HOST);
    addGateway(world, gateway);
    setSnat(world, { ...gateway, blocks: true });
    world.addPeer(OTHER_HOST);
    world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
    world.setEndpoint(TRANSIT, ['169.254.0.1'], G, { kind: CB_ENDPOINT_GATEWAY, vrf: VRF });
    world.addPeer(OTHER_HOST, [TRANSIT]);
    addLease(world, { vrf: VRF, sender: { guest: a }, ip: S, ports: [1024] });
    addLease(world, { vrf: VRF, sender: { transit: TRANSIT, ip: '10.0.0.6' }, ip: S, ports: [1088] });
    addRemoteBlock(world, { external: EXTERNAL, ip: S, port: 2048, host: OTHER_HOST, transit: TRANSIT });
    assert.equal(world.arrive(reply(G)).verdict, 'flood 0 copies');
  });

  after(() => world.close());

  beforeEach(() => {
    world.forgetFlows();
    world.arrive(reply(G));
  });

  const relay = `overlay ${TRANSIT} ${OTHER_HOST}`;
  const away = { src: H, dst: G, from: '10.0.0.6', to: OUTER };
  const receive = (frame: Uint8Array): Outcome => world.receive({ vni: TRANSIT, from: OTHER_HOST }, frame);

  test('gives an answer to a port of another host’s block to that host, as it is, and remembers nothing', () => {
    for (const frame of [
      tcp(back, { sport: 80, dport: 2050, flags: TCP.syn | TCP.ack }),
      tcp(back, { sport: 80, dport: 2111, flags: TCP.ack }),
      udp(back, { sport: 80, dport: 2048 }),
      icmp(back, { type: ICMP.echoReply, id: 2100 }),
      icmpError(
        { ...back, from: '192.0.2.99' },
        { type: ICMP.unreachable, code: 4, mtu: 1400 },
        udp({ src: H, dst: N, from: S, to: OUTER }, { sport: 2050, dport: 80 }),
      ),
    ]) {
      const got = world.arrive(frame);
      assert.equal(got.verdict, relay);
      assert.deepEqual(Buffer.from(got.data), Buffer.from(frame), 'unchanged');
    }
    assert.equal(world.audit().live, 0);
  });

  test('and what only seems one, or is for another port, it handles itself', () => {
    assert.equal(world.arrive(udp(back, { sport: 80, dport: 2112 })).verdict, 'drop no_endpoint');
    assert.equal(world.arrive(udp(back, { sport: 80, dport: 2047 })).verdict, 'drop no_endpoint');
    assert.equal(world.arrive(tcp(back, { sport: 80, dport: 2050, flags: TCP.syn })).verdict, 'drop no_endpoint');
    assert.equal(world.arrive(sctp(back, { sport: 80, dport: 2050 })).verdict, 'drop no_endpoint');
    const echo = world.arrive(icmp(back, { type: ICMP.echo, id: 2050 }));
    assert.equal(echo.packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 64 icmp 0/0 id 2050`);
  });

  test('fragments of an answer follow their first', () => {
    const first = ipv4({ ...back, id: 7, moreFragments: true }, PROTO.udp, udpHead(80, 2050));
    const later = ipv4({ ...back, id: 7, fragmentOffset: 16 }, PROTO.udp, Buffer.alloc(40, 1));
    assert.equal(world.arrive(first).verdict, relay);
    assert.equal(world.arrive(later).verdict, relay);
  });

  test('tells who sends what the tunnel does not take', () => {
    const big = udp({ ...back, dontFragment: true }, { sport: 80, dport: 2050, payload: Buffer.alloc(1440) });
    const told = world.arrive(big);
    assert.equal(told.verdict, `${WIRE} (too_big)`);
    assert.equal(told.packet, `${G} > ${N} ip ${S} > ${OUTER} ttl 255 icmp 3/4 id 0`);
  });

  test('has blocks for its own guests, and for those of hosts without an uplink', () => {
    const own = world.send(a, udp(out(a), ports));
    assert.equal(own.verdict, WIRE);
    assert.ok(isOf(portOf(own), 1024));
    assert.equal(world.arrive(udp(back, { sport: 2000, dport: portOf(own) })).verdict, 'vif a');
    const far = receive(udp(away, ports));
    assert.equal(far.verdict, WIRE);
    assert.ok(isOf(portOf(far), 1088));
    for (const round of ['first', 'established', 'anew']) {
      const got = world.arrive(udp(back, { sport: 2000, dport: portOf(far) }));
      assert.equal(got.verdict, `overlay ${INSIDE} ${OTHER_HOST}`, round);
      if (round === 'established') world.raiseEpochs();
    }
  });

  test('who has no block sends nothing that needs a port; what has none leaves with the address', () => {
    assert.equal(receive(udp({ ...away, from: '10.0.0.9' }, ports)).verdict, 'drop snat_no_block');
    assert.match(
      receive(sctp({ ...away, from: '10.0.0.9' }, ports)).packet,
      new RegExp(`ip ${S} > ${OUTER}.*sctp 1000`),
    );
  });

  test('connections with shared ports end when ports are leased, so each is one guest’s', () => {
    setSnat(world, gateway);
    world.raiseEpochs();
    world.send(a, udp(out(a), ports));
    setSnat(world, { ...gateway, blocks: true });
    world.raiseEpochs();
    const first = world.send(a, udp(out(a), ports));
    if (first.verdict !== WIRE) assert.equal(first.verdict, 'drop nat_gone');
    assert.ok(isOf(portOf(world.send(a, udp(out(a), ports))), 1024));
  });

  test('the collection says which blocks are in use', async () => {
    world.send(a, udp(out(a), ports));
    assert.ok(world.ways().some(({ direction, way }) => direction === 0 && (way.flags & 0x20) !== 0));
  });
});

function udpHead(sport: number, dport: number): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(sport, 0);
  head.writeUInt16BE(dport, 2);
  head.writeUInt16BE(56, 4);
  return head;
}
