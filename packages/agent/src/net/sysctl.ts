import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NetlinkError } from '../ffi/errno.ts';

/** A sysctl that was set: its name, and what it said before and says now. */
export type SysctlChange = { readonly sysctl: string; readonly was: string; readonly is: string };

/**
 * Sets a sysctl of the network namespace that the thread is in (see `inNetns`); what is so already is not written. The path is
 * given by parts, since a device's name may hold a dot: `['net', 'ipv4', 'conf', 'eth0.5', 'rp_filter']`. Gives what it changed; undefined: it was so. ENOENT: no such
 * sysctl.
 */
export function writeSysctl(path: readonly string[], value: string | number): SysctlChange | undefined {
  const is = String(value);
  return onSysctl(path, `set sysctl ${path.join('/')} to ${is}`, (file) => {
    const was = readFileSync(file, 'utf8').trim();
    if (was === is) return undefined;
    writeFileSync(file, is);
    return { sysctl: path.join('/'), was, is };
  });
}

/** What it says. ENOENT: no such sysctl. */
export function readSysctl(path: readonly string[]): string {
  return onSysctl(path, `read sysctl ${path.join('/')}`, (file) => readFileSync(file, 'utf8').trim());
}

function onSysctl<T>(path: readonly string[], tried: string, call: (file: string) => T): T {
  if (path.some((part) => part === '' || part === '.' || part === '..' || part.includes('/'))) {
    throw new NetlinkError(tried, 'EINVAL', 'a part of the path is no name');
  }
  try {
    return call(join('/proc/sys', ...path));
  } catch (err) {
    throw new NetlinkError(tried, err instanceof Error && 'code' in err ? String(err.code) : 'EIO');
  }
}
