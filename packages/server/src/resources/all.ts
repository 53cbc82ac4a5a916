import type { ModuleTable } from '../engine/module.ts';
import { joinTokenModule } from '../pki/join-tokens.ts';
import {
  floatingIpBackendModule,
  groupBackendModule,
  networkBackendModule,
  portBackendModule,
  routerBackendModule,
  ruleBackendModule,
  subnetBackendModule,
  vrouterOnlyModule,
} from '../plugins/placing.ts';
import {
  capabilityModule,
  dispatchDefaultModule,
  dispatchRuleModule,
  networkFlavorModule,
  pluginModule,
} from '../plugins/plugin-module.ts';
import { portOwnerModule, protonControllerModule } from '../protons/controllers.ts';
import { protonModule } from '../protons/proton-module.ts';
import { portInNetworkModule, protonNetworkModule } from '../protons/vrouter/networks.ts';
import { vpnPeeringModule } from '../protons/vrouter/vpn-peerings.ts';
import { addressGroupModule } from './address-group.ts';
import { addressScopeModule, networkScopesModule, subnetPoolScopeModule } from './address-scope.ts';
import { agentModule } from './agent.ts';
import { autoAllocatedTopologyModule, defaultExternalModule } from './auto-allocated-topology.ts';
import { automaticAddressesModule } from './automatic-addresses.ts';
import { availabilityZoneModule, networkZonesModule, routerZonesModule } from './availability-zone.ts';
import { clusterNetworkPolicyModule } from './cluster-network-policy.ts';
import { defaultSecurityGroupRuleModule } from './default-security-group-rule.ts';
import { floatingIpDnsModule, networkDnsModule, portDnsModule } from './dns.ts';
import { endpointSetModule } from './endpoint-set.ts';
import { externalNetworkModule } from './external-network.ts';
import { extraRoutesModule } from './extra-routes.ts';
import { flavorModule, routerFlavorModule, serviceProfileModule } from './flavor.ts';
import { floatingIpModule, networkFloatingIpsModule, portFloatingIpsModule } from './floating-ip.ts';
import { floatingIpPoolModule } from './floating-ip-pool.ts';
import { gatewayNodesModule } from './gateway-nodes.ts';
import { handingOverModule } from './handing-over.ts';
import { healthMonitorModule } from './health-monitor.ts';
import { hostBookingModule, hostModule } from './host.ts';
import { hostPolicyModule } from './host-policy.ts';
import { kubernetesClusterModule } from './kubernetes-cluster.ts';
import { originModule, portOfClusterModule } from './kubernetes-origin.ts';
import { l7PolicyModule, listenerModule } from './listener.ts';
import { lbProviderModule, loadBalancerModule } from './load-balancer.ts';
import { loggableResourceModule, logModule } from './log.ts';
import { memberModule, poolMembersModule } from './member.ts';
import { networkModule } from './network.ts';
import { networkIpAvailabilityModule } from './network-ip-availability.ts';
import { kubernetesNamespaceModule, networkPolicyModule, portOfNamespaceModule } from './network-policy.ts';
import { networkSegmentRangeModule } from './network-segment-range.ts';
import { poolModule } from './pool.ts';
import { portModule } from './port.ts';
import { portBindingsModule } from './port-bindings.ts';
import { portDhcpOptionsModule } from './port-dhcp-options.ts';
import { floatingIpForwardingsModule, portForwardingModule, portForwardingsToModule } from './port-forwarding.ts';
import { portGuestModule } from './port-guest.ts';
import { privateSubnetModule } from './private-subnet.ts';
import { providerOfClusterModule, providerRangesModule } from './provider-of-cluster.ts';
import { pseudowireModule } from './pseudowire.ts';
import { qosPolicyModule } from './qos-policy.ts';
import { qosRuleModule, qosRuleTypeModule } from './qos-rule.ts';
import { floatingIpQosModule, networkQosModule, portQosModule, routerQosModule } from './qos-users.ts';
import { quotaCheckLimitModule, quotaDetailsModule, quotaModule } from './quota.ts';
import { rbacPolicyModule } from './rbac-policy.ts';
import { renameHostModule } from './rename-host.ts';
import { retireHostModule } from './retire-host.ts';
import { hostCertificateModule, revokeHostModule } from './revoke-host.ts';
import { routerModule } from './router.ts';
import { routerEgressModule } from './router-egress.ts';
import { routerEgressStatusModule } from './router-egress-status.ts';
import { routerGatewayModule } from './router-gateway.ts';
import { routerDistributedModule, routerHaModule } from './router-ha.ts';
import { routerInterfacesModule } from './router-interfaces.ts';
import { routerPeeringModule } from './router-peering.ts';
import { routerPolicyModule } from './router-policy.ts';
import { portScopesModule, routerScopesModule } from './router-scopes.ts';
import { networkAgentsModule, routerAgentsModule } from './scheduled-agents.ts';
import { securityGroupModule } from './security-group.ts';
import { securityGroupRuleModule } from './security-group-rule.ts';
import { networkSegmentsModule, segmentModule, subnetSegmentModule } from './segment.ts';
import { serviceModule } from './service.ts';
import { serviceProviderModule } from './service-provider.ts';
import { serviceScopeModule } from './service-scope.ts';
import { setGatewayModule } from './set-gateway.ts';
import { shareableModule } from './sharing.ts';
import { snatLeaseModule } from './snat-lease.ts';
import { snatLogModule } from './snat-log.ts';
import { subnetModule } from './subnet.ts';
import { subnetAllocationModule } from './subnet-allocation.ts';
import { subnetPoolModule } from './subnet-pool.ts';
import { subnetOnboardModule, subnetPoolPrefixesModule } from './subnet-pool-actions.ts';
import { subnetServiceTypesModule } from './subnet-service-types.ts';
import { sweepProjectsModule } from './sweep-projects.ts';
import { tagsModule } from './tags.ts';
import { tapFlowModule, tapMirrorModule, tapPortModule, tapServiceModule } from './tap.ts';
import { trunkModule } from './trunk.ts';
import { trunkPortModule } from './trunk-port.ts';
import { trunkSubPortsModule } from './trunk-sub-ports.ts';
import { vipPortModule } from './vip-port.ts';

