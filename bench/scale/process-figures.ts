import { readFileSync } from 'node:fs';

/** Clock ticks a second in /proc (USER_HZ, 100 on every Linux port that Node runs on). */
const TICKS = 100;

/** What a process has used. */
export type Figures = {
  /** User and system time since its start. */
  readonly cpuMs: number;
  readonly residentBytes: number;
};

/** Throws when there is no such process. */
export function figuresOf(pid: number): Figures {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return { cpuMs: (ticks * 1000) / TICKS, residentBytes: Number(resident ?? 0) * 1024 };
}

/** CPU time that processes used between two moments. */
export function startCpu(pids: readonly number[]): () => number {
  const used = (): number => pids.reduce((sum, pid) => sum + figuresOf(pid).cpuMs, 0);
  const before = used();
  return () => used() - before;
}
