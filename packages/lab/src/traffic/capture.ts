import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from '../eventually.ts';
import { inNetns } from '../exec.ts';

/** A tcpdump that runs. */
export type Capture = {
  /** Waits until what it has seen, a line each, is as wanted, and a moment longer for what should not come; then ends it. Throws after a minute. */
  until(fits: (lines: readonly string[]) => boolean): Promise<readonly string[]>;
};

const DEADLINE_MS = 60_000;
const READY_MS = 20_000;

/** Starts to look at a device; resolves when it does. */
export async function startCapture(
  { netns, device }: { readonly netns: string | null; readonly device: string },
  filter: string,
): Promise<Capture> {
  // Copies are for others: the device is to take them all the same.
  const command = ['tcpdump', '-n', '-l', '--immediate-mode', '-i', device, filter];
  const [program = '', ...args] = inNetns(netns, command);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [seen, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const end = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGINT');
    await once(child, 'close');
  };
  const lines = (): readonly string[] => seen.split('\n').filter((line) => line !== '');
  try {
    await eventually({ what: 'tcpdump', deadlineMs: READY_MS }, () => said.includes('listening on') || undefined);
  } catch (err) {
    await end();
    throw new Error(`tcpdump: ${said}`, { cause: err });
  }
  return {
    until: async (fits) => {
      try {
        await eventually(
          { what: `what tcpdump sees (${filter})`, deadlineMs: DEADLINE_MS },
          () => fits(lines()) || undefined,
        );
      } catch (err) {
        throw new Error(`tcpdump saw ${lines().length} packets, the last ${lines().at(-1)}`, { cause: err });
      } finally {
        await end();
      }
      return lines();
    },
  };
}
