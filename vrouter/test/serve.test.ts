import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { CB_VIF_F_NODE, CB_WAY_F_SERVED, MAPS } from '../../packages/agent/src/bpf/abi.gen.ts';
import { addExternal, addFloating, addGateway } from './outside.ts';
import { arp, ICMP, type Ip, icmp, icmpError, PROTO, sctp, TCP, tcp, udp } from './packet.ts';
import { addScope, type Place, removeService, type ServiceOptions, setService } from './services.ts';
import { addr, type Guest, OPEN_FLAGS, type Outcome, type Rule, World } from './world.ts';

const [FRONT, BACK] = [100, 101];
const [VRF, SCOPE] = [5, 77];
const [CLIENT_POLICY, SERVER_POLICY] = [30, 31];
const CLIENT = '02:00:00:00:01:0a';
const OTHER = '02:00:00:00:01:0b';
const REMOTE = '02:00:00:00:01:0c';
const FAR = '02:00:00:00:02:0d';
const [R1, R2] = ['02:00:00:00:01:fe', '02:00:00:00:02:fe'];
const HOST = '192.0.2.7';
const VIP = '10.96.0.10';
const VIP6 = 'fd96::a';

const near: Place = { ip: '10.0.0.6', port: 8080 };
const remote: Place = { ip: '10.0.0.7', port: 8080 };
const far: Place = { ip: '10.2.0.8', port: 8081 };
const own: Place = { ip: '10.0.0.5', port: 8080 };

let world: World;
let client: Guest;
let server: Guest;
let behind: Guest;

const WEB: ServiceOptions = { scope: SCOPE, ip: VIP, protocol: PROTO.tcp, port: 80 };
const DNS: ServiceOptions = { scope: SCOPE, ip: VIP, protocol: PROTO.udp, port: 53 };

before(() => {
  world = new World();
  const client6 = { ip6: 'fd00::5', router6: 'fe80::1' };
  client = world.addGuest('client', {
    ...{ mac: CLIENT, ip: '10.0.0.5', vni: FRONT, dhcpServer: '10.0.0.1', policy: CLIENT_POLICY, ...client6 },
  });
  const server6 = { ip6: 'fd00::6', router6: 'fe80::1' };
  server = world.addGuest('server', { mac: OTHER, ip: '10.0.0.6', vni: FRONT, dhcpServer: '10.0.0.1', ...server6 });
  behind = world.addGuest('behind', { mac: FAR, ip: '10.2.0.8', vni: BACK, dhcpServer: '10.2.0.1' });
  world.addRemote(FRONT, '10.0.0.7', REMOTE, HOST);
  world.addRouterInterface(VRF, { vni: FRONT, cidr: '10.0.0.0/24', ip: '10.0.0.1', mac: R1 });
  world.addRouterInterface(VRF, { vni: FRONT, cidr: 'fd00::/64', ip: 'fd00::1', mac: R1 });
  world.addRouterInterface(VRF, { vni: BACK, cidr: '10.2.0.0/24', ip: '10.2.0.1', mac: R2 });
  world.addPeer(HOST);
  addScope(world, VRF, SCOPE, ['10.96.0.0/16', 'fd96::/112']);
  for (const policy of [CLIENT_POLICY, SERVER_POLICY])
    for (const family of [4, 6] as const) world.addRule({ policy, direction: 'egress', family });
});

after(() => world.close());

beforeEach(() => world.forgetFlows());

const toVip: Ip = { src: CLIENT, dst: R1, from: '10.0.0.5', to: VIP };
const back: Ip = { src: OTHER, dst: CLIENT, from: '10.0.0.6', to: '10.0.0.5' };
const syn = (sport = 1000, ip: Ip = toVip): Buffer => tcp(ip, { sport, dport: 80, flags: TCP.syn });
const query = (sport = 1000, ip: Ip = toVip): Buffer => udp(ip, { sport, dport: 53 });

/** The endpoint that a packet went to. */
function endpointOf({ packet }: Outcome): string {
  return (
    / > ([\d.a-f:]+) .*(?:tcp|udp|sctp) \d+ > (\d+)/
      .exec(packet.replace(/^\S+ > \S+ /, ''))
      ?.slice(1, 3)
      .join(':') ?? ''
  );
}

