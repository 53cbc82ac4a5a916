import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { NetlinkError } from '../ffi/errno.ts';

/**
 * Sets a sysctl of the network namespace that the thread is in (see `inNetns`); what is so already is not written. The path is
 * given by parts, since a device's name may hold a dot: `['net', 'ipv4', 'conf', 'eth0.5', 'rp_filter']`. ENOENT: no such sysctl.
 */
export function writeSysctl(path: readonly string[], value: string | number): void {
  const wanted = String(value);
  const tried = `set sysctl ${path.join('/')} to ${wanted}`;
  if (path.some((part) => part === '' || part === '.' || part === '..' || part.includes('/'))) {
    throw new NetlinkError(tried, 'EINVAL', 'a part of the path is no name');
  }
  const file = join('/proc/sys', ...path);
  try {
    if (readFileSync(file, 'utf8').trim() !== wanted) writeFileSync(file, wanted);
  } catch (err) {
    throw new NetlinkError(tried, err instanceof Error && 'code' in err ? String(err.code) : 'EIO');
  }
}
