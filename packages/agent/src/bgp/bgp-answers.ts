/** What FRR's vtysh answers, as far as it is believed: all of it comes from neighbours. */
import {
  isRouteTarget,
  isUnderlayAddress,
  overlayIpVersion,
  parseCidr,
  parseIp,
  VPN_FIRST_LABEL,
  VPN_LAST_LABEL,
} from '@cable/model';
import { formatAddress, parseAddress } from '../plan/address.ts';

/** A route in bgpd's table. `version`: rises when it changes. */
export type ListedRoute = { readonly rd: string; readonly prefix: string; readonly version: number };

/** What there is to know of it. `targets`: route targets. */
export type ToldRoute = {
  readonly prefix: string;
  readonly nextHop: string;
  readonly label: number;
  readonly targets: readonly string[];
};

/** Why a route is not used. */
export type Refusal = 'next_hop' | 'label' | 'unreadable';

/** Routes that are looked at; what bgpd has beyond is passed over. */
export const LISTED_MAX = 8192;

/** Of `show bgp ipv4 vpn json`: those that neighbours told and bgpd prefers. Undefined: it is not what it should be. */
export function parseList(text: string): readonly ListedRoute[] | undefined {
  const answer = parseObject(text);
  const byRd = objectIn(objectIn(answer, 'routes'), 'routeDistinguishers');
  if (byRd === undefined) return undefined;
  const listed: ListedRoute[] = [];
  for (const [rd, prefixes] of Object.entries(byRd)) {
    if (!isRouteTarget(rd) || !isObject(prefixes)) continue;
    for (const [prefix, paths] of Object.entries(prefixes)) {
      const version = versionOf(paths);
      if (version === undefined || parseCidr(prefix) === undefined) continue;
      if (listed.length < LISTED_MAX) listed.push({ rd, prefix, version });
    }
  }
  return listed;
}

/** Of the best path; undefined: there is none, or it is this host's own. */
function versionOf(paths: unknown): number | undefined {
  if (!Array.isArray(paths)) return undefined;
  const best: unknown = paths.find((one) => isObject(one) && one['valid'] === true && one['bestpath'] === true);
  if (!isObject(best) || best['peerId'] === '(unspec)' || best['peerId'] === undefined) return undefined;
  const version = best['version'];
  return typeof version === 'number' ? version : undefined;
}

/** The several documents that vtysh writes one after the other for several commands. */
export function splitDocuments(text: string): readonly string[] {
  return text.split(/(?<=^\}\n)/m).filter((one) => one.trim() !== '');
}

/** Of `show bgp ipv4 vpn rd RD PREFIX json`. `underlay`: this host's own address. */
export function parseRoute(text: string, { rd, prefix }: ListedRoute, underlay: string): ToldRoute | Refusal {
  const paths = objectIn(parseObject(text), rd)?.['paths'];
  const all: readonly unknown[] = Array.isArray(paths) ? paths : [];
  const best = all.find((one) => isObject(one) && objectIn(one, 'bestpath')?.['overall'] === true);
  if (!isObject(best)) return 'unreadable';
  const hops = best['nexthops'];
  const hop: unknown = Array.isArray(hops) ? hops[0] : undefined;
  const nextHop = isObject(hop) && typeof hop['ip'] === 'string' ? plainAddress(hop['ip']) : undefined;
  if (nextHop === undefined || !isUsableHop(nextHop, underlay)) return 'next_hop';
  const label = best['remoteLabel'];
  if (typeof label !== 'number' || !Number.isInteger(label) || label < VPN_FIRST_LABEL || label > VPN_LAST_LABEL)
    return 'label';
  const communities = objectIn(best, 'extendedCommunity')?.['string'];
  const words = typeof communities === 'string' ? communities.split(' ') : [];
  const targets = words.filter((one) => one.startsWith('RT:')).map((one) => one.slice(3));
  return { prefix, nextHop, label, targets: targets.filter(isRouteTarget) };
}

/** That of a VPNv6 route may be an IPv4 address as ::ffff:a.b.c.d (RFC 4659, 3.2.1.2). Undefined: it is no address. */
function plainAddress(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes === undefined ? undefined : formatAddress(bytes);
}

/** In the underlay, of its version of IP, and not this host itself. */
function isUsableHop(text: string, underlay: string): boolean {
  const ip = parseIp(text);
  return (
    ip !== undefined &&
    isUnderlayAddress(ip) &&
    overlayIpVersion(text) === overlayIpVersion(underlay) &&
    text !== underlay
  );
}

/** State and number of routes of each neighbour, of `show bgp ipv4 vpn summary json`. */
export function parseSummary(
  text: string,
): readonly { readonly address: string; readonly state: string; readonly routes: number }[] {
  const peers = objectIn(parseObject(text), 'peers') ?? {};
  return Object.entries(peers).flatMap(([address, peer]) => {
    if (parseIp(address) === undefined || !isObject(peer)) return [];
    const { state, pfxRcd } = peer as { readonly state?: unknown; readonly pfxRcd?: unknown };
    const routes = typeof pfxRcd === 'number' ? pfxRcd : 0;
    return [{ address, state: typeof state === 'string' ? state.slice(0, 64) : 'unknown', routes }];
  });
}

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectIn(value: Fields | undefined, key: string): Fields | undefined {
  const inner = value === undefined || !Object.hasOwn(value, key) ? undefined : value[key];
  return isObject(inner) ? inner : undefined;
}

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
