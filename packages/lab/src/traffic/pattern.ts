import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that nobody could guess or repeat by accident, the same for the same seed. `next(n)` gives the following n. */
export type Pattern = { next(count: number): Buffer };

export function createPattern(seed: string): Pattern {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK_BYTES);
  return { next: (count) => cipher.update(zeros.subarray(0, count)) };
}

/** Largest count for `next`. */
export const CHUNK_BYTES: number = 256 * 1024;
