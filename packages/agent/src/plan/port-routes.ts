import { cidrContains, formatCidr, type HostRoute, parseCidr, parseIp, parseIpOrCidr } from '@cable/model';
import { METADATA_ADDRESS } from './port-subnets.ts';

/** A route of a machine, guest or pod by one of its ports. `nexthop` null: on the link. */
export type PortRoute = { readonly destination: string; readonly nexthop: string | null };

/** What a subnet says of routes. */
export type RouteSubnet = {
  readonly cidr: string;
  readonly gatewayIp: string | null;
  readonly hostRoutes: readonly HostRoute[];
};

/** Besides the subnets' IPv4 host routes. `byDefault`: a default route by the first gateway. `ipv6`: all this in IPv6, too; metadata needs no route there. */
export type RouteKinds = { readonly byDefault: boolean; readonly metadata: boolean; readonly ipv6: boolean };

/**
 * The routes of a port with addresses in these subnets: the subnets' host routes, then the way to metadata, then the default route. Before those two goes a route
 * on the link to a gateway of IPv4 that is not in its subnet. Of two with one destination the first stands, so a host route wins. Destinations are CIDRs with host bits zero. What is malformed is left out.
 */
export function portRoutes(subnets: readonly RouteSubnet[], kinds: RouteKinds): readonly PortRoute[] {
  const routes = new Map<string, PortRoute>();
  const add = (destination: string, nexthop: string | null): void => {
    if (!routes.has(destination)) routes.set(destination, { destination, nexthop });
  };
  for (const route of subnets.flatMap((subnet) => subnet.hostRoutes)) {
    const to = parseIpOrCidr(route.destination);
    const version = to?.base.version;
    if (to === undefined || (version === 6 && !kinds.ipv6) || parseIp(route.nexthop)?.version !== version) continue;
    add(formatCidr(to), route.nexthop);
  }
  const gateways = subnets.flatMap((subnet) => subnet.gatewayIp ?? []);
  const gateway = firstOf(4, gateways);
  const gateway6 = kinds.ipv6 ? firstOf(6, gateways) : undefined;
  if (gateway !== undefined && !subnets.some((one) => holds(one, gateway))) add(`${gateway}/32`, null);
  if (kinds.metadata) add(`${METADATA_ADDRESS}/32`, gateway ?? null);
  if (kinds.byDefault && gateway !== undefined) add('0.0.0.0/0', gateway);
  if (kinds.byDefault && gateway6 !== undefined) add('::/0', gateway6);
  return [...routes.values()];
}

function holds({ cidr }: RouteSubnet, address: string): boolean {
  const [prefix, ip] = [parseCidr(cidr), parseIp(address)];
  return prefix !== undefined && ip !== undefined && cidrContains(prefix, ip);
}

function firstOf(version: 4 | 6, addresses: readonly string[]): string | undefined {
  return addresses.find((one) => parseIp(one)?.version === version);
}
