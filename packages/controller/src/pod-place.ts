/** Where a pod's port is to be: network, subnets, addresses, groups, as the namespace's project sees them. */
import type { Client } from '@cable/api';
import { type AnyObject, cidrContains, isUuid, parseCidr, parseIp, type Subnet } from '@cable/model';
import type { ClusterNetwork } from './cluster-networks.ts';
import type { PodGroups } from './legs.ts';
import { namedRows } from './named-rows.ts';
import { nearest } from './nearest.ts';
import type { PodWishes, Wish } from './wishes.ts';

/**
 * What is found wrong with what the pod asks for, which it has not until that is mended. `reason`: of the event; undefined: as of others. `about`: which of its annotations asks for it; undefined:
 * the message says it, or none does.
 */
export class Unfit extends Error {
  readonly reason: string | undefined;
  readonly about: Wish | undefined;

  constructor(
    message: string,
    { reason, about }: { readonly reason?: string | undefined; readonly about?: Wish } = {},
  ) {
    super(message);
    this.reason = reason;
    this.about = about;
  }
}

/** IDs. Without subnets any of the network's. */
export type Place = ClusterNetwork;

export type PlaceDeps = {
  readonly networks: () => { readonly pods: ClusterNetwork };
  /** Where a Subnet of Kubernetes lets pods of the namespace have addresses: the one of that name, or that the namespace is bound to; undefined: none. Throws `Unmet`. */
  readonly placeFor: (namespace: string, subnet?: string) => Promise<Place | undefined>;
};

/** Throws `Unfit`, and what `placeFor` throws. `viewer`: the namespace's project. */
export async function networkOf(
  { networks, placeFor }: PlaceDeps,
  namespace: string,
  viewer: Viewer,
  { network, subnet }: Pick<PodWishes, 'network' | 'subnet'>,
): Promise<Place> {
  const place = network === undefined ? await placeFor(namespace, subnet) : undefined;
  if (place !== undefined) return place;
  if (network === undefined && subnet === undefined) return networks().pods;
  const net = network === undefined ? undefined : await findOne(viewer, 'network', network);
  if (subnet !== undefined) {
    const found = await findOne(viewer, 'subnet', subnet, net === undefined ? {} : { network_id: net.id });
    return { networkId: String(found['network_id']), subnetIds: [found.id] };
  }
  return { networkId: net?.id ?? '', subnetIds: [] };
}

/** A project, and who asks as it. */
export type Viewer = { readonly client: Client; readonly projectId: string };

/** By ID, or the nearest of a name, of what the project sees. Throws `Unfit`. */
export async function findOne(
  viewer: Viewer,
  type: string,
  text: string,
  more: Readonly<Record<string, string>> = {},
): Promise<AnyObject> {
  const found = await viewer.client.list(type, { ...(isUuid(text) ? { id: text } : { name: text }), ...more });
  return meant(viewer, type, text, found);
}

/** By an ID everything is meant. */
function meant({ projectId }: Viewer, type: string, text: string, found: readonly AnyObject[]): AnyObject {
  return onlyOne(isUuid(text) ? found : nearest(type, found, projectId), type, text);
}

/** Throws `Unfit`. */
export function onlyOne(found: readonly AnyObject[], type: string, text: string): AnyObject {
  const [first, second] = found;
  const about = ASKED_BY[type];
  const asked = about === undefined ? {} : { about };
  if (first === undefined) {
    const isNamed = type === 'security_group' && !isUuid(text);
    throw new Unfit(
      `there is no ${type} ${text} that its project ${isNamed ? 'has: name one of others by ID' : 'sees'}`,
      asked,
    );
  }
  if (second !== undefined) throw new Unfit(`its project sees several of ${type} ${text}: give the ID`, asked);
  return first;
}

/** By type of what is looked for. */
const ASKED_BY: Readonly<Record<string, Wish>> = {
  ...{ network: 'network', subnet: 'subnet', security_group: 'securityGroups' },
  ...{ tap_service: 'mirror', 'address or port': 'pairs' },
};

export async function groupsOf(viewer: Viewer, groups: readonly string[]): Promise<PodGroups> {
  const type = 'security_group';
  const rows = await namedRows(viewer.client, type, groups);
  const found = groups.map((text) => meant(viewer, type, text, rows.get(text) ?? []));
  return { ids: found.map(({ id }) => id), isStateless: found.some((one) => one['stateful'] === false) };
}

/**
 * One address of each subnet, in their order, those that are asked for in the place of those of their version. Without subnets the server chooses; what is asked
 * for is one of each version all the same.
 */
export async function fixedIps(
  client: Client,
  { networkId, subnetIds }: Place,
  addresses: readonly string[],
): Promise<readonly object[] | undefined> {
  const chosen = subnetIds.map((id) => ({ subnet_id: id }));
  if (addresses.length === 0) return chosen.length === 0 ? undefined : chosen;
  const there = await client.list('subnet', { network_id: networkId });
  const own = subnetIds.length === 0 ? there : subnetIds.flatMap((id) => there.find((one) => one.id === id) ?? []);
  const versions = [...new Set(own.map((one) => one.ip_version))];
  const rest = addresses.filter((address) => !versions.includes(versionOf(address)));
  return [
    ...versions.flatMap((version): readonly object[] => {
      const asked = addresses.filter((address) => versionOf(address) === version);
      if (asked.length > 0) return asked.map((address) => ({ ip_address: address, ...subnetOf(own, address) }));
      const [first] = own.filter((one) => one.ip_version === version);
      return first === undefined ? [] : [{ subnet_id: first.id }];
    }),
    // Of no subnet here: the server says so.
    ...rest.map((address) => ({ ip_address: address })),
  ];
}

/** Where subnets were named the address is of one of them; outside the server refuses it. */
export function subnetOf(
  subnets: readonly Pick<Subnet, 'id' | 'cidr'>[],
  address: string,
): { readonly subnet_id?: string } {
  const ip = parseIp(address);
  const found = subnets.find(({ cidr }) => {
    const prefix = parseCidr(cidr);
    return ip !== undefined && prefix !== undefined && cidrContains(prefix, ip);
  });
  return found === undefined ? {} : { subnet_id: found.id };
}

function versionOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4;
}
