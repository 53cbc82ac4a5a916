import type { HostRoute } from '@cable/model';
import { contains, parsePrefix } from './address.ts';
import { portsOfNode } from './node-port.ts';
import { type RouteTo, routeBy, routeEntries } from './route-entries.ts';
import type { Leg } from './router-legs.ts';
import { type Family, headerFamily, type PlanReader } from './unit.ts';

const DEFAULTS = ['0.0.0.0/0', '::/0'] as const;

/**
 * A router's extra routes, each by the interface whose subnet holds its next hop. A connected subnet wins over the same route, and these win over those whose next
 * hops are outside.
 */
export const ROUTES: Family = headerFamily(
  { name: 'routes', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { routes, nodeEgress = false }, reader) => {
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || (routes.length === 0 && !nodeEgress)) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const network = reader.facts('network', legs[0]?.networkId ?? '').get('');
    return {
      projectId: network?.value.projectId,
      entries: routeEntries(
        vrf,
        [...(nodeEgress ? nodeRoutes(legs, routes, reader) : []), ...routes].flatMap((route) =>
          extraRoute(route, legs),
        ),
      ),
    };
  },
);

function extraRoute({ destination, nexthop }: HostRoute, legs: readonly Leg[]): readonly RouteTo[] {
  const to = parsePrefix(destination);
  const hop = parsePrefix(nexthop);
  if (to === undefined || hop === undefined) return [];
  const via = legs.find(({ way }) => way !== undefined && contains(way.prefix, hop))?.way;
  return via === undefined ? [] : [routeBy(to, via, hop.bytes)];
}

/** Default routes by the node port of this host in a network of the router, of versions of IP that have no other. */
function nodeRoutes(legs: readonly Leg[], routes: readonly HostRoute[], reader: PlanReader): readonly HostRoute[] {
  const nodes = portsOfNode(reader, new Set(legs.map(({ networkId }) => networkId)));
  const hops = nodes.flatMap(({ fixedIps }) => fixedIps.map(({ ipAddress }) => ipAddress));
  return DEFAULTS.flatMap((destination) => {
    const nexthop = hops.find((one) => one.includes(':') === destination.includes(':'));
    const isTaken = routes.some((route) => route.destination === destination);
    return nexthop === undefined || isTaken ? [] : [{ destination, nexthop }];
  });
}
