import {
  cidrContains,
  type DnsName,
  dnsNameKey,
  formatIp,
  type IpAddress,
  type IpPrefix,
  ipFromBytes,
  ipToBytes,
  isWithin,
  parseCidr,
  parseDnsName,
  parseIp,
} from '@cable/model';

/** A name of a network and what it stands for. `fqdn`: as in Neutron's `dns_assignment`. */
export type DnsHost = { readonly fqdn: string; readonly addresses: readonly string[] };

/** What a network's names are made of. */
export type DnsZoneSource = {
  /** `dns_domain`. */
  readonly domain: string;
  /** True: nobody else knows the domain, so a name of it that is not here does not exist. False: others are asked. */
  readonly exclusive: boolean;
  readonly hosts: readonly DnsHost[];
  /** CIDRs of the network's subnets. */
  readonly cidrs: readonly string[];
};

/** The addresses of a name, 4 or 16 bytes each. */
export type DnsEntry = { readonly v4: readonly Uint8Array[]; readonly v6: readonly Uint8Array[] };

/** Addresses of one name and family, and names of one address, that are told: so that each answer is small, and fits a message of TCP. */
const MAX_ADDRESSES = 256;
const MAX_NAMES = 16;

/** A network's names, ready to be asked. */
export type DnsZone = {
  readonly domain: DnsName | undefined;
  readonly exclusive: boolean;
  /** By key; a name without addresses is there because another lies below it. */
  readonly names: ReadonlyMap<string, DnsEntry>;
  /** By canonical text of the address. */
  readonly reverse: ReadonlyMap<string, readonly DnsName[]>;
  /** Addresses whose names only this network can know: its private ranges. */
  readonly ownRanges: readonly IpPrefix[];
};

/** Ranges that mean something else in each network (RFC 1918, 4193, 6598, 3927, 4291). */
const PRIVATE = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  'fc00::/7',
  'fe80::/10',
]
  .map((text) => parseCidr(text))
  .filter((prefix) => prefix !== undefined);

/** A name's addresses by their bytes in hex, while the zone is built. */
type Growing = { readonly v4: Map<string, Uint8Array>; readonly v6: Map<string, Uint8Array> };

/**
 * The names of a network; a host is also found by its first label alone. Of one name 256 addresses of each family are told, of one address 16
 * names. What is no name or address is left out.
 */
export function buildDnsZone(source: DnsZoneSource): DnsZone {
  const names = new Map<string, Growing>();
  const reverse = new Map<string, Map<string, DnsName>>();
  const domain = parseDnsName(source.domain);
  if (domain !== undefined && domain.length > 0) growing(names, domain);
  for (const host of source.hosts) {
    const name = parseDnsName(host.fqdn);
    if (name === undefined || name.length === 0) continue;
    for (const above of between(name, domain)) growing(names, above);
    const entries =
      name.length === 1 ? [growing(names, name)] : [growing(names, name), growing(names, name.slice(0, 1))];
    for (const ip of host.addresses.map(parseIp)) {
      if (ip === undefined) continue;
      for (const entry of entries) addAddress(entry, ip);
      const known = reverse.get(formatIp(ip)) ?? new Map<string, DnsName>();
      if (known.size < MAX_NAMES) known.set(dnsNameKey(name), name);
      reverse.set(formatIp(ip), known);
    }
  }
  const ranges = source.cidrs.map((cidr) => parseCidr(cidr, true)).filter((range) => range !== undefined);
  return {
    domain,
    exclusive: source.exclusive,
    names: new Map([...names].map(([key, { v4, v6 }]) => [key, { v4: [...v4.values()], v6: [...v6.values()] }])),
    reverse: new Map([...reverse].map(([address, known]) => [address, [...known.values()]])),
    ownRanges: ranges.filter((range) => PRIVATE.some((one) => cidrContains(one, range.base))),
  };
}

function growing(names: Map<string, Growing>, name: DnsName): Growing {
  const key = dnsNameKey(name);
  const entry = names.get(key) ?? { v4: new Map(), v6: new Map() };
  names.set(key, entry);
  return entry;
}

/** Names above this one and below the domain: they exist, without records (RFC 8020). */
function between(name: DnsName, domain: DnsName | undefined): readonly DnsName[] {
  if (domain === undefined || !isWithin(name, domain)) return [];
  return name.slice(1, name.length - domain.length).map((_, index) => name.slice(index + 1));
}

function addAddress(entry: Growing, ip: IpAddress): void {
  const bytes = ip.version === 4 ? ipToBytes(ip).slice(12) : ipToBytes(ip);
  const known = ip.version === 4 ? entry.v4 : entry.v6;
  if (known.size < MAX_ADDRESSES) known.set(Buffer.from(bytes).toString('hex'), bytes);
}

/** The address that a name below `in-addr.arpa` or `ip6.arpa` stands for; undefined unless it is a whole one. */
export function reverseAddress(name: DnsName): IpAddress | undefined {
  const labels = name.map((label) => label.toLowerCase());
  if (labels.length === 6 && labels[4] === 'in-addr' && labels[5] === 'arpa')
    return parseIp(labels.slice(0, 4).reverse().join('.'));
  if (labels.length !== 34 || labels[32] !== 'ip6' || labels[33] !== 'arpa') return undefined;
  const nibbles = labels.slice(0, 32).reverse();
  if (!nibbles.every((nibble) => /^[0-9a-f]$/.test(nibble))) return undefined;
  const ip = ipFromBytes(Buffer.from(nibbles.join(''), 'hex'));
  return ip?.version === 6 ? ip : undefined;
}

/** True when only this network can know the address's name. */
export function isOwnAddress(zone: DnsZone, ip: IpAddress): boolean {
  return zone.ownRanges.some((range) => cidrContains(range, ip));
}
