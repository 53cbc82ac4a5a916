/** Network namespaces: their identity, and running a few system calls inside another one. */
import { closeSync, constants, fstatSync, openSync, readlinkSync, statfsSync, statSync } from 'node:fs';
import { sayLast } from '@cable/kit';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';

/** A network namespace held open: it lives, and stays this one, until `close`, whatever becomes of the path. */
export type Netns = {
  readonly fd: number;
  /** Where it was found, for messages. */
  readonly path: string;
  /** As `ownNetnsId`. */
  readonly id: string;
  close(): void;
};

/** A namespace held open, or its path. */
export type NetnsRef = string | Netns;

/** The namespace that this thread is in. */
export const OWN_NETNS = '/proc/thread-self/ns/net';
const CLONE_NEWNET = 0x4000_0000;
const NS_GET_NSTYPE = 0xb703;
const NSFS_MAGIC = 0x6e73_6673;
/** Only names the file: does not wait for the writer of a FIFO, nor wake a device. */
const O_PATH = 0x20_0000;

/** What tells one namespace from another, e.g. `net:[4026531840]`. Stable while the namespace lives. */
export function ownNetnsId(): string {
  return readlinkSync(OWN_NETNS);
}

/** As `ownNetnsId`, of a path such as `/proc/PID/ns/net` or `/run/netns/NAME`; undefined when it is not there. */
export function netnsId(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : `net:[${stat.ino}]`;
}

/**
 * Runs `call` with this thread inside the namespace, and comes back, also when it throws. `call` must not wait: other
 * code of the process would run in the wrong namespace. Sockets made inside stay there. ENOENT: no such namespace.
 */
export function inNetns<T>(netns: NetnsRef, call: () => T extends Promise<unknown> ? never : T): T {
  return withNetns(netns, ({ fd, path }) => away(() => enter(fd, `enter network namespace ${path}`), call));
}

/** As `inNetns`, in a new namespace, which ends when nothing holds it any more. */
export function inNewNetns<T>(call: () => T extends Promise<unknown> ? never : T): T {
  return away(unshare, call);
}

function away<T>(leave: () => void, call: () => T): T {
  const home = openSync(OWN_NETNS, 'r');
  try {
    leave();
    try {
      return call();
    } finally {
      returnTo(home);
    }
  } finally {
    closeSync(home);
  }
}

/** Runs `call` with the namespace held open. */
export function withNetns<T>(netns: NetnsRef, call: (netns: Netns) => T): T {
  if (typeof netns !== 'string') return call(netns);
  const held = openNetns(netns);
  try {
    return call(held);
  } finally {
    held.close();
  }
}

/** ENOENT: there is nothing at the path. EINVAL: it is something else. Never waits, whatever is there. */
export function openNetns(path: string): Netns {
  const tried = `open network namespace ${path}`;
  const named = open(path, O_PATH, tried);
  try {
    const same = `/proc/self/fd/${named}`;
    if (statfsSync(same).type !== NSFS_MAGIC) throw new NetlinkError(tried, 'EINVAL', 'it is no namespace');
    const fd = open(same, constants.O_RDONLY | constants.O_NONBLOCK, tried);
    if (libc().ioctl(fd, NS_GET_NSTYPE) !== CLONE_NEWNET) {
      closeSync(fd);
      throw new NetlinkError(tried, 'EINVAL', 'it is no network namespace');
    }
    return { fd, path, id: `net:[${fstatSync(fd).ino}]`, close: () => closeSync(fd) };
  } finally {
    closeSync(named);
  }
}

function open(path: string, flags: number, tried: string): number {
  try {
    return openSync(path, flags);
  } catch (err) {
    throw new NetlinkError(tried, err instanceof Error && 'code' in err ? String(err.code) : 'EIO');
  }
}

function unshare(): void {
  if (libc().unshare(CLONE_NEWNET) < 0) throw new NetlinkError('make a network namespace', errnoName(lastErrno()));
}

function enter(fd: number, tried: string): void {
  if (libc().setns(fd, CLONE_NEWNET) < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
}

/** A thread that cannot come home would do harm to a tenant's namespace with everything that follows. */
function returnTo(home: number): void {
  if (libc().setns(home, CLONE_NEWNET) < 0) {
    sayLast(`cannot return to the own network namespace: ${errnoName(lastErrno())}`);
    process.abort();
  }
}
