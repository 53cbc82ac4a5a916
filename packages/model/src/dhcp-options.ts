/** What `extra_dhcp_opts` of a port can say: dnsmasq's names of options, the forms of their values, and what goes over the wire. */
import { cidrContains, ipToBytes, parseCidr, parseIp } from './address.ts';
import { encodeDnsName, parseDnsName } from './dns-name.ts';

/** The guests that an option is for: iPXE and other boot code take different files. */
export type DhcpClientKind = 'any' | 'ipxe' | 'not-ipxe';

/** An option as bytes. No bytes: the server's own option of that code is left out. Code 255 of DHCPv4 is no option: the field `siaddr`. */
export type ExtraDhcpOption = { readonly code: number; readonly value: Uint8Array; readonly client: DhcpClientKind };

/** `reason`: what is wrong, beginning with `opt_name` or `opt_value`, and what would be right. */
export type ParsedDhcpOption =
  | { readonly ok: true; readonly option: ExtraDhcpOption }
  | { readonly ok: false; readonly reason: string };

/** The code by which dnsmasq, and so Neutron, names DHCPv4's field `siaddr`: the TFTP server of the next boot stage. */
export const SERVER_IP_ADDRESS = 255;

/** Names whose value may be empty: the option is not sent then. */
export const BLANK_DHCP_OPTIONS: readonly string[] = ['router', 'classless-static-route'];

/** What a value is made of. */
type Form =
  | 'address'
  | 'addresses'
  | 'address pairs'
  | 'domains'
  | 'flag'
  | 'byte'
  | 'short'
  | 'long'
  | 'signed'
  | 'routes'
  | 'sip'
  | 'ntp'
  | 'parameters'
  | 'text'
  | 'bytes';

type Known = readonly [code: number, form: Form];

/** dnsmasq's names (RFC 2132, 3397, 3361, 3442, 3925, 5859). */
const NAMES4: Readonly<Record<string, Known>> = {
  netmask: [1, 'address'],
  'time-offset': [2, 'signed'],
  router: [3, 'addresses'],
  'dns-server': [6, 'addresses'],
  'log-server': [7, 'addresses'],
  'lpr-server': [9, 'addresses'],
  hostname: [12, 'text'],
  'boot-file-size': [13, 'short'],
  'domain-name': [15, 'text'],
  'swap-server': [16, 'addresses'],
  'root-path': [17, 'text'],
  'extension-path': [18, 'text'],
  'ip-forward-enable': [19, 'flag'],
  'non-local-source-routing': [20, 'flag'],
  'policy-filter': [21, 'address pairs'],
  'max-datagram-reassembly': [22, 'short'],
  'default-ttl': [23, 'byte'],
  mtu: [26, 'short'],
  'all-subnets-local': [27, 'flag'],
  broadcast: [28, 'address'],
  'router-discovery': [31, 'flag'],
  'router-solicitation': [32, 'address'],
  'static-route': [33, 'address pairs'],
  'trailer-encapsulation': [34, 'flag'],
  'arp-timeout': [35, 'long'],
  'ethernet-encap': [36, 'flag'],
  'tcp-ttl': [37, 'byte'],
  'tcp-keepalive': [38, 'long'],
  'nis-domain': [40, 'text'],
  'nis-server': [41, 'addresses'],
  'ntp-server': [42, 'addresses'],
  'vendor-encap': [43, 'bytes'],
  'netbios-ns': [44, 'addresses'],
  'netbios-dd': [45, 'addresses'],
  'netbios-nodetype': [46, 'byte'],
  'netbios-scope': [47, 'text'],
  'x-windows-fs': [48, 'addresses'],
  'x-windows-dm': [49, 'addresses'],
  'vendor-class': [60, 'text'],
  'nis+-domain': [64, 'text'],
  'nis+-server': [65, 'addresses'],
  'tftp-server': [66, 'text'],
  'bootfile-name': [67, 'text'],
  'mobile-ip-home': [68, 'addresses'],
  'smtp-server': [69, 'addresses'],
  'pop3-server': [70, 'addresses'],
  'nntp-server': [71, 'addresses'],
  'irc-server': [74, 'addresses'],
  'user-class': [77, 'text'],
  'posix-timezone': [100, 'text'],
  'tzdb-timezone': [101, 'text'],
  'domain-search': [119, 'domains'],
  'sip-server': [120, 'sip'],
  'classless-static-route': [121, 'routes'],
  'vendor-id-encap': [125, 'bytes'],
  'tftp-server-address': [150, 'addresses'],
  'server-ip-address': [SERVER_IP_ADDRESS, 'address'],
};

