/** Flows that a router's gateway translates, from its host's table into that of one that stands by, and what becomes of them when that is the gateway's. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { sleep } from '@cable/kit';
import { CB_ENDPOINT_GATEWAY, CB_NET_F_TRANSIT, type CbCarry, MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import {
  type CarryPrograms,
  loadCarryPrograms,
  type PassResult,
  type RouterAddress,
} from '../../packages/agent/src/handover/carry-programs.ts';
import {
  type PassedFlow,
  parsePassedFlow,
  passedFlowOf,
  passedRow,
} from '../../packages/agent/src/handover/passed-flow.ts';
import {
  addExternal,
  addForward,
  addGateway,
  addLease,
  addRemoteBlock,
  addWayToGateway,
  type Lease,
  removeSnat,
  setSnat,
} from './outside.ts';
import { arp, type Ipv4, TCP, tcp, udp } from './packet.ts';
import { addr, FLOWS, type Guest, OBJECT, World } from './world.ts';

const [INSIDE, EXTERNAL, TRANSIT] = [100, 900, 800];
/** Number of a network that nobody has programmed. */
const LATER = 4000;
const VRF = 5;
const [GUEST, GUEST_IP, R1, G, N] = [
  '02:00:00:00:01:0a',
  '10.0.0.5',
  '02:00:00:00:01:fe',
  '02:00:00:00:09:fe',
  '02:00:00:00:ee:01',
];
const [OUTER, NEXT, S, F] = ['198.51.100.7', '203.0.113.1', '203.0.113.2', '203.0.113.20'];
/** Whose guests these are, and the other host that may be the gateway. */
const [ELSEWHERE, OTHER] = ['192.0.2.9', '192.0.2.1'];
const ROUTER = 77;
const PURGE_NET = 2;

/** A host that may have the gateway; `guests`: the guest is its own, not another's. */
class Host {
  readonly world: World;
  readonly guest: Guest | undefined;
  readonly carry: CarryPrograms;
  readonly #pins = `/sys/fs/bpf/cable-test-${randomBytes(6).toString('hex')}`;
  #turn = 0;

