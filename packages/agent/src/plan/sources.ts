import type { LocalPort } from '@cable/model';
import { type Prefix, parseMac, parsePrefix } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';

/** Bits before the address in the key: ifindex, MAC, padding. */
const HEAD_BITS = 96;

/**
 * Entries of cb_source_1: what the VIF may send from. Its MAC with each fixed address, and each allowed address pair; none when port
 * security is off. (A DHCP client's 0.0.0.0 is let through by the data plane.)
 */
export function sourceEntries(port: LocalPort, ifindex: number, mac: Uint8Array): readonly Planned[] {
  if (!port.portSecurityEnabled) return [];
  const own = port.fixedIps.map((ip) => ({ mac, prefix: parsePrefix(ip.ipAddress) }));
  const pairs = port.allowedAddressPairs.map((pair) => ({
    mac: parseMac(pair.macAddress),
    prefix: parsePrefix(pair.ipAddress),
  }));
  return [...own, ...pairs].flatMap((one) =>
    one.mac === undefined || one.prefix === undefined ? [] : [source(ifindex, one.mac, one.prefix)],
  );
}

function source(ifindex: number, mac: Uint8Array, prefix: Prefix): Planned {
  const key = { prefixlen: HEAD_BITS + prefix.length, ifindex, mac, addr: prefix.bytes };
  return encodeEntry('cb_source_1', key, { flags: 0 });
}
