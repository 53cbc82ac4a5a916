/**
 * Every kind of slice, and what refers to what; references lead only to the right, so that counting them is exact.
 *
 *   host ──> standby, logs, pseudowires
 *   host ──> host_policies ──> pods, cluster_pods, group
 *   host, standby ──> network, endpoints, names, qos, policy ──> group
 *   host, standby ──> network_policies ──> cluster_policies ──> pods, cluster_pods
 *   network_policies ──> private_subnets ──> private_legs
 *   router, floating, floats, forwards ──> qos       (where what they translate is limited)
 *    ├─────> near ──> router ──> network, endpoints      (of the router's networks)
 *    │       near ──> peerings ──> network, endpoints    (of what routers let through that it is peered with)
 *    │       near ──> services, backends       (of the scopes that name the router)
 *    │       near ──> vpn ──> router, network  (of the VPN that the network is)
 *    │                           network ──> balancers ──> pool
 *    ├─────> gateways, spares ──> router; network, floating, forwards      (of the external network)
 *    │               gateways, spares ──> blocks         (where ports of the router's address are leased)
 *    └─────> floats, leases ──> router; network          (of the external network)
 */
import type { SliceKey } from '@cable/model';
import type { Kind, NodeKey, NodeKind } from './kind.ts';
import { balancersKind } from './kinds/balancers.ts';
import { clusterPoliciesKind } from './kinds/cluster-policies.ts';
import { endpointsKind } from './kinds/endpoints.ts';
import { floatingKind, floatsKind } from './kinds/floating.ts';
import { forwardsKind } from './kinds/forwards.ts';
import { gatewaysKind, sparesKind } from './kinds/gateways.ts';
import { groupKind } from './kinds/group.ts';
import { hostKind, standbyKind } from './kinds/host.ts';
import { hostPoliciesKind } from './kinds/host-policies.ts';
import { blocksKind, leasesKind } from './kinds/leases.ts';
import { logsKind } from './kinds/logs.ts';
import { namesKind } from './kinds/names.ts';
import { nearKind } from './kinds/near.ts';
import { networkKind } from './kinds/network.ts';
import { clusterPodsKind, networkPoliciesKind, podsKind } from './kinds/network-policies.ts';
import { peeringsKind } from './kinds/peerings.ts';
import { policyKind } from './kinds/policy.ts';
import { poolKind } from './kinds/pool.ts';
import { privateLegsKind, privateSubnetsKind } from './kinds/private-subnets.ts';
import { pseudowiresKind } from './kinds/pseudowires.ts';
import { qosKind } from './kinds/qos.ts';
import { routerKind } from './kinds/router.ts';
import { backendsKind, servicesKind } from './kinds/services.ts';
import { vpnKind } from './kinds/vpn.ts';

export const KINDS: Readonly<Record<NodeKind, Kind>> = {
  host: hostKind,
  standby: standbyKind,
  network: networkKind,
  endpoints: endpointsKind,
  names: namesKind,
  near: nearKind,
  gateways: gatewaysKind,
  spares: sparesKind,
  router: routerKind,
  peerings: peeringsKind,
  qos: qosKind,
  floating: floatingKind,
  forwards: forwardsKind,
  floats: floatsKind,
  leases: leasesKind,
  blocks: blocksKind,
  logs: logsKind,
  policy: policyKind,
  network_policies: networkPoliciesKind,
  cluster_policies: clusterPoliciesKind,
  host_policies: hostPoliciesKind,
  private_subnets: privateSubnetsKind,
  private_legs: privateLegsKind,
  pods: podsKind,
  cluster_pods: clusterPodsKind,
  group: groupKind,
  balancers: balancersKind,
  pool: poolKind,
  services: servicesKind,
  backends: backendsKind,
  vpn: vpnKind,
  pseudowires: pseudowiresKind,
};

/** The kind of a slice and the id of the thing it is about. */
export function splitKey(key: NodeKey): { readonly kind: NodeKind; readonly id: string } {
  const colon = key.indexOf(':');
  return { kind: key.slice(0, colon) as NodeKind, id: key.slice(colon + 1) };
}

/** True for a slice that is sent to hosts. */
export function isSent(key: NodeKey): key is SliceKey {
  return !KINDS[splitKey(key).kind].hidden;
}
