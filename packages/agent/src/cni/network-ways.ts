import { parseCidr } from '@cable/model';
import type { SliceReader } from '../stream/slice-reader.ts';
import type { BesideServices } from './beside-services.ts';

type Slices = Pick<SliceReader, 'keys' | 'items' | 'item' | 'header'>;

type Version = 4 | 6;

type Way = { readonly subnetId: string; readonly destination: string; readonly gateway: string };

/** What is reached from a network by its routers, as this host knows them now. */
export type NetworkWays = {
  /** Prefixes behind them, by which of their addresses in which subnet of the network. */
  readonly prefixes: readonly Way[];
  /** ClusterIPs of Services that have members there besides pods: these are reached in the VPC alone. */
  readonly services: readonly Way[];
  /** Versions of IP of which there is a way to everywhere. */
  readonly leadsOut: readonly Version[];
};

/**
 * Other subnets of the routers, their static routes, and what their peers let through: of routers that are the gateway of a subnet, for whoever shares the network may join another router to it
 * and does not say thereby where others' pods send. A gateway that is no router's here, of a network that is on a physical one, leads outside as a router's gateway does. */
export function networkWays(slices: Slices, beside: Pick<BesideServices, 'of'>, networkId: string): NetworkWays {
  const prefixes: Way[] = [];
  const services: Way[] = [];
  const out = new Set<Version>();
  const addresses = new Set<string>();
  const network = slices.header(`network:${networkId}`);
  const gateways = new Set(network?.subnets.map((subnet) => subnet.gatewayIp));
  for (const key of slices.keys()) {
    if (!key.startsWith(ROUTER)) continue;
    const routerId = key.slice(ROUTER.length);
    const router = slices.header(`router:${routerId}`);
    const legs = Array.from(slices.items(`router:${routerId}`), ([, leg]) => leg);
    const own = legs.filter((leg) => leg.networkId === networkId && gateways.has(leg.ipAddress));
    if (router === undefined || own.length === 0) continue;
    for (const { ipAddress } of own) addresses.add(ipAddress);
    if (!router.adminStateUp) continue;
    for (const { ipAddress } of router.gateway?.fixedIps ?? []) out.add(versionOf(ipAddress));
    for (const address of servedBeside(slices, beside, routerId)) {
      const leg = own.find(({ ipAddress }) => versionOf(ipAddress) === versionOf(address));
      if (leg === undefined) continue;
      services.push({ subnetId: leg.subnetId, destination: `${address}/${bits(address)}`, gateway: leg.ipAddress });
    }
    const peers = Array.from(slices.items(`peerings:${routerId}`), ([, peering]) => peering);
    for (const { subnetId, cidr, ipAddress: gateway } of own) {
      const open = peers.filter((one) =>
        one.own.some((subnet) => subnet.cidr === cidr && subnet.networkId === networkId),
      );
      const destinations = [
        ...legs.filter((leg) => leg.networkId !== networkId).map((leg) => leg.cidr),
        ...router.routes.map(({ destination }) => destination),
        ...open.flatMap((one) => one.peers.map((peer) => peer.cidr)),
      ];
      for (const destination of new Set(destinations)) {
        if (versionOf(destination) !== versionOf(gateway) || parseCidr(destination) === undefined) continue;
        if (destination.endsWith('/0')) out.add(versionOf(destination));
        else prefixes.push({ subnetId, destination, gateway });
      }
    }
  }
  const isPhysical = network?.wire !== undefined || network?.external === true;
  for (const { gatewayIp } of isPhysical ? network.subnets : [])
    if (gatewayIp !== null && !addresses.has(gatewayIp)) out.add(versionOf(gatewayIp));
  return { prefixes, services, leadsOut: [...out].sort() };
}

/** Addresses of the Services in force at the router that have an endpoint on no node: none of a pod (docs/design/pod-vpc.md). */
function* servedBeside(slices: Slices, beside: Pick<BesideServices, 'of'>, routerId: string): Generator<string> {
  for (const key of slices.keys()) {
    if (!key.startsWith(SERVICES)) continue;
    const scope = key.slice(SERVICES.length);
    if (slices.header(`services:${scope}`)?.routerIds?.includes(routerId) !== true) continue;
    for (const id of beside.of(scope)) yield* slices.item(`services:${scope}`, id)?.clusterIps ?? [];
  }
}

const ROUTER = 'router:';
const SERVICES = 'services:';

function bits(address: string): number {
  return versionOf(address) === 4 ? 32 : 128;
}

function versionOf(text: string): Version {
  return text.includes(':') ? 6 : 4;
}
