import type { Guest } from '../guests/guest.ts';
import { expectAnswers } from './check.ts';

const INTERVAL_MS = 5;
const ROUND = 60;

/**
 * Pings in rounds, from before `work` until after it. Every ping must be answered. Resolves to what the work did, and how many were sent; throws what went
 * wrong with either, or both.
 */
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
  const pinging = async (): Promise<void> => {
    while (working) await round();
    await round();
  };
  const end = (): void => {
    working = false;
  };
  const [pinged, worked] = await Promise.allSettled([pinging(), work().finally(end)]);
  const reasons = [worked, pinged].flatMap((one) => (one.status === 'rejected' ? [messageOf(one.reason)] : []));
  if (worked.status === 'rejected' || pinged.status === 'rejected') throw new Error(reasons.join('; and '));
  return { result: worked.value, pings };
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
