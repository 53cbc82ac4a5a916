/**
 * Network namespaces that outlive the process that made them: a bind mount holds each, as those of `ip netns` are held.
 * The mount is in the mount namespace of the process: in one that others do not see it ends with it, and so does the namespace.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { absentOn, errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { inNewNetns, type Netns, OWN_NETNS, openNetns } from './netns.ts';

const MS_BIND = 0x1000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** Makes a namespace, empty but for loopback, and holds it at the path; directories above it are made as needed. */
export function createHeldNetns(path: string): Netns {
  inNewNetns(() => bind(OWN_NETNS, path));
  return openNetns(path);
}

/** The namespace that is held at the path; undefined: none, whatever else is there. */
export function openHeldNetns(path: string): Netns | undefined {
  return absentOn(['ENOENT', 'ENOTDIR', 'EINVAL'], () => openNetns(path));
}

/** Holds the namespace at another path too. */
export function holdNetnsAt(netns: Netns, path: string): Netns {
  bind(`/proc/self/fd/${netns.fd}`, path);
  return openNetns(path);
}

/** Ends the hold, and removes the file it was on. What uses the namespace keeps it. False: nothing was there. */
export function releaseNetns(path: string): boolean {
  const held = libc().umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) >= 0;
  const code = held ? '' : errnoName(lastErrno());
  // EINVAL: it is not mounted on, as after a crash before the mount.
  if (!held && code !== 'EINVAL' && code !== 'ENOENT' && code !== 'ENOTDIR')
    throw new NetlinkError(`unmount ${path}`, code);
  if (code === 'ENOENT' || code === 'ENOTDIR') return false;
  rmSync(path, { force: true });
  return true;
}

/** Where namespaces are held at a file of this name, on any mount that this process sees. */
export function heldNetnsPaths(name: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(' - nsfs '))
    .map((line) => unescaped(line.split(' ')[4] ?? ''))
    .filter((path) => basename(path) === name);
}

/** proc(5): blanks and backslashes are written in octal. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** A namespace can only be mounted on a file. */
function bind(source: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  closeSync(openSync(path, 'a', 0o444));
  if (libc().mount(source, path, null, MS_BIND, null) >= 0) return;
  throw new NetlinkError(`hold a network namespace at ${path}`, errnoName(lastErrno()));
}
