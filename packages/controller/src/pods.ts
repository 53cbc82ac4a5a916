/**
 * Pods become ports: one is made, bound to the pod's node, as soon as the pod has a node, and is gone when the pod is, and nothing of it is on the node any more.
 */
import type { Client } from '@cable/api';
import { ApiError } from '@cable/api';
import type { Logger } from '@cable/kit';
import { getIfThere, type KubeApi, placeOf } from '@cable/kube';
import { isUuid } from '@cable/model';
import { type CableAccess, isGone, isRefusal, isStillPlugged } from './cable-access.ts';
import type { ClusterNetworks } from './cluster-networks.ts';
import { Unmet } from './custom/work.ts';
import type { ObjectEvents } from './object-events.ts';
import {
  hasPlace,
  needsPort,
  ownerUid,
  PODS,
  type Pod,
  type PodFacts,
  placeInSet,
  podFacts,
  type SetFacts,
  STATEFUL_SETS,
  type StatefulSet,
  setFacts,
} from './pod-facts.ts';
import type { PortBook, PortFacts } from './port-book.ts';
import type { RatePolicies } from './rate-policies.ts';
import type { Refusals } from './refusals.ts';
import { type PodWishes, WishError, wishesOf } from './wishes.ts';

export type PodsDeps = {
  readonly cable: CableAccess;
  readonly kube: Pick<KubeApi, 'get'>;
  readonly pods: { get(key: string): PodFacts | undefined };
  readonly sets: { get(key: string): SetFacts | undefined };
  readonly book: PortBook;
  readonly networks: () => ClusterNetworks;
  /** The project of a namespace; undefined: the namespace is not known yet. */
  readonly projectOf: (namespace: string) => string | undefined;
  readonly cluster: string;
  /** Are the network policies of the namespace, as far as they are known, in Cable? */
  readonly arePoliciesSettled: (namespace: string) => boolean;
  /** Where a Subnet of Kubernetes lets pods of the namespace have addresses: the one of that name, or that the namespace is bound to; undefined: none. Throws `Unmet`. */
  readonly placeFor: (namespace: string, subnet?: string) => Place | undefined;
  readonly rates: RatePolicies;
  readonly events: ObjectEvents;
  readonly refusals: Refusals;
  /** Looks at the key again so many milliseconds later. */
  readonly again: (key: string, ms: number) => void;
  readonly log: Logger;
};

/** `device_owner` of a pod's port. */
const POD_OWNER = 'kubernetes:pod';
const KIND = 'Pod';

/** What a runtime calls a pod's first interface. */
const FIRST_INTERFACE = 'eth0';

/** When a pod is looked at again whose network policies are on their way. */
const POLICIES_MS = 50;

/** How often a port of a pod that is gone is looked at, until nothing of it is on the node any more. */
const RELEASE_MS = 1000;

/** What is found wrong with what the pod asks for; it has no port until that is mended. */
class Unfit extends Error {}

/** Brings the ports of one pod to where they should be. A throw means: again. */
export async function reconcilePod(deps: PodsDeps, key: string): Promise<void> {
  const pod = deps.pods.get(key);
  const ports = deps.book.of(KIND, key);
  const mine = pod === undefined ? [] : ports.filter((port) => port.origin.uid === ownerUid(pod));
  const isWaiting = pod !== undefined && pod.node === '' && !pod.isOver;
  const keeps = isWaiting || needsPort(pod);
  if (!keeps) {
    deps.refusals.clear(key);
    deps.events.well(KIND, key);
  }
  if (needsPort(pod)) await ensurePort(deps, pod, mine);
  for (const port of ports) {
    const isKept = (keeps && mine.includes(port)) || waitsForPod(deps, key, port);
    if (!isKept) await release(deps, key, port);
  }
}

/** The StatefulSet makes a pod of the name again, as far as is known. */
function waitsForPod({ sets }: PodsDeps, key: string, port: PortFacts): boolean {
  const place = placeInSet(key);
  return place !== undefined && hasPlace(sets.get(place.key), port.origin.uid, place.ordinal);
}

