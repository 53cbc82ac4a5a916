/** A control group of a test's own, in all hierarchies of the machine: who is in it, or below, ends with it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
const END_MS = 20_000;
/** Of the default: what is outside of any group weighs as much for each of its processes. */
const WEIGHT = 16;
const DEFAULTS = { 'cpu.shares': 1024, 'cpu.weight': 100 };

export type ControlGroup = {
  /** As kubelet's `cgroupRoot` has it. */
  readonly path: string;
  /** Words before a command that let it run in the group. */
  readonly enter: readonly string[];
};

export function createControlGroup(name: string): ControlGroup {
  const directories = directoriesOf(name);
  for (const one of directories) {
    mkdirSync(join(one, 'programs'), { recursive: true });
    for (const inner of [one, join(one, 'programs')]) fillCpuset(inner);
    for (const [file, value] of Object.entries(DEFAULTS))
      if (existsSync(join(one, file))) writeFileSync(join(one, file), String(value * WEIGHT));
  }
  const places = directories.map((one) => join(one, 'programs', 'cgroup.procs'));
  const script = `${places.map((one) => `echo $$ > ${one}`).join('; ')}; exec "$@"`;
  return { path: `/${name}`, enter: ['sh', '-c', script, 'sh'] };
}

/** Kills what is in it, and removes it, at once: also of a process that ends. None of that name: nothing. */
export function removeControlGroup(name: string): void {
  const directories = directoriesOf(name).filter((one) => existsSync(one));
  const deadline = Date.now() + END_MS;
  for (;;) {
    const pids = new Set(directories.flatMap((one) => processesBelow(one)));
    if (pids.size === 0) break;
    for (const pid of pids) kill(pid);
    if (Date.now() > deadline) throw new Error(`processes of ${name} do not end: ${[...pids].join(' ')}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
  for (const one of directories) for (const below of [...treeOf(one)].reverse()) rmdirSync(below);
}

/** Of version 1 each hierarchy is a directory of its own (some have links as further names), of version 2 there is one. */
function directoriesOf(name: string): readonly string[] {
  if (existsSync(join(ROOT, 'cgroup.controllers'))) return [join(ROOT, name)];
  const hierarchies = readdirSync(ROOT, { withFileTypes: true }).filter((one) => one.isDirectory());
  return hierarchies.map((one) => join(ROOT, one.name, name));
}

/** Nobody may enter a cpuset of version 1 that has no CPUs. */
function fillCpuset(directory: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const [own, above] = [join(directory, file), join(directory, '..', file)];
    if (existsSync(own) && existsSync(above) && readFileSync(own, 'utf8').trim() === '')
      writeFileSync(own, readFileSync(above, 'utf8'));
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone.
  }
}

/** The directory, and all below. */
function treeOf(directory: string): readonly string[] {
  const below = readdirSync(directory, { withFileTypes: true }).filter((one) => one.isDirectory());
  return [directory, ...below.flatMap(({ name }) => treeOf(join(directory, name)))];
}

function processesBelow(directory: string): readonly number[] {
  return treeOf(directory).flatMap((one) => {
    try {
      return readFileSync(join(one, 'cgroup.procs'), 'utf8').trim().split('\n').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  });
}