/** dnsmasq's names (RFC 3319, 3646, 3898, 4075, 4242, 5908, 5970). */
const NAMES6: Readonly<Record<string, Known>> = {
  'sip-server-domain': [21, 'domains'],
  'sip-server': [22, 'addresses'],
  'dns-server': [23, 'addresses'],
  'domain-search': [24, 'domains'],
  'nis-server': [27, 'addresses'],
  'nis-domain': [29, 'domains'],
  'sntp-server': [31, 'addresses'],
  'information-refresh-time': [32, 'long'],
  'ntp-server': [56, 'ntp'],
  'bootfile-url': [59, 'text'],
  'bootfile-param': [60, 'parameters'],
};

/** A second code of an option that has a name. */
const ALSO4: ReadonlyMap<number, Form> = new Map([[249, 'routes']]);

/** What the protocol itself says: identities, leases, status, transport, security. No configuration may set it. */
const PROTOCOL4 = new Set([0, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 80, 81, 82, 90, 118, 145]);
const PROTOCOL6 = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 18, 19, 20, 25, 26, 39]);

const MAX_VALUE_BYTES = 1024;

const WANTS: Readonly<Record<Form, string>> = {
  address: 'an address',
  addresses: 'addresses, separated by commas',
  'address pairs': 'pairs of addresses, all separated by commas',
  domains: 'domain names, separated by commas',
  flag: '0 or 1',
  byte: 'a number up to 255',
  short: 'a number up to 65535',
  long: 'a number up to 4294967295',
  signed: 'a number of seconds, which may be negative',
  routes: 'prefixes and next hops by turns, separated by commas',
  sip: 'IPv4 addresses or domain names, separated by commas',
  ntp: 'IPv6 addresses or host names, separated by commas',
  parameters: 'parameters, separated by commas',
  text: 'text on one line',
  bytes: 'bytes as hex with colons between, or text',
};

/**
 * One of a port's `extra_dhcp_opts`. `name`: dnsmasq's, or a code; before it `option:` or `option6:`, or with a comma behind them the tags that Ironic
 * uses: `tag:ipxe` for iPXE alone, `tag:!ipxe` for all others (`tag:ipxe6`, `tag:!ipxe6`; `!175`, for who does not send iPXE's option).
 */
export function parseExtraDhcpOption(ipVersion: 4 | 6, name: string, value: string): ParsedDhcpOption {
  const { bare, client } = splitName(name);
  const names = ipVersion === 4 ? NAMES4 : NAMES6;
  const known = knownOption(names, ipVersion, bare);
  if (known === undefined && !/^[1-9][0-9]{0,4}$/.test(bare)) {
    return refused(
      `opt_name: ${name}: no such option of DHCPv${ipVersion}: give a number, or one of ${Object.keys(names).join(', ')}`,
    );
  }
  const [code, form] = known ?? [Number(bare), undefined];
  if (code > (ipVersion === 4 ? SERVER_IP_ADDRESS : 65_535))
    return refused(`opt_name: ${name}: the number is too large`);
  if ((ipVersion === 4 ? PROTOCOL4 : PROTOCOL6).has(code)) {
    return refused(`opt_name: ${name}: the DHCP server alone sets this option: leave it out`);
  }
  if (value === '' && isBlankable(names, code)) return { ok: true, option: { code, value: new Uint8Array(0), client } };
  const encoded = form === undefined ? encodeUnknown(ipVersion, value) : encodeValue(form, ipVersion, value);
  if (encoded === undefined || encoded.length === 0)
    return refused(`opt_value: ${name} wants ${WANTS[form ?? 'text']}`);
  if (encoded.length > MAX_VALUE_BYTES) return refused(`opt_value: ${name} has more than ${MAX_VALUE_BYTES} bytes`);
  return { ok: true, option: { code, value: encoded, client } };
}

