import { encodeDnsName, parseDnsName, SERVER_IP_ADDRESS } from '@cable/model';
import type { GuestAddress, GuestRecord } from '../desired.ts';
import { portRoutes } from '../plan/port-routes.ts';
import { METADATA_ADDRESS } from '../plan/port-subnets.ts';
import { broadcastOf, formatIpv4, ipv4Bytes, netmaskOf, parseIpv4, parseIpv4Cidr } from './ipv4.ts';

/** Option codes (RFC 2132, RFC 3442); 249 is what Microsoft's clients asked for before they knew 121. */
export const OPTION = {
  subnetMask: 1,
  router: 3,
  dnsServers: 6,
  hostname: 12,
  domainName: 15,
  mtu: 26,
  broadcast: 28,
  requestedAddress: 50,
  leaseSeconds: 51,
  messageType: 53,
  serverIdentifier: 54,
  parameterList: 55,
  message: 56,
  maxMessageSize: 57,
  renewalSeconds: 58,
  rebindingSeconds: 59,
  clientIdentifier: 61,
  tftpServer: 66,
  bootfileName: 67,
  userClass: 77,
  domainSearch: 119,
  classlessRoutes: 121,
  ipxe: 175,
  microsoftClasslessRoutes: 249,
} as const;

/** A route for a guest. `nexthop` 0: on the link. */
export type GuestRoute = { readonly destination: number; readonly prefixLength: number; readonly nexthop: number };

const METADATA = parseIpv4(METADATA_ADDRESS);

/** Sent whether asked for or not: a guest with a wrong netmask or MTU does not work. */
const ALWAYS = [OPTION.subnetMask, OPTION.mtu];
const WITHOUT_LIST = [
  OPTION.router,
  OPTION.dnsServers,
  OPTION.hostname,
  OPTION.domainName,
  OPTION.broadcast,
  OPTION.classlessRoutes,
] as const;

/** A client's options, and who is told as name server where the subnet names none; null: nobody. */
export type DhcpAsked = { readonly asked: ReadonlyMap<number, Uint8Array>; readonly nameServer: string | null };

/** What is told of one address: options, and the fields of old for the next boot stage (0, no bytes: nothing). */
export type DhcpConfiguration = {
  readonly options: ReadonlyMap<number, Uint8Array>;
  readonly siaddr: number;
  readonly file: Uint8Array;
  readonly sname: Uint8Array;
};

/**
 * The configuration of one address: what the client asked for in its order (RFC 2132 §9.8), after the netmask, which must
 * come before the router (§3.3). A client without a list gets everything there is. The port's extra options win over what the subnet says.
 */
export function configurationOptions(
  guest: GuestRecord,
  address: GuestAddress,
  { asked, nameServer }: DhcpAsked,
): DhcpConfiguration {
  const extra = extraOptions(guest, asked);
  const known = knownOptions(guest, address, extra, nameServer);
  const wanted = asked.get(OPTION.parameterList);
  const options = new Map<number, Uint8Array>();
  for (const code of [OPTION.subnetMask, ...(wanted ?? [...WITHOUT_LIST, ...extra.keys()]), ...ALWAYS]) {
    const value = known.get(code);
    if (value !== undefined) options.set(code, value);
  }
  // Boot code that does not ask for these options looks for them in the fields that BOOTP had before there were any.
  const field = (code: number, bytes: number): Uint8Array => {
    const value = options.has(code) ? undefined : known.get(code);
    if (value === undefined || value.length < bytes) return value ?? new Uint8Array(0);
    options.set(code, value);
    return new Uint8Array(0);
  };
  const boot = { file: field(OPTION.bootfileName, 128), sname: field(OPTION.tftpServer, 64) };
  return { options, siaddr: numberOption(extra, SERVER_IP_ADDRESS, 4) ?? 0, ...boot };
}