describe('a Service', () => {
  test('leads to an endpoint of the same network, whose answers come from it', () => {
    setService(world, WEB, [near]);
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const sent = world.send(client, syn());
      assert.equal(sent.verdict, 'vif server', round);
      assert.equal(sent.packet, `${R1} > ${OTHER} ip 10.0.0.5 > 10.0.0.6 ttl 63 tcp 1000 > 8080`, round);
    }
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(server, tcp(back, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack }));
      assert.equal(got.verdict, 'vif client', round);
      assert.equal(got.packet, `${OTHER} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 64 tcp 80 > 1000`, round);
    }
  });

  test('leads to an endpoint of another network', () => {
    setService(world, WEB, [far]);
    for (const round of ['first', 'established']) {
      const sent = world.send(client, syn());
      assert.equal(sent.verdict, 'vif behind', round);
      assert.equal(sent.packet, `${R2} > ${FAR} ip 10.0.0.5 > 10.2.0.8 ttl 63 tcp 1000 > 8081`, round);
    }
    const answer: Ip = { src: FAR, dst: R2, from: '10.2.0.8', to: '10.0.0.5' };
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(behind, tcp(answer, { sport: 8081, dport: 1000, flags: TCP.syn | TCP.ack }));
      assert.equal(got.packet, `${R1} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 63 tcp 80 > 1000`, round);
    }
  });

  test('leads to an endpoint of another host, whose answers come from it', () => {
    setService(world, WEB, [remote]);
    for (const round of ['first', 'established']) {
      const sent = world.send(client, syn());
      assert.equal(sent.verdict, `overlay ${FRONT} ${HOST}`, round);
      assert.equal(sent.packet, `${R1} > ${REMOTE} ip 10.0.0.5 > 10.0.0.7 ttl 63 tcp 1000 > 8080`, round);
    }
    const answer: Ip = { src: REMOTE, dst: CLIENT, from: '10.0.0.7', to: '10.0.0.5' };
    for (const round of ['first', 'established']) {
      const got = world.receive(
        { vni: FRONT, from: HOST },
        tcp(answer, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack }),
      );
      assert.equal(got.verdict, 'vif client', round);
      assert.equal(got.packet, `${REMOTE} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 64 tcp 80 > 1000`, round);
    }
  });

  test('is one of IPv6 as well, of UDP, and of SCTP at the same port', () => {
    setService(world, { ...WEB, ip: VIP6 }, [{ ip: 'fd00::6', port: 8080 }]);
    const sent = world.send(client, syn(1000, { ...toVip, from: 'fd00::5', to: VIP6 }));
    assert.equal(sent.verdict, 'vif server');
    assert.match(sent.packet, /fd00::5 > fd00::6 .*tcp 1000 > 8080/);
    const answer = { ...back, from: 'fd00::6', to: 'fd00::5' };
    const got = world.send(server, tcp(answer, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack }));
    assert.match(got.packet, /fd96::a > fd00::5 .*tcp 80 > 1000/);
    setService(world, DNS, [{ ...near, port: 5353 }]);
    assert.match(world.send(client, query()).packet, /10\.0\.0\.5 > 10\.0\.0\.6 ttl 63 udp 1000 > 5353/);
    const stream = { ...WEB, protocol: PROTO.sctp };
    setService(world, stream, [{ ...near, port: 80 }]);
    assert.match(
      world.send(client, sctp(toVip, { sport: 1000, dport: 80 })).packet,
      /10\.0\.0\.6 ttl 63 sctp 1000 > 80/,
    );
    setService(world, stream, [near]);
    assert.equal(world.send(client, sctp(toVip, { sport: 1001, dport: 80 })).verdict, 'vif client (no_member)');
  });

  test('spreads what begins over all of its endpoints, and no others of the list', () => {
    const places = Array.from({ length: 40 }, (_, n) => ({ ip: '10.0.0.6', port: 9000 + n }));
    setService(world, { ...WEB, kept: [{ ip: '10.0.0.6', port: 7000 }] }, places);
    const counts = new Map<string, number>();
    for (let sport = 1024; sport < 1024 + 2000; sport++) {
      const endpoint = endpointOf(world.send(client, syn(sport)));
      counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
      if (sport % 500 === 0) world.forgetFlows();
    }
    assert.equal(counts.size, 40);
    assert.ok(!counts.has('10.0.0.6:7000'));
    assert.ok(Math.min(...counts.values()) > 20 && Math.max(...counts.values()) < 90, [...counts.values()].join());
  });

  test('an endpoint reaches itself, whatever its rules say, and sees the ClusterIP', () => {
    setService(world, WEB, [own]);
    world.removeRule({ policy: CLIENT_POLICY, direction: 'egress' });
    const sent = world.send(client, syn());
    assert.equal(sent.verdict, 'vif client');
    const port = Number(/ tcp (\d+) > 8080$/.exec(sent.packet)?.[1]);
    assert.equal(sent.packet, `${R1} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 63 tcp ${port} > 8080`);
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(client, tcp(toVip, { sport: 8080, dport: port, flags: TCP.syn | TCP.ack }));
      assert.equal(got.packet, `${R1} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 63 tcp 80 > 1000`, round);
    }
    for (const round of ['established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const more = world.send(client, tcp(toVip, { sport: 1000, dport: 80, flags: TCP.ack }));
      assert.equal(more.packet, `${R1} > ${CLIENT} ip ${VIP} > 10.0.0.5 ttl 63 tcp ${port} > 8080`, round);
    }
    world.addRule({ policy: CLIENT_POLICY, direction: 'egress' });
  });

  test('an error about what came by it is one about it', () => {
    setService(world, DNS, [near]);
    world.send(client, query());
    const quoted = udp({ src: CLIENT, dst: OTHER, from: '10.0.0.5', to: '10.0.0.6' }, { sport: 1000, dport: 8080 });
    const got = world.send(server, icmpError(back, { type: ICMP.unreachable, code: 3 }, quoted));
    assert.equal(got.verdict, 'vif client');
    const quote = got.data.subarray(14 + 20 + 8);
    assert.deepEqual([...quote.subarray(16, 20)], [10, 96, 0, 10]);
    assert.equal(Buffer.from(quote).readUInt16BE(22), 53);
  });
});

