/** What a cluster has made outside of its directory, written down in it: all goes when the cluster is removed, when the process ends that made it, or, if it was killed, when another is made. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeControlGroup } from './control-groups.ts';

export type Remnants = {
  readonly groups: readonly string[];
  /** Network namespaces, by name. */
  readonly namespaces: readonly string[];
  /** Path to value: as they were before. */
  readonly sysctls: Readonly<Record<string, string>>;
};

const PREFIX = 'cable-kubelet-';
const LIST = 'remnants.json';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A directory for a cluster of this process; what those of processes that are gone have left is removed first. */
export function createDirectory(): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeRemnants(join(tmpdir(), name));
  }
  return mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
}

/** To be called before any of it is made. What it returns removes all, and the directory; so does the end of this process. */
export function writeRemnants(directory: string, remnants: Remnants): () => void {
  writeFileSync(join(directory, LIST), JSON.stringify(remnants));
  // A signal would end the process without a word.
  const exit = (): never => process.exit(1);
  const remove = (): void => {
    process.off('exit', remove);
    for (const signal of SIGNALS) process.off(signal, exit);
    removeRemnants(directory);
  };
  process.once('exit', remove);
  for (const signal of SIGNALS) process.once(signal, exit);
  return remove;
}

function removeRemnants(directory: string): void {
  const list = join(directory, LIST);
  if (existsSync(list)) {
    const { groups, namespaces, sysctls } = JSON.parse(readFileSync(list, 'utf8')) as Remnants;
    for (const one of groups) removeControlGroup(one);
    for (const one of namespaces)
      if (existsSync(`/run/netns/${one}`)) execFileSync('ip', ['netns', 'delete', one], { stdio: 'inherit' });
    for (const [path, value] of Object.entries(sysctls)) writeFileSync(path, value);
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
}
