import { createHash } from 'node:crypto';
import { encodeDnsName, ipToBytes, parseDnsName, parseIp } from '@cable/model';
import type { Dhcp6Option } from './dhcp6-message.ts';

/** Option codes (RFC 8415 §24; 3646, 4075, 5908, 5970). */
export const OPTION6 = {
  clientId: 1,
  serverId: 2,
  iaNa: 3,
  iaTa: 4,
  iaAddress: 5,
  requestedOptions: 6,
  preference: 7,
  statusCode: 13,
  rapidCommit: 14,
  userClass: 15,
  dnsServers: 23,
  domainSearch: 24,
  iaPd: 25,
  sntpServers: 31,
  refreshSeconds: 32,
  ntpServer: 56,
  bootfileUrl: 59,
  bootfileParameters: 60,
} as const;

function addressBytes(text: string): Uint8Array | undefined {
  const ip = parseIp(text);
  return ip?.version === 6 ? ipToBytes(ip) : undefined;
}

function domainBytes(text: string): Uint8Array | undefined {
  const name = parseDnsName(text);
  return name === undefined || name.length === 0 ? undefined : encodeDnsName(name);
}

/** Option 23: the addresses that are IPv6, each once. Undefined: there is none. */
export function dnsServersOption(addresses: readonly string[]): Dhcp6Option | undefined {
  const all = [...new Set(addresses)].map(addressBytes).filter((bytes) => bytes !== undefined);
  return all.length === 0 ? undefined : { code: OPTION6.dnsServers, value: Buffer.concat(all) };
}

/** Option 24: domains that are names, each once, uncompressed (RFC 8415 §10). Undefined: there is none. */
export function domainSearchOption(domains: readonly string[]): Dhcp6Option | undefined {
  const all = [...new Set(domains)].map(domainBytes).filter((bytes) => bytes !== undefined);
  return all.length === 0 ? undefined : { code: OPTION6.domainSearch, value: Buffer.concat(all) };
}

/** Option 13 (RFC 8415 §21.13). */
export function statusOption(code: number, text: string): Dhcp6Option {
  return {
    code: OPTION6.statusCode,
    value: Buffer.concat([Uint8Array.of(code >>> 8, code & 255), new TextEncoder().encode(text)]),
  };
}

/** Four bytes in network order. */
export function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);
}

/**
 * The server's identity in a network (RFC 6355, DUID-UUID): the same on every host and after every start, so that a guest that was moved
 * to another host finds its server again.
 */
export function serverDuid(networkId: string): Uint8Array {
  const uuid = createHash('sha256').update(`cable dhcpv6 server ${networkId}`).digest().subarray(0, 16);
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x80;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return Buffer.concat([Uint8Array.of(0, 4), uuid]);
}