describe('who is refused', () => {
  test('is told at once: no endpoint, or a port that the Service has not', () => {
    setService(world, WEB, []);
    assert.equal(world.send(client, syn()).verdict, 'vif client (no_member)');
    assert.match(world.send(client, syn()).packet, /icmp/);
    assert.equal(
      world.send(client, tcp(toVip, { sport: 1, dport: 81, flags: TCP.syn })).verdict,
      'vif client (no_member)',
    );
  });

  test('hears nothing where no Service has the address, or only endpoints of this host count and none is here', () => {
    const nowhere = { ...toVip, to: '10.96.3.3' };
    assert.equal(world.send(client, syn(1000, nowhere)).verdict, 'drop no_service');
    assert.equal(world.send(client, icmp(toVip, { type: ICMP.echo, id: 1 })).verdict, 'drop no_service');
    setService(world, { ...WEB, isLocal: true }, []);
    assert.equal(world.send(client, syn()).verdict, 'drop no_local');
  });

  test('is what comes from an address of Services, or from another host to one', () => {
    setService(world, WEB, [near]);
    const open = world.addGuest('open', { mac: '02:00:00:00:01:0e', ip: '10.0.0.9', vni: FRONT, flags: OPEN_FLAGS });
    const forged = { src: open.mac, dst: R1, from: '10.96.0.3', to: '10.2.0.8' };
    assert.equal(world.send(open, syn(1000, forged)).verdict, 'drop reverse_path');
    world.unplug(open);
    const foreign = { src: REMOTE, dst: R1, from: '10.0.0.7', to: VIP };
    assert.equal(world.receive({ vni: FRONT, from: HOST }, syn(1000, foreign)).verdict, 'drop unknown_mac');
  });

  test('is a connection that was there before the Services are, once', () => {
    const elsewhere = { ...toVip, to: '10.97.0.1' };
    world.addRoute(VRF, '10.97.0.0/16', { vni: BACK, mac: R2, nexthop: '10.2.0.8' });
    assert.equal(world.send(client, query(1000, elsewhere)).verdict, 'vif behind');
    world.removeRoute(VRF, '10.97.0.0/16');
    addScope(world, VRF, SCOPE, ['10.97.0.0/16']);
    setService(world, { ...DNS, ip: '10.97.0.1' }, [near]);
    world.raiseEpochs();
    assert.equal(world.send(client, query(1000, elsewhere)).verdict, 'drop nat_gone');
    assert.equal(world.send(client, query(1000, elsewhere)).verdict, 'vif server');
  });

  test('is who comes in the middle of a connection that is not known', () => {
    setService(world, WEB, [near]);
    const middle = tcp(toVip, { sport: 1000, dport: 80, flags: TCP.ack });
    assert.equal(world.send(client, middle).verdict, 'drop invalid_state');
  });

  test('an endpoint that is itself an address of Services leads nowhere', () => {
    setService(world, WEB, [{ ip: '10.96.0.11', port: 80 }]);
    assert.equal(world.send(client, syn()).verdict, 'drop no_route');
  });
});

