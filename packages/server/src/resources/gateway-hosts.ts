/** Which host a router's gateway is on: one that is on the physical network of the external network. */
import { createHash } from 'node:crypto';
import type { Host, Network } from '@cable/model';
import type { Tables } from '../tables.ts';
import { isTunnelled } from './network-segment.ts';

type Rows = Pick<Tables, 'of'>;

/**
 * The host for a router's gateway; undefined: none is on the physical network. Those whose agents report come before others; among equals a hash of both decides, so
 * gateways are spread, and a host that comes or goes moves only its own.
 */
export function gatewayHostFor(tables: Rows, network: Network, routerId: string): string | undefined {
  const fit = [...tables.of('host').values()].filter((host) => mayCarry(host, network));
  const alive = fit.filter(({ id }) => tables.of('alive').get(id) !== undefined);
  const weights = (alive.length > 0 ? alive : fit).map(({ id }) => [weightOf(routerId, id), id] as const);
  return weights.sort(([a], [b]) => (a < b ? 1 : -1))[0]?.[1];
}

/** True for a host with an interface on the physical network that carries the network. A tunnelled network leads outside nowhere. */
export function mayCarry(host: Pick<Host, 'bridge_mappings'>, network: Network): boolean {
  const physical = network['provider:physical_network'];
  return !isTunnelled(network) && physical !== null && Object.hasOwn(host.bridge_mappings, physical);
}

function weightOf(routerId: string, host: string): string {
  return createHash('sha256').update(`${routerId} ${host}`).digest('hex');
}
