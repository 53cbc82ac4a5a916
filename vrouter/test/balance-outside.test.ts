import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import {
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_VIP,
  CB_MAGLEV_SLOTS,
  CB_NET_F_TRANSIT,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import {
  addExternal,
  addFloating,
  addGateway,
  type Floating,
  type Gateway,
  removeFloating,
  removeSnat,
  setSnat,
} from './outside.ts';
import { arp, type Ipv4, PROTO, TCP, tcp, udp } from './packet.ts';
import { addr, type Guest, World } from './world.ts';

const [FRONT, BACK, TRANSIT, EXTERNAL] = [100, 101, 800, 900];
const VRF = 5;
const CLIENT = '02:00:00:00:01:0a';
const NEAR = '02:00:00:00:01:0b';
const REMOTE = '02:00:00:00:01:0c';
const FAR = '02:00:00:00:02:0d';
const VIP_MAC = '02:00:00:00:01:fd';
/** The router's MACs: in the networks, outside, in the transit network. The floating IP's, and the next hop's. */
const [R1, R2, G, GT] = ['02:00:00:00:01:fe', '02:00:00:00:02:fe', '02:00:00:00:09:fe', '02:00:00:00:08:fe'];
const [FM, N] = ['02:00:00:00:09:0f', '02:00:00:00:ee:01'];
const HOST = '192.0.2.7';
const VIP = '10.0.0.100';
const F = '203.0.113.10';
const S = '203.0.113.2';
const OUTER = '198.51.100.7';

const gateway: Gateway = {
  ...{ vrf: VRF, external: EXTERNAL, mac: G, ip: S, cidr: '203.0.113.0/24', nexthop: '203.0.113.1' },
  ports: { first: 2048, last: 4095 },
};

type Place = { readonly number: number; readonly ip: string; readonly net: number; readonly vrf?: number };

const near: Place = { number: 11, ip: '10.0.0.6', net: FRONT };
const remote: Place = { number: 12, ip: '10.0.0.7', net: FRONT };
const far: Place = { number: 13, ip: '10.2.0.8', net: BACK, vrf: VRF };

let world: World;
let client: Guest;
let member: Guest;
let behind: Guest;
let floating: Floating;

const svcKey = (protocol: number) => ({ addr: addr(VIP), net: world.net(FRONT), portBe: 80, protocol });

/** Port 80 of the virtual address leads to port 8080 of the member. */
function serve({ number, ip, net, vrf = 0 }: Place, protocol: number = PROTO.tcp): void {
  const value = { addr: addr(ip), pool: number, vrf, net: world.net(net), portBe: 8080, flags: 0 };
  world.write(MAPS.cb_member_1, { member: number }, value);
  for (let chunk = 0; chunk < 2; chunk++) {
    world.write(MAPS.cb_maglev_1, { pool: number, chunk }, { member: Array(CB_MAGLEV_SLOTS).fill(number) });
  }
  world.write(MAPS.cb_svc_1, svcKey(protocol), { pool: number, slots: 61, flags: 0 });
}

before(() => {
  world = new World();
  addExternal(world, EXTERNAL);
  client = world.addGuest('client', { mac: CLIENT, ip: '10.0.0.5', vni: FRONT, dhcpServer: '10.0.0.1' });
  member = world.addGuest('member', { mac: NEAR, ip: near.ip, vni: FRONT });
  behind = world.addGuest('behind', { mac: FAR, ip: far.ip, vni: BACK });
  world.addRemote(FRONT, remote.ip, REMOTE, HOST);
  world.addRouterInterface(VRF, { vni: FRONT, cidr: '10.0.0.0/24', ip: '10.0.0.1', mac: R1 });
  world.addRouterInterface(VRF, { vni: BACK, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2 });
  world.addPeer(HOST);
  world.setEndpoint(FRONT, [VIP], VIP_MAC, { kind: CB_ENDPOINT_VIP });
  addGateway(world, gateway);
  world.setEndpoint(TRANSIT, ['100.64.0.1'], GT, { kind: CB_ENDPOINT_GATEWAY, vrf: VRF });
  world.setFlags(TRANSIT, CB_NET_F_TRANSIT);
  // Nobody has the address: it is as one of a guest of another host.
  const nobody = { ...client, vif: 0, vni: TRANSIT, ip: VIP };
  floating = { external: EXTERNAL, ip: F, guest: nobody, vrf: VRF, mac: FM, exit: VRF };
  const hears = arp({ src: N, dst: G }, { op: 'reply', sha: N, spa: gateway.nexthop, tha: G, tpa: S });
  assert.equal(world.arrive(hears).verdict, 'flood 0 copies');
});

after(() => world.close());

beforeEach(() => {
  world.forgetFlows();
  addFloating(world, floating);
  setSnat(world, gateway);
});

const into: Ipv4 = { src: N, dst: FM, from: OUTER, to: F };
const syn = { sport: 4000, dport: 80, flags: TCP.syn };
const synAck = { sport: 8080, dport: 4000, flags: TCP.syn | TCP.ack };
const left = `${FM} > ${N} ip ${F} > ${OUTER}`;
const rounds = ['first', 'established', 'decided again'] as const;

function again(round: (typeof rounds)[number]): void {
  if (round === 'decided again') world.raiseEpochs();
}

describe('a floating IP of a virtual address', () => {
  test('leads to a member of the gateway’s host, whose answers leave with it', () => {
    serve(near);
    for (const round of rounds) {
      again(round);
      const sent = world.arrive(tcp(into, syn));
      assert.equal(sent.verdict, 'vif member', round);
      assert.equal(sent.packet, `${R1} > ${NEAR} ip ${OUTER} > ${near.ip} ttl 63 tcp 4000 > 8080`, round);
    }
    for (const round of rounds) {
      again(round);
      const got = world.send(member, tcp({ src: NEAR, dst: R1, from: near.ip, to: OUTER }, synAck));
      assert.equal(`${got.verdict} ${got.packet}`, `wire ${left} ttl 63 tcp 80 > 4000`, round);
    }
    assert.equal(world.ways().length, 2);
  });

  test('leads to a member in another network of the router', () => {
    serve(far);
    const sent = world.arrive(tcp(into, syn));
    assert.equal(sent.packet, `${R2} > ${FAR} ip ${OUTER} > ${far.ip} ttl 63 tcp 4000 > 8080`);
    const got = world.send(behind, tcp({ src: FAR, dst: R2, from: far.ip, to: OUTER }, synAck));
    assert.equal(got.packet, `${left} ttl 63 tcp 80 > 4000`);
  });

  for (const own of [false, true]) {
    test(`leads to a member of another host, whose answers come by the transit network${own ? ', also if that has a floating IP of its own' : ''}`, () => {
      serve(remote);
      const itself = { ...floating, ip: '203.0.113.12', guest: { ...client, vif: 0, vni: TRANSIT, ip: remote.ip } };
      if (own) addFloating(world, { ...itself, mac: '02:00:00:00:09:10' });
      for (const round of rounds) {
        again(round);
        const sent = world.arrive(tcp(into, syn));
        assert.equal(sent.verdict, `overlay ${FRONT} ${HOST}`, round);
        assert.equal(sent.packet, `${R1} > ${REMOTE} ip ${OUTER} > ${remote.ip} ttl 63 tcp 4000 > 8080`, round);
      }
      for (const round of rounds) {
        again(round);
        const answer = tcp({ src: REMOTE, dst: GT, from: remote.ip, to: OUTER }, synAck);
        const got = world.receive({ vni: TRANSIT, from: HOST }, answer);
        assert.equal(`${got.verdict} ${got.packet}`, `wire ${left} ttl 63 tcp 80 > 4000`, round);
      }
      if (own) removeFloating(world, { ...itself, mac: '02:00:00:00:09:10' });
    });
  }

  test('ends connections when it leads elsewhere, or the listener or the member is gone, in either direction', () => {
    const leadsElsewhere = { ...floating, guest: client };
    const ends = [
      () => removeFloating(world, floating),
      () => world.erase(MAPS.cb_svc_1, svcKey(PROTO.tcp)),
      () => world.erase(MAPS.cb_member_1, { member: remote.number }),
      () => serve(near),
      () => addFloating(world, leadsElsewhere),
    ];
    for (const [number, end] of ends.entries()) {
      for (const inwards of [true, false]) {
        world.forgetFlows();
        addFloating(world, floating);
        serve(remote);
        assert.equal(world.arrive(tcp(into, syn)).verdict, `overlay ${FRONT} ${HOST}`);
        const answer = tcp({ src: REMOTE, dst: GT, from: remote.ip, to: OUTER }, synAck);
        assert.equal(world.receive({ vni: TRANSIT, from: HOST }, answer).verdict, 'wire');
        end();
        world.raiseEpochs();
        const ended = inwards
          ? world.arrive(tcp(into, { ...syn, flags: TCP.ack }))
          : world.receive({ vni: TRANSIT, from: HOST }, answer);
        assert.match(ended.verdict, number === 0 && inwards ? /^pass$/ : /^drop nat_gone$/, `${number} ${inwards}`);
        if (number > 0 || !inwards) assert.equal(world.ways().length, 0, `${number} ${inwards}`);
        addFloating(world, leadsElsewhere);
        removeFloating(world, leadsElsewhere);
      }
    }
  });

  test('a connection is not taken up in its middle', () => {
    serve(near);
    assert.equal(world.arrive(tcp(into, { ...syn, flags: TCP.ack })).verdict, 'drop invalid_state');
  });

  test('a member answers nobody in its name who has not asked', () => {
    serve(near);
    const got = world.send(member, udp({ src: NEAR, dst: R1, from: near.ip, to: OUTER }, { sport: 8080, dport: 4000 }));
    assert.match(got.packet, new RegExp(`ip ${S} > ${OUTER}`));
  });

  test('whoever asks outside for what nobody serves is told so by the router', () => {
    serve(near);
    const got = world.arrive(tcp(into, { ...syn, dport: 81 }));
    assert.equal(got.verdict, 'wire (no_member)');
    assert.match(got.packet, new RegExp(`ip ${S} > ${OUTER} .*icmp 3/3`));
  });

  test('a guest behind the same router reaches it, and so does a member itself', () => {
    for (const [guest, mac, from, dst] of [
      [client, CLIENT, '10.0.0.5', R1],
      [member, NEAR, near.ip, R1],
      [behind, FAR, far.ip, R2],
    ] as const) {
      serve(near);
      const asks: Ipv4 = { src: mac, dst, from, to: F };
      let port = 0;
      for (const round of rounds) {
        again(round);
        const sent = world.send(guest, tcp(asks, syn));
        assert.equal(sent.verdict, 'vif member', `${from} ${round}`);
        port = Number(/tcp (\d+) > 8080$/.exec(sent.packet)?.[1]);
        assert.equal(sent.packet, `${R1} > ${NEAR} ip ${S} > ${near.ip} ttl 63 tcp ${port} > 8080`);
      }
      for (const round of rounds) {
        again(round);
        const answer = tcp({ src: NEAR, dst: R1, from: near.ip, to: S }, { ...synAck, dport: port });
        const got = world.send(member, answer);
        assert.equal(got.packet, `${dst} > ${mac} ip ${F} > ${from} ttl 63 tcp 80 > 4000`, `${from} ${round}`);
      }
    }
  });

  test('a guest of another host reaches it, and comes to a member there', () => {
    serve(remote);
    const asks: Ipv4 = { src: REMOTE, dst: GT, from: remote.ip, to: F };
    let port = 0;
    for (const round of rounds) {
      again(round);
      const sent = world.receive({ vni: TRANSIT, from: HOST }, tcp(asks, syn));
      port = Number(/tcp (\d+) > 8080$/.exec(sent.packet)?.[1]);
      const wanted = `overlay ${FRONT} ${HOST} ${R1} > ${REMOTE} ip ${S} > ${remote.ip} ttl 63 tcp ${port} > 8080`;
      assert.equal(`${sent.verdict} ${sent.packet}`, wanted, round);
    }
    for (const round of rounds) {
      again(round);
      const answer = tcp({ src: REMOTE, dst: GT, from: remote.ip, to: S }, { ...synAck, dport: port });
      const got = world.receive({ vni: TRANSIT, from: HOST }, answer);
      const wanted = `overlay ${FRONT} ${HOST} ${R1} > ${REMOTE} ip ${F} > ${remote.ip} ttl 63 tcp 80 > 4000`;
      assert.equal(`${got.verdict} ${got.packet}`, wanted, round);
    }
  });

  test('where the router translates nothing a member is refused that would meet itself', () => {
    serve(near);
    removeSnat(world, VRF);
    const asks: Ipv4 = { src: NEAR, dst: R1, from: near.ip, to: F };
    assert.match(world.send(member, tcp(asks, syn)).verdict, /no_member/);
  });
});

describe('a virtual address to which the outside is routed', () => {
  const routed: Ipv4 = { src: N, dst: G, from: OUTER, to: VIP };
  const leaves = `${G} > ${N} ip ${VIP} > ${OUTER} ttl 63 tcp 80 > 4000`;
  const key = () => ({ net: world.net(EXTERNAL), outside: 0, addr: addr(VIP) });

  beforeEach(() => {
    removeSnat(world, VRF);
    world.write(MAPS.cb_nat_1, key(), { to: addr(VIP), toNet: world.net(TRANSIT), vrf: VRF });
    world.raiseEpochs();
  });

  after(() => world.erase(MAPS.cb_nat_1, key()));

  test('leads to a member of the gateway’s host, in whichever network, whose answers leave with it', () => {
    for (const [place, mac, router, guest] of [
      [near, NEAR, R1, member],
      [far, FAR, R2, behind],
    ] as const) {
      world.forgetFlows();
      serve(place);
      for (const round of rounds) {
        again(round);
        const sent = world.arrive(tcp(routed, syn));
        assert.equal(sent.packet, `${router} > ${mac} ip ${OUTER} > ${place.ip} ttl 63 tcp 4000 > 8080`, round);
      }
      for (const round of rounds) {
        again(round);
        const got = world.send(guest, tcp({ src: mac, dst: router, from: place.ip, to: OUTER }, synAck));
        assert.equal(`${got.verdict} ${got.packet}`, `wire ${leaves}`, round);
      }
    }
  });

  test('leads to a member of another host, whose answers come by the transit network', () => {
    serve(remote);
    for (const round of rounds) {
      again(round);
      const sent = world.arrive(tcp(routed, syn));
      const wanted = `overlay ${FRONT} ${HOST} ${R1} > ${REMOTE} ip ${OUTER} > ${remote.ip} ttl 63 tcp 4000 > 8080`;
      assert.equal(`${sent.verdict} ${sent.packet}`, wanted, round);
    }
    for (const round of rounds) {
      again(round);
      const answer = tcp({ src: REMOTE, dst: GT, from: remote.ip, to: OUTER }, synAck);
      const got = world.receive({ vni: TRANSIT, from: HOST }, answer);
      assert.equal(`${got.verdict} ${got.packet}`, `wire ${leaves}`, round);
    }
  });

  test('nobody serves: the router says so; nor is it reached where the router translates, or when it is nobody’s', () => {
    serve(near);
    const refused = world.arrive(tcp(routed, { ...syn, dport: 81 }));
    assert.equal(refused.verdict, 'wire (no_member)');
    assert.equal(world.arrive(tcp(routed, syn)).verdict, 'vif member');
    world.erase(MAPS.cb_nat_1, key());
    world.raiseEpochs();
    assert.equal(world.arrive(tcp(routed, syn)).verdict, 'drop nat_gone');
    assert.match(world.arrive(tcp(routed, syn)).verdict, /no_endpoint/);
    world.write(MAPS.cb_nat_1, key(), { to: addr(VIP), toNet: world.net(TRANSIT), vrf: VRF });
    setSnat(world, gateway);
    world.raiseEpochs();
    assert.match(world.arrive(tcp(routed, syn)).verdict, /no_route/);
  });
});
