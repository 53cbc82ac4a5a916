/** How ports of pods are written: the one of a pod, its leg, those of its further interfaces. */
import type { Client } from '@cable/api';
import type { CableAccess } from './cable-access.ts';
import { isGone, isRefusal } from './cable-access.ts';
import { ownerUid, type PodFacts } from './pod-facts.ts';
import { type Origin, originText, type PortBook, type PortFacts } from './port-book.ts';
import type { RatePolicies } from './rate-policies.ts';
import type { Rates } from './wishes.ts';

/** `device_owner` of a pod's port. */
export const POD_OWNER = 'kubernetes:pod';
/** Kind of the origin of a pod's ports. */
export const KIND = 'Pod';

export type PortDeps = {
  readonly cable: Pick<CableAccess, 'as'>;
  readonly book: PortBook;
  readonly rates: RatePolicies;
  readonly cluster: string;
};

type Role = { readonly deviceOwner: string; readonly deviceId: string };

export type Creation = {
  readonly client: Client;
  readonly role: Role;
  readonly body: object;
  readonly rates: Rates;
  /** By which a request whose answer was lost is known. Default: the role's device. */
  readonly key?: string;
};

/** A pod, as one whose ports are a virtual machine's where `machine` says so. */
export type OwnedPod = PodFacts & { readonly machine?: Origin };

/** What the pod's ports are made for. */
export function originOfPod(pod: OwnedPod): Origin {
  return pod.machine ?? { kind: KIND, key: `${pod.namespace}/${pod.name}`, uid: ownerUid(pod) };
}

/** Whether its ports are there for the pod that comes after it, too. */
export function isKept({ setUid, machine }: OwnedPod): boolean {
  return setUid !== undefined || machine !== undefined;
}

export function deviceIdOf({ runtimeUid }: Pick<PodFacts, 'runtimeUid'>, interfaceName: string): string {
  return `${runtimeUid}:${interfaceName}`;
}

/** The interface that a port is of, by its `device_id`. */
export function interfaceOf({ deviceId }: Pick<PortFacts, 'deviceId'>): string {
  return deviceId.slice(deviceId.lastIndexOf(':') + 1);
}

export async function createPodPort(
  deps: PortDeps,
  pod: OwnedPod,
  { client, role, body, rates, key }: Creation,
): Promise<PortFacts> {
  const { deviceOwner, deviceId } = role;
  const origin = originOfPod(pod);
  const qosPolicyId = await deps.rates.idOf(rates);
  const whole = {
    name: pod.machine === undefined ? pod.name : (pod.instance?.name ?? pod.name),
    ...body,
    ...(qosPolicyId === null ? {} : { qos_policy_id: qosPolicyId }),
    ...selectable(deps, pod),
    device_owner: deviceOwner,
    device_id: deviceId,
    'binding:host_id': pod.node,
  };
  return await deps.book.create(client, whole, origin, key ?? deviceId);
}

export type Wanted = {
  readonly deviceId: string;
  readonly groups: readonly string[];
  readonly rates: Rates;
  /** What else may change while the pod runs, as the API has it; absent: as it is. */
  readonly more?: Readonly<Record<string, unknown>>;
};

