import {
  cidrContains,
  DEFAULT_DNS_DOMAIN,
  type DnsName,
  defaultHostname,
  dnsNameKey,
  formatIp,
  fqdnOf,
  type IpAddress,
  type IpPrefix,
  ipFromBytes,
  ipToBytes,
  isWithin,
  type PortNames,
  parseCidr,
  parseDnsName,
  parseIp,
} from '@cable/model';

/** The addresses of a name, 4 or 16 bytes each. */
export type DnsEntry = { readonly v4: readonly Uint8Array[]; readonly v6: readonly Uint8Array[] };

/** A network's names, as they are asked for. */
export type DnsZone = {
  /** A name in it that is not there does not exist: nobody else is asked. */
  readonly domain: DnsName;
  /** Undefined: the network has no such name. One without addresses is there because another lies below it. */
  entry(name: DnsName): DnsEntry | undefined;
  /** Undefined: the network has no such address. */
  namesOf(address: IpAddress): readonly DnsName[] | undefined;
  /** True when only this network can know the address's name. */
  isOwn(address: IpAddress): boolean;
};

/** What a network's names are made of besides its ports. */
export type DnsZoneSource = {
  /** `dns_domain`, or empty. */
  readonly domain: string;
  /** CIDRs of the network's subnets. */
  readonly cidrs: readonly string[];
  readonly gatewayIps: readonly string[];
};

/** Addresses of one name and family, and names of one address, that are told: so that each answer is small, and fits a message of TCP. */
const MAX_ADDRESSES = 256;
const MAX_NAMES = 16;

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

/** A port that has a name or a domain of its own. `fqdn` undefined: its addresses have default names, in its domain. */
type Named = { readonly fqdn: DnsName | undefined; readonly domain: DnsName; readonly addresses: readonly IpAddress[] };

/** Ids by something that several may have. */
class Multi {
  readonly #members = new Map<string, Set<string>>();

  add(key: string, id: string): void {
    const members = this.#members.get(key);
    if (members === undefined) this.#members.set(key, new Set([id]));
    else members.add(id);
  }

  delete(key: string, id: string): void {
    const members = this.#members.get(key);
    members?.delete(id);
    if (members?.size === 0) this.#members.delete(key);
  }

  get(key: string): ReadonlySet<string> {
    return this.#members.get(key) ?? NOBODY;
  }
}

const NOBODY: ReadonlySet<string> = new Set();

/**
 * The names of a network's ports, kept as the ports change. A port is found by its whole name, and by its name without the domain. An address of a
 * port without a name has Neutron's default one (`host-10-0-0-5`), which is read out of the question, so nothing is kept for it. Of one name 256
 * addresses of each family are told, of one address 16 names. What is no name or address is left out.
 */
export class NetworkZone implements DnsZone {
  readonly domain: DnsName;
  readonly #ownRanges: readonly IpPrefix[];
  readonly #gateways: ReadonlySet<string>;
  readonly #named = new Map<string, Named>();
  readonly #endpoints = new Map<string, readonly string[]>();
  /** Ports by key of a name. */
  readonly #byName = new Multi();
  /** Ports by key of a name above theirs: those exist, without records (RFC 8020). */
  readonly #above = new Multi();
  /** Ports by canonical text of an address. */
  readonly #byAddress = new Multi();

  constructor({ domain, cidrs, gatewayIps }: DnsZoneSource) {
    this.domain = parseDnsName(domain) ?? parseDnsName(DEFAULT_DNS_DOMAIN) ?? [];
    const ranges = cidrs.map((cidr) => parseCidr(cidr, true)).filter((range) => range !== undefined);
    this.#ownRanges = ranges.filter((range) => PRIVATE.some((one) => cidrContains(one, range.base)));
    this.#gateways = new Set(canonical(gatewayIps).map(formatIp));
  }

