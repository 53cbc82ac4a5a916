/** Subnets that leave by a node that they name, and not by that of the sender: which of this host's packets go where (docs/design/gateway-nodes.md). */
import { VPC_INTERFACE } from '@cable/model';
import { CB_ROUTE_BLACKHOLE, CB_ROUTE_BY_SOURCE } from '../bpf/abi.gen.ts';
import { LEG_OWNER, POD_OWNER } from '../cni/pod-port.ts';
import { hostPrefix, NO_ADDRESS, type Prefix, parseAddress, parsePrefix } from './address.ts';
import { encodeEntry, type Planned } from './entries.ts';
import { portsOfNode } from './node-port.ts';
import { ROUTE_HEAD_BITS, type RouteTo, routeBy } from './route-entries.ts';
import type { Leg } from './router-legs.ts';
import type { StatedFact } from './topics.ts';
import { type Family, headerFamily, itemFamily, type PlanReader } from './unit.ts';

export const DEFAULTS = ['0.0.0.0/0', '::/0'] as const;

type Version = 4 | 6;

/** By which node each subnet leaves, as this host sees it. */
export const GATEWAY_NODES: Family = headerFamily(
  { name: 'gateway node', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { centralized = [] }, reader) => ({
    facts: centralized.map(({ subnetId, hosts }): StatedFact => {
      const host = reader.gatewayHost(subnetId) ?? hosts[0]?.host ?? '';
      return { topic: 'gateway-node', key: subnetId, member: routerId, value: host };
    }),
  }),
);

/** Of a pod in a VPC of its own: the subnets in which it is there. */
export const VPC_PODS: Family = itemFamily(
  { name: 'pod of a VPC', slice: 'host', subject: 'host' },
  ({ item }, { deviceOwner, deviceId, fixedIps }, _reader) => {
    const pod = podOf(deviceId, VPC_INTERFACE);
    if (deviceOwner !== POD_OWNER || pod === undefined) return {};
    const value = fixedIps.map(({ subnetId, ipAddress }) => ({ subnetId, version: versionOf(ipAddress) }));
    return { facts: [{ topic: 'vpc-pod', key: pod, member: item, value }] };
  },
);

/** The ways out of a router with such subnets: by this host's own node, and of those that are behind it by theirs. */
export const EXITS: Family = headerFamily(
  { name: 'ways by nodes', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { centralized = [] }, reader) => {
    const way = wayOf(routerId, reader);
    if (centralized.length === 0 || way === undefined) return {};
    const own = DEFAULTS.flatMap((to) => exitTo(way, parsePrefix(to), reader.host, versionOf(to), reader));
    const theirs = way.legs.flatMap(({ subnetId, cidr }) => {
      const host = reader.facts('gateway-node', subnetId).get(routerId)?.value;
      return host === undefined ? [] : exitTo(way, parsePrefix(cidr), host, versionOf(cidr), reader);
    });
    return { projectId: projectOf(way, reader), entries: [...own, ...theirs] };
  },
);

/** A pod's leg leaves as the subnet in which the pod is in its VPC. */
export const LEG_EXITS: Family = itemFamily(
  { name: 'way of a leg by nodes', slice: 'host', subject: 'host' },
  (_unit, { deviceOwner, deviceId, networkId, fixedIps }, reader) => {
    const pod = deviceId.slice(0, deviceId.indexOf(':'));
    if (deviceOwner !== LEG_OWNER || pod === '') return {};
    const subnets = reader.sortedFacts('vpc-pod', pod).flatMap(({ value }) => value);
    const routers = new Set(reader.sortedFacts('leg-in', networkId).map(({ value }) => value.routerId));
    const entries = subnets.flatMap(({ subnetId, version }) =>
      reader.sortedFacts('gateway-node', subnetId).flatMap(({ member: routerId, value: host }) => {
        const way = routers.has(routerId) ? wayOf(routerId, reader) : undefined;
        if (way === undefined) return [];
        const addresses = fixedIps.flatMap(({ ipAddress }) => (versionOf(ipAddress) === version ? [ipAddress] : []));
        return addresses.flatMap((one) => exitTo(way, prefixOf(one), host, version, reader));
      }),
    );
    return entries.length === 0 ? {} : { entries };
  },
);

