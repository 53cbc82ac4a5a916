/** IANA protocol numbers by the names that Neutron takes (neutron-lib `IP_PROTOCOL_MAP`). */
const NUMBERS: Readonly<Record<string, number>> = {
  hopopt: 0,
  icmp: 1,
  igmp: 2,
  ip: 4,
  ipip: 4,
  tcp: 6,
  egp: 8,
  udp: 17,
  dccp: 33,
  'ipv6-encap': 41,
  'ipv6-route': 43,
  'ipv6-frag': 44,
  rsvp: 46,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  icmpv6: 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  ospf: 89,
  vrrp: 112,
  pgm: 113,
  sctp: 132,
  udplite: 136,
};

/**
 * The IANA number of a rule's protocol (name, or number as text); null: any; undefined: not a protocol.
 * With IPv6, `icmp` means ICMPv6, as in Neutron.
 */
export function protocolNumber(protocol: string | null, ethertype: 'IPv4' | 'IPv6'): number | null | undefined {
  if (protocol === null || protocol === 'any') return null;
  if (/^\d{1,3}$/.test(protocol)) return icmpOf(Number(protocol), ethertype);
  const number = Object.hasOwn(NUMBERS, protocol) ? NUMBERS[protocol] : undefined;
  return number === undefined ? undefined : icmpOf(number, ethertype);
}

function icmpOf(number: number, ethertype: 'IPv4' | 'IPv6'): number | undefined {
  if (number > 255) return undefined;
  return number === 1 && ethertype === 'IPv6' ? 58 : number;
}
