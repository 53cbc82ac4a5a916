export type {
  KubeApi,
  KubeApiOptions,
  KubeList,
  ListOptions,
  ObjectName,
  WatchEvent,
  WatchOptions,
} from './kube-api.ts';
export { createKubeApi, getIfThere } from './kube-api.ts';
export { isConflict, isExpired, isInvalid, isNotFound, KubeError } from './kube-error.ts';
export type { KubeKind, KubeMeta, KubeObject, KubeOwner } from './kube-object.ts';
export { collectionOf, keyOf, placeOf } from './kube-object.ts';
export type { HeldLease, LeaseOptions, LeaseTiming } from './lease.ts';
export { holdLease } from './lease.ts';
export type { ReflectorOptions, ReflectorTiming } from './reflector.ts';
export { Reflector } from './reflector.ts';
export type { WorkQueueOptions } from './work-queue.ts';
export { WorkQueue } from './work-queue.ts';
