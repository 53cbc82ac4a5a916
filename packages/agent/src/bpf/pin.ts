/** Pins: names in bpffs that keep maps and programs alive without a process. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { BpfError } from '../ffi/errno.ts';
import { BPF_CMD, BpfAttr, bpf, tryBpf } from './syscall.ts';

/** bpffs refuses names with a dot: `eth0.100` becomes `eth0%2E100`. */
export function pinName(name: string): string {
  return encodeURIComponent(name).replaceAll('.', '%2E');
}

/** Pins an object at a path whose directories are made as needed. EEXIST if something is there. */
export function pinFd(fd: number, path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  bpf(BPF_CMD.objPin, new BpfAttr().pointer(0, cString(path)).u32(8, fd), `pin at ${path}`);
}

/** A new fd of the object pinned at the path; undefined when nothing is there. */
export function openPin(path: string): number | undefined {
  const result = tryBpf(BPF_CMD.objGet, new BpfAttr().pointer(0, cString(path)));
  if (result === 'ENOENT') return undefined;
  if (typeof result === 'string') throw new BpfError(`open the pin ${path}`, result);
  return result;
}

/** Removes a directory of pins with everything below it; absent is fine. False: it was not there. */
export function removePins(directory: string): boolean {
  const there = existsSync(directory);
  rmSync(directory, { recursive: true, force: true });
  return there;
}

function cString(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(`${text}\0`));
}
