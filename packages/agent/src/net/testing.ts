/** For tests: network namespaces of one's own, removed afterwards with everything in them. */
import { execFileSync } from 'node:child_process';

export type TestNetns = {
  readonly name: string;
  readonly path: string;
  /** Runs `ip` inside, and returns what it prints. */
  ip(...words: string[]): string;
  /** Runs a command inside. */
  run(command: string, ...words: string[]): string;
  remove(): void;
};

let made = 0;

/** A fresh, empty namespace. */
export function createNetns(): TestNetns {
  made += 1;
  const name = `cbt${process.pid}n${made}`;
  const path = `/run/netns/${name}`;
  const run = (command: string, ...words: string[]): string =>
    execFileSync('nsenter', [`--net=${path}`, command, ...words], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  execFileSync('ip', ['netns', 'add', name]);
  const remove = (): void => {
    execFileSync('ip', ['netns', 'delete', name]);
  };
  return { name, path, run, ip: (...words) => run('ip', ...words), remove };
}
