import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  CB_ENDPOINT_VIP,
  CB_MAGLEV_SLOTS,
  CB_MEMBER_F_DOWN,
  CB_SVC_F_AFFINITY,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { arp, ICMP, type Ip, icmp, icmpError, PROTO, sctp, TCP, tcp, udp } from './packet.ts';
import { addr, type Guest, World } from './world.ts';

const [FRONT, BACK] = [100, 101];
const VRF = 5;
const POLICY = 30;
const CLIENT = '02:00:00:00:01:0a';
const OTHER = '02:00:00:00:01:0b';
const REMOTE = '02:00:00:00:01:0c';
const FAR = '02:00:00:00:02:0d';
const VIP_MAC = '02:00:00:00:01:fd';
const [R1, R2] = ['02:00:00:00:01:fe', '02:00:00:00:02:fe'];
const HOST = '192.0.2.7';
const VIP = '10.0.0.100';
const VIP6 = 'fd00::100';

/** A member, by what the tests call it. */
type Place = {
  readonly number: number;
  readonly ip: string;
  readonly net: number;
  readonly port: number;
  readonly vrf?: number;
  /** It fails its probes. */
  readonly isDown?: boolean;
};

const near: Place = { number: 11, ip: '10.0.0.6', net: FRONT, port: 8080 };
const remote: Place = { number: 12, ip: '10.0.0.7', net: FRONT, port: 8080 };
const far: Place = { number: 13, ip: '10.2.0.8', net: BACK, port: 8081, vrf: VRF };
const near6: Place = { number: 15, ip: 'fd00::6', net: FRONT, port: 8080 };

let world: World;
let client: Guest;
let member: Guest;
let behind: Guest;
let pools = 0;

function writeMember({ number, ip, net, port, vrf = 0, isDown = false }: Place, pool: number): void {
  const value = { addr: addr(ip), pool, vrf, net: world.net(net), portBe: port, flags: isDown ? CB_MEMBER_F_DOWN : 0 };
  world.write(MAPS.cb_member_1, { member: number }, value);
}

/** A port of the virtual address leads to the members, in turns. Gives the pool's number. */
function serve(
  members: readonly Place[],
  { protocol = PROTO.tcp as number, port = 80, vip = VIP, flags = 0, slots = members.length === 0 ? 0 : 61 } = {},
): number {
  pools += 1;
  const pool = pools;
  for (const place of members) writeMember(place, pool);
  for (let chunk = 0; chunk * CB_MAGLEV_SLOTS < slots; chunk++) {
    const at = (n: number): number => members[(chunk * CB_MAGLEV_SLOTS + n) % members.length]?.number ?? 0;
    world.write(
      MAPS.cb_maglev_1,
      { pool, chunk },
      { member: Array.from({ length: CB_MAGLEV_SLOTS }, (_, n) => at(n)) },
    );
  }
  const key = { addr: addr(vip), net: world.net(FRONT), portBe: port, protocol };
  world.write(MAPS.cb_svc_1, key, { pool, slots, flags });
  return pool;
}

