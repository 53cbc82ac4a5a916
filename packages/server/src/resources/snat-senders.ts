/** Who leaves with leased ports of a router's address, and by which host. */
import { type ScopeReader, translates } from '@cable/compiler';
import { type Host, type Network, type Port, parseIp, type Router } from '@cable/model';
import type { Tables } from '../tables.ts';
import { isServiceOwner } from './device-owners.ts';
import { mayCarry } from './gateway-hosts.ts';
import { addressesFor, inMatchingOrder } from './router-egress.ts';

type Rows = Pick<Tables, 'of' | 'any'>;

/** A port behind the router, the host by which what it sends leaves, and the addresses of the router that it may leave by. */
export type Sender = { readonly port: Port; readonly host: string; readonly ips: readonly string[] };

/** The external network of a router, and its IPv4 addresses there; undefined: it has none. */
export function snatAddresses(
  tables: Rows,
  { gateway_port_id: portId = null, external_gateway_info: info = null }: Router,
): { readonly networkId: string; readonly ips: readonly string[] } | undefined {
  const port = portId === null || info === null ? undefined : tables.of('port').get(portId);
  if (port === undefined) return undefined;
  const ips = port.fixed_ips.map((fixed) => fixed.ip_address).filter((ip) => parseIp(ip)?.version === 4);
  return ips.length === 0 ? undefined : { networkId: port.network_id, ips };
}

/** How ports of a router's addresses are leased; `waitsFor`: what must be otherwise for any to be. */
type Leasing =
  | { readonly network: Network; readonly host: string; readonly waitsFor?: undefined }
  | { readonly waitsFor: string };

/** What an egress of the router waits for to be in force; empty: it is. */
export function egressWaitsFor(tables: Rows, router: Router): string {
  return leasingAt(tables, router).waitsFor ?? '';
}

function leasingAt(tables: Rows, router: Router): Leasing {
  const { external_gateway_info: info = null, gateway_port_id: portId = null } = router;
  const gateway = portId === null ? undefined : tables.of('port').get(portId);
  const network = gateway === undefined ? undefined : tables.of('network').get(gateway.network_id);
  if (gateway === undefined || network === undefined) return { waitsFor: 'a gateway of the router' };
  if (info?.enable_snat !== true) return { waitsFor: 'translation by the router (enable_snat)' };
  if (!translates(readerOf(tables), router, gateway))
    return { waitsFor: 'address scopes between which the router translates: those inside and outside are one' };
  const host = gateway['binding:host_id'] ?? '';
  if (host === '') return { waitsFor: 'a host that is on the physical network of the external network' };
  if (!knowsBlocks(tables.of('host').get(host)))
    return {
      waitsFor: 'an agent on the gateway’s host that leases ports: it is of an older version, or has not come yet',
    };
  return { network, host };
}

/** The ports behind a router whose ports are leased, by id: those that a host carries and that have an IPv4 address of one of its subnets. */
export function* sendersOf(tables: Rows, router: Router): Iterable<readonly [id: string, sender: Sender]> {
  const { 'cable:snat': snat = 'shared' } = router;
  const egresses = inMatchingOrder(tables.of('router_egress').by('router_id', router.id));
  if (snat === 'shared' && egresses.length === 0) return;
  const leasing = leasingAt(tables, router);
  if (leasing.waitsFor !== undefined) return;
  const { network, host: gatewayHost } = leasing;
  const all = snatAddresses(tables, router)?.ips ?? [];
  const subnets = new Set<string>();
  const networks = new Set<string>();
  for (const leg of tables.any('router_interface').by('device_id', router.id) as unknown as readonly Port[]) {
    networks.add(leg.network_id);
    for (const fixed of leg.fixed_ips) subnets.add(fixed.subnet_id);
  }
  for (const id of networks) {
    for (const port of tables.of('port').by('network_id', id)) {
      const host = port['binding:host_id'] ?? '';
      if (host === '' || isServiceOwner(port.device_owner)) continue;
      if (!port.fixed_ips.some((fixed) => subnets.has(fixed.subnet_id) && !fixed.ip_address.includes(':'))) continue;
      const row = snat === 'distributed' ? tables.of('host').get(host) : undefined;
      const leaves = row !== undefined && knowsBlocks(row) && mayCarry(row, network);
      yield [port.id, { port, host: leaves ? host : gatewayHost, ips: addressesFor(egresses, port, all) }];
    }
  }
}

/** Pools may not be loaded: then nothing has one, and none is asked for. */
function readerOf(tables: Rows): ScopeReader {
  return {
    get: (table, id) => tables.any(table).get(id) as never,
    by: (table, index, key) => tables.any(table).by(index, key) as never,
  };
}

/** Whether the host's agent can do with leased ports. */
function knowsBlocks(host: Host | undefined): boolean {
  return host?.features?.includes('blocks') ?? false;
}
