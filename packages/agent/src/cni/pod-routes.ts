import { parseIp } from '@cable/model';
import type { SubnetFacts } from './server-api.ts';

/** The gateway is always on the link, whatever the prefix of the addresses. */
export type PodRoute = { readonly destination: string; readonly gateway: string };

/** The subnets' host routes, then the default route of the first that has a gateway. IPv4 only, as the vrouter forwards. */
export function podRoutes(subnets: readonly SubnetFacts[]): readonly PodRoute[] {
  const routes = new Map<string, PodRoute>();
  for (const { destination, nexthop } of subnets.flatMap((subnet) => subnet.host_routes)) {
    if (isIpv4(nexthop) && !routes.has(destination)) routes.set(destination, { destination, gateway: nexthop });
  }
  const gateway = subnets.map((subnet) => subnet.gateway_ip).find((one) => one !== null && isIpv4(one));
  if (gateway && !routes.has('0.0.0.0/0')) routes.set('0.0.0.0/0', { destination: '0.0.0.0/0', gateway });
  return [...routes.values()];
}

export function isIpv4(text: string): boolean {
  return parseIp(text)?.version === 4;
}
