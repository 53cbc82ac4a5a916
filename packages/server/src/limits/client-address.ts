/** From which address a request comes: that of its connection, or what a proxy says that is trusted. */
import type { IncomingMessage } from 'node:http';
import { cidrContains, formatIp, type IpAddress, type IpPrefix, isMappedIp, maskIp, parseIp } from '@cable/model';

/** In which header proxies say for whom they ask. */
export type ProxyHeader = 'x-forwarded-for' | 'forwarded';

/** Whom to believe of proxies. */
export type ProxyTrust = {
  readonly proxies: readonly IpPrefix[];
  readonly header: ProxyHeader;
};

/** One customer has a whole prefix of this length, and as many addresses as he likes in it. */
const IPV6_PREFIX = 64;

type Asking = Pick<IncomingMessage, 'headers' | 'socket'>;

/**
 * Address that a request counts for; undefined: its connection has none (a Unix socket). Each proxy adds, at the right, the address that it was asked from; so the hops are walked
 * from the right for as long as who names the next is trusted. What comes after a hop that is no address is a stranger's text.
 */
export function clientAddress({ headers, socket }: Asking, { proxies, header }: ProxyTrust): IpAddress | undefined {
  let address = plain(parseIp((socket.remoteAddress ?? '').split('%', 1)[0] ?? ''));
  if (address === undefined || proxies.length === 0) return address;
  const given = headers[header];
  const hops = typeof given === 'string' ? hopsOf(header, given) : [];
  while (isAmong(address, proxies)) {
    const before = plain(parseIp(hops.pop() ?? ''));
    if (before === undefined) return address;
    address = before;
  }
  return address;
}

/** True: the address is in one of the prefixes. */
export function isAmong(ip: IpAddress, prefixes: readonly IpPrefix[]): boolean {
  return prefixes.some((prefix) => cidrContains(prefix, ip));
}

/** What an address is counted under: itself, or the /64 that it is of. */
export function countedAs(ip: IpAddress): string {
  return ip.version === 4 ? formatIp(ip) : `${formatIp(maskIp(ip, IPV6_PREFIX))}/${IPV6_PREFIX}`;
}

/** An IPv4 address that a socket of both versions shows as ::ffff:192.0.2.1 is one of IPv4. */
function plain(ip: IpAddress | undefined): IpAddress | undefined {
  if (ip === undefined || !isMappedIp(ip)) return ip;
  return { version: 4, value: ip.value & 0xffffffffn };
}

/** The addresses in the order of the header, as text without ports. */
function hopsOf(header: ProxyHeader, text: string): string[] {
  if (header === 'x-forwarded-for') return text.split(',').map((hop) => withoutPort(hop.trim()));
  return text.split(',').map((element) => withoutPort(/(?:^|;)\s*for="?([^";\s]+)"?/i.exec(element)?.[1] ?? ''));
}

/** Of `192.0.2.1:4711`, `[2001:db8::1]:4711`, `[2001:db8::1]` and addresses alone. */
function withoutPort(hop: string): string {
  return /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}
