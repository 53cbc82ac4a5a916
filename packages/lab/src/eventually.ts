import { setTimeout as wait } from 'node:timers/promises';

export type EventuallyOptions = {
  /** What is waited for, for the error. */
  readonly what: string;
  readonly deadlineMs: number;
  /** Default 20 ms. */
  readonly everyMs?: number;
};

/** Thrown by what `eventually` asks: waiting longer is no use. */
export class Hopeless extends Error {}

/** Asks until the answer is not undefined. Throws, naming `what` and the last error, when the deadline passes; `Hopeless` at once. */
export async function eventually<T>(
  options: EventuallyOptions,
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const until = Date.now() + options.deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
      last = undefined;
    } catch (err) {
      if (err instanceof Hopeless) throw err;
      last = err;
    }
    if (Date.now() > until) {
      const why = last instanceof Error ? `: ${last.message}` : '';
      throw new Error(`waited ${options.deadlineMs} ms in vain for ${options.what}${why}`);
    }
    await wait(options.everyMs ?? 20);
  }
}
