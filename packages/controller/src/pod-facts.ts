/** What is kept of the objects that are followed: of 150,000 pods no more than it takes. */
import type { KubeKind, KubeObject } from '@cable/kube';

export const PODS: KubeKind = { group: '', version: 'v1', plural: 'pods', isNamespaced: true };
export const NODES: KubeKind = { group: '', version: 'v1', plural: 'nodes', isNamespaced: false };
export const NAMESPACES: KubeKind = { group: '', version: 'v1', plural: 'namespaces', isNamespaced: false };
export const EVENTS: KubeKind = { group: '', version: 'v1', plural: 'events', isNamespaced: true };

/** A pod, as far as the API server's word is read. */
export type Pod = KubeObject & {
  readonly spec?: { readonly nodeName?: string; readonly hostNetwork?: boolean };
  readonly status?: { readonly phase?: string };
};

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
  /** Those that say something of its network. */
  readonly annotations: Readonly<Record<string, string>>;
};

/** Set by kubelet at the mirror of a static pod: the UID that it has on the node. */
const STATIC_UID = 'kubernetes.io/config.hash';
const MIRROR = 'kubernetes.io/config.mirror';

const OURS = /^(cable\.io|ovn\.kubernetes\.io)\//;

const NO_ANNOTATIONS: PodFacts['annotations'] = {};

export function podFacts({ metadata, spec, status }: Pod): PodFacts {
  const { annotations = {}, uid = '', namespace = '', name } = metadata;
  const isMirror = annotations[MIRROR] !== undefined;
  return {
    ...{ namespace, name, uid },
    runtimeUid: (isMirror ? annotations[STATIC_UID] : undefined) ?? uid,
    node: spec?.nodeName ?? '',
    isOver: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    isHostNetwork: spec?.hostNetwork === true,
    annotations: chosen(annotations),
  };
}

function chosen(annotations: Readonly<Record<string, string>>): PodFacts['annotations'] {
  const found = Object.entries(annotations).filter(([name]) => OURS.test(name));
  return found.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(found);
}

/** A pod has ports: it is on a node, in a network of its own, and not over. */
export function needsPort(pod: PodFacts | undefined): pod is PodFacts {
  return pod !== undefined && pod.node !== '' && !pod.isHostNetwork && !pod.isOver;
}
