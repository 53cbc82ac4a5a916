/** A signal that aborts with the caller's, or after a time. */
export type TimeLimit = {
  readonly signal: AbortSignal;
  /** True: the time was over before anything else ended it. */
  isOver(): boolean;
  /** What had the time has ended: the signal aborts no more. To be called in any case. */
  stop(): void;
};

/**
 * `AbortSignal.any` with an `AbortSignal.timeout` is no such signal: in Node 20 the garbage collector takes it, listeners and all, and then nothing ends (and it
 * keeps signals that live long growing). `reason`: of the abort by time; default: as `AbortController.abort()` gives it.
 */
export function startTimeLimit(ms: number, caller: AbortSignal | undefined, reason?: unknown): TimeLimit {
  const controller = new AbortController();
  let isOver = false;
  const end = (): void => controller.abort(caller?.reason);
  const timer = setTimeout(() => {
    isOver = !controller.signal.aborted;
    controller.abort(reason);
  }, ms);
  if (caller?.aborted) end();
  caller?.addEventListener('abort', end, { once: true });
  return {
    signal: controller.signal,
    isOver: () => isOver,
    stop: () => {
      clearTimeout(timer);
      caller?.removeEventListener('abort', end);
    },
  };
}
