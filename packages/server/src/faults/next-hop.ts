import { cidrContains, isGroupAddress, type Port, parseCidr, parseIp, type Subnet } from '@cable/model';

/** What a guest knows of a subnet that it has an address in. */
export type KnownSubnet = Pick<Subnet, 'id' | 'name' | 'cidr' | 'gateway_ip' | 'host_routes' | 'ip_version'> & {
  readonly address: string;
};

/** `nextHop`: whom the guest sends to. `missing`: why it has no way. */
export type Sending = { readonly source: string; readonly nextHop: string } | { readonly missing: string };

/** The host's own services, which are on every link. */
const ON_LINK: ReadonlySet<string> = new Set(['169.254.169.254', 'fe80::a9fe:a9fe']);

/** Subnets of the port's addresses. */
export function subnetsOf(port: Port, subnet: (id: string) => Subnet | undefined): readonly KnownSubnet[] {
  return port.fixed_ips.flatMap(({ subnet_id: id, ip_address: address }) => {
    const found = subnet(id);
    return found === undefined ? [] : [{ ...found, address }];
  });
}

/**
 * Whom a guest sends a packet to that took its addresses and routes from its subnets: the destination on its own link, or a group, the next hop of the longest host route, or
 * the gateway. `source`: an address that it sends from instead of its own.
 */
export function sendingOf(subnets: readonly KnownSubnet[], destination: string, source: string | null): Sending {
  const to = parseIp(destination);
  const same = subnets.filter(({ ip_version: version }) => version === to?.version);
  const [first] = same;
  if (to === undefined || first === undefined) return { missing: `the port has no IPv${to?.version ?? 4} address` };
  const chosen = same.find(({ address }) => address === source) ?? first;
  const answer = (of: KnownSubnet, nextHop: string): Sending => ({ source: source ?? of.address, nextHop });
  if (ON_LINK.has(destination) || isGroupAddress(to)) return answer(chosen, destination);
  const covers = (cidr: string): boolean => {
    const prefix = parseCidr(cidr);
    return prefix !== undefined && cidrContains(prefix, to);
  };
  const onLink = same.find(({ cidr }) => covers(cidr));
  if (onLink !== undefined) return answer(source === null ? onLink : chosen, destination);
  const lengthOf = (cidr: string): number => parseCidr(cidr)?.prefixLength ?? 0;
  const routes = same
    .flatMap((subnet) => subnet.host_routes.map((route) => ({ ...route, subnet })))
    .filter((route) => covers(route.destination))
    .sort((a, b) => lengthOf(b.destination) - lengthOf(a.destination));
  const [route] = routes;
  if (route !== undefined) return answer(source === null ? route.subnet : chosen, route.nexthop);
  const gated = [chosen, ...same].find(({ gateway_ip: gateway }) => gateway !== null);
  if (gated?.gateway_ip) return answer(source === null ? gated : chosen, gated.gateway_ip);
  return { missing: `no subnet of the port has a gateway, and none holds ${destination}` };
}
