/** Where a unicast packet goes: by MAC in its network, or by route through a router. */
import { cidrContains, cidrLength } from './address.ts';
import { balance, balancerAt, type Choose, isLeftOverAnswer, routerBetween } from './balancers.ts';
import {
  type Balancer,
  type Cloud,
  type Gateway,
  isCarried,
  isHere,
  type Leg,
  networkNamed,
  type Owner,
  ownerOfAddress,
  ownerOfMac,
  type Peered,
  type Policy,
  type Port,
  peeredBy,
  type Router,
} from './cloud.ts';
import {
  enter,
  isTranslated,
  isUnasked,
  type KnownPassage,
  leave,
  outsiderWith,
  type Passage,
  startPassage,
} from './gateways.ts';
import type { IpHeaders, Tuple } from './headers.ts';

const ETHERNET_BYTES = 14;

/** Who sends it on: a router's interface, or a virtual address. `mtuBytes`: of the network into which a router does. */
export type Hop = { readonly mac: string; readonly mtuBytes?: number };

/** What has become of a packet that has passed a router. */
type Passed = { readonly passage?: Passage };

export type Way =
  | { readonly kind: 'drop'; readonly reason: string }
  /** To a router's own address. */
  | { readonly kind: 'router' }
  /** Nobody is known to have the MAC. */
  | ({ readonly kind: 'all' } & Passed)
  /** `mtuBytes`: of the network that it leaves in; undefined: any size. */
  | ({ readonly kind: 'port'; readonly port: Port; readonly hop?: Hop; readonly mtuBytes?: number } & Passed)
  | ({
      readonly kind: 'host';
      readonly host: string;
      readonly port: Port;
      readonly hop?: Hop;
      readonly mtuBytes: number;
    } & Passed)
  /** To who has the address outside. `own`: with which address he is asked where he is. */
  | ({
      readonly kind: 'wire';
      readonly network: string;
      readonly neighbour: string;
      readonly own: string;
      readonly hop: Hop;
      readonly mtuBytes: number;
    } & Passed);

const drop = (reason: string): Way => ({ kind: 'drop', reason });

/** What routers know of an IP packet; of an ICMP error, `tuple` is that of an answer of the connection which it is about. */
export type Ends = {
  readonly from: string;
  readonly to: string;
  readonly tuple: Tuple;
  readonly known?: KnownPassage;
  readonly choose: Choose;
};

/** Where a packet has come to a router. `sender`: undefined: it is from outside. */
type Origin = { readonly network: string; readonly sender: Port | undefined; readonly from: string };

/** Of a packet of a port of this host. `ends`: undefined where it is no IP packet: then a router does nothing with it. */
export function wayFromPort(cloud: Cloud, sender: Port, mac: string, ends: Ends | undefined): Way {
  if (ends !== undefined && isLeftOverAnswer(cloud, ends)) return drop('nat_gone');
  const owner = ownerOfMac(cloud, sender.network, mac);
  if (owner === undefined || owner.kind === 'port') return wayHere(cloud, owner?.port, sender, ends);
  if (owner.kind === 'balancer')
    return ends === undefined ? drop('no_endpoint') : wayToBalancer(cloud, sender, owner.balancer, ends);
  if (owner.router === undefined) return drop('no_router');
  return ends === undefined
    ? drop('no_endpoint')
    : routedAnew(cloud, owner.router, ends, { network: sender.network, sender, from: ends.from });
}

/** Of a packet from outside: through the router whose MAC it went to. */
export function wayFromOutside(cloud: Cloud, network: string, router: Router, ends: Ends): Way {
  if (isLeftOverAnswer(cloud, ends)) return drop('nat_gone');
  if (outsiderWith(cloud, network, ends.from) !== undefined) return drop('spoofed_peer');
  return routedAnew(cloud, router, ends, { network, sender: undefined, from: ends.from });
}

