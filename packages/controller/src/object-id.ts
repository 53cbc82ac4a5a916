import { hashedUuid } from '@cable/kit';

/** The ID that what is made for an object of Kubernetes always has: by the cluster's UID, the kind, and the object's UID. */
export function objectId(cluster: string, kind: string, uid: string): string {
  return hashedUuid(JSON.stringify([cluster, kind, uid]));
}
