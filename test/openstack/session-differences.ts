/** In what Cable answers the session's commands otherwise than a stock neutron-server, on purpose. */

export type Difference = {
  /** The commands, from their first word on. */
  readonly of: RegExp;
  /** The difference as it is told: what, the stock server's, ` -> `, Cable's. */
  readonly is: RegExp;
  readonly reason: string;
  /** True: what a server chooses at random, which now and then is the same on both. */
  readonly isChance?: true;
};

const ANY = /^/;

/** What a text says otherwise, with the same status: the stock server's part of it, from its error on. */
function text(of: RegExp, stock: RegExp, reason: string): Difference {
  return { of, is: new RegExp(`^error: ".*?${stock.source}.*" -> `), reason };
}

/** All that follows from it that one of the two makes what the other refuses. */
function refused(of: RegExp, reason: string): Difference {
  return { of, is: /^(exit|output|error): /, reason };
}

/** Attributes and objects. */
const OF_ALL: readonly Difference[] = [
  {
    of: ANY,
    is: /\brevision_number: \d+ -> \d+$/,
    reason: 'counts the changes of an object; Neutron also writes it several times in one request, or begins with 0',
  },
  {
    of: /^network (auto allocated topology )?(create|show)/,
    is: /^provider:segmentation_id: \d+ -> \d+$/,
    reason: 'docs/design/segments.md: a number of the ranges at random, so that servers do not choose the same',
  },
  {
    of: /^network segment (list|range (show|list))/,
    is: /^(row <[^>]*>: (Segment: \d+ -> \d+|(Used|Available).*)|(available|used)[:. ].*)$/,
    reason: 'the same',
    isChance: true,
  },
  {
    of: /^network show/,
    is: /^is_default: null -> false$/,
    reason: 'said of every network, and not of external ones and where it was created alone',
  },
  {
    of: /^floating ip (create|show)/,
    is: /^subnet_id: null -> "<subnet/,
    reason: 'said beside what Neutron says: the subnet that the address is of',
  },
  {
    of: /^floating ip (show|list --status DOWN)/,
    is: /(^status: "DOWN" -> "ACTIVE"$)|(^row <floating ip 172\.24\.4\.10[01]>: \[\{.*\}\] -> \[\]$)/,
    reason: 'one that leads to a port that no host carries is ready; on the stock server no L3 agent says so',
  },
  {
    of: /^router (create|show|list|(add|remove) route)/,
    is: /^(row <[^>]*>: )?(distributed|ha): false -> true$/i,
    reason: 'docs/design/gateway-fail-over.md: routers are on every host, and their gateways have standbys',
  },
  {
    of: /^router (create|show|list|(add|remove) route)/,
    is: /^(row <[^>]*>: )?external[_ ]gateway[_ ]info\.qos_policy_id: nothing -> null$/i,
    reason: 'said where there is none, too',
  },
  {
    of: /^subnet (create|show|list)/,
    is: /^(row <[^>]*>: )?(allocation[_ ]pools|gateway|gateway_ip)\b.*fd0/i,
    reason: 'docs/design/addresses.md: the first address of an IPv6 subnet is every router’s, and no gateway',
  },
  {
    of: /^router show/,
    is: /^interfaces_info row .*"fd00:1::1?"/,
    reason: 'the same',
  },
  {
    of: /^router (show|list|(add|remove) route)/,
    is: /^(row <[^>]*>: )?external[_ ]gateway[_ ]info\.enable_snat: true -> false$/i,
    reason:
      'a change that is refused changes nothing; the stock server sets enable_snat before it looks at the address',
  },
  {
    of: /^port list .*(--router|--device-owner)/,
    is: /^row <[^>]*>: Status: "DOWN" -> "ACTIVE"$/,
    reason: 'a router’s port is ready when it is there; on the stock server no L3 agent says so',
  },
  {
    of: /^port show parent/,
    is: /^trunk_details\.sub_ports row .*/,
    reason: 'the MAC address of a sub-port is said in lists, too, as of a single port',
  },
  {
    of: /^port show s1/,
    is: /^device_owner: "" -> "trunk:subport"$/,
    reason: 'said from when the port is a sub-port, and not from when an agent binds it',
  },
  {
    of: /^security group (create|show)/,
    is: /^rules row <[^>]*>: (description: null -> ""|standard_attr_id: .*|tags: \[\] -> nothing|belongs_to_default_sg: nothing -> (true|false))$/,
    reason: 'rules have no tags and no number in a database; belongs_to_default_sg is of a later version',
  },
  {
    of: /^port (create x|show [xb])\b/,
    is: /^dns_(name|domain|assignment)\b/,
    reason: 'a stock server whose domain is not configured keeps no names',
  },
  {
    of: /^port (show|unset) alpha/,
    is: /02[-:]00[-:]00[-:]00[-:]00[-:]77|^exit: 1 -> 0$|^error: "Port does not contain allowed-address-pair/,
    reason: 'docs/design/api.md: a MAC address in another notation is made canonical',
  },
  {
    of: /^extension (list|show)/,
    is: /^(row [\w-]+: Description|description): "/,
    reason: 'what an extension is about is said in words of our own',
  },
  {
    of: /^extension list/,
    is: /^row standard-attr-tag: Name: /,
    reason: 'Neutron’s name of it lists types, and Cable has others',
  },
  {
    of: /^extension list/,
    is: /^row [\w-]+: \[\] -> \[/,
    reason: 'aliases that Cable has beside those of the stock server',
  },
  {
    of: /^network service provider list/,
    is: /^row cable: /,
    reason: 'docs/design/agents.md: a provider of our own, which is the default',
  },
  {
    of: /^network qos rule type show bandwidth_limit/,
    is: /^drivers row /,
    reason: 'the driver is Cable',
  },
  {
    of: /^quota list --network --detail/,
    is: /^row (health_monitors|listeners|load_balancers|pools|members): \[\] -> \[/,
    reason: 'Cable has load balancers',
  },
];

/** Requests that one of the two refuses. */
const OF_REFUSALS: readonly Difference[] = [
  refused(/^network (create|delete) low/, 'no packet of IPv4 fits into less than 68 bytes'),
  refused(/^network (create|delete) vni-big/, 'a VNI has 24 bits'),
  refused(
    /^network (create|delete) vlan-nowhere/,
    'docs/design/segments.md: an administrator may name any VLAN; which physical networks there are, hosts say',
  ),
  refused(
    /^network set six --mtu 1000/,
    'IPv6 needs packets of 1280 bytes (NetworkMTUSubnetConflict, as in later versions)',
  ),
  refused(
    /^floating ip port forwarding (create .* --protocol icmp|delete \S+ \$icmp)/,
    'ICMP has no ports; the floating IP itself answers echo requests',
  ),
  refused(/^port (create|delete) own-leg/, 'a port becomes a router’s by the router’s own requests alone'),
  refused(/^port (create|delete) whole/, 'a whole name is of the port’s domain'),
  refused(
    /^port (create|delete) direct/,
    'docs/design/openstack.md: what the data plane does not have (SR-IOV) is refused when it is asked for',
  ),
  refused(
    /^port set a --qos-policy steel/,
    'docs/design/qos.md: bandwidth is promised on tunnelled networks, too, as by Neutron since 2023.1',
  ),
  {
    of: /^port show a -c qos_policy_id -c resource_request/,
    is: /^(qos_policy_id|resource_request): /,
    reason: 'the same',
  },
];

/** Texts of errors. */
const OF_TEXTS: readonly Difference[] = [
  {
    of: /^network (log|trunk)|^network subport/,
    is: /^error: "(.*)\\nNeutron server returns request_ids: \['<request>'\]" -> "\1\\n.+\\nNeutron server returns request_ids: \['<request>'\]"$/,
    reason: 'docs/design/api.md: the detail says what to do',
  },
  text(/^network create wide/, /Requested MTU is too big/, 'the attribute’s bounds are looked at first'),
  text(
    /^network segment create second/,
    /Requested MTU is too big/,
    'docs/design/segments.md: a network has one segment',
  ),
  text(
    /^network segment range create (back|vlan-bad)/,
    /HttpException: 500/,
    'docs/design/segments.md: numbers out of order are 400',
  ),
  text(/^subnet create (twice|outside) .*--subnet-pool/, /HttpException: 500/, 'what cannot be had is no defect: 409'),
  text(/^subnet create loop/, /Loopback IP subnet/, 'refused without DHCP as well, so the text is another'),
  text(/^subnet create multi/, /Multicast IP subnet/, 'the same'),
  text(/^subnet create gate-/, /Gateway is not valid on subnet/, 'the text names the address'),
  text(/^floating ip port forwarding set/, /conflicting values are/, 'told as it is when one is created'),
  text(/^port create x .*ip-address=nonsense/, /'nonsense' is not a valid IP address/, 'the text names the field'),
  text(/^subnet set wealthy --dns-nameserver nonsense/, /is not a valid nameserver/, 'the attribute is named'),
  text(/^router set router --route/, /'(nonsense|10\.3\.0\.7\/16)' is not a/, 'the text names the field'),
  text(/^security group rule create full --protocol (300|nonsense)/, /Only protocol values/, 'more names are known'),
  text(/^network trunk set t --subport/, /[Ss]egmentation/, 'the text names the field'),
  text(
    /^router set router --external-gateway outside --disable-snat/,
    /rule:update_router:external_gateway_info/,
    'docs/design/policy.md: a refusal names the rules that failed',
  ),
  text(/^subnet set wealthy --host-route/, /'nonsense' is not a valid/, 'the text names the field'),
  text(/^port create x .*--allowed-address/, /mac_address None/, 'the pair has the port’s MAC address'),
  text(/^port create x .*--extra-dhcp-option/, /No valid key specs matched/, 'the text names the field'),
  text(/^port create x .*--dns-name 'not a name'/, /not a valid PQDN or FQDN/, 'the text says what a label is'),
  text(/^network qos rule type show nothing/, /internal server error/, 'what is not there is no defect: 404'),
  text(/^network qos rule create steel --type dscp/, /27 is not in valid_values/, 'the text names the values'),
  text(
    /^network rbac create red .*--target-all-projects/,
    /rule:create_rbac_policy:object_type/,
    'docs/design/policy.md: a refusal names the rules that failed',
  ),
  {
    of: /^network delete red six/,
    is: /^(exit: 1 -> 0|error: ".*HttpException: 500.*" -> "")$/,
    reason: 'the stock server fails to delete a network that has a subnet of another project',
  },
];

/** Aliases that Cable does not list: docs/design/openstack.md. */
const NOT_LISTED: readonly Difference[] = [
  {
    of: /^extension list/,
    is: /^row (agent-resources-synced|data-plane-status|(dhcp|l3)_agent_scheduler|(expose-)?l3-conntrack-helper|l3-(ext-)?ndp-proxy|l3-port-ip-change-not-allowed|local_ip|metering(_source_and_destination_fields)?|port-mac-override|qos-rule-type-filter|segments-peer-subnet-host-routes|subnet-dns-publish-fixed-ip|subnet-segmentid-writable|uplink-status-propagation): \[\{.*\}\] -> \[\]$/,
    reason: 'docs/design/openstack.md',
  },
  { of: ANY, is: /\bdns_publish_fixed_ip: false -> null$/, reason: 'subnet-dns-publish-fixed-ip is not listed' },
  { of: ANY, is: /\benable_ndp_proxy: (false|true) -> null$/, reason: 'l3-ext-ndp-proxy is not listed' },
  { of: ANY, is: /\bpropagate_uplink_status: true -> null$/, reason: 'uplink-status-propagation is not listed' },
  refused(/^port (create|delete) uplink/, 'uplink-status-propagation is not listed'),
  refused(/^subnet (create|delete) published/, 'subnet-dns-publish-fixed-ip is not listed'),
  refused(/^port (un)?set bound --data-plane-status/, 'data-plane-status is not listed'),
  {
    of: /^port show bound -c data_plane_status/,
    is: /^data_plane_status: "ACTIVE" -> null$/,
    reason: 'data-plane-status is not listed',
  },
  refused(/^network meter list/, 'metering is not listed'),
  refused(/^local ip list/, 'local_ip is not listed'),
];

export const DIFFERENCES: readonly Difference[] = [...OF_ALL, ...OF_REFUSALS, ...OF_TEXTS, ...NOT_LISTED];
