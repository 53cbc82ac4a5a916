import { readFileSync } from 'node:fs';

let count: number | undefined;

/** How many CPUs the kernel keeps per-CPU values for (possible CPUs: more than those online). Fixed until reboot. */
export function possibleCpus(): number {
  count ??= parseCpuCount(readFileSync('/sys/devices/system/cpu/possible', 'utf8'));
  return count;
}

/** The number of CPUs in a kernel CPU list such as `0-3,8-11`. */
export function parseCpuCount(list: string): number {
  const ranges = list.trim().split(',');
  return ranges.reduce((sum, range) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range);
    if (match === null) throw new Error(`not a CPU list: ${list}`);
    return sum + Number(match[2] ?? match[1]) - Number(match[1]) + 1;
  }, 0);
}