/** In place of default routes: what leaves goes by its source. */
export function defaultsBySource(taken: (destination: string) => boolean): readonly RouteTo[] {
  return DEFAULTS.flatMap((destination) => {
    const to = parsePrefix(destination);
    return to === undefined || taken(destination) ? [] : [{ to, value: { ...NOWHERE, kind: CB_ROUTE_BY_SOURCE } }];
  });
}

/** Underlay addresses of the nodes in these networks: each stays reached by the sender's own node. */
export function underlaysOf(networkIds: Iterable<string>, reader: PlanReader): readonly string[] {
  const all = [...networkIds].flatMap((id) => reader.items('endpoints', id).flatMap(({ underlay }) => underlay ?? []));
  return [...new Set(all)].sort();
}

const NOWHERE = {
  ...{ kind: CB_ROUTE_BLACKHOLE, flags: 0, net: 0, mtuBytes: 0, mac: new Uint8Array(6) },
  ...{ nexthop: NO_ADDRESS, own: NO_ADDRESS, outside: 0 },
} as const;

/** A router by which this host is the way outside as a node. */
type NodeWay = { readonly vrf: number; readonly legs: readonly Leg[]; readonly networks: ReadonlySet<string> };

function wayOf(routerId: string, reader: PlanReader): NodeWay | undefined {
  const vrf = reader.number('router', routerId);
  if (vrf === undefined || reader.header('router', routerId)?.nodeEgress !== true) return undefined;
  const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
  const nodes = portsOfNode(reader, new Set(legs.map(({ networkId }) => networkId)));
  const networks = new Set(nodes.map(({ networkId }) => networkId));
  return networks.size === 0 ? undefined : { vrf, legs, networks };
}

/** What comes from there leaves by the node. By nobody, where that has no port, or no address of that version of IP: never by another. */
function exitTo(
  { vrf, legs, networks }: NodeWay,
  from: Prefix | undefined,
  host: string,
  version: Version,
  reader: PlanReader,
): readonly Planned[] {
  if (from === undefined) return [];
  const hops = [...networks].flatMap((id) => addressesOf(id, host, reader).map((address) => ({ id, address })));
  const hop = hops.find(({ address }) => versionOf(address) === version);
  const bytes = hop === undefined ? undefined : parseAddress(hop.address);
  const leg = legs.find(({ networkId, cidr, way }) => {
    return way !== undefined && networkId === hop?.id && versionOf(cidr) === version;
  });
  const value = leg?.way === undefined || bytes === undefined ? NOWHERE : routeBy(from, leg.way, bytes).value;
  return [encodeEntry('cb_exit_1', { prefixlen: ROUTE_HEAD_BITS + from.length, vrf, addr: from.bytes }, value)];
}

/** Of the node's port in the network. */
function addressesOf(networkId: string, host: string, reader: PlanReader): readonly string[] {
  if (host === reader.host)
    return portsOfNode(reader, new Set([networkId])).flatMap(({ fixedIps }) =>
      fixedIps.map(({ ipAddress }) => ipAddress),
    );
  return reader.items('endpoints', networkId).flatMap((one) => (one.host === host ? one.ipAddresses : []));
}

function projectOf({ legs }: NodeWay, reader: PlanReader): string | undefined {
  return reader.facts('network', legs[0]?.networkId ?? '').get('')?.value.projectId;
}

function podOf(deviceId: string, name: string): string | undefined {
  const suffix = `:${name}`;
  return deviceId.endsWith(suffix) ? deviceId.slice(0, -suffix.length) : undefined;
}

function prefixOf(address: string): Prefix | undefined {
  const bytes = parseAddress(address);
  return bytes === undefined ? undefined : hostPrefix(bytes);
}

function versionOf(text: string): Version {
  return text.includes(':') ? 6 : 4;
}
