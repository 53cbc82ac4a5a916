import type { SliceKind } from '@cable/model';
import { ATTACHMENTS, STANDBY_ATTACHMENTS } from './attachments.ts';
import { BALANCERS, MEMBER_ROWS, MEMBERS, POOL_TABLES, POOLS, ROUTED_VIPS } from './balance.ts';
import { BACKENDS, CLUSTER_SERVICES, SCOPE_ROUTES, SCOPES } from './cluster-services.ts';
import { ENDPOINTS } from './endpoints.ts';
import { FLOATING_IPS, FLOATING_ROUTERS, FLOATING_ROUTES, FLOATS } from './floating-ips.ts';
import { FLOOD } from './flood.ts';
import { FORWARDS } from './forwards.ts';
import { EXITS, GATEWAY_NODES, LEG_EXITS, VPC_PODS } from './gateway-nodes.ts';
import { GATEWAYS, TRANSIT_PEERS } from './gateways.ts';
import { ADDRESS_GROUPS, CLUSTER_PODS, GROUP_MEMBERS, PODS, PRIVATE_LEGS } from './group-members.ts';
import { HOST_PORTS } from './host-ports.ts';
import { LEASES, LEASING_ROUTERS, LEASING_WAYS, REMOTE_BLOCKS } from './leases.ts';
import { FLOATING_LIMITS, FLOATS_LIMITS, FORWARDS_LIMITS, GATEWAY_LIMITS, LIMITS } from './limits.ts';
import { MACHINE_LINKS } from './machine-links.ts';
import { NETWORKS } from './networks.ts';
import { PEERING_ROUTES, PEERINGS } from './peerings.ts';
import { PEERS } from './peers.ts';
import { POLICIES } from './policies.ts';
import { POLICY_ROUTES, STEERED_NETWORKS } from './policy-routes.ts';
import { GATEWAY_HOSTS, NODE_PROBERS, PROBE_PEERS, PROBERS } from './probe-peers.ts';
import { PROBES } from './probes.ts';
import { PSEUDOWIRES } from './pseudowires.ts';
import { REACH } from './reach.ts';
import { ROUTER_LEGS } from './router-legs.ts';
import { ROUTERS } from './routers.ts';
import { ROUTES } from './routes.ts';
import { SERVICES } from './services.ts';
import { ANNOUNCEMENTS, SHARED_ADDRESSES } from './shared-addresses.ts';
import { STANDBY_ENDPOINTS } from './standby.ts';
import { TUNNELS } from './tunnels.ts';
import type { Family } from './unit.ts';
import { STANDBY_VIFS, VIFS } from './vifs.ts';
import { VPN_PEERS, VPN_PLACES, VPN_WAYS, VPNS } from './vpns.ts';

/**
 * Every family of units. The order is that in which they run: facts are read by later families than those that state them. And it is their
 * rank: where two units claim one map key, the one of the earlier family stands, within a family the one of the lower key.
 */
export const FAMILIES: readonly Family[] = [
  FLOATING_LIMITS,
  FLOATS_LIMITS,
  FORWARDS_LIMITS,
  GATEWAY_LIMITS,
  STEERED_NETWORKS,
  NETWORKS,
  LIMITS,
  ADDRESS_GROUPS,
  GROUP_MEMBERS,
  PODS,
  CLUSTER_PODS,
  PRIVATE_LEGS,
  ATTACHMENTS,
  STANDBY_ATTACHMENTS,
  ROUTERS,
  ROUTER_LEGS,
  GATEWAY_NODES,
  VPC_PODS,
  ROUTES,
  EXITS,
  LEG_EXITS,
  PEERINGS,
  PEERING_ROUTES,
  POLICY_ROUTES,
  SCOPES,
  SCOPE_ROUTES,
  BACKENDS,
  CLUSTER_SERVICES,
  FLOATING_ROUTERS,
  LEASING_ROUTERS,
  GATEWAYS,
  LEASING_WAYS,
  LEASES,
  REMOTE_BLOCKS,
  GATEWAY_HOSTS,
  FLOATING_ROUTES,
  FLOATING_IPS,
  FORWARDS,
  FLOATS,
  REACH,
  POLICIES,
  PSEUDOWIRES,
  VIFS,
  HOST_PORTS,
  STANDBY_VIFS,
  STANDBY_ENDPOINTS,
  ENDPOINTS,
  POOLS,
  PROBES,
  MEMBERS,
  MEMBER_ROWS,
  POOL_TABLES,
  BALANCERS,
  ROUTED_VIPS,
  SHARED_ADDRESSES,
  SERVICES,
  FLOOD,
  TUNNELS,
  PEERS,
  ANNOUNCEMENTS,
  TRANSIT_PEERS,
  PROBERS,
  NODE_PROBERS,
  PROBE_PEERS,
  MACHINE_LINKS,
  VPN_PLACES,
  VPNS,
  VPN_WAYS,
  VPN_PEERS,
];

/** Ranks of the families that have a unit for each header, or for each item, of slices of the kind. */
export function sliceFamilies(kind: SliceKind, part: 'header' | 'item'): readonly number[] {
  return BY_SLICE.get(kind)?.[part] ?? [];
}

type Ranks = { readonly header: number[]; readonly item: number[] };

/** By kind of slice, which may be one that this agent does not know. */
const BY_SLICE: ReadonlyMap<string, Ranks> = ranksBySlice();

function ranksBySlice(): ReadonlyMap<string, Ranks> {
  const bySlice = new Map<string, Ranks>();
  for (const [rank, { source }] of FAMILIES.entries()) {
    if (source.kind === 'topic') continue;
    const ranks = bySlice.get(source.slice) ?? { header: [], item: [] };
    bySlice.set(source.slice, ranks);
    ranks[source.kind].push(rank);
  }
  return bySlice;
}
