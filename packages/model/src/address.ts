/** Parsing and formatting of addresses. Nothing here trusts its input; parsers answer undefined for what is not exactly an address. */

/** An IP address as a number, so that ranges and prefixes are arithmetic. */
export type IpAddress = { readonly version: 4 | 6; readonly value: bigint };

/** A prefix. `base` is the lowest address of it; host bits are always zero. */
export type IpPrefix = { readonly base: IpAddress; readonly prefixLength: number };

/** A MAC address in canonical form: lower case, colons. Made only by `parseMac`. */
export type Mac = string & { readonly brand: 'mac' };

/** The first 96 bits of `::ffff:0:0/96`. */
const MAPPED = 0xffffn;

/** Dotted quad without leading zeros, or RFC 4291 text form (no zone). */
export function parseIp(text: string): IpAddress | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Canonical text: dotted quad, or RFC 5952. */
export function formatIp(ip: IpAddress): string {
  return ip.version === 4 ? formatIpv4(ip.value) : formatIpv6(ip.value);
}

/** `address/length`; host bits must be zero unless `lenient`, which clears them. */
export function parseCidr(text: string, lenient = false): IpPrefix | undefined {
  const match = /^([0-9a-fA-F:.]{2,45})\/(\d{1,3})$/.exec(text);
  const ip = match?.[1] === undefined ? undefined : parseIp(match[1]);
  if (ip === undefined || match?.[2] === undefined) return undefined;
  const prefixLength = Number(match[2]);
  if (prefixLength > ipBits(ip)) return undefined;
  const base = maskIp(ip, prefixLength);
  if (!lenient && base.value !== ip.value) return undefined;
  return { base, prefixLength };
}

/** Canonical text of a prefix. */
export function formatCidr(prefix: IpPrefix): string {
  return `${formatIp(prefix.base)}/${prefix.prefixLength}`;
}

/** An address alone counts as a prefix of full length; host bits are cleared. */
export function parseIpOrCidr(text: string): IpPrefix | undefined {
  if (text.includes('/')) return parseCidr(text, true);
  const ip = parseIp(text);
  return ip === undefined ? undefined : { base: ip, prefixLength: ipBits(ip) };
}

/** Whether the text is an address, or a prefix that holds one only. */
export function isOneAddress(text: string): boolean {
  const prefix = parseIpOrCidr(text);
  return prefix !== undefined && prefix.prefixLength === ipBits(prefix.base);
}

/** Number of bits of the address: 32 or 128. */
export function ipBits(ip: IpAddress): 32 | 128 {
  return ip.version === 4 ? 32 : 128;
}

/** The address with its host bits cleared. */
export function maskIp(ip: IpAddress, prefixLength: number): IpAddress {
  const hostBits = BigInt(ipBits(ip) - prefixLength);
  return { version: ip.version, value: (ip.value >> hostBits) << hostBits };
}

/** The highest address of the prefix (IPv4: the broadcast address). */
export function lastIp(prefix: IpPrefix): IpAddress {
  const hostBits = BigInt(ipBits(prefix.base) - prefix.prefixLength);
  return { version: prefix.base.version, value: prefix.base.value + (1n << hostBits) - 1n };
}

/** True when the address is in the prefix; false for another version of IP. */
export function cidrContains(prefix: IpPrefix, ip: IpAddress): boolean {
  return ip.version === prefix.base.version && maskIp(ip, prefix.prefixLength).value === prefix.base.value;
}

/** True when the two prefixes have an address in common. */
export function cidrsOverlap(a: IpPrefix, b: IpPrefix): boolean {
  return a.prefixLength <= b.prefixLength ? cidrContains(a, b.base) : cidrContains(b, a.base);
}

/** 16 bytes in network order; IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
export function ipToBytes(ip: IpAddress): Uint8Array {
  const bytes = new Uint8Array(16);
  let rest = ip.version === 4 ? ip.value | 0xffff00000000n : ip.value;
  for (let i = 15; i >= 0; i -= 1) {
    bytes[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** The inverse of `ipToBytes`; undefined unless there are 16 bytes. */
export function ipFromBytes(bytes: Uint8Array): IpAddress | undefined {
  if (bytes.length !== 16) return undefined;
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value >> 32n === MAPPED ? { version: 4, value: value & 0xffffffffn } : { version: 6, value };
}

/** Prefix length as it counts in 128-bit form: IPv4 lengths count from 96. */
export function mappedPrefixLength(prefix: IpPrefix): number {
  return prefix.base.version === 4 ? 96 + prefix.prefixLength : prefix.prefixLength;
}