/** Of a packet of another host, which is not from a port of this one: to a port of this one, never back, and through no router: the other host has routed it. */
export function wayFromHost(
  cloud: Cloud,
  network: string,
  { src, dst }: { readonly src: string; readonly dst: string },
  ends: Ends | undefined,
): Way {
  if (ends !== undefined && isLeftOverAnswer(cloud, ends)) return drop('nat_gone');
  if (isPortHere(ownerOfMac(cloud, network, src))) return drop('spoofed_peer');
  if (ends !== undefined && isPortHere(ownerOfAddress(cloud, network, ends.from))) return drop('spoofed_peer');
  const owner = ownerOfMac(cloud, network, dst);
  if (owner === undefined && !isCarried(cloud, network)) return drop('unknown_vni');
  if (owner !== undefined && (owner.kind !== 'port' || !isHere(owner.port))) return drop('unknown_mac');
  return wayHere(cloud, owner?.port, undefined, ends);
}

/** In the packet's own network. One of a connection that is translated is that only where it passes a gateway, or is a member's answer. */
function wayHere(cloud: Cloud, port: Port | undefined, sender: Port | undefined, ends: Ends | undefined): Way {
  const passage = ends?.known && startPassage(ends.tuple, ends.known);
  if (passage !== undefined && isUnasked(passage)) return drop('nat_gone');
  const by = passage === undefined ? {} : { passage };
  return port === undefined ? { kind: 'all', ...by } : wayToPort(cloud, port, sender, by);
}

/** By the MAC of a virtual address: what is sent to one of its network goes to a member, and a member's answer to who asked. */
function wayToBalancer(cloud: Cloud, sender: Port, { mac }: Balancer, ends: Ends): Way {
  const start = startPassage(ends.tuple, ends.known);
  const { network } = sender;
  const isAnswer = start.hasEntered;
  const balanced = isAnswer ? undefined : balance(cloud, network, start, network, ends.choose);
  if (balanced?.kind === 'drop') return drop(balanced.reason);
  const passage = balanced?.passage ?? start;
  const there = balanced?.member.network ?? network;
  if (there !== network) {
    const router = routerBetween(cloud, network, there);
    const origin = { network, sender, from: ends.from };
    return router === undefined ? drop('no_route') : routed(cloud, router, passage, origin, ends.choose);
  }
  const owner = ownerOfAddress(cloud, network, passage.becomes.to);
  return owner?.kind === 'port' ? wayToPort(cloud, owner.port, sender, { hop: { mac }, passage }) : drop('no_endpoint');
}

function isPortHere(owner: Owner | undefined): boolean {
  return owner?.kind === 'port' && isHere(owner.port);
}

/** Within one network only what goes to another host has a largest size. */
function wayToPort(
  cloud: Cloud,
  port: Port,
  sender: Port | undefined,
  by: { readonly hop?: Hop; readonly passage?: Passage },
): Way {
  const { hop, passage } = by;
  const mtuBytes = networkNamed(cloud, port.network)?.mtuBytes ?? 0;
  if (port.host !== undefined) return { kind: 'host', host: port.host, port, mtuBytes, ...by };
  if (!port.programmed) return drop('not_programmed');
  const isTurned = passage !== undefined && isTranslated(passage.tuple, passage.becomes);
  if (port === sender && !isTurned) return drop('no_endpoint');
  const largest = hop?.mtuBytes === undefined ? {} : { mtuBytes: hop.mtuBytes };
  return port.adminUp ? { kind: 'port', port, ...largest, ...by } : drop('admin_down');
}

function routedAnew(cloud: Cloud, router: Router, ends: Ends, origin: Origin): Way {
  return routed(cloud, router, startPassage(ends.tuple, ends.known), origin, ends.choose);
}

function routed(cloud: Cloud, router: Router, start: Passage, origin: Origin, choose: Choose): Way {
  if (isFromElsewhere(cloud, router, origin.from, origin)) return drop('reverse_path');
  const isOutside = origin.sender === undefined;
  const came = isOutside
    ? enter(cloud, router, origin.network, start)
    : ({ kind: 'on', router, passage: start } as const);
  if (came.kind !== 'on') return came;
  const route = firstRoute(cloud, came.router, came.passage, origin);
  if (typeof route === 'string') return drop(route);
  if (route.gateway === undefined) return wayInside(cloud, came.router, route, came.passage, origin, choose);
  // From outside nothing goes back there.
  if (isOutside) return drop('no_route');
  const left = leave(cloud, came.router, came.passage, origin);
  if (left.kind !== 'on') return left;
  const turns = outsiderWith(cloud, route.gateway.network, start.tuple.to) !== undefined;
  return turns ? turned(cloud, router, route.gateway, left.passage, origin) : wayBy(cloud, route, left.passage, origin);
}

