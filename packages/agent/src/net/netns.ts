/** Network namespaces: their identity, and running a few system calls inside another one. */
import { closeSync, openSync, readlinkSync, statSync } from 'node:fs';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';

const OWN = '/proc/thread-self/ns/net';
const CLONE_NEWNET = 0x4000_0000;

/** What tells one namespace from another, e.g. `net:[4026531840]`. Stable while the namespace lives. */
export function ownNetnsId(): string {
  return readlinkSync(OWN);
}

/** As `ownNetnsId`, of a path such as `/proc/PID/ns/net` or `/run/netns/NAME`; undefined when it is not there. */
export function netnsId(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : `net:[${stat.ino}]`;
}

/**
 * Runs `call` with this thread inside the namespace at `path`, and comes back, also when it throws. `call` must not wait: other
 * code of the process would run in the wrong namespace. Sockets made inside stay there. ENOENT: no such namespace.
 */
export function inNetns<T>(path: string, call: () => T extends Promise<unknown> ? never : T): T {
  const target = openNetns(path);
  try {
    return inNetnsFd(target, path, call);
  } finally {
    closeSync(target);
  }
}

/** An fd of the namespace: holds it alive until closed. */
export function openNetns(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (err) {
    const code = err instanceof Error && 'code' in err ? String(err.code) : 'EIO';
    throw new NetlinkError(`open network namespace ${path}`, code);
  }
}

function inNetnsFd<T>(target: number, path: string, call: () => T): T {
  const home = openSync(OWN, 'r');
  try {
    enter(target, `enter network namespace ${path}`);
    try {
      return call();
    } finally {
      returnTo(home);
    }
  } finally {
    closeSync(home);
  }
}

function enter(fd: number, tried: string): void {
  if (libc().setns(fd, CLONE_NEWNET) < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
}

/** A thread that cannot come home would do harm to a tenant's namespace with everything that follows. */
function returnTo(home: number): void {
  if (libc().setns(home, CLONE_NEWNET) < 0) {
    process.stderr.write(`cannot return to the own network namespace: ${errnoName(lastErrno())}\n`);
    process.abort();
  }
}
