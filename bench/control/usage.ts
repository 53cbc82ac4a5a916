import { readFileSync } from 'node:fs';
import { figuresOf } from '../scale/process-figures.ts';
import type { Usage } from './job.ts';

/** Clock ticks a second in /proc (USER_HZ). */
const TICKS = 100;

/** CPU time that each process has used since now, in the order given. Throws when one is gone. */
export function startUsage(pids: readonly number[]): () => readonly Usage[] {
  const before = pids.map(usedBy);
  return () =>
    pids.map((pid, at) => {
      const used = usedBy(pid);
      return {
        cpuMs: used.cpuMs - (before[at]?.cpuMs ?? 0),
        mainThreadMs: used.mainThreadMs - (before[at]?.mainThreadMs ?? 0),
      };
    });
}

function usedBy(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return { cpuMs: figuresOf(pid).cpuMs, mainThreadMs: (ticks * 1000) / TICKS };
}