async function ensurePort(deps: PodsDeps, pod: PodFacts, ports: readonly PortFacts[]): Promise<void> {
  const key = `${pod.namespace}/${pod.name}`;
  const deviceId = `${pod.runtimeUid}:${FIRST_INTERFACE}`;
  const subject = { apiVersion: 'v1', kind: KIND, namespace: pod.namespace, name: pod.name, uid: pod.uid };
  const there = ports.find((port) => port.deviceId === deviceId) ?? (pod.setUid === undefined ? undefined : ports[0]);
  try {
    const wishes = wishesOf(pod);
    // What runs without them for a moment may be reached in it.
    if (there?.deviceId !== deviceId && !deps.arePoliciesSettled(pod.namespace)) {
      deps.again(key, POLICIES_MS);
      return;
    }
    if (there === undefined) await createPort(deps, pod, deviceId, wishes);
    else await updatePort(deps, pod, there, { deviceId, wishes });
    deps.refusals.clear(key);
    deps.events.well(KIND, key);
  } catch (err) {
    // The pod before it is on its way out.
    if (isStillPlugged(err)) return deps.again(key, RELEASE_MS);
    if (!(err instanceof WishError || err instanceof Unfit || err instanceof Unmet || isRefusal(err))) throw err;
    const detail = err instanceof ApiError && err.detail !== '' ? ` ${err.detail}` : '';
    const { againMs, isNews } = deps.refusals.note(key);
    if (isNews) await deps.events.warn(subject, 'NoPort', `The pod has no port: ${err.message}${detail}`);
    deps.again(key, againMs);
  }
}

async function createPort(deps: PodsDeps, pod: PodFacts, deviceId: string, wishes: PodWishes): Promise<void> {
  const project = deps.projectOf(pod.namespace);
  // The namespace's own watch may be behind that of pods.
  if (project === undefined) throw new Error(`namespace ${pod.namespace} is not known yet`);
  const client = deps.cable.as(project);
  const origin = { kind: KIND, key: `${pod.namespace}/${pod.name}`, uid: ownerUid(pod) };
  const place = await networkOf(deps, pod.namespace, client, wishes);
  const groups = await groupsOf(client, wishes.securityGroups ?? []);
  const qosPolicyId = await deps.rates.idOf(wishes.rates);
  const body = {
    name: pod.name,
    network_id: place.networkId,
    fixed_ips: fixedIps(place.subnetIds, wishes.ipAddresses),
    ...(wishes.macAddress === undefined ? {} : { mac_address: wishes.macAddress }),
    security_groups: groups,
    ...(qosPolicyId === null ? {} : { qos_policy_id: qosPolicyId }),
    ...selectable(deps, pod),
    device_owner: POD_OWNER,
    device_id: deviceId,
    'binding:host_id': pod.node,
  };
  await deps.book.create(client, body, origin, deviceId);
}

type Wanted = { readonly deviceId: string; readonly wishes: PodWishes };

/** Groups and rates change while the pod runs; a port that a StatefulSet keeps gets another pod. */
async function updatePort(deps: PodsDeps, pod: PodFacts, port: PortFacts, { deviceId, wishes }: Wanted): Promise<void> {
  const client = deps.cable.as(port.projectId);
  const groups = await groupsOf(client, wishes.securityGroups ?? []);
  const qosPolicyId = await deps.rates.idOf(wishes.rates);
  const now = selectable(deps, pod);
  const changes = {
    ...(qosPolicyId === port.qosPolicyId ? {} : { qos_policy_id: qosPolicyId }),
    ...(sameSet(groups, port.securityGroups) ? {} : { security_groups: groups }),
    ...(port.host === pod.node ? {} : { 'binding:host_id': pod.node }),
    ...(port.deviceId === deviceId ? {} : { device_id: deviceId }),
    ...(port.namespace === now['cable:namespace'] ? {} : { 'cable:namespace': now['cable:namespace'] }),
    ...(sameList(port.labels, now['cable:labels']) ? {} : { 'cable:labels': now['cable:labels'] }),
    ...(samePorts(port.namedPorts, now['cable:named_ports']) ? {} : { 'cable:named_ports': now['cable:named_ports'] }),
  };
  if (Object.keys(changes).length === 0) return;
  try {
    deps.book.keep(await client.update('port', port.id, changes));
  } catch (err) {
    if (isGone(err)) deps.book.forget(port.id);
    throw err;
  }
}

