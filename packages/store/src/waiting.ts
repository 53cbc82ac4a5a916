import { StoreError } from './errors.ts';

/** `aborted`: the caller gave it up. `late`: its deadline has passed. */
export type Over = 'aborted' | 'late';

const NOTHING = (): void => undefined;

/**
 * Calls `onOver` when the caller's signal aborts, and when its deadline (of `performance.now()`) passes; before it returns, and then no more, if that is so
 * already. Returns how to stop that.
 */
export function whenOver(
  signal: AbortSignal | undefined,
  deadlineMs: number | undefined,
  onOver: (why: Over) => void,
): () => void {
  const isLate = deadlineMs !== undefined && deadlineMs <= performance.now();
  if (signal?.aborted || isLate) {
    onOver(isLate ? 'late' : 'aborted');
    return NOTHING;
  }
  const timer = deadlineMs === undefined ? undefined : setTimeout(onOver, msUntil(deadlineMs), 'late');
  if (signal === undefined) return () => clearTimeout(timer);
  const abort = (): void => onOver('aborted');
  signal.addEventListener('abort', abort, { once: true });
  return () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  };
}

/** What a transaction is told that was given up before it was begun. */
export function notSent(why: Over): StoreError {
  const reason = why === 'late' ? 'its deadline passed' : 'its caller gave it up';
  return new StoreError('not-sent', `the transaction was not begun when ${reason}: nothing was done`);
}

/** What a transaction is told that was begun, and of which nobody knows in time. */
export function pendingError(cause?: unknown): StoreError {
  return new StoreError('pending', 'the store did not say in time what became of a transaction: it may be done', cause);
}

/** Milliseconds from now to a time of `performance.now()`, as timers take them. */
export function msUntil(deadlineMs: number): number {
  return Math.min(Math.max(0, deadlineMs - performance.now()), 2 ** 31 - 1);
}
