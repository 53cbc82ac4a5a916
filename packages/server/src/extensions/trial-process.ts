/** The process in which code is tried: `trial.ts` starts it, hears how it went, and ends it. */
import { Worker } from 'node:worker_threads';
import { messageOf, runCode } from './code.ts';

/** What the process says. Before `began` it was the server's own code that took its time. */
export type TrialMessage =
  | { readonly kind: 'began' }
  /** `problem` null: nothing is wrong. */
  | { readonly kind: 'ended'; readonly problem: string | null };

const say = (message: TrialMessage): void => {
  process.send?.(message);
};
const end = (problem: string | null): void => say({ kind: 'ended', problem });

/** Ends the process, also one that loops, should the server be killed meanwhile. */
function endAfter(ms: number): void {
  const text = `setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${ms})`;
  new Worker(text, { eval: true, execArgv: [] }).unref();
}

const [address = '', limitMs = ''] = process.argv.slice(2);
endAfter(2 * Number(limitMs));

process.on('unhandledRejection', (cause) =>
  end(`a promise of it is rejected, and nobody waits for it: ${messageOf(cause)}`),
);
process.on('uncaughtException', (cause) => end(`it throws where nobody catches: ${messageOf(cause)}`));
process.on('beforeExit', () => end('a promise that it waits for is never settled'));

say({ kind: 'began' });
runCode(address).then(
  () => end(null),
  (cause: unknown) => end(messageOf(cause)),
);
