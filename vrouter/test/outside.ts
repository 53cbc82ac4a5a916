/** What an agent writes for external networks: gateways of routers, floating IPs, port forwarding, next hops. Networks are named by the test's numbers, as in `World`. */
import {
  CB_BLOCK_PORTS,
  CB_ENDPOINT_LEASED,
  CB_ENDPOINT_NAT,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_ROUTER,
  CB_FORWARD_F_ONE,
  CB_LEASE_BLOCKS,
  CB_NET_F_EXTERNAL,
  CB_ROUTE_BLACKHOLE,
  CB_ROUTE_CONNECTED,
  CB_ROUTE_F_GATEWAY,
  CB_ROUTE_NEXTHOP,
  CB_ROUTE_SEVERAL,
  CB_SNAT_F_BLOCKS,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { macBytes } from './packet.ts';
import { addr, type Guest, type World } from './world.ts';

const NOBODY = new Uint8Array(16);
const HEAD_BITS = 32;
const FORWARD_BITS = 160;

export type Gateway = {
  readonly vrf: number;
  readonly external: number;
  readonly mac: string;
  /** The router's own address there. */
  readonly ip: string;
  readonly cidr: string;
  readonly nexthop: string;
  readonly ports?: { readonly first: number; readonly last: number };
  /** Default: those behind the router leave with `ip`. */
  readonly snat?: boolean;
  /** What has been heard of the next hop is kept, if it is known at all. */
  readonly isNextHopKept?: boolean;
};

/** An external network on the uplink, as VLAN if one is given. */
export function addExternal(world: World, net: number, vlan?: number): void {
  world.addProvider(net, vlan === undefined ? {} : { vlan });
  world.setFlags(net, CB_NET_F_EXTERNAL);
  world.setMtu(net, 1500);
}

function route(
  world: World,
  vrf: number,
  cidr: string,
  value: Partial<Parameters<typeof MAPS.cb_route_2.value.encode>[0]>,
): void {
  const [base = '', length = ''] = cidr.split('/');
  const bits = (base.includes(':') ? 0 : 96) + Number(length);
  const nothing = {
    ...{ kind: 0, flags: 0, net: 0, mtuBytes: 0, mac: Buffer.alloc(6), nexthop: NOBODY, own: NOBODY },
    outside: 0,
  };
  world.write(MAPS.cb_route_2, { prefixlen: HEAD_BITS + bits, vrf, addr: addr(base) }, { ...nothing, ...value });
}

export function blackhole(world: World, vrf: number, cidr: string): void {
  route(world, vrf, cidr, { kind: CB_ROUTE_BLACKHOLE });
}

/** A route by a next hop inside; `several`: by more than one, of which no more is written. */
export function routeInside(
  world: World,
  vrf: number,
  cidr: string,
  hop: { readonly net: number; readonly mac: string; readonly nexthop: string; readonly several?: boolean },
): void {
  const by = { net: hop.net, mtuBytes: 1450, mac: macBytes(hop.mac), nexthop: addr(hop.nexthop) };
  route(world, vrf, cidr, hop.several === true ? { kind: CB_ROUTE_SEVERAL } : { kind: CB_ROUTE_NEXTHOP, ...by });
}

/** The routes of a router's gateway, of the family of its address; its address; its translation. */
export function addGateway(world: World, gateway: Gateway): void {
  const { vrf, external, mac, ip, cidr, nexthop } = gateway;
  const out = {
    flags: CB_ROUTE_F_GATEWAY,
    net: world.net(external),
    mtuBytes: 1500,
    mac: macBytes(mac),
    own: addr(ip),
  };
  world.setEndpoint(external, [ip], mac, { kind: CB_ENDPOINT_ROUTER, vrf });
  if (gateway.isNextHopKept !== true) forgetNextHop(world, external, nexthop);
  if (gateway.snat !== false) setSnat(world, gateway);
  route(world, vrf, cidr, { ...out, kind: CB_ROUTE_CONNECTED });
  route(world, vrf, ip.includes(':') ? '::/0' : '0.0.0.0/0', {
    ...out,
    kind: CB_ROUTE_NEXTHOP,
    nexthop: addr(nexthop),
  });
}

/** A next hop of which nothing has been heard yet. */
export function forgetNextHop(world: World, external: number, ip: string): void {
  const nothing = { learnedNs: 0n, askedNs: 0n, mac: Buffer.alloc(6) };
  world.write(MAPS.cb_neigh_1, { net: world.net(external), addr: addr(ip) }, nothing);
}

export function setSnat(world: World, gateway: Gateway & { readonly ip6?: string; readonly blocks?: boolean }): void {
  const { vrf, external, ip, ip6, ports = { first: 1024, last: 65_535 } } = gateway;
  const [addr4, addr6] = ip.includes(':') ? [NOBODY, addr(ip)] : [addr(ip), ip6 === undefined ? NOBODY : addr(ip6)];
  const value = {
    addr: addr4,
    addr6,
    net: world.net(external),
    firstPort: ports.first,
    lastPort: ports.last,
    flags: gateway.blocks === true ? CB_SNAT_F_BLOCKS : 0,
  };
  world.write(MAPS.cb_snat_1, { vrf }, value);
}

export function removeSnat(world: World, vrf: number): void {
  world.erase(MAPS.cb_snat_1, { vrf });
}

export type Floating = {
  readonly external: number;
  readonly ip: string;
  readonly guest: Guest;
  /** Default: the guest's. */
  readonly fixed?: string;
  readonly vrf: number;
  readonly mac: string;
  /** The vrf by which what the guest sends leaves: `mac` is the floating IP's own. Default: `vrf`, and `mac` is the router's. */
  readonly exit?: number;
};

export function addFloating(world: World, floating: Floating): void {
  const { external, ip, guest, fixed = guest.ip, vrf, mac, exit = vrf } = floating;
  const [outside, inside] = [world.net(external), world.net(guest.vni)];
  world.write(MAPS.cb_nat_1, { net: outside, outside: 0, addr: addr(ip) }, { to: addr(fixed), toNet: inside, vrf });
  world.write(MAPS.cb_nat_1, { net: inside, outside, addr: addr(fixed) }, { to: addr(ip), toNet: outside, vrf: exit });
  const endpoint = { kind: CB_ENDPOINT_NAT, flags: 0, vif: guest.vif, tunnel: 0, vrf, mac: macBytes(mac) };
  world.write(MAPS.cb_ep_2, { net: outside, addr: addr(ip) }, endpoint);
  if (floating.exit !== undefined) world.write(MAPS.cb_mac_2, { net: outside, mac: macBytes(mac) }, endpoint);
}

/** The way to a router's gateway on another host, past which floating IPs of this host leave. */
export function addWayToGateway(
  world: World,
  { vrf, transit, external, mac }: { vrf: number; transit: number; external: number; mac: string },
): void {
  route(world, vrf, '0.0.0.0/0', {
    ...{ kind: CB_ROUTE_NEXTHOP, net: world.net(transit), mtuBytes: 1450, mac: macBytes(mac) },
    ...{ nexthop: addr('169.254.0.1'), outside: world.net(external) },
  });
}

export function removeFloating(world: World, { external, ip, guest, fixed = guest.ip, mac, exit }: Floating): void {
  const [outside, inside] = [world.net(external), world.net(guest.vni)];
  if (exit !== undefined) world.erase(MAPS.cb_mac_2, { net: outside, mac: macBytes(mac) });
  world.erase(MAPS.cb_ep_2, { net: outside, addr: addr(ip) });
  world.erase(MAPS.cb_nat_1, { net: outside, outside: 0, addr: addr(ip) });
  world.erase(MAPS.cb_nat_1, { net: inside, outside, addr: addr(fixed) });
}

export type Forward = {
  readonly external: number;
  readonly ip: string;
  readonly mac: string;
  readonly vrf: number;
  readonly protocol: number;
  readonly port: number;
  /** Of the port that count; default 16: a single one. */
  readonly bits?: number;
  /** First port of the whole range; default: `port`. */
  readonly first?: number;
  readonly guest: Guest;
  readonly toPort: number;
  /** All ports lead to that one. */
  readonly one?: boolean;
};

function forwardKey(world: World, { external, ip, protocol, port, bits = 16 }: Forward) {
  const prefixlen = FORWARD_BITS + bits;
  return { prefixlen, net: world.net(external), protocol, addr: addr(ip), portBe: port };
}

export function addForward(world: World, forward: Forward): void {
  const { external, ip, mac, vrf, guest } = forward;
  const endpoint = { kind: CB_ENDPOINT_ROUTER, flags: 0, vif: 0, tunnel: 0, vrf, mac: macBytes(mac) };
  world.write(MAPS.cb_ep_2, { net: world.net(external), addr: addr(ip) }, endpoint);
  world.write(MAPS.cb_forward_1, forwardKey(world, forward), {
    to: addr(guest.ip),
    first: forward.first ?? forward.port,
    toFirst: forward.toPort,
    toNet: world.net(guest.vni),
    flags: forward.one ? CB_FORWARD_F_ONE : 0,
    vrf,
  });
}

export function removeForward(world: World, forward: Forward): void {
  world.erase(MAPS.cb_forward_1, forwardKey(world, forward));
}

/** A sender of this host, or one elsewhere that sends from an address by a transit network. */
export type Sender = { readonly guest: Guest } | { readonly transit: number; readonly ip: string };

export type Lease = {
  readonly vrf: number;
  readonly sender: Sender;
  /** The router's address. */
  readonly ip: string;
  /** First ports. */
  readonly ports: readonly number[];
  /** The vrf by which it leaves from a host that is not the gateway's, and the MAC. Default: none. */
  readonly exit?: number;
  readonly mac?: string;
};

function leaseKey(world: World, { vrf, sender }: Pick<Lease, 'vrf' | 'sender'>) {
  if ('guest' in sender) return { vrf, vif: sender.guest.vif, net: 0, addr: NOBODY };
  return { vrf, vif: 0, net: world.net(sender.transit), addr: addr(sender.ip) };
}

/** Blocks of ports of a router's address for one sender. */
export function addLease(world: World, lease: Lease): void {
  const { ip, ports, exit = 0, mac = '00:00:00:00:00:00' } = lease;
  const block = Array.from({ length: CB_LEASE_BLOCKS }, (_, at) => (ports[at] ?? 0) / CB_BLOCK_PORTS);
  world.write(MAPS.cb_lease_1, leaseKey(world, lease), {
    ...{ addr: addr(ip), count: ports.length, block, exit },
    mac: macBytes(mac),
  });
  for (const one of block.slice(0, ports.length)) {
    world.write(MAPS.cb_held_1, { block: one, addr: addr(ip) }, { usedNs: 0n, wantedNs: 0n });
  }
}

export function removeLease(world: World, lease: Pick<Lease, 'vrf' | 'sender'>): void {
  world.erase(MAPS.cb_lease_1, leaseKey(world, lease));
}

/** How a block is used, as the vrouter says it. */
export function heldBlock(world: World, ip: string, port: number): { usedNs: bigint; wantedNs: bigint } {
  const key = MAPS.cb_held_1.key.encode({ block: Math.floor(port / CB_BLOCK_PORTS), addr: addr(ip) });
  const value = world.map(MAPS.cb_held_1).lookup(key);
  return value === undefined ? { usedNs: 0n, wantedNs: 0n } : MAPS.cb_held_1.value.decode(value);
}

/** A block that another host has. */
export function addRemoteBlock(
  world: World,
  { external, ip, port, host, transit }: { external: number; ip: string; port: number; host: string; transit: number },
): void {
  const key = { net: world.net(external), block: port / CB_BLOCK_PORTS, addr: addr(ip) };
  world.write(MAPS.cb_block_1, key, { tunnel: world.tunnel(host), net: world.net(transit) });
}

/** A host that is not the gateway's, whose guests leave by its own uplink all the same, with ports of the router's address. */
export function addOwnWay(
  world: World,
  way: Gateway & { readonly host: string; readonly transit: number; readonly exit: number; readonly ownMac: string },
): void {
  const { vrf, external, mac, ip, cidr, nexthop, host, transit, exit, ownMac } = way;
  const out = {
    flags: CB_ROUTE_F_GATEWAY,
    net: world.net(external),
    mtuBytes: 1500,
    mac: macBytes(ownMac),
    own: addr(ip),
  };
  world.setEndpoint(transit, ['169.254.0.1'], mac, { kind: CB_ENDPOINT_REMOTE, remote: host });
  route(world, vrf, '0.0.0.0/0', {
    ...{ kind: CB_ROUTE_NEXTHOP, net: world.net(transit), mtuBytes: 1450, mac: macBytes(ownMac) },
    ...{ nexthop: addr('169.254.0.1'), outside: world.net(external) },
  });
  route(world, exit, cidr, { ...out, kind: CB_ROUTE_CONNECTED });
  route(world, exit, '0.0.0.0/0', { ...out, kind: CB_ROUTE_NEXTHOP, nexthop: addr(nexthop) });
  forgetNextHop(world, external, nexthop);
  world.setEndpoint(external, [ip], ownMac, { kind: CB_ENDPOINT_LEASED, vrf });
  world.setEndpoint(external, [], mac, { kind: CB_ENDPOINT_LEASED, vrf });
  // What the gateway's host sends by the transit network has come from outside.
  const peer = { net: world.net(external), tunnel: world.tunnel(host), flags: 0, vif: 0 };
  world.write(MAPS.cb_peer_2, { wireId: transit, remote: addr(host) }, peer);
  setSnat(world, { ...way, blocks: true });
}