describe('an endpoint that leaves', () => {
  const others = [{ ip: '10.0.0.6', port: 9001 }];
  /** A second passes. */
  const wait = (): void => world.changeWays((way) => ({ ...way, refreshNs: 0n }));
  const flagged = (): number => world.ways().filter(({ way }) => (way.flags & CB_WAY_F_SERVED) !== 0).length;

  test('keeps connections of TCP that it has answered, also when the Service goes', () => {
    setService(world, WEB, [near]);
    world.send(client, syn());
    assert.equal(flagged(), 1);
    world.send(server, tcp(back, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack, ack: 1 }));
    for (const change of [
      () => setService(world, WEB, others),
      () => setService(world, WEB, []),
      () => removeService(world, WEB),
    ]) {
      change();
      wait();
      const sent = world.send(client, tcp(toVip, { sport: 1000, dport: 80, flags: TCP.ack }));
      assert.equal(endpointOf(sent), '10.0.0.6:8080');
      world.raiseEpochs();
    }
    assert.equal(flagged(), 0, 'it is not decided each second any more');
  });

  test('loses a SYN that it has not answered', () => {
    setService(world, WEB, [near]);
    assert.equal(endpointOf(world.send(client, syn())), '10.0.0.6:8080');
    setService(world, WEB, others);
    wait();
    assert.equal(endpointOf(world.send(client, syn())), '10.0.0.6:9001');
    assert.equal(world.audit().live, 1);
  });

  test('loses flows of UDP, of which the next datagram goes to another', () => {
    setService(world, DNS, [near]);
    assert.equal(endpointOf(world.send(client, query())), '10.0.0.6:8080');
    world.send(server, udp(back, { sport: 8080, dport: 1000 }));
    setService(world, { ...DNS, kept: [near] }, others);
    wait();
    assert.equal(endpointOf(world.send(client, query())), '10.0.0.6:8080', 'it serves still');
    setService(world, DNS, others);
    assert.equal(endpointOf(world.send(client, query())), '10.0.0.6:8080', 'not yet: it is looked at each second');
    wait();
    assert.equal(endpointOf(world.send(client, query())), '10.0.0.6:9001');
    assert.equal(world.audit().live, 1);
    setService(world, DNS, []);
    wait();
    assert.equal(world.send(client, query()).verdict, 'vif client (no_member)');
  });

  test('costs flows of other endpoints nothing', () => {
    setService(world, DNS, [near, ...others]);
    const sports = Array.from({ length: 20 }, (_, n) => 2000 + n);
    const before = sports.map((sport) => endpointOf(world.send(client, query(sport))));
    assert.equal(new Set(before).size, 2);
    setService(world, DNS, others);
    wait();
    const now = sports.map((sport) => endpointOf(world.send(client, query(sport))));
    assert.deepEqual(new Set(now), new Set(['10.0.0.6:9001']));
    assert.equal(world.audit().live, 20);
  });
});

