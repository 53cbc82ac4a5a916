/**
 * Exceptions that the plug-in resolves with neutron-server 21 (neutron-lib 3.1), in the modules where it looks: class, status that the user gets, and what its
 * text is made of. A name that is not here is swallowed.
 */

const CLASSES = `
AddressPairAndPortSecurityRequired 409
AddressScopePrefixConflict 409
AdminRequired 403 reason
AllowedAddressPairExhausted 400 quota
AllowedAddressPairsMissingIP 400
BadRequest 400 resource msg
Conflict 409
DNSNameServersExhausted 400 subnet_id quota
DeviceIDNotOwnedByTenant 409 device_id
DeviceNotFoundError 404 device_name
DhcpPortInUse 409 port_id
DuplicateAddressPairInRequest 400 mac_address ip_address
DuplicateSecurityGroupRuleInPost 409
DuplicateSubPort 409 segmentation_type segmentation_id trunk_id
EmptySubnetPoolPrefixList 400
ExtensionsNotFound 404 extensions
ExternalGatewayForFloatingIPNotFound 404 external_network_id subnet_id port_id
ExternalIpAddressExhausted 400 net_id
FilterIDForIPNotFound 404 ip
FirewallGroupCannotRemoveDefault 409
FirewallGroupCannotUpdateDefault 409
FirewallGroupDefaultAlreadyExists 409
FirewallGroupInPendingState 409 firewall_id pending_state
FirewallGroupInUse 409 firewall_id
FirewallGroupNotFound 404 firewall_id
FirewallGroupPortInUse 409 port_ids
FirewallGroupPortInvalid 409 port_id
FirewallGroupPortInvalidProject 409 port_id project_id
FirewallIpAddressConflict 400
FirewallPolicyConflict 404 firewall_policy_id
FirewallPolicyInUse 409 firewall_policy_id
FirewallPolicyNotFound 404 firewall_policy_id
FirewallPolicySharingConflict 409 firewall_policy_id firewall_rule_id
FirewallRuleAlreadyAssociated 409 firewall_rule_id firewall_policy_id
FirewallRuleConflict 409 firewall_rule_id project_id
FirewallRuleInUse 409 firewall_rule_id
FirewallRuleInfoMissing 400
FirewallRuleInvalidAction 400 action values
FirewallRuleInvalidICMPParameter 400 param
FirewallRuleInvalidPortValue 400 port
FirewallRuleInvalidProtocol 400 protocol values
FirewallRuleNotAssociatedWithPolicy 400 firewall_rule_id firewall_policy_id
FirewallRuleNotFound 404 firewall_rule_id
FirewallRuleSharingConflict 404 firewall_policy_id firewall_rule_id
FirewallRuleWithPortWithoutProtocolInvalid 400
FlatNetworkInUse 409 physical_network
FloatingIPNotFound 404 floatingip_id
FloatingIPPortAlreadyAssociated 409 floating_ip_address fip_id port_id fixed_ip net_id
GatewayConflictWithAllocationPools 409 ip_address pool
GatewayIpInUse 409 ip_address port_id
HostMacAddressGenerationFailure 503 host
HostRoutesExhausted 400 subnet_id quota
IllegalSubnetPoolAssociationToAddressScope 400 subnetpool_id address_scope_id
IllegalSubnetPoolIpVersionAssociationToAddressScope 400 subnetpool_id address_scope_id ip_version
IllegalSubnetPoolPrefixBounds 400 prefix_type prefixlen base_prefix_type base_prefixlen
IllegalSubnetPoolPrefixUpdate 400 msg
IllegalSubnetPoolUpdate 400 reason
InUse 409
InvalidAllocationPool 400 pool
InvalidCIDR 400 input
InvalidInput 400 error_message
InvalidInputSubnetServiceType 400 service_type
InvalidIpForNetwork 400 ip_address
InvalidIpForSubnet 400 ip_address
InvalidQuotaValue 409 unders
InvalidServiceType 400 service_type
InvalidSharedSetting 409 network
InvalidSubnetServiceType 400 service_type
IpAddressGenerationFailure 409 net_id
IpAddressInUse 409 net_id ip_address
MacAddressInUse 409 net_id mac
MalformedRequestBody 400 reason
MaxPrefixSubnetAllocationError 400 prefixlen max_prefixlen
MinPrefixSubnetAllocationError 400 prefixlen min_prefixlen
MultipleFilterIDForIPFound 409 ip
NetworkInUse 409 net_id
NetworkMacAddressGenerationFailure 503 net_id
NetworkNotFound 404 net_id
NetworkSubnetPoolAffinityError 400
NoNetworkAvailable 503
NoNetworkFoundInMaximumAllowedAttempts 503
NotAuthorized 403
NotFound 404
ObjectNotFound 404 id
OutOfBoundsAllocationPool 400 pool subnet_cidr
OverQuota 409 overs
OverlappingAllocationPools 409 pool_1 pool_2 subnet_cidr
ParentPortInUse 409 port_id
PortBindingAlreadyActive 409 port_id host
PortBindingAlreadyExists 409 port_id host
PortBindingNotFound 404 port_id host
PortBound 409 port_id vif_type old_mac new_mac
PortBoundNUMAAffinityPolicy 409 port_id host_id numa_affinity_policy
PortInUse 409 port_id net_id device_id
PortInUseAsSubPort 409 port_id trunk_id
PortInUseAsTrunkParent 409 port_id trunk_id
PortNotFound 404 port_id
PortNotFoundOnNetwork 404 port_id net_id
PrefixVersionMismatch 400
QuotaMissingTenant 400
QuotaResourceUnknown 404 unknown
ResourceExhausted 503
RouterExternalGatewayInUseByFloatingIp 409 router_id net_id
RouterInUse 409 router_id
RouterInterfaceAttachmentConflict 409 reason
RouterInterfaceInUseByFloatingIP 409 subnet_id router_id
RouterInterfaceNotFound 404 router_id port_id
RouterInterfaceNotFoundForSubnet 404 router_id subnet_id
RouterNotFound 404 router_id
SecurityGroupCannotRemoveDefault 409
SecurityGroupCannotUpdateDefault 409
SecurityGroupConflict 409 reason
SecurityGroupDefaultAlreadyExists 409
SecurityGroupEthertypeConflictWithProtocol 400 ethertype protocol
SecurityGroupInUse 409 id
SecurityGroupInvalidIcmpValue 400 field attr value
SecurityGroupInvalidPortRange 400
SecurityGroupInvalidPortValue 400 port
SecurityGroupInvalidProtocolForPort 400 protocol valid_port_protocols
SecurityGroupMissingIcmpType 400 value
SecurityGroupMultipleRemoteEntites 400
SecurityGroupNotFound 404 id
SecurityGroupNotSingleGroupRules 400
SecurityGroupProtocolRequiredWithPorts 400
SecurityGroupRuleExists 409 rule_id
SecurityGroupRuleInUse 409 id
SecurityGroupRuleInvalidEtherType 400 ethertype values
SecurityGroupRuleInvalidProtocol 400 protocol values
SecurityGroupRuleNotFound 404 id
SecurityGroupRuleParameterConflict 400 ethertype cidr
SecurityGroupRulesNotSingleTenant 400
SegmentationTypeValidatorNotFound 404 seg_type
ServicePortInUse 409 port_id reason
ServiceUnavailable 503
StateInvalid 400 port_state
SubPortMtuGreaterThanTrunkPortMtu 409 port_mtu port_id trunk_mtu trunk_id
SubPortNotFound 404 port_id trunk_id
SubnetInUse 409 subnet_id
SubnetMismatchForPort 400 port_id subnet_id
SubnetNotFound 404 subnet_id
SubnetPoolDeleteError 400 reason
SubnetPoolInUse 409 subnet_pool_id
SubnetPoolNotFound 404 subnetpool_id
SubnetPoolQuotaExceeded 409
TenantIdProjectIdFilterConflict 400
TenantQuotaNotFound 404 tenant_id
TrunkDisabled 409 trunk_id
TrunkInErrorState 409 trunk_id
TrunkInUse 409 trunk_id
TrunkNotFound 404 trunk_id
TrunkPluginDriverConflict 409
TrunkPortInUse 409 port_id
TunnelIdInUse 409 tunnel_id
UnsupportedMinSubnetPoolPrefix 400 prefix version
UnsupportedPortDeviceOwner 409 op device_owner port_id
VlanIdInUse 409 vlan_id physical_network
`;

/** What becomes of an exception. */
export type NeutronClass = { readonly status: number; readonly parts: readonly string[] };

/** By name. */
export const NEUTRON_CLASSES: ReadonlyMap<string, NeutronClass> = new Map(
  CLASSES.trim()
    .split('\n')
    .map((line) => {
      const [name = '', status, ...parts] = line.split(' ');
      return [name, { status: Number(status), parts }];
    }),
);
