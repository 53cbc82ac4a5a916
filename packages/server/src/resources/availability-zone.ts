/** Availability zones: names that hosts have in common. A zone is there as long as a host is in it. */
import { type AnyObject, CableError, DEFAULT_ZONE, type Host, type Network, type Router } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';
import { registeredBackends } from '../plugins/backends.ts';
import type { Tables } from '../tables.ts';

type Rows = Pick<Tables, 'of' | 'any' | 'has' | 'revision'>;

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
    for (const { name, resource, isReady } of zonesOfPlugins(tables)) {
      const id = `${name}/${resource}`;
      if (!isReady && rows.has(id)) continue;
      rows.set(id, { id, name, resource, state: isReady ? 'available' : 'unavailable' });
    }
    return [...rows.values()];
  },
};

/** Networks: which zones they are in. */
export const networkZonesModule: Contribution<AnyObject> = contribute<Network>({
  derive: ({ deps }, given) => {
    checkHints(deps.tables, given.availability_zone_hints ?? [], 'network', () => true);
    return {};
  },
  present: (tables, network) => ({ availability_zones: pluginsHints(network) ?? zonesOfNetwork(tables, network.id) }),
});

/** Routers: which zones their gateways are in. */
export const routerZonesModule: Contribution<AnyObject> = contribute<Router>({
  derive: ({ deps }, given) => {
    checkHints(deps.tables, given.availability_zone_hints ?? [], 'router', (host) => host.gateway !== false);
    return {};
  },
  present: (tables, router) => ({ availability_zones: pluginsHints(router) ?? zonesOfRouter(tables, router) }),
});

/** Of a row of before hosts had zones: the default one. */
export function zoneOf(host: Pick<Host, 'availability_zone'>): string {
  return host.availability_zone ?? DEFAULT_ZONE;
}

/** Of what a plug-in owns: it was placed there since that reaches them. Undefined: no plug-in owns it. */
function pluginsHints(object: {
  readonly availability_zone_hints?: readonly string[];
  readonly 'cable:backend'?: string | null;
}): readonly string[] | undefined {
  return (object['cable:backend'] ?? null) === null ? undefined : [...(object.availability_zone_hints ?? [])].sort();
}

type PluginZone = {
  readonly name: string;
  readonly resource: 'network' | 'router';
  /** A plug-in that has it takes new objects. */
  readonly isReady: boolean;
};

function* zonesOfPlugins(tables: Rows): Iterable<PluginZone> {
  if (!tables.has('plugin')) return;
  for (const { state, capabilities } of registeredBackends(tables.of('plugin').values())) {
    for (const resource of ['network', 'router'] as const) {
      if (capabilities.resources[resource] === undefined) continue;
      for (const name of capabilities.zones) yield { name, resource, isReady: state === 'Ready' };
    }
  }
}

/** Throws `AvailabilityZoneNotFound` for a zone that there is not. */
export function checkZone(tables: Rows, zone: string, resource: 'network' | 'router'): void {
  checkHints(tables, [zone], resource, () => true);
}

/** Throws `AvailabilityZoneNotFound` for a zone that no such host is in, nor a plug-in has, and `InvalidInput` for a list that is too long. */
function checkHints(
  tables: Rows,
  hints: readonly string[],
  resource: PluginZone['resource'],
  isFit: (host: Host) => boolean,
): void {
  if (hints.length === 0) return;
  if (JSON.stringify(hints).length > HINTS_MAX) {
    throw new CableError('InvalidInput', 'Invalid input for operation: Too many availability_zone_hints specified.');
  }
  const known = new Set([...tables.of('host').values()].filter(isFit).map(zoneOf));
  for (const zone of zonesOfPlugins(tables)) if (zone.resource === resource) known.add(zone.name);
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

export function zonesOfHosts(tables: Rows): ReadonlySet<string> {
  const last = known.get(tables);
  if (last?.revision === tables.revision) return last.zones;
  const zones = new Set([...tables.of('host').values()].map(zoneOf));
  known.set(tables, { revision: tables.revision, zones });
  return zones;
}
