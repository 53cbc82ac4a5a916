/**
 * Pods become ports: one is made, bound to the pod's node, as soon as the pod has a node, and is gone when the pod is, and nothing of it is on the node any more. In another VPC than the
 * cluster's own a pod has two: its port there, and a leg in the cluster's network of pods (`legs.ts`).
 */
import type { Logger } from '@cable/kit';
import { getIfThere, type KubeApi, KubeError, placeOf } from '@cable/kube';
import { FIRST_INTERFACE, VPC_INTERFACE } from '@cable/model';
import { type CableAccess, isGone, isRefusal, isStillPlugged } from './cable-access.ts';
import type { ClusterNetworks } from './cluster-networks.ts';
import { Unmet } from './custom/work.ts';
import { ensureFurther, type Further, type FurtherDeps, furtherOf } from './further-ports.ts';
import type { PoolTurns } from './ip-pool.ts';
import { takeKept } from './kept-port.ts';
import { LEG_OWNER, type Legs, type PodGroups, type Vpc } from './legs.ts';
import type { ObjectEvents } from './object-events.ts';
import { withAddresses } from './pod-addresses.ts';
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
  VPC_ADDRESS,
} from './pod-facts.ts';
import { fixedIps, groupsOf, networkOf, type Place, Unfit } from './pod-place.ts';
import {
  createPodPort,
  deviceIdOf,
  followLabels,
  interfaceOf,
  isKept,
  KIND,
  type OwnedPod,
  POD_OWNER,
  updatePodPort,
} from './pod-ports.ts';
import type { PortBook, PortFacts } from './port-book.ts';
import { defaultRoutes, type Extras, explaining, extrasBody, extrasChanges, extrasOf } from './port-extras.ts';
import type { RatePolicies } from './rate-policies.ts';
import { refusalText } from './refusal-text.ts';
import type { Refusals } from './refusals.ts';
import { soonest, type WaitedFor, type Waits } from './waits.ts';
import { WishError } from './wish-error.ts';
import { type PodWishes, unknownOf, wishesOf } from './wishes.ts';

export type PodsDeps = FurtherDeps & {
  readonly cable: CableAccess;
  readonly kube: Pick<KubeApi, 'get' | 'patch'>;
  readonly pods: { get(key: string): PodFacts | undefined };
  readonly sets: { get(key: string): SetFacts | undefined };
  readonly book: PortBook;
  readonly networks: () => ClusterNetworks;
  /** The project of a namespace; undefined: the namespace is not known yet. */
  readonly projectOf: (namespace: string) => string | undefined;
  readonly cluster: string;
  /** Are the network policies that the pod has, as far as they are known, in Cable? */
  readonly arePoliciesSettled: (pod: Pick<PodFacts, 'namespace' | 'labels'>) => boolean;
  /** Where a Subnet of Kubernetes lets pods of the namespace have addresses: the one of that name, or that the namespace is bound to; undefined: none. Throws `Unmet`. */
  readonly placeFor: (namespace: string, subnet?: string) => Promise<Place | undefined>;
  readonly rates: RatePolicies;
  readonly legs: Legs;
  readonly turns: PoolTurns;
  readonly events: ObjectEvents;
  readonly refusals: Refusals;
  readonly waits: Waits;
  /** Looks at the key again so many milliseconds later. */
  readonly again: (key: string, ms: number) => void;
  readonly log: Logger;
  /** Is the pod's machine known, whose ports it has (`machine-ports.ts`)? */
  readonly isOfMachine: (pod: PodFacts) => boolean;
};

/** When a pod is looked at again whose network policies are on their way. */
const POLICIES_MS = 50;

/** When what waits for a port of the pod before it is looked at again. */
export const RELEASE_MS = 1000;