/** By which network policies select it. */
function selectable({ cluster }: PodsDeps, { namespace, labels, namedPorts }: PodFacts) {
  return {
    'cable:namespace': `${cluster}/${namespace}`,
    'cable:labels': labels,
    'cable:named_ports': namedPorts,
  };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}

function samePorts(a: PodFacts['namedPorts'], b: PodFacts['namedPorts']): boolean {
  const texts = (ports: PodFacts['namedPorts']) =>
    ports.map(({ name, protocol, port }) => `${name} ${protocol} ${port}`);
  return sameList(texts(a), texts(b));
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}

type Place = { readonly networkId: string; readonly subnetIds: readonly string[] };

async function networkOf(
  { networks, placeFor }: PodsDeps,
  namespace: string,
  client: Client,
  { network, subnet }: PodWishes,
): Promise<Place> {
  const place = network === undefined ? placeFor(namespace, subnet) : undefined;
  if (place !== undefined) return place;
  if (network === undefined && subnet === undefined) return networks().pods;
  const net = network === undefined ? undefined : await findOne(client, 'network', network);
  if (subnet !== undefined) {
    const found = await findOne(client, 'subnet', subnet, net === undefined ? {} : { network_id: net.id });
    return { networkId: String(found['network_id']), subnetIds: [found.id] };
  }
  return { networkId: net?.id ?? '', subnetIds: [] };
}

/** By ID or name, of what the namespace's project sees. Throws `Unfit`. */
async function findOne(client: Client, type: string, text: string, more: Readonly<Record<string, string>> = {}) {
  const found = await client.list(type, { ...(isUuid(text) ? { id: text } : { name: text }), ...more });
  const [first, second] = found;
  if (first === undefined) throw new Unfit(`there is no ${type} ${text} that its project sees`);
  if (second !== undefined) throw new Unfit(`its project sees several of ${type} ${text}: give the ID`);
  return first;
}

async function groupsOf(client: Client, groups: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(groups.map((group) => findOne(client, 'security_group', group)));
  return found.map(({ id }) => id);
}

/** One of each subnet, in their order, the addresses that are asked for in the place of those of their version. Without subnets the server chooses. */
function fixedIps(subnetIds: readonly string[], addresses: readonly string[]): readonly object[] | undefined {
  if (addresses.length === 0) return subnetIds.length === 0 ? undefined : subnetIds.map((id) => ({ subnet_id: id }));
  return addresses.map((address) => ({ ip_address: address }));
}

/**
 * A port goes when the API server itself says that its pod is gone, or over, and no StatefulSet makes it again, and its node has unplugged it, which the server looks at; of a node that says nothing,
 * when the pod is gone: whoever deletes it by force, or its node, says by it that nothing of it runs.
 */
async function release(deps: PodsDeps, key: string, port: PortFacts): Promise<void> {
  if (!(await isReleased(deps, key, port))) {
    deps.again(key, RELEASE_MS);
    return;
  }
  try {
    await deps.cable.as(port.projectId).delete('port', port.id);
  } catch (err) {
    if (isStillPlugged(err)) return deps.again(key, RELEASE_MS);
    if (!isGone(err)) throw err;
  }
  deps.book.forget(port.id);
  // A pod that took its place may wait for its address.
  deps.again(key, 0);
  deps.log.debug({ pod: key, port: port.id }, 'the port of a pod is released');
}

/** Asked by name: what is followed may be behind. */
async function isReleased({ kube }: PodsDeps, key: string, port: PortFacts): Promise<boolean> {
  const pod = await getIfThere<Pod>(kube, PODS, placeOf(key));
  if (pod !== undefined) {
    const facts = podFacts(pod);
    if (ownerUid(facts) === port.origin.uid && !facts.isOver && !facts.isHostNetwork) return false;
  }
  const place = placeInSet(key);
  if (place === undefined || pod?.metadata.uid === port.origin.uid) return true;
  const set = await getIfThere<StatefulSet>(kube, STATEFUL_SETS, placeOf(place.key));
  return !hasPlace(set === undefined ? undefined : setFacts(set), port.origin.uid, place.ordinal);
}
