/** L3VPNs over MPLS: who is where by which label (docs/design/l3vpn.md). */
import { createHash } from 'node:crypto';
import type { VpnHeader } from '@cable/model';
import { CB_ENDPOINT_REMOTE } from '../bpf/abi.gen.ts';
import { contains, isMapped, NO_ADDRESS, type Prefix, parseAddress, parseMac, parsePrefix } from './address.ts';
import { endpointEntries, endpointOf } from './endpoint-entries.ts';
import { encodeEntry, type Planned } from './entries.ts';
import type { LearnedRoute } from './inputs.ts';
import type { LabelRow } from './label-rows.ts';
import { routeBy, routeEntries } from './route-entries.ts';
import type { Way } from './router-legs.ts';
import type { StatedFact, VpnWay } from './topics.ts';
import { type Family, headerFamily, itemFamily, type PlanReader, topicFamily } from './unit.ts';

/** Prefixes that a VPN takes of its BGP neighbours, the first ones. */
export const LEARNED_MAX = 1024;

/** A place of the VPN on another host, or of one of which it imports on any. */
export const VPN_PLACES: Family = itemFamily(
  { name: 'place of a VPN', slice: 'vpn', subject: 'host' },
  ({ scope: vpnId }, { host, underlay, prefixes, macAddress, label }, reader) => {
    const vpn = reader.header('vpn', vpnId);
    const parts = vpn === undefined ? undefined : partsOf(vpn, reader);
    const isOwn = host === reader.host && label === undefined;
    if (parts === undefined || underlay === null || isOwn) return {};
    const peer: StatedFact = { topic: 'vpn-peer', key: vpnId, member: underlay, value: null };
    const { projectId } = parts;
    if (label !== undefined) {
      const way = { remote: underlay, label };
      const routes = prefixes.flatMap((one) => routeTo(parsePrefix(one), way, parts));
      return { projectId, facts: [peer, factOf(vpnId, way)], entries: routes };
    }
    const mac = macAddress === undefined ? undefined : parseMac(macAddress);
    if (mac === undefined) return { projectId, facts: [peer] };
    const addresses = prefixes.flatMap((one) => one.split('/')[0] ?? []);
    return {
      projectId,
      facts: [peer],
      entries: endpointEntries(parts.net, endpointOf({ kind: CB_ENDPOINT_REMOTE, mac }), addresses),
      labels: [{ kind: 'lsp', vlan: parts.vlan, mac, remote: underlay, label: parts.label }],
    };
  },
);

/** A VPN: its label, whom it hears, and what its neighbours told. What the server says of a prefix counts before that. */
export const VPNS: Family = headerFamily(
  { name: 'vpn', slice: 'vpn', subject: 'host' },
  ({ scope: vpnId }, vpn, reader) => {
    const parts = partsOf(vpn, reader);
    if (parts === undefined) return {};
    const neighbors = (vpn.bgp?.neighbors ?? []).map(({ address }): StatedFact => {
      return { topic: 'vpn-peer', key: vpnId, member: address, value: null };
    });
    const taken = takenRoutes(reader.learned(vpnId), parts.subnets);
    return {
      projectId: parts.projectId,
      facts: [
        ...neighbors,
        ...taken.flatMap(({ nextHop: remote, label }): readonly StatedFact[] => [
          factOf(vpnId, { remote, label }),
          { topic: 'vpn-peer', key: vpnId, member: remote, value: null },
        ]),
      ],
      entries: taken.flatMap(({ to, nextHop: remote, label }) => routeTo(to, { remote, label }, parts)),
      labels: [{ kind: 'label', label: parts.label, remote: null, vlan: parts.vlan, mac: NO_MAC, from: NO_MAC }],
    };
  },
);

/** Next hops beyond the VPN's own network: each is an address in it that somebody elsewhere has. */
export const VPN_WAYS: Family = topicFamily(
  { name: 'ways of a VPN', topic: 'vpn-way', subject: 'host' },
  ({ scope: vpnId }, reader) => {
    const vpn = reader.header('vpn', vpnId);
    const parts = vpn === undefined ? undefined : partsOf(vpn, reader);
    if (parts === undefined) return {};
    const ways = reader.sortedFacts('vpn-way', vpnId).map(({ value }) => value);
    return {
      projectId: parts.projectId,
      entries: ways.map((way) => {
        const { addr, mac } = hopOf(way);
        return encodeEntry('cb_ep_2', { net: parts.net, addr }, endpointOf({ kind: CB_ENDPOINT_REMOTE, mac }));
      }),
      labels: ways.map((way): LabelRow => ({ kind: 'lsp', vlan: parts.vlan, mac: hopOf(way).mac, ...way })),
    };
  },
);

