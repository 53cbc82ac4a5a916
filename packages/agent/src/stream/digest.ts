import { createHash } from 'node:crypto';

/** Digests are sums of hashes, modulo 2^48 (`ServerLine`): all of it fits a double exactly. */
const MODULUS = 2 ** 48;

/** The digest with one hash more. */
export function addHash(digest: number, hash: number): number {
  return (digest + hash) % MODULUS;
}

/** The digest with one hash less. */
export function removeHash(digest: number, hash: number): number {
  return (digest - hash + MODULUS) % MODULUS;
}

/** True for what a server may send as a hash. */
export function isHash(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < MODULUS;
}

/** The agent's own hash of content that came without one (protocol 1); no server counts with it. */
export function ownHash(value: object): number {
  return createHash('sha1').update(JSON.stringify(value)).digest().readUIntBE(0, 6);
}