describe('rules', () => {
  const here: Ip = { src: CLIENT, dst: R1, from: '10.0.0.5', to: VIP };

  test('of a client are asked about the endpoint', () => {
    setService(world, WEB, [near]);
    world.removeRule({ policy: CLIENT_POLICY, direction: 'egress' });
    assert.equal(world.send(client, syn(1000, here)).verdict, 'drop policy_egress');
    const atService = { policy: CLIENT_POLICY, direction: 'egress', protocol: PROTO.tcp, port: 80, bits: 16 } as const;
    world.addRule(atService);
    assert.equal(world.send(client, syn(1000, here)).verdict, 'drop policy_egress');
    world.removeRule(atService);
    const rule = {
      policy: CLIENT_POLICY,
      direction: 'egress',
      classId: 9,
      protocol: PROTO.tcp,
      port: 8080,
      bits: 16,
    } as const;
    world.addRule(rule);
    world.addClass(CLIENT_POLICY, '10.0.0.6/32', 9);
    assert.equal(world.send(client, syn(1000, here)).verdict, 'vif server');
    for (const round of ['first', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(server, tcp(back, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack }));
      assert.equal(got.verdict, 'vif client', round);
      assert.equal(world.send(client, syn(1000, here)).verdict, 'vif server', round);
    }
    world.removeClass(CLIENT_POLICY, '10.0.0.6/32');
    world.removeRule(rule);
    world.raiseEpochs();
    assert.equal(world.send(client, syn(1000, here)).verdict, 'drop policy_egress');
    world.addRule({ policy: CLIENT_POLICY, direction: 'egress' });
  });

  test('of an endpoint are asked about the client, and its port', () => {
    const options = { mac: OTHER, ip: '10.0.0.6', vni: FRONT, dhcpServer: '10.0.0.1' };
    world.setGuest(server, { ...options, policy: SERVER_POLICY });
    setService(world, WEB, [near]);
    assert.equal(world.send(client, syn()).verdict, 'drop policy_ingress');
    const rule = {
      policy: SERVER_POLICY,
      direction: 'ingress',
      classId: 8,
      protocol: PROTO.tcp,
      port: 8080,
      bits: 16,
    } as const;
    world.addRule(rule);
    world.addClass(SERVER_POLICY, '10.0.0.5/32', 8);
    assert.equal(world.send(client, syn()).verdict, 'vif server');
    assert.equal(
      world.send(server, tcp(back, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack })).verdict,
      'vif client',
    );
    world.removeRule(rule);
    world.removeClass(SERVER_POLICY, '10.0.0.5/32');
    world.setGuest(server, { ...options, ip6: 'fd00::6', router6: 'fe80::1' });
  });
});

describe('affinity', () => {
  const places = Array.from({ length: 33 }, (_, n) => ({ ip: '10.0.0.6', port: 9000 + n }));
  const STICKY: ServiceOptions = { ...WEB, affinityS: 60 };
  const seen = (from: number, to: number): Set<string> => {
    const ports = Array.from({ length: to - from }, (_, n) => from + n);
    return new Set(ports.map((sport) => endpointOf(world.send(client, syn(sport)))));
  };

  test('takes all that one client begins to one endpoint, as long as that counts and the timeout is not over', () => {
    setService(world, STICKY, places);
    const [one = ''] = seen(3000, 3020);
    assert.equal(seen(3020, 3040).size, 1);
    setService(world, STICKY, places.slice(1).concat({ ip: '10.0.0.6', port: 9999 }, places[0] as Place));
    assert.deepEqual([...seen(3040, 3060)], [one], 'another list that has it');
    const key = {
      service: { scope: SCOPE, addr: addr(VIP), protocol: PROTO.tcp, portBe: 80 },
      client: addr('10.0.0.5'),
    };
    const known = world.map(MAPS.cb_sticky_1).lookup(MAPS.cb_sticky_1.key.encode(key));
    assert.ok(known);
    const value = MAPS.cb_sticky_1.value.decode(known);
    assert.equal(`10.0.0.6:${value.portBe}`, one);
    world.write(MAPS.cb_sticky_1, key, { ...value, begunNs: value.begunNs - 61_000_000_000n });
    world.forgetFlows();
    assert.equal(seen(3060, 3080).size, 1, 'it stays with the next');
    setService(world, { ...STICKY, kept: places }, [{ ip: '10.0.0.6', port: 6000 }]);
    assert.deepEqual([...seen(3080, 3090)], ['10.0.0.6:6000'], 'what only is kept counts no more');
  });

  test('of another client is its own', () => {
    setService(world, STICKY, places);
    const from: Ip = { src: FAR, dst: R2, from: '10.2.0.8', to: VIP };
    const other = new Set(Array.from({ length: 10 }, (_, n) => endpointOf(world.send(behind, syn(4000 + n, from)))));
    assert.equal(other.size, 1);
  });
});

