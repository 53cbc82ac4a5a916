/** Every extension that Cable ships with: a line for each file. Nothing else may be exported here. */

export { addressGroupExtension, securityGroupsRemoteAddressGroupExtension } from './address-group.ts';
export { addressScopeExtension } from './address-scope.ts';
export * from './agent.ts';
export * from './allowed-address-pairs.ts';
export { autoAllocatedTopologyExtension } from './auto-allocated-topology.ts';
export * from './availability-zone.ts';
export * from './binding.ts';
export { cableFlowExportExtension } from './cable-flow-export.ts';
export { cableGatewayNodesExtension } from './cable-gateway-nodes.ts';
export * from './cable-guest.ts';
export { cableHostPolicyExtension } from './cable-host-policy.ts';
export { cableDefaultRouteExtension, cableKubernetesExtension, cableNodeEgressExtension } from './cable-kubernetes.ts';
export { cableNatOutgoingExtension } from './cable-nat-outgoing.ts';
export { cableNetworkPolicyExtension } from './cable-network-policy.ts';
export { cableNodeExtension } from './cable-node.ts';
export { cablePluginExtension } from './cable-plugin.ts';
export { cablePrivateSubnetExtension } from './cable-private-subnet.ts';
export { cableRouterEgressExtension } from './cable-router-egress.ts';
export { cableRouterPeeringExtension } from './cable-router-peering.ts';
export { cableRouterPolicyExtension } from './cable-router-policy.ts';
export { cableServiceExtension } from './cable-service.ts';
export { cableSnatExtension } from './cable-snat.ts';
export * from './collections.ts';
export * from './dns-integration.ts';
export * from './dvr.ts';
export * from './ext-gw-mode.ts';
export * from './external-net.ts';
export * from './extra-dhcp-opt.ts';
export { extrarouteAtomicExtension, extrarouteExtension } from './extraroute.ts';
export * from './fip-port-details.ts';
export * from './flavors.ts';
export * from './floatingip-pools.ts';
export { ipAllocationExtension } from './ip-allocation.ts';
export * from './l3-ha.ts';
export { loadBalancerExtension, loadBalancerHealthExtension, loadBalancerQuotasExtension } from './load-balancer.ts';
export * from './logging.ts';
export * from './net-mtu.ts';
export { networkIpAvailabilityDetailsExtension, networkIpAvailabilityExtension } from './network-ip-availability.ts';
export { networkSegmentRangeExtension } from './network-segment-range.ts';
export * from './port-forwarding.ts';
export { portMacAddressRegenerateExtension } from './port-mac-address.ts';
export * from './port-placement.ts';
export * from './port-security.ts';
export * from './provider.ts';
export * from './qos.ts';
export * from './qos-minimum.ts';
export * from './qos-outside.ts';
export * from './quotas.ts';
export * from './rbac.ts';
export * from './router.ts';
export * from './security-group.ts';
export * from './security-group-rules.ts';
export { securityGroupsDefaultRulesExtension } from './security-groups-default-rules.ts';
export {
  l2AdjacencyExtension,
  multiProviderExtension,
  segmentExtension,
  standardAttrSegmentExtension,
} from './segment.ts';
export * from './service-type.ts';
export * from './standard-attributes.ts';
export * from './stateful-security-group.ts';
export {
  defaultSubnetpoolsExtension,
  subnetAllocationExtension,
  subnetOnboardExtension,
  subnetpoolPrefixOpsExtension,
} from './subnet-allocation.ts';
export { subnetServiceTypesExtension } from './subnet-service-types.ts';
export {
  standardAttrTagExtension,
  tagCreationExtension,
  tagPortsDuringBulkCreationExtension,
} from './tags.ts';
export * from './tap.ts';
export * from './trunk.ts';
