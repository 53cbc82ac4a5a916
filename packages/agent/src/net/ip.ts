/** Addresses and prefixes between text and the 4 or 16 bytes that rtnetlink wants. */
import { formatIp, ipFromBytes, ipToBytes, parseCidr, parseIp } from '@cable/model';
import { NetlinkError } from '../ffi/errno.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;

export type IpBytes = { readonly family: typeof AF_INET | typeof AF_INET6; readonly bytes: Uint8Array };

/** An address with the length of its prefix; host bits may be set. */
export type PrefixBytes = IpBytes & { readonly length: number };

const MAPPED = 12;

/** EINVAL when the text is no address. */
export function encodeIp(text: string): IpBytes {
  const ip = parseIp(text);
  if (ip === undefined) throw new NetlinkError(`use ${text}`, 'EINVAL', 'not an IP address');
  const bytes = ipToBytes(ip);
  return ip.version === 4 ? { family: AF_INET, bytes: bytes.slice(MAPPED) } : { family: AF_INET6, bytes };
}

/** EINVAL when the text is not `address/length`. */
export function encodePrefix(text: string): PrefixBytes {
  const slash = text.lastIndexOf('/');
  if (slash < 0 || parseCidr(text, true) === undefined) {
    throw new NetlinkError(`use ${text}`, 'EINVAL', 'not an IP address with a prefix length');
  }
  return { ...encodeIp(text.slice(0, slash)), length: Number(text.slice(slash + 1)) };
}

/** As users write it; of 4 or 16 bytes. */
export function decodeIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const ip = ipFromBytes(bytes);
  return ip === undefined ? '' : formatIp(ip);
}
