/** Peerings of routers, as the vrouter asks them (docs/design/peering.md). */
import type { RouterPeeringState } from '@cable/model';
import { CB_ROUTE_CONNECTED, CB_ROUTE_F_PEER } from '../bpf/abi.gen.ts';
import { NO_ADDRESS, type Prefix, parseMac, parsePrefix } from './address.ts';
import type { Planned } from './entries.ts';
import { routeEntries } from './route-entries.ts';
import type { StatedFact } from './topics.ts';
import { type Family, itemFamily, type PlanReader } from './unit.ts';

/** Key of the number of a peering, among those of routers: what this side lets through are routes with it. */
export function peeringOf(id: string): string {
  return `peering ${id}`;
}

/** A peering has a number as long as its router is up, and joins networks that it lets through with those of the peer. */
export const PEERINGS: Family = itemFamily(
  { name: 'peering', slice: 'peerings', subject: 'host' },
  ({ scope: routerId }, peering, reader) => {
    if (reader.facts('router', routerId).size === 0) return {};
    return {
      facts: [{ topic: 'router', key: peeringOf(peering.id), member: '', value: null }, ...peeredFacts(peering)],
    };
  },
);

/** Each network with each of the other side, both ways. */
function peeredFacts({ id, own, peers }: RouterPeeringState): readonly StatedFact[] {
  const facts: StatedFact[] = [];
  for (const [from, to] of [
    [own, peers],
    [peers, own],
  ] as const) {
    for (const networkId of new Set(from.map((one) => one.networkId))) {
      for (const { networkId: other, cidr } of to) {
        const prefix = parsePrefix(cidr);
        if (prefix === undefined) continue;
        const value = { networkId: other, prefix };
        facts.push({ topic: 'peered', key: networkId, member: `${id} ${other} ${prefix.order}`, value });
      }
    }
  }
  return facts;
}

/** The router's routes to its peer, and what this side lets through. Its own subnets and extra routes go before; between two peers nothing overlaps. */
export const PEERING_ROUTES: Family = itemFamily(
  { name: 'routes of a peering', slice: 'peerings', subject: 'host' },
  ({ scope: routerId }, { id, own, peers }, reader) => {
    const [vrf, number] = [reader.number('router', routerId), reader.number('router', peeringOf(id))];
    if (vrf === undefined || number === undefined) return {};
    const nexthop = Uint8Array.from(NO_ADDRESS);
    new DataView(nexthop.buffer).setUint32(0, number, true);
    const there = peers.flatMap(({ networkId, cidr, macAddress }) => {
      const mac = parseMac(macAddress);
      return mac === undefined ? [] : peerRoute(vrf, { networkId, cidr, mac, nexthop }, reader);
    });
    const here = own.flatMap(({ networkId, cidr }) =>
      peerRoute(number, { networkId, cidr, mac: NO_MAC, nexthop: NO_ADDRESS }, reader),
    );
    return {
      projectId: reader.header('network', own[0]?.networkId ?? '')?.projectId,
      entries: [...there, ...here],
    };
  },
);

type PeerRoute = {
  readonly networkId: string;
  readonly cidr: string;
  readonly mac: Uint8Array;
  readonly nexthop: Uint8Array;
};

/** None: the network is not known here. */
function peerRoute(vrf: number, { networkId, cidr, mac, nexthop }: PeerRoute, reader: PlanReader): readonly Planned[] {
  const to = parsePrefix(cidr);
  const network = reader.header('network', networkId);
  const net = reader.facts('network', networkId).get('')?.value.net;
  if (to === undefined || network === undefined || net === undefined) return [];
  return routeEntries(vrf, [
    {
      to,
      value: {
        ...{ kind: CB_ROUTE_CONNECTED, flags: CB_ROUTE_F_PEER, net, mtuBytes: network.mtuBytes, mac, nexthop },
        ...{ own: NO_ADDRESS, outside: 0 },
      },
    },
  ]);
}

const NO_MAC = new Uint8Array(6);

/** Networks that peerings join to one: of each the subnets that may be reached from it, and reach it. */
export function peeredNetworks(
  reader: Pick<PlanReader, 'facts'>,
  networkId: string,
): ReadonlyMap<string, readonly Prefix[]> {
  const peered = new Map<string, Prefix[]>();
  for (const { value } of reader.facts('peered', networkId).values()) {
    const prefixes = peered.get(value.networkId) ?? [];
    peered.set(value.networkId, prefixes);
    prefixes.push(value.prefix);
  }
  return peered;
}