/** By code, those for this client; what is for its kind alone wins. No bytes: the option is not to be sent. */
function extraOptions(guest: GuestRecord, asked: ReadonlyMap<number, Uint8Array>): ReadonlyMap<number, Uint8Array> {
  const kind = isIpxe(asked) ? 'ipxe' : 'not-ipxe';
  const plain = guest.extraDhcpOptions.filter(({ client }) => client === 'any');
  const special = guest.extraDhcpOptions.filter(({ client }) => client === kind);
  return new Map([...plain, ...special].map(({ code, value }) => [code, value]));
}

/** iPXE sends its own option, and says so in its user class too. */
function isIpxe(asked: ReadonlyMap<number, Uint8Array>): boolean {
  return asked.has(OPTION.ipxe) || Buffer.from(asked.get(OPTION.userClass) ?? []).includes('iPXE');
}

function knownOptions(
  guest: GuestRecord,
  address: GuestAddress,
  extra: ReadonlyMap<number, Uint8Array>,
  nameServer: string | null,
): Map<number, Uint8Array> {
  const known = new Map<number, Uint8Array>();
  const cidr = parseIpv4Cidr(address.cidr);
  if (cidr !== undefined) {
    known.set(OPTION.subnetMask, ipv4Bytes(netmaskOf(cidr.prefixLength)));
    if (cidr.prefixLength < 31) known.set(OPTION.broadcast, ipv4Bytes(broadcastOf(cidr)));
  }
  const routes = withRouter(guestRoutes(address), extra.get(OPTION.router));
  const gateway = routes.find((route) => route.prefixLength === 0);
  if (gateway !== undefined && gateway.nexthop !== 0) known.set(OPTION.router, ipv4Bytes(gateway.nexthop));
  const servers = nameServers(address, nameServer);
  if (servers.length > 0) known.set(OPTION.dnsServers, Uint8Array.from(servers.flatMap((one) => [...ipv4Bytes(one)])));
  if (guest.dnsDomain !== '') {
    known.set(OPTION.domainName, new TextEncoder().encode(guest.dnsDomain));
    const search = parseDnsName(guest.dnsDomain);
    if (search !== undefined) known.set(OPTION.domainSearch, encodeDnsName(search));
  }
  if (guest.hostname !== '') known.set(OPTION.hostname, new TextEncoder().encode(guest.hostname));
  known.set(OPTION.mtu, Uint8Array.of((guest.mtuBytes >>> 8) & 255, guest.mtuBytes & 255));
  const encoded = extra.get(OPTION.classlessRoutes) ?? encodeClasslessRoutes(neededFirst(routes));
  known.set(OPTION.classlessRoutes, encoded);
  known.set(OPTION.microsoftClasslessRoutes, encoded);
  for (const [code, value] of extra) known.set(code, value);
  known.delete(SERVER_IP_ADDRESS);
  return new Map([...known].filter(([, value]) => value.length > 0));
}

/** The subnet's of IPv4, where 0.0.0.0 stands for none, as in Neutron; `own` where it names none. */
export function nameServers(
  { dnsNameservers }: Pick<GuestAddress, 'dnsNameservers'>,
  own: string | null,
): readonly number[] {
  const named = dnsNameservers.length === 0 && own !== null ? [own] : dnsNameservers;
  return named.map(parseIpv4).filter((server) => server !== undefined && server !== 0) as readonly number[];
}

/** The default route by the router that the port's own option names, none when it names none: clients that read option 121 pass over option 3. */
function withRouter(routes: readonly GuestRoute[], router: Uint8Array | undefined): readonly GuestRoute[] {
  if (router === undefined) return routes;
  const others = routes.filter(({ prefixLength }) => prefixLength !== 0);
  return router.length === 0
    ? others
    : [...others, { destination: 0, prefixLength: 0, nexthop: number(router.subarray(0, 4)) }];
}

/**
 * Every route of a guest on this subnet: the subnet's host routes, the way to metadata, and the default route, which must be
 * repeated here because a client that reads these ignores the router option (RFC 3442); then the network's other subnets, which are on the link. A host route
 * wins over ours.
 */
