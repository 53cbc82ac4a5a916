import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ExpectedError, NoRoomError } from '@cable/kit';
import { StoreError } from '../errors.ts';

/**
 * Makes the store's directory and those above it, for this user only. Throws `unusable` or `full` with the remedy. One at a time, because Node's recursive
 * form never returns where the file system refuses any new name (/proc).
 */
export function makeDirectory(path: string): void {
  try {
    const missing: string[] = [];
    let at = resolve(path);
    for (; !isDirectory(at); at = dirname(at)) missing.push(at);
    for (const directory of missing.reverse()) mkdirSync(directory, { mode: 0o700 });
  } catch (err) {
    throw unusableDirectory(path, err);
  }
}

/** Why no store can be opened in the directory, with the remedy. What is a `StoreError` already stays as it is. */
export function unusableDirectory(path: string, err: unknown): StoreError {
  if (err instanceof StoreError) return err;
  const reason = err instanceof Error ? err.message : String(err);
  return isFull(err)
    ? new StoreError('full', `--store: no room in the directory ${path} (${reason}): make room, or choose another`, err)
    : new StoreError('unusable', `--store: cannot use the directory ${path} (${reason}): choose another`, err);
}

function isFull(err: unknown): boolean {
  if (err instanceof NoRoomError) return true;
  return err instanceof Error && 'code' in err && (err.code === 'ENOSPC' || err.code === 'EDQUOT');
}

/** False: there is nothing. Throws when something else is there or on the way. */
function isDirectory(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === false) throw new ExpectedError(`${path} is a file`);
  return stat !== undefined;
}
