import { parseIp } from '@cable/model';
import { hostLinkName, type PodLink, type PodRoute } from './pod-link.ts';
import type { PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';
import type { SubnetFacts } from './server-api.ts';

/**
 * What a pod's interface shall be, from its port: pure, so ADD and CHECK agree. IPv4 only, as the vrouter forwards.
 */
export function attachmentOf(request: CniRequest, pod: PodPort): Attachment {
  const subnets = pod.port.fixed_ips.flatMap((fixed) => {
    const subnet = pod.subnets.find((one) => one.id === fixed.subnet_id);
    return subnet === undefined || !isIpv4(fixed.ip_address) ? [] : [{ fixed, subnet }];
  });
  return {
    hostName: hostLinkName(pod.port.id),
    interfaceName: request.interfaceName,
    netns: request.netns,
    macAddress: pod.port.mac_address,
    mtuBytes: pod.network.mtu,
    addresses: subnets.map(({ fixed, subnet }) => ({
      address: `${fixed.ip_address}/${subnet.cidr.split('/')[1] ?? '32'}`,
      gateway: subnet.gateway_ip,
    })),
    routes: routesOf(subnets.map(({ subnet }) => subnet)),
    nameservers: [...new Set(subnets.flatMap(({ subnet }) => subnet.dns_nameservers))],
  };
}

/** The link that carries it. */
export function linkOf(made: Attachment): PodLink {
  return {
    hostName: made.hostName,
    netns: made.netns,
    name: made.interfaceName,
    macAddress: made.macAddress,
    mtuBytes: made.mtuBytes,
    addresses: made.addresses.map(({ address }) => address),
    routes: made.routes,
  };
}

/** The subnets' host routes, then the default route of the first that has a gateway. */
function routesOf(subnets: readonly SubnetFacts[]): readonly PodRoute[] {
  const routes = new Map<string, PodRoute>();
  for (const { destination, nexthop } of subnets.flatMap((subnet) => subnet.host_routes)) {
    if (isIpv4(nexthop) && !routes.has(destination)) routes.set(destination, { destination, gateway: nexthop });
  }
  const gateway = subnets.map((subnet) => subnet.gateway_ip).find((one) => one !== null && isIpv4(one));
  if (gateway && !routes.has('0.0.0.0/0')) routes.set('0.0.0.0/0', { destination: '0.0.0.0/0', gateway });
  return [...routes.values()];
}

function isIpv4(text: string): boolean {
  return parseIp(text)?.version === 4;
}
