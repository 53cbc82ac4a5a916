/** Which hosts a router's gateway is on, one and then its standbys: those that are on the physical network of the external network. */
import { createHash } from 'node:crypto';
import type { Host, Network, Port, Router } from '@cable/model';
import type { Tables } from '../tables.ts';
import { zoneOf } from './availability-zone.ts';
import { takesAnything } from './host.ts';
import { isTunnelled } from './network-segment.ts';

type Rows = Pick<Tables, 'of' | 'any'>;

/** The router of a gateway, the zones that it may be in (none: any), and whether it has standbys. */
export type GatewayRouter = { readonly id: string; readonly zones: readonly string[]; readonly hasStandbys: boolean };

/** The router of a gateway's port, by its ID. */
export function gatewayRouter(tables: Rows, id: string): GatewayRouter {
  return asGatewayRouter(id, tables.of('router').get(id));
}

/** A router as it is stored, or is to be. */
export function asGatewayRouter(id: string, router: Partial<Router> = {}): GatewayRouter {
  return { id, zones: router.availability_zone_hints ?? [], hasStandbys: router.ha !== false };
}

/** Standbys that a gateway has where there are so many hosts. */
export const STANDBYS = 2;

/**
 * The host for a router's gateway; undefined: none is on the physical network. Those whose agents report come before others, then those that have fewer gateways;
 * among equals a hash of both decides. So gateways are spread, and a host that comes or goes moves only its own.
 */
export function gatewayHostFor(tables: Rows, network: Network, router: GatewayRouter): string | undefined {
  return candidates(tables, network, router)[0]?.id;
}

/**
 * The standbys of a gateway that is on @host: of `before` those that still can be, then others whose agents report. Those that have fewer gateways, theirs and those
 * that they are standbys of, come first.
 */
export function standbysFor(
  tables: Rows,
  network: Network,
  router: GatewayRouter,
  gateway: Pick<Port, 'binding:host_id' | 'standby_hosts'>,
  isSilent: (host: string) => boolean,
): readonly string[] {
  const host = gateway['binding:host_id'] ?? '';
  if (host === '' || !router.hasStandbys) return [];
  const kept = gateway.standby_hosts.filter((one) => {
    const row = one === host || isSilent(one) ? undefined : tables.of('host').get(one);
    return row !== undefined && mayBeGateway(row, network, router.zones);
  });
  if (kept.length >= STANDBYS) return kept.slice(0, STANDBYS);
  const more = candidates(tables, network, router).filter(
    ({ id, isAlive }) => isAlive && id !== host && !kept.includes(id),
  );
  return [...kept, ...more.map(({ id }) => id)].slice(0, STANDBYS);
}

/** The standbys of a gateway that comes to @host: the one that it leaves takes its place again first. */
export function standbysAfterMove(before: Pick<Port, 'binding:host_id' | 'standby_hosts'>, host: string): string[] {
  const left = before['binding:host_id'] ?? '';
  const others = before.standby_hosts.filter((one) => one !== host && one !== left);
  return host === '' ? [] : [...(left === '' || left === host ? [] : [left]), ...others].slice(0, STANDBYS);
}

/** True for a host with an interface on the physical network that carries the network. A tunnelled network leads outside nowhere. */
export function mayCarry(host: Pick<Host, 'bridge_mappings'>, network: Network): boolean {
  const physical = network['provider:physical_network'];
  return !isTunnelled(network) && physical !== null && Object.hasOwn(host.bridge_mappings, physical);
}

type Candidate = { readonly id: string; readonly isAlive: boolean; readonly load: number; readonly weight: string };

/** The best first. */
function candidates(tables: Rows, network: Network, { id: routerId, zones }: GatewayRouter): readonly Candidate[] {
  const gateways = tables.any('router_gateway');
  const fit = [...tables.of('host').values()].filter((host) => mayBeGateway(host, network, zones));
  return fit
    .map(({ id }): Candidate => {
      const load = gateways.by('binding:host_id', id).length + gateways.by('standby_hosts', id).length / (2 * STANDBYS);
      return { id, isAlive: tables.of('alive').get(id) !== undefined, load, weight: weightOf(routerId, id) };
    })
    .sort((a, b) => Number(b.isAlive) - Number(a.isAlive) || a.load - b.load || (a.weight < b.weight ? 1 : -1));
}

/** True for a host of the zones that can carry the network, and that neither is kept from being a gateway nor takes nothing. */
export function mayBeGateway(
  host: Pick<Host, 'bridge_mappings' | 'gateway' | 'admin_state_up' | 'availability_zone'>,
  network: Network,
  zones: readonly string[],
): boolean {
  // A row of before hosts had the attribute has none.
  if (host.gateway === false || !takesAnything(host) || !mayCarry(host, network)) return false;
  return zones.length === 0 || zones.includes(zoneOf(host));
}

function weightOf(routerId: string, host: string): string {
  return createHash('sha256').update(`${routerId} ${host}`).digest('hex');
}
