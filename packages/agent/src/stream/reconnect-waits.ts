import { type Backoff, createBackoff } from '@cable/kit';

const EAGER_FOR_MS = 60_000;
const EAGER_MAX_MS = 1_000;
const PATIENT_MS = 5_000;

/**
 * Waits between connections: at most a second at first, because a server that restarts is soon back and its hosts have changes waiting;
 * after a minute 2.5 to 5 s. Each is drawn at random, so that thousands of agents come back spread over that time.
 */
export function createReconnectWaits(now: () => number = () => performance.now(), random?: () => number): Backoff {
  const jitter = random === undefined ? {} : { random };
  const eager = createBackoff({ minMs: 100, maxMs: EAGER_MAX_MS, ...jitter });
  const patient = createBackoff({ minMs: PATIENT_MS, maxMs: PATIENT_MS, ...jitter });
  let lostAt: number | undefined;
  return {
    next: () => {
      lostAt ??= now();
      return now() - lostAt < EAGER_FOR_MS ? eager.next() : patient.next();
    },
    reset: () => {
      lostAt = undefined;
      eager.reset();
    },
  };
}