/** Groups and rates change while the pod runs; a port that a StatefulSet or a virtual machine keeps gets another pod. */
export async function updatePodPort(
  deps: PortDeps,
  pod: PodFacts,
  port: PortFacts,
  { deviceId, groups, rates, more = {} }: Wanted,
): Promise<PortFacts> {
  const client = deps.cable.as(port.projectId);
  const qosPolicyId = await deps.rates.idOf(rates);
  const now = selectable(deps, pod);
  const changes = {
    ...(qosPolicyId === port.qosPolicyId ? {} : { qos_policy_id: qosPolicyId }),
    ...(sameSet(groups, port.securityGroups) ? {} : { security_groups: groups }),
    ...(port.host === pod.node ? {} : { 'binding:host_id': pod.node }),
    ...(port.deviceId === deviceId ? {} : { device_id: deviceId }),
    ...(port.namespace === now['cable:namespace'] ? {} : { 'cable:namespace': now['cable:namespace'] }),
    // It may have been closed for the pod before.
    ...(isClosed(port) ? { admin_state_up: true } : {}),
    ...(sameList(port.labels, now['cable:labels']) ? {} : { 'cable:labels': now['cable:labels'] }),
    ...(samePorts(port.namedPorts, now['cable:named_ports']) ? {} : { 'cable:named_ports': now['cable:named_ports'] }),
    ...more,
  };
  if (Object.keys(changes).length === 0) return await followSet(deps, client, pod, port);
  try {
    return await followSet(deps, client, pod, deps.book.keep(await client.update('port', port.id, changes)));
  } catch (err) {
    if (isGone(err)) deps.book.forget(port.id);
    throw err;
  }
}

/** In the place of labels of a port that is closed because they are refused. No pod has such a one: a key has no space. */
const REFUSED_LABELS = 'refused labels=';

/**
 * Has ports of a running pod selected by what it is now, before anything else is looked at that may be wrong with the pod: whoever writes pods could keep a label off by it that shuts
 * them. Ports whose labels are refused, such as too many, are closed until others come. Answers the ports, and what was refused.
 */
export async function followLabels(
  deps: PortDeps,
  pod: PodFacts,
  ports: readonly PortFacts[],
): Promise<{ readonly ports: readonly PortFacts[]; readonly refused: unknown }> {
  let refused: unknown;
  const followed: PortFacts[] = [];
  for (const port of ports) {
    try {
      followed.push(port.deviceId.startsWith(`${pod.runtimeUid}:`) ? await selectBy(deps, pod, port) : port);
    } catch (err) {
      if (isGone(err) || !isRefusal(err)) throw err;
      refused ??= err;
      followed.push(port);
    }
  }
  return { ports: followed, refused };
}

function isClosed({ labels }: Pick<PortFacts, 'labels'>): boolean {
  return sameList(labels, [REFUSED_LABELS]);
}

async function selectBy(deps: PortDeps, pod: PodFacts, port: PortFacts): Promise<PortFacts> {
  const now = selectable(deps, pod);
  const isSelected = port.namespace === now['cable:namespace'] && sameList(port.labels, now['cable:labels']);
  if (isSelected && samePorts(port.namedPorts, now['cable:named_ports'])) return port;
  const write = async (changes: object): Promise<PortFacts> =>
    deps.book.keep(await deps.cable.as(port.projectId).update('port', port.id, changes));
  try {
    return await write({ ...now, ...(isClosed(port) ? { admin_state_up: true } : {}) });
  } catch (err) {
    if (isGone(err)) deps.book.forget(port.id);
    if (isGone(err) || !isRefusal(err) || isClosed(port)) throw err;
    await write({ 'cable:labels': [REFUSED_LABELS], 'cable:named_ports': [], admin_state_up: false });
    throw err;
  }
}

/** A StatefulSet that has taken over the pod keeps its port for the next one. A server of before refuses to note that: then the next pod has another port. */
async function followSet({ book }: PortDeps, client: Client, pod: PodFacts, port: PortFacts): Promise<PortFacts> {
  const { setUid } = pod;
  if (setUid === undefined || port.origin.kind !== KIND || port.origin.uid === setUid) return port;
  try {
    return book.keep(
      await client.update('port', port.id, { 'cable:origin': originText({ ...port.origin, uid: setUid }) }),
    );
  } catch (err) {
    if (isGone(err) || !isRefusal(err)) throw err;
    return port;
  }
}

/** By which network policies select it. */
function selectable({ cluster }: Pick<PortDeps, 'cluster'>, { namespace, labels, namedPorts }: PodFacts) {
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

export function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one));
}