/** Brings the ports of one pod to where they should be. A throw means: again. */
export async function reconcilePod(given: PodsDeps, key: string): Promise<void> {
  const deps = { ...given, again: soonest(given.again) };
  const pod = deps.pods.get(key);
  const ports = deps.book.of(KIND, key);
  const mine = pod === undefined ? [] : ports.filter((port) => isMine(pod, port));
  const isWaiting = pod !== undefined && pod.node === '' && !pod.isOver;
  const keeps = isWaiting || needsPort(pod);
  if (!keeps) {
    deps.book.lend(key, undefined);
    deps.turns.over(key);
    deps.refusals.clear(key);
    deps.events.well(KIND, key);
  }
  // Ports of a machine are looked at where that is; who says that a pod is one's keeps no label off by it.
  if (pod !== undefined && deps.isOfMachine(pod)) {
    const { refused } = await followLabels(deps, pod, deps.book.ofPod(key));
    if (refused !== undefined) await tellRefusal(deps, pod, refused, true);
  }
  const surplus = needsPort(pod) && !deps.isOfMachine(pod) ? await ensurePorts(deps, pod, mine) : [];
  // Of a pod that runs its node may keep it plugged until that ends.
  for (const port of surplus) await drop(deps, key, port, 'pod');
  for (const port of ports) {
    if (surplus.includes(port)) continue;
    const stays = (keeps && mine.includes(port)) || waitsForPod(deps, key, port);
    if (stays) deps.waits.over(port.id);
    else await release(deps, key, port);
  }
}

/** The StatefulSet makes a pod of the name again, as far as is known. */
function waitsForPod({ sets }: PodsDeps, key: string, port: PortFacts): boolean {
  const place = placeInSet(key);
  return place !== undefined && hasPlace(sets.get(place.key), port.origin.uid, place.ordinal);
}

/** Brings ports of a pod that needs some to where they should be; what is refused is told. `there`: that may be its. Answers those that it needs no more. */
export async function ensurePorts(
  deps: PodsDeps,
  pod: OwnedPod,
  there: readonly PortFacts[],
): Promise<readonly PortFacts[]> {
  const key = `${pod.namespace}/${pod.name}`;
  const { ports, refused } = await followLabels(deps, pod, there);
  const legs = ports.filter(({ deviceOwner }) => deviceOwner === LEG_OWNER);
  const own = ports.filter((port) => !legs.includes(port) && isFirst(port));
  const running = own.find(({ deviceId }) => isOf(pod, deviceId));
  const kept = running === undefined && isKept(pod) ? own : [];
  let hasPort = running !== undefined;
  try {
    if (refused !== undefined) throw refused;
    // What runs without them for a moment may be reached in it.
    if (running === undefined && !deps.arePoliciesSettled(pod)) {
      deps.again(key, POLICIES_MS);
      return [];
    }
    const [wishes, further] = [wishesOf(pod), furtherOf(pod)];
    const routes = routesOf(wishes, further);
    const defaultRoute = routes.get(FIRST_INTERFACE) ?? null;
    const { port, vpc, groups } = await (running === undefined
      ? takePort(deps, pod, kept, wishes, defaultRoute)
      : updatePort(deps, pod, { port: running, wishes, defaultRoute }));
    const inVpc = vpc === undefined ? undefined : { port, vpc, groups, legs, wishes, defaultRoute };
    const surplus = inVpc === undefined ? legs : await ensureLeg(deps, pod, inVpc);
    hasPort = true;
    if (vpc !== undefined) await tellAddresses(deps, pod, port);
    const others = ports.filter((one) => !legs.includes(one) && !own.includes(one));
    const wanted = { further, ports: others, projectId: port.projectId, routes };
    const made = await ensureFurther(deps, pod, wanted);
    await deps.mirrors.ensure(deps.cable.as(port.projectId), pod.name, port, wishes.mirror);
    if (made.refused !== undefined) throw made.refused;
    deps.refusals.clear(key);
    await tellUnknown(deps, pod);
    return [...surplus, ...made.surplus, ...own.filter((one) => isReplaced(one, port))];
  } catch (err) {
    await tellRefusal(deps, pod, err, hasPort);
    return [];
  }
}

/** Nothing is wrong with the pod; of annotations that nobody knows it is told, once in a while. */
async function tellUnknown({ events }: PodsDeps, { namespace, name, uid, annotations }: PodFacts): Promise<void> {
  const unknown = unknownOf(annotations);
  if (unknown.length === 0) return events.well(KIND, `${namespace}/${name}`);
  const subject = { apiVersion: 'v1', kind: KIND, namespace, name, uid };
  const message = `nothing here knows ${unknown.join(', ')}: the pod is as it would be without`;
  await events.warn(subject, 'NotKnown', message);
}

