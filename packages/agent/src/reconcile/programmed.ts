import type { Programmed } from './data-plane.ts';

/** A 64-bit number for the cluster (a UUID) that a store is of; 0: not known. */
export function storeNumber(cluster: string | undefined): bigint {
  const digits = (cluster ?? '').replaceAll('-', '').slice(0, 16);
  return /^[0-9a-f]{16}$/.test(digits) ? BigInt(`0x${digits}`) : 0n;
}

/**
 * Whether a state may be written over what is programmed: it is whole and from the server, or nothing is programmed, or it is not older. An
 * older one would bring back what has been revoked since.
 */
export function mayWrite(state: { readonly synced: boolean } & Programmed, programmed: Programmed): boolean {
  if (state.synced || programmed.revision === 0) return true;
  return state.store === programmed.store && state.revision >= programmed.revision;
}
