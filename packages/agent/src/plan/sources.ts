import type { LocalPort } from '@cable/model';
import { type Prefix, parseAddress, parseMac, parsePrefix } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';

/** Bits before the address in the key: ifindex, MAC, padding. */
const HEAD_BITS = 96;

/** A MAC with the addresses that may be sent from with it. */
export type Source = { readonly mac: Uint8Array; readonly prefix: Prefix };

/**
 * What the port may send from: its MAC with each fixed address, and each allowed address pair. Text: what cannot be read; with the rest of it
 * the port would run with less than was asked for.
 */
export function sourcesOf(port: LocalPort, mac: Uint8Array): readonly Source[] | string {
  const sources: Source[] = [];
  for (const { ipAddress } of port.fixedIps) {
    const prefix = parseAddress(ipAddress) && parsePrefix(ipAddress);
    if (prefix === undefined) return `fixed_ips: ${ipAddress} is not an IP address`;
    sources.push({ mac, prefix });
  }
  for (const pair of port.allowedAddressPairs) {
    const pairMac = parseMac(pair.macAddress);
    if (pairMac === undefined) return `allowed_address_pairs: ${pair.macAddress} is not a MAC address`;
    const prefix = parsePrefix(pair.ipAddress);
    if (prefix === undefined) return `allowed_address_pairs: ${pair.ipAddress} is not an IP address or prefix`;
    sources.push({ mac: pairMac, prefix });
  }
  return sources;
}

/** Entries of cb_source_1. (A DHCP client's 0.0.0.0 is let through by the data plane.) */
export function sourceEntries(sources: readonly Source[], ifindex: number): readonly Planned[] {
  return sources.map(({ mac, prefix }) => {
    const key = { prefixlen: HEAD_BITS + prefix.length, ifindex, mac, addr: prefix.bytes };
    return encodeEntry('cb_source_1', key, { flags: 0 });
  });
}
