import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** A file system of its own of 24 MiB, until the test ends; `leave` fills it but for so many bytes. */
export function mountSmall(t: TestContext): { readonly path: string; leave(bytes: number): void } {
  const path = mkdtempSync(join(tmpdir(), `cable-full-${process.pid}-`));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'cable-test', path]);
  t.after(() => {
    execFileSync('umount', ['--lazy', path]);
    rmSync(path, { recursive: true });
  });
  const ballast = join(path, 'ballast');
  const leave = (bytes: number): void => {
    rmSync(ballast, { force: true });
    const { bavail, bsize } = statfsSync(path);
    writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - bytes)));
  };
  return { path, leave };
}
