/** Services of Kubernetes, scope by scope: what they are called by, and who serves (docs/design/services.md). */
import type { ClusterService, ServiceBackend } from '@cable/model';
import type { EndpointSetRow, ServiceRow } from '../compiler-tables.ts';
import { type ComputedItem, defineKind, type Kind, type NodeKey } from '../kind.ts';
import type { Reader } from '../reader.ts';

/** The scopes that are in force at a router, as slices. */
export function servicesAt(reader: Reader, routerId: string): readonly NodeKey[] {
  const scopes = reader.by('service_scope', 'router_ids', routerId);
  return scopes.flatMap(({ id }): NodeKey[] => [`services:${id}`, `backends:${id}`]);
}

/** The Services of one scope. */
export const servicesKind: Kind = defineKind({
  name: 'services',
  header: (reader, id) => {
    const scope = reader.get('service_scope', id);
    if (scope === undefined) return undefined;
    const value = {
      ...{ scopeId: id, cidrs: [...scope.cidrs], routerIds: [...scope.router_ids] },
      ...(scope.cluster_domain === '' ? {} : { clusterDomain: scope.cluster_domain }),
    };
    return { value, refs: [] };
  },
  items: { table: 'service', index: 'scope_id', sourceKeys: (id) => [id], compute: serviceItem },
});

/** Who serves in one scope. */
export const backendsKind: Kind = defineKind({
  name: 'backends',
  header: (reader, id) =>
    reader.get('service_scope', id) === undefined ? undefined : { value: { scopeId: id }, refs: [] },
  items: { table: 'endpoint_set', index: 'scope_id', sourceKeys: (id) => [id], compute: backendItems },
});

function serviceItem(
  _reader: Reader,
  service: ServiceRow,
): readonly (ComputedItem & { readonly value: ClusterService })[] {
  const value: ClusterService = {
    id: service.id,
    name: service.name,
    projectId: service.project_id,
    clusterIps: [...service.cluster_ips],
    externalIps: [...service.external_ips],
    ports: service.ports.map(({ name, protocol, port }) => ({ name, protocol, port })),
    ...(service.external_name === '' ? {} : { externalName: service.external_name }),
    ...(service.session_affinity === 'ClientIP' ? { affinitySeconds: service.session_affinity_timeout } : {}),
    ...(service.internal_traffic_policy === 'Local' ? { local: true as const } : {}),
    ...(service.external_traffic_policy === 'Local' ? { outerLocal: true as const } : {}),
    ...nodePortsOf(service),
    ...loadBalancerOf(service),
  };
  return [{ key: service.id, value, refs: [] }];
}

function nodePortsOf({ ports }: ServiceRow): Pick<ClusterService, 'nodePorts'> {
  const nodePorts = ports.flatMap(({ protocol, port, node_port: nodePort }) =>
    nodePort === null || nodePort === undefined ? [] : [{ protocol, port, nodePort }],
  );
  return nodePorts.length === 0 ? {} : { nodePorts };
}

/** A Service of before has none of it. */
function loadBalancerOf({
  load_balancer_ips: ips = [],
  announced_ips: announced = [],
  load_balancer_source_ranges: ranges = [],
  health_check_node_port: healthPort = null,
}: Partial<ServiceRow>): Pick<
  ClusterService,
  'loadBalancerIps' | 'announcedIps' | 'sourceRanges' | 'healthCheckNodePort'
> {
  return {
    ...(ips.length === 0 ? {} : { loadBalancerIps: [...ips] }),
    ...(announced.length === 0 ? {} : { announcedIps: [...announced] }),
    ...(ranges.length === 0 ? {} : { sourceRanges: [...ranges] }),
    ...(healthPort === null ? {} : { healthCheckNodePort: healthPort }),
  };
}

/** None of who takes no connection and keeps none: it is neither ready, nor does it serve while it terminates. */
function backendItems(
  _reader: Reader,
  set: EndpointSetRow,
): readonly (ComputedItem & { readonly value: ServiceBackend })[] {
  const ports = set.ports.map(({ name, protocol, port }) => ({ name, protocol, port }));
  return set.endpoints.flatMap((one) => {
    if (!one.ready && !(one.serving && one.terminating)) return [];
    const value: ServiceBackend = {
      serviceId: set.service_id,
      ipAddress: one.address,
      ports,
      ...(one.ready ? {} : { terminating: true as const }),
      ...(one.host_id === '' ? {} : { host: one.host_id }),
      ...(one.host_address ? { hostAddress: one.host_address } : {}),
      // Of before endpoints had any it says nothing.
      ...(one.hostname ? { hostname: one.hostname } : {}),
      ...(one.zone_hints.length === 0 ? {} : { zoneHints: [...one.zone_hints] }),
      ...(one.host_hints.length === 0 ? {} : { hostHints: [...one.host_hints] }),
    };
    return [{ key: `${set.id}/${one.address}`, value, refs: [] }];
  });
}