/** Six octets in hex, separated by colons or hyphens, three pairs by dots, or twelve digits. */
export function parseMac(text: string): Mac | undefined {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)) return text as Mac;
  if (
    !/^(?:[0-9a-f]{1,2}([:-])(?:[0-9a-f]{1,2}\1){4}[0-9a-f]{1,2}|[0-9a-f]{4}(\.[0-9a-f]{4}){2}|[0-9a-f]{12})$/i.test(
      text,
    )
  )
    return undefined;
  const octets = /[:-]/.test(text) ? text.split(/[:-]/) : (text.replaceAll('.', '').match(/../g) ?? []);
  return octets.map((octet) => octet.padStart(2, '0').toLowerCase()).join(':') as Mac;
}

/** Six bytes. */
export function macToBytes(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16));
}

/** An address of a group of multicast: 224.0.0.0/4, ff00::/8. */
export function isGroupAddress({ version, value }: IpAddress): boolean {
  return version === 4 ? value >> 28n === 0xen : value >> 120n === 0xffn;
}

/** The MAC that a group's packets go to (RFC 1112 §6.4, RFC 2464 §7). */
export function groupMac({ version, value }: IpAddress): Mac {
  const low =
    version === 4 ? 0x01_00_5e_00_00_00n | (value & 0x7f_ff_ffn) : 0x33_33_00_00_00_00n | (value & 0xff_ff_ff_ffn);
  const digits = low.toString(16).padStart(12, '0');
  return (digits.match(/../g) ?? []).join(':') as Mac;
}

/** True for a group (multicast or broadcast) address. */
export function isMulticastMac(mac: Mac): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;
}

/** The address that a machine with this MAC makes of a prefix of at most 64 bits (RFC 4291 appendix A, RFC 4862 §5.5.3). */
export function eui64Ip(prefix: IpPrefix, mac: Mac): IpAddress {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macToBytes(mac);
  let identifier = 0n;
  for (const byte of [a ^ 2, b, c, 0xff, 0xfe, d, e, f]) identifier = (identifier << 8n) | BigInt(byte);
  return { version: 6, value: prefix.base.value | identifier };
}

/** MAC of the guest services and of a gateway without a router; never allocated to a port. */
export const SERVICE_MAC: Mac = 'fa:16:3e:ca:b1:e0' as Mac;

/** True for the canonical text form of a UUID (also without hyphens, as Neutron accepts). */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(text);
}

function parseIpv4(text: string): IpAddress | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0n;
  for (const part of match.slice(1)) {
    const octet = Number(part);
    if (octet > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    value = (value << 8n) | BigInt(octet);
  }
  return { version: 4, value };
}

function parseIpv6(text: string): IpAddress | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return { version: 6, value: groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n) };
}

/** 16-bit groups; the last may be a dotted quad (two groups) when `last` says that this is the end of the address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (part.includes('.')) {
      const quad = last && index === parts.length - 1 ? parseIpv4(part) : undefined;
      if (quad === undefined) return undefined;
      groups.push(Number(quad.value >> 16n), Number(quad.value & 0xffffn));
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** Whether one machine may have the address for itself: it is not unspecified, loopback, multicast or reserved (RFC 6890), nor an IPv4 address in IPv6 form. */
export function isMachineAddress({ version, value }: IpAddress): boolean {
  if (version === 4) {
    const first = Number(value >> 24n);
    return first !== 0 && first !== 127 && first < 224;
  }
  return value > 1n && value >> 120n !== 0xffn && value >> 32n !== MAPPED;
}

const LINK_LOCAL = 0xfe80n >> 6n;

/** Can other hosts tunnel to the address? Not to a link-local one, nor to one of the first /32 of IPv6, which nobody has. */
export function isUnderlayAddress(ip: IpAddress): boolean {
  if (!isMachineAddress(ip)) return false;
  return ip.version === 4 || (ip.value >> 118n !== LINK_LOCAL && ip.value >> 96n !== 0n);
}

/** True for an IPv4 address in IPv6 form (`::ffff:a.b.c.d`): on the wire it is none of either. */
export function isMappedIp({ version, value }: IpAddress): boolean {
  return version === 6 && value >> 32n === MAPPED;
}

function formatIpv4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => ((value >> shift) & 0xffn).toString()).join('.');
}

function formatIpv6(value: bigint): string {
  if (value >> 32n === MAPPED) return `::ffff:${formatIpv4(value & 0xffffffffn)}`;
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  const run = longestZeroRun(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return text(groups);
  return `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i += 1) {
    if (groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}
