/** Where a unicast packet goes: by MAC in its network, or by route through a router. */
import { cidrContains, cidrLength } from './address.ts';
import {
  type Cloud,
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
import type { Tuple } from './headers.ts';

/** The interface by which a router sends. */
export type Hop = { readonly leg: Leg };

export type Way =
  | { readonly kind: 'drop'; readonly reason: string }
  /** To a router's own address. */
  | { readonly kind: 'router' }
  /** Nobody is known to have the MAC. */
  | { readonly kind: 'all' }
  /** `mtuBytes`: of the network that it leaves in; undefined: any size. */
  | { readonly kind: 'port'; readonly port: Port; readonly hop?: Hop; readonly mtuBytes?: number }
  | {
      readonly kind: 'host';
      readonly host: string;
      readonly port: Port;
      readonly hop?: Hop;
      readonly mtuBytes: number;
    };

const drop = (reason: string): Way => ({ kind: 'drop', reason });

/** What routers know of an IP packet; of an ICMP error, `tuple` is that of an answer of the connection which it is about. */
export type Ends = { readonly from: string; readonly to: string; readonly tuple: Tuple };

/** Of a packet of a port of this host. `ends`: undefined where it is no IP packet: then a router does nothing with it. */
export function wayFromPort(cloud: Cloud, sender: Port, mac: string, ends: Ends | undefined): Way {
  const owner = ownerOfMac(cloud, sender.network, mac);
  if (owner === undefined) return { kind: 'all' };
  if (owner.kind === 'port') return wayToPort(cloud, owner.port, sender);
  if (owner.router === undefined) return drop('no_router');
  return ends === undefined ? drop('no_endpoint') : routed(cloud, owner.router, ends, sender);
}

/** Of a packet of another host, which is not from a port of this one: to a port of this one, never back, and through no router: the other host has routed it. */
export function wayFromHost(
  cloud: Cloud,
  network: string,
  { src, dst }: { readonly src: string; readonly dst: string },
  ends: Ends | undefined,
): Way {
  if (isPortHere(ownerOfMac(cloud, network, src))) return drop('spoofed_peer');
  if (ends !== undefined && isPortHere(ownerOfAddress(cloud, network, ends.from))) return drop('spoofed_peer');
  const owner = ownerOfMac(cloud, network, dst);
  if (owner !== undefined) {
    return owner.kind === 'port' && isHere(owner.port) ? wayToPort(cloud, owner.port, undefined) : drop('unknown_mac');
  }
  return isCarried(cloud, network) ? { kind: 'all' } : drop('unknown_vni');
}

function isPortHere(owner: Owner | undefined): boolean {
  return owner?.kind === 'port' && isHere(owner.port);
}

/** Within one network only what goes to another host has a largest size. */
function wayToPort(cloud: Cloud, port: Port, sender: Port | undefined, hop?: Hop): Way {
  const mtuBytes = networkNamed(cloud, port.network)?.mtuBytes ?? 0;
  const by = hop === undefined ? {} : { hop, mtuBytes };
  if (port.host !== undefined) return { kind: 'host', host: port.host, port, mtuBytes, ...by };
  if (!port.programmed) return drop('not_programmed');
  if (port === sender) return drop('no_endpoint');
  return port.adminUp ? { kind: 'port', port, ...by } : drop('admin_down');
}

function routed(cloud: Cloud, router: Router, { from, to, tuple }: Ends, sender: Port): Way {
  const back = sender.portSecurity ? undefined : routeTo(cloud, router, from);
  if (back !== undefined && back.nextHop === undefined && back.leg.network !== sender.network)
    return drop('reverse_path');
  const policy = router.policies.find((one) => matches(one, sender.network, tuple));
  const steered = policy === undefined || policy.action === 'allow' ? undefined : steeredBy(router, policy);
  if (steered === 'drop') return drop('policy_route');
  const route = steered ?? routeTo(cloud, router, to);
  if (route === undefined) return drop('no_route');
  const { leg, nextHop, by } = route;
  if (by !== undefined && !letsThrough(by, sender.network, from)) return drop('peering');
  const owner = ownerOfAddress(cloud, leg.network, nextHop ?? to);
  if (owner?.kind === 'leg' && nextHop === undefined && by === undefined) return { kind: 'router' };
  if (owner?.kind !== 'port') return drop('no_endpoint');
  return wayToPort(cloud, owner.port, sender, { leg });
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

/** `by`: to a peer of the router, whose leg it is. */
export type UsableRoute = {
  readonly cidr: string;
  readonly leg: Leg;
  readonly nextHop?: string;
  readonly by?: Peered;
};

function peerRoutes(cloud: Cloud, router: Router): readonly UsableRoute[] {
  return peeredBy(cloud, router).flatMap((by) => by.theirs.map((leg) => ({ cidr: leg.cidr, leg, by })));
}

/** The subnets of the legs, and the routes whose next hop is in one of them. */
export function usableRoutes({ legs, routes }: Router): readonly UsableRoute[] {
  const byNextHop = routes.flatMap(({ cidr, nextHop }) => {
    const leg = legs.find((one) => cidrContains(one.cidr, nextHop));
    return leg === undefined ? [] : [{ cidr, leg, nextHop }];
  });
  return [...legs.map((leg) => ({ cidr: leg.cidr, leg })), ...byNextHop];
}
