import { accessSync, constants, statfsSync } from 'node:fs';
import { ExpectedError } from './expected.ts';

/** A file system has fewer bytes left than are needed; its message says how many. */
export class NoRoomError extends ExpectedError {}

/**
 * Throws unless the path can be written to and its file system has so many bytes left for this user; else with the system's reason, or a `NoRoomError`.
 * For whoever uses LMDB, which must not find out itself: when one of its writes is refused it prints the reason into a buffer that is too small, and the
 * process ends (lmdb 3.5.6, `mdb_page_flush` in `mdb.c`).
 */
export function assertDiskRoom(path: string, neededBytes: number): void {
  accessSync(path, constants.W_OK);
  const { bavail, bsize } = statfsSync(path);
  const freeBytes = bavail * bsize;
  if (freeBytes >= neededBytes) return;
  throw new NoRoomError(
    `No space left: ${kibibytes(freeBytes)} KiB are free, ${kibibytes(neededBytes)} KiB are needed`,
  );
}

function kibibytes(bytes: number): number {
  return Math.ceil(bytes / 1024);
}
