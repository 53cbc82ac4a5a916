import { run } from '../exec.ts';
import type { Guest } from '../guests/guest.ts';
import { REPOSITORY } from '../names.ts';
import type { Processes } from '../processes.ts';

const TOOL = `${REPOSITORY}/packages/lab/dist/traffic/tool.js`;

export type GuestTarget = { readonly ip: string; readonly port: number };

/** In each guest: the lab's small server, which says who it is and moves bytes. */
export async function startServices(processes: Processes, guests: readonly Guest[]): Promise<void> {
  await Promise.all(
    guests.map((guest) =>
      processes.start({
        name: `service-${guest.name}`,
        command: [process.execPath, TOOL, 'serve', guest.name],
        netns: guest.netns ?? '',
        ready: /^ready$/m,
      }),
    ),
  );
}

/** Runs the lab's traffic program in a guest; returns what it printed. Throws with its reason when it failed. */
export async function inGuest<T>(guest: Guest, verb: string, target: GuestTarget, options: object = {}): Promise<T> {
  const command = [process.execPath, TOOL, verb, target.ip, String(target.port), JSON.stringify(options)];
  const result = await run(command, { netns: guest.netns, timeoutMs: 120_000 });
  if (result.code !== 0) throw new Error(`${guest.name}: ${verb} ${target.ip}:${target.port}: ${result.stderr.trim()}`);
  return JSON.parse(result.stdout) as T;
}
