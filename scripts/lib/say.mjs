/** Progress lines, and commands that explain themselves when they fail. */
import { spawn } from 'node:child_process';

/** A failure the user can act on: no stack trace. */
export class StepError extends Error {}

/** Prints one progress line. */
export function say(text) {
  process.stdout.write(`cable: ${text}\n`);
}

/**
 * Runs a command. Quiet: its output is shown only when it fails, with the remedy.
 * `show`: its output goes straight to the terminal, and nothing is added but the remedy.
 */
export async function step(command, args, { remedy, env = {}, cwd, show = false } = {}) {
  const result = await capture(command, args, { env, cwd, show });
  if (result.code === 0) return result.output;
  const shown = show ? [] : excerpt(result.output.trimEnd().split('\n')).map((line) => `  | ${line}`);
  const how = result.error === undefined ? `ended with ${result.code}` : `could not start: ${result.error}`;
  throw new StepError(
    [`failed: ${[command, ...args].join(' ')} (${how})`, ...shown, ...(remedy ? [`what to do: ${remedy}`] : [])].join(
      '\n',
    ),
  );
}

/** The first lines, where most programs say what is wrong, and the last, where the others do. */
function excerpt(lines) {
  return lines.length <= 40 ? lines : [...lines.slice(0, 20), '...', ...lines.slice(-20)];
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Runs a command to its end: exit code (128 + n for a signal's death is not told apart: 1), output, start error. With `show` the command is asked to end
 * in this process's stead. (It may be asked twice: a terminal asks all of its group.)
 */
export function capture(command, args, { env = {}, cwd, show = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: show ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    });
    const forward = (signal) => child.kill(signal);
    if (show) for (const signal of SIGNALS) process.on(signal, forward);
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-200_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.on('error', (err) => resolve({ code: 127, output, error: err.message }));
    child.on('close', (code) => {
      for (const signal of SIGNALS) process.off(signal, forward);
      resolve({ code: code ?? 1, output });
    });
  });
}
