/**
 * Errors as the plug-in understands them: status 400 and the name of an exception class that neutron-server 21 knows, with what its text is made of. A name that
 * it does not know is swallowed there, and a delete that was refused would be told as done; so every name that is sent stands in this file.
 */
import type { CableError, ErrorCode } from '@cable/model';

/** Body of an error answer. */
export type ExceptionBody = { readonly exception: string; readonly [part: string]: unknown };

/** An error for the plug-in. `status`: 401 makes it get a token of its own and try again, 403 is that the caller may not; all others are 400. */
export type PluginFault = { readonly status: 400 | 401 | 403; readonly body: ExceptionBody };

/** True for requests to this door, whether there is such a route or not. */
export function isOfPlugin(url: string): boolean {
  return /^\/neutron(?:[/?#]|$)/.test(url);
}

/** Path of every type: `/neutron/<type>`. */
export const PLUGIN_PREFIX = '/neutron';

/** The error as the plug-in reads it. `url`: of the request. */
export function pluginFault(error: CableError, url: string): PluginFault {
  const type = typeOf(url);
  const text = { message: error.message, detail: error.detail || error.remedy };
  if (error.status === 401 || error.status === 403) {
    return { status: error.status, body: { exception: 'NotAuthorized', ...text } };
  }
  const { exception, ...parts } = exceptionOf(error, type);
  return { status: 400, body: { exception, ...text, ...parts } };
}

function typeOf(url: string): string {
  return /^\/neutron\/([a-z_]{1,40})/.exec(url)?.[1] ?? 'neutron';
}

function exceptionOf(error: CableError, type: string): ExceptionBody {
  const { code, label, status } = error;
  if (code === 'NotFound') return notFound(error);
  if (code === 'InUse') return inUse(label, error);
  const exact = EXACT[code];
  const parts = exact === undefined ? undefined : partsOf(error, exact);
  if (parts !== undefined) return { exception: code, ...parts };
  if (code === 'OverQuota') return { exception: code, overs: listOf(error.fields['resources']) };
  if (code === 'InvalidInput') return { exception: code, error_message: inner(error, INVALID) };
  if (code === 'IpAddressAlreadyAllocated') return addressInUse(error);
  if (status === 404 && code !== 'HTTPNotFound') return { exception: 'ObjectNotFound', id: idIn(error) };
  if (status >= 500 || status === 429) return { exception: 'ServiceUnavailable' };
  if (status === 409 && !TOLD_AS_400.has(code)) return inUse(LABELS[type] ?? '', error);
  return { exception: 'BadRequest', resource: type, msg: inner(error, BAD) };
}

const INVALID = /^Invalid input for operation: (.*?)\.?$/s;
const BAD = /^Bad \w+ request: (.*?)\.?$/s;

/** The text without what the class puts around it. */
function inner({ message }: CableError, around: RegExp): string {
  return (around.exec(message)?.[1] ?? message).replace(/\.$/, '');
}

function listOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** What a class calls the id of what is not there. */
const NOT_FOUND: Readonly<Record<string, string>> = {
  Network: 'net_id',
  Subnet: 'subnet_id',
  SubnetPool: 'subnetpool_id',
  Port: 'port_id',
  Router: 'router_id',
  FloatingIP: 'floatingip_id',
  SecurityGroup: 'id',
  SecurityGroupRule: 'id',
  Trunk: 'trunk_id',
  FirewallGroup: 'firewall_id',
  FirewallPolicy: 'firewall_policy_id',
  FirewallRule: 'firewall_rule_id',
};

function notFound(error: CableError): ExceptionBody {
  const { label, fields } = error;
  const known = fields['id'] ?? fields['tag'];
  const id = typeof known === 'string' ? known : idIn(error);
  const name = NOT_FOUND[label];
  return name === undefined ? { exception: 'ObjectNotFound', id } : { exception: `${label}NotFound`, [name]: id };
}

/** The class of Neutron's own is not among those that are found. */
function addressInUse({ fields }: CableError): ExceptionBody {
  return { exception: 'IpAddressInUse', net_id: `of subnet ${fields['subnetId']}`, ip_address: String(fields['ip']) };
}

/** Of a type of the plug-in, the word in the names of its errors. */
const LABELS: Readonly<Record<string, string>> = {
  network: 'Network',
  subnet: 'Subnet',
  router: 'Router',
  security_group: 'SecurityGroup',
  security_group_rule: 'SecurityGroup',
};

/** What a class with a text of its own calls the object's id. */
const IN_USE: Readonly<Record<string, string>> = {
  Network: 'net_id',
  Subnet: 'subnet_id',
  Router: 'router_id',
};

/** A conflict that has no class of its own: of the type if that has one with a text. */
function inUse(label: string, error: CableError): ExceptionBody {
  const name = IN_USE[label];
  const reason = error.message.replace(/\.$/, '');
  if (name !== undefined) return { exception: `${label}InUse`, [name]: idIn(error), reason: reasonOf(reason) };
  if (label === 'SecurityGroup' && error.code === 'InUse') {
    return { exception: 'SecurityGroupInUse', id: idIn(error), reason: 'in use' };
  }
  return label === 'SecurityGroup' ? { exception: 'SecurityGroupConflict', reason } : { exception: 'Conflict' };
}

/** Classes say of which object it is themselves. */
function reasonOf(text: string): string {
  return text.replace(/^(?:Unable to complete operation on )?\w+ [0-9a-f-]{36}[.:]? /, '');
}

function idIn({ message }: CableError): string {
  return UUID.exec(message)?.[0] ?? 'of the request';
}

const UUID = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/;

/** Conflicts whose class neutron-server does not find, and that no other names: with their text they are told as bad requests. */
const TOLD_AS_400: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'PortSecurityPortHasSecurityGroup',
  'VIPInUse',
  'QosPlacementAllocationUpdateConflict',
]);

