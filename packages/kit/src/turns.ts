/** Work in portions that leave the event loop free between them. */
export type Turns = {
  /** True: this turn has taken its time; call `next` before going on. Costs a look at the clock only every few calls. */
  due(): boolean;
  /** Resolves in a later turn of the event loop, after what waits there (sockets, timers) has had its chance. */
  next(): Promise<void>;
};

/** How long one turn of bulk work may keep the event loop: DHCP, CNI and requests wait no longer than this for it. */
export const TURN_MS = 4;

/** Calls of `due` between two looks at the clock. */
const LOOK_EVERY = 8;

/**
 * Starts a turn now. `turnMs`: how long one may take, default `TURN_MS`. `mostMs`: how long one may take that had to wait as long for its turn, default `turnMs`:
 * with more than that, work keeps half of a loop that is busy with other things, where it would starve otherwise. `monotonicMs`: the clock.
 */
export function startTurns(
  turnMs: number = TURN_MS,
  mostMs: number = turnMs,
  monotonicMs: () => number = () => performance.now(),
): Turns {
  let until = monotonicMs() + turnMs;
  let calls = 0;
  return {
    due: () => {
      calls += 1;
      return calls % LOOK_EVERY === 0 && monotonicMs() >= until;
    },
    next: async () => {
      const leftAt = monotonicMs();
      await new Promise(setImmediate);
      const now = monotonicMs();
      until = now + Math.min(mostMs, Math.max(turnMs, now - leftAt));
    },
  };
}
