/** Availability zones: names that hosts have in common. A zone is there as long as a host is in it. */
import { type AnyObject, CableError, DEFAULT_ZONE, type Host, type Network, type Router } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import type { Tables } from '../tables.ts';

type Rows = Pick<Tables, 'of' | 'any' | 'revision'>;

/** Longest list of hints, as JSON: Neutron's. */
const HINTS_MAX = 255;

/** How many ports of a network are looked at before it is asked how many zones there are at all. */
const FEW_PORTS = 64;

/** The zones as Neutron lists them: one row a zone and resource. */
export const availabilityZoneModule: Contribution<AnyObject> = {
  rows: (tables) => {
    const rows = new Map<string, AnyObject>();
    for (const host of tables.of('host').values()) {
      const takes = host.admin_state_up !== false;
      for (const resource of host.gateway === false ? ['network'] : ['network', 'router']) {
        const name = zoneOf(host);
        const id = `${name}/${resource}`;
        if (!takes && rows.has(id)) continue;
        rows.set(id, { id, name, resource, state: takes ? 'available' : 'unavailable' });
      }
    }
    return [...rows.values()];
  },
};

/** Networks: which zones they are in. */
export const networkZonesModule: Contribution<AnyObject> = contribute<Network>({
  derive: ({ deps }, given) => {
    checkHints(deps.tables, given.availability_zone_hints ?? [], () => true);
    return {};
  },
  present: (tables, network) => ({ availability_zones: zonesOfNetwork(tables, network.id) }),
});

/** Routers: which zones their gateways are in. */
export const routerZonesModule: Contribution<AnyObject> = contribute<Router>({
  derive: ({ deps }, given) => {
    checkHints(deps.tables, given.availability_zone_hints ?? [], (host) => host.gateway !== false);
    return {};
  },
  present: (tables, router) => ({ availability_zones: zonesOfRouter(tables, router) }),
});

/** Of a row of before hosts had zones: the default one. */
export function zoneOf(host: Pick<Host, 'availability_zone'>): string {
  return host.availability_zone ?? DEFAULT_ZONE;
}

/** Throws `AvailabilityZoneNotFound` for a zone that no such host is in, and `InvalidInput` for a list that is too long. */
function checkHints(tables: Rows, hints: readonly string[], isFit: (host: Host) => boolean): void {
  if (hints.length === 0) return;
  if (JSON.stringify(hints).length > HINTS_MAX) {
    throw new CableError('InvalidInput', 'Invalid input for operation: Too many availability_zone_hints specified.');
  }
  const known = new Set([...tables.of('host').values()].filter(isFit).map(zoneOf));
  const missing = hints.find((zone) => !known.has(zone));
  if (missing === undefined) return;
  throw new CableError('AvailabilityZoneNotFound', `AvailabilityZone ${missing} could not be found.`);
}

/** Zones of the hosts that have ports of the network. In a large network the first few ports tell all zones that there are. */
function zonesOfNetwork(tables: Rows, networkId: string): readonly string[] {
  const zones = new Set<string>();
  let most = Number.POSITIVE_INFINITY;
  for (const [at, port] of tables.of('port').by('network_id', networkId).entries()) {
    if (at === FEW_PORTS) most = zonesOfHosts(tables).size;
    if (zones.size >= most) break;
    const host = tables.of('host').get(port['binding:host_id'] ?? '');
    if (host !== undefined) zones.add(zoneOf(host));
  }
  return [...zones].sort();
}

function zonesOfRouter(tables: Rows, { gateway_port_id: id }: Router): readonly string[] {
  const port = tables.of('port').get(id ?? '');
  if (port === undefined) return [];
  const hosts = [port['binding:host_id'] ?? '', ...port.standby_hosts];
  return [...new Set(hosts.flatMap((name) => tables.of('host').get(name) ?? []).map(zoneOf))].sort();
}

/** All zones of one revision of the tables: many networks of a list ask for them. */
const known = new WeakMap<object, { readonly revision: number; readonly zones: ReadonlySet<string> }>();

function zonesOfHosts(tables: Rows): ReadonlySet<string> {
  const last = known.get(tables);
  if (last?.revision === tables.revision) return last.zones;
  const zones = new Set([...tables.of('host').values()].map(zoneOf));
  known.set(tables, { revision: tables.revision, zones });
  return zones;
}
