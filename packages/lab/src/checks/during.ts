import type { Guest } from '../guests/guest.ts';
import { expectAnswers } from './check.ts';

const INTERVAL_MS = 5;
const ROUND = 60;

/** Pings in rounds, from before `work` until after it. Every ping must be answered. Resolves to what the work did, and how many were sent. */
export async function duringPings<T>(
  from: Guest,
  to: Guest,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly pings: number }> {
  let pings = 0;
  let working = true;
  const round = async (): Promise<void> => {
    await expectAnswers(from, to, { count: ROUND, intervalMs: INTERVAL_MS });
    pings += ROUND;
  };
  const pinging = (async () => {
    while (working) await round();
    await round();
  })();
  pinging.catch(() => undefined);
  try {
    const result = await work();
    working = false;
    await pinging;
    return { result, pings };
  } finally {
    working = false;
  }
}
