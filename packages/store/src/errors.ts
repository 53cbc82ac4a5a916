/**
 * `unavailable`: the store cannot be reached, or did not answer in time; nothing was done. `pending`: nor did it say in time what became of a
 * transaction that is on its way: it may have been done, or be done yet.
 * `not-sent`: the caller's signal or deadline ended a transaction before it was begun: nothing was done.
 * `compacted`: the history asked for is gone: list again and watch from there. `closed`: the store was closed here.
 * `full`: there is no room for what is to be written: refused, and nothing was written. `too-large`: a key, value or transaction is over its limit.
 * `lease-gone`: the lease named ended. `invalid`: the call breaks the contract. At an opening alone: `unusable`: what was named cannot be a store;
 * `locked`: another process has the LMDB store open.
 */
export type StoreErrorCode =
  | 'unavailable'
  | 'pending'
  | 'not-sent'
  | 'full'
  | 'compacted'
  | 'closed'
  | 'too-large'
  | 'lease-gone'
  | 'invalid'
  | 'unusable'
  | 'locked';

/** A defect of whoever called. */
const MISUSE: ReadonlySet<StoreErrorCode> = new Set(['closed', 'too-large', 'invalid']);

const RETRYABLE: ReadonlySet<StoreErrorCode> = new Set(['unavailable', 'pending', 'not-sent', 'full']);

/** What every method of a store throws. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  /** True: the same call may succeed later (for a transaction that is `pending`: after looking whether it was done). */
  readonly retryable: boolean;
  /** False: it is a defect. */
  readonly isExpected: boolean;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
    this.retryable = RETRYABLE.has(code);
    this.isExpected = !MISUSE.has(code);
  }
}