describe('an endpoint outside', () => {
  const [EXTERNAL, ROUTER_MAC, NEXT] = [900, '02:00:00:00:09:fe', '02:00:00:00:ee:01'];
  const [ROUTER, FLOATING, API] = ['203.0.113.2', '203.0.113.10', '198.51.100.7'];
  const place: Place = { ip: API, port: 6443 };
  const answer = (to: string, dport: number): Buffer =>
    tcp({ src: NEXT, dst: ROUTER_MAC, from: API, to }, { sport: 6443, dport, flags: TCP.syn | TCP.ack });

  before(() => {
    addExternal(world, EXTERNAL);
    const gateway = { vrf: VRF, external: EXTERNAL, mac: ROUTER_MAC, ip: ROUTER, cidr: '203.0.113.0/24' };
    addGateway(world, { ...gateway, nexthop: '203.0.113.1' });
    world.arrive(arp({ src: NEXT, dst: ROUTER_MAC }, { op: 'reply', sha: NEXT, spa: '203.0.113.1', tpa: ROUTER }));
  });

  test('is reached with the router’s address, and its answers are the Service’s', () => {
    setService(world, WEB, [place]);
    const sent = world.send(client, syn());
    assert.equal(sent.verdict, 'wire');
    const port = Number(/ tcp (\d+) > 6443/.exec(sent.packet)?.[1]);
    assert.match(sent.packet, new RegExp(`ip 203\\.0\\.113\\.2 > 198\\.51\\.100\\.7 ttl 63 tcp ${port} > 6443`));
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.arrive(answer(ROUTER, port));
      assert.equal(got.verdict, 'vif client', round);
      assert.match(got.packet, /ip 10\.96\.0\.10 > 10\.0\.0\.5 ttl 63 tcp 80 > 1000/, round);
      const more = world.send(client, tcp(toVip, { sport: 1000, dport: 80, flags: TCP.ack }));
      assert.match(
        more.packet,
        new RegExp(`ip 203\\.0\\.113\\.2 > 198\\.51\\.100\\.7 ttl 63 tcp ${port} > 6443`),
        round,
      );
    }
  });

  test('is reached with a floating IP, by who has one', () => {
    addFloating(world, { external: EXTERNAL, ip: FLOATING, guest: client, vrf: VRF, mac: ROUTER_MAC });
    setService(world, WEB, [place]);
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const sent = world.send(client, syn());
      assert.match(sent.packet, /ip 203\.0\.113\.10 > 198\.51\.100\.7 ttl 63 tcp 1000 > 6443/, round);
      const got = world.arrive(answer(FLOATING, 1000));
      assert.match(got.packet, /ip 10\.96\.0\.10 > 10\.0\.0\.5 ttl 63 tcp 80 > 1000/, round);
    }
  });

  test('that is an address of ours is reached by nobody', () => {
    setService(world, WEB, [{ ip: FLOATING, port: 80 }]);
    assert.equal(world.send(client, syn()).verdict, 'drop no_endpoint');
  });

  test('the outside reaches no Service', () => {
    setService(world, WEB, [near]);
    const from: Ip = { src: NEXT, dst: ROUTER_MAC, from: API, to: VIP };
    assert.match(world.arrive(syn(1000, from)).verdict, /^drop no_route|^pass/);
  });
});