before(() => {
  world = new World();
  client = world.addGuest('client', {
    mac: CLIENT,
    ip: '10.0.0.5',
    vni: FRONT,
    ip6: 'fd00::5',
    dhcpServer: '10.0.0.1',
    router6: 'fe80::1',
    policy: POLICY,
  });
  member = world.addGuest('member', { mac: OTHER, ip: '10.0.0.6', vni: FRONT, ip6: 'fd00::6' });
  behind = world.addGuest('behind', { mac: FAR, ip: '10.2.0.8', vni: BACK, dhcpServer: '10.2.0.1' });
  world.addRemote(FRONT, '10.0.0.7', REMOTE, HOST);
  world.addRouterInterface(VRF, { vni: FRONT, cidr: '10.0.0.0/24', ip: '10.0.0.1', mac: R1 });
  world.addRouterInterface(VRF, { vni: BACK, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2 });
  world.addPeer(HOST);
  world.setEndpoint(FRONT, [VIP, VIP6], VIP_MAC, { kind: CB_ENDPOINT_VIP });
  world.addRule({ policy: POLICY, direction: 'egress' });
  world.addRule({ policy: POLICY, direction: 'egress', family: 6 });
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const toVip: Ip = { src: CLIENT, dst: VIP_MAC, from: '10.0.0.5', to: VIP };
const fromFar: Ip = { src: FAR, dst: R2, from: '10.2.0.8', to: VIP };
const ports = { sport: 1000, dport: 80 };
const syn = (ip: Ip = toVip, sport = 1000): Buffer => tcp(ip, { sport, dport: 80, flags: TCP.syn });

describe('a virtual address', () => {
  test('answers ARP with the MAC of its port', () => {
    const asked = world.send(
      client,
      arp(
        { src: CLIENT, dst: 'ff:ff:ff:ff:ff:ff' },
        { op: 'request', sha: CLIENT, spa: '10.0.0.5', tha: '00:00:00:00:00:00', tpa: VIP },
      ),
    );
    assert.match(asked.packet, new RegExp(`^${VIP_MAC} > ${CLIENT} arp`));
  });

  for (const [what, protocol, frame, back, text] of [
    ['TCP', PROTO.tcp, () => syn(), (ip: Ip) => tcp(ip, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack }), 'tcp'],
    ['UDP', PROTO.udp, () => udp(toVip, ports), (ip: Ip) => udp(ip, { sport: 8080, dport: 1000 }), 'udp'],
  ] as const) {
    test(`${what}: leads to a member of the same host, whose answers come from it`, () => {
      serve([near], { protocol });
      for (const round of ['first', 'established']) {
        const sent = world.send(client, frame());
        assert.equal(sent.verdict, 'vif member', round);
        assert.equal(sent.packet, `${VIP_MAC} > ${OTHER} ip 10.0.0.5 > 10.0.0.6 ttl 63 ${text} 1000 > 8080`, round);
      }
      for (const round of ['first', 'established']) {
        const got = world.send(member, back({ src: OTHER, dst: CLIENT, from: '10.0.0.6', to: '10.0.0.5' }));
        assert.equal(got.verdict, 'vif client', round);
        assert.equal(got.packet, `${OTHER} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 64 ${text} 80 > 1000`, round);
      }
    });
  }

  test('SCTP leads to a member that serves at the same port', () => {
    serve([{ ...near, port: 80 }], { protocol: PROTO.sctp });
    const sent = world.send(client, sctp(toVip, ports));
    assert.equal(sent.packet, `${VIP_MAC} > ${OTHER} ip 10.0.0.5 > 10.0.0.6 ttl 63 sctp 1000 > 80`);
  });

  test('SCTP to a member that serves at another port is refused: its checksum would be wrong', () => {
    serve([near], { protocol: PROTO.sctp });
    assert.equal(world.send(client, sctp(toVip, ports)).verdict, 'vif client (no_member)');
  });

  test('leads to a member of another host, whose answers come from it', () => {
    serve([remote]);
    for (const round of ['first', 'established']) {
      const sent = world.send(client, syn());
      assert.equal(sent.verdict, `overlay ${FRONT} ${HOST}`, round);
      assert.equal(sent.packet, `${VIP_MAC} > ${REMOTE} ip 10.0.0.5 > 10.0.0.7 ttl 63 tcp 1000 > 8080`, round);
    }
    const answer = tcp(
      { src: REMOTE, dst: CLIENT, from: '10.0.0.7', to: '10.0.0.5' },
      { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack },
    );
    for (const round of ['first', 'established']) {
      const got = world.receive({ vni: FRONT, from: HOST }, answer);
      assert.equal(got.verdict, 'vif client', round);
      assert.equal(got.packet, `${REMOTE} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 64 tcp 80 > 1000`, round);
    }
  });

  test('leads through a router to a member in another network', () => {
    serve([far]);
    for (const round of ['first', 'established']) {
      const sent = world.send(client, syn());
      assert.equal(sent.verdict, 'vif behind', round);
      assert.equal(sent.packet, `${R2} > ${FAR} ip 10.0.0.5 > 10.2.0.8 ttl 63 tcp 1000 > 8081`, round);
    }
    const got = world.send(
      behind,
      tcp({ ...fromFar, to: '10.0.0.5' }, { sport: 8081, dport: 1000, flags: TCP.syn | TCP.ack }),
    );
    assert.equal(got.packet, `${R1} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 63 tcp 80 > 1000`);
  });

  test('is reached through a router', () => {
    serve([near]);
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const sent = world.send(behind, syn(fromFar));
      assert.equal(sent.verdict, 'vif member', round);
      assert.equal(sent.packet, `${R1} > ${OTHER} ip 10.2.0.8 > 10.0.0.6 ttl 63 tcp 1000 > 8080`, round);
    }
    const answer = tcp(
      { src: OTHER, dst: R1, from: '10.0.0.6', to: '10.2.0.8' },
      { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack },
    );
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(member, answer);
      assert.equal(got.packet, `${R2} > ${FAR} ip ${VIP} > 10.2.0.8 ttl 63 tcp 80 > 1000`, round);
    }
  });

  test('is one of IPv6 as well', () => {
    serve([near6], { vip: VIP6 });
    const sent = world.send(client, tcp({ ...toVip, from: 'fd00::5', to: VIP6 }, { ...ports, flags: TCP.syn }));
    assert.equal(sent.verdict, 'vif member');
    assert.match(sent.packet, /fd00::5 > fd00::6 .*tcp 1000 > 8080/);
    const got = world.send(
      member,
      tcp(
        { src: OTHER, dst: CLIENT, from: 'fd00::6', to: 'fd00::5' },
        { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack },
      ),
    );
    assert.match(got.packet, /fd00::100 > fd00::5 .*tcp 80 > 1000/);
  });

  test('a member that asks for itself sees the virtual address, and is answered from it', () => {
    serve([near]);
    const own: Ip = { src: OTHER, dst: VIP_MAC, from: '10.0.0.6', to: VIP };
    const sent = world.send(member, syn(own));
    assert.equal(sent.verdict, 'vif member');
    const port = Number(/ tcp (\d+) > 8080$/.exec(sent.packet)?.[1]);
    assert.equal(sent.packet, `${VIP_MAC} > ${OTHER} ip ${VIP} > 10.0.0.6 ttl 63 tcp ${port} > 8080`);
    assert.ok(port >= 1024);
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(member, tcp(own, { sport: 8080, dport: port, flags: TCP.syn | TCP.ack }));
      assert.equal(got.verdict, 'vif member', round);
      assert.equal(got.packet, `${VIP_MAC} > ${OTHER} ip ${VIP} > 10.0.0.6 ttl 63 tcp 80 > 1000`, round);
    }
    for (const round of ['established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      assert.equal(world.send(member, tcp(own, { ...ports, flags: TCP.ack })).verdict, 'vif member', round);
    }
  });

  test('a member may ask for itself from the port at which it serves', () => {
    const port = 53;
    serve([{ ...near, port }], { protocol: PROTO.udp, port });
    const own: Ip = { src: OTHER, dst: VIP_MAC, from: '10.0.0.6', to: VIP };
    const sent = world.send(member, udp(own, { sport: port, dport: port }));
    const chosen = Number(/ udp (\d+) > 53$/.exec(sent.packet)?.[1]);
    assert.equal(sent.verdict, 'vif member');
    const got = world.send(member, udp(own, { sport: port, dport: chosen }));
    assert.equal(got.packet, `${VIP_MAC} > ${OTHER} ip ${VIP} > 10.0.0.6 ttl 63 udp 53 > 53`);
  });

  test('answers from it to a MAC that nobody is known to have, as that of a client with an allowed address pair', () => {
    serve([near], { protocol: PROTO.udp });
    const mac = '00:00:5e:00:01:07';
    world.allowSource(client, mac, '10.0.0.99');
    assert.equal(world.send(client, udp({ ...toVip, src: mac, from: '10.0.0.99' }, ports)).verdict, 'vif member');
    const back: Ip = { src: OTHER, dst: mac, from: '10.0.0.6', to: '10.0.0.99' };
    world.setFlood(FRONT, [{ guest: client }]);
    const got = world.send(member, udp(back, { sport: 8080, dport: 1000 }));
    assert.equal(got.packet, `${OTHER} > ${mac} ip ${VIP} > 10.0.0.99 ttl 64 udp 80 > 1000`);
    assert.equal(got.verdict, 'flood 1 copies');
  });
});

