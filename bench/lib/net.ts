import { execFileSync } from 'node:child_process';

/** Two ends that can send to each other, and how to remove them. */
export type Path = {
  readonly name: string;
  /** Network namespace of the sender. */
  readonly client: string;
  /** Network namespace of the receiver. */
  readonly server: string;
  readonly serverAddress: string;
};

/** Runs a program; throws with its output when it fails. */
export function run(command: string, ...args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (err) {
    const stderr = err instanceof Error && 'stderr' in err ? String(err.stderr).trim() : '';
    throw new Error(`${command} ${args.join(' ')}: ${stderr || String(err)}`);
  }
}

/** Runs a program in a namespace, with a text on its standard input if one is given. */
export function runIn(
  namespace: string,
  ...args: readonly [{ readonly input: string }, ...string[]] | readonly string[]
): string {
  const [first, ...rest] = args;
  const [input, words] = typeof first === 'object' ? [first.input, rest] : ['', args];
  const all = [`--net=/run/netns/${namespace}`, ...words.map(String)];
  try {
    return execFileSync('nsenter', all, { encoding: 'utf8', input });
  } catch (err) {
    const stderr = err instanceof Error && 'stderr' in err ? String(err.stderr).trim() : '';
    throw new Error(`${words.join(' ')}: ${stderr || String(err)}`);
  }
}

/** `ip` in a namespace. */
export function ipIn(namespace: string, ...args: readonly string[]): string {
  return run('ip', '-n', namespace, ...args);
}

export function addNamespace(name: string): void {
  run('ip', 'netns', 'add', name);
  ipIn(name, 'link', 'set', 'lo', 'up');
}

/** Removing a namespace that is not there succeeds. */
export function removeNamespace(name: string): void {
  try {
    run('ip', 'netns', 'del', name);
  } catch (err) {
    if (!String(err).includes('No such file')) throw err;
  }
}

/** A veth pair with each end up in its namespace. */
export function addVeth(a: { ns: string; dev: string }, b: { ns: string; dev: string }): void {
  run('ip', 'link', 'add', a.dev, 'netns', a.ns, 'type', 'veth', 'peer', 'name', b.dev, 'netns', b.ns);
  ipIn(a.ns, 'link', 'set', a.dev, 'up');
  ipIn(b.ns, 'link', 'set', b.dev, 'up');
}
