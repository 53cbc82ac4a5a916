/** The objects of the built-in types, as core and the built-in extensions declare them. */
import type { ResourceObject, ResourceView, StoredPart } from './declaration.ts';
import type * as extensions from './extensions/all.ts';
import type { ShownBy, StoredBy } from './extensions/extension.ts';
import type { addressGroupResource } from './resources/address-group.ts';
import type { addressScopeResource } from './resources/address-scope.ts';
import type { clusterNetworkPolicyResource } from './resources/cluster-network-policy.ts';
import type { flavorResource, serviceProfileResource } from './resources/flavor.ts';
import type { floatingIpResource } from './resources/floating-ip.ts';
import type { hostResource } from './resources/host.ts';
import type { hostCertificateResource } from './resources/host-certificate.ts';
import type { hostPolicyResource } from './resources/host-policy.ts';
import type { joinTokenResource } from './resources/join-token.ts';
import type { kubernetesClusterResource } from './resources/kubernetes-cluster.ts';
import type { listenerResource } from './resources/listener.ts';
import type { loadBalancerResource } from './resources/load-balancer.ts';
import type { LB_COMMON_ATTRIBUTES } from './resources/load-balancer-attributes.ts';
import type { logResource } from './resources/log.ts';
import type { networkResource } from './resources/network.ts';
import type { kubernetesNamespaceResource, networkPolicyResource } from './resources/network-policy.ts';
import type { networkSegmentRangeResource } from './resources/network-segment-range.ts';
import type { dispatchDefaultResource, dispatchRuleResource, pluginResource } from './resources/plugin.ts';
import type { healthMonitorResource, memberResource, poolResource } from './resources/pool.ts';
import type { portResource } from './resources/port.ts';
import type { portForwardingResource } from './resources/port-forwarding.ts';
import type { portOwnerResource } from './resources/port-owner.ts';
import type { protonResource } from './resources/proton.ts';
import type { protonControllerResource } from './resources/proton-controller.ts';
import type { protonNetworkResource } from './resources/proton-network.ts';
import type { pseudowireResource } from './resources/pseudowire.ts';
import type {
  qosBandwidthLimitRuleResource,
  qosDscpMarkingRuleResource,
  qosPacketRateLimitRuleResource,
  qosPolicyResource,
} from './resources/qos.ts';
import type {
  hostBookingResource,
  qosMinimumBandwidthRuleResource,
  qosMinimumPacketRateRuleResource,
} from './resources/qos-minimum.ts';
import type { rbacPolicyResource } from './resources/rbac-policy.ts';
import type { routerResource } from './resources/router.ts';
import type { routerEgressResource } from './resources/router-egress.ts';
import type { routerPeeringResource } from './resources/router-peering.ts';
import type { routerPolicyResource } from './resources/router-policy.ts';
import type { securityGroupResource, securityGroupRuleResource } from './resources/security-group.ts';
import type { endpointSetResource, serviceResource, serviceScopeResource } from './resources/service.ts';
import type { snatLeaseResource } from './resources/snat-lease.ts';
import type { subnetResource } from './resources/subnet.ts';
import type { subnetPoolResource } from './resources/subnet-pool.ts';
import type { tapFlowResource, tapMirrorResource, tapServiceResource } from './resources/tap.ts';
import type { trunkResource } from './resources/trunk.ts';
import type { vpnPeeringResource, vpnTargetResource } from './resources/vpn.ts';

type Extensions = typeof extensions;

/** What the objects of load balancers have in common. */
type BalancerPart = StoredPart<typeof LB_COMMON_ATTRIBUTES>;

/** As stored. */
export type Host = ResourceObject<typeof hostResource>;
export type HostCertificate = ResourceObject<typeof hostCertificateResource>;
export type JoinToken = ResourceObject<typeof joinTokenResource>;
export type PortOwner = ResourceObject<typeof portOwnerResource>;
export type VpnTarget = ResourceObject<typeof vpnTargetResource>;
export type VpnPeering = ResourceObject<typeof vpnPeeringResource>;
export type ProtonNetwork = ResourceObject<typeof protonNetworkResource>;
export type ProtonController = ResourceObject<typeof protonControllerResource>;
export type StoredPseudowire = ResourceObject<typeof pseudowireResource>;
export type Proton = ResourceObject<typeof protonResource>;
export type Plugin = ResourceObject<typeof pluginResource>;
export type DispatchRule = ResourceObject<typeof dispatchRuleResource>;
export type DispatchDefault = ResourceObject<typeof dispatchDefaultResource>;
export type KubernetesCluster = ResourceObject<typeof kubernetesClusterResource>;
/** As shown to an admin. */
export type HostView = ResourceView<typeof hostResource>;

/** As stored. */
export type Network = ResourceObject<typeof networkResource> & StoredBy<Extensions, 'network'>;
/** As shown to an admin. */
export type NetworkView = ResourceView<typeof networkResource> & ShownBy<Extensions, 'network'>;

/** As stored. */
export type NetworkSegmentRange = ResourceObject<typeof networkSegmentRangeResource> &
  StoredBy<Extensions, 'network_segment_range'>;

/** As stored. */
export type Subnet = ResourceObject<typeof subnetResource> & StoredBy<Extensions, 'subnet'>;
/** As shown to an admin. */
export type SubnetView = ResourceView<typeof subnetResource> & ShownBy<Extensions, 'subnet'>;

/** As stored. */
export type AddressScope = ResourceObject<typeof addressScopeResource>;

/** As stored. */
export type SubnetPool = ResourceObject<typeof subnetPoolResource> & StoredBy<Extensions, 'subnetpool'>;

