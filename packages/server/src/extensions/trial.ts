/** Tries code out in a process of its own, where it can neither hold the server up nor end it. */
import { fork } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TrialMessage } from './trial-process.ts';

/** How long code may take to be imported and called, in that process and then in the server. */
export const LOAD_MS = 10_000;

/** Memory that JavaScript may take there. */
const HEAP_MIB = 256;

const PROGRAM = fileURLToPath(new URL(`trial-process${extname(import.meta.url)}`, import.meta.url));

/**
 * Imports the code, calls it and looks at what it gives. Answers what is wrong; undefined: nothing. Never throws. `limitMs`: how long that may take. What the code
 * prints is not shown: it prints it again in the server.
 */
export async function tryCode(address: string, limitMs: number, signal: AbortSignal): Promise<string | undefined> {
  const child = fork(PROGRAM, [address, String(limitMs)], {
    ...{ signal, killSignal: 'SIGKILL', stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
    execArgv: [...process.execArgv, `--max-old-space-size=${HEAP_MIB}`],
  });
  let timer: NodeJS.Timeout | undefined;
  const problem = await new Promise<string | null>((resolve) => {
    child.on('message', (message: TrialMessage) => {
      if (message.kind === 'ended') resolve(message.problem);
      else timer = setTimeout(() => resolve(notDone(limitMs)), limitMs);
    });
    child.on('error', (err) => resolve(signal.aborted ? 'the server stops' : `it cannot be tried out: ${err.message}`));
    child.on('exit', (code, killed) => resolve(endedWith(code, killed)));
  });
  clearTimeout(timer);
  child.kill('SIGKILL');
  return problem ?? undefined;
}

/** For who waited in vain. */
export function notDone(limitMs: number): string {
  return `it is not done after ${limitMs / 1000} s. Let it only declare: what takes time belongs into an action.`;
}

function endedWith(code: number | null, killed: string | null): string {
  if (killed === 'SIGABRT') return `it takes more memory than ${HEAP_MIB} MiB. Let it only declare.`;
  return `it ends the process (${killed ?? `exit ${code}`}). Only the server does that: take it out.`;
}
