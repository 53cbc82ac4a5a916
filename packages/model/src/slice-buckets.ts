/**
 * Buckets of a slice: its items by a hash of their keys, so that two sides find out by a digest a bucket in which of them they differ
 * (`compare` of `host-protocol.ts`). The header is in none.
 */

/** A slice may be compared in so many buckets at most. */
export const MAX_SLICE_BUCKETS = 2048;

/** The bucket, 0..`buckets`-1, of the item with this key: its 32-bit FNV-1a hash over UTF-16 code units, modulo the number of buckets. */
export function bucketOf(item: string, buckets: number): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < item.length; at += 1) hash = Math.imul(hash ^ item.charCodeAt(at), 0x01000193);
  return (hash >>> 0) % buckets;
}
