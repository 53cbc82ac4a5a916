/** For tests: compiles C to a BPF object, and keeps directories and pins that the test leaves behind from staying. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removePins } from './pin.ts';

export type Scratch = {
  /** A directory on disk. */
  readonly dir: string;
  /** A directory in bpffs, not yet made. */
  readonly pins: string;
  /** Compiles and returns the object's path. */
  compile(name: string, source: string): string;
  remove(): void;
};

const INCLUDE = { x64: '/usr/include/x86_64-linux-gnu', arm64: '/usr/include/aarch64-linux-gnu' } as const;

export function createScratch(label: string): Scratch {
  const dir = mkdtempSync(join(tmpdir(), `cable-${label}-`));
  const pins = `/sys/fs/bpf/cable-test-${process.pid}-${label}`;
  const include = process.arch === 'arm64' ? INCLUDE.arm64 : INCLUDE.x64;
  return {
    dir,
    pins,
    compile: (name, source) => {
      const object = join(dir, `${name}.o`);
      writeFileSync(join(dir, `${name}.c`), source);
      const flags = ['-g', '-O2', '-target', 'bpf', '-I', include];
      execFileSync('clang', [...flags, '-c', join(dir, `${name}.c`), '-o', object]);
      return object;
    },
    remove: () => {
      removePins(pins);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
