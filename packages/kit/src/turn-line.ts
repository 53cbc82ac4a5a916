import { TURN_MS, type Turns } from './turns.ts';

/** Part of a turn that work may take before it has to wait for one. */
const FIRST_PART = 0.25;

/** Calls of `due` between two looks at the clock. */
const LOOK_EVERY = 8;

/**
 * Turns for bulk work that many may ask for at once: of all who started work by the function given, one has a turn in each round of the event
 * loop, the longest waiting first. So the loop is kept for `turnMs` (default `TURN_MS`) however many they are. Short work does not wait. `monotonicMs`: the clock.
 */
export function createTurnLine(
  turnMs: number = TURN_MS,
  monotonicMs: () => number = () => performance.now(),
): () => Turns {
  const waiting: (() => void)[] = [];
  const admit = (): void => {
    const wake = waiting.shift();
    if (waiting.length > 0) setImmediate(admit);
    wake?.();
  };
  const wait = (): Promise<void> =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length === 1) setImmediate(admit);
    });
  return () => {
    let until = monotonicMs() + turnMs * FIRST_PART;
    let calls = 0;
    return {
      due: () => {
        calls += 1;
        return calls % LOOK_EVERY === 0 && monotonicMs() >= until;
      },
      next: async () => {
        await wait();
        until = monotonicMs() + turnMs;
      },
    };
  };
}