export function guestRoutes(address: GuestAddress): readonly GuestRoute[] {
  const own = portRoutes([address], { byDefault: true, metadata: true, ipv6: false });
  const led = new Set(own.map(({ destination }) => destination));
  const others = address.linkCidrs.filter((cidr) => cidr !== address.cidr && !led.has(cidr));
  return [...own, ...others.map((destination) => ({ destination, nexthop: null }))].flatMap(
    ({ destination, nexthop }) => {
      const to = parseIpv4Cidr(destination);
      const via = nexthop === null ? 0 : parseIpv4(nexthop);
      if (to === undefined || via === undefined) return [];
      return [{ destination: to.address, prefixLength: to.prefixLength, nexthop: via }];
    },
  );
}

/** RFC 3442: prefix length, the significant octets of the destination, the next hop (0.0.0.0: on the link). */
export function encodeClasslessRoutes(routes: readonly GuestRoute[]): Uint8Array {
  return Uint8Array.from(
    routes.flatMap((route) => [
      route.prefixLength,
      ...ipv4Bytes(route.destination).subarray(0, Math.ceil(route.prefixLength / 8)),
      ...ipv4Bytes(route.nexthop),
    ]),
  );
}

/** The default route, the way to metadata and what they need on the link before all others: where there is no room for all, the last ones are left out. */
function neededFirst(routes: readonly GuestRoute[]): readonly GuestRoute[] {
  const usual = (route: GuestRoute): boolean => route.prefixLength === 0 || route.destination === METADATA;
  const hops = new Set(routes.filter(usual).map(({ nexthop }) => nexthop));
  const needed = (route: GuestRoute): boolean =>
    usual(route) || (route.nexthop === 0 && route.prefixLength === 32 && hops.has(route.destination));
  return [...routes.filter(needed), ...routes.filter((route) => !needed(route))];
}

/** The routes in option 121 or 249; undefined: malformed. */
export function decodeClasslessRoutes(value: Uint8Array): readonly GuestRoute[] | undefined {
  const routes: GuestRoute[] = [];
  let at = 0;
  while (at < value.length) {
    const prefixLength = value[at] ?? 0;
    const octets = Math.ceil(prefixLength / 8);
    const end = at + 1 + octets + 4;
    if (prefixLength > 32 || end > value.length) return undefined;
    const destination = new Uint8Array(4);
    destination.set(value.subarray(at + 1, at + 1 + octets));
    routes.push({ destination: number(destination), prefixLength, nexthop: number(value.subarray(end - 4, end)) });
    at = end;
  }
  return routes;
}

/** Sizes of the items when the option is a list that is of use without its last ones: routes, name servers. Undefined: it is not. */
export function listItemSizes(code: number, value: Uint8Array): readonly number[] | undefined {
  if (value.length === 0) return undefined;
  if (code === OPTION.dnsServers && value.length % 4 === 0) return Array.from({ length: value.length / 4 }, () => 4);
  if (code !== OPTION.classlessRoutes && code !== OPTION.microsoftClasslessRoutes) return undefined;
  return decodeClasslessRoutes(value)?.map((route) => 5 + Math.ceil(route.prefixLength / 8));
}

function number(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** The option as one IPv4 address, or undefined when absent or not four bytes. */
export function addressOption(options: ReadonlyMap<number, Uint8Array>, code: number): number | undefined {
  return numberOption(options, code, 4);
}

/** The option as an unsigned number of exactly `size` bytes, or undefined when absent or of another size. */
export function numberOption(
  options: ReadonlyMap<number, Uint8Array>,
  code: number,
  size: 1 | 2 | 4,
): number | undefined {
  const value = options.get(code);
  if (value === undefined || value.length !== size) return undefined;
  return number(value);
}

/** Four bytes, network order: times in options 51, 58 and 59. */
export function secondsOption(seconds: number): Uint8Array {
  return ipv4Bytes(seconds);
}

/** One route as a reader knows it, e.g. `169.254.169.254/32 via 10.0.0.1`. */
export function formatGuestRoute(route: GuestRoute): string {
  const to = `${formatIpv4(route.destination)}/${route.prefixLength}`;
  return route.nexthop === 0 ? `${to} on link` : `${to} via ${formatIpv4(route.nexthop)}`;
}
