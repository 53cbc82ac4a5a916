import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Job, JobResult, Report } from './job.ts';

const PROGRAM = fileURLToPath(new URL('./client-process.ts', import.meta.url));

/** A process of clients. */
export type Clients = {
  /** Runs a job; one at a time. Rejects when a connection broke, or the signal aborted (end the process then). */
  run(job: Job): Promise<JobResult>;
  /** Ends the process. Idempotent. */
  close(): Promise<void>;
};

/** Starts a process of clients; `signal` ends what is waited for. */
export function startClients(signal: AbortSignal): Clients {
  const child = fork(PROGRAM, [], { serialization: 'advanced' });
  const abandon = (): void => void child.kill('SIGKILL');
  process.once('exit', abandon);
  const run = async (job: Job): Promise<JobResult> => {
    signal.throwIfAborted();
    child.send(job);
    const report = await reportOf(child, signal);
    if ('failure' in report) throw new Error(`the clients failed: ${report.failure}`);
    return report.result;
  };
  const close = async (): Promise<void> => {
    process.off('exit', abandon);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    // In the middle of a job it would finish that first.
    if (signal.aborted) child.kill('SIGKILL');
    else if (child.connected) child.disconnect();
    await gone;
  };
  return { run, close };
}

async function reportOf(child: ChildProcess, signal: AbortSignal): Promise<Report> {
  const done = new AbortController();
  const until = AbortSignal.any([signal, done.signal]);
  try {
    const gone = once(child, 'exit', { signal: until }).then(() => {
      throw new Error('the process of the clients ended');
    });
    const [report] = await Promise.race([once(child, 'message', { signal: until }), gone]);
    return report as Report;
  } finally {
    done.abort();
  }
}