/** Has the pod looked at again after what was refused of its ports, and says so at the pod. Throws what is no refusal. */
export async function tellRefusal(deps: PodsDeps, pod: PodFacts, err: unknown, hasPort: boolean): Promise<void> {
  const { namespace, name, uid } = pod;
  const key = `${namespace}/${name}`;
  // The pod before it is on its way out.
  if (isStillPlugged(err)) return deps.again(key, RELEASE_MS);
  if (!(err instanceof WishError || err instanceof Unfit || err instanceof Unmet || isRefusal(err))) throw err;
  const { againMs, isNews } = deps.refusals.note(key);
  const known = err instanceof Unfit ? err.reason : undefined;
  const [reason, what] = hasPort
    ? ['NotAsAskedFor', 'The pod has a port, but not all that it asks for']
    : ['NoPort', 'The pod has no port'];
  const subject = { apiVersion: 'v1', kind: KIND, namespace, name, uid };
  if (isNews) await deps.events.warn(subject, known ?? reason, `${what}: ${refusalText(err, pod)}`);
  deps.again(key, againMs);
}

/** Another one that was made for the same, in the network that the pods before asked for. */
function isReplaced(one: PortFacts, { id, origin }: PortFacts): boolean {
  return one.id !== id && one.origin.kind === origin.kind && one.origin.uid === origin.uid;
}

/** Of a pod's first interface, or of the one in its VPC. */
function isFirst(port: PortFacts): boolean {
  const name = interfaceOf(port);
  return name === FIRST_INTERFACE || name === VPC_INTERFACE;
}

function routesOf(wishes: PodWishes, further: readonly Further[]): ReadonlyMap<string, boolean | null> {
  return defaultRoutes([
    { name: FIRST_INTERFACE, wishes },
    ...further.map(({ selection, wishes: own }) => ({ name: selection.interfaceName, wishes: own })),
  ]);
}

/** Was it made for the pod, or for the set that has it? Whoever has the pod now (a set that left it behind, and one that took it): what it was given stays its own. */
function isMine(pod: PodFacts, { origin, deviceId }: PortFacts): boolean {
  return origin.uid === ownerUid(pod) || deviceId.startsWith(`${pod.runtimeUid}:`);
}

/** Is a port with that `device_id` this very pod's, and no other's of its StatefulSet? */
function isOf(pod: OwnedPod, deviceId: string): boolean {
  return deviceId === deviceIdOf(pod, FIRST_INTERFACE) || deviceId === deviceIdOf(pod, VPC_INTERFACE);
}

/** `vpc` undefined: the cluster's own, in which the port is the pod's only one. */
type Made = { readonly port: PortFacts; readonly vpc: Vpc | undefined; readonly groups: PodGroups };

async function createPort(
  deps: PodsDeps,
  pod: OwnedPod,
  wishes: PodWishes,
  defaultRoute: boolean | null,
): Promise<Made> {
  const project = deps.projectOf(pod.namespace);
  // The namespace's own watch may be behind that of pods.
  if (project === undefined) throw new Error(`namespace ${pod.namespace} is not known yet`);
  const client = deps.cable.as(project);
  // A kubelet that somebody has taken over would enter any VPC by a mirror.
  const place = pod.isMirror
    ? deps.networks().pods
    : await networkOf(deps, pod.namespace, { client, projectId: project }, wishes);
  const vpc = await deps.legs.vpcOf(place.networkId, project);
  if (vpc !== undefined) refuseOverlap(deps, vpc);
  const groups = await groupsOf({ client, projectId: project }, wishes.securityGroups ?? []);
  const deviceId = deviceIdOf(pod, vpc === undefined ? FIRST_INTERFACE : VPC_INTERFACE);
  const role = { deviceOwner: POD_OWNER, deviceId };
  const extras = await extrasOf(client, wishes, defaultRoute);
  const make = async (ips: readonly object[] | undefined): Promise<PortFacts> => {
    const body = {
      ...{ network_id: place.networkId, fixed_ips: ips, security_groups: groups.ids },
      ...(wishes.macAddress === undefined ? {} : { mac_address: wishes.macAddress }),
      ...extrasBody(extras),
    };
    return await createPodPort(deps, pod, { client, role, body, rates: wishes.rates });
  };
  const port = await explaining(extras, () => withAddresses(deps, pod, { client, place, wishes }, make));
  if (extras.portSecurity !== true || port.portSecurity) return { port, vpc, groups };
  return { port: await change(deps, pod, { port, groups, deviceId, wishes, extras }), vpc, groups };
}

