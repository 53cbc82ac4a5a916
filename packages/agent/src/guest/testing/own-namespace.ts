import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import koffi from 'koffi';

const CLONE_NEWNET = 0x40000000;

/**
 * Moves this process's main thread, so its sockets and children too, into a new network namespace with loopback up.
 * The namespace ends with the process: nothing is left behind. Needs root.
 */
export function enterOwnNamespace(): void {
  const unshare = koffi.load('libc.so.6').func('int unshare(int)');
  const failed: unknown = unshare(CLONE_NEWNET);
  if (failed !== 0) throw new Error('unshare(CLONE_NEWNET) failed: root is needed');
  ip('link set lo up');
}

/** Another namespace, held by a sleeping process: `/proc/<pid>/ns/net`. `end` removes it with all its links. */
export type HeldNamespace = { readonly pid: number; end(): Promise<void> };

export async function holdNamespace(): Promise<HeldNamespace> {
  const holder = spawn('unshare', ['-n', 'sh', '-c', 'echo ready; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  const { pid } = holder;
  if (pid === undefined) throw new Error('unshare did not start');
  const end = async (): Promise<void> => {
    if (holder.exitCode !== null || holder.signalCode !== null) return;
    holder.kill('SIGKILL');
    await once(holder, 'exit');
  };
  return { pid, end };
}

/** Runs `ip`, in the namespace of a process when one is given; throws with its message when it fails. */
export function ip(words: string, pid?: number): string {
  const enter = pid === undefined ? [] : ['nsenter', '-t', String(pid), '-n'];
  const [command = 'ip', ...rest] = [...enter, 'ip', ...words.split(' ')];
  return execFileSync(command, rest, { encoding: 'utf8' });
}
