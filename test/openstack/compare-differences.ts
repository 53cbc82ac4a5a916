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
  { of: ANY, is: /\bis_default: nothing -> false$/, reason: 'said of every network, also where it was not created' },
  {
    of: /^routers /,
    is: /\b(distributed|ha): false -> true$/,
    reason: 'docs/design/gateway-fail-over.md: routers are on every host, and their gateways have standbys',
  },
  {
    of: /^floatingips /,
    is: /\bsubnet_id: nothing -> "<floatingips/,
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
    of: /^subnets /,
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
    of: /"(tags|sub_ports|ipv6_ra_mode|ipv6_address_mode)":null/,
    is: /^answer: 400 HTTPBadRequest -> 20\d$/,
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
    of: /"(dns_nameservers|service_types|external_gateway_info)":(""|0|\[\])/,
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
