import { parseIp } from '@cable/model';
import { portRoutes } from '../plan/port-routes.ts';
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
    portId: pod.port.id,
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
    portId: made.portId,
    hostName: made.hostName,
    name: made.interfaceName,
    macAddress: made.macAddress,
    mtuBytes: made.mtuBytes,
    addresses: made.addresses.map(({ address }) => address),
    routes: made.routes,
  };
}

/** As of any port, with a default route; metadata is reached by it. */
function routesOf(subnets: readonly SubnetFacts[]): readonly PodRoute[] {
  const known = subnets.map((subnet) => ({ gatewayIp: subnet.gateway_ip, hostRoutes: subnet.host_routes }));
  const routes = portRoutes(known, { byDefault: true, metadata: false, ipv6: false });
  return routes.flatMap(({ destination, nexthop }) => (nexthop === null ? [] : [{ destination, gateway: nexthop }]));
}

function isIpv4(text: string): boolean {
  return parseIp(text)?.version === 4;
}
