import { createHash } from 'node:crypto';

/** The ID (RFC 9562, version 8) that what is made for an object of Kubernetes always has: by the cluster's UID, the kind, and the object's UID. */
export function objectId(cluster: string, kind: string, uid: string): string {
  const hex = createHash('sha256')
    .update(JSON.stringify([cluster, kind, uid]))
    .digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
