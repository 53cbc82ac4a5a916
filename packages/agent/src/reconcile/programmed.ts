import type { Programmed } from './data-plane.ts';

/** A 64-bit number for a state directory, by the agent id (a UUID) that is kept in it. */
export function stateNumber(agentId: string): bigint {
  const digits = agentId.replaceAll('-', '').slice(0, 16);
  return /^[0-9a-f]{16}$/.test(digits) ? BigInt(`0x${digits}`) : 0n;
}

/**
 * Whether a state may be written over what is programmed: it is whole and from the server, or nothing is programmed, or it is not older: of the same
 * directory and no earlier commit. (Revisions do not tell: those of another store are other numbers.) An older one would bring back what has been
 * revoked since.
 */
export function mayWrite(state: { readonly synced: boolean } & Programmed, programmed: Programmed): boolean {
  if (state.synced || programmed.revision === 0) return true;
  return state.state === programmed.state && state.commit >= programmed.commit;
}