/** Of those that are kept for the pod the one that is where it is to be, or a new one. */
async function takePort(
  deps: PodsDeps,
  pod: OwnedPod,
  kept: readonly PortFacts[],
  wishes: PodWishes,
  defaultRoute: boolean | null,
): Promise<Made> {
  const [first] = kept;
  if (first === undefined) return await createPort(deps, pod, wishes, defaultRoute);
  const { projectId } = first;
  const place = await networkOf(deps, pod.namespace, { client: deps.cable.as(projectId), projectId }, wishes);
  const port = kept.find(({ networkId }) => networkId === place.networkId);
  if (port === undefined) return await createPort(deps, pod, wishes, defaultRoute);
  return await updatePort(deps, pod, { port, wishes, defaultRoute, place });
}

type Change = {
  readonly port: PortFacts;
  readonly groups: PodGroups;
  readonly deviceId: string;
  readonly wishes: PodWishes;
  readonly extras: Extras;
  /** Undefined: it has its addresses, and its MAC. */
  readonly place?: Place | undefined;
};

async function change(
  deps: PodsDeps,
  pod: OwnedPod,
  { port, groups, deviceId, wishes, extras, place }: Change,
): Promise<PortFacts> {
  const client = deps.cable.as(port.projectId);
  return await explaining(extras, async () => {
    const also = await extrasChanges(client, port, extras);
    const write = async (changes: Readonly<Record<string, unknown>>): Promise<PortFacts> => {
      const more = { ...also, ...changes };
      return await updatePodPort(deps, pod, port, { deviceId, groups: groups.ids, rates: wishes.rates, more });
    };
    return place === undefined ? await write({}) : await takeKept(deps, pod, { client, port, place, wishes }, write);
  });
}

/** The pod could not tell one from the other. */
function refuseOverlap({ legs }: PodsDeps, vpc: Vpc): void {
  const overlap = legs.overlapOf(vpc);
  if (overlap === undefined) return;
  const { cidr, legCidr } = overlap;
  throw new Unfit(`its subnet ${cidr} overlaps ${legCidr}, where the cluster's nodes or Services are: take another`);
}

type Update = {
  readonly port: PortFacts;
  readonly wishes: PodWishes;
  readonly defaultRoute: boolean | null;
  /** Where it is to have its addresses, of one that another pod had before. */
  readonly place?: Place;
};

async function updatePort(deps: PodsDeps, pod: OwnedPod, { port, wishes, defaultRoute, place }: Update): Promise<Made> {
  const client = deps.cable.as(port.projectId);
  const vpc = await vpcOfPort(deps, pod, port);
  const groups = await groupsOf({ client, projectId: port.projectId }, wishes.securityGroups ?? []);
  const deviceId = deviceIdOf(pod, vpc === undefined ? FIRST_INTERFACE : VPC_INTERFACE);
  const extras = await extrasOf(client, wishes, defaultRoute);
  return { port: await change(deps, pod, { port, groups, deviceId, wishes, extras, place }), vpc, groups };
}

/** What the pod was plugged with stays, whatever has become of its network. */
async function vpcOfPort(deps: PodsDeps, pod: OwnedPod, port: PortFacts): Promise<Vpc | undefined> {
  if (port.deviceId === deviceIdOf(pod, FIRST_INTERFACE)) return undefined;
  const vpc = await deps.legs.vpcOf(port.networkId, port.projectId);
  const hasLeg = port.deviceId === deviceIdOf(pod, VPC_INTERFACE);
  return vpc ?? (hasLeg ? { id: port.networkId, cidrs: [] } : undefined);
}

type InVpc = {
  readonly port: PortFacts;
  readonly vpc: Vpc;
  readonly groups: PodGroups;
  readonly legs: readonly PortFacts[];
  readonly wishes: PodWishes;
  readonly defaultRoute: boolean | null;
};

