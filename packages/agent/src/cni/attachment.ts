import { hostLinkName, type PodLink } from './pod-link.ts';
import type { PodPort } from './pod-port.ts';
import { isIpv4, podRoutes } from './pod-routes.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';

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
    routes: podRoutes(subnets.map(({ subnet }) => subnet)),
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
