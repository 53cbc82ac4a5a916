/**
 * Ports of virtual machines of KubeVirt: kept while the machine is stopped, and one pod's after the other, as long as the API server says that the machine is there. One that moves while it runs
 * has two pods; the second one's node is prepared by a further binding of each port, which is activated when the guest runs there (docs/design/kubernetes.md).
 */
import type { Client } from '@cable/api';
import { getIfThere, type KubeObject, placeOf } from '@cable/kube';
import { isGone, isStillPlugged } from './cable-access.ts';
import { needsPort, type PodFacts } from './pod-facts.ts';
import { deviceIdOf, interfaceOf } from './pod-ports.ts';
import { drop, ensurePorts, type PodsDeps, RELEASE_MS, tellRefusal } from './pods.ts';
import type { Origin, PortFacts } from './port-book.ts';
import {
  holderOf,
  INSTANCES,
  type InstanceFacts,
  instanceOf,
  MACHINE_KIND,
  MACHINE_KINDS,
  MACHINES,
  type MachineFacts,
  ownerOf,
} from './virtual-machines.ts';

export type MachinePortsDeps = PodsDeps & {
  /** Keys of the pods in which the machine of that key runs, or has run. */
  readonly launchers: (key: string) => readonly string[];
  readonly machines: { get(key: string): MachineFacts | undefined };
  readonly instances: { get(key: string): InstanceFacts | undefined };
  /** False: nothing is known of machines (any more), so nothing of them is taken for gone. */
  readonly areKnown: () => boolean;
  /** Ports of which it is known that they have no binding but the active one. Another controller may have made one: of what is not here it is asked. */
  readonly settled: Set<string>;
  /** Looks at the machine again so many milliseconds later. */
  readonly machineAgain: (key: string, ms: number) => void;
};

/** A binding of a port to a host, as the API shows it. */
type Binding = {
  readonly host: string;
  readonly status: string;
  readonly profile: { readonly device_id?: string };
};

/** Brings the ports of one machine to where they should be. A throw means: again. */
export async function reconcileMachine(deps: MachinePortsDeps, key: string): Promise<void> {
  if (!deps.areKnown()) return;
  const pods = deps.launchers(key).flatMap((one) => {
    const pod = deps.pods.get(one);
    return needsPort(pod) ? [pod] : [];
  });
  const ports = portsOf(deps, key);
  const kube = { kube: deps.kube, instances: deps.instances };
  const uids = pods.flatMap(({ instance }) => instance?.uid ?? []);
  const instance = uids.length === 0 ? undefined : await instanceOf(kube, key, uids);
  // Those of an instance that is gone are on their way out, with what they have.
  const running = pods.filter((pod) => pod.instance?.uid === instance?.uid);
  const dropped = new Set<string>();
  let owner: Origin | undefined;
  if (instance !== undefined) {
    owner = ownerOf(key, instance);
    for (const pod of pods) deps.book.lend(`${pod.namespace}/${pod.name}`, owner);
    const surplus = await ensureRunning(deps, { key, owner, instance, pods: running, ports });
    for (const port of surplus) {
      dropped.add(port.id);
      await drop({ ...deps, again: deps.machineAgain }, key, port);
    }
  }
  for (const port of portsOf(deps, key)) {
    if (dropped.has(port.id)) continue;
    await endBindings(deps, key, port, pods);
    const isMine = owner !== undefined && isSameOrigin(port.origin, owner);
    if (isMine || pods.some((pod) => isOf(pod, port)) || (await isThere(deps, port.origin))) continue;
    await drop({ ...deps, again: deps.machineAgain }, key, port);
  }
}

function portsOf({ book }: Pick<MachinePortsDeps, 'book'>, key: string): readonly PortFacts[] {
  return MACHINE_KINDS.flatMap((kind) => book.of(kind, key));
}

function isSameOrigin(a: Origin, b: Origin): boolean {
  return a.kind === b.kind && a.uid === b.uid;
}

function isOf({ runtimeUid }: PodFacts, { deviceId }: PortFacts): boolean {
  return deviceId.startsWith(`${runtimeUid}:`);
}

type Running = {
  readonly key: string;
  readonly owner: Origin;
  readonly instance: InstanceFacts;
  /** Of the instance. */
  readonly pods: readonly PodFacts[];
  /** Of the machine. */
  readonly ports: readonly PortFacts[];
};

