/**
 * Every error a client may see: one table of code -> HTTP status, whether the same request may succeed later, and what to do.
 * Codes are Neutron's fault names where Neutron has one; clients branch on them.
 */

type Fault = {
  readonly status: number;
  /** The same request may succeed when sent again. */
  readonly retryable?: true;
  /** What the reader can do about it. */
  readonly remedy: string;
};

/** `NotFound` and `InUse` are shown with the resource's label in front, e.g. `NetworkNotFound`, `SecurityGroupInUse`. */
export const ERRORS = {
  // Any resource
  NotFound: { status: 404, remedy: 'Check the ID and the project; list the collection to see what exists.' },
  InUse: { status: 409, remedy: 'Delete what uses the object first.' },
  HTTPBadRequest: { status: 400, remedy: 'Correct the attribute or parameter that the message names.' },
  HTTPNotFound: { status: 404, remedy: 'Check the path against /openapi.json.' },
  HTTPMethodNotAllowed: { status: 405, remedy: 'Check the method against /openapi.json.' },
  HTTPConflict: { status: 409, remedy: 'Choose another, or change the object that is there.' },
  HTTPRequestTimeout: { status: 408, remedy: 'Send the whole request at once.' },
  HTTPRequestEntityTooLarge: { status: 413, remedy: 'Send less in one request.' },
  HTTPUnsupportedMediaType: { status: 415, remedy: 'Send JSON in UTF-8, with Content-Type: application/json.' },
  HTTPExpectationFailed: { status: 417, remedy: 'Leave the Expect header out, or send 100-continue.' },
  HTTPRequestHeaderFieldsTooLarge: { status: 431, remedy: 'Send less in the headers.' },
  HTTPUnauthorized: { status: 401, remedy: 'Send a valid token.' },
  HTTPForbidden: {
    status: 403,
    remedy: 'Name the server by localhost, 127.0.0.1 or [::1], and send no foreign Origin.',
  },
  PolicyNotAuthorized: {
    status: 403,
    remedy: 'Ask an administrator; the attribute or the object is not yours to change.',
  },
  InvalidInput: { status: 400, remedy: 'Correct the value that the message names.' },
  ExtensionNotFound: { status: 404, remedy: 'List /v2.0/extensions to see which aliases exist.' },
  RevisionNumberConstraintFailed: { status: 412, remedy: 'Read the object again and decide anew.' },
  WatchExpired: { status: 410, remedy: 'List the objects anew, and watch from the revision of that list.' },
  TooManyRequestsAtOnce: {
    status: 503,
    retryable: true,
    remedy: 'Other requests changed the same objects; send it again.',
  },
  OverLimit: {
    status: 429,
    retryable: true,
    remedy: 'Send fewer requests at once, and the same again after the seconds that Retry-After names.',
  },
  ServiceUnavailable: {
    status: 503,
    retryable: true,
    remedy: 'Send it again. If that does not help, /readyz says what the server waits for.',
  },
  GoesOn: {
    status: 503,
    retryable: true,
    remedy: 'Send the same request again: it goes on from where it is. cable proton does so by itself.',
  },
  IdempotencyKeyReused: { status: 422, remedy: 'Send another Idempotency-Key with another request.' },
  IdempotencyKeyConflict: { status: 409, remedy: 'Send another Idempotency-Key to have the objects made anew.' },
  OutcomeUnknown: {
    status: 504,
    remedy: 'Look whether the object is there before you send the request again.',
  },
  StoreFull: {
    status: 503,
    retryable: true,
    remedy: 'Make room where the store keeps its data (docs/guide/operating.md, Server), then send it again.',
  },
  InternalServerError: { status: 500, remedy: 'This is a defect: report it with the server’s log.' },
  OverQuota: { status: 409, remedy: 'Delete what is not needed, or ask an administrator for a higher quota.' },
  // Kubernetes
  ControllerSuperseded: {
    status: 409,
    remedy: 'Another controller has the Lease: this one claims the cluster anew when it has it again.',
  },
  PortStillPlugged: {
    status: 409,
    retryable: true,
    remedy:
      'Its node unplugs it when the pod ends, and then it can be deleted, or be another’s; of a host that is not alive at once.',
  },
  ManagedByKubernetes: {
    status: 409,
    remedy:
      'Change it in Kubernetes; its controller would undo what is changed here. To have it here, delete its custom resource with the annotation cable.io/deletion-policy: retain; an administrator lets go of it with cable kubernetes cluster release, and of all that a cluster has by deleting the cluster.',
  },
  ProviderNetworkNotAllowed: {
    status: 403,
    remedy: 'Name a VLAN of provider_networks of the cluster, or ask an administrator of Cable to give it another.',
  },
  // Networks
  TunnelIdInUse: { status: 409, remedy: 'Choose another provider:segmentation_id, or leave it out.' },
  ExternalNetworkInUse: {
    status: 409,
    remedy: 'Remove the gateways of routers on the network, and its floating IPs, first.',
  },
  VlanIdInUse: { status: 409, remedy: 'Choose another VLAN, or another physical network.' },
  FlatNetworkInUse: { status: 409, remedy: 'Use that network, or make one of type vlan on the physical network.' },
  AutoAllocationFailure: {
    status: 409,
    remedy: 'Have an administrator set is_default of an external network and of subnet pools that every project sees.',
  },
  DefaultExternalNetworkExists: { status: 409, remedy: 'Set is_default of that network to false first.' },
  NoNetworkAvailable: {
    status: 503,
    remedy:
      'All numbers of the ranges that the project may use are taken: delete networks, or add a network_segment_range.',
  },
  // Segments
  SegmentInUse: { status: 409, remedy: 'Delete the network, with which its segment goes.' },
  SegmentsSetInConjunctionWithProviders: { status: 400, remedy: 'Give either segments or provider:*.' },
  // Back ends
  UnknownFlavor: { status: 400, remedy: 'Give one of the flavors that /cable/v1/network-flavors lists.' },
  BackendRefused: {
    status: 400,
    remedy: 'Correct what the plug-in’s reason names, or have an administrator place the object elsewhere.',
  },
  BackendConflict: { status: 409, remedy: 'Change what the plug-in’s reason names first.' },
  BackendUnavailable: {
    status: 503,
    retryable: true,
    remedy:
      'The plug-in that is to realise the object does not answer: an administrator looks at cable plugin show. Nothing was written; send it again then.',
  },
  BackendLimitReached: {
    status: 409,
    remedy: 'Delete what is not needed, or have an administrator place the object on another back end.',
  },
  CrossesBackends: {
    status: 409,
    remedy: 'Use networks and routers of one back end: cable:backend of each says which, to administrators.',
  },
  NoRoomInPluginRanges: {
    status: 409,
    remedy: 'Have an administrator lease the plug-in a range of numbers: network_segment_range with cable:backend.',
  },
  PluginEndpointNotAllowed: {
    status: 400,
    remedy: 'Give https://HOST:PORT, http:// with an address of this machine, or unix:/PATH.',
  },
  // Ranges of segments
  NetworkSegmentRangeNetTypeNotSupported: { status: 400, remedy: 'Give network_type vxlan, or vlan.' },
  NetworkVlanRangeError: { status: 400, remedy: 'Give a minimum from 1 and a maximum to 4094, in this order.' },
  NetworkTunnelRangeError: { status: 400, remedy: 'Give a minimum from 1 and a maximum to 16777215, in this order.' },
  NetworkSegmentRangeOverlaps: { status: 409, remedy: 'Give numbers that no range has which an administrator made.' },
  NetworkSegmentRangeDefaultReadOnly: {
    status: 400,
    remedy: 'Change --vni-range or --vlan-range of the servers, and start them again.',
  },
  NetworkSegmentRangeReferencedByProject: {
    status: 409,
    remedy: 'Delete the networks that the range shows as used first.',
  },
  InvalidSharedSetting: { status: 409, remedy: 'Other projects use the network; remove their ports first.' },
  NetworkMTUSubnetConflict: {
    status: 409,
    remedy: 'Give the network an MTU of 1280 or more, or delete its IPv6 subnets.',
  },
  AvailabilityZoneNotFound: { status: 404, remedy: 'List /v2.0/availability_zones to see which there are.' },
  // RBAC policies
  RbacPolicyInUse: {
    status: 409,
    remedy:
      'Another project uses the object by way of the policy: delete what uses it first, or share it with that project by a policy of its own.',
  },
  DuplicateRbacPolicy: { status: 409, remedy: 'Use the policy that is there.' },
  InvalidActionForType: { status: 400, remedy: 'Give one of the actions that the message names.' },
  // Subnets
  GatewayConflictWithAllocationPools: { status: 409, remedy: 'Leave the gateway out of the allocation pools.' },
  GatewayIpInUse: { status: 409, remedy: 'Detach the router from the subnet first.' },
  InvalidAllocationPool: { status: 400, remedy: 'Give pools as {"start","end"} with start not above end.' },
  OutOfBoundsAllocationPool: { status: 400, remedy: 'Keep the pools within the prefix of the subnet.' },
  OverlappingAllocationPools: { status: 409, remedy: 'Give pools that have no address in common.' },
  DNSNameServersExhausted: { status: 400, remedy: 'Give fewer name servers.' },
  HostRoutesExhausted: { status: 400, remedy: 'Give fewer host routes, or put several into one prefix.' },
  InvalidSubnetServiceType: {
    status: 400,
    remedy: 'Give owners of ports as they are written there, a kind and a name: compute:nova.',
  },
  // Subnet pools
  EmptySubnetPoolPrefixList: { status: 400, remedy: 'Give a prefix.' },
  PrefixVersionMismatch: {
    status: 400,
    remedy: 'Give prefixes of one version of IP, and make another pool for the other.',
  },
  IllegalSubnetPoolPrefixBounds: {
    status: 400,
    remedy: 'Give min_prefixlen, default_prefixlen and max_prefixlen in this order, none longer than an address.',
  },
  IllegalSubnetPoolPrefixUpdate: {
    status: 400,
    remedy: 'Give all prefixes that are there, too; remove_prefixes takes away those that no subnet has.',
  },
  IllegalSubnetPoolUpdate: { status: 400, remedy: 'See the message.' },
  MinPrefixSubnetAllocationError: {
    status: 400,
    remedy: 'Ask for a longer prefix, or lower the pool’s min_prefixlen.',
  },
  MaxPrefixSubnetAllocationError: {
    status: 400,
    remedy: 'Ask for a shorter prefix, or raise the pool’s max_prefixlen.',
  },
  SubnetAllocationError: {
    status: 409,
    remedy: 'Ask for another prefix, or a longer one, or add prefixes to the pool (add_prefixes).',
  },
  SubnetPoolDeleteError: { status: 400, remedy: 'Delete the subnets of the pool first.' },
  SubnetPoolQuotaExceeded: {
    status: 409,
    remedy: 'Ask for a longer prefix, delete subnets of the pool, or ask its owner for a higher default_quota.',
  },
  RbacPolicyInitError: { status: 400, remedy: 'Share the address scope with the project first.' },
  AddressScopeUpdateError: { status: 400, remedy: 'Make another address scope.' },
  AddressScopePrefixConflict: {
    status: 409,
    remedy: 'Give the pool prefixes that no other pool of the address scope has, or put it into another scope.',
  },
  IllegalSubnetPoolIpVersionAssociationToAddressScope: {
    status: 400,
    remedy: 'Give an address scope of the pool’s version of IP.',
  },
  NetworkAddressScopeAffinityError: {
    status: 400,
    remedy: 'Take the subnet from a pool of the network’s address scope, or make it in another network.',
  },
  NetworkSubnetPoolAffinityError: {
    status: 400,
    remedy: 'Take the subnet from the pool of the network’s other subnets, or make it in another network.',
  },
  PolicyRemoveAuthorizationError: {
    status: 403,
    remedy: 'Ask the owner of the QoS policy, or an administrator: the policy is not shared with the project.',
  },
  NotAuthorized: { status: 403, remedy: 'Ask the owner of the object, or an administrator.' },
  // Ports
  IpAddressInUse: { status: 409, remedy: 'Choose another address, or leave it out.' },
  IpAddressAlreadyAllocated: { status: 409, remedy: 'Choose another address, or leave it out.' },
  InvalidIpForNetwork: { status: 400, remedy: 'Give an address in a subnet of the network.' },
  InvalidIpForSubnet: { status: 400, remedy: 'Give a usable address of the subnet.' },
  AllocationOnAutoAddressSubnet: {
    status: 400,
    remedy: 'Leave the address out: the port has the EUI-64 address of its MAC in the subnet.',
  },
  IpAddressGenerationFailureNoMatchingSubnet: {
    status: 409,
    remedy: 'Give the port another device_owner, or have an administrator make a subnet for it (service_types).',
  },
  IpAddressGenerationFailure: { status: 409, remedy: 'Add a subnet or a pool, or delete unused ports.' },
  MacAddressInUse: { status: 409, remedy: 'Choose another MAC address, or leave it out.' },
  PortInUse: { status: 409, remedy: 'Detach the port from its device first.' },
  PortBound: { status: 409, remedy: 'Unbind the port first: set binding:host_id to an empty string.' },
  ServicePortInUse: { status: 409, remedy: 'Use the API of the port’s owner, e.g. remove_router_interface.' },
  PortSecurityAndIPRequiredForSecurityGroups: {
    status: 400,
    remedy: 'Turn port security on and give the port an address, or give no security groups.',
  },
  PortSecurityPortHasSecurityGroup: { status: 409, remedy: 'Remove the port’s security groups first.' },
  AddressPairAndPortSecurityRequired: { status: 409, remedy: 'Turn port security on, or give no address pairs.' },
  DuplicateAddressPairInRequest: { status: 400, remedy: 'Give each address pair once.' },
  // Port bindings
  PortBindingError: { status: 500, remedy: 'Choose a host whose agent is up, or set that one up.' },
  PortBindingAlreadyExists: { status: 409, remedy: 'Change the binding that is there, or delete it first.' },
  PortBindingAlreadyActive: { status: 409, remedy: 'Nothing is to be done: the host carries the port.' },
  PortBindingNotFound: { status: 404, remedy: 'List the bindings of the port to see to which hosts it is bound.' },
  UnsupportedPortDeviceOwner: {
    status: 409,
    remedy: 'Only ports of machines (device_owner compute:...) are bound to several hosts.',
  },
  // Taps and mirrors
  PortDoesNotBelongToTenant: { status: 403, remedy: 'Name a port of the project that the object is of.' },
  TapServiceNotBelongToTenant: { status: 403, remedy: 'Name a tap service of the project that the tap flow is of.' },
  TapMirrorTunnelConflict: { status: 409, remedy: 'Choose another tunnel number.' },
  // Trunks
  TrunkPortInUse: { status: 409, remedy: 'Remove the port from the trunk that the message names first.' },
  ParentPortInUse: { status: 409, remedy: 'Give another port, or delete the trunk whose parent it is first.' },
  PortInUseAsTrunkParent: { status: 409, remedy: 'Delete the trunk first.' },
  PortInUseAsSubPort: { status: 409, remedy: 'Remove the port from its trunk first, with remove_subports.' },
  DuplicateSubPort: { status: 409, remedy: 'Choose another segmentation_id.' },
  SubPortNotFound: { status: 404, remedy: 'Show the trunk to see which sub-ports it has.' },
  SubPortMtuGreaterThanTrunkPortMtu: {
    status: 409,
    remedy: 'Lower the MTU of the sub-port’s network, or raise that of the parent’s.',
  },
  TrunkDisabled: { status: 409, remedy: 'Set the trunk’s admin_state_up to true first.' },
  // Routers
  BadRequest: { status: 400, remedy: 'Correct what the message names.' },
  RouterInterfaceNotFound: { status: 404, remedy: 'List the ports whose device_id is the router.' },
  SubnetMismatchForPort: {
    status: 400,
    remedy: 'Give the port or the subnet alone, or the subnet that the port is in.',
  },
  RouterInterfaceNotFoundForSubnet: { status: 404, remedy: 'List the ports whose device_id is the router.' },
  RouterInterfaceInUseByPeering: {
    status: 409,
    remedy: 'Take the subnet out of the subnet_ids of the peering first, or delete the peering.',
  },
  RouterInterfaceInUseByPolicyRoute: { status: 409, remedy: 'Delete or change the policy route first.' },
  RouterInterfaceInUseByRoute: { status: 409, remedy: 'Remove the extra routes through the subnet first.' },
  RouterExternalGatewayInUseByFloatingIp: {
    status: 409,
    remedy: 'Disassociate or delete the floating IPs of the router first.',
  },
  RouterInterfaceInUseByFloatingIP: {
    status: 409,
    remedy: 'Disassociate the floating IPs of the subnet’s ports first.',
  },
  RoutesExhausted: { status: 400, remedy: 'Remove routes that are not needed, or put several into one prefix.' },
  InvalidRoutes: { status: 400, remedy: 'Give next hops in attached subnets, and each route once.' },
  // Logs
  InvalidLogResourceType: { status: 400, remedy: 'Give security_group: see /v2.0/log/loggable-resources.' },
  InvalidResourceConstraint: {
    status: 400,
    remedy: 'Give a security group that the port has, or leave one of the two out.',
  },
  LoggingTypeNotSupported: {
    status: 409,
    remedy: 'Give the port of a machine: no security group holds for those of routers.',
  },
  // Flavors
  InvalidServiceType: {
    status: 400,
    remedy: 'Give L3_ROUTER_NAT: routers have flavors, load balancers and other services none.',
  },
  ServiceProfileDriverNotFound: {
    status: 404,
    remedy: 'List /v2.0/service-providers to see which providers there are.',
  },
  ServiceProfileEmpty: { status: 400, remedy: 'Give a driver, or metainfo.' },
  ServiceProfileDisabled: { status: 503, remedy: 'Enable the flavor’s first service profile, or name another flavor.' },
  FlavorDisabled: { status: 503, remedy: 'Enable the flavor, or name another.' },
  FlavorServiceProfileBindingExists: { status: 409, remedy: 'Nothing is to be done: the flavor has the profile.' },
  FlavorServiceProfileBindingNotFound: { status: 404, remedy: 'Show the flavor to see which profiles it has.' },
  // Floating IPs
  ExternalIpAddressExhausted: {
    status: 400,
    remedy: 'Delete unused floating IPs, or have an administrator add a subnet or a pool to the external network.',
  },
  ExternalGatewayForFloatingIPNotFound: {
    status: 404,
    remedy: 'Attach the subnet to a router that has its gateway in the external network.',
  },
  FloatingIPPortAlreadyAssociated: {
    status: 409,
    remedy: 'Disassociate the other floating IP first, or choose another address of the port.',
  },
  FipInUseByPortForwarding: { status: 409, remedy: 'Delete the port forwardings of the floating IP first.' },
  PortHasBindingFloatingIP: {
    status: 409,
    remedy: 'Disassociate that floating IP first: a port has a floating IP, or port forwardings.',
  },
  PortHasPortForwarding: {
    status: 400,
    remedy: 'Delete the port forwardings to the port first: a port has a floating IP, or port forwardings.',
  },
  // Hosts
  HostNotRegistered: { status: 409, remedy: 'Register the host again (PUT /cable/v1/hosts/{host}), then repeat this.' },
  UnderlayAddressInUse: { status: 409, remedy: 'Give the host an address of its own, or delete the other host.' },
  UnderlayIpVersionMismatch: {
    status: 409,
    remedy:
      'All hosts of a cloud tunnel over one IP version: start the agent with such an address (--underlay), or all servers with --overlay-ip-version.',
  },
  HostNameInUse: {
    status: 409,
    remedy: 'Another live machine has this name: give this one another with --host, or stop the other agent.',
  },
  HostBeingRenamed: {
    status: 409,
    remedy: 'Do what the message says; an agent is let in under the new name when the rename is done.',
  },
  HostSuperseded: { status: 409, remedy: 'A newer run of the agent has taken over: register again, or stop this one.' },
  // Joining
  CertificateRefused: {
    status: 401,
    remedy: 'Get a certificate of this cloud’s authority: hosts with a join token, users with cable pki issue.',
  },
  JoinTokenInvalid: {
    status: 403,
    remedy: 'Give the whole token as it was shown, or make another with: cable join-token create.',
  },
  JoinTokenExpired: { status: 403, remedy: 'Make another token with: cable join-token create.' },
  JoinTokenUsed: { status: 403, remedy: 'Make another token with: cable join-token create.' },
  JoinTokenOfOtherHost: {
    status: 403,
    remedy: 'Join with the token that was made for this host, or make one with: cable join-token create --host NAME.',
  },
  HostHasJoined: {
    status: 409,
    remedy:
      'Give this machine another name with --host; or let it take the place of that host with a token made by: cable join-token create --host NAME --replace true.',
  },
  HostWasRevoked: {
    status: 409,
    remedy:
      'Let it in again with a token that names it, made by: cable join-token create --host NAME --replace true; or give this machine another name with --host.',
  },
  HostsJoinElsewhere: {
    status: 409,
    remedy:
      'Start the server with --pki, and the key of the hosts’ authority in that directory; or give the host a certificate (cable agent --tls-cert).',
  },
  OtherHistory: {
    status: 409,
    remedy: 'The store is not the one the agent knows, or was restored: see docs/guide/operating.md, Another store.',
  },
  SubnetBeingDeleted: {
    status: 409,
    remedy: 'Nothing is to be done: it goes on by itself. Repeat the request to wait for the end.',
  },
  // QoS
  QoSPolicyDefaultAlreadyExists: {
    status: 409,
    remedy: 'Set is_default of the project’s other policy to false first.',
  },
  QoSRulesConflict: { status: 409, remedy: 'Change the rule that is there, or give the other direction.' },
  QoSRuleParameterConflict: {
    status: 409,
    remedy: 'Let the minimum of a direction be no more than its limit, in one policy.',
  },
  QosPlacementAllocationUpdateConflict: {
    status: 409,
    remedy:
      'Choose another host or a smaller minimum, or free some: booked_bandwidth of the host says what is promised.',
  },
  // Load balancers
  ProviderUnsupportedOptionError: {
    status: 501,
    remedy: 'Leave the option out, or give another value.',
  },
  DuplicateListenerEntry: {
    status: 409,
    remedy: 'Choose another protocol_port, or change the listener that is there.',
  },
  DuplicatePoolEntry: { status: 409, remedy: 'Set default_pool_id of the listener, or delete its pool first.' },
  DuplicateMemberEntry: { status: 409, remedy: 'Change the member that is there.' },
  DuplicateHealthMonitor: { status: 409, remedy: 'Change the health monitor that is there, or delete it first.' },
  VIPInUse: { status: 409, remedy: 'Give another port, or none: one is made.' },
  // Asking hosts
  PortNotBound: { status: 409, remedy: 'Bind the port to a host first: only there it has flows, drops and a way.' },
  HostUnreachable: {
    status: 503,
    retryable: true,
    remedy: 'See `cable host list`. If the host is alive, send it again.',
  },
  HostRefusesAsk: { status: 409, remedy: 'See `cable why PORT`, and the log of the host’s agent.' },
  // Security groups
  SecurityGroupConflict: { status: 409, remedy: 'Give the port stateful groups alone, or stateless ones alone.' },
  SecurityGroupDefaultAlreadyExists: {
    status: 409,
    remedy: 'Choose another name: default is the project’s own group.',
  },
  SecurityGroupCannotUpdateDefault: { status: 409, remedy: 'The default group keeps its name.' },
  SecurityGroupCannotRemoveDefault: { status: 409, remedy: 'Only an administrator may delete the default group.' },
  DefaultSecurityGroupRuleExists: { status: 409, remedy: 'The rule is there already; nothing needs doing.' },
  SecurityGroupRuleExists: { status: 409, remedy: 'The rule is there already; nothing needs doing.' },
  SecurityGroupMultipleRemoteEntites: {
    status: 400,
    remedy: 'Give a remote group, a remote prefix or a remote address group alone.',
  },
  AddressesAlreadyExist: { status: 400, remedy: 'Leave out the addresses that are in the group already.' },
  AddressesNotFound: { status: 404, remedy: 'Show the address group to see which addresses it has.' },
  SecurityGroupRuleInvalidEtherType: { status: 400, remedy: 'Give IPv4 or IPv6.' },
  InvalidCIDR: { status: 400, remedy: 'Give an address or a prefix, e.g. 198.51.100.0/24.' },
  SecurityGroupRuleInvalidProtocol: { status: 400, remedy: 'Give a protocol by its IANA name or number.' },
  SecurityGroupEthertypeConflictWithProtocol: { status: 400, remedy: 'Give ethertype IPv6 with this protocol.' },
  SecurityGroupRuleParameterConflict: { status: 400, remedy: 'Give a prefix of the same version as ethertype.' },
  SecurityGroupInvalidPortRange: { status: 400, remedy: 'Give port_range_min not above port_range_max.' },
  SecurityGroupInvalidPortValue: { status: 400, remedy: 'Give ports from 1 to 65535.' },
  SecurityGroupInvalidIcmpValue: { status: 400, remedy: 'Give an ICMP type and code from 0 to 255.' },
  SecurityGroupMissingIcmpType: { status: 400, remedy: 'Give the ICMP type (port_range_min) with the code.' },
  SecurityGroupProtocolRequiredWithPorts: { status: 400, remedy: 'Give the protocol when ports are given.' },
  SecurityGroupInvalidProtocolForPort: {
    status: 400,
    remedy: 'Ports go with tcp, udp, udplite, sctp, dccp and ICMP only.',
  },
} as const;