/** As stored. */
export type Port = ResourceObject<typeof portResource> & StoredBy<Extensions, 'port'>;
/** As shown to an admin. */
export type PortView = ResourceView<typeof portResource> & ShownBy<Extensions, 'port'>;

/** As stored. */
export type Router = ResourceObject<typeof routerResource> & StoredBy<Extensions, 'router'>;
/** As shown to an admin. */
export type RouterView = ResourceView<typeof routerResource> & ShownBy<Extensions, 'router'>;

/** As stored. */
export type RouterPeering = ResourceObject<typeof routerPeeringResource>;

/** As stored. */
export type RouterEgress = ResourceObject<typeof routerEgressResource> & StoredBy<Extensions, 'router_egress'>;

/** As stored. */
export type RouterPolicy = ResourceObject<typeof routerPolicyResource>;

/** As stored. */
export type ServiceScope = ResourceObject<typeof serviceScopeResource> & StoredBy<Extensions, 'service_scope'>;
/** As stored. */
export type Service = ResourceObject<typeof serviceResource> & StoredBy<Extensions, 'service'>;
/** As stored. */
export type EndpointSet = ResourceObject<typeof endpointSetResource> & StoredBy<Extensions, 'endpoint_set'>;

/** As stored. */
export type KubernetesNamespace = ResourceObject<typeof kubernetesNamespaceResource> &
  StoredBy<Extensions, 'kubernetes_namespace'>;
/** As stored. */
export type NetworkPolicy = ResourceObject<typeof networkPolicyResource> & StoredBy<Extensions, 'network_policy'>;
/** As stored. */
export type ClusterNetworkPolicy = ResourceObject<typeof clusterNetworkPolicyResource> &
  StoredBy<Extensions, 'cluster_network_policy'>;

/** As stored. */
export type HostPolicy = ResourceObject<typeof hostPolicyResource>;

/** As stored. */
export type SnatLease = ResourceObject<typeof snatLeaseResource>;

/** As stored. */
export type Flavor = ResourceObject<typeof flavorResource>;
/** As stored. */
export type ServiceProfile = ResourceObject<typeof serviceProfileResource>;

/** As stored. */
export type FloatingIp = ResourceObject<typeof floatingIpResource> & StoredBy<Extensions, 'floatingip'>;
/** As shown to an admin. */
export type FloatingIpView = ResourceView<typeof floatingIpResource> & ShownBy<Extensions, 'floatingip'>;

/** As stored. */
export type PortForwarding = ResourceObject<typeof portForwardingResource>;
/** As shown. */
export type PortForwardingView = ResourceView<typeof portForwardingResource>;

/** As stored. */
export type SecurityGroup = ResourceObject<typeof securityGroupResource> & StoredBy<Extensions, 'security_group'>;
/** As shown to an admin. */
export type SecurityGroupView = ResourceView<typeof securityGroupResource>;

/** As stored. */
export type SecurityGroupRule = ResourceObject<typeof securityGroupRuleResource> &
  StoredBy<Extensions, 'security_group_rule'>;

/** What a rule says: two of a group that say the same are one too many. */
export type RuleMeaning = Pick<
  SecurityGroupRule,
  | 'direction'
  | 'ethertype'
  | 'protocol'
  | 'port_range_min'
  | 'port_range_max'
  | 'remote_ip_prefix'
  | 'remote_group_id'
  | 'remote_address_group_id'
>;

/** As stored. */
export type DefaultSecurityGroupRule = RuleMeaning &
  Pick<SecurityGroupRule, 'id' | 'description'> & {
    readonly used_in_default_sg: boolean;
    readonly used_in_non_default_sg: boolean;
  };

/** As stored. */
export type AddressGroup = ResourceObject<typeof addressGroupResource>;

/** As stored. */
export type RbacPolicy = ResourceObject<typeof rbacPolicyResource>;

/** As stored. */
export type QosPolicy = ResourceObject<typeof qosPolicyResource> & StoredBy<Extensions, 'qos_policy'>;
/** As stored. */
export type QosBandwidthLimitRule = ResourceObject<typeof qosBandwidthLimitRuleResource>;
/** As stored. */
export type QosMinimumPacketRateRule = ResourceObject<typeof qosMinimumPacketRateRuleResource>;
export type QosMinimumBandwidthRule = ResourceObject<typeof qosMinimumBandwidthRuleResource>;
/** As stored. */
export type HostBooking = ResourceObject<typeof hostBookingResource>;
/** As stored. */
export type QosPacketRateLimitRule = ResourceObject<typeof qosPacketRateLimitRuleResource>;
/** As stored. */
export type QosDscpMarkingRule = ResourceObject<typeof qosDscpMarkingRuleResource>;
/** As stored. */
export type TapService = ResourceObject<typeof tapServiceResource>;
/** As stored. */
export type TapFlow = ResourceObject<typeof tapFlowResource>;
/** As stored. */
export type TapMirror = ResourceObject<typeof tapMirrorResource>;
/** As stored. */
export type Log = ResourceObject<typeof logResource>;
/** As stored. */
export type Trunk = ResourceObject<typeof trunkResource>;
/** As shown to an admin. */
export type TrunkView = ResourceView<typeof trunkResource>;
/** As stored. */
export type LoadBalancer = ResourceObject<typeof loadBalancerResource> & BalancerPart;
/** As stored. */
export type Listener = ResourceObject<typeof listenerResource> & BalancerPart;
/** As stored. */
export type Pool = ResourceObject<typeof poolResource> & BalancerPart;
/** As stored. */
export type Member = ResourceObject<typeof memberResource> & BalancerPart;
/** As stored. */
export type HealthMonitor = ResourceObject<typeof healthMonitorResource> & BalancerPart;