/** By a route that leads inside: to a member, if that is to a virtual address. */
function wayInside(
  cloud: Cloud,
  router: Router,
  route: UsableRoute,
  passage: Passage,
  origin: Origin,
  choose: Choose,
): Way {
  const { leg, by } = route;
  const isMet =
    route.nextHop === undefined &&
    !passage.hasEntered &&
    passage.known?.direction !== 'answer' &&
    balancerAt(cloud, leg.network, passage.tuple.to) !== undefined;
  if (!isMet) return wayBy(cloud, route, passage, origin);
  const balanced = balance(cloud, leg.network, passage, origin.network, choose);
  if (balanced.kind === 'drop') return drop(balanced.reason);
  const { member } = balanced;
  const between = member.network === leg.network ? undefined : routerBetween(cloud, leg.network, member.network);
  const on = routeOn(cloud, between ?? router, member.address, origin);
  if (typeof on === 'string') return drop(on);
  if (on.gateway !== undefined) return drop('no_route');
  if (by !== undefined && !isPeered(cloud, router, member.address, on)) return drop('peering');
  return wayBy(cloud, on, balanced.passage, origin);
}

/** What a peering lets through is an address: the member might answer, but not by the peering, if that does not lead to it as well. */
function isPeered(cloud: Cloud, router: Router, address: string, on: UsableRoute): boolean {
  const route = routeTo(cloud, router, address);
  return route?.by !== undefined && route.leg.network === on.leg.network;
}

/** It has left for an address of ours, and comes in again. */
function turned(cloud: Cloud, router: Router, { network }: Gateway, passage: Passage, origin: Origin): Way {
  const back = enter(cloud, router, network, passage);
  if (back.kind !== 'on') return back;
  const route = routeOn(cloud, back.router, back.passage.becomes.to, origin);
  if (typeof route === 'string') return drop(route);
  return route.gateway === undefined ? wayBy(cloud, route, back.passage, origin) : drop('no_route');
}

/** RFC 3704. Of a port with port security its own addresses are known; from outside nobody comes with one that is inside, or nobody's. */
function isFromElsewhere(cloud: Cloud, router: Router, from: string, { network, sender }: Origin): boolean {
  if (sender?.portSecurity === true) return false;
  const back = routeTo(cloud, router, from);
  if (back?.nextHop === undefined && back !== undefined && back.leg.network !== network) return true;
  if (sender !== undefined) return false;
  return NOBODYS.some((cidr) => cidrContains(cidr, from)) || (back !== undefined && back.gateway === undefined);
}

/** "This network", loopback, groups and what is above, and the agent's services. */
const NOBODYS = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '169.254.169.254/32'];

/** By the policies of the router, else by its routes; or the reason to drop it. */
function firstRoute(
  cloud: Cloud,
  router: Router,
  { tuple, becomes, hasEntered }: Passage,
  origin: Origin,
): UsableRoute | string {
  const { network, sender } = origin;
  const seen = hasEntered ? { ...tuple, to: becomes.to, dport: becomes.dport } : tuple;
  const policy = sender && router.policies.find((one) => matches(one, network, seen));
  const steered = policy === undefined || policy.action === 'allow' ? undefined : steeredBy(router, policy);
  if (steered === 'drop') return 'policy_route';
  return steered ?? routeOn(cloud, router, seen.to, origin);
}

/** By the routes of the router; or the reason to drop it. */
function routeOn(cloud: Cloud, router: Router, to: string, { network, from }: Origin): UsableRoute | string {
  const route = routeTo(cloud, router, to);
  if (route === undefined) return 'no_route';
  return route.by === undefined || letsThrough(route.by, network, from) ? route : 'peering';
}