/** The leg of a pod whose port is in another VPC: in the same project, of the same labels and rates. Answers legs besides it. */
async function ensureLeg(deps: PodsDeps, pod: OwnedPod, inVpc: InVpc): Promise<readonly PortFacts[]> {
  const { port, vpc, groups, legs, wishes, defaultRoute } = inVpc;
  // In a VPC anybody may have any address, also that of the leg: the pod could not tell them apart.
  const there = legs.find(({ addresses }) => !addresses.some((one) => port.addresses.includes(one)));
  const deviceId = deviceIdOf(pod, FIRST_INTERFACE);
  const ids = await deps.legs.groupsOf(vpc, port.projectId, groups);
  if (there !== undefined) {
    const more = there.defaultRoute === defaultRoute ? {} : { 'cable:default_route': defaultRoute };
    const updated = await updatePodPort(deps, pod, there, { deviceId, groups: ids, rates: wishes.rates, more });
    return legs.filter(({ id }) => id !== updated.id);
  }
  const { pods } = deps.networks();
  const client = deps.cable.as(port.projectId);
  const body = {
    ...{ network_id: pods.networkId, fixed_ips: await fixedIps(client, pods, []), security_groups: ids },
    ...(defaultRoute === null ? {} : { 'cable:default_route': defaultRoute }),
  };
  const role = { deviceOwner: LEG_OWNER, deviceId };
  const key = `${deviceId}/leg/${legs.length}`;
  const made = await createPodPort(deps, pod, { client, role, body, rates: wishes.rates, key });
  if (made.addresses.every((one) => !port.addresses.includes(one))) return legs;
  return await ensureLeg(deps, pod, { ...inVpc, legs: [...legs, made] });
}

/** Where users of Kubernetes see it. That it could not be written is no failure: a role of before does not allow it. */
async function tellAddresses({ kube, log }: PodsDeps, pod: OwnedPod, { addresses }: PortFacts): Promise<void> {
  const text = addresses.join(',');
  if (pod.annotations[VPC_ADDRESS] === text) return;
  const { namespace, name, uid } = pod;
  const metadata = { uid, annotations: { [VPC_ADDRESS]: text } };
  try {
    await kube.patch(PODS, { namespace, name }, { metadata }, 'status');
  } catch (err) {
    if (!(err instanceof KubeError) || err.status >= 500) throw err;
    log.warn({ err, pod: `${namespace}/${name}` }, 'the annotation with its address in the VPC was not written');
  }
}

/**
 * A port goes when the API server itself says that its pod is gone, or over, and no StatefulSet makes it again, and its node has unplugged it, which the server looks at; of a node that says nothing,
 * when the pod is gone: whoever deletes it by force, or its node, says by it that nothing of it runs.
 */
async function release(deps: PodsDeps, key: string, port: PortFacts): Promise<void> {
  if (!(await isReleased(deps, key, port))) {
    deps.again(key, deps.waits.next(port.id, 'pod'));
    return;
  }
  await drop(deps, key, port);
}

/** Deletes it as soon as its node has unplugged it. `key`: what is looked at again then. */
export async function drop(deps: PodsDeps, key: string, port: PortFacts, waitsFor: WaitedFor = 'node'): Promise<void> {
  try {
    await deps.cable.as(port.projectId).delete('port', port.id);
  } catch (err) {
    if (isStillPlugged(err)) return deps.again(key, deps.waits.next(port.id, waitsFor));
    if (!isGone(err)) throw err;
  }
  deps.book.forget(port.id);
  deps.mirrors.forget(port.id);
  deps.waits.over(port.id);
  // Who took its place may wait for its address, or who has a pool of which that is.
  for (const waiting of new Set([key, ...deps.turns.wake()])) deps.again(waiting, 0);
  deps.log.debug({ pod: key, port: port.id }, 'the port of a pod is released');
}

/** Asked by name: what is followed may be behind. */
async function isReleased({ kube }: PodsDeps, key: string, port: PortFacts): Promise<boolean> {
  const pod = await getIfThere<Pod>(kube, PODS, placeOf(key));
  if (pod !== undefined) {
    const facts = podFacts(pod);
    if (isMine(facts, port) && !facts.isOver && !facts.isHostNetwork) return false;
  }
  const place = placeInSet(key);
  if (place === undefined || pod?.metadata.uid === port.origin.uid) return true;
  const set = await getIfThere<StatefulSet>(kube, STATEFUL_SETS, placeOf(place.key));
  return !hasPlace(set === undefined ? undefined : setFacts(set), port.origin.uid, place.ordinal);
}
