import {
  type CompilerTables,
  isGatewayPort,
  isRouterInterface,
  type PortRow,
  type RowType,
  type TableChange,
} from '@cable/compiler';
import type { TableReader } from '@cable/kit';
import type { AnyObject, Port } from '@cable/model';
import { changesByProtons, vpnsOf, withProtons } from '../protons/vrouter/overlay.ts';
import type { DerivedTable, TableChange as StoredChange, Tables } from '../tables.ts';

/**
 * Derived tables that slices are computed from, for the `derived` option of `Tables`. Router interfaces and gateways have tables of their own, because
 * a network may have tens of thousands of ports of which a few are routers' legs. Gateways are those that the vrouter realises, interfaces all: a floating IP
 * of another back end asks for them, too.
 */
export const SLICE_TABLES: Readonly<Record<'router_interface' | 'router_gateway', DerivedTable>> = {
  router_interface: { of: 'port', keep: (row) => isRouterInterface(row as unknown as Port) },
  router_gateway: { of: 'port', keep: (row) => isGatewayPort(row as unknown as Port) && isOwn(row) },
};

const COMPILED: ReadonlySet<string> = new Set<RowType>([
  'network',
  'subnet',
  'subnetpool',
  'port',
  'router',
  'router_peering',
  'router_egress',
  'router_policy',
  'service_scope',
  'service',
  'endpoint_set',
  'kubernetes_namespace',
  'network_policy',
  'cluster_network_policy',
  'host_policy',
  'security_group',
  'address_group',
  'log',
  'trunk',
  'tap_service',
  'tap_flow',
  'tap_mirror',
  'floatingip',
  'port_forwarding',
  'security_group_rule',
  'qos_policy',
  'qos_bandwidth_limit_rule',
  'qos_packet_rate_limit_rule',
  'qos_dscp_marking_rule',
  'snat_lease',
  'pseudowire',
  'host',
  'loadbalancer',
  'listener',
  'pool',
  'member',
  'healthmonitor',
  'health',
  'vpn_target',
  'vpn_peering',
]);

/** The compiler's view of the server's tables, which must have been made with `SLICE_TABLES`: with what rows of protons on the vrouter stand for. */
export function compilerTables(tables: Pick<Tables, 'of' | 'any'>): CompilerTables {
  return {
    network: withProtons(tables, 'network', ownOf(tables.of('network'))),
    subnet: withProtons(tables, 'subnet', ownOf(tables.of('subnet'))),
    subnetpool: tables.of('subnetpool'),
    port: withProtons(tables, 'port', ownOf<PortRow>(tables.of('port'))),
    router_interface: withProtons(
      tables,
      'router_interface',
      ownOf(tables.any('router_interface') as unknown as TableReader<PortRow, string>),
    ),
    router_gateway: tables.any('router_gateway') as unknown as TableReader<PortRow, string>,
    router: withProtons(tables, 'router', ownOf(tables.of('router'))),
    router_peering: tables.of('router_peering'),
    router_egress: tables.of('router_egress'),
    router_policy: tables.of('router_policy'),
    service_scope: tables.of('service_scope'),
    service: tables.of('service'),
    endpoint_set: tables.of('endpoint_set'),
    kubernetes_namespace: tables.of('kubernetes_namespace'),
    network_policy: tables.of('network_policy'),
    cluster_network_policy: tables.of('cluster_network_policy'),
    host_policy: tables.of('host_policy'),
    security_group: tables.of('security_group'),
    address_group: tables.of('address_group'),
    log: tables.of('log'),
    trunk: tables.of('trunk'),
    tap_service: tables.of('tap_service'),
    tap_flow: tables.of('tap_flow'),
    tap_mirror: tables.of('tap_mirror'),
    floatingip: tables.of('floatingip'),
    port_forwarding: tables.of('port_forwarding'),
    security_group_rule: tables.of('security_group_rule'),
    qos_policy: tables.of('qos_policy'),
    qos_bandwidth_limit_rule: tables.of('qos_bandwidth_limit_rule'),
    qos_packet_rate_limit_rule: tables.of('qos_packet_rate_limit_rule'),
    qos_dscp_marking_rule: tables.of('qos_dscp_marking_rule'),
    snat_lease: tables.of('snat_lease'),
    pseudowire: tables.of('pseudowire'),
    host: tables.of('host'),
    loadbalancer: tables.of('loadbalancer'),
    listener: tables.of('listener'),
    pool: tables.of('pool'),
    member: tables.of('member'),
    healthmonitor: tables.of('healthmonitor'),
    health: tables.of('health'),
    vpn: vpnsOf(tables),
    vpn_target: tables.of('vpn_target'),
    vpn_peering: tables.of('vpn_peering'),
  };
}

/** Those of the changes that slices depend on. */
export function compilerChanges(changes: readonly StoredChange[]): TableChange[] {
  const found: StoredChange[] = [];
  for (const change of changes) {
    if (!COMPILED.has(change.type)) {
      found.push(...(changesByProtons(change) as unknown as readonly StoredChange[]));
      continue;
    }
    const { before, after } = change;
    // Whose it is never changes; an id may come again.
    if ((before === undefined || isOwn(before)) && (after === undefined || isOwn(after))) found.push(change);
    else if ([before, after].some((row) => row !== undefined && isOwn(row))) {
      found.push({ ...change, before: ownOrNone(before), after: ownOrNone(after) });
    }
  }
  return found as unknown as TableChange[];
}

/** False: another back end realises it, so no slice is made of it. */
function isOwn(row: object): boolean {
  return ((row as AnyObject)['cable:backend'] ?? null) === null;
}

function ownOrNone<R extends object>(row: R | undefined): R | undefined {
  return row !== undefined && isOwn(row) ? row : undefined;
}

/** The rows of a table that the vrouter realises. */
function ownOf<R extends { readonly id: string }>(table: TableReader<R, string>): TableReader<R, string> {
  const own = (rows: readonly R[]): readonly R[] => (rows.every(isOwn) ? rows : rows.filter(isOwn));
  return {
    name: table.name,
    get size() {
      return table.size;
    },
    *values() {
      for (const row of table.values()) if (isOwn(row)) yield row;
    },
    get: (id) => ownOrNone(table.get(id)),
    by: (index, key) => own(table.by(index, key)),
  };
}
