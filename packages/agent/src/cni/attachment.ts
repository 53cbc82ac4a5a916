import { portRoutes } from '../plan/port-routes.ts';
import { ownerOf } from './link-owner.ts';
import { hostLinkName, isDefault, type PodLink, type PodRoute } from './pod-link.ts';
import type { PodPort } from './pod-port.ts';
import type { CniRequest } from './request.ts';
import type { Attachment } from './result.ts';
import type { SubnetFacts } from './server-api.ts';

/** What is needed of a call. */
export type AttachmentRequest = Pick<CniRequest, 'interfaceName' | 'netns'> & {
  readonly conf: { readonly defaultRoute?: boolean | undefined };
};

/** What a pod's interface shall be, from its port: pure, so ADD and CHECK agree. */
export function attachmentOf(request: AttachmentRequest, pod: PodPort): Attachment {
  const subnets = pod.port.fixed_ips.flatMap((fixed) => {
    const subnet = pod.subnets.find((one) => one.id === fixed.subnet_id);
    return subnet === undefined ? [] : [{ fixed, subnet }];
  });
  // What is said of this pod counts before what is said of all that have the configuration.
  const defaultRoute = pod.port['cable:default_route'] ?? request.conf.defaultRoute;
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
    routes: routesOf(
      subnets.map(({ subnet }) => subnet),
      defaultRoute !== false,
    ),
    needsDefault: defaultRoute === true,
    nameservers: [...new Set(subnets.flatMap(({ subnet }) => subnet.dns_nameservers))],
  };
}

/** The link that carries it. */
export function linkOf(made: Attachment, request: CniRequest): PodLink {
  return {
    owner: ownerOf(request, made.portId, made.answers?.follows),
    hostName: made.hostName,
    name: made.interfaceName,
    macAddress: made.macAddress,
    mtuBytes: made.mtuBytes,
    addresses: made.addresses.map(({ address }) => address),
    routes: made.routes,
    needsDefault: made.needsDefault,
    ...(made.answers === undefined ? {} : { answers: made.answers }),
  };
}

/** As of any port; metadata is reached by the default route. */
function routesOf(subnets: readonly SubnetFacts[], byDefault: boolean): readonly PodRoute[] {
  const known = subnets.map(({ cidr, gateway_ip: gatewayIp, host_routes: hostRoutes }) => ({
    cidr,
    gatewayIp,
    hostRoutes,
  }));
  const routes = portRoutes(known, { byDefault, metadata: false, ipv6: true });
  return routes.flatMap(({ destination, nexthop }) =>
    nexthop === null || (!byDefault && isDefault(destination)) ? [] : [{ destination, gateway: nexthop }],
  );
}
