import type { HostRoute } from '@cable/model';
import { contains, parsePrefix } from './address.ts';
import { DEFAULTS, defaultsBySource, underlaysOf } from './gateway-nodes.ts';
import { portsOfNode } from './node-port.ts';
import { type RouteTo, routeBy, routeEntries } from './route-entries.ts';
import type { Leg } from './router-legs.ts';
import { type Family, headerFamily, type PlanReader } from './unit.ts';

/**
 * A router's extra routes, each by the interface whose subnet holds its next hop. A connected subnet wins over the same route, and these win over those whose next
 * hops are outside.
 */
export const ROUTES: Family = headerFamily(
  { name: 'routes', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { routes, nodeEgress = false, centralized = [] }, reader) => {
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || (routes.length === 0 && !nodeEgress)) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const network = reader.facts('network', legs[0]?.networkId ?? '').get('');
    const extra = routes.flatMap((route) => extraRoute(route, legs));
    const byNodes = nodeEgress ? nodeRoutes({ legs, routes, isCentral: centralized.length > 0 }, reader) : [];
    return { projectId: network?.value.projectId, entries: routeEntries(vrf, [...byNodes, ...extra]) };
  },
);

function extraRoute({ destination, nexthop }: HostRoute, legs: readonly Leg[]): readonly RouteTo[] {
  const to = parsePrefix(destination);
  const hop = parsePrefix(nexthop);
  if (to === undefined || hop === undefined) return [];
  const via = legs.find(({ way }) => way !== undefined && contains(way.prefix, hop))?.way;
  return via === undefined ? [] : [routeBy(to, via, hop.bytes)];
}

/** `isCentral`: some of those behind the router leave by other nodes. */
type Leaving = { readonly legs: readonly Leg[]; readonly routes: readonly HostRoute[]; readonly isCentral: boolean };

/** Default routes by the node port of this host in a network of the router, of versions of IP that have no other. */
function nodeRoutes({ legs, routes, isCentral }: Leaving, reader: PlanReader): readonly RouteTo[] {
  const nodes = portsOfNode(reader, new Set(legs.map(({ networkId }) => networkId)));
  if (nodes.length === 0) return [];
  const isTaken = (destination: string): boolean => routes.some((route) => route.destination === destination);
  const byNode = (destination: string): readonly RouteTo[] => {
    const hops = nodes.flatMap(({ fixedIps }) => fixedIps.map(({ ipAddress }) => ipAddress));
    const nexthop = hops.find((one) => one.includes(':') === destination.includes(':'));
    return nexthop === undefined || isTaken(destination) ? [] : extraRoute({ destination, nexthop }, legs);
  };
  if (!isCentral) return DEFAULTS.flatMap(byNode);
  const underlays = underlaysOf(new Set(nodes.map(({ networkId }) => networkId)), reader);
  return [
    ...defaultsBySource(isTaken),
    ...underlays.map((one) => (one.includes(':') ? `${one}/128` : `${one}/32`)).flatMap(byNode),
  ];
}