function wayBy(cloud: Cloud, { leg, nextHop, gateway, by }: UsableRoute, passage: Passage, { sender }: Origin): Way {
  if (isUnasked(passage)) return drop('nat_gone');
  const to = nextHop ?? (passage.hasEntered ? passage.becomes.to : passage.tuple.to);
  if (gateway !== undefined) {
    if (outsiderWith(cloud, gateway.network, to) !== undefined) return drop('no_endpoint');
    const own = isTranslated(passage.tuple, passage.becomes) ? passage.becomes.from : gateway.address;
    const mtuBytes = networkNamed(cloud, gateway.network)?.mtuBytes ?? 0;
    return { kind: 'wire', network: gateway.network, neighbour: to, own, hop: { mac: leg.mac }, mtuBytes, passage };
  }
  const owner = ownerOfAddress(cloud, leg.network, to);
  if (owner?.kind === 'leg' && nextHop === undefined && by === undefined) return { kind: 'router' };
  if (owner?.kind !== 'port') return drop('no_endpoint');
  if (passage.onlyTo !== undefined && owner.port !== passage.onlyTo) return drop('no_endpoint');
  const hop = { mac: leg.mac, mtuBytes: networkNamed(cloud, leg.network)?.mtuBytes ?? 0 };
  return wayToPort(cloud, owner.port, sender, { hop, passage });
}

function matches({ network, from, to, protocol, ports }: Policy, enters: string, tuple: Tuple): boolean {
  return (
    (network === undefined || network === enters) &&
    (from === undefined || cidrContains(from, tuple.from)) &&
    (to === undefined || cidrContains(to, tuple.to)) &&
    (protocol === undefined || protocol === tuple.protocol) &&
    (ports === undefined || (tuple.dport >= ports.min && tuple.dport <= ports.max))
  );
}

/** The leg in whose subnet the next hop is, and that. */
function steeredBy({ legs }: Router, { nextHop }: Policy): UsableRoute | 'drop' {
  const leg = nextHop === undefined ? undefined : legs.find((one) => cidrContains(one.cidr, nextHop));
  return leg === undefined || nextHop === undefined ? 'drop' : { cidr: `${nextHop}/32`, leg, nextHop };
}

/** Does this side let the sender through, by the network that the packet comes from? */
function letsThrough({ own }: Peered, network: string, from: string): boolean {
  return own.some((leg) => leg.network === network && cidrContains(leg.cidr, from));
}

/** The longest prefix counts; of two that are equal the router's own. */
function routeTo(cloud: Cloud, router: Router, to: string): UsableRoute | undefined {
  return [...usableRoutes(router), ...peerRoutes(cloud, router)]
    .filter(({ cidr }) => cidrContains(cidr, to))
    .sort((a, b) => cidrLength(b.cidr) - cidrLength(a.cidr))[0];
}

/** `gateway`: it leads outside. `by`: to a peer of the router, whose leg it is. */
export type UsableRoute = {
  readonly cidr: string;
  readonly leg: Leg;
  readonly nextHop?: string;
  readonly gateway?: Gateway;
  readonly by?: Peered;
};

function peerRoutes(cloud: Cloud, router: Router): readonly UsableRoute[] {
  return peeredBy(cloud, router).flatMap((by) => by.theirs.map((leg) => ({ cidr: leg.cidr, leg, by })));
}

/** The subnets of the legs, the routes whose next hop is in one of them, and the gateway's. */
export function usableRoutes({ legs, routes, gateway }: Router): readonly UsableRoute[] {
  const byNextHop = routes.flatMap(({ cidr, nextHop }) => {
    const leg = legs.find((one) => cidrContains(one.cidr, nextHop));
    return leg === undefined ? [] : [{ cidr, leg, nextHop }];
  });
  return [...legs.map((leg) => ({ cidr: leg.cidr, leg })), ...byNextHop, ...routesOutside(gateway)];
}

function routesOutside(gateway: Gateway | undefined): readonly UsableRoute[] {
  if (gateway === undefined) return [];
  return [
    { cidr: gateway.cidr, leg: gateway, gateway },
    { cidr: '0.0.0.0/0', leg: gateway, nextHop: gateway.nextHop, gateway },
  ];
}

/** Its sender is told. */
export type Refusal = { readonly reason: 'too_big' | 'ttl_exceeded' | 'no_member'; readonly mtuBytes: number };

export function refusalBy(
  { mtuBytes, hop }: Extract<Way, { kind: 'port' | 'host' | 'wire' }>,
  frame: Buffer,
  { ttl }: IpHeaders,
): Refusal | undefined {
  if (mtuBytes !== undefined && frame.length - ETHERNET_BYTES > mtuBytes) return { reason: 'too_big', mtuBytes };
  return hop !== undefined && ttl <= 1 ? { reason: 'ttl_exceeded', mtuBytes: 0 } : undefined;
}