/** A key of the table above. */
export type ErrorCode = keyof typeof ERRORS;

/** The same table, read by code. */
/** For codes that came from elsewhere. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}

const FAULTS: Readonly<Record<ErrorCode, Fault>> = ERRORS;

/** What a `CableError` carries besides its code and text. */
export type CableErrorDetails = {
  /** Label of the resource, for `NotFound` and `InUse`. */
  readonly label?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Further text for people, shown as `detail`. */
  readonly detail?: string;
  readonly cause?: unknown;
};

/** An error that a client may see. The message is public and does not repeat the cause. */
export class CableError extends Error {
  readonly code: ErrorCode;
  readonly label: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly detail: string;

  constructor(code: ErrorCode, message: string, details: CableErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'CableError';
    this.code = code;
    this.label = details.label ?? '';
    this.fields = details.fields ?? {};
    this.detail = details.detail ?? '';
  }

  /** HTTP status. */
  get status(): number {
    return FAULTS[this.code].status;
  }

  /** The name clients branch on: the code, with the label in front where the table says so. */
  get type(): string {
    return `${this.label}${this.code}`;
  }

  get retryable(): boolean {
    return FAULTS[this.code].retryable === true;
  }

  /** False: it is a defect of the server. */
  get isExpected(): boolean {
    return this.status !== 500;
  }

  get remedy(): string {
    return FAULTS[this.code].remedy;
  }
}

/** Body of every error answer, in Neutron's shape. */
export type NeutronErrorBody = {
  readonly NeutronError: { readonly type: string; readonly message: string; readonly detail: string };
};
