import {
  formatIp,
  ipFromBytes,
  ipToBytes,
  isUuid,
  macToBytes,
  mappedPrefixLength,
  parseIp,
  parseIpOrCidr,
  parseMac as parseMacText,
} from '@cable/model';

/** A prefix in the vrouter's 128-bit form: IPv4 as ::ffff:a.b.c.d, so that an IPv4 /24 has length 120. Host bits are zero. */
export type Prefix = {
  readonly bytes: Uint8Array;
  /** 0..128. */
  readonly length: number;
  /**
   * Identity of the prefix as text: its address in lower-case hex, a slash, its length in three digits. In sorted order a containing prefix
   * stands before the contained.
   */
  readonly order: string;
};

/** 16 zero bytes: the ABI's "no address". */
export const NO_ADDRESS: Uint8Array = new Uint8Array(16);

/** The 128-bit form of an IPv4 or IPv6 address; undefined when the text is neither. */
export function parseAddress(text: string): Uint8Array | undefined {
  const ip = parseIp(text);
  return ip === undefined ? undefined : ipToBytes(ip);
}

/** A CIDR, or an address as the prefix that holds only it; host bits are cleared. Undefined when malformed. */
export function parsePrefix(text: string): Prefix | undefined {
  const prefix = parseIpOrCidr(text);
  if (prefix === undefined) return undefined;
  const bytes = ipToBytes(prefix.base);
  const length = mappedPrefixLength(prefix);
  return { bytes, length, order: `${hex(bytes)}/${String(length).padStart(3, '0')}` };
}

/** Whether the outer prefix holds every address of the inner one. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && orderAround(inner.order, outer.length) === outer.order;
}

/** `Prefix.order` of the prefix of this length around the one with that order. */
export function orderAround(order: string, length: number): string {
  const digits = length >> 2;
  const rest = length & 3;
  const part = rest === 0 ? '' : (Number.parseInt(order.charAt(digits), 16) & (0xf0 >> rest)).toString(16);
  return `${(order.slice(0, digits) + part).padEnd(32, '0')}/${String(length).padStart(3, '0')}`;
}

/** The last address, in hex, of the prefix with this order. */
export function lastOf(order: string): string {
  const length = Number(order.slice(-3));
  const digits = length >> 2;
  const rest = length & 3;
  const part = rest === 0 ? '' : (Number.parseInt(order.charAt(digits), 16) | (0xf >> rest)).toString(16);
  return (order.slice(0, digits) + part).padEnd(32, 'f');
}

/** The bytes of the prefix with this order. */
export function bytesOf(order: string): Uint8Array {
  return new Uint8Array(Buffer.from(order.slice(0, 32), 'hex'));
}

/** The six bytes of a MAC address; undefined when malformed. */
export function parseMac(text: string): Uint8Array | undefined {
  const mac = parseMacText(text);
  return mac === undefined ? undefined : macToBytes(mac);
}

/** The sixteen bytes of a UUID; undefined when malformed. */
export function parseUuid(text: string): Uint8Array | undefined {
  return isUuid(text) ? new Uint8Array(Buffer.from(text.replaceAll('-', ''), 'hex')) : undefined;
}

/** A view of a small array's own memory would move it off the heap, at many times the cost of a copy. */
const scratch = Buffer.alloc(1024);

/** Lower-case hex of the bytes. */
export function hex(bytes: Uint8Array): string {
  if (bytes.length > scratch.length) return Buffer.from(bytes).toString('hex');
  scratch.set(bytes);
  return scratch.toString('hex', 0, bytes.length);
}

/** Whether the 128-bit form holds an IPv4 address. */
export function isMapped(bytes: Uint8Array): boolean {
  return ipFromBytes(bytes)?.version === 4;
}

/** An address as users write it; empty for all zero, the ABI's "no address". */
export function formatAddress(bytes: Uint8Array): string {
  const ip = ipFromBytes(bytes);
  return ip === undefined || ip.value === 0n ? '' : formatIp(ip);
}

/** A prefix of the 128-bit form as users write it: `10.0.0.0/24`; a single address without its length. */
export function formatPrefix(bytes: Uint8Array, length: number): string {
  const ip = ipFromBytes(bytes);
  if (ip === undefined) return '';
  if (length === 128) return formatIp(ip);
  return `${formatIp(ip)}/${ip.version === 4 ? length - 96 : length}`;
}

/** A MAC address with colons. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** A UUID with hyphens. */
export function formatUuid(bytes: Uint8Array): string {
  return hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