describe('members', () => {
  test('share connections, and each connection keeps its own', () => {
    serve([near, remote]);
    const first = new Map(
      Array.from({ length: 64 }, (_, n) => [2000 + n, world.send(client, syn(toVip, 2000 + n)).verdict]),
    );
    const shares = [...first.values()].filter((one) => one === 'vif member').length;
    assert.ok(shares > 16 && shares < 48, `${shares} of 64`);
    world.raiseEpochs();
    for (const [sport, verdict] of first) {
      assert.equal(world.send(client, tcp(toVip, { sport, dport: 80, flags: TCP.ack })).verdict, verdict);
    }
  });

  test('with affinity a client has one member', () => {
    serve([near, remote], { flags: CB_SVC_F_AFFINITY });
    const verdicts = new Set(Array.from({ length: 32 }, (_, n) => world.send(client, syn(toVip, 3000 + n)).verdict));
    assert.equal(verdicts.size, 1);
  });

  test('one that gets no more connections keeps those there are; of one that is gone they end', () => {
    const pool = serve([near]);
    world.send(client, syn());
    const established = (): string => world.send(client, tcp(toVip, { ...ports, flags: TCP.ack })).verdict;
    const key = { addr: addr(VIP), net: world.net(FRONT), portBe: 80, protocol: PROTO.tcp };
    world.write(MAPS.cb_svc_1, key, { pool, slots: 0, flags: 0 });
    world.raiseEpochs();
    assert.equal(established(), 'vif member');
    assert.match(world.send(client, syn(toVip, 1001)).verdict, /no_member/);
    world.erase(MAPS.cb_member_1, { member: near.number });
    world.raiseEpochs();
    assert.equal(established(), 'drop nat_gone');
    assert.equal(world.ways().length, 0);
  });

  test('a flow of UDP leaves a member that is down, though its client goes on from one port; one of TCP stays', () => {
    for (const [protocol, frame, goesOn] of [
      [PROTO.udp, () => udp(toVip, ports), false],
      [PROTO.tcp, () => tcp(toVip, { ...ports, flags: TCP.ack }), true],
    ] as const) {
      world.forgetFlows();
      const pool = serve([near], { protocol });
      assert.equal(world.send(client, protocol === PROTO.tcp ? syn() : frame()).verdict, 'vif member');
      // As the agent writes it: the row of the member before the slots.
      writeMember({ ...near, isDown: true }, pool);
      world.raiseEpochs();
      assert.equal(world.send(client, frame()).verdict, goesOn ? 'vif member' : 'drop nat_gone');
      if (goesOn) continue;
      assert.equal(world.send(client, frame()).verdict, 'vif client (no_member)', 'the slots are still its own');
      assert.equal(world.ways().length, 0);
      writeMember(remote, pool);
      const slots = { member: Array(CB_MAGLEV_SLOTS).fill(remote.number) };
      for (const chunk of [0, 1]) world.write(MAPS.cb_maglev_1, { pool, chunk }, slots);
      for (const round of ['first', 'established']) {
        assert.equal(world.send(client, frame()).verdict, `overlay ${FRONT} ${HOST}`, round);
      }
    }
  });

  test('a connection whose listener leads to another pool ends', () => {
    serve([near]);
    world.send(client, syn());
    serve([remote]);
    world.raiseEpochs();
    assert.equal(world.send(client, tcp(toVip, { ...ports, flags: TCP.ack })).verdict, 'drop nat_gone');
    assert.equal(world.send(client, syn()).verdict, `overlay ${FRONT} ${HOST}`);
  });

  test('a connection is not taken up in its middle', () => {
    serve([near]);
    assert.equal(world.send(client, tcp(toVip, { ...ports, flags: TCP.ack })).verdict, 'drop invalid_state');
  });

  test('nobody else answers in the name of the virtual address', () => {
    serve([near]);
    world.send(client, syn());
    const forged = tcp(
      { src: OTHER, dst: CLIENT, from: VIP, to: '10.0.0.5' },
      { sport: 80, dport: 1000, flags: TCP.syn | TCP.ack },
    );
    assert.match(world.send(member, forged).verdict, /^drop spoofed/);
    assert.match(world.receive({ vni: FRONT, from: HOST }, forged).verdict, /^drop/);
  });

  test('an ICMP error of a member comes from the virtual address’s connection', () => {
    serve([near], { protocol: PROTO.udp });
    const sent = world.send(client, udp(toVip, ports));
    assert.equal(sent.verdict, 'vif member');
    const quoted = udp({ src: CLIENT, dst: OTHER, from: '10.0.0.5', to: '10.0.0.6' }, { sport: 1000, dport: 8080 });
    const got = world.send(
      member,
      icmpError(
        { src: OTHER, dst: CLIENT, from: '10.0.0.6', to: '10.0.0.5' },
        { type: ICMP.unreachable, code: 3 },
        quoted,
      ),
    );
    assert.equal(got.verdict, 'vif client');
    // The packet that it quotes begins behind Ethernet, IP and ICMP.
    const quote = got.data.subarray(14 + 20 + 8);
    assert.deepEqual([...quote.subarray(16, 20)], [10, 0, 0, 100]);
    assert.equal(Buffer.from(quote).readUInt16BE(22), 80);
  });
});

