import type { LocalPort, NetworkHeader, RouterPeeringState } from '@cable/model';
import type { HostLink } from '../desired.ts';
import { deviceName } from './device-names.ts';
import { NODE_OWNER } from './node-port.ts';
import { portRoutes } from './port-routes.ts';
import { CLUSTER_DNS_ADDRESS, type PortSubnet, portSubnets } from './port-subnets.ts';
import { type Family, type PlanReader, topicFamily } from './unit.ts';

type Owned = { readonly port: LocalPort; readonly network: NetworkHeader; readonly subnets: readonly PortSubnet[] };

/**
 * The veth pairs that the agent makes for ports of its own machine: one unit for all of them, since the machine has one route to each
 * destination, over the port that comes first.
 */
export const MACHINE_LINKS: Family = topicFamily(
  { name: 'links of the machine', topic: 'machine-port', subject: 'host' },
  (_unit, reader) => {
    const owned = reader.sortedFacts('machine-port', '').flatMap(({ member }): Owned[] => {
      const port = reader.item('host', reader.host, member);
      const network = port === undefined ? undefined : reader.header('network', port.networkId);
      if (port === undefined || network === undefined) return [];
      return [{ port, network, subnets: portSubnets(port, network) }];
    });
    const taken = new Set(owned.flatMap(({ subnets }) => subnets.map(({ subnet }) => subnet.cidr)));
    return { links: owned.map((one) => linkOf(one, reader, taken)) };
  },
);

function linkOf(owned: Owned, reader: PlanReader, taken: Set<string>): HostLink {
  const { port, network, subnets } = owned;
  return {
    portId: port.id,
    name: deviceName('cb', port.id),
    vifName: deviceName('cv', port.id),
    macAddress: port.macAddress,
    mtuBytes: network.mtuBytes,
    addresses: subnets.map(({ ipAddress, subnet }) => `${ipAddress}/${subnet.cidr.split('/')[1]}`),
    routes: machineRoutes(owned, reader, taken),
    ...(port.deviceOwner === NODE_OWNER ? { forwards: true as const, ...keeping(owned, reader) } : {}),
  };
}

/** Subnets of the routers by which this node is the way outside that are not to be seen as the node there. */
function keeping({ network }: Owned, reader: PlanReader): Pick<HostLink, 'keeping'> {
  const prefixes = new Set<string>();
  for (const { value: leg } of reader.sortedFacts('leg-in', network.id)) {
    if (reader.header('router', leg.routerId)?.nodeEgress !== true) continue;
    for (const { value: other } of reader.sortedFacts('leg-of', leg.routerId)) {
      const subnets = reader.header('network', other.networkId)?.subnets ?? [];
      if (subnets.some(({ id, natOutgoing }) => id === other.subnetId && natOutgoing === false))
        prefixes.add(other.cidr);
    }
  }
  if (prefixes.size === 0) return {};
  const nodes = reader.sortedFacts('host-in', network.id).map(({ member }) => member);
  return { keeping: { prefixes: [...prefixes].sort(), nodes: nodes.sort() } };
}

/**
 * The port's host routes, then the other subnets of the routers attached there, and the prefixes of Services behind these; never a default route: the machine keeps its own. `taken`:
 * destinations that the machine has by another of its ports already; those given out here are added.
 */
function machineRoutes({ network, subnets }: Owned, reader: PlanReader, taken: Set<string>): HostLink['routes'] {
  const routes: { destination: string; gateway: string }[] = [];
  const add = (destination: string, gateway: string | null): void => {
    if (gateway === null || destination.endsWith('/0') || taken.has(destination)) return;
    taken.add(destination);
    routes.push({ destination, gateway });
  };
  const own = portRoutes(
    subnets.map(({ subnet }) => subnet),
    { byDefault: false, metadata: false, ipv6: true },
  );
  for (const { destination, nexthop } of own) add(destination, nexthop);
  for (const { subnet } of subnets) {
    for (const { value: leg } of reader.sortedFacts('leg-in', network.id)) {
      if (leg.subnetId !== subnet.id) continue;
      for (const { value: other } of reader.sortedFacts('leg-of', leg.routerId)) {
        if (other.cidr.includes(':') === subnet.cidr.includes(':')) add(other.cidr, leg.ipAddress);
      }
      for (const { value: scope } of reader.sortedFacts('scope-at', leg.routerId)) {
        for (const cidr of scope.cidrs) if (cidr.includes(':') === subnet.cidr.includes(':')) add(cidr, leg.ipAddress);
        if (scope.hasNames && !subnet.cidr.includes(':')) add(`${CLUSTER_DNS_ADDRESS}/32`, leg.ipAddress);
      }
      for (const { cidr, own } of peersOf(leg.routerId, reader)) {
        const isOfOne = cidr.includes(':') === subnet.cidr.includes(':');
        if (isOfOne && own.some((one) => one.cidr === subnet.cidr && one.networkId === network.id))
          add(cidr, leg.ipAddress);
      }
    }
  }
  return routes.sort((a, b) => (a.destination < b.destination ? -1 : 1));
}

/** What a router's peers let through, each with what goes there. */
function peersOf(
  routerId: string,
  reader: PlanReader,
): readonly { readonly cidr: string; readonly own: RouterPeeringState['own'] }[] {
  return reader.items('peerings', routerId).flatMap(({ own, peers }) => peers.map(({ cidr }) => ({ cidr, own })));
}
