import type { Writable } from 'node:stream';

/** Resolves when what was written to standard output is out, or nobody takes it: `process.exit` drops what a pipe has not taken yet. Default: standard output. */
export function flushOutput(out: Writable = process.stdout): Promise<void> {
  return new Promise((resolve) => {
    // A reader that has seen enough is no error.
    out.once('error', () => resolve());
    out.write('', () => resolve());
  });
}