describe('rules', () => {
  test('of the client are about the virtual address, of the member about the client', () => {
    serve([near]);
    const strict = world.addGuest('strict', { mac: '02:00:00:00:01:31', ip: '10.0.0.31', vni: FRONT, policy: 31 });
    const ip: Ip = { src: strict.mac, dst: VIP_MAC, from: strict.ip, to: VIP };
    assert.equal(world.send(strict, syn(ip)).verdict, 'drop policy_egress');
    world.addClass(31, `${VIP}/32`, 4);
    world.addRule({ policy: 31, direction: 'egress', classId: 4, protocol: PROTO.tcp, port: 80 });
    world.raiseEpochs();
    assert.equal(world.send(strict, syn(ip)).verdict, 'vif member');
    world.unplug(strict);
  });
});

describe('nobody', () => {
  test('is told of at once: no listener at the port, no member', () => {
    const refused = `vif client (no_member)`;
    const none = world.send(client, tcp(toVip, { sport: 1000, dport: 4444, flags: TCP.syn }));
    assert.equal(none.verdict, refused);
    assert.match(none.packet, /ip 10.0.0.1 > 10.0.0.5 .*icmp 3\/3/);
    serve([], { protocol: PROTO.udp, port: 5353 });
    assert.equal(world.send(client, udp(toVip, { sport: 1, dport: 5353 })).verdict, refused);
    const six = world.send(
      client,
      tcp({ ...toVip, from: 'fd00::5', to: VIP6 }, { sport: 1, dport: 4444, flags: TCP.syn }),
    );
    assert.equal(six.verdict, refused);
    assert.match(six.packet, /icmp6? 1\/4/);
    assert.equal(world.ways().length, 0);
  });

  test('answers pings of a virtual address', () => {
    assert.equal(world.send(client, icmp(toVip, { type: ICMP.echo, id: 7 })).verdict, 'vif client (no_member)');
  });

  test('who is on another host is not sent on from here', () => {
    serve([near]);
    const strange = tcp({ src: REMOTE, dst: VIP_MAC, from: '10.0.0.7', to: VIP }, { ...ports, flags: TCP.syn });
    assert.match(world.receive({ vni: FRONT, from: HOST }, strange).verdict, /^drop unknown_mac/);
  });
});

test('the addresses of routers are what they were', () => {
  const echo = world.send(
    client,
    icmp({ src: CLIENT, dst: R1, from: '10.0.0.5', to: '10.0.0.1' }, { type: ICMP.echo, id: 7 }),
  );
  assert.equal(echo.verdict, 'vif client');
});
