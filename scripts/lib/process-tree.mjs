/** Programs that a program started, as /proc tells. */
import { readdirSync, readFileSync } from 'node:fs';

/** Process ids of the children of `parent` that have `argument` on their command line. */
export function programsOf(parent, argument) {
  return childrenOf(parent).filter((pid) => read(`/proc/${pid}/cmdline`).split('\0').includes(argument));
}

/** Kills what this process started, and whatever that started. */
export function endChildren() {
  for (const child of childrenOf(process.pid)) endTree(child);
}

/** Kills `pid` and whatever it started. */
export function endTree(pid) {
  const below = childrenOf(pid);
  try {
    process.kill(pid, 'SIGKILL');
  } catch (err) {
    if (err.code !== 'ESRCH') throw err;
  }
  for (const child of below) endTree(child);
}

function childrenOf(parent) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

/** (The name stands in brackets and may hold any character.) */
function parentOf(pid) {
  const stat = read(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Empty for a process that has ended meanwhile. */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
