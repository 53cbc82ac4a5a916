/** Gateways of routers: what the host that has one programs to reach outside, and what the others do to reach it (docs/design/outside.md). */
import type { NetworkHeader, RouterGateway, RouterHeader } from '@cable/model';
import {
  CB_ENDPOINT_GATEWAY,
  CB_ENDPOINT_REMOTE,
  CB_ENDPOINT_ROUTER,
  CB_NET_F_TRANSIT,
  CB_NET_F_UP,
  CB_PEER_F_UPLINK,
  CB_ROUTE_CONNECTED,
  CB_ROUTE_F_GATEWAY,
  CB_ROUTE_NEXTHOP,
  CB_SNAT_F_BLOCKS,
  CB_WIRE_VXLAN,
} from '../bpf/abi.gen.ts';
import {
  contains,
  hostPrefix,
  isMapped,
  NO_ADDRESS,
  parseAddress,
  parseMac,
  parsePrefix,
  parseUuid,
} from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned, type ValueOf } from './entries.ts';
import { liveGateway } from './live-gateway.ts';
import { type RouteTo, routeEntries } from './route-entries.ts';
import type { Leg } from './router-legs.ts';
import { peerName, type StatedFact } from './topics.ts';
import { tunnelName } from './tunnels.ts';
import { type Family, headerFamily, type Output, type PlanReader } from './unit.ts';

/** What the gateway is called in the transit network, where nobody else has an address. */
const TRANSIT_ADDRESS = '169.254.0.1';

/** Ports of the router's address for what leaves, where they are not leased: one host has them all. */
const SNAT_PORTS = { firstPort: 1024, lastPort: 65_535 } as const;

const ALL: readonly string[] = ['0.0.0.0/0', '::/0'];

/** A router with a gateway, on whatever host. */
type Way = {
  readonly router: RouterHeader;
  readonly gateway: RouterGateway;
  readonly vrf: number;
  readonly mac: Uint8Array;
  /** Number of the transit network. */
  readonly transit: number;
  readonly legs: readonly Leg[];
};

/** Each router's gateway. */
export const GATEWAYS: Family = headerFamily(
  { name: 'gateway', slice: 'router', subject: 'host' },
  ({ scope: routerId }, router, reader) => {
    const gateway = liveGateway(routerId, router, reader);
    const vrf = reader.number('router', routerId);
    const mac = gateway === undefined ? undefined : parseMac(gateway.macAddress);
    if (gateway === undefined || vrf === undefined || mac === undefined) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const projectId = reader.facts('network', legs[0]?.networkId ?? '').get('')?.value.projectId;
    if (projectId === undefined || parseUuid(gateway.portId) === undefined) return {};
    // The transit network is named by the gateway's port.
    const transit = reader.id('network', gateway.portId);
    if (transit === undefined) return {};
    const way = { router, gateway, vrf, mac, transit, legs };
    const facts: readonly StatedFact[] = [
      {
        ...{ topic: 'network', key: gateway.portId, member: '' },
        value: { net: transit, vni: gateway.transitVni, projectId, isTunnelled: true },
      },
    ];
    const { facts: more = [], entries = [] } =
      gateway.host === reader.host ? planHere(way, reader) : planElsewhere(way, reader);
    return { facts: [...facts, ...more], entries: [...entries, transitRow(way, reader)] };
  },
);

/** Other hosts that have ports behind a router whose gateway is here: what they send to it by the transit network is accepted. */
export const TRANSIT_PEERS: Family = headerFamily(
  { name: 'transit peer', slice: 'router', subject: 'host' },
  ({ scope: routerId }, router, reader) => {
    const gateway = liveGateway(routerId, router, reader);
    if (gateway?.host !== reader.host) return {};
    const net = reader.facts('network', gateway.portId).get('')?.value.net;
    if (net === undefined) return {};
    const flags = reader.ownEncapsulation ? CB_PEER_F_UPLINK : 0;
    const tunnels = new Map<string, number>();
    for (const { value: leg } of reader.sortedFacts('leg-of', routerId)) {
      for (const [name, { value }] of reader.facts('host-in', leg.networkId)) tunnels.set(name, value);
    }
    const entries = [...tunnels].flatMap(([name, tunnel]) => {
      const remote = parseAddress(name);
      const key = { wireId: gateway.transitVni, remote: remote ?? NO_ADDRESS };
      return remote === undefined ? [] : [encodeEntry('cb_peer_2', key, { net, tunnel, flags, vif: 0 })];
    });
    return { entries };
  },
);

function transitRow({ gateway, transit, legs }: Way, reader: PlanReader): Planned {
  const projectId = reader.facts('network', legs[0]?.networkId ?? '').get('')?.value.projectId ?? '';
  return encodeEntry('cb_net_1', transit, {
    networkId: parseUuid(gateway.portId) ?? NO_ADDRESS,
    epoch: 0,
    flags: CB_NET_F_UP | (gateway.host === reader.host ? CB_NET_F_TRANSIT : 0),
    wireId: gateway.transitVni,
    project: reader.facts('project', projectId).get('')?.value ?? 0,
    mtuBytes: transitMtu(legs),
    wire: CB_WIRE_VXLAN,
    floodList: 0,
    floodChunks: 0,
    uplink: 0,
  });
}

