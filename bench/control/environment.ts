import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../lib/statistics.ts';

/** What the figures depend on besides Cable. */
export type Environment = {
  readonly processor: string;
  readonly cores: number;
  /** Processes that wanted a core in the minute before; above 0.5 somebody else was at work. */
  readonly load: number;
  readonly node: string;
  readonly etcd: string;
  /** Where the stores are. */
  readonly directory: string;
  /** True: that is memory, on which nothing is durable. */
  readonly isMemory: boolean;
  /** Median time to append a block of 4 KiB to a file there and sync it. */
  readonly syncMs: number;
};

/** Looks at the machine. Throws when there is no etcd, and when nothing can be written. */
export function readEnvironment(): Environment {
  const directory = tmpdir();
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    load: loadavg()[0] ?? Number.NaN,
    node: process.versions.node,
    etcd: execFileSync('etcd', ['--version'], { encoding: 'utf8' }).match(/etcd Version: (\S+)/)?.[1] ?? 'unknown',
    directory,
    isMemory: statfsSync(directory).type === TMPFS,
    syncMs: measureSync(directory),
  };
}

/** The same as lines for people. */
export function formatEnvironment(environment: Environment): string {
  const { processor, cores, load, node, etcd, directory, isMemory, syncMs } = environment;
  const disk = isMemory
    ? 'IN MEMORY: nothing is durable there, set TMPDIR'
    : `a synced write takes ${syncMs.toFixed(2)} ms`;
  return [
    `${processor}, ${cores} cores that server, store and clients share; load before: ${load.toFixed(1)}; Node ${node}, etcd ${etcd}`,
    `stores in ${directory}: ${disk}`,
  ].join('\n');
}

/** TMPFS_MAGIC of statfs(2). */
const TMPFS = 0x01021994;
const SYNCS = 50;

function measureSync(directory: string): number {
  const made = mkdtempSync(join(directory, 'cable-bench-sync-'));
  try {
    const file = openSync(join(made, 'log'), 'a');
    const block = Buffer.alloc(4096, 1);
    const times = Array.from({ length: SYNCS }, () => {
      const startedAt = performance.now();
      writeSync(file, block);
      fsyncSync(file);
      return performance.now() - startedAt;
    });
    closeSync(file);
    return median(times);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}
