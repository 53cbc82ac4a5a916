import type { NetworkHeader, RouterInterface } from '@cable/model';
import { CB_ENDPOINT_GATEWAY } from '../bpf/abi.gen.ts';
import { type Prefix, parseMac, parsePrefix } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import type { Planned } from './entries.ts';
import { routeEntry } from './route-entries.ts';
import { type Family, itemFamily } from './unit.ts';

/** An interface of a router. */
export type Leg = {
  readonly networkId: string;
  readonly subnetId: string;
  readonly cidr: string;
  readonly ipAddress: string;
  /** Undefined: the network has not been received, or the interface is malformed: nothing can be sent there. */
  readonly way: Way | undefined;
};

/** How packets are routed into an interface's network. */
export type Way = {
  readonly prefix: Prefix;
  /** Number of the network. */
  readonly net: number;
  readonly mtuBytes: number;
  readonly mac: Uint8Array;
};

/** An interface as its network sees it. */
export type LocalLeg = {
  readonly routerId: string;
  readonly subnetId: string;
  readonly ipAddress: string;
  readonly macAddress: string;
};

/** An address of a router: it answers as a gateway in its network, and its subnet is connected. */
export const ROUTER_LEGS: Family = itemFamily(
  { name: 'router interface', slice: 'router', subject: 'host' },
  ({ scope: routerId, item }, leg, reader) => {
    const vrf = reader.number('router', routerId);
    if (vrf === undefined) return {};
    const { networkId, subnetId, cidr, ipAddress, macAddress } = leg;
    const network = reader.header('network', networkId);
    const net = reader.facts('network', networkId).get('')?.value.net;
    const way = wayOf(leg, network, net);
    return {
      projectId: network?.projectId,
      facts: [
        { topic: 'leg-of', key: routerId, member: item, value: { networkId, subnetId, cidr, ipAddress, way } },
        {
          ...{ topic: 'leg-in', key: networkId, member: `${routerId}/${item}` },
          value: { routerId, subnetId, ipAddress, macAddress },
        },
      ],
      entries: [...gateway(leg, net, vrf), ...(way === undefined ? [] : [routeEntry(vrf, way.prefix, way)])],
    };
  },
);

function wayOf(
  { cidr, macAddress }: RouterInterface,
  network: NetworkHeader | undefined,
  net: number | undefined,
): Way | undefined {
  const prefix = parsePrefix(cidr);
  const mac = parseMac(macAddress);
  if (network === undefined || net === undefined || prefix === undefined || mac === undefined) return undefined;
  return { prefix, mac, net, mtuBytes: network.mtuBytes };
}

function gateway(leg: RouterInterface, net: number | undefined, vrf: number): readonly Planned[] {
  const mac = parseMac(leg.macAddress);
  if (net === undefined || mac === undefined) return [];
  return endpointEntries(net, endpointOf({ kind: CB_ENDPOINT_GATEWAY, vrf, mac }), [leg.ipAddress]);
}
