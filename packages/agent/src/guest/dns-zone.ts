import {
  cidrContains,
  DEFAULT_DNS_DOMAIN,
  type DnsName,
  defaultHostname,
  dnsNameKey,
  formatIp,
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

/** A port that has a name or a domain of its own. `name` empty: its addresses have default names. `domain` undefined: that of the network. */
type Named = {
  readonly name: DnsName;
  /** The name is a whole one. */
  readonly isWhole: boolean;
  readonly domain: DnsName | undefined;
  readonly addresses: readonly IpAddress[];
  /** The same as canonical texts. */
  readonly texts: readonly string[];
  /** Keys by which it is found, with the network's domain behind them or alone. */
  readonly relative: readonly string[];
  /** Keys by which it is found only as they are. */
  readonly whole: readonly string[];
};

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
 * addresses of each family are told, of one address 16 names. What is no name or address is left out. Names are kept without the network's domain, so another
 * domain costs nothing.
 */
export class NetworkZone implements DnsZone {
  #domain: DnsName = DEFAULT_DOMAIN;
  #ownRanges: readonly IpPrefix[] = [];
  #gateways: ReadonlySet<string> = new Set();
  readonly #named = new Map<string, Named>();
  readonly #endpoints = new Map<string, readonly string[]>();
  /** Ports by key of a name: without the network's domain, and whole. */
  readonly #byRelative = new Multi();
  readonly #byWhole = new Multi();
  /** Ports by key of a name above theirs, without the network's domain: those exist, without records (RFC 8020). */
  readonly #above = new Multi();
  /** Ports by canonical text of an address. */
  readonly #byAddress = new Multi();

  constructor(source: DnsZoneSource) {
    this.setSource(source);
  }

  get domain(): DnsName {
    return this.#domain;
  }

  /** What the network itself says. */
  setSource({ domain, cidrs, gatewayIps }: DnsZoneSource): void {
    this.#domain = parseDnsName(domain) ?? DEFAULT_DOMAIN;
    const ranges = cidrs.map((cidr) => parseCidr(cidr, true)).filter((range) => range !== undefined);
    this.#ownRanges = ranges.filter((range) => PRIVATE.some((one) => cidrContains(one, range.base)));
    this.#gateways = new Set(canonical(gatewayIps).map(formatIp));
  }

  /** What a port is called; undefined: it has no name or domain of its own, or is gone. */
  setPort(id: string, names: PortNames | undefined): void {
    const before = this.#named.get(id);
    if (before !== undefined) {
      for (const key of before.relative) this.#byRelative.delete(key, id);
      for (const key of before.whole) this.#byWhole.delete(key, id);
      for (const key of keysAbove(before)) this.#above.delete(key, id);
      this.#named.delete(id);
    }
    const named = names === undefined ? undefined : parseNames(names);
    if (named !== undefined) {
      for (const key of named.relative) this.#byRelative.add(key, id);
      for (const key of named.whole) this.#byWhole.add(key, id);
      for (const key of keysAbove(named)) this.#above.add(key, id);
      this.#named.set(id, named);
    }
    this.#setAddresses(id, before?.texts ?? [], this.#endpoints.get(id) ?? []);
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
    const bare = isWithin(name, this.#domain) ? name.slice(0, name.length - this.#domain.length) : undefined;
    const bareKey = bare === undefined ? undefined : dnsNameKey(bare);
    const relative = bareKey === undefined ? NOBODY : this.#portsInDomain(bareKey);
    const ports = new Set([...this.#byRelative.get(key), ...this.#byWhole.get(key), ...relative]);
    if (ports.size > 0) return entryOf([...ports].flatMap((id) => this.#named.get(id)?.addresses ?? []));
    const address = defaultAddress(name[0] ?? '');
    if (address !== undefined && this.#hasDefaultName(address, name)) return entryOf([address]);
    if (bare === undefined || bareKey === undefined) return undefined;
    return bare.length === 0 || this.#isAbove(bareKey, key) ? entryOf([]) : undefined;
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

  /** A port with a domain of its own is found by its name alone, but not with the network's domain behind it. */
  *#portsInDomain(bareKey: string): Iterable<string> {
    for (const id of this.#byRelative.get(bareKey)) if (this.#named.get(id)?.domain === undefined) yield id;
  }

  /** Whether a name lies below it: one without a domain, or a whole one of the domain. */
  #isAbove(bareKey: string, key: string): boolean {
    return this.#above.get(bareKey).size > 0 || this.#above.get(key).size > 0;
  }

  /** `before`: what the part that changed had, which what the port has now may still have. */
  #setAddresses(id: string, before: readonly string[], endpoint: readonly string[]): void {
    for (const address of before) this.#byAddress.delete(address, id);
    for (const address of endpoint) this.#byAddress.add(address, id);
    for (const address of this.#named.get(id)?.texts ?? []) this.#byAddress.add(address, id);
  }

  *#namesAt(address: IpAddress): Iterable<DnsName> {
    const text = formatIp(address);
    const ports = this.#byAddress.get(text);
    for (const id of ports) {
      const named = this.#named.get(id);
      if (named?.isWhole) yield named.name;
      else {
        const name = named === undefined || named.name.length === 0 ? [defaultHostname(text)] : named.name;
        yield [...name, ...(named?.domain ?? this.#domain)];
      }
    }
    if (ports.size === 0 && this.#gateways.has(text)) yield [defaultHostname(text), ...this.#domain];
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

const DEFAULT_DOMAIN = parseDnsName(DEFAULT_DNS_DOMAIN) ?? [];

/** Undefined: a name or a domain that is none. */
function parseNames({ name: text, domain: domainText, ipAddresses }: PortNames): Named | undefined {
  const domain = domainText === '' ? undefined : parseDnsName(domainText);
  const name = text === '' ? [] : parseDnsName(text);
  if (name === undefined || (domainText !== '' && domain === undefined)) return undefined;
  const addresses = canonical(ipAddresses);
  const isWhole = text.endsWith('.');
  const key = dnsNameKey(name);
  const withDomain = domain === undefined || isWhole || name.length === 0 ? [] : [dnsNameKey([...name, ...domain])];
  return {
    ...{ name, isWhole, domain, addresses, texts: addresses.map(formatIp) },
    relative: isWhole || name.length === 0 ? [] : [key],
    whole: isWhole ? [key] : withDomain,
  };
}

function keysAbove({ name, isWhole, domain }: Named): readonly string[] {
  // Of most names the domain is right above.
  if (name.length < 2 || (domain !== undefined && !isWhole)) return [];
  return name.slice(1).map((_, index) => dnsNameKey(name.slice(index + 1)));
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
