/**
 * Virtual machines of KubeVirt. A VirtualMachineInstance runs in a pod, its launcher; one that moves has two of them. A VirtualMachine makes an instance of its own name each time that it is
 * started. So a port is the machine's: of the VirtualMachine, or of an instance that nothing makes anew.
 */
import { getIfThere, type KubeApi, type KubeKind, type KubeObject, placeOf } from '@cable/kube';
import { KeyIndex } from './key-index.ts';
import { OptionalKind, type OptionalKindOptions } from './optional-kind.ts';
import { isKubeVirts, type PodFacts } from './pod-facts.ts';
import type { Origin } from './port-book.ts';

const ofKubeVirt = (plural: string): KubeKind => ({ group: 'kubevirt.io', version: 'v1', plural, isNamespaced: true });

export const MACHINES: KubeKind = ofKubeVirt('virtualmachines');
export const INSTANCES: KubeKind = ofKubeVirt('virtualmachineinstances');

/** Kinds of the origins of a machine's ports. */
export const MACHINE_KIND = 'VirtualMachine';
export const INSTANCE_KIND = 'VirtualMachineInstance';
export const MACHINE_KINDS: readonly string[] = [MACHINE_KIND, INSTANCE_KIND];

/** A VirtualMachineInstance, as far as it is read. */
export type Instance = KubeObject & {
  readonly status?: {
    readonly nodeName?: string;
    readonly migrationState?: {
      readonly targetPod?: string;
      /** Since KubeVirt 1.0: when the target's node has seen the guest run there. */
      readonly targetNodeDomainReadyTimestamp?: string | null;
      readonly completed?: boolean;
      readonly failed?: boolean;
    } | null;
  };
};

export type InstanceFacts = {
  readonly uid: string;
  /** Of the VirtualMachine that makes it anew; undefined: none does. */
  readonly machineUid: string | undefined;
  /** Where the guest runs; empty: it is not said yet. KubeVirt before 1.0 says a move by this alone. */
  readonly node: string;
  /** Name of the pod to which it has moved; undefined: it has not, or that has failed. */
  readonly movedTo: string | undefined;
};

export type MachineFacts = { readonly uid: string };

export function instanceFacts({ metadata, status = {} }: Instance): InstanceFacts {
  const { targetPod, targetNodeDomainReadyTimestamp: ready, completed, failed } = status.migrationState ?? {};
  const isThere = failed !== true && (completed === true || (ready ?? '') !== '');
  const owner = metadata.ownerReferences?.find((one) => one.controller === true && isKubeVirts(one, MACHINE_KIND));
  return {
    uid: metadata.uid ?? '',
    machineUid: owner?.uid,
    node: status.nodeName ?? '',
    movedTo: isThere && targetPod !== '' ? targetPod : undefined,
  };
}

/** Key of the machine whose launcher the pod is; undefined: it is none. An instance has the name of its VirtualMachine. */
export function machineKeyOf(pod: Pick<PodFacts, 'namespace' | 'instance'> | undefined): string | undefined {
  return pod?.instance === undefined ? undefined : `${pod.namespace}/${pod.instance.name}`;
}

/** Whose the ports of an instance's pods are. */
export function ownerOf(key: string, { uid, machineUid }: Pick<InstanceFacts, 'uid' | 'machineUid'>): Origin {
  return machineUid === undefined ? { kind: INSTANCE_KIND, key, uid } : { kind: MACHINE_KIND, key, uid: machineUid };
}

/**
 * In which of its pods the guest is, so which has its ports; undefined: that is not known. `current`: what the one that has them now is called by runtimes; nothing else is known of
 * an instance that is just starting.
 */
export function holderOf(
  { node, movedTo }: Pick<InstanceFacts, 'node' | 'movedTo'>,
  pods: readonly PodFacts[],
  current: string | undefined,
): PodFacts | undefined {
  if (pods.length < 2) return pods[0];
  const [there, ...others] = pods.filter((pod) => pod.node === node);
  return (
    pods.find(({ name }) => name === movedTo) ??
    (others.length === 0 ? there : undefined) ??
    pods.find(({ runtimeUid }) => runtimeUid === current)
  );
}

export type VirtualMachinesOptions = Pick<OptionalKindOptions<KubeObject, unknown>, 'api' | 'log' | 'signal'> & {
  /** Something is new of the machine of that key, or of its instance. */
  readonly changed: (key: string) => void;
};

/** What is known of them, where KubeVirt is installed. */
export class VirtualMachines {
  readonly machines: OptionalKind<KubeObject, MachineFacts>;
  readonly instances: OptionalKind<Instance, InstanceFacts>;
  /** Pods by the machine whose launchers they are. */
  readonly launchers: KeyIndex = new KeyIndex();

  constructor({ changed, ...common }: VirtualMachinesOptions) {
    const keep = ({ metadata }: KubeObject): MachineFacts => ({ uid: metadata.uid ?? '' });
    this.machines = new OptionalKind({ ...common, kind: MACHINES, keep, changed });
    this.instances = new OptionalKind({ ...common, kind: INSTANCES, keep: instanceFacts, changed });
  }

  /** Resolves when all of them are known, or that there are none. */
  get known(): Promise<unknown> {
    return Promise.all([this.machines.known, this.instances.known]);
  }

  /** False: nothing is known of them; each pod is one of its own then. */
  get isThere(): boolean {
    return this.machines.isThere && this.instances.isThere;
  }

  get done(): Promise<unknown> {
    return Promise.all([this.machines.list.done, this.instances.list.done]);
  }
}

/** The instance of a machine whose UID one of those is; asked by name where what is followed is behind. Undefined: there is none. */
export async function instanceOf(
  {
    kube,
    instances,
  }: { readonly kube: Pick<KubeApi, 'get'>; readonly instances: { get(key: string): InstanceFacts | undefined } },
  key: string,
  uids: readonly string[],
): Promise<InstanceFacts | undefined> {
  const known = instances.get(key);
  if (known !== undefined && uids.includes(known.uid)) return known;
  const there = await getIfThere<Instance>(kube, INSTANCES, placeOf(key));
  const facts = there === undefined ? undefined : instanceFacts(there);
  return facts !== undefined && uids.includes(facts.uid) ? facts : undefined;
}
