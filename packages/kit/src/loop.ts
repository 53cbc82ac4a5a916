import { createBackoff, sleep } from './backoff.ts';
import type { Logger } from './log.ts';

/** What a loop does, how often, and what ends it. */
export type LoopOptions = {
  readonly name: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** One round of level-triggered work. A throw means: again after a back-off. */
  readonly run: () => Promise<void>;
  /** Also run when this long has passed without a trigger. Default: never. */
  readonly everyMs?: number;
  /** Default 100 ms to 10 s. */
  readonly backoff?: { readonly minMs: number; readonly maxMs: number };
};

/** `trigger` asks for a round; triggers during a round become one more round. `done` resolves after the signal aborts. */
export type Loop = { trigger(): void; readonly done: Promise<void> };

/** Runs level-triggered work, one round at a time, with back-off after failures. Runs the first round as soon as the code that called has ended. */
export function startLoop(options: LoopOptions): Loop {
  let wanted = true;
  let wake: (() => void) | undefined;
  const trigger = (): void => {
    wanted = true;
    wake?.();
  };
  const idle = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = options.everyMs === undefined ? undefined : setTimeout(trigger, options.everyMs);
      wake = () => {
        clearTimeout(timer);
        options.signal.removeEventListener('abort', finish);
        resolve();
      };
      const finish = wake;
      options.signal.addEventListener('abort', finish, { once: true });
    });
  const main = async (): Promise<void> => {
    // What a constructor makes after its loop is there in the first round too.
    await Promise.resolve();
    const backoff = createBackoff(options.backoff ?? { minMs: 100, maxMs: 10_000 });
    let failing = false;
    while (!options.signal.aborted) {
      if (!wanted) await idle();
      wake = undefined;
      if (options.signal.aborted) return;
      wanted = false;
      try {
        await options.run();
        if (failing) options.log.info({ loop: options.name }, 'loop recovered');
        failing = false;
        backoff.reset();
      } catch (err) {
        if (options.signal.aborted) return;
        if (!failing) options.log.warn({ loop: options.name, err }, 'loop failed, will retry');
        failing = true;
        wanted = true;
        await sleep(backoff.next(), options.signal);
      }
    }
  };
  return { trigger, done: main() };
}