/** True for a name that dnsmasq knows in that version, with or without what may stand before it. */
export function isDhcpOptionName(ipVersion: 4 | 6, name: string): boolean {
  return Object.hasOwn(ipVersion === 4 ? NAMES4 : NAMES6, splitName(name).bare);
}

/** True for the identifier by which a DHCPv4 client is to be known, which no server sends: Ironic says so what InfiniBand ports send. */
export function isDhcpClientIdentifier(name: string): boolean {
  return ['61', 'client-id'].includes(splitName(name).bare);
}

function splitName(name: string): { readonly bare: string; readonly client: DhcpClientKind } {
  const tagged = /^(?:tag:(!?)ipxe6?|(!)175),(.*)$/.exec(name);
  const bare = (tagged?.[3] ?? name).replace(/^option6?:/, '');
  const isNot = tagged?.[1] === '!' || tagged?.[2] === '!';
  return { bare, client: tagged === null ? 'any' : isNot ? 'not-ipxe' : 'ipxe' };
}

function knownOption(names: Readonly<Record<string, Known>>, ipVersion: 4 | 6, bare: string): Known | undefined {
  if (Object.hasOwn(names, bare)) return names[bare];
  const numbered = Object.values(names).find(([code]) => String(code) === bare);
  if (numbered !== undefined) return numbered;
  const also = ipVersion === 4 ? ALSO4.get(Number(bare)) : undefined;
  return also === undefined ? undefined : [Number(bare), also];
}

function isBlankable(names: Readonly<Record<string, Known>>, code: number): boolean {
  return BLANK_DHCP_OPTIONS.some((name) => names[name]?.[0] === code);
}

function refused(reason: string): ParsedDhcpOption {
  return { ok: false, reason };
}

function encodeValue(form: Form, ipVersion: 4 | 6, text: string): Uint8Array | undefined {
  const parts = text.split(',').map((part) => part.trim());
  const address = (part: string): Uint8Array | undefined => addressBytes(ipVersion, part);
  switch (form) {
    case 'address':
      return address(text.trim());
    case 'addresses':
      return concatAll(parts.map(address));
    case 'address pairs':
      return parts.length % 2 === 0 ? concatAll(parts.map(address)) : undefined;
    case 'domains':
      return concatAll(parts.map(domainBytes));
    case 'flag':
      return /^[01]$/.test(text) ? Uint8Array.of(Number(text)) : undefined;
    case 'byte':
      return numberBytes(text, 1);
    case 'short':
      return numberBytes(text, 2);
    case 'long':
      return numberBytes(text, 4);
    case 'signed':
      return signedBytes(text);
    case 'routes':
      return routeBytes(parts);
    case 'sip':
      return prefixed(1, concatAll(parts.map(address))) ?? prefixed(0, concatAll(parts.map(domainBytes)));
    case 'ntp':
      return concatAll(parts.map(timeSource));
    case 'parameters':
      return concatAll(parts.map((part) => withLength(new TextEncoder().encode(part))));
    case 'text':
      return textBytes(text);
    case 'bytes':
      return hexBytes(text) ?? textBytes(text);
  }
}

