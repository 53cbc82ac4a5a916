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
  const owned = (context.host?.ports ?? []).flatMap((port) => {
    const network = context.networks.get(port.networkId);
    return port.vifKind !== 'host' || network === undefined ? [] : [{ port, network }];
  });
  owned.sort((a, b) => (a.port.id < b.port.id ? -1 : 1));
  const taken = new Set(
    owned.flatMap(({ port, network }) => portSubnets(port, network).map(({ subnet }) => subnet.cidr)),
  );
  return new Map(
    owned.map(({ port, network }) => [
      port.id,
      {
        portId: port.id,
        name: deviceName('cb', port.id),
        vifName: deviceName('cv', port.id),
        macAddress: port.macAddress,
        mtuBytes: network.mtuBytes,
        addresses: portSubnets(port, network).map(
          ({ ipAddress, subnet }) => `${ipAddress}/${subnet.cidr.split('/')[1]}`,
        ),
        routes: hostRoutes(context, port, network, taken),
      },
    ]),
  );
}

/**
 * The subnets' host routes, then the other subnets of the routers attached there; never a default route. `taken`: destinations that the
 * machine has by another of its ports already (a machine has one route to each); those given out here are added.
 */
function hostRoutes(
  context: PlanContext,
  port: LocalPort,
  network: NetworkSlice,
  taken: Set<string>,
): HostLink['routes'] {
  const routes: { destination: string; gateway: string }[] = [];
  const add = (destination: string, gateway: string): void => {
    if (destination.endsWith('/0') || taken.has(destination)) return;
    taken.add(destination);
    routes.push({ destination, gateway });
  };
  for (const { subnet } of portSubnets(port, network)) {
    for (const route of subnet.hostRoutes) add(route.destination, route.nexthop);
    for (const router of context.routersOf.get(network.id) ?? []) {
      const gateway = router.interfaces.find((one) => one.subnetId === subnet.id)?.ipAddress;
      if (gateway === undefined) continue;
      const family = subnet.cidr.includes(':');
      for (const one of router.interfaces) if (one.cidr.includes(':') === family) add(one.cidr, gateway);
    }
  }
  return routes.sort((a, b) => (a.destination < b.destination ? -1 : 1));
}
