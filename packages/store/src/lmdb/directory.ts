import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { StoreError } from '../errors.ts';

/**
 * Makes the store's directory and those above it, for this user only. Throws `invalid` with the remedy. One at a time, because Node's recursive
 * form never returns where the file system refuses any new name (/proc).
 */
export function makeDirectory(path: string): void {
  try {
    const missing: string[] = [];
    let at = resolve(path);
    for (; !isDirectory(at); at = dirname(at)) missing.push(at);
    for (const directory of missing.reverse()) mkdirSync(directory, { mode: 0o700 });
  } catch (err) {
    const reason = err instanceof Error ? err.message : String(err);
    throw new StoreError('invalid', `--store: cannot use the directory ${path} (${reason}): choose another`, err);
  }
}

/** False: there is nothing. Throws when something else is there or on the way. */
function isDirectory(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === false) throw new Error(`${path} is a file`);
  return stat !== undefined;
}