/** Of an option without a known form, as dnsmasq reads it: hex with colons, addresses, a number (DHCPv4), else text. */
function encodeUnknown(ipVersion: 4 | 6, text: string): Uint8Array | undefined {
  const bare = ipVersion === 6 ? text.replace(/[[\]]/g, '') : text;
  const read = hexBytes(text) ?? encodeValue('addresses', ipVersion, bare);
  if (read !== undefined) return read;
  if (ipVersion === 4) return numberBytes(text, 1) ?? numberBytes(text, 2) ?? numberBytes(text, 4) ?? textBytes(text);
  return textBytes(text);
}

function textBytes(text: string): Uint8Array | undefined {
  return /[\r\n\0]/.test(text) ? undefined : new TextEncoder().encode(text);
}

function hexBytes(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})+$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (byte) => Number(`0x${byte}`));
}

function numberBytes(text: string, size: 1 | 2 | 4): Uint8Array | undefined {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value < 2 ** (8 * size))) return undefined;
  return Uint8Array.from({ length: size }, (_, index) => Math.floor(value / 2 ** (8 * (size - 1 - index))) & 255);
}

function signedBytes(text: string): Uint8Array | undefined {
  const value = /^-?[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(Math.abs(value) < 2 ** 31)) return undefined;
  return numberBytes(String(value < 0 ? value + 2 ** 32 : value), 4);
}

function addressBytes(ipVersion: 4 | 6, text: string): Uint8Array | undefined {
  const ip = parseIp(ipVersion === 6 ? text.replace(/^\[(.*)\]$/, '$1') : text);
  if (ip?.version !== ipVersion) return undefined;
  return ipVersion === 4 ? ipToBytes(ip).slice(12) : ipToBytes(ip);
}

function domainBytes(text: string): Uint8Array | undefined {
  const name = parseDnsName(text);
  return name === undefined || name.length === 0 ? undefined : encodeDnsName(name);
}

/** RFC 3442: prefix length, the significant octets of the destination, the next hop. */
function routeBytes(parts: readonly string[]): Uint8Array | undefined {
  if (parts.length % 2 !== 0) return undefined;
  const routes = Array.from({ length: parts.length / 2 }, (_, index) => {
    const prefix = parseCidr(parts[2 * index] ?? '');
    const nexthop = addressBytes(4, parts[2 * index + 1] ?? '');
    if (prefix === undefined || prefix.base.version !== 4 || nexthop === undefined) return undefined;
    const octets = ipToBytes(prefix.base).slice(12, 12 + Math.ceil(prefix.prefixLength / 8));
    return Uint8Array.of(prefix.prefixLength, ...octets, ...nexthop);
  });
  return concatAll(routes);
}

const MULTICAST6 = parseCidr('ff00::/8');

/** One suboption of RFC 5908 §4: an address (1), a multicast address (2), or a name (3). */
function timeSource(text: string): Uint8Array | undefined {
  const ip = parseIp(text.replace(/^\[(.*)\]$/, '$1'));
  const address = ip?.version === 6 ? ipToBytes(ip) : undefined;
  const value = address ?? domainBytes(text);
  if (value === undefined) return undefined;
  const isMulticast = ip !== undefined && MULTICAST6 !== undefined && cidrContains(MULTICAST6, ip);
  const kind = address === undefined ? 3 : isMulticast ? 2 : 1;
  return concatAll([Uint8Array.of(0, kind), withLength(value)]);
}

function withLength(value: Uint8Array): Uint8Array {
  return Uint8Array.of(value.length >>> 8, value.length & 255, ...value);
}

function prefixed(first: number, rest: Uint8Array | undefined): Uint8Array | undefined {
  return rest === undefined ? undefined : Uint8Array.of(first, ...rest);
}

function concatAll(parts: readonly (Uint8Array | undefined)[]): Uint8Array | undefined {
  const whole = parts.filter((part) => part !== undefined);
  return whole.length === parts.length ? Uint8Array.from(whole.flatMap((part) => [...part])) : undefined;
}