/** What any network behind the router sends fits into a tunnel. */
function transitMtu(legs: readonly Leg[]): number {
  return Math.max(0, ...legs.map(({ way }) => way?.mtuBytes ?? 0));
}

/** On the gateway's host: its addresses outside, the ways out, and where the others reach it. */
function planHere({ gateway, router, vrf, mac, transit, legs }: Way, reader: PlanReader): Output {
  const network = reader.header('network', gateway.networkId);
  const net = reader.facts('network', gateway.networkId).get('')?.value.net;
  if (network === undefined || net === undefined) return {};
  const outside = { vrf, net, mac, mtuBytes: network.mtuBytes, network, gateway };
  const own = gateway.fixedIps.map((ip) => ip.ipAddress);
  return {
    facts: own.flatMap((address) => asker(gateway.networkId, { net, own: address, mac })),
    entries: [
      ...(router.adminStateUp ? snatEntries(outside) : []),
      ...neighbourEntries(outside, router, legs),
      ...routesOut(outside, router, legs),
      ...endpointEntries(net, endpointOf({ kind: CB_ENDPOINT_ROUTER, vrf, mac }), own),
      ...endpointEntries(transit, endpointOf({ kind: CB_ENDPOINT_GATEWAY, vrf, mac }), [TRANSIT_ADDRESS]),
    ],
  };
}

/** On every other host: the way to the gateway's host, whose answers are let in. */
function planElsewhere({ gateway, vrf, mac, transit, legs, router }: Way, reader: PlanReader): Output {
  const { underlay } = gateway;
  const remote = underlay === null ? undefined : parseAddress(underlay);
  if (underlay === null || remote === undefined) return {};
  const name = tunnelName(underlay, remote);
  const tunnel = reader.id('tunnel', name);
  if (tunnel === undefined) return {};
  const networks = new Set(legs.map((leg) => leg.networkId));
  const nexthop = parseAddress(TRANSIT_ADDRESS) ?? NO_ADDRESS;
  const versions = new Set(gateway.fixedIps.map(({ ipAddress }) => ipAddress.includes(':')));
  const hops = router.routes.filter((route) => !isInside(legs, route.nexthop)).map((route) => route.destination);
  const value = {
    ...{ kind: CB_ROUTE_NEXTHOP, flags: 0, net: transit, mtuBytes: transitMtu(legs) },
    ...{ mac: senderOf(mac), nexthop, own: NO_ADDRESS },
    // Who has a floating IP here does not go there.
    outside: reader.facts('floats-by', router.id).size === 0 ? 0 : (numberOf(gateway.networkId, reader) ?? 0),
  };
  return {
    facts: [
      { topic: 'tunnel', key: name, member: '', value: tunnel },
      ...[...networks].map((id): StatedFact => ({ topic: 'peer', key: peerName(id, name), member: '', value: null })),
    ],
    entries: [
      ...routeEntries(
        vrf,
        [...ALL.filter((all) => versions.has(all.includes(':'))), ...hops].flatMap((to) => route(to, value)),
      ),
      ...endpointEntries(transit, endpointOf({ kind: CB_ENDPOINT_REMOTE, mac, tunnel }), [TRANSIT_ADDRESS]),
    ],
  };
}

function numberOf(networkId: string, reader: PlanReader): number | undefined {
  return reader.facts('network', networkId).get('')?.value.net;
}

/** The MAC address of whoever sends to the gateway: never the gateway's. */
function senderOf(mac: Uint8Array): Uint8Array {
  const sender = Uint8Array.from(mac);
  sender[0] = (sender[0] ?? 0) ^ 0x04;
  return sender;
}

/** Name of the routes by which ports here that have floating IPs leave, as that of a router: it has a number of its own. */
export function exitOf(routerId: string): string {
  return `${routerId} outside`;
}

/** A router outside. */
export type Outside = {
  readonly vrf: number;
  readonly net: number;
  readonly mac: Uint8Array;
  readonly mtuBytes: number;
  readonly network: NetworkHeader;
  readonly gateway: RouterGateway;
};

/** `nexthop` undefined: the destination is on the link. */
type RouteOut = { readonly to: string; readonly nexthop?: string };

/** The routes that lead outside. */
export function routesOut(outside: Outside, router: RouterHeader, legs: readonly Leg[]): readonly Planned[] {
  return routeEntries(
    outside.vrf,
    waysOut(outside, router, legs).map((one) => routeOut(outside, one)),
  );
}

