/** Failures that belong to running: a full disk, a server that is away, an option that cannot be. */

/** An error whose message says what is so and what to do about it. Others have `isExpected` of their own. */
export class ExpectedError extends Error {
  readonly isExpected: true = true;
}

/**
 * True when the error is expected, and what caused it is too, or comes with a code from the system or a peer: its stack tells nothing. Node's own `ERR_…` is
 * a wrong call here.
 */
export function isExpected(err: unknown): boolean {
  if (!(err instanceof Error && 'isExpected' in err && err.isExpected === true)) return false;
  return err.cause === undefined || isExpected(err.cause) || hasOutsideCode(err.cause);
}

function hasOutsideCode(err: unknown): boolean {
  return err instanceof Error && 'code' in err && !String(err.code).startsWith('ERR_');
}
