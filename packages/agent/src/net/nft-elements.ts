/** Parts of elements of maps and sets of nf_tables, in bytes. */
import { isIPv6 } from 'node:net';
import { cidrContains, formatIp, type IpPrefix, lastIp, parseCidr } from '@cable/model';
import { parseAddress } from '../plan/address.ts';

/** Of an address; of what is none zeros. */
export function addressBytes(text: string): Uint8Array {
  const address = parseAddress(text) ?? new Uint8Array(16);
  return isIPv6(text) ? address : address.subarray(12);
}

export function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}

/** One after the other, each filled up to words of 4 bytes. */
export function words(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map((part) => Buffer.concat([part, Buffer.alloc(-part.length & 3)]))));
}

/** First and last address of a prefix. */
export type AddressRange = { readonly first: Uint8Array; readonly last: Uint8Array };

/** Prefixes that are in no other of them, as ranges: the kernel takes none that overlap. All are of one version of IP. */
export function outermost(prefixes: readonly string[]): readonly AddressRange[] {
  const all = [...new Set(prefixes)].flatMap((text) => parseCidr(text) ?? []).sort(byPlace);
  const outer: IpPrefix[] = [];
  for (const prefix of all) {
    const before = outer.at(-1);
    if (before === undefined || !cidrContains(before, prefix.base)) outer.push(prefix);
  }
  return outer.map((prefix) => ({
    first: addressBytes(formatIp(prefix.base)),
    last: addressBytes(formatIp(lastIp(prefix))),
  }));
}

/** One that contains others stands before them. */
function byPlace(one: IpPrefix, other: IpPrefix): number {
  const [a, b] = [one.base.value, other.base.value];
  return a === b ? one.prefixLength - other.prefixLength : a < b ? -1 : 1;
}
