import type { HostRoute } from '@cable/model';
import { contains, parsePrefix } from './address.ts';
import type { Planned } from './entries.ts';
import { routeEntry } from './route-entries.ts';
import type { Leg } from './router-legs.ts';
import { type Family, headerFamily } from './unit.ts';

/** A router's extra routes, each by the interface whose subnet holds its next hop. (A connected subnet wins over the same route.) */
export const ROUTES: Family = headerFamily(
  { name: 'routes', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { routes }, reader) => {
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || routes.length === 0) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const network = reader.facts('network', legs[0]?.networkId ?? '').get('');
    return {
      projectId: network?.value.projectId,
      entries: routes.flatMap((route) => extraRoute(vrf, route, legs)),
    };
  },
);

function extraRoute(vrf: number, { destination, nexthop }: HostRoute, legs: readonly Leg[]): readonly Planned[] {
  const to = parsePrefix(destination);
  const hop = parsePrefix(nexthop);
  if (to === undefined || hop === undefined) return [];
  const via = legs.find(({ way }) => way !== undefined && contains(way.prefix, hop))?.way;
  return via === undefined ? [] : [routeEntry(vrf, to, via, hop.bytes)];
}
