/** What is kept of the objects that are followed: of 150,000 pods no more than it takes. */
import type { KubeKind, KubeObject, KubeOwner } from '@cable/kube';
import type { Port } from '@cable/model';
import { labelTexts } from './policy-facts.ts';

export const PODS: KubeKind = { group: '', version: 'v1', plural: 'pods', isNamespaced: true };
export const NODES: KubeKind = { group: '', version: 'v1', plural: 'nodes', isNamespaced: false };
export const NAMESPACES: KubeKind = { group: '', version: 'v1', plural: 'namespaces', isNamespaced: false };
export const STATEFUL_SETS: KubeKind = { group: 'apps', version: 'v1', plural: 'statefulsets', isNamespaced: true };
export const EVENTS: KubeKind = { group: '', version: 'v1', plural: 'events', isNamespaced: true };

/** A pod, as far as the API server's word is read. */
export type Pod = KubeObject & {
  readonly spec?: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers?: readonly Container[];
    readonly initContainers?: readonly (Container & { readonly restartPolicy?: string })[];
  };
  readonly status?: { readonly phase?: string };
};

type Container = {
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[];
};

/** A port that a container has a name for. */
export type NamedPort = Port['cable:named_ports'][number];

export type PodFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** That which kubelet gives the runtime: of a static pod another one than the API server's. */
  readonly runtimeUid: string;
  /** Empty: not scheduled. */
  readonly node: string;
  /** Its containers have ended, and none begins again. */
  readonly isOver: boolean;
  readonly isHostNetwork: boolean;
  /** It says that it is the mirror of a static pod: a kubelet makes those in any namespace, with whatever annotations. */
  readonly isMirror: boolean;
  /** UID of the StatefulSet that makes it anew under its name, with the same port; undefined: none does. */
  readonly setUid: string | undefined;
  /** The VirtualMachineInstance of KubeVirt that runs in it; undefined: none does. */
  readonly instance: { readonly name: string; readonly uid: string } | undefined;
  /** Each as key=value. */
  readonly labels: readonly string[];
  readonly namedPorts: readonly NamedPort[];
  /** Those that say something of its network; of a mirror none. */
  readonly annotations: Readonly<Record<string, string>>;
};

/** Set by kubelet at the mirror of a static pod: the UID that it has on the node, an MD5 in hex. */
const STATIC_UID = 'kubernetes.io/config.hash';
const HASH = /^[0-9a-f]{32}$/;
const MIRROR = 'kubernetes.io/config.mirror';

/** Of further interfaces, too, of which those with a dot in their names say the interface. */
const OURS =
  /^(.+\.)?(cable\.io|ovn\.kubernetes\.io)\/|^kubernetes\.io\/(in|e)gress-bandwidth$|^[^/]+\.kubernetes\.io\/(ip|mac)_address\.|^k8s\.v1\.cni\.cncf\.io\/networks$/;

/** Annotation of a pod, written here: its addresses in its VPC, which are not its `podIPs`. */
export const VPC_ADDRESS = 'cable.io/vpc-address';

const NO_ANNOTATIONS: PodFacts['annotations'] = {};

export function podFacts(pod: Pod): PodFacts {
  const { metadata, spec, status } = pod;
  const { annotations = {}, uid = '', namespace = '', name } = metadata;
  const isMirror = annotations[MIRROR] !== undefined;
  return {
    ...{ namespace, name, uid },
    runtimeUid: staticUid(pod) ?? uid,
    node: spec?.nodeName ?? '',
    isOver: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    isHostNetwork: spec?.hostNetwork === true,
    isMirror,
    setUid: metadata.ownerReferences?.find((one) => one.controller === true && one.kind === 'StatefulSet')?.uid,
    instance: instanceIn(metadata.ownerReferences),
    labels: labelTexts(metadata.labels),
    namedPorts: namedPorts(spec),
    annotations: isMirror ? NO_ANNOTATIONS : chosen(annotations),
  };
}

/**
 * Undefined: it is no static pod's mirror. Anybody who makes pods writes annotations: what has the form of another pod's UID is not believed, nor who does not say, as kubelets do, that
 * the pod is its node's.
 */
function staticUid({ metadata, spec }: Pod): string | undefined {
  const { annotations = {}, ownerReferences = [] } = metadata;
  const hash = annotations[STATIC_UID] ?? '';
  const isNodes = ownerReferences.some((one) => one.kind === 'Node' && one.name === spec?.nodeName);
  return annotations[MIRROR] !== undefined && isNodes && HASH.test(hash) ? hash : undefined;
}

function instanceIn(owners: Pod['metadata']['ownerReferences'] = []): PodFacts['instance'] {
  const owner = owners.find((one) => one.controller === true && isKubeVirts(one, 'VirtualMachineInstance'));
  return owner === undefined ? undefined : { name: owner.name, uid: owner.uid };
}

/** Whether an owner is of that kind of KubeVirt. */
export function isKubeVirts({ apiVersion, kind }: Pick<KubeOwner, 'apiVersion' | 'kind'>, of: string): boolean {
  return kind === of && apiVersion.startsWith('kubevirt.io/');
}

const NO_PORTS: readonly NamedPort[] = [];

/** Of containers that run while the pod does; of two of one name and protocol the first counts. */
function namedPorts({ containers = [], initContainers = [] }: NonNullable<Pod['spec']> = {}): readonly NamedPort[] {
  const running = [...containers, ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always')];
  const found = new Map<string, NamedPort>();
  for (const { name, containerPort: port, protocol = 'TCP' } of running.flatMap(({ ports = [] }) => ports)) {
    if (name === undefined || (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP')) continue;
    const key = `${name} ${protocol}`;
    if (!found.has(key)) found.set(key, { name, protocol, port });
  }
  return found.size === 0 ? NO_PORTS : [...found.values()];
}

function chosen(annotations: Readonly<Record<string, string>>): PodFacts['annotations'] {
  const found = Object.entries(annotations).filter(([name]) => OURS.test(name));
  return found.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(found);
}

/** A pod has ports: it is on a node, in a network of its own, and not over. */
export function needsPort(pod: PodFacts | undefined): pod is PodFacts {
  return pod !== undefined && pod.node !== '' && !pod.isHostNetwork && !pod.isOver;
}

/** Whose the pod's port is: the StatefulSet's, which has several pods of the name one after the other, or the pod's own. */
export function ownerUid(pod: Pick<PodFacts, 'uid' | 'setUid'>): string {
  return pod.setUid ?? pod.uid;
}

export type StatefulSet = KubeObject & {
  readonly spec?: { readonly replicas?: number; readonly ordinals?: { readonly start?: number } };
};

/** Pods have the ordinals from `start` on, `replicas` of them. */
export type SetFacts = { readonly uid: string; readonly start: number; readonly replicas: number };

export function setFacts({ metadata, spec = {} }: StatefulSet): SetFacts {
  return { uid: metadata.uid ?? '', start: spec.ordinals?.start ?? 0, replicas: spec.replicas ?? 1 };
}

/** Key of the StatefulSet that a pod of that name would be of, and its ordinal in it; undefined: of none. */
export function placeInSet(podKey: string): { readonly key: string; readonly ordinal: number } | undefined {
  const match = /^(.+)-(\d{1,9})$/.exec(podKey);
  return match === null ? undefined : { key: match[1] ?? '', ordinal: Number(match[2]) };
}

/** True: the set makes a pod of that ordinal, when it has none. */
export function hasPlace(set: SetFacts | undefined, uid: string, ordinal: number): boolean {
  return set !== undefined && set.uid === uid && ordinal >= set.start && ordinal < set.start + set.replicas;
}