/** What a class's text is made of: nothing; or groups in the error's text, with what is the same in all. */
type Exact = true | RegExp | { readonly from: RegExp; readonly and: Readonly<Record<string, string>> };

/** Undefined: the message is another than the class's, so the class is not sent. */
function partsOf({ message }: CableError, exact: Exact): Readonly<Record<string, string>> | undefined {
  if (exact === true) return {};
  const { from, and } = exact instanceof RegExp ? { from: exact, and: {} } : exact;
  const groups = from.exec(message)?.groups;
  return groups === undefined ? undefined : { ...groups, ...and };
}

const OF_SUBNET = 'that was given';

/** Codes that are classes of neutron-server. */
const EXACT: Readonly<Partial<Record<ErrorCode, Exact>>> = {
  AddressPairAndPortSecurityRequired: true,
  DuplicateAddressPairInRequest: /mac_address (?<mac_address>\S+) ip_address (?<ip_address>\S+?)\.$/,
  DuplicateSubPort:
    /segmentation_type (?<segmentation_type>\S+) and segmentation_id (?<segmentation_id>\d+) already in use on trunk (?<trunk_id>\S+?)\.?$/,
  ExternalGatewayForFloatingIPNotFound:
    /network (?<external_network_id>\S+) is not reachable from subnet (?<subnet_id>\S+?)\. .*Port (?<port_id>\S+) with/,
  ExternalIpAddressExhausted: /external network (?<net_id>\S+?)\.$/,
  FlatNetworkInUse: /Physical network (?<physical_network>\S+) is in use/,
  FloatingIPPortAlreadyAssociated:
    /floating IP (?<floating_ip_address>\S+) \((?<fip_id>\S+)\) with port (?<port_id>\S+) using fixed IP (?<fixed_ip>\S+), .* network (?<net_id>\S+?)\.$/,
  GatewayConflictWithAllocationPools: /^Gateway ip (?<ip_address>\S+) conflicts with allocation pool (?<pool>\S+?)\.$/,
  GatewayIpInUse: /gateway ip (?<ip_address>\S+) already in use by port (?<port_id>\S+?)\. /,
  InvalidAllocationPool: /allocation pool (?<pool>.+) is not valid/,
  InvalidIpForNetwork: /^IP address (?<ip_address>\S+) /,
  InvalidIpForSubnet: /^IP address (?<ip_address>\S+) /,
  InvalidSharedSetting: /for network (?<network>\S+?)\. /,
  IpAddressGenerationFailure: /on network (?<net_id>\S+?)\.$/,
  IpAddressInUse: /for network (?<net_id>\S+?)\. The IP address (?<ip_address>\S+) is/,
  MacAddressInUse: /for network (?<net_id>\S+?)\. The mac address (?<mac>\S+) is/,
  NoNetworkAvailable: true,
  OutOfBoundsAllocationPool: { from: /allocation pool (?<pool>\S+) spans/, and: { subnet_cidr: OF_SUBNET } },
  OverlappingAllocationPools: {
    from: /allocation pools: (?<pool_1>\S+) for subnet/,
    and: { pool_2: 'and another', subnet_cidr: OF_SUBNET },
  },
  ParentPortInUse: /^Port (?<port_id>\S+) /,
  PortInUse:
    /on port (?<port_id>\S+) for network (?<net_id>\S+?)\. Port already has an attached device (?<device_id>.*?)\.$/,
  PortInUseAsSubPort: /^Port (?<port_id>\S+) is currently a subport for trunk (?<trunk_id>\S+?)\.$/,
  PortInUseAsTrunkParent: /^Port (?<port_id>\S+) is currently a parent port for trunk (?<trunk_id>\S+?)\.$/,
  RouterExternalGatewayInUseByFloatingIp: /for router (?<router_id>\S+), .* network (?<net_id>\S+) is required/,
  RouterInterfaceInUseByFloatingIP: /for subnet (?<subnet_id>\S+) on router (?<router_id>\S+) cannot/,
  RouterInterfaceNotFound: /^Router (?<router_id>\S+) does not have an interface with id (?<port_id>\S+)$/,
  RouterInterfaceNotFoundForSubnet: /^Router (?<router_id>\S+) has no interface on subnet (?<subnet_id>\S+)$/,
  SecurityGroupCannotRemoveDefault: true,
  SecurityGroupCannotUpdateDefault: true,
  SecurityGroupDefaultAlreadyExists: true,
  SecurityGroupEthertypeConflictWithProtocol: /ethertype (?<ethertype>\S+) for protocol (?<protocol>.+)\.$/,
  SecurityGroupInvalidIcmpValue: /ICMP (?<field>\S+) \((?<attr>\S+)\) (?<value>-?\d+)\./,
  SecurityGroupInvalidPortRange: true,
  SecurityGroupInvalidPortValue: /port (?<port>-?\d+)$/,
  SecurityGroupMissingIcmpType: /\(port-range-max\) (?<value>-?\d+) /,
  SecurityGroupProtocolRequiredWithPorts: true,
  SecurityGroupRuleExists: /Rule id is (?<rule_id>\S+?)\.$/,
  SecurityGroupRuleParameterConflict: /ethertype (?<ethertype>\S+) for CIDR (?<cidr>\S+)$/,
  ServicePortInUse: /^Port (?<port_id>\S+) (?:cannot be \w+ directly via the port API: )?(?<reason>.*?)\.$/,
  SubPortMtuGreaterThanTrunkPortMtu:
    /^MTU (?<port_mtu>\d+) of subport (?<port_id>\S+) cannot be greater than MTU (?<trunk_mtu>\d+) of trunk port (?<trunk_id>\S+?)\.$/,
  SubPortNotFound: /^SubPort (?<port_id>\S+) on trunk (?<trunk_id>\S+) /,
  TrunkDisabled: /^Trunk (?<trunk_id>\S+) /,
  TrunkPortInUse: /^Port (?<port_id>\S+) /,
  TunnelIdInUse: /tunnel ID (?<tunnel_id>\S+) is in use/,
  VlanIdInUse: /VLAN (?<vlan_id>\S+) on physical network (?<physical_network>\S+) is/,
};
