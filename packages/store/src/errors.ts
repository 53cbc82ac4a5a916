/**
 * `unavailable`: the store cannot be reached, or did not answer in time; the outcome of a transaction is then unknown.
 * `compacted`: the history asked for is gone: list again and watch from there. `closed`: the store was closed here.
 * `too-large`: a key, value or transaction is over its limit. `lease-gone`: the lease named ended. `invalid`: the call breaks
 * the contract. `locked`: another process has the LMDB store open.
 */
export type StoreErrorCode = 'unavailable' | 'compacted' | 'closed' | 'too-large' | 'lease-gone' | 'invalid' | 'locked';

/** What every method of a store throws. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  /** True: the same call may succeed later (for a transaction: after looking whether it was done). */
  readonly retryable: boolean;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StoreError';
    this.code = code;
    this.retryable = code === 'unavailable';
  }
}
