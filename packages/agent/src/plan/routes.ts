import type { HostRoute } from '@cable/model';
import { contains, parsePrefix } from './address.ts';
import { type RouteTo, routeBy, routeEntries } from './route-entries.ts';
import type { Leg } from './router-legs.ts';
import { type Family, headerFamily } from './unit.ts';

/**
 * A router's extra routes, each by the interface whose subnet holds its next hop. A connected subnet wins over the same route, and these win over those whose next
 * hops are outside.
 */
export const ROUTES: Family = headerFamily(
  { name: 'routes', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { routes }, reader) => {
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || routes.length === 0) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const network = reader.facts('network', legs[0]?.networkId ?? '').get('');
    return {
      projectId: network?.value.projectId,
      entries: routeEntries(
        vrf,
        routes.flatMap((route) => extraRoute(route, legs)),
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
