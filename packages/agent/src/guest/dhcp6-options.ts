import { createHash } from 'node:crypto';
import { ipToBytes, parseIp } from '@cable/model';
import type { Dhcp6Option } from './dhcp6-message.ts';
import { encodeDnsName, parseDnsName } from './dns-name.ts';

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
  dnsServers: 23,
  domainSearch: 24,
  iaPd: 25,
  sntpServers: 31,
  refreshSeconds: 32,
  ntpServer: 56,
  bootfileUrl: 59,
  bootfileParameters: 60,
} as const;

/** What a value of `extra_dhcp_opts` is made of. */
type ValueKind = 'addresses' | 'domains' | 'text' | 'seconds' | 'ntp' | 'parameters';

/** Options that `extra_dhcp_opts` may set, by Neutron's (dnsmasq's) name. A number in place of the name means the same. */
const EXTRA: Readonly<Record<string, { readonly code: number; readonly kind: ValueKind }>> = {
  'dns-server': { code: OPTION6.dnsServers, kind: 'addresses' },
  'domain-search': { code: OPTION6.domainSearch, kind: 'domains' },
  'sip-server-domain': { code: 21, kind: 'domains' },
  'sip-server': { code: 22, kind: 'addresses' },
  'nis-server': { code: 27, kind: 'addresses' },
  'nis-domain': { code: 29, kind: 'domains' },
  'sntp-server': { code: OPTION6.sntpServers, kind: 'addresses' },
  'information-refresh-time': { code: OPTION6.refreshSeconds, kind: 'seconds' },
  'ntp-server': { code: OPTION6.ntpServer, kind: 'ntp' },
  'bootfile-url': { code: OPTION6.bootfileUrl, kind: 'text' },
  'bootfile-param': { code: OPTION6.bootfileParameters, kind: 'parameters' },
};

/** What the protocol itself says: identities, leases, status, transport, security. No configuration may set it. */
const PROTOCOL_CODES = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 18, 19, 20, 25, 26, 39]);
const MAX_VALUE_BYTES = 1024;

/** RFC 5908: what the time source is. */
const NTP_ADDRESS = 1;
const NTP_MULTICAST = 2;
const NTP_NAME = 3;

export type ExtraOption =
  | { readonly ok: true; readonly option: Dhcp6Option }
  | { readonly ok: false; readonly reason: string };

/** One of a port's `extra_dhcp_opts` with `ip_version` 6. `name`: as dnsmasq's, also with `option6:` before it, or a code. */
export function parseExtraOption(name: string, value: string): ExtraOption {
  const bare = name.replace(/^option6:/, '');
  const known = EXTRA[bare] ?? Object.values(EXTRA).find(({ code }) => String(code) === bare);
  if (known === undefined && !/^[1-9][0-9]{0,4}$/.test(bare))
    return refused(`opt_name: ${name}: no such option; names: ${Object.keys(EXTRA).join(', ')}, or a number`);
  const code = known?.code ?? Number(bare);
  if (code > 65_535 || PROTOCOL_CODES.has(code))
    return refused(`opt_name: ${name}: the DHCPv6 server alone sets this option`);
  const encoded = known === undefined ? encodeUnknown(value) : encodeValue(known.kind, value);
  if (encoded === undefined) return refused(`opt_value: ${name}: wants ${WANTS[known?.kind ?? 'text']}`);
  if (encoded.length > MAX_VALUE_BYTES) return refused(`opt_value: ${name}: has more than ${MAX_VALUE_BYTES} bytes`);
  return { ok: true, option: { code, value: encoded } };
}

const WANTS: Readonly<Record<ValueKind, string>> = {
  addresses: 'IPv6 addresses, separated by commas',
  domains: 'domain names, separated by commas',
  text: 'text',
  seconds: 'a number of seconds',
  ntp: 'IPv6 addresses or host names, separated by commas',
  parameters: 'parameters, separated by commas',
};

function refused(reason: string): ExtraOption {
  return { ok: false, reason };
}

function encodeValue(kind: ValueKind, text: string): Uint8Array | undefined {
  const parts = text.split(',').map((part) => part.trim());
  switch (kind) {
    case 'addresses':
      return concatAll(parts.map(addressBytes));
    case 'domains':
      return concatAll(parts.map(domainBytes));
    case 'text':
      return text === '' ? undefined : new TextEncoder().encode(text);
    case 'seconds':
      return /^[0-9]{1,10}$/.test(text) && Number(text) <= 0xffffffff ? uint32(Number(text)) : undefined;
    case 'ntp':
      return concatAll(parts.map(timeSource));
    case 'parameters':
      return concatAll(parts.map((part) => withLength(new TextEncoder().encode(part))));
  }
}

/** Of an option without a known form: bytes as hex with colons, else IPv6 addresses, else text. */
function encodeUnknown(text: string): Uint8Array | undefined {
  if (/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})*$/.test(text))
    return Uint8Array.from(text.split(':'), (byte) => Number(`0x${byte}`));
  return encodeValue('addresses', text.replace(/[[\]]/g, '')) ?? encodeValue('text', text);
}

function addressBytes(text: string): Uint8Array | undefined {
  const ip = parseIp(text.replace(/^\[(.*)\]$/, '$1'));
  return ip?.version === 6 ? ipToBytes(ip) : undefined;
}

function domainBytes(text: string): Uint8Array | undefined {
  const name = parseDnsName(text);
  return name === undefined || name.length === 0 ? undefined : encodeDnsName(name);
}

/** One suboption of RFC 5908 §4. */
function timeSource(text: string): Uint8Array | undefined {
  const address = addressBytes(text);
  const value = address ?? domainBytes(text);
  if (value === undefined) return undefined;
  const kind = address === undefined ? NTP_NAME : address[0] === 0xff ? NTP_MULTICAST : NTP_ADDRESS;
  return concatAll([Uint8Array.of(0, kind), withLength(value)]);
}

function withLength(value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(value.length >>> 8, value.length & 255), value]);
}

function concatAll(parts: readonly (Uint8Array | undefined)[]): Uint8Array | undefined {
  const whole = parts.filter((part) => part !== undefined);
  return whole.length === parts.length ? Buffer.concat(whole) : undefined;
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