/** What is not declarative, by resource. */
export const MODULES: ModuleTable = {
  '*': [tagsModule],
  network: [
    shareableModule('network'),
    providerOfClusterModule,
    networkZonesModule,
    networkSegmentsModule,
    networkBackendModule,
    networkModule,
    externalNetworkModule,
    networkFloatingIpsModule,
    networkDnsModule,
    networkQosModule,
    networkScopesModule,
    defaultExternalModule,
    networkAgentsModule,
    originModule,
  ],
  rbac_policy: [rbacPolicyModule],
  proton: [protonModule],
  port_owner: [portOwnerModule, portInNetworkModule],
  vpn_peering: [vpnPeeringModule],
  proton_network: [protonNetworkModule],
  pseudowire: [pseudowireModule],
  proton_controller: [protonControllerModule],
  kubernetes_cluster: [
    ...[kubernetesClusterModule, handingOverModule, providerRangesModule, retireHostModule],
    sweepProjectsModule,
  ],
  address_group: [shareableModule('address_group'), addressGroupModule],
  auto_allocated_topology: [autoAllocatedTopologyModule],
  address_scope: [shareableModule('address_scope'), addressScopeModule],
  network_ip_availability: [networkIpAvailabilityModule],
  network_segment_range: [networkSegmentRangeModule],
  subnet: [
    subnetBackendModule,
    subnetSegmentModule,
    subnetAllocationModule,
    subnetModule,
    automaticAddressesModule,
    subnetServiceTypesModule,
    privateSubnetModule,
    gatewayNodesModule,
    originModule,
  ],
  subnetpool: [
    shareableModule('subnetpool'),
    subnetPoolModule,
    subnetPoolScopeModule,
    subnetPoolPrefixesModule,
    subnetOnboardModule,
  ],
  port: [
    portBackendModule,
    portModule,
    portFloatingIpsModule,
    portForwardingsToModule,
    portDhcpOptionsModule,
    portDnsModule,
    portGuestModule,
    portQosModule,
    portBindingsModule,
    trunkPortModule,
    vipPortModule,
    tapPortModule,
    portScopesModule,
    portOfNamespaceModule,
    originModule,
    portOfClusterModule,
  ],
  router: [
    routerZonesModule,
    routerBackendModule,
    routerModule,
    routerFlavorModule,
    routerHaModule,
    routerDistributedModule,
    routerGatewayModule,
    routerInterfacesModule,
    extraRoutesModule,
    routerQosModule,
    routerScopesModule,
    routerAgentsModule,
    originModule,
  ],
  endpoint_set: [endpointSetModule, originModule],
  kubernetes_namespace: [kubernetesNamespaceModule, originModule],
  network_policy: [networkPolicyModule, originModule],
  cluster_network_policy: [clusterNetworkPolicyModule, originModule],
  host_policy: [hostPolicyModule],
  router_peering: [routerPeeringModule, vrouterOnlyModule('peerings', { router_id: 'router' })],
  router_egress: [
    routerEgressModule,
    routerEgressStatusModule,
    vrouterOnlyModule('egress addresses', { router_id: 'router' }),
    originModule,
  ],
  router_policy: [routerPolicyModule, vrouterOnlyModule('policy routes', { router_id: 'router' })],
  service: [serviceModule, originModule],
  service_scope: [serviceScopeModule, originModule],
  floatingip: [
    floatingIpModule,
    floatingIpForwardingsModule,
    floatingIpQosModule,
    floatingIpDnsModule,
    floatingIpBackendModule,
    originModule,
  ],
  floatingip_pool: [floatingIpPoolModule],
  port_forwarding: [portForwardingModule, vrouterOnlyModule('port forwardings', { internal_port_id: 'port' })],
  security_group: [shareableModule('security_group'), securityGroupModule, groupBackendModule, originModule],
  security_group_rule: [securityGroupRuleModule, ruleBackendModule],
  default_security_group_rule: [defaultSecurityGroupRuleModule],
  qos_policy: [shareableModule('qos_policy'), qosPolicyModule, originModule],
  qos_bandwidth_limit_rule: [qosRuleModule('qos_bandwidth_limit_rule')],
  qos_packet_rate_limit_rule: [qosRuleModule('qos_packet_rate_limit_rule')],
  qos_dscp_marking_rule: [qosRuleModule('qos_dscp_marking_rule')],
  qos_minimum_bandwidth_rule: [qosRuleModule('qos_minimum_bandwidth_rule')],
  qos_minimum_packet_rate_rule: [qosRuleModule('qos_minimum_packet_rate_rule')],
  host_booking: [hostBookingModule],
  qos_rule_type: [qosRuleTypeModule],
  quota: [quotaModule, quotaCheckLimitModule, quotaDetailsModule],
  tap_service: [tapServiceModule, vrouterOnlyModule('mirrors', { port_id: 'port' }), originModule],
  tap_flow: [tapFlowModule, vrouterOnlyModule('mirrors', { source_port: 'port' }), originModule],
  tap_mirror: [tapMirrorModule, vrouterOnlyModule('mirrors', { port_id: 'port' })],
  trunk: [trunkModule, trunkSubPortsModule, vrouterOnlyModule('trunks', { port_id: 'port' })],
  loadbalancer: [loadBalancerModule, vrouterOnlyModule('load balancers', { vip_network_id: 'network' })],
  listener: [listenerModule],
  pool: [poolModule, poolMembersModule],
  member: [memberModule],
  healthmonitor: [healthMonitorModule],
  l7policy: [l7PolicyModule],
  lb_provider: [lbProviderModule],
  segment: [segmentModule],
  service_provider: [serviceProviderModule],
  service_profile: [serviceProfileModule],
  flavor: [flavorModule],
  log: [logModule],
  loggable_resource: [loggableResourceModule],
  snat_lease: [snatLeaseModule, snatLogModule],
  availability_zone: [availabilityZoneModule],
  host: [hostModule, renameHostModule, setGatewayModule, revokeHostModule],
  host_certificate: [hostCertificateModule],
  join_token: [joinTokenModule],
  agent: [agentModule],
  plugin: [pluginModule],
  dispatch_rule: [dispatchRuleModule],
  dispatch_default: [dispatchDefaultModule],
  network_flavor: [networkFlavorModule],
  capability: [capabilityModule],
};