  /** What a port is called; undefined: it has no name or domain of its own, or is gone. */
  setPort(id: string, names: PortNames | undefined): void {
    const before = this.#named.get(id);
    if (before !== undefined) {
      for (const key of this.#keysOf(before)) this.#byName.delete(key, id);
      for (const key of this.#keysAbove(before)) this.#above.delete(key, id);
      this.#named.delete(id);
    }
    const named = names === undefined ? undefined : this.#parse(names);
    if (named !== undefined) {
      for (const key of this.#keysOf(named)) this.#byName.add(key, id);
      for (const key of this.#keysAbove(named)) this.#above.add(key, id);
      this.#named.set(id, named);
    }
    this.#setAddresses(id, before?.addresses.map(formatIp) ?? [], this.#endpoints.get(id) ?? []);
  }

  /** The addresses of a port that a host carries; undefined: none does. */
  setEndpoint(id: string, ipAddresses: readonly string[] | undefined): void {
    const before = this.#endpoints.get(id) ?? [];
    const addresses = canonical(ipAddresses ?? []).map(formatIp);
    if (addresses.length === 0) this.#endpoints.delete(id);
    else this.#endpoints.set(id, addresses);
    this.#setAddresses(id, before, addresses);
  }

  entry(name: DnsName): DnsEntry | undefined {
    const key = dnsNameKey(name);
    const ports = this.#byName.get(key);
    if (ports.size > 0) return entryOf([...ports].flatMap((id) => this.#named.get(id)?.addresses ?? []));
    const address = defaultAddress(name[0] ?? '');
    if (address !== undefined && this.#hasDefaultName(address, name)) return entryOf([address]);
    return key === dnsNameKey(this.domain) || this.#above.get(key).size > 0 ? entryOf([]) : undefined;
  }

  namesOf(address: IpAddress): readonly DnsName[] | undefined {
    const names = new Map<string, DnsName>();
    for (const name of this.#namesAt(address)) {
      names.set(dnsNameKey(name), name);
      if (names.size === MAX_NAMES) break;
    }
    return names.size === 0 ? undefined : [...names.values()];
  }

  isOwn(address: IpAddress): boolean {
    return this.#ownRanges.some((range) => cidrContains(range, address));
  }

  #parse({ name, domain, ipAddresses }: PortNames): Named | undefined {
    const own = domain === '' ? this.domain : parseDnsName(domain);
    if (own === undefined) return undefined;
    const fqdn = name === '' ? undefined : parseDnsName(fqdnOf(name, own.join('.')));
    return name !== '' && fqdn === undefined ? undefined : { fqdn, domain: own, addresses: canonical(ipAddresses) };
  }

  /** The whole name, and what is before the domain. */
  #keysOf({ fqdn, domain }: Named): readonly string[] {
    if (fqdn === undefined) return [];
    const bare = isWithin(fqdn, domain) ? fqdn.slice(0, fqdn.length - domain.length) : [];
    return bare.length === 0 ? [dnsNameKey(fqdn)] : [dnsNameKey(fqdn), dnsNameKey(bare)];
  }

  #keysAbove({ fqdn }: Named): readonly string[] {
    if (fqdn === undefined || !isWithin(fqdn, this.domain)) return [];
    return fqdn.slice(1, fqdn.length - this.domain.length).map((_, index) => dnsNameKey(fqdn.slice(index + 1)));
  }

  /** `before`: what the part that changed had, which what the port has now may still have. */
  #setAddresses(id: string, before: readonly string[], endpoint: readonly string[]): void {
    for (const address of before) this.#byAddress.delete(address, id);
    for (const address of endpoint) this.#byAddress.add(address, id);
    for (const address of this.#named.get(id)?.addresses ?? []) this.#byAddress.add(formatIp(address), id);
  }

  *#namesAt(address: IpAddress): Iterable<DnsName> {
    const text = formatIp(address);
    const ports = this.#byAddress.get(text);
    for (const id of ports) {
      const named = this.#named.get(id);
      yield named?.fqdn ?? [defaultHostname(text), ...(named?.domain ?? this.domain)];
    }
    if (ports.size === 0 && this.#gateways.has(text)) yield [defaultHostname(text), ...this.domain];
  }

  #hasDefaultName(address: IpAddress, asked: DnsName): boolean {
    const key = dnsNameKey(asked);
    const label = dnsNameKey([defaultHostname(formatIp(address))]);
    for (const name of this.#namesAt(address)) {
      const isDefault = dnsNameKey(name.slice(0, 1)) === label;
      if (isDefault && (dnsNameKey(name) === key || key === label)) return true;
    }
    return false;
  }
}

function canonical(texts: readonly string[]): readonly IpAddress[] {
  return texts.map(parseIp).filter((ip) => ip !== undefined);
}

/** The address that a default name stands for, e.g. `host-10-0-0-5`, `host-fd00--5`. */
function defaultAddress(label: string): IpAddress | undefined {
  const rest = /^host-([0-9a-f-]+)$/i.exec(label)?.[1];
  if (rest === undefined) return undefined;
  return parseIp(rest.replaceAll('-', '.')) ?? parseIp(rest.replaceAll('-', ':'));
}

function entryOf(addresses: readonly IpAddress[]): DnsEntry {
  const v4 = new Map<bigint, Uint8Array>();
  const v6 = new Map<bigint, Uint8Array>();
  for (const ip of addresses) {
    const known = ip.version === 4 ? v4 : v6;
    if (known.size < MAX_ADDRESSES) known.set(ip.value, ip.version === 4 ? ipToBytes(ip).slice(12) : ipToBytes(ip));
  }
  return { v4: [...v4.values()], v6: [...v6.values()] };
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
