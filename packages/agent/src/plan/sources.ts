import type { LocalPort } from '@cable/model';
import { CB_SOURCE_F_PAIR } from '../bpf/abi.gen.ts';
import { hostPrefix, linkLocalOf, type Prefix, parseAddress, parseMac, parsePrefix } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';

/** Bits before the address in the key: VIF, MAC. */
const HEAD_BITS = 64;
/** Of a prefix that is one address. */
const HOST_BITS = 128;

/** A MAC with the addresses that may be sent from with it. */
export type Source = {
  readonly mac: Uint8Array;
  readonly prefix: Prefix;
  /** Of an allowed address pair, which others may have too. */
  readonly isPair?: boolean;
};

/**
 * What the port may send from: its MAC with each fixed address, each allowed address pair, and each of these MACs with the link-local IPv6 address that
 * follows from it. Text: what cannot be read; with the rest of it
 * the port would run with less than was asked for.
 */
export function sourcesOf(port: LocalPort, mac: Uint8Array): readonly Source[] | string {
  const sources: Source[] = [linkLocalSource(mac)];
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
    sources.push({ mac: pairMac, prefix, isPair: true }, linkLocalSource(pairMac));
  }
  return sources;
}

function linkLocalSource(mac: Uint8Array): Source {
  return { mac, prefix: hostPrefix(linkLocalOf(mac)) };
}

/** Entries of cb_source_2. (A DHCP client's 0.0.0.0 is let through by the data plane.) */
export function sourceEntries(sources: readonly Source[], vif: number): readonly Planned[] {
  const planned = new Map<string, Planned>();
  for (const { mac, prefix, isPair } of sources) {
    const key = { prefixlen: HEAD_BITS + prefix.length, vif, mac, addr: prefix.bytes };
    const entry = encodeEntry('cb_source_2', key, {
      flags: isPair === true && prefix.length === HOST_BITS ? CB_SOURCE_F_PAIR : 0,
    });
    planned.set(entry.key, entry);
  }
  return [...planned.values()];
}
