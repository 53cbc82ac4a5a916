/** Promises of extensions that are rejected and that nobody waits for. */
import type { Logger } from '@cable/kit';
import { CableError } from '@cable/model';
import { extensionIn, messageOf } from './code.ts';
import { notDone } from './trial.ts';

/**
 * From now on such a promise does not end the process: it is logged. Told by the error: its stack names an extension, or it is a `CableError`, which refuses a
 * request and leaves nothing half done. Any other may be the server's own, whose state nobody vouches for then: it ends the process, as Node has it.
 */
export function outliveStrays(log: Logger): void {
  process.on('unhandledRejection', (cause) => {
    const extension = extensionIn(cause);
    if (extension === undefined && !(cause instanceof CableError)) throw cause;
    log.error({ err: cause, extension }, 'a promise is rejected, and nobody waits for it: an action must await it');
  });
}

/** Runs the code of an extension in the server. Throws also what nobody waits for, and when it is not done within the limit. */
export async function runGuarded<T>(run: () => Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let heard = (_cause: unknown): void => {};
  const failed = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(notDone(limitMs))), limitMs);
    heard = (cause) => {
      if (extensionIn(cause) === undefined) return;
      reject(new Error(`a promise of it is rejected, and nobody waits for it: ${messageOf(cause)}`));
    };
  });
  process.on('unhandledRejection', heard);
  try {
    return await Promise.race([run(), failed]);
  } finally {
    clearTimeout(timer);
    process.off('unhandledRejection', heard);
  }
}
