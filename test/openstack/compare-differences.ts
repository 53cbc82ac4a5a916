/** In what Cable answers the comparison's requests otherwise than a stock neutron-server, on purpose. What is not here has not been judged yet. */
import type { Difference } from './session-differences.ts';

const ANY = /^/;

/** Attributes and objects. */
const OF_ALL: readonly Difference[] = [
  {
    of: ANY,
    is: /\brevision_number: (\d+|nothing) -> \d+$/,
    reason: 'counts the changes of an object; Neutron also writes it several times in one request, or begins with 0',
  },
  {
    of: ANY,
    is: /\bprovider:segmentation_id: \d+ -> \d+$/,
    reason: 'docs/design/segments.md: a number of the ranges at random, so that servers do not choose the same',
  },
  { of: ANY, is: /\bcable:\w+: nothing -> /, reason: 'attributes of Cable’s own' },
  {
    of: ANY,
    is: /\b(created_at|updated_at|description): nothing -> /,
    reason: 'docs/design/openstack.md: all types get the standard attributes',
  },
  {
    of: /^(qos_|port_forwardings)/,
    is: /^(\w+_rules? |\w+_rule\.|policy\.rules |port_forwardings? |port_forwarding\.)(row \S+: )?(project_id|tenant_id|qos_policy_id): nothing -> "/,
    reason: 'parts say whose they are and of what, too',
  },
  {
    of: /^subnetpools \w+: PUT /,
    is: /^subnetpool\.(((min|max|default)_prefixlen: (\d+) -> "\4")|(address_scope_id|default_quota): nothing -> null)$/,
    reason: 'answered as it is shown; Neutron’s answer to an update has numbers for texts, and leaves out what is null',
  },
  {
    of: /\?fields=$/,
    is: /^\w+ row (\{\}: \[\{\}\] -> \[\]|\S.*: \[\] -> \[\{.*)$/,
    reason: 'no field is named, so all are shown; Neutron shows objects without any',
  },
  {
    of: /^port_forwardings \w+: PUT .*"(in|ex)ternal_port_range":"\d+:\d+"/,
    is: /^port_forwarding\.(in|ex)ternal_port: \d+ -> null$/,
    reason: 'a range of several has no single port; Neutron goes on to show the one of before',
  },
  {
    of: /\?(\w+:)?\w+=$/,
    is: /^\w+ row \S.*: \[\] -> \[\{/,
    reason: 'docs/design/api.md: empty text fits null',
  },
  {
    of: /\?(revision_number|is_default)=1$/,
    is: /^\w+ row \S.*: (\[\] -> \[\{.*|\[\{.*\] -> \[\])$/,
    reason: 'what revision_number and is_default are differs, as above, and so does what has this one',
  },
  {
    of: /^subnets /,
    is: /^(subnet\.|subnets row \S+: )(allocation_pools row \{"end":"fd0[12]::ffff:ffff:ffff:ffff"|gateway_ip: "(fd0[12]::)" -> "\3(?:1)"$)/,
    reason: 'docs/design/addresses.md: the first address of an IPv6 subnet is every router’s, and no gateway',
  },
  {
    of: /^floatingips \w+: .*"port_id":"\$port"/,
    is: /^floatingip\.status: "DOWN" -> "ACTIVE"$/,
    reason: 'one that leads to a port that no host carries is ready; on the stock server no L3 agent says so',
  },
  {
    of: /^security_groups \w+: GET \/security-groups(\?|$)/,
    is: /^security_groups(_links row | row \S.*"description":"Default security group"| row \{\}: | row \S+: (security_group_rules row \S+: )?(project|tenant)_id: "\w+" -> "\w+"$)/,
    reason:
      'a project’s default group appears when it is first asked about, on the stock server at other requests, too',
  },
  {
    of: /^security_group_rules \w+: GET \/security-group-rules(\?|$)/,
    is: /^security_group_rules(_links)? row /,
    reason: 'so do the rules of it',
  },
  {
    of: /^security_group_rules admin: GET \/security-groups\/\$group$/,
    is: /^security_group\.security_group_rules row \S.*"10\.2\.0\.0\/24"/,
    reason: 'rules that allow the same are one: host bits of a prefix say nothing',
  },
  {
    of: /^trunks \w+: GET \/ports\/\$child$/,
    is: /^port\.device_owner: "" -> "trunk:subport"$/,
    reason: 'said from when the port is a sub-port, and not from when an agent binds it',
  },
  {
    of: /^trunks \w+: GET \/trunks\/\$trunk\/get_subports$/,
    is: /^sub_ports row /,
    reason:
      'docs/design/api.md: enumerations are taken in any letter case, so one is there that the stock server refused',
  },
  {
    of: /^segments \w+: GET \/segments\b/,
    is: /^segments(_links)? row /,
    reason: 'docs/design/segments.md: a network has one segment, and the stock server made further ones',
  },
  {
    of: /^rbac_policies \w+: GET \S+[?&]limit=/,
    is: /^rbac_policies(_links row | row |_links: nothing -> )/,
    reason: 'lists of all types have pages; Neutron cuts none of policies',
  },
  {
    of: /^network_segment_ranges \w+: /,
    is: /\b(tenant_id: nothing -> (null|"admin")|project_id: nothing -> null|physical_network: nothing -> null)$/,
    reason: 'said where there is none, too, and tenant_id beside project_id as everywhere else',
  },
  {
    of: /\?(fields=\w+&.*|fields=(id|no_such))$/,
    is: /\b(created_at|updated_at|revision_number|tags|tenant_id|shared)\b.* -> (nothing|\[.*)$|^\w+ row (\S.*\}|\{\}): .* -> \[(\{\},?)*\]$/,
    reason: 'what is not asked for is not shown; Neutron adds some to objects when they are shown',
  },
  {
    of: /^network_segment_ranges \w+: GET \S+\?/,
    is: /^network_segment_ranges(_links)? row /,
    reason:
      'docs/design/segments.md: the ranges that servers begin with are listed in another order, and their numbers are others',
  },
  {
    of: /^address_groups \w+: PUT \S+\/(add|remove)_addresses/,
    is: /^address_group\.shared: false -> nothing$/,
    reason: 'the answer has what the group says, and not whom it is shared with',
  },
  {
    of: /^(flavors|service_profiles) \w+: POST .*"description":null/,
    is: /\.description: null -> ""$/,
    reason: 'no description is an empty one, as of all types',
  },
  {
    of: /^routers \w+: PUT \S+\/(add|remove)_extraroutes/,
    is: /^router\.(gw_port_id: null|ha_vr_id: 0) -> nothing$/,
    reason: 'columns of Neutron’s database, which it shows of a router here alone',
  },
  {
    of: /^routers \w+: GET \/ports\?device_id=\$r$/,
    is: /^ports row \S+: status: "DOWN" -> "ACTIVE"$/,
    reason: 'a router’s port is ready when it is there; on the stock server no L3 agent says so',
  },
  {
    of: /^rest \w+: GET \/quotas/,
    is: /^(quotas row |quota\.\w+: -1 -> \{)/,
    reason: 'more types are counted, and of a project without a name details are details',
  },
  {
    of: /^rest \w+: GET \/(service-providers|extensions\/router)$/,
    is: /^(service_providers row \{"default":true,"name":"cable"|extension\.description: )/,
    reason: 'docs/design/agents.md: a provider of our own; extensions are described in words of our own',
  },
  {
    of: /^rest \w+: (GET|PUT) \/networks\/\$outside\/tags/,
    is: /^(tags: \["Ã©"\] -> \["é"\]|x: 1 -> nothing)$/,
    reason: 'a path is UTF-8; an answer is not what was sent',
  },
  {
    of: /^qos_(packet_rate_limit|minimum_packet_rate) (member|reader|other): GET /,
    is: /_rules row \S.*: \[\] -> \[\{/,
    reason: 'who sees a policy sees its rules, whatever their kind; the stock rules leave out rates of packets',
  },
  {
    of: /^qos_policies \w+: GET \/qos\/rule-types\/bandwidth_limit$/,
    is: /^rule_type\.drivers row /,
    reason: 'the driver is Cable',
  },
  { of: ANY, is: /\bis_default: nothing -> false$/, reason: 'said of every network, also where it was not created' },
  {
    of: /^(routers|floatingips|port_forwardings) /,
    is: /\b(distributed|ha): false -> true$/,
    reason: 'docs/design/gateway-fail-over.md: routers are on every host, and their gateways have standbys',
  },
  {
    of: /^(floatingips|port_forwardings) /,
    is: /\bsubnet_id: nothing -> "<(floatingips|port_forwardings)/,
    reason: 'said beside what Neutron says: the subnet that the address is of',
  },
  {
    of: ANY,
    is: /\b(standard_attr_id: .* -> nothing|belongs_to_default_sg: nothing -> (true|false))$/,
    reason: 'rules have no number in a database; belongs_to_default_sg is of a later version',
  },
  {
    of: ANY,
    is: /\bsecurity_group_rules row \S.*: tags: \[\] -> nothing$/,
    reason: 'Neutron shows tags of the rules in a group, not of rules alone; Cable of neither',
  },
  {
    of: /^(subnets|rbac_policies) /,
    is: /\bsegment_id: nothing -> null$/,
    reason: 'docs/design/segments.md: there are no routed networks, so it says nothing that is the administrators’',
  },
  {
    of: /: (POST|PUT) \S+ .*"external_gateway_info"/,
    is: /\brouter\.external_gateway_info\.qos_policy_id: nothing -> null$/,
    reason: 'a gateway may have a QoS policy; the plugin that lists qos-gateway-ip is the L3 agent’s',
  },
  {
    of: /_router_interface /,
    is: /^project_id: nothing -> "/,
    reason: 'said beside tenant_id, as everywhere else',
  },
  {
    of: /"mac_address":/,
    is: /\bmac_address\b.*([A-F]|\d-\d|\d\.\d|"\d+a"|2:0:0).* -> |\ballowed_address_pairs row .*: \[\] -> /,
    reason: 'ADR 0009: MAC addresses are kept and shown in one form',
  },
  {
    of: /"ip_address":"F/,
    is: /\ballowed_address_pairs row /,
    reason: 'ADR 0009: so are IP addresses',
  },
  {
    of: /^ports \w+: /,
    is: /\b(dns_(name|domain): "" -> "|dns_assignment row )/,
    reason:
      'docs/design/guest-services.md: names are served with the default domain, too, where Neutron leaves them out',
  },
  {
    of: /^rest \w+: (GET|PUT) \/quotas/,
    is: /\bquota\.\w+: nothing -> /,
    reason: 'more types are counted than in Neutron',
  },
];

/** Requests that one of the two refuses. */
const OF_REFUSALS: readonly Difference[] = [
  {
    of: /^qos_packet_rate_limit \w+: GET \/qos\/alias-packet-rate-limit-rules\//,
    is: /^answer: 404 HTTPNotFound -> 404 QosRuleNotFound$/,
    reason: 'rules of every kind are found by their ID alone; the stock server has no such path for this one',
  },
  {
    of: /"(name|description)":"x{256,}"/,
    is: /^answer: 20\d -> 400 HTTPBadRequest$/,
    reason: 'docs/design/openstack.md: what SQLite takes beyond its columns says nothing',
  },
  {
    of: / (member|reader|other): /,
    is: /^answer: 404 HTTPNotFound -> 404 \w+NotFound$/,
    reason: 'docs/design/policy.md: what a caller does not see is answered as what is not there',
  },
  {
    of: /: GET \S+\?sort_key=(\w+_prefixlen|availability_zone_hints|description)&/,
    is: /^answer: (200 -> 400 HTTPBadRequest|500 \w+ -> 200)$/,
    reason: 'packages/api/src/neutron-lists.test.ts: digits as text and lists have no order',
  },
  {
    of: /^subnets \w+: .*"gateway_ip":"(0\.0\.0\.0|255\.255\.255\.255|224\.0\.0\.1|127\.0\.0\.1)"/,
    is: /^answer: 20\d -> 400 InvalidInput$/,
    reason: 'no gateway has an address that no machine has',
  },
  {
    of: /^subnets \w+: .*"service_types":\["compute:nova","compute:nova"\]/,
    is: /^answer: 409 NeutronDbObjectDuplicateEntry -> 400 HTTPBadRequest$/,
    reason: 'a list that has a text twice is malformed, and no conflict of a database',
  },
  {
    of: /^subnets \w+: PUT .*"service_types":null/,
    is: /^answer: 500 \w+ -> 200$/,
    reason: 'docs/design/api.md: null is nothing given',
  },
  {
    of: /^subnets \w+: PUT .*"segment_id":null/,
    is: /^answer: 200 -> 400 HTTPBadRequest$/,
    reason: 'docs/design/openstack.md: subnet-segmentid-writable is not listed',
  },
  {
    of: /^ports \w+: GET \/ports\?fixed_ips=/,
    is: /^answer: 400 InvalidInput -> 400 HTTPBadRequest$/,
    reason: 'a filter that is malformed is told as an attribute that is',
  },
  {
    of: /"mtu":(67|0)\b/,
    is: /^answer: 20\d -> 400 HTTPBadRequest$/,
    reason: 'no packet of IPv4 fits into less than 68 bytes',
  },
  {
    of: /"provider:network_type":"local"|"segments":\[\{"provider:network_type":"v\w+"[^\]]*\}\]/,
    is: /^answer: 20\d -> 400 InvalidInput$/,
    reason: 'docs/design/segments.md: a network is on every host and has one segment, for as long as it is there',
  },
  {
    of: /^networks \w+: .*"(provider:network_type|segments)":/,
    is: /^answer: 400 HTTPBadRequest -> 400 InvalidInput$/,
    reason: 'what is no type is told as a type that there is not',
  },
  {
    of: /^networks \w+: POST \S+ \{"network":\{"name":"red",("provider:segmentation_id":|"segments":\[\{\}\])/,
    is: /^answer: 400 InvalidInput -> 201$/,
    reason: 'docs/reference/api.md: a network is by default of type vxlan',
  },
  {
    of: /^security_group_rules \w+: .*"security_group_id":"/,
    is: /^answer: 404 SecurityGroupNotFound -> 400 HTTPBadRequest$/,
    reason: 'docs/design/api.md: an ID that is none is malformed, as in all other attributes that must be given',
  },
  {
    of: /^security_group_rules \w+: .*"port_range_(min|max)":(1\.5|true)/,
    is: /^answer: 400 SecurityGroupInvalidPortRange -> 400 SecurityGroupInvalidPortValue$/,
    reason: 'docs/design/api.md: what is no whole number is refused, and not cut off or counted as 0 or 1',
  },
  {
    of: /^security_group_rules \w+: POST .*"remote_ip_prefix":(0|\[\]|\{\})/,
    is: /^answer: 201 -> 400 InvalidCIDR$/,
    reason: 'what is no text is refused, also where Python counts it as empty',
  },
  {
    of: /^security_group_rules \w+: POST .*"remote_ip_prefix":"10\.2\.0\.\d\/24"/,
    is: /^answer: 201 -> 409 SecurityGroupRuleExists$/,
    reason: 'rules that allow the same are one: host bits of a prefix say nothing',
  },
  {
    of: /^security_group_rules member: POST /,
    is: /^answer: (400 SecurityGroupInvalidPortRange|404 AddressGroupNotFound) -> 404 SecurityGroupNotFound$/,
    reason: 'the group, which the caller does not see, is looked for first',
  },
  {
    of: /^security_group_rules \w+: GET \S+\?(ethertype|protocol|port_range_min|port_range_max|remote_ip_prefix)=/,
    is: /^answer: 400 \w+ -> (200|400 InvalidInput)$/,
    reason: 'docs/design/api.md: a filter that is no value fits nothing, and is refused where it is to be a number',
  },
  {
    of: /^logs \w+: .*"resource_type":/,
    is: /^answer: 400 HTTPBadRequest -> 400 InvalidLogResourceType$/,
    reason: 'what is no type is told as a type that there is not',
  },
  {
    of: /^logs \w+: POST .*"(resource|target)_id":/,
    is: /^answer: (404 (Target)?ResourceNotFound|403 PolicyNotAuthorized) -> 404 (SecurityGroup|Port)NotFound$/,
    reason: 'what is not there, or not seen, is named as what it is, and looked for first',
  },
  {
    of: /^flavors \w+: .*"service_profiles":\["/,
    is: /^answer: 20\d -> 404 ServiceProfileNotFound$/,
    reason: 'docs/design/openstack.md: SQLite takes what MariaDB, which looks for what is referred to, does not',
  },
  {
    of: /^(flavors|service_profiles) \w+: .*"enabled":null/,
    is: /^answer: 20\d -> 400 InvalidInput$/,
    reason: 'null is neither true nor false',
  },
  {
    of: /^service_profiles \w+: .*"metainfo":/,
    is: /^answer: (20\d -> 400 (HTTPBadRequest|ServiceProfileEmpty)|400 ServiceProfileEmpty -> 400 HTTPBadRequest)$/,
    reason: 'metainfo is a text of bounded length, and a profile that says nothing is refused when it is changed, too',
  },
  {
    of: /^(address_scopes) \w+: PUT .*"description"/,
    is: /^answer: 400 HTTPBadRequest -> (200|403 PolicyNotAuthorized|404 AddressScopeNotFound)$/,
    reason: 'docs/design/openstack.md: all types get the standard attributes',
  },
  {
    of: /^rbac_policies \w+: \w+ .*"target_tenant":""/,
    is: /^answer: 20\d -> 400 HTTPBadRequest$/,
    reason: 'a project without a name is none',
  },
  {
    of: /^rbac_policies \w+: PUT \S+ \{"rbac_policy":\{\}\}/,
    is: /^answer: 409 RbacPolicyInUse -> 200$/,
    reason: 'what changes nothing is refused by nothing; Neutron looks for a target that was not given',
  },
  {
    of: /^rbac_policies \w+: GET \S+\?limit=/,
    is: /^answer: 200 -> 400 BadRequest$/,
    reason: 'lists of all types have pages; Neutron cuts none of policies',
  },
  {
    of: /^address_groups \w+: PUT \S+\/(add|remove)_addresses .*"10\.3\.0/,
    is: /^answer: ((200|40\d Addresses\w+) -> 400 HTTPBadRequest|40\d Addresses\w+ -> 200)$/,
    reason: 'an address that is given twice is refused, as in every list, so what is asked afterwards is not there yet',
  },
  {
    of: /^address_groups \w+: PUT \S+\/(add|remove)_addresses .*\["x"\]/,
    is: /^answer: 400 AddrFormatError -> 400 InvalidInput$/,
    reason: 'docs/design/api.md: what is malformed is told alike, whichever part of Neutron refuses it',
  },
  {
    of: /^trunks \w+: PUT \S+\/remove_subports /,
    is: /^answer: (404 SubPortNotFound -> (200|400 (InvalidInput|HTTPBadRequest))|400 InvalidInput -> 404 SubPortNotFound)$/,
    reason: 'a sub-port is taken away by its port alone, and what is said of it besides must be well formed',
  },
  {
    of: /^trunks \w+: .*"segmentation_id":null/,
    is: /^answer: 400 HTTPBadRequest -> 400 InvalidInput$/,
    reason: 'docs/design/api.md: what is no whole number is told alike in all attributes',
  },
  {
    of: /^rest \w+: \w+ \/quotas\/(\/x)?( |$)/,
    is: /^answer: (200|403 PolicyNotAuthorized) -> (404 HTTPNotFound|405 HTTPMethodNotAllowed)$/,
    reason: 'there is no such request: no project is named',
  },
  {
    of: /^rest \w+: (POST \/agents|GET \/extensions\/x)/,
    is: /^answer: (400 HTTPBadRequest -> 405 HTTPMethodNotAllowed|404 of no type -> 404 ExtensionNotFound)$/,
    reason: 'there is no such request; what is not there is told in JSON as everything else',
  },
  {
    of: /^rest \w+: DELETE \/auto-allocated-topology\//,
    is: /^answer: 409 AutoAllocationFailure -> 204$/,
    reason: 'what is not there is gone; Neutron makes a topology to delete it',
  },
  {
    of: /^rest member: PUT \/networks\/\$outside\/tags\/mine/,
    is: /^answer: 201 -> 403 PolicyNotAuthorized$/,
    reason: 'docs/design/api.md: who may change an object may change its tags, and who only sees it may not',
  },
  {
    of: /^routers \w+: .*"flavor_id":/,
    is: /^answer: 404 FlavorNotFound -> 400 HTTPBadRequest$/,
    reason: 'docs/design/api.md: an ID that is none is malformed',
  },
  {
    of: /^routers \w+: PUT \S+ \{"router":\{"(distributed|ha)":/,
    is: /^answer: (400 BadRequest -> 200|200 -> 400 BadRequest)$/,
    reason: 'docs/design/gateway-fail-over.md: routers are distributed and have standbys, so another value is a change',
  },
  {
    of: /^routers \w+: PUT \S+ \{"router":\{"routes":\[\{"destination":"[\w:]+\/\d+"/,
    is: /^answer: 200 -> 400 InvalidRoutes$/,
    reason: 'a route to a prefix of IPv6 leads to a next hop of IPv6',
  },
  {
    of: /^network_segment_ranges \w+: POST /,
    is: /^answer: (400 NetworkSegmentRangeNetTypeNotSupported|201) -> 400 (HTTPBadRequest|BadRequest)$/,
    reason: 'docs/design/segments.md: a range has a type, and of VLANs the physical network that it is of',
  },
  {
    of: /: GET \S+\?sort_key=/,
    is: /^answer: 400 BadRequest -> (200|400 HTTPBadRequest)$/,
    reason: 'docs/design/api.md: lists are sorted by more attributes; what is left is told alike of all types',
  },
  {
    of: /^ports \w+: \w+ \S+ \{"port":\{.*"dns_name":"web\."/,
    is: /^answer: 20\d -> 400 HTTPBadRequest$/,
    reason: 'a whole name is of the port’s domain; a stock server whose domain is not configured keeps no names',
  },
  {
    of: /^port_forwardings \w+: POST \S+ \{"port_forwarding":\{"internal_port_id":"\$port","internal_port":80,"external/,
    is: /^answer: 400 HTTPBadRequest -> 201$/,
    reason: 'docs/reference/api.md: internal_ip_address is by default the port’s first',
  },
  {
    of: /^port_forwardings \w+: .*"protocol":"6"/,
    is: /^answer: 400 HTTPBadRequest -> 20\d$/,
    reason: 'a protocol may be given by its number, as in rules of security groups',
  },
  {
    of: /^port_forwardings \w+: .*"protocol":"(icmp|sctp)"/,
    is: /^answer: 20\d -> 400 BadRequest$/,
    reason: 'ICMP has no ports; the checksum of SCTP covers its ports, so they stay as they are',
  },
  {
    of: /^port_forwardings \w+: .*"(in|ex)ternal_port":/,
    is: /^answer: (400 HTTPBadRequest -> 400 InvalidInput|500 \w+ -> 20\d)$/,
    reason: 'docs/design/api.md: whole numbers are taken, and refused, alike in all attributes',
  },
  {
    of: /^port_forwardings \w+: POST .*"external_port":8080,.*"external_port_range":"(8080:8090|8080)"|^port_forwardings \w+: PUT .*"(in|ex)ternal_port_range":null/,
    is: /^answer: 20\d -> 400 BadRequest$/,
    reason: 'a port and a range that say different things are refused, and so is that there are none',
  },
  {
    of: /^port_forwardings (member: (GET|POST)|admin: POST \/floatingips\/1111\S+) /,
    is: /^answer: 400 (HTTPBadRequest|InvalidInput|BadRequest) -> 404 FloatingIPNotFound$/,
    reason: 'docs/design/policy.md: nothing is said below a floating IP that is not there, or not seen by the caller',
  },
  {
    of: /^port_forwardings \w+: GET .*\?external_port_range=/,
    is: /^answer: 500 \w+ -> 200$/,
    reason: 'a filter that is no range fits nothing',
  },
  {
    of: /^qos_\w+ member: (POST|PUT) \S*_rules/,
    is: /^answer: 400 HTTPBadRequest -> 403 PolicyNotAuthorized$/,
    reason: 'who may not is told so, whatever else is wrong',
  },
  {
    of: /^qos_\w+ \w+: PUT \S*_rules\/\$(it|mine) .*"description"/,
    is: /^answer: 400 HTTPBadRequest -> (200|404 QosRuleNotFound)$/,
    reason: 'docs/design/openstack.md: all types get the standard attributes',
  },
  {
    of: /^qos_(packet_rate_limit|minimum_packet_rate) member: GET \S*_rules\/\$it/,
    is: /^answer: 404 of no type -> 200$/,
    reason: 'who sees a policy sees its rules, whatever their kind; the stock rules leave out rates of packets',
  },
  {
    of: /^qos_(packet_rate_limit|minimum_packet_rate) member: DELETE \S*_rules\/\$it/,
    is: /^answer: 404 HTTPNotFound -> 403 PolicyNotAuthorized$/,
    reason: 'so what is refused is not hidden',
  },
  {
    of: /^subnetpools \w+: .*"(min|max|default)_prefixlen":/,
    is: /^answer: (400 IllegalSubnetPoolPrefixBounds -> 400 HTTPBadRequest|500 \w+ -> 20\d|20\d -> 400 HTTPBadRequest)$/,
    reason: 'docs/design/api.md: a length is a whole number, and given as one or as its digits',
  },
  {
    of: /^subnetpools \w+: .*"default_quota":null/,
    is: /^answer: 400 InvalidInput -> 20\d$/,
    reason: 'docs/design/api.md: null is nothing given',
  },
  {
    of: /^subnetpools \w+: PUT .*"prefixes":/,
    is: /^answer: 400 IllegalSubnetPoolPrefixUpdate -> 400 (PrefixVersionMismatch|EmptySubnetPoolPrefixList)$/,
    reason: 'both are wrong: what the prefixes are among themselves is told first',
  },
  { of: ANY, is: /^answer: 500 \w+ -> 4\d\d /, reason: 'what cannot be had is no defect' },
  { of: /"a\\u0000b"/, is: /^answer: 20\d -> 400 /, reason: 'docs/design/api.md: a text with a NUL is refused' },
  { of: /::ffff:/, is: /^answer: .* -> 400 /, reason: 'docs/design/api.md: so is IPv4 in IPv6 form' },
  {
    of: /"\w+":(1\.5|true|false|7\.5)\b/,
    is: /^answer: (20\d|400 \w+) -> 400 InvalidInput$/,
    reason: 'docs/design/api.md: what is no whole number is refused, and not cut off or counted as 0 or 1',
  },
  {
    of: /^\S+ \w+: (PUT|DELETE) /,
    is: /^answer: 404 \w+ -> 405 HTTPMethodNotAllowed$/,
    reason: 'there is no such request; Neutron takes a collection for the object None',
  },
  {
    of: /: GET \S+\?/,
    is: /^answer: 400 (HTTPBadRequest|InvalidInput) -> 200$/,
    reason: 'docs/design/api.md: lists are filtered by more attributes; empty text fits null',
  },
  {
    of: /: GET \S+\?/,
    is: /^answer: (200|400 HTTPBadRequest) -> 400 InvalidInput$/,
    reason: 'docs/design/api.md: a filter by a boolean or an integer that is no value of one is refused',
  },
  {
    of: / member: GET \S+\?/,
    is: /^answer: 200 -> 400 HTTPBadRequest$/,
    reason: 'docs/design/policy.md: a filter by what the caller does not see would tell what it is',
  },
  {
    of: / member: GET \/quotas/,
    is: /^answer: 403 (AdminRequired|PolicyNotAuthorized) -> (200|403 PolicyNotAuthorized)$/,
    reason: 'docs/design/policy.md: a project sees its own quota, and what refuses it is a rule',
  },
  {
    of: /^security_group_rules \w+: PUT /,
    is: /^answer: 400 HTTPBadRequest -> 405 HTTPMethodNotAllowed$/,
    reason: 'rules are not changed: there is no such request',
  },
  {
    of: /^\S+ \w+: PUT \/[a-z/_-]+ /,
    is: /^answer: 400 HTTPBadRequest -> 405 HTTPMethodNotAllowed$/,
    reason: 'nor is a collection; Neutron looks at the body first',
  },
  {
    of: /: (POST|PUT) /,
    is: /^answer: 400 (InvalidInput|AddrFormatError|BadRequest|InvalidSubnetServiceType|InvalidInputSubnetServiceType|AllowedAddressPairsMissingIP|InvalidRoutes) -> 400 HTTPBadRequest$/,
    reason:
      'docs/design/api.md: what is malformed is refused where a body is read, whichever part of Neutron refuses it',
  },
  {
    of: /: (POST|PUT) .*"(VXLAN|NORMAL|SLAAC|TCP|VLAN|EGRESS|INGRESS|ACCESS_AS_SHARED|all)"/,
    is: /^answer: 400 (\w+ -> 20\d|HTTPBadRequest -> 400 InvalidInput)$/,
    reason: 'docs/design/api.md: enumerations are taken in any letter case',
  },
  {
    of: /"(tags|sub_ports|ipv6_ra_mode|ipv6_address_mode|availability_zone_hints|service_profiles|provider:physical_network|provider:segmentation_id|flavor_id)":null/,
    is: /^answer: (400 (HTTPBadRequest|InvalidInput)|404 FlavorNotFound) -> 20\d$/,
    reason: 'docs/design/api.md: null is nothing given',
  },
  {
    of: /^subnets \w+: POST \S+ \{"subnet":\{"network_id":"\$red","cidr"/,
    is: /^answer: 400 HTTPBadRequest -> 201$/,
    reason: 'docs/design/api.md: a cidr says which version of IP it is of',
  },
  {
    of: /"(extra_dhcp_opts|binding:vnic_type|binding:host_id)":/,
    is: /^answer: (20\d|409 NeutronDbObjectDuplicateEntry) -> 400 HTTPBadRequest$/,
    reason:
      'what would never work is refused: options that cannot be sent, cards that no host has, hosts that are no text',
  },
  {
    of: /"mac_address":"01:00:5e/,
    is: /^answer: 20\d -> 400 /,
    reason: 'no machine has a MAC address of a group',
  },
  {
    of: /"device_owner":"network:(router_interface|floatingip)"/,
    is: /^answer: 20\d -> 400 BadRequest$/,
    reason: 'what routers and floating IPs are made of is theirs alone',
  },
  {
    of: /\/255\.255\.255\.0"| 10\.2\.0\.0\/24"|"10\.2\/16"/,
    is: /^answer: 20\d -> 400 /,
    reason: 'docs/design/api.md: a prefix is an address, / and a length',
  },
  {
    of: /"(dns_nameservers|service_types|external_gateway_info|segments)":(""|0|\[\]|\{\})/,
    is: /^answer: 20\d -> 400 HTTPBadRequest$/,
    reason: 'what is no list or object is refused, also where Python counts it as empty',
  },
  {
    of: /"prefix_delegation"/,
    is: /^answer: 201 -> 400 HTTPBadRequest$/,
    reason: 'docs/design/addresses.md: there is no prefix delegation',
  },
  {
    of: /^floatingips \w+: POST .*"dns_(name|domain)":"/,
    is: /^answer: 201 -> 400 HTTPBadRequest$/,
    reason: 'docs/design/guest-services.md: no name server outside is told of floating IPs',
  },
  {
    of: /^segments /,
    is: /^answer: (20\d|404 \w+|400 \w+) -> (400|404) /,
    reason: 'docs/design/segments.md: a network has one segment',
  },
];

export const DIFFERENCES: readonly Difference[] = [...OF_ALL, ...OF_REFUSALS];