/** The next hops of these, whose MACs the vrouter learns. */
export function neighbourEntries(outside: Outside, router: RouterHeader, legs: readonly Leg[]): readonly Planned[] {
  const hops = new Set(waysOut(outside, router, legs).flatMap(({ nexthop }) => nexthop ?? []));
  return [...hops].flatMap((hop) => neighbour(outside.net, hop));
}

function waysOut(outside: Outside, router: RouterHeader, legs: readonly Leg[]): readonly RouteOut[] {
  const others = extra(outside, router, legs);
  // The router's own way to everywhere goes before the subnet's.
  const usual = defaults(outside).filter(({ to }) => others.every((other) => other.to !== to));
  return [...connected(outside), ...usual, ...others];
}

/** Subnets of the external network, also those that the router has no address of. */
function connected({ network }: Outside): readonly RouteOut[] {
  return network.subnets.map(({ cidr }) => ({ to: cidr }));
}

/** One of each version of IP: by the subnet of the first address that has a gateway. */
function defaults({ network, gateway }: Outside): readonly RouteOut[] {
  return ALL.flatMap((to): RouteOut[] => {
    for (const { subnetId } of gateway.fixedIps) {
      const subnet = network.subnets.find((one) => one.id === subnetId);
      const nexthop = subnet?.gatewayIp ?? undefined;
      if (nexthop !== undefined && nexthop.includes(':') === to.includes(':')) return [{ to, nexthop }];
    }
    return [];
  });
}

function extra({ network }: Outside, { routes }: RouterHeader, legs: readonly Leg[]): readonly RouteOut[] {
  return routes
    .filter(({ nexthop }) => !isInside(legs, nexthop) && network.subnets.some(({ cidr }) => isOf(cidr, nexthop)))
    .map(({ destination, nexthop }) => ({ to: destination, nexthop }));
}

function isInside(legs: readonly Leg[], nexthop: string): boolean {
  return legs.some(({ cidr }) => isOf(cidr, nexthop));
}

function isOf(cidr: string, address: string): boolean {
  const [prefix, ip] = [parsePrefix(cidr), parsePrefix(address)];
  return prefix !== undefined && ip !== undefined && contains(prefix, ip);
}

function routeOut(outside: Outside, { to, nexthop }: RouteOut): RouteTo {
  const { net, mac, mtuBytes, gateway } = outside;
  const isIpv6 = to.includes(':');
  const own = gateway.fixedIps.find(({ ipAddress }) => ipAddress.includes(':') === isIpv6)?.ipAddress;
  const value = {
    ...{ kind: nexthop === undefined ? CB_ROUTE_CONNECTED : CB_ROUTE_NEXTHOP, flags: CB_ROUTE_F_GATEWAY },
    ...{ net, mtuBytes, mac, nexthop: addressOr(nexthop), own: addressOr(own), outside: 0 },
  };
  return { to: parsePrefix(to) ?? hostPrefix(NO_ADDRESS), value };
}

function addressOr(text: string | undefined): Uint8Array {
  return (text === undefined ? undefined : parseAddress(text)) ?? NO_ADDRESS;
}

function route(to: string, value: ValueOf<'cb_route_2'>): readonly RouteTo[] {
  const prefix = parsePrefix(to);
  return prefix === undefined ? [] : [{ to: prefix, value }];
}

function neighbour(net: number, hop: string): readonly Planned[] {
  const addr = parseAddress(hop);
  const nothing = { learnedNs: 0n, askedNs: 0n, mac: new Uint8Array(6) };
  return addr === undefined ? [] : [encodeEntry('cb_neigh_1', { net, addr }, nothing)];
}

/** This host may ask for next hops of the external network. `own`: an address that it answers for there; undefined: it has none of its own. */
export function asker(
  networkId: string,
  { net, own, mac }: { readonly net: number; readonly own: string | undefined; readonly mac: Uint8Array },
): readonly StatedFact[] {
  const address = own === undefined ? undefined : parseAddress(own);
  if (own !== undefined && address === undefined) return [];
  const member = `${own === undefined ? 'probe' : 'own'} ${own ?? Buffer.from(mac).toString('hex')}`;
  return [{ topic: 'asker', key: networkId, member, value: { net, own: address, mac } }];
}

/** The router's translation. IPv6 is not translated: whoever is behind the router has addresses of his own. */
export function snatEntries({ vrf, net, gateway }: Pick<Outside, 'vrf' | 'net' | 'gateway'>): readonly Planned[] {
  const addresses = gateway.fixedIps.flatMap((ip) => parseAddress(ip.ipAddress) ?? []);
  const addr = addresses.find(isMapped);
  if (addr === undefined || !gateway.enableSnat) return [];
  const ports =
    gateway.leased === true ? { firstPort: 0, lastPort: 0, flags: CB_SNAT_F_BLOCKS } : { ...SNAT_PORTS, flags: 0 };
  return [encodeEntry('cb_snat_1', { vrf }, { addr, addr6: NO_ADDRESS, net, ...ports })];
}
