import { formatIp, ipFromBytes, ipToBytes, isUuid, mappedPrefixLength, parseIp, parseIpOrCidr } from '@cable/model';

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
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined) return mappedBytes(ipv4);
  const ip = parseIp(text);
  return ip === undefined ? undefined : ipToBytes(ip);
}

/** A CIDR, or an address as the prefix that holds only it; host bits are cleared. Undefined when malformed. */
export function parsePrefix(text: string): Prefix | undefined {
  const ipv4 = parseIpv4(text);
  if (ipv4 !== undefined) return { bytes: mappedBytes(ipv4), length: 128, order: mappedOrder(ipv4) };
  const prefix = parseIpOrCidr(text);
  if (prefix === undefined) return undefined;
  const bytes = ipToBytes(prefix.base);
  const length = mappedPrefixLength(prefix);
  return { bytes, length, order: `${hex(bytes)}/${String(length).padStart(3, '0')}` };
}

/** `Prefix.order` of the text. */
export function parseOrder(text: string): string | undefined {
  const ipv4 = parseIpv4(text);
  return ipv4 === undefined ? parsePrefix(text)?.order : mappedOrder(ipv4);
}

/** As a number, without the detour that the general form takes: there are hundreds of thousands of these. */
function parseIpv4(text: string): number | undefined {
  let value = 0;
  let octet = -1;
  let octets = 1;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === DOT && octet >= 0) {
      value = value * 256 + octet;
      octet = -1;
      octets += 1;
    } else if (code >= ZERO && code <= NINE && octet !== 0) {
      octet = octet < 0 ? code - ZERO : octet * 10 + (code - ZERO);
      if (octet > 255) return undefined;
    } else return undefined;
  }
  return octets === 4 && octet >= 0 ? value * 256 + octet : undefined;
}

const DOT = 46;
const ZERO = 48;
const NINE = 57;
const LETTER_A = 97;

function mappedBytes(ipv4: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[10] = 0xff;
  bytes[11] = 0xff;
  bytes[12] = ipv4 >>> 24;
  bytes[13] = ipv4 >>> 16;
  bytes[14] = ipv4 >>> 8;
  bytes[15] = ipv4;
  return bytes;
}

/** Order of an IPv4 address: all but eight digits is always the same. */
const orderBytes = Buffer.from('00000000000000000000ffff00000000/128');

/** Made in one piece: of several, the string would keep them. */
function mappedOrder(ipv4: number): string {
  for (let digit = 0; digit < 8; digit += 1) {
    const value = (ipv4 >>> (28 - 4 * digit)) & 0xf;
    orderBytes[24 + digit] = value < 10 ? ZERO + value : LETTER_A + value - 10;
  }
  return orderBytes.toString('latin1');
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
  if (text.length !== MAC_TEXT_LENGTH) return undefined;
  const separator = text.charCodeAt(2);
  if (separator !== COLON && separator !== HYPHEN) return undefined;
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i += 1) {
    const high = hexDigit(text.charCodeAt(3 * i));
    const low = hexDigit(text.charCodeAt(3 * i + 1));
    if (high < 0 || low < 0 || (i < 5 && text.charCodeAt(3 * i + 2) !== separator)) return undefined;
    bytes[i] = high * 16 + low;
  }
  return bytes;
}

const MAC_TEXT_LENGTH = 17;
const COLON = 58;
const HYPHEN = 45;

/** -1: it is none. */
function hexDigit(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  const letter = code | 0x20;
  return letter >= LETTER_A && letter < LETTER_A + 6 ? letter - LETTER_A + 10 : -1;
}

/** The link-local IPv6 address that a device with this MAC gives itself (RFC 4291, appendix A). */
export function linkLocalOf(mac: Uint8Array): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac;
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f);
}

/** A single address as a prefix. */
export function hostPrefix(bytes: Uint8Array): Prefix {
  return { bytes, length: 128, order: `${hex(bytes)}/128` };
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

/** So many bytes of which the first `length` bits are set; none where that is less than 0. */
export function maskBytes(length: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => 0xff & ~(0xff >> Math.min(8, Math.max(0, length - 8 * at))));
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
