/** What policies for this host come to, as its slices have it now. */
import {
  type ClusterService,
  formatCidr,
  type HostPolicyPeer,
  type HostPolicyRule,
  type NetworkPolicyPorts,
  parseCidr,
} from '@cable/model';
import { parseOrder } from '../plan/address.ts';
import { cutPrefix } from '../plan/prefix-cut.ts';
import type { SliceChange, SliceReader } from '../stream/slice-reader.ts';
import { merged, type PortRange } from './open-ports.ts';

export type Direction = 'ingress' | 'egress';

export type WantedPolicies = {
  /** Ids of the policies. */
  readonly policies: readonly string[];
  /** Directions in which only what a rule allows passes. */
  readonly isolated: Readonly<Record<Direction, boolean>>;
  readonly rules: readonly WantedRule[];
  /** Addresses of pods of this host: its kubelet probes them. */
  readonly ownPods: readonly string[];
  /** Where API servers of clusters are reached. */
  readonly apiServers: readonly ServerPlace[];
  /** At which ports this host's agent says whether Services have endpoints here. */
  readonly healthPorts: readonly number[];
};

export type WantedRule = {
  readonly policyId: string;
  readonly direction: Direction;
  /** Absent: everybody. */
  readonly peers?: WantedPeers;
  /** None of which has a port of another. Absent: all, with any protocol. */
  readonly ports?: readonly PortRange[];
};

/** `prefixes`: whoever has these addresses. `pods`: addresses of pods, by the host's link as a node alone: elsewhere others may have them. */
export type WantedPeers = { readonly prefixes: readonly string[]; readonly pods: readonly string[] };

export type ServerPlace = { readonly address: string; readonly protocol: number; readonly port: number };

type Slices = Pick<SliceReader, 'header' | 'item' | 'items' | 'keys'>;

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;
const LAST_PORT = 65_535;

/** The Service behind which API servers are, as each of them makes it. */
const API_SERVERS = 'default/kubernetes';

/** Undefined: there are none. Throws where not all of it has come. */
export function wantedPolicies(slices: Slices, host: string): WantedPolicies | undefined {
  const key = slices.header(`host:${host}`)?.policies;
  if (key === undefined) return undefined;
  const id = idOf(key);
  const header = slices.header(`host_policies:${id}`);
  if (header === undefined) throw new Error('the server has not sent all of the policies for this host');
  const items = [...slices.items(`host_policies:${id}`)].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    policies: id.split('+'),
    isolated: { ingress: header.ingress, egress: header.egress },
    rules: items.map(([, rule]) => ruleOf(slices, rule)),
    ownPods: ownPods(slices, host),
    ...reachedFor(slices),
  };
}

/** Whether the change may have made another thing of what policies for the host come to. */
export function concernsPolicies({ key, item }: SliceChange, slices: Slices, host: string): boolean {
  const kind = key.slice(0, key.indexOf(':'));
  if (kind === 'host') return idOf(key) === host;
  if (kind === 'backends') {
    const service = item === null ? undefined : slices.item(`backends:${idOf(key)}`, item)?.serviceId;
    // Of one that is gone it is not known whose it was.
    return service === undefined || slices.item(`services:${idOf(key)}`, service)?.name === API_SERVERS;
  }
  return CONCERNED.has(kind);
}

const CONCERNED: ReadonlySet<string> = new Set(['host_policies', 'pods', 'cluster_pods', 'group', 'services']);

function ruleOf(slices: Slices, { policyId, direction, peers, ports }: HostPolicyRule): WantedRule {
  return {
    ...{ policyId, direction },
    ...(peers === undefined ? {} : { peers: peersOf(slices, peers) }),
    ...(ports === undefined ? {} : { ports: merged(ports.map(rangeOf)) }),
  };
}

function rangeOf({ protocol, first, last }: NetworkPolicyPorts): PortRange {
  return { protocol, first: first ?? 0, last: last ?? first ?? LAST_PORT };
}

function peersOf(slices: Slices, peers: readonly HostPolicyPeer[]): WantedPeers {
  const prefixes = new Set<string>();
  const pods = new Set<string>();
  for (const peer of peers) {
    if ('addresses' in peer) for (const one of groupAddresses(slices, peer.addresses)) prefixes.add(one);
    else if (peer.cidr !== undefined) for (const one of prefixesOf(peer.cidr, peer.except)) prefixes.add(one);
    else for (const key of peer.pods) for (const one of podAddresses(slices, key)) pods.add(one);
  }
  return { prefixes: [...prefixes], pods: [...pods] };
}

function groupAddresses(slices: Slices, key: string): readonly string[] {
  const texts = slices.header(`group:${idOf(key)}`)?.addresses ?? [];
  return texts.map((text) => (text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`));
}

/** What is left of a prefix. */
function prefixesOf(cidr: string, except: readonly string[]): readonly string[] {
  const whole = parseCidr(cidr);
  if (whole === undefined) return [];
  return cutPrefix(
    whole,
    except.flatMap((one) => parseCidr(one) ?? []),
  ).map(formatCidr);
}

function* podAddresses(slices: Slices, key: string): Generator<string> {
  const [kind, id] = [key.slice(0, key.indexOf(':')), idOf(key)];
  const members = kind === 'pods' ? slices.items(`pods:${id}`) : slices.items(`cluster_pods:${id}`);
  for (const [, { addresses }] of members) yield* addresses.filter(isAddress);
}

function ownPods(slices: Slices, host: string): readonly string[] {
  const ports = [...slices.items(`host:${host}`)].filter(([, { vifKind }]) => vifKind === 'veth');
  const addresses = ports.flatMap(([, { fixedIps }]) => fixedIps.map(({ ipAddress }) => ipAddress));
  return [...new Set(addresses.filter(isAddress))].sort();
}

type Reached = Pick<WantedPolicies, 'apiServers' | 'healthPorts'>;

/** API servers at the addresses of their Service, and where they listen themselves. */
function reachedFor(slices: Slices): Reached {
  const apiServers: ServerPlace[] = [];
  const healthPorts = new Set<number>();
  for (const key of slices.keys()) {
    if (!key.startsWith('services:')) continue;
    for (const [, service] of slices.items(`services:${idOf(key)}`)) {
      if (service.healthCheckNodePort !== undefined) healthPorts.add(service.healthCheckNodePort);
      if (service.name === API_SERVERS) apiServers.push(...placesOf(slices, idOf(key), service));
    }
  }
  return { apiServers: apiServers.filter(({ address }) => isAddress(address)), healthPorts: [...healthPorts].sort() };
}

function* placesOf(
  slices: Slices,
  scope: string,
  { id, clusterIps, ports: own }: ClusterService,
): Generator<ServerPlace> {
  for (const { protocol, port } of own)
    for (const address of clusterIps) yield { address, protocol: PROTOCOLS[protocol], port };
  for (const [, { serviceId, ipAddress, hostAddress, ports }] of slices.items(`backends:${scope}`)) {
    if (serviceId !== id) continue;
    for (const { protocol, port } of ports)
      for (const address of hostAddress === undefined ? [ipAddress] : [ipAddress, hostAddress])
        yield { address, protocol: PROTOCOLS[protocol], port };
  }
}

function isAddress(text: string): boolean {
  return !text.includes('/') && parseOrder(text) !== undefined;
}

function idOf(key: string): string {
  return key.slice(key.indexOf(':') + 1);
}