/** Ports of the pod in which the guest is, and bindings for the one to which it moves. Answers ports that it needs no more. */
async function ensureRunning(
  deps: MachinePortsDeps,
  { key, owner, instance, pods, ports }: Running,
): Promise<readonly PortFacts[]> {
  const mine = ports.filter((port) => isSameOrigin(port.origin, owner) || pods.some((pod) => isOf(pod, port)));
  const [uid] = mine.find(({ host }) => host !== '')?.deviceId.split(':') ?? [];
  const holder = holderOf(instance, pods, uid);
  if (holder === undefined) return [];
  // Made before the machine was known, for this pod alone: no other gets them.
  const own = deps.book.of('Pod', `${holder.namespace}/${holder.name}`).filter((port) => isOf(holder, port));
  try {
    for (const port of mine) await switchTo(deps, holder, port);
  } catch (err) {
    await tellRefusal(deps, holder, err, true);
    return [];
  }
  const now = portsOf(deps, key).filter(({ id }) => mine.some((one) => one.id === id));
  const surplus = await ensurePorts(deps, { ...holder, machine: owner }, [...own, ...now]);
  const kept = portsOf(deps, key).filter((port) => isOf(holder, port));
  for (const pod of pods) {
    if (pod === holder) continue;
    if (own.length > 0) await ensurePorts(deps, { ...pod, machine: owner }, now);
    else
      await prepare(
        deps,
        pod,
        kept.filter((port) => !surplus.some(({ id }) => id === port.id)),
      );
  }
  return surplus;
}

/** Where the port is prepared for the pod, it is activated: from then on what is sent to it comes there. */
async function switchTo(deps: MachinePortsDeps, pod: PodFacts, port: PortFacts): Promise<void> {
  if (port.host === pod.node || port.host === '' || deps.settled.has(port.id)) return;
  const client = deps.cable.as(port.projectId);
  const deviceId = deviceIdOf(pod, interfaceOf(port));
  const prepared = (await bindingsOf(client, port)).find(({ host }) => host === pod.node);
  if (prepared?.profile.device_id !== deviceId) return;
  await client.action('port', port.id, 'activate_port_binding', undefined, { host: pod.node });
  deps.book.keep(await client.get('port', port.id));
  deps.log.info({ port: port.id, host: pod.node, from: port.host }, 'the port of a virtual machine has moved');
}

/** A further binding of each port, for the pod that the guest is to come to. */
async function prepare(deps: MachinePortsDeps, pod: PodFacts, ports: readonly PortFacts[]): Promise<void> {
  try {
    for (const port of ports) {
      if (port.host === pod.node) continue;
      const client = deps.cable.as(port.projectId);
      const device_id = deviceIdOf(pod, interfaceOf(port));
      const there = (await bindingsOf(client, port)).find(({ host }) => host === pod.node);
      if (there?.profile.device_id === device_id) continue;
      // Of a pod that was there before.
      if (there !== undefined)
        await client.action('port', port.id, 'delete_port_binding', undefined, { host: pod.node });
      deps.settled.delete(port.id);
      await client.action('port', port.id, 'create_port_binding', { host: pod.node, profile: { device_id } });
    }
  } catch (err) {
    await tellRefusal(deps, pod, err, false);
  }
}

/** Bindings for pods that are gone, or over, go as soon as their nodes have unplugged them. */
async function endBindings(
  deps: MachinePortsDeps,
  key: string,
  port: PortFacts,
  pods: readonly PodFacts[],
): Promise<void> {
  if (deps.settled.has(port.id)) return;
  const client = deps.cable.as(port.projectId);
  let left = 0;
  try {
    for (const { host, status, profile } of await bindingsOf(client, port)) {
      if (status === 'ACTIVE') continue;
      if (pods.some((pod) => pod.node === host && profile.device_id === deviceIdOf(pod, interfaceOf(port)))) left += 1;
      else await client.action('port', port.id, 'delete_port_binding', undefined, { host });
    }
  } catch (err) {
    if (isStillPlugged(err)) return deps.machineAgain(key, RELEASE_MS);
    if (!isGone(err)) throw err;
    return;
  }
  if (left === 0) deps.settled.add(port.id);
}

async function bindingsOf(client: Client, { id }: PortFacts): Promise<readonly Binding[]> {
  const { bindings } = (await client.action('port', id, 'get_port_bindings')) as {
    readonly bindings: readonly Binding[];
  };
  return bindings;
}

/** Asked by name where what is followed does not say so: it may be behind. */
async function isThere({ kube, machines, instances }: MachinePortsDeps, { kind, key, uid }: Origin): Promise<boolean> {
  const [list, of] = kind === MACHINE_KIND ? [machines, MACHINES] : [instances, INSTANCES];
  if (list.get(key)?.uid === uid) return true;
  const there = await getIfThere<KubeObject>(kube, of, placeOf(key));
  return there?.metadata.uid === uid;
}
