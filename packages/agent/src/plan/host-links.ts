import type { LocalPort, NetworkSlice } from '@cable/model';
import type { HostLink } from '../desired.ts';
import type { PlanContext } from './context.ts';
import { portSubnets } from './vifs.ts';

/** Characters of the port id in a device's name (Nova's convention: IFNAMSIZ leaves 15). */
const NAME_ID_LENGTH = 11;

/** The name of a port's device: `tap`, `cv` or `cb`, then the first 11 characters of the port id. */
export function deviceName(prefix: 'tap' | 'cv' | 'cb', portId: string): string {
  return `${prefix}${portId.slice(0, NAME_ID_LENGTH)}`;
}

/** The name of the device that the vrouter's programs are attached to. */
export function vifDeviceName(port: LocalPort): string {
  return deviceName(port.vifKind === 'tap' ? 'tap' : 'cv', port.id);
}

/** The veth pairs that the agent makes for ports of its own machine, by port id. */
export function planHostLinks(context: PlanContext): ReadonlyMap<string, HostLink> {
  const links = new Map<string, HostLink>();
  for (const port of context.host?.ports ?? []) {
    const network = context.networks.get(port.networkId);
    if (port.vifKind !== 'host' || network === undefined) continue;
    links.set(port.id, {
      portId: port.id,
      name: deviceName('cb', port.id),
      vifName: deviceName('cv', port.id),
      macAddress: port.macAddress,
      mtuBytes: network.mtuBytes,
      addresses: portSubnets(port, network).map(({ ipAddress, subnet }) => `${ipAddress}/${subnet.cidr.split('/')[1]}`),
      routes: hostRoutes(context, port, network),
    });
  }
  return links;
}

/** The subnets' host routes, then the other subnets of the routers attached there; never a default route, each destination once. */
function hostRoutes(context: PlanContext, port: LocalPort, network: NetworkSlice): HostLink['routes'] {
  const subnets = portSubnets(port, network).map(({ subnet }) => subnet);
  const own = new Set(subnets.map((subnet) => subnet.cidr));
  const routes = new Map<string, { destination: string; gateway: string }>();
  const add = (destination: string, gateway: string): void => {
    if (destination.endsWith('/0') || own.has(destination) || routes.has(destination)) return;
    routes.set(destination, { destination, gateway });
  };
  for (const subnet of subnets) {
    for (const route of subnet.hostRoutes) add(route.destination, route.nexthop);
    for (const router of context.routersOf.get(network.id) ?? []) {
      const gateway = router.interfaces.find((one) => one.subnetId === subnet.id)?.ipAddress;
      if (gateway === undefined) continue;
      const family = subnet.cidr.includes(':');
      for (const one of router.interfaces) if (one.cidr.includes(':') === family) add(one.cidr, gateway);
    }
  }
  return [...routes.values()].sort((a, b) => (a.destination < b.destination ? -1 : 1));
}