/** Who may send with the VPN's label, and as who he is there: the router's errors and answers to him go to that. */
export const VPN_PEERS: Family = topicFamily(
  { name: 'peers of a VPN', topic: 'vpn-peer', subject: 'host' },
  ({ scope: vpnId }, reader) => {
    const vpn = reader.header('vpn', vpnId);
    const parts = vpn === undefined ? undefined : partsOf(vpn, reader);
    if (parts === undefined) return {};
    const { label, vlan, way } = parts;
    const labels = new Map<string, number>();
    for (const { value } of reader.sortedFacts('vpn-way', vpnId))
      if (!labels.has(value.remote)) labels.set(value.remote, value.label);
    return {
      projectId: parts.projectId,
      labels: reader.sortedFacts('vpn-peer', vpnId).flatMap(({ member: remote }): readonly LabelRow[] => {
        const back = { remote, label: labels.get(remote) ?? label };
        const { mac: from } = hopOf(back, BACK);
        return [
          { kind: 'label', label, remote, vlan, mac: way.mac, from },
          { kind: 'lsp', vlan, mac: from, ...back, isBack: true },
        ];
      }),
    };
  },
);

/** A learned route as it is used. */
export type TakenRoute = LearnedRoute & { readonly to: Prefix };

/**
 * Which of the learned routes a VPN uses: what lies in one of its own subnets is known better here; of several ways to one prefix the first by next hop and label; `LEARNED_MAX` at the most.
 */
export function takenRoutes(learned: readonly LearnedRoute[], subnets: readonly Prefix[]): readonly TakenRoute[] {
  const byPrefix = new Map<string, TakenRoute>();
  for (const route of learned) {
    const to = parsePrefix(route.prefix);
    if (to === undefined || subnets.some((subnet) => contains(subnet, to))) continue;
    const other = byPrefix.get(to.order);
    if (other === undefined || wayName(route) < wayName(other)) byPrefix.set(to.order, { ...route, to });
  }
  const inOrder = [...byPrefix.values()].sort((a, b) => (a.to.order < b.to.order ? -1 : 1));
  return inOrder.slice(0, LEARNED_MAX);
}

function wayName({ nextHop, label }: Pick<LearnedRoute, 'nextHop' | 'label'>): string {
  return `${nextHop} ${String(label).padStart(7, '0')}`;
}

function factOf(vpnId: string, way: VpnWay): StatedFact {
  return { topic: 'vpn-way', key: vpnId, member: wayName({ nextHop: way.remote, label: way.label }), value: way };
}

/** What the VPN's network and router have become on this host. */
type Parts = {
  readonly projectId: string;
  readonly vrf: number;
  readonly net: number;
  readonly vlan: number;
  readonly label: number;
  readonly subnets: readonly Prefix[];
  /** How packets get from the router into the network. */
  readonly way: Way;
  /** The router's addresses there. */
  readonly own: readonly Uint8Array[];
};

/** Undefined: they are not all here yet. */
function partsOf({ networkId, routerId, label }: VpnHeader, reader: PlanReader): Parts | undefined {
  const vrf = reader.number('router', routerId);
  const network = reader.facts('network', networkId).get('')?.value;
  const vlan = reader.header('network', networkId)?.wire?.segmentationId ?? undefined;
  const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
  const ways = legs.flatMap((leg) => leg.way ?? []);
  const [way] = ways;
  if (vrf === undefined || network === undefined || vlan === undefined || way === undefined) return undefined;
  const { net, projectId } = network;
  const own = legs.flatMap(({ ipAddress }) => parseAddress(ipAddress) ?? []);
  return { projectId, vrf, net, vlan, label, way, own, subnets: ways.map(({ prefix }) => prefix) };
}

/** With the router's own address of the same version of IP, from which it answers. */
function routeTo(to: Prefix | undefined, way: VpnWay, { vrf, way: leg, own: all }: Parts): readonly Planned[] {
  if (to === undefined) return [];
  const own = all.find((one) => isMapped(one) === isMapped(to.bytes)) ?? NO_ADDRESS;
  return routeEntries(vrf, [{ to, value: { ...routeBy(to, leg, hopOf(way).addr).value, own } }]);
}

const NO_MAC = new Uint8Array(6);

/** Bit of the MAC of who sends, so that it is none of a next hop's. */
const BACK = 4;

/** First bytes of the addresses of next hops, which are nobody's else: of a unique local prefix (RFC 4193). */
const HOP_PREFIX = Uint8Array.of(0xfd, 0xca, 0xb1, 0xe1, 0, 0, 0, 0, 0, 0);

/** The address and the MAC that stand for (remote, label) in the VPN's network: of their hash, so that an agent without memory finds the same. */
function hopOf({ remote, label }: VpnWay, kind = 0): { readonly addr: Uint8Array; readonly mac: Uint8Array } {
  const mac = new Uint8Array(createHash('sha256').update(`${remote} ${label}`).digest().subarray(0, 6));
  // Locally administered, of one station.
  mac[0] = ((mac[0] ?? 0) & 0xf0) | 2 | kind;
  const addr = Uint8Array.of(...HOP_PREFIX, ...mac);
  return { addr, mac };
}