describe('what a node lets in from outside', () => {
  const [JOIN, OUTER] = [102, 78];
  const [NODE, R3] = ['02:00:00:00:03:0a', '02:00:00:00:03:fe'];
  const OWN = '100.64.0.3';
  const OUT = '198.51.100.77';
  const toNode: Ip = { src: NODE, dst: R3, from: OUT, to: VIP };
  const OUTER_WEB: ServiceOptions = { ...WEB, scope: OUTER, isLocal: true };
  let node: Guest;

  before(() => {
    node = world.addGuest('node', { mac: NODE, ip: OWN, vni: JOIN, flags: OPEN_FLAGS | CB_VIF_F_NODE, ip6: 'fd64::3' });
    world.addRouterInterface(VRF, { vni: JOIN, cidr: '100.64.0.0/16', ip: '100.64.0.1', mac: R3 });
    world.addRouterInterface(VRF, { vni: JOIN, cidr: 'fd64::/112', ip: 'fd64::1', mac: R3 });
    for (const [all, nexthop] of [
      ['0.0.0.0/0', OWN],
      ['::/0', 'fd64::3'],
    ] as const)
      world.addRoute(VRF, all, { vni: JOIN, mac: R3, nexthop });
    world.addPeer(HOST);
    addScope(world, VRF, SCOPE, ['10.96.0.0/16', 'fd96::/112'], OUTER);
  });

  after(() => world.unplug(node));

  /** The first packet, and the port with which it goes on. */
  const enter = (ip: Ip, sport: number, wanted: RegExp): number => {
    const sent = world.send(node, syn(sport, ip));
    assert.match(sent.packet, wanted, sent.verdict);
    return Number(/tcp (\d+) >/.exec(sent.packet)?.[1]);
  };

  test('goes to an endpoint here with the node’s address, and its answers come from the Service to who asked', () => {
    setService(world, WEB, [near]);
    let port = 0;
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const next = enter(toNode, 1000, /ip 100\.64\.0\.3 > 10\.0\.0\.6 ttl 63 tcp \d+ > 8080/);
      if (round !== 'first') assert.equal(next, port, round);
      port = next;
    }
    const answer: Ip = { src: OTHER, dst: R1, from: '10.0.0.6', to: OWN };
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(server, tcp(answer, { sport: 8080, dport: port, flags: TCP.syn | TCP.ack }));
      assert.equal(got.verdict, 'vif node', round);
      assert.equal(got.packet, `${R3} > ${NODE} ip ${VIP} > ${OUT} ttl 63 tcp 80 > 1000`, round);
    }
    const more = world.send(node, tcp(toNode, { sport: 1000, dport: 80, flags: TCP.ack }));
    assert.match(more.packet, new RegExp(`ip ${OWN} > 10\\.0\\.0\\.6 ttl 63 tcp ${port} > 8080`));
  });

  test('goes to an endpoint of another host, and back', () => {
    setService(world, WEB, [remote]);
    const port = enter(toNode, 1000, /ip 100\.64\.0\.3 > 10\.0\.0\.7 ttl 63 tcp \d+ > 8080/);
    const answer: Ip = { src: R3, dst: NODE, from: '10.0.0.7', to: OWN };
    for (const round of ['first', 'established', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.receive(
        { vni: JOIN, from: HOST },
        tcp(answer, { sport: 8080, dport: port, flags: TCP.syn | TCP.ack }),
      );
      assert.equal(got.verdict, 'vif node', round);
      assert.match(got.packet, /ip 10\.96\.0\.10 > 198\.51\.100\.77 ttl 64 tcp 80 > 1000/, round);
    }
  });

  test('keeps clients apart that have one port, by IPv6 too', () => {
    setService(world, { ...WEB, ip: VIP6 }, [{ ip: 'fd00::6', port: 8080 }]);
    const ports = ['2001:db8::1', '2001:db8::2'].map((from) =>
      enter({ ...toNode, from, to: VIP6 }, 1000, /fd64::3 > fd00::6 .*tcp \d+ > 8080/),
    );
    assert.equal(new Set(ports).size, 2);
    const answer: Ip = { src: OTHER, dst: R1, from: 'fd00::6', to: 'fd64::3' };
    const [, second = 0] = ports;
    const got = world.send(server, tcp(answer, { sport: 8080, dport: second, flags: TCP.syn | TCP.ack }));
    assert.match(got.packet, /fd96::a > 2001:db8::2 .*tcp 80 > 1000/);
  });

  test('comes as it is to endpoints of this host alone, whose answers leave by it; where there is none it is dropped', () => {
    setService(world, WEB, [remote]);
    setService(world, OUTER_WEB, [near]);
    for (const round of ['first', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      assert.equal(enter(toNode, 1000, /ip 198\.51\.100\.77 > 10\.0\.0\.6 ttl 63 tcp 1000 > 8080/), 1000);
      const answer: Ip = { src: OTHER, dst: R1, from: '10.0.0.6', to: OUT };
      const got = world.send(server, tcp(answer, { sport: 8080, dport: 1000, flags: TCP.syn | TCP.ack }));
      assert.equal(got.packet, `${R3} > ${NODE} ip ${VIP} > ${OUT} ttl 63 tcp 80 > 1000`, round);
    }
    setService(world, OUTER_WEB, []);
    assert.equal(world.send(node, syn(1001, toNode)).verdict, 'drop no_local');
    const own = enter({ ...toNode, from: OWN }, 1002, /ip 100\.64\.0\.3 > 10\.0\.0\.7 ttl 63 tcp 1002 > 8080/);
    assert.equal(own, 1002, 'a process of the node is a client as pods are');
    removeService(world, OUTER_WEB);
  });

  test('goes to the node itself as from the Service, so that the node answers there', () => {
    setService(world, WEB, [{ ip: OWN, port: 6443 }]);
    const port = enter(toNode, 1000, /ip 10\.96\.0\.10 > 100\.64\.0\.3 ttl 63 tcp \d+ > 6443/);
    const answer: Ip = { src: NODE, dst: R3, from: OWN, to: VIP };
    for (const round of ['first', 'decided again']) {
      if (round === 'decided again') world.raiseEpochs();
      const got = world.send(node, tcp(answer, { sport: 6443, dport: port, flags: TCP.syn | TCP.ack }));
      assert.equal(got.packet, `${R3} > ${NODE} ip ${VIP} > ${OUT} ttl 63 tcp 80 > 1000`, round);
    }
  });

  test('is judged by its client at an endpoint here, and not as the node', () => {
    const POLICIES = 7203;
    const allowed: Rule = { policy: POLICIES, direction: 'ingress', classId: 1 };
    const isolated = { mac: OTHER, ip: '10.0.0.6', vni: FRONT, flags: OPEN_FLAGS, networkPolicies: POLICIES };
    setService(world, WEB, [near]);
    world.addRule(allowed);
    world.addClass(POLICIES, OWN, 1);
    world.setVif(server, isolated);
    assert.equal(world.send(node, syn(1000, toNode)).verdict, 'drop network_policy_ingress');
    assert.equal(world.send(node, syn(1001, { ...toNode, from: OWN })).verdict, 'vif server', 'the node itself');
    world.addClass(POLICIES, OUT, 1);
    const port = enter(toNode, 1002, /ip 100\.64\.0\.3 > 10\.0\.0\.6 ttl 63 tcp \d+ > 8080/);
    const answer: Ip = { src: OTHER, dst: R1, from: '10.0.0.6', to: OWN };
    const answered = (): string =>
      world.send(server, tcp(answer, { sport: 8080, dport: port, flags: TCP.syn | TCP.ack })).verdict;
    assert.equal(answered(), 'vif node');
    world.removeClass(POLICIES, OUT);
    world.raiseEpochs();
    assert.equal(answered(), 'drop network_policy_ingress');
    world.setVif(server, { ...isolated, networkPolicies: 0 });
    world.removeClass(POLICIES, OWN);
    world.removeRule(allowed);
  });

  test('has the affinity of its client, and not of the node', () => {
    const places = Array.from({ length: 33 }, (_, n) => ({ ip: '10.0.0.6', port: 9000 + n }));
    setService(world, { ...WEB, affinityS: 60 }, places);
    const seen = (from: string): string => {
      const found = [5000, 5001, 5002].map((sport) => endpointOf(world.send(node, syn(sport, { ...toNode, from }))));
      assert.equal(new Set(found).size, 1);
      return found[0] ?? '';
    };
    assert.ok(new Set(['198.51.100.1', '198.51.100.2', '198.51.100.3', '198.51.100.4'].map(seen)).size > 1);
  });

  test('loses an endpoint that leaves as others do', () => {
    const wait = (): void => world.changeWays((way) => ({ ...way, refreshNs: 0n }));
    setService(world, DNS, [near]);
    assert.equal(endpointOf(world.send(node, query(1000, toNode))), '10.0.0.6:8080');
    setService(world, { ...DNS, scope: OUTER, isLocal: true }, [{ ip: '10.0.0.6', port: 9001 }]);
    wait();
    const sent = world.send(node, query(1000, toNode));
    assert.match(sent.packet, /ip 198\.51\.100\.77 > 10\.0\.0\.6 ttl 63 udp 1000 > 9001/);
    removeService(world, { ...DNS, scope: OUTER });
  });
});
