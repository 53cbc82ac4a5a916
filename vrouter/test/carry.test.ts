/** Flows of a port that moves, from one host's table into another's, whose numbers are others: what passes there without a packet of the connection's beginning. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  CB_CARRY_ROWS,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_VIF,
  CB_ENDPOINT_VIP,
  CB_MAGLEV_SLOTS,
  type CbCarry,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import {
  type CarryPrograms,
  loadCarryPrograms,
  type PutResult,
} from '../../packages/agent/src/handover/carry-programs.ts';
import { parseFlowRecord, recordOf, rowOf } from '../../packages/agent/src/handover/flow-record.ts';
import { addExternal, addFloating, addGateway, removeFloating } from './outside.ts';
import { arp, type Ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { addr, FLOWS, type Guest, OBJECT, type Rule, World } from './world.ts';

const [BLUE, GREEN] = [800, 801];
const EXTERNAL = 950;
const TAG = 9;
const NETWORKS = [BLUE, GREEN, EXTERNAL];
const VRF = 3;
const POLICY = 40;
const [MOVER, PEER, BEHIND, VIP_MAC, R1, R2] = ['0a', '0b', '0c', 'fd', '01', '02'].map(
  (n) => `02:00:00:00:00:${n}`,
) as [...[string, string, string, string, string, string]];
const [MOVER_IP, PEER_IP, BEHIND_IP, VIP] = ['10.0.0.1', '10.0.0.2', '10.1.0.3', '10.0.0.100'];
/** Where the peers are, seen from both hosts of the port that moves. */
const [GATEWAY, NEXT] = ['02:00:00:00:09:fe', '02:00:00:00:ee:01'];
const ELSEWHERE = '192.0.2.9';
/** CLOCK_MONOTONIC. */
const FUTURE_NS = process.hrtime.bigint() + 10n ** 12n;
const MEMBER = { id: '5fc3f0a6-0000-4000-8000-000000000007', port: 8080 };

/** A host that has the port: a world with numbers of its own. */
class Host {
  readonly world: World;
  readonly mover: Guest;
  carry: CarryPrograms;
  readonly #pins = `/sys/fs/bpf/cable-test-${randomBytes(6).toString('hex')}`;
  readonly #memberNumber: number;
  #turn = 0;

