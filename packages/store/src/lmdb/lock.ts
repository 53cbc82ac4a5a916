import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { StoreError } from '../errors.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes the lock file of a store's directory for this process, with flock(2): the kernel drops the lock when the process ends, however it ends,
 * so a lock is never stale. The file holds the owner's pid, for people. Throws `locked` when another process has it.
 */
export function takeLock(directory: string): { release(): void } {
  const path = join(directory, 'cable.lock');
  const fd = openSync(path, 'a+', 0o600);
  const flock = koffi.load(null).func('int flock(int fd, int operation)');
  if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
    closeSync(fd);
    const pid = readFileSync(path, 'utf8').trim();
    throw new StoreError(
      'locked',
      `--store: ${directory} is in use by process ${pid === '' ? 'unknown' : pid}; one server at a time may open an LMDB store: stop that one, or use etcd for several servers`,
    );
  }
  try {
    ftruncateSync(fd);
    writeSync(fd, `${process.pid}\n`);
  } catch (err) {
    closeSync(fd);
    throw err;
  }
  return { release: () => closeSync(fd) };
}
