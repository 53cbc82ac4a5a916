import { isIPv4, isIPv6 } from 'node:net';

/** A prefix in the vrouter's 128-bit form: IPv4 as ::ffff:a.b.c.d, so that an IPv4 /24 has length 120. Host bits are zero. */
export type Prefix = {
  readonly bytes: Uint8Array;
  /** 0..128. */
  readonly length: number;
  /** First and last address in lower-case hex: a prefix contains another exactly when `first <= other.first <= last` and it is not longer. */
  readonly first: string;
  readonly last: string;
};

/** 16 zero bytes: the ABI's "no address". */
export const NO_ADDRESS: Uint8Array = new Uint8Array(16);

/** The 128-bit form of an IPv4 or IPv6 address; undefined when the text is neither. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return mapped(text);
  if (isIPv6(text) && !text.includes('%')) return parseIPv6(text);
  return undefined;
}

/** A CIDR, or an address as the prefix that holds only it; host bits are cleared. Undefined when malformed. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = slash < 0 ? text : text.slice(0, slash);
  const bytes = parseAddress(address);
  if (bytes === undefined) return undefined;
  const offset = isIPv4(address) ? 96 : 0;
  if (slash < 0) return makePrefix(bytes, 128);
  const digits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) + offset > 128) return undefined;
  return makePrefix(bytes, Number(digits) + offset);
}

/** Whether the outer prefix holds every address of the inner one. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && outer.first <= inner.first && inner.first <= outer.last;
}

/** The six bytes of a MAC address written with colons; undefined when malformed. */
export function parseMac(text: string): Uint8Array | undefined {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) ? hexBytes(text.replaceAll(':', '')) : undefined;
}

/** The sixteen bytes of a UUID; undefined when malformed. */
export function parseUuid(text: string): Uint8Array | undefined {
  const digits = text.replaceAll('-', '');
  return /^[0-9a-f]{32}$/i.test(digits) ? hexBytes(digits) : undefined;
}

/** Lower-case hex of the bytes. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Whether the 128-bit form holds an IPv4 address. */
export function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

/** An address as users write it: dotted IPv4, or IPv6 in groups with the longest run of zeros shortened (RFC 5952). */
export function formatAddress(bytes: Uint8Array): string {
  if (isMapped(bytes)) return bytes.subarray(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16));
  const runs = groups.join(':').match(/(?<![0-9a-f])0(:0)+(?![0-9a-f])/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), '');
  if (longest === '') return groups.join(':');
  const at = groups.join(':').search(new RegExp(`(?<![0-9a-f])${longest}(?![0-9a-f])`));
  const text = groups.join(':');
  return `${text.slice(0, at).replace(/:$/, '')}::${text.slice(at + longest.length).replace(/^:/, '')}`;
}

/** A prefix as users write it: `10.0.0.0/24`; a single address without its length. */
export function formatPrefix(bytes: Uint8Array, length: number): string {
  if (length === 128) return formatAddress(bytes);
  if (isMapped(bytes) && length >= 96) return `${formatAddress(bytes)}/${length - 96}`;
  return `${formatAddress(bytes)}/${length}`;
}

/** A MAC address with colons. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function mapped(ipv4: string): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[10] = 0xff;
  bytes[11] = 0xff;
  bytes.set(ipv4.split('.').map(Number), 12);
  return bytes;
}

function parseIPv6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::');
  const front = groupBytes(head);
  const back = tail === undefined ? [] : groupBytes(tail);
  const bytes = new Uint8Array(16);
  bytes.set(front, 0);
  bytes.set(back, 16 - back.length);
  return bytes;
}

function groupBytes(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function makePrefix(address: Uint8Array, length: number): Prefix {
  const bytes = new Uint8Array(16);
  const last = new Uint8Array(16);
  for (let i = 0; i < 16; i += 1) {
    const mask = (0xff00 >> Math.max(0, Math.min(8, length - 8 * i))) & 0xff;
    bytes[i] = (address[i] ?? 0) & mask;
    last[i] = (address[i] ?? 0) | (~mask & 0xff);
  }
  return { bytes, length, first: hex(bytes), last: hex(last) };
}

function hexBytes(digits: string): Uint8Array {
  return new Uint8Array(Buffer.from(digits, 'hex'));
}
