import { spawn } from 'node:child_process';

export type RunOptions = {
  /** Name of a network namespace to run in. `ip netns exec` would hide bpffs, so this is nsenter. */
  readonly netns?: string | null;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Ends the command (SIGKILL) after this long. Default 60 s. */
  readonly timeoutMs?: number;
  /** Told its number once it runs; what this throws is thrown. */
  readonly onStart?: (pid: number) => void;
};

export type RunResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** A command's words, entered into a namespace if one is named. */
export function inNetns(netns: string | null | undefined, command: readonly string[]): readonly string[] {
  return netns === null || netns === undefined ? command : ['nsenter', `--net=/run/netns/${netns}`, '--', ...command];
}

/** Runs a command to its end. Does not throw when it fails (code 127: could not start, 124: timed out). */
export function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [program = 'true', ...args] = inNetns(options.netns, command);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      // In a group of its own: Ctrl-C is for the lab, which removes what there is by such commands.
      detached: true,
    });
    try {
      if (child.pid !== undefined) options.onStart?.(child.pid);
    } catch (err) {
      reject(err);
    }
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, options.timeoutMs ?? 60_000);
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    child.on('error', (err) => {
      clearTimeout(timer);
      resolve({ code: 127, stdout, stderr: err.message });
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: timedOut ? 124 : (code ?? 1), stdout, stderr });
    });
  });
}

/** Runs a command that must succeed; returns its standard output. Throws with the command and what it said. */
export async function mustRun(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(command, options);
  if (result.code === 0) return result.stdout;
  const said = (result.stderr || result.stdout).trim().split('\n').slice(-10).join('\n');
  throw new Error(`${command.join(' ')} ended with ${result.code}: ${said}`);
}

/** Runs many `ip` commands in one process, in a namespace. */
export async function ipBatch(netns: string, commands: readonly string[]): Promise<void> {
  await mustRun(['ip', '-netns', netns, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