  constructor(skipped: number, hasGuest: boolean) {
    mkdirSync(this.#pins);
    this.world = new World(8, FLOWS, { pinnedMaps: this.#pins });
    const { world } = this;
    // So that nothing has the same number on two hosts.
    for (let n = 0; n < skipped; n += 1) {
      world.addGuest(`other${n}`, { mac: `02:00:00:00:ff:0${n}`, ip: `10.9.0.${n + 1}`, vni: 950 + n });
    }
    addExternal(world, EXTERNAL);
    world.addPeer(ELSEWHERE);
    world.addPeer(OTHER);
    if (hasGuest) this.guest = world.addGuest('guest', { mac: GUEST, ip: GUEST_IP, vni: INSIDE });
    else world.addRemote(INSIDE, GUEST_IP, GUEST, ELSEWHERE);
    world.addRouterInterface(VRF, { vni: INSIDE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
    world.setProject(TRANSIT, 1);
    this.carry = loadCarryPrograms({ object: OBJECT, pinnedMaps: this.#pins, flows: FLOWS });
    this.standBy();
  }

  close(): void {
    this.carry.close();
    this.world.close();
    rmSync(this.#pins, { recursive: true, force: true });
  }

  /** `blocks`: ports are leased, and the guest has some. */
  become(blocks = false): void {
    const { world } = this;
    const gateway = { vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: NEXT };
    if (blocks) addLease(world, { vrf: VRF, sender: this.#sender, ip: S, ports: [2048, 4096] });
    addGateway(world, gateway);
    if (blocks) setSnat(world, { ...gateway, blocks });
    world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
    world.setEndpoint(TRANSIT, ['169.254.0.1'], G, { kind: CB_ENDPOINT_GATEWAY, vrf: VRF });
    world.raiseEpochs();
    world.arrive(arp({ src: N, dst: G }, { op: 'reply', sha: N, spa: NEXT, tha: G, tpa: S }));
  }

  get #sender(): Lease['sender'] {
    return this.guest === undefined ? { transit: TRANSIT, ip: GUEST_IP } : { guest: this.guest };
  }

  standBy(wasGateway = false): void {
    const { world } = this;
    if (wasGateway) {
      removeSnat(world, VRF);
      world.erase(MAPS.cb_ep_2, { net: world.net(EXTERNAL), addr: addr(S) });
    }
    addWayToGateway(world, { vrf: VRF, transit: TRANSIT, external: EXTERNAL, mac: '06:00:00:00:09:fe' });
    world.addRemote(TRANSIT, '169.254.0.1', G, OTHER);
    world.setFlags(TRANSIT, 0);
    world.raiseEpochs();
  }

  follow(what: 'changes' | 'all'): void {
    this.carry.followRouter(ROUTER, this.#addresses, what);
  }

  /** Guests here leave by this host, whichever has the gateway. */
  own = false;
  readonly #list = new Map<string, readonly RouterAddress[]>();

  get #addresses(): readonly RouterAddress[] {
    const net = this.world.net(EXTERNAL);
    const own = this.own ? { isOwn: true as const } : {};
    const known = this.#list.get(`${net} ${this.own}`) ?? [S, F].map((ip) => ({ net, address: addr(ip), ...own }));
    this.#list.set(`${net} ${this.own}`, known);
    return known;
  }

  name(): void {
    this.carry.followRouter(ROUTER, this.#addresses);
  }

  takeOut(): readonly CbCarry[] {
    this.#turn += 1;
    const { rows } = this.carry.takeOut({ first: 0, turn: this.#turn, sinceNs: process.hrtime.bigint() + 10n ** 12n });
    return rows;
  }

  /** As lines between agents, once there are some. */
  async tell(what: 'changes' | 'all' = 'changes'): Promise<readonly string[]> {
    this.follow(what);
    for (let n = 0; n < 6000; n += 1) {
      const lines = this.told();
      if (lines.length > 0) return lines;
      await sleep(10);
    }
    return [];
  }

  told(): readonly string[] {
    const rows = this.takeOut();
    assert.ok(rows.every(({ router }) => router === ROUTER));
    return rows.map((row) => JSON.stringify(passedFlowOf(row, this.world.net(EXTERNAL))));
  }

  hear(lines: readonly string[], how: { session?: number; standsBy?: boolean } = {}): PassResult {
    const { session = 1, standsBy = true } = how;
    return this.carry.passOn(rowsOf(this, lines), { session, standsBy });
  }

  /** Ends all flows of the transit network. */
  purge(): number {
    const context = new DataView(new ArrayBuffer(12));
    context.setUint32(0, PURGE_NET, true);
    context.setUint32(4, this.world.net(TRANSIT), true);
    assert.equal(this.world.program('purge_flows').call(new Uint8Array(context.buffer)), 0);
    return context.getUint32(8, true);
  }

  /** From inside: of the own guest, or of the other host's. */
  send(frame: (out: Ipv4) => Buffer): { verdict: string; packet: string } {
    if (this.guest !== undefined) {
      return this.world.send(this.guest, frame({ src: GUEST, dst: R1, from: GUEST_IP, to: OUTER }));
    }
    const out = frame({ src: '06:00:00:00:09:fe', dst: G, from: GUEST_IP, to: OUTER });
    return this.world.receive({ vni: TRANSIT, from: ELSEWHERE }, out);
  }

  arrive(frame: Buffer): string {
    return this.world.arrive(frame).verdict;
  }
}

function rowsOf({ world }: Host, lines: readonly string[]): CbCarry[] {
  const networks = { external: world.net(EXTERNAL), transit: world.net(TRANSIT), inner: world.net(INSIDE) };
  return lines.map((line) => {
    const flow = parsePassedFlow(JSON.parse(line));
    assert.ok(flow !== undefined, line);
    return passedRow(flow, networks);
  });
}

const ports = { sport: 1000, dport: 443 };
const NONE = { made: 0, renewed: 0, present: 0, refused: 0, ended: 0, here: [], unready: 0 };
const TO_GUEST = `overlay ${INSIDE} ${ELSEWHERE}`;

/** The port with which it left. */
function portOf({ packet }: { packet: string }): number {
  return Number(/(?:udp|tcp) (\d+) >/.exec(packet)?.[1]);
}

const back = (to = S): Ipv4 => ({ src: N, dst: G, from: OUTER, to });
const answer = (port: number, flags: number = TCP.ack, seq = 501): Buffer =>
  tcp(back(), { sport: 443, dport: port, flags, seq, ack: 101 });

/** A TCP connection that the guest opened, established. Returns its port outside. */
function connect(host: Host, at = ports): number {
  const sent = host.send((out) => tcp(out, { ...at, flags: TCP.syn, seq: 100 }));
  assert.equal(sent.verdict, 'wire');
  const port = portOf(sent);
  const got = host.arrive(tcp(back(), { sport: at.dport, dport: port, flags: TCP.syn | TCP.ack, seq: 500, ack: 101 }));
  assert.match(got, /^(overlay|vif)/);
  assert.equal(host.send((out) => tcp(out, { ...at, flags: TCP.ack, seq: 101, ack: 501 })).verdict, 'wire');
  return port;
}

let hosts: Host[] = [];

/** The gateway's host, and one that stands by; `guest`: whose the guest is. */
function build(guest: 'elsewhere' | 'gateway' | 'standby' = 'elsewhere'): { active: Host; standby: Host } {
  const [active, standby] = [new Host(1, guest === 'gateway'), new Host(3, guest === 'standby')];
  hosts = [active, standby];
  active.become();
  return { active, standby };
}

beforeEach(() => {
  hosts = [];
});
afterEach(() => {
  for (const host of hosts) host.close();
});

describe('a guest of a third host', () => {
  test('keeps its connection and its port, and the machine outside speaks first; without the record it could not', async () => {
    const { active, standby } = build();
    const port = connect(active);
    assert.deepEqual(standby.hear(await active.tell()), { ...NONE, made: 1 });
    assert.deepEqual(standby.world.audit(), { tuples: 2, counted: 1, live: 1, owned: 0 });
    standby.become();
    assert.equal(standby.arrive(answer(port)), TO_GUEST);
    const sent = standby.send((out) => tcp(out, { ...ports, flags: TCP.ack, seq: 101, ack: 501 }));
    assert.deepEqual([sent.verdict, portOf(sent)], ['wire', port]);
    assert.notEqual(standby.arrive(answer(port ^ 1)), TO_GUEST);
  });

  test('is told as it changes, and not again as long as it does not', async () => {
    const { active, standby } = build();
    const port = connect(active);
    standby.hear(await active.tell());
    assert.deepEqual(active.told(), []);
    active.arrive(answer(port, TCP.ack | TCP.fin));
    const [line] = active.told();
    assert.equal((JSON.parse(line ?? '{}') as PassedFlow).state, 'closing');
    assert.deepEqual(standby.hear([line ?? '']), { ...NONE, renewed: 1 });
    assert.equal(standby.world.ways()[0]?.way.state, 3);
  });

  test('what ends is told as ended, also when that is seen too late; what was never told is not', async () => {
    const { active, standby } = build();
    connect(active);
    standby.hear(await active.tell());
    const short = connect(active, { sport: 1001, dport: 443 });
    active.arrive(tcp(back(), { sport: 443, dport: short, flags: TCP.rst, seq: 501 }));
    assert.equal(active.purge(), 2);
    assert.equal(active.world.audit().live, 0);
    const told = active.told();
    assert.equal(told.length, 1);
    assert.deepEqual(standby.hear(told), { ...NONE, ended: 1 });
    assert.deepEqual(standby.world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
  });

  test('a reset of a connection that has gone on long since is no segment from nowhere', async () => {
    const { active, standby } = build();
    const port = connect(active);
    standby.hear(await active.tell());
    standby.become();
    assert.equal(standby.arrive(answer(port, TCP.rst, 501 + 2 ** 31)), TO_GUEST);
    assert.notEqual(standby.world.ways()[0]?.way.state, 4);
    assert.equal(standby.arrive(answer(port)), TO_GUEST);
  });

  test('by a port forwarding, begun outside', async () => {
    const { active, standby } = build();
    const forward = (host: Host) =>
      addForward(host.world, {
        ...{ external: EXTERNAL, ip: F, mac: G, vrf: VRF, protocol: 17, port: 8080, toPort: 80 },
        guest: { ...({} as Guest), ip: GUEST_IP, vni: TRANSIT },
      });
    forward(active);
    active.world.raiseEpochs();
    assert.equal(active.arrive(udp(back(F), { sport: 5000, dport: 8080 })), TO_GUEST);
    assert.equal(active.send((out) => udp(out, { sport: 80, dport: 5000 })).verdict, 'wire');
    assert.deepEqual(standby.hear(await active.tell()), { ...NONE, made: 1 });
    standby.become();
    forward(standby);
    standby.world.raiseEpochs();
    const sent = standby.send((out) => udp(out, { sport: 80, dport: 5000 }));
    assert.deepEqual([sent.verdict, portOf(sent)], ['wire', 8080]);
    assert.equal(standby.arrive(udp(back(F), { sport: 5000, dport: 8080 })), TO_GUEST);
    assert.deepEqual(standby.world.audit(), { tuples: 2, counted: 1, live: 1, owned: 0 });
  });
});

describe('which records count', () => {
  test('where it stands by, those of the gateway: what the host has of the time when it was itself is over', async () => {
    const { active, standby } = build();
    // Both have been it: this one has connections of then.
    standby.become();
    const [stale] = [connect(standby), connect(standby, { sport: 1001, dport: 443 })];
    standby.standBy(true);
    const port = connect(active);
    const lines = await active.tell();
    const result = standby.hear(lines, { session: 9 });
    assert.equal(result.made + result.renewed, 1);
    standby.name();
    assert.equal(standby.carry.dropOthers(ROUTER, 9), 1);
    assert.deepEqual(standby.world.audit(), { tuples: 2, counted: 1, live: 1, owned: 0 });
    standby.become();
    assert.equal(standby.arrive(answer(port)), TO_GUEST);
    if (stale !== port) assert.notEqual(standby.arrive(answer(stale)), TO_GUEST);
  });

  test('where it is the gateway itself, those by which packets have passed', async () => {
    const { active, standby } = build();
    const port = connect(active);
    const lines = await active.tell();
    standby.hear(lines);
    standby.become();
    assert.equal(standby.arrive(answer(port)), TO_GUEST);
    assert.deepEqual(standby.hear(lines, { standsBy: false }), { ...NONE, present: 1 });
    const over = lines.map((line) => JSON.stringify({ ...JSON.parse(line), state: 'closed', expiresMs: 0 }));
    assert.deepEqual(standby.hear(over, { standsBy: false }), { ...NONE, present: 1 });
    assert.equal(standby.arrive(answer(port)), TO_GUEST);
  });

  test('none of networks that are not programmed, none whose end outside is a guest of this host, and none beyond a project’s share', async () => {
    const { active, standby } = build();
    connect(active);
    const [line = ''] = await active.tell();
    const later = rowsOf(standby, [line]).map((row) => ({ ...row, transitNet: LATER }));
    assert.deepEqual(standby.carry.passOn(later, { session: 1, standsBy: true }), { ...NONE, unready: 1 });
    standby.world.addGuest('near', { mac: '02:00:00:00:07:01', ip: OUTER, vni: EXTERNAL });
    assert.deepEqual(standby.hear([line]), { ...NONE, refused: 1 });
    let refused = 0;
    for (let n = 0; n < FLOWS; n += 1) {
      const flow = { ...JSON.parse(line), peer: { address: `192.0.${n >> 8}.${n & 255}`, port: 443 } };
      refused += standby.hear([JSON.stringify(flow)]).refused;
    }
    assert.ok(refused > 0 && refused < FLOWS, String(refused));
    const { live, counted, tuples } = standby.world.audit();
    assert.deepEqual([counted, tuples], [live, 2 * live]);
  });
});

describe('a guest of the host that stands by', () => {
  test('is known there without the router’s address, which its connection gets when the gateway comes', async () => {
    const { active, standby } = build('standby');
    const port = connect(active);
    // The same on its own host: it goes to the gateway’s and comes back.
    assert.equal(
      standby.send((out) => tcp(out, { ...ports, flags: TCP.syn, seq: 100 })).verdict,
      `overlay ${TRANSIT} ${OTHER}`,
    );
    const there = (flags: number): string =>
      standby.world.receive(
        { vni: INSIDE, from: OTHER },
        tcp({ src: R1, dst: GUEST, from: OUTER, to: GUEST_IP }, { sport: 443, dport: 1000, flags, seq: 500, ack: 101 }),
      ).verdict;
    assert.equal(there(TCP.syn | TCP.ack), 'vif guest');
    const lines = await active.tell();
    assert.deepEqual(standby.hear(lines), { ...NONE, here: [0] });
    assert.equal(there(TCP.ack), 'vif guest', 'until then it goes on as it is');
    assert.equal(standby.carry.takeGateway(rowsOf(standby, lines)), 1);
    assert.equal(standby.carry.takeGateway(rowsOf(standby, lines)), 0, 'told again, it stays as it is');
    // Its rows are on their way: the flow waits for them.
    const ack = (out: Ipv4): Buffer => tcp(out, { ...ports, flags: TCP.ack, seq: 101, ack: 501 });
    assert.equal(standby.send(ack).verdict, 'drop nat_gone');
    standby.become();
    assert.equal(standby.arrive(answer(port)), 'vif guest');
    const sent = standby.send(ack);
    assert.deepEqual([sent.verdict, portOf(sent)], ['wire', port]);
    assert.deepEqual(standby.world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
  });

  test('nothing is made of what is told of it that it does not know', async () => {
    const { active, standby } = build('standby');
    connect(active);
    const lines = await active.tell();
    assert.deepEqual(standby.hear(lines), { ...NONE, here: [0] });
    assert.equal(standby.carry.takeGateway(rowsOf(standby, lines)), 0);
    assert.equal(standby.world.audit().live, 0);
  });
});

describe('with a port of a block of the guest’s own', () => {
  for (const guest of ['elsewhere', 'standby'] as const) {
    test(`a guest ${guest === 'elsewhere' ? 'of a third host' : 'of the standby'} keeps its connection and its port, and no other host’s rows end it`, async () => {
      const { active, standby } = build(guest);
      active.become(true);
      const port = connect(active);
      assert.ok((port >= 2048 && port < 2112) || (port >= 4096 && port < 4160), String(port));
      const ack = (out: Ipv4): Buffer => tcp(out, { ...ports, flags: TCP.ack, seq: 101, ack: 501 });
      if (guest === 'standby') {
        standby.send((out) => tcp(out, { ...ports, flags: TCP.syn, seq: 100 }));
        const synAck = { sport: 443, dport: 1000, flags: TCP.syn | TCP.ack, seq: 500, ack: 101 };
        const got = tcp({ src: R1, dst: GUEST, from: OUTER, to: GUEST_IP }, synAck);
        assert.equal(standby.world.receive({ vni: INSIDE, from: OTHER }, got).verdict, 'vif guest');
      }
      const lines = await active.tell();
      const heard = standby.hear(lines);
      if (guest === 'standby') assert.equal(standby.carry.takeGateway(rowsOf(standby, lines)), 1);
      else assert.deepEqual(heard, { ...NONE, made: 1 });
      standby.become(true);
      for (const round of ['at once', 'decided anew']) {
        assert.equal(standby.arrive(answer(port)), guest === 'standby' ? 'vif guest' : TO_GUEST, round);
        const sent = standby.send(ack);
        assert.deepEqual([sent.verdict, portOf(sent)], ['wire', port], round);
        standby.world.raiseEpochs();
      }
      // Who begins anew gets ports of the same blocks, and none that a connection has.
      const next = portOf(standby.send((out) => udp(out, { sport: 7, dport: 9 })));
      assert.ok((next >= 2048 && next < 2112) || (next >= 4096 && next < 4160), String(next));
    });
  }

  test('with which a guest leaves by its own host, whichever is the gateway, is nobody else’s to tell, to end or to turn', async () => {
    const { active } = build('gateway');
    active.become(true);
    const port = connect(active);
    active.own = true;
    active.follow('all');
    assert.deepEqual(active.told(), []);
    assert.equal(active.carry.dropOthers(ROUTER, 9), 0);
    assert.equal(active.carry.leaveGateways([ROUTER]).length, 0);
    active.own = false;
    active.follow('all');
    assert.equal((await active.tell('all')).length, 1, 'without that it is');
    assert.equal(active.arrive(answer(port)), 'vif guest');
    assert.equal(active.carry.leaveGateways([ROUTER]).length, 1);
  });

  test('answers to what leaves by another host are given to that by the new gateway as by the old', () => {
    const { active, standby } = build();
    const block = { external: EXTERNAL, ip: S, port: 8192, host: ELSEWHERE, transit: TRANSIT };
    for (const host of [active, standby]) {
      host.become(true);
      addRemoteBlock(host.world, block);
      host.world.raiseEpochs();
      const got = host.arrive(tcp(back(), { sport: 443, dport: 8200, flags: TCP.ack, seq: 501 }));
      assert.equal(got, `overlay ${TRANSIT} ${ELSEWHERE}`);
      assert.equal(host.world.audit().live, 0, 'nothing is remembered of it');
    }
  });
});

test('a guest of the host that the gateway leaves keeps its connections: they pass by the new one', async () => {
  const { active, standby } = build('gateway');
  const port = connect(active);
  assert.deepEqual(standby.hear(await active.tell()), { ...NONE, made: 1 });
  const [was, ...more] = active.carry.leaveGateways([ROUTER]);
  assert.ok(was);
  assert.deepEqual(
    [more.length, was.router, passedFlowOf(was, active.world.net(EXTERNAL))?.outside.port],
    [0, ROUTER, port],
  );
  active.standBy(true);
  standby.become();
  assert.equal(standby.arrive(answer(port)), TO_GUEST);
  // As the new gateway’s host sends it on.
  const on = tcp(
    { src: R1, dst: GUEST, from: OUTER, to: GUEST_IP },
    { sport: 443, dport: 1000, flags: TCP.ack, seq: 501 },
  );
  assert.equal(active.world.receive({ vni: INSIDE, from: OTHER }, on).verdict, 'vif guest');
  const sent = active.send((out) => tcp(out, { ...ports, flags: TCP.ack, seq: 101, ack: 501 }));
  assert.equal(sent.verdict, `overlay ${TRANSIT} ${OTHER}`);
  assert.deepEqual(active.world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
});