  constructor(skipped: number) {
    mkdirSync(this.#pins);
    this.world = new World(8, FLOWS, { pinnedMaps: this.#pins });
    const { world } = this;
    // So that nothing has the same number on two hosts.
    for (let n = 0; n < skipped; n += 1) {
      world.addGuest(`other${n}`, { mac: `02:00:00:00:ff:0${n}`, ip: `10.9.0.${n + 1}`, vni: 900 + n });
    }
    this.mover = world.addGuest('mover', { mac: MOVER, ip: MOVER_IP, vni: BLUE, policy: POLICY });
    world.addRemote(BLUE, PEER_IP, PEER, ELSEWHERE);
    world.addRemote(GREEN, BEHIND_IP, BEHIND, ELSEWHERE);
    world.addRouterInterface(VRF, { vni: BLUE, cidr: '10.0.0.0/24', ip: '10.0.0.254', mac: R1 });
    world.addRouterInterface(VRF, { vni: GREEN, cidr: '10.1.0.0/24', ip: '10.1.0.254', mac: R2 });
    world.addPeer(ELSEWHERE);
    addExternal(world, EXTERNAL, TAG);
    addGateway(world, {
      ...{ vrf: VRF, external: EXTERNAL, mac: GATEWAY, ip: '203.0.113.2', cidr: '203.0.113.0/24' },
      ...{ nexthop: '203.0.113.1', ports: { first: 2048, last: 4095 } },
    });
    const said = { op: 'reply', sha: NEXT, spa: '203.0.113.1', tha: GATEWAY, tpa: '203.0.113.2' } as const;
    world.arriveTagged(TAG, arp({ src: NEXT, dst: GATEWAY }, said));
    this.#memberNumber = 70 + skipped;
    this.carry = this.#load();
  }

  #load(): CarryPrograms {
    const carry = loadCarryPrograms({ object: OBJECT, pinnedMaps: this.#pins, flows: FLOWS });
    carry.follow(this.mover.vif, 'changes');
    return carry;
  }

  /** Records begin anew, which they never do in production: what was seen of them does, too. */
  forget(): void {
    this.world.forgetFlows();
    this.carry.close();
    this.carry = this.#load();
  }

  close(): void {
    this.carry.close();
    this.world.close();
    rmSync(this.#pins, { recursive: true, force: true });
  }

  /** A virtual address with one member. */
  serve(memberIp = PEER_IP, vni = BLUE): void {
    const { world } = this;
    const member = this.#memberNumber;
    const vrf = vni === BLUE ? 0 : VRF;
    world.setEndpoint(BLUE, [VIP], VIP_MAC, { kind: CB_ENDPOINT_VIP });
    world.write(
      MAPS.cb_member_1,
      { member },
      { addr: addr(memberIp), pool: 1, vrf, net: world.net(vni), portBe: MEMBER.port, flags: 0 },
    );
    const slots = { member: Array.from({ length: CB_MAGLEV_SLOTS }, () => member) };
    for (const chunk of [0, 1]) world.write(MAPS.cb_maglev_1, { pool: 1, chunk }, slots);
    const key = { addr: addr(VIP), net: world.net(BLUE), portBe: 80, protocol: PROTO.tcp };
    world.write(MAPS.cb_svc_1, key, { pool: 1, slots: 61, flags: 0 });
  }

  /** No slot names the member any more: it is chosen for nobody new. */
  retire(): void {
    for (const chunk of [0, 1]) {
      this.world.write(
        MAPS.cb_maglev_1,
        { pool: 1, chunk },
        { member: Array.from({ length: CB_MAGLEV_SLOTS }, () => 0) },
      );
    }
  }

  /** Rows of the port's flows that are not as they were; of those whose turn it is, if they had a packet since. Default: of none. */
  takeOut(sinceNs = FUTURE_NS): CbCarry[] {
    const rows: CbCarry[] = [];
    for (let first = 0; ; ) {
      const taken = this.carry.takeOut({ first, turn: this.#turn, sinceNs });
      rows.push(...taken.rows);
      if (taken.next === 0) break;
      first = taken.next;
    }
    this.#turn += 1;
    return rows;
  }

  /** As lines between agents. */
  tell(rows = this.takeOut()): string[] {
    const names = {
      network: (net: number) => NETWORKS.filter((vni) => this.world.net(vni) === net).map(networkId)[0] ?? null,
      member: (member: number) => (member === this.#memberNumber ? MEMBER.id : null),
    };
    return rows.map((row) => JSON.stringify(recordOf(row, this.mover.vif, names)));
  }

  hear(lines: readonly string[], session = 1): PutResult {
    const numbers = {
      network: (id: string) => NETWORKS.filter((vni) => networkId(vni) === id).map((vni) => this.world.net(vni))[0],
      member: (id: string) => (id === MEMBER.id ? this.#memberNumber : undefined),
    };
    const rows = lines.map((line) => {
      const record = parseFlowRecord(JSON.parse(line));
      assert.ok(record !== undefined, line);
      const row = rowOf(record, this.mover.vif, numbers);
      assert.ok(row !== undefined);
      return row;
    });
    return this.carry.putIn(rows, session);
  }

  send(frame: Buffer): string {
    return this.world.send(this.mover, frame).verdict;
  }

  receive(frame: Buffer, vni = BLUE): string {
    return this.world.receive({ vni, from: ELSEWHERE }, frame).verdict;
  }
}

function networkId(vni: number): string {
  return `00000000-0000-4000-8000-00000000${vni.toString().padStart(4, '0')}`;
}

const EGRESS: Rule = { policy: POLICY, direction: 'egress' };
const out: Ipv4 = { src: MOVER, dst: PEER, from: MOVER_IP, to: PEER_IP };
const back: Ipv4 = { src: PEER, dst: MOVER, from: PEER_IP, to: MOVER_IP };
const ports = { sport: 1000, dport: 443 };
const answers = { sport: 443, dport: 1000 };
const ALL = { made: 0, renewed: 0, present: 0, refused: 0 };

let [a, b]: Host[] = [];

before(() => {
  [a, b] = [new Host(1), new Host(3)];
});

after(() => {
  a?.close();
  b?.close();
});

function hosts(): { source: Host; target: Host } {
  assert.ok(a !== undefined && b !== undefined);
  return { source: a, target: b };
}

beforeEach(() => {
  const { source, target } = hosts();
  for (const host of [source, target]) {
    host.forget();
    host.world.addRule(EGRESS);
  }
});

/** A TCP connection that the port opened, established. */
function connect(host: Host, at = ports): void {
  const reverse = { sport: at.dport, dport: at.sport };
  assert.equal(host.send(tcp(out, { ...at, flags: TCP.syn, seq: 100 })), `overlay ${BLUE} ${ELSEWHERE}`);
  assert.equal(host.receive(tcp(back, { ...reverse, flags: TCP.syn | TCP.ack, seq: 500, ack: 101 })), 'vif mover');
  assert.equal(host.send(tcp(out, { ...at, flags: TCP.ack, seq: 101, ack: 501 })), `overlay ${BLUE} ${ELSEWHERE}`);
}

describe('the port may only send', () => {
  test('a connection that it opened goes on when the peer speaks first; without the record it would not', () => {
    const { source, target } = hosts();
    connect(source);
    const push = tcp(back, { ...answers, flags: TCP.ack, seq: 501, ack: 101 });
    assert.equal(target.receive(push), 'drop policy_ingress');
    assert.deepEqual(target.hear(source.tell()), { ...ALL, made: 1 });
    assert.equal(target.receive(push), 'vif mover');
    assert.equal(
      target.send(tcp(out, { ...ports, flags: TCP.ack, seq: 101, ack: 501 })),
      `overlay ${BLUE} ${ELSEWHERE}`,
    );
    assert.deepEqual(
      target.world.ways().map(({ way }) => way.state),
      [2, 2],
    );
    assert.deepEqual(target.world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
  });

  test('an answer by UDP comes in long after the question', () => {
    const { source, target } = hosts();
    source.send(udp(out, ports));
    target.hear(source.tell());
    assert.equal(target.receive(udp(back, answers)), 'vif mover');
  });

  test('a rule that does not hold on the target is asked there: the flow ends', () => {
    const { source, target } = hosts();
    connect(source);
    target.hear(source.tell());
    target.world.removeRule(EGRESS);
    assert.equal(target.receive(tcp(back, { ...answers, flags: TCP.ack })), 'drop policy_egress');
    assert.deepEqual(target.world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
  });

  test('where TCP was counts: a reset by guess changes nothing, the right one ends the connection', () => {
    const { source, target } = hosts();
    connect(source);
    target.hear(source.tell());
    const far = tcp(back, { ...answers, flags: TCP.rst, seq: 501 + 2 ** 31 });
    assert.equal(target.receive(far), 'drop tcp_window');
    assert.equal(target.receive(tcp(back, { ...answers, flags: TCP.rst, seq: 501 })), 'vif mover');
    assert.equal(target.world.ways()[0]?.way.state, 4);
  });

  test('through a router, whichever host the peer is on', () => {
    const { source, target } = hosts();
    const there: Ipv4 = { src: MOVER, dst: R1, from: MOVER_IP, to: BEHIND_IP };
    const from: Ipv4 = { src: R1, dst: MOVER, from: BEHIND_IP, to: MOVER_IP };
    assert.equal(source.send(udp(there, ports)), `overlay ${GREEN} ${ELSEWHERE}`);
    target.hear(source.tell());
    assert.equal(target.receive(udp(from, answers)), 'vif mover');
    target.world.forgetFlows();
    // It is on the target: its answers enter there in its own network.
    const behind = target.world.addGuest('behind', { mac: BEHIND, ip: BEHIND_IP, vni: GREEN });
    try {
      source.forget();
      source.send(udp(there, ports));
      target.hear(source.tell());
      const answer = udp({ src: BEHIND, dst: R2, from: BEHIND_IP, to: MOVER_IP }, answers);
      assert.equal(target.world.send(behind, answer).verdict, 'vif mover');
    } finally {
      target.world.forgetFlows();
      target.world.addRemote(GREEN, BEHIND_IP, BEHIND, ELSEWHERE);
    }
  });
});

describe('what others began', () => {
  test('goes on when the port speaks first, though it may send nothing of its own', () => {
    const { source, target } = hosts();
    const INGRESS: Rule = { policy: POLICY, direction: 'ingress', protocol: PROTO.udp };
    for (const { world } of [source, target]) {
      world.addRule(INGRESS);
      world.removeRule(EGRESS);
    }
    assert.equal(source.receive(udp(back, ports)), 'vif mover');
    const answer = udp(out, { sport: ports.dport, dport: ports.sport });
    assert.equal(target.send(answer), 'drop policy_egress');
    target.hear(source.tell());
    assert.equal(target.send(answer), `overlay ${BLUE} ${ELSEWHERE}`);
    for (const { world } of [source, target]) world.removeRule(INGRESS);
  });

  test('a flow that a guest of the target has with the port is one flow still', () => {
    const { source, target } = hosts();
    const INGRESS: Rule = { policy: POLICY, direction: 'ingress' };
    for (const { world } of [source, target]) world.addRule(INGRESS);
    const behind = target.world.addGuest('near', { mac: BEHIND, ip: BEHIND_IP, vni: GREEN });
    try {
      // It is at the source still.
      target.world.setEndpoint(BLUE, [MOVER_IP], MOVER, {
        ...{ kind: CB_ENDPOINT_REMOTE, guest: target.mover, remote: ELSEWHERE },
      });
      const question = udp({ src: BEHIND, dst: R2, from: BEHIND_IP, to: MOVER_IP }, ports);
      assert.equal(target.world.send(behind, question).verdict, `overlay ${BLUE} ${ELSEWHERE}`);
      assert.equal(source.receive(udp({ src: R1, dst: MOVER, from: BEHIND_IP, to: MOVER_IP }, ports)), 'vif mover');
      const answer = udp({ src: MOVER, dst: R1, from: MOVER_IP, to: BEHIND_IP }, { sport: 443, dport: 1000 });
      assert.equal(source.send(answer), `overlay ${GREEN} ${ELSEWHERE}`);
      assert.deepEqual(target.hear(source.tell()), { ...ALL, present: 1 });
      target.world.setEndpoint(BLUE, [MOVER_IP], MOVER, { kind: CB_ENDPOINT_VIF, guest: target.mover });
      target.world.raiseEpochs();
      assert.equal(target.send(answer), 'vif near');
      assert.equal(target.world.ways().length, 2);
    } finally {
      target.world.forgetFlows();
      for (const { world } of [source, target]) world.removeRule(INGRESS);
      target.world.addRemote(GREEN, BEHIND_IP, BEHIND, ELSEWHERE);
      target.world.setEndpoint(BLUE, [MOVER_IP], MOVER, { kind: CB_ENDPOINT_VIF, guest: target.mover });
    }
  });
});

describe('a connection to a virtual address', () => {
  const toVip: Ipv4 = { src: MOVER, dst: VIP_MAC, from: MOVER_IP, to: VIP };
  const at = { sport: 1000, dport: 80 };

  test('keeps its member, which is chosen for nobody any more', () => {
    const { source, target } = hosts();
    source.serve();
    target.serve();
    assert.equal(source.send(tcp(toVip, { ...at, flags: TCP.syn })), `overlay ${BLUE} ${ELSEWHERE}`);
    target.retire();
    const data = tcp(toVip, { ...at, flags: TCP.ack });
    assert.match(target.send(data), /drop|no_member/);
    assert.deepEqual(target.hear(source.tell()), { ...ALL, made: 1 });
    const sent = target.world.send(target.mover, data);
    assert.equal(sent.packet, `${VIP_MAC} > ${PEER} ip ${MOVER_IP} > ${PEER_IP} ttl 63 tcp 1000 > 8080`);
    const got = target.world.receive(
      { vni: BLUE, from: ELSEWHERE },
      tcp(back, { sport: MEMBER.port, dport: 1000, flags: TCP.ack }),
    );
    assert.equal(got.packet, `${PEER} > ${MOVER} ip ${VIP} > ${MOVER_IP} ttl 64 tcp 80 > 1000`);
  });

  test('keeps its member that the target has itself, behind a router', () => {
    const { source, target } = hosts();
    source.serve(BEHIND_IP, GREEN);
    const behind = target.world.addGuest('behind2', { mac: BEHIND, ip: BEHIND_IP, vni: GREEN });
    try {
      target.serve(BEHIND_IP, GREEN);
      assert.equal(source.send(tcp(toVip, { ...at, flags: TCP.syn })), `overlay ${GREEN} ${ELSEWHERE}`);
      assert.deepEqual(target.hear(source.tell()), { ...ALL, made: 1 });
      const from: Ipv4 = { src: BEHIND, dst: R2, from: BEHIND_IP, to: MOVER_IP };
      const got = target.world.send(behind, tcp(from, { sport: MEMBER.port, dport: 1000, flags: TCP.ack }));
      assert.equal(got.verdict, 'vif mover');
      assert.match(got.packet, new RegExp(`ip ${VIP} > ${MOVER_IP} ttl 63 tcp 80 > 1000`));
    } finally {
      target.world.forgetFlows();
      target.world.addRemote(GREEN, BEHIND_IP, BEHIND, ELSEWHERE);
    }
  });

  test('a member that is not the one that the target knows by this id is refused', () => {
    const { source, target } = hosts();
    source.serve();
    target.serve(BEHIND_IP, GREEN);
    source.send(tcp(toVip, { ...at, flags: TCP.syn }));
    assert.deepEqual(target.hear(source.tell()), { ...ALL, refused: 1 });
  });
});

describe('a floating IP at the host of its port', () => {
  const [FLOATING, OUTER] = ['203.0.113.10', '198.51.100.7'];
  const there: Ipv4 = { src: MOVER, dst: R1, from: MOVER_IP, to: OUTER };
  const from: Ipv4 = { src: NEXT, dst: GATEWAY, from: OUTER, to: FLOATING };
  const SSH: Rule = { policy: POLICY, direction: 'ingress', protocol: PROTO.tcp, port: 22 };

  function give({ world, mover }: Host): void {
    addFloating(world, { external: EXTERNAL, ip: FLOATING, guest: mover, vrf: VRF, mac: GATEWAY });
  }

  function take({ world, mover }: Host): void {
    removeFloating(world, { external: EXTERNAL, ip: FLOATING, guest: mover, vrf: VRF, mac: GATEWAY });
  }

  function move(source: Host, target: Host): void {
    // Before the switch the target has nothing of it.
    assert.deepEqual(target.hear(source.tell()), { ...ALL, made: 1 });
    take(source);
    give(target);
    target.world.raiseEpochs();
  }

  test('what the port began goes on when the outside speaks first', () => {
    const { source, target } = hosts();
    give(source);
    assert.equal(source.send(udp(there, ports)), `wire vlan ${TAG}`);
    move(source, target);
    const got = target.world.arriveTagged(TAG, udp(from, answers));
    assert.equal(got.verdict, 'vif mover');
    assert.match(got.packet, new RegExp(`ip ${OUTER} > ${MOVER_IP} `));
    assert.match(target.world.send(target.mover, udp(there, ports)).packet, new RegExp(`ip ${FLOATING} > ${OUTER} `));
    take(target);
  });

  test('so does what the outside began, whoever speaks first', () => {
    const { source, target } = hosts();
    for (const { world } of [source, target]) world.addRule(SSH);
    for (const first of ['outside', 'port']) {
      for (const host of [source, target]) host.forget();
      give(source);
      const syn = tcp(from, { sport: 5000, dport: 22, flags: TCP.syn });
      assert.equal(source.world.arriveTagged(TAG, syn).verdict, 'vif mover');
      move(source, target);
      const asks = (): string =>
        target.world.arriveTagged(TAG, tcp(from, { sport: 5000, dport: 22, flags: TCP.ack })).verdict;
      const tells = (): string => target.send(tcp(there, { sport: 22, dport: 5000, flags: TCP.ack }));
      const said = first === 'outside' ? [asks(), tells()] : [tells(), asks()].reverse();
      assert.deepEqual(said, ['vif mover', `wire vlan ${TAG}`], first);
      assert.equal(target.world.ways().length, 2);
      take(target);
    }
    for (const { world } of [source, target]) world.removeRule(SSH);
  });

  test('that the port does not have here ends with its first packet', () => {
    const { source, target } = hosts();
    give(source);
    source.send(udp(there, ports));
    target.hear(source.tell());
    take(source);
    assert.equal(target.send(udp(there, ports)), 'drop nat_gone');
    assert.deepEqual(target.world.audit(), { tuples: 0, counted: 0, live: 0, owned: 0 });
  });
});

describe('the table', () => {
  test('what is told again changes nothing but what is newer, until a packet has passed', () => {
    const { source, target } = hosts();
    source.send(tcp(out, { ...ports, flags: TCP.syn, seq: 100 }));
    target.hear(source.tell());
    assert.deepEqual(source.tell(), [], 'nothing is different');
    source.receive(tcp(back, { ...answers, flags: TCP.syn | TCP.ack, seq: 500, ack: 101 }));
    const newer = source.tell();
    assert.deepEqual(target.hear(newer), { ...ALL, renewed: 1 });
    assert.deepEqual(target.hear(newer), { ...ALL, renewed: 1 });
    assert.equal(target.world.ways()[0]?.way.state, 2);
    target.receive(tcp(back, { ...answers, flags: TCP.ack, seq: 501, ack: 101 }));
    assert.deepEqual(target.hear(newer), { ...ALL, present: 1 });
    assert.deepEqual(target.world.audit(), { tuples: 2, counted: 1, live: 1, owned: 1 });
  });

  test('a later session leaves what it has not told, unless a packet has passed', () => {
    const { source, target } = hosts();
    for (const sport of [1, 2, 3]) source.send(udp(out, { sport, dport: 53 }));
    const lines = source.tell();
    target.hear(lines, 7);
    target.receive(udp(back, { sport: 53, dport: 2 }));
    target.hear(lines.slice(0, 1), 8);
    assert.equal(target.carry.sweep(target.mover.vif, 8), 1);
    assert.deepEqual(target.world.audit(), { tuples: 4, counted: 2, live: 2, owned: 2 });
    assert.equal(target.carry.sweep(target.mover.vif + 1, 9), 0);
  });

  test('what is over is not put in, and ends in its time', () => {
    const { source, target } = hosts();
    source.send(udp(out, ports));
    const [line = ''] = source.tell();
    const over = JSON.stringify({ ...JSON.parse(line), expiresMs: 10 ** 9 });
    target.hear([over]);
    target.world.age(29);
    assert.equal(target.receive(udp(back, answers)), 'vif mover');
    target.world.forgetFlows();
    target.hear([over]);
    target.world.age(31);
    assert.equal(target.receive(udp(back, answers)), 'drop policy_ingress');
  });

  test('flows of others are not taken out; of a port that is followed anew all are', () => {
    const { source } = hosts();
    const other = source.world.addGuest('neighbour', { mac: '02:00:00:00:00:77', ip: '10.0.0.77', vni: BLUE });
    source.world.send(other, udp({ src: other.mac, dst: PEER, from: other.ip, to: PEER_IP }, ports));
    assert.deepEqual(source.takeOut(), []);
    source.send(udp(out, ports));
    assert.equal(source.takeOut().length, 1);
    source.carry.follow(source.mover.vif, 'all');
    assert.equal(source.takeOut().length, 1);
    source.carry.follow(source.mover.vif, 'changes');
    assert.equal(source.takeOut().length, 0);
  });

  test('in two walks each is taken out once, what was answered in the first, also what is answered in between', () => {
    const { source } = hosts();
    for (const sport of [1, 2, 3]) source.send(udp(out, { sport, dport: 53 }));
    const answered = (sport: number) => source.receive(udp(back, { sport: 53, dport: sport }));
    assert.equal(answered(2), 'vif mover');
    const walk = (which: 'answered' | 'others') =>
      source.carry
        .takeOut({ first: 0, turn: 0, sinceNs: FUTURE_NS, walk: which })
        .rows.map(({ tuple }) => tuple[0]?.sportBe)
        .sort();
    for (const anew of [true, false, true]) {
      source.carry.follow(source.mover.vif, anew ? 'all' : 'changes');
      assert.deepEqual([walk('answered'), walk('others')], anew ? [[2], [1, 3]] : [[], []]);
    }
    source.carry.follow(source.mover.vif, 'all');
    assert.deepEqual(walk('answered'), [2]);
    assert.equal(answered(3), 'vif mover');
    assert.deepEqual(walk('others'), [1, 3]);
    source.carry.follow(source.mover.vif, 'changes');
    assert.deepEqual([walk('answered'), walk('others')], [[], []]);
  });

  test('a flow that goes on is told again in its turn', () => {
    const { source } = hosts();
    source.send(udp(out, ports));
    source.takeOut();
    let told = 0;
    for (let n = 0; n < 64; n += 1) told += source.takeOut(0n).length;
    assert.equal(told, 1);
    for (let n = 0; n < 64; n += 1) told += source.takeOut(FUTURE_NS).length;
    assert.equal(told, 1, 'not when no packet has passed since');
  });

  test('more flows than there are rows go in several runs; a share that is full refuses the rest', (t) => {
    const { source, target } = hosts();
    const count = CB_CARRY_ROWS + 500;
    for (let n = 0; n < count; n += 1) source.send(udp(out, { sport: 2000 + n, dport: 53 }));
    const startedAt = performance.now();
    const rows = source.takeOut();
    const takenAt = performance.now();
    assert.equal(rows.length, count);
    const lines = source.tell(rows);
    const toldAt = performance.now();
    let made = 0;
    for (let from = 0; from < lines.length; from += 256) made += target.hear(lines.slice(from, from + 256)).made;
    const [take, tell, hear] = [takenAt - startedAt, toldAt - takenAt, performance.now() - toldAt].map(
      (ms) => `${((1000 * ms) / count).toFixed(1)} us`,
    );
    t.diagnostic(`a flow: taken out ${take}, told ${tell}, heard and put in ${hear}; ${lines[0]?.length} bytes`);
    assert.equal(made, count);
    assert.deepEqual(target.world.audit(), { tuples: 2 * count, counted: count, live: count, owned: count });
    const more = lines.map((line, n) => line.replace(/"port":\d+/, `"port":${20_000 + n}`));
    const rest = [0, 1, 2].map((k) =>
      target.hear(
        more.slice(0, CB_CARRY_ROWS).map((line, n) => line.replace(/"port":\d+/, `"port":${10_000 + k * 2000 + n}`)),
      ),
    );
    const refused = rest.reduce((sum, one) => sum + one.refused, 0);
    assert.ok(refused > 0, 'a port holds at most half of what is free');
  });
});
