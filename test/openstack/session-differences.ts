/** In what Cable answers the session's commands otherwise than a stock neutron-server, on purpose. */

export type Difference = {
  /** The commands, from their first word on. */
  readonly of: RegExp;
  /** The difference as it is told: what, the stock server's, ` -> `, Cable's. */
  readonly is: RegExp;
  readonly reason: string;
};

const ANY = /^/;

/** Attributes and objects. */
const OF_ALL: readonly Difference[] = [
  {
    of: ANY,
    is: /\brevision_number: \d+ -> \d+$/,
    reason: 'counts the changes of an object; Neutron also writes it several times in one request, or begins with 0',
  },
  {
    of: /^(network|network auto allocated topology) (create|show)/,
    is: /^provider:segmentation_id: \d+ -> \d+$/,
    reason: 'docs/design/segments.md: a number of the ranges at random, so that servers do not choose the same',
  },
  {
    of: /^network segment (list|range show)/,
    is: /^(row <[^>]*>: Segment: \d+ -> \d+|(available|used)\b.*)$/,
    reason: 'the same',
  },
  {
    of: /^network (show|list)/,
    is: /^is_default: null -> false$/,
    reason: 'said of every network, and not of external ones and where it was created alone',
  },
  {
    of: /^floating ip (create|show)/,
    is: /^subnet_id: null -> "<subnet/,
    reason: 'said beside what Neutron says: the subnet that the address is of',
  },
  {
    of: /^floating ip (create|show|list)/,
    is: /^(row <[^>]*>: )?dns[_ ](name|domain): "" -> null$/i,
    reason: 'docs/design/guest-services.md: no name server outside is told of floating IPs, so they have no names',
  },
  {
    of: /^floating ip (show|list)/,
    is: /(^status: "DOWN" -> "ACTIVE"$)|(^row <floating ip 172\.24\.4\.10[01]>: \[\{.*\}\] -> \[\]$)/,
    reason: 'one that leads to a port that no host carries itself is ready; on the stock server no L3 agent says so',
  },
  {
    of: /^router (create|show|list)/,
    is: /^(row <[^>]*>: )?(distributed|ha): false -> true$/i,
    reason: 'docs/design/gateway-fail-over.md: routers are on every host, and have standbys',
  },
  {
    of: /^router show/,
    is: /^external_gateway_info\.qos_policy_id: nothing -> null$/,
    reason: 'said where there is none, too',
  },
  {
    of: /^(subnet (create|show|list)|subnet create)/,
    is: /^(row <[^>]*>: )?(allocation[_ ]pools|gateway|gateway_ip)\b.*fd0/i,
    reason: 'docs/design/addresses.md: the first address of an IPv6 subnet is every router’s, and no gateway',
  },
  {
    of: /^port show parent/,
    is: /^trunk_details\.sub_ports row .*mac_address/,
    reason: 'the MAC address of a sub-port, which Nova asks for, is there as in later versions',
  },
  {
    of: /^port show s1/,
    is: /^device_owner: "" -> "trunk:subport"$/,
    reason: 'docs/design/agents.md: no agent has to set it first',
  },
];

/** Aliases that Cable does not list: docs/design/openstack.md. */
const NOT_LISTED: readonly Difference[] = [
  { of: ANY, is: /\bdns_publish_fixed_ip: false -> null$/, reason: 'subnet-dns-publish-fixed-ip is not listed' },
  { of: ANY, is: /\benable_ndp_proxy: (false|true) -> null$/, reason: 'l3-ext-ndp-proxy is not listed' },
  { of: ANY, is: /\bpropagate_uplink_status: true -> null$/, reason: 'uplink-status-propagation is not listed' },
];

export const DIFFERENCES: readonly Difference[] = [...OF_ALL, ...NOT_LISTED];
