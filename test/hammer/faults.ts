/** What goes wrong meanwhile: one thing after the other, some of them together, drawn at random. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import type { Random } from './random.ts';

/** `mostPauseMs`: how long etcd is stopped at most. `signal`: no further fault begins when it has aborted. `tell`: what is done, for people. */
export type FaultOptions = {
  readonly mostPauseMs: number;
  readonly signal: AbortSignal;
  readonly tell: (what: string) => void;
};

/** Makes faults until the signal aborts; resolves when all that it broke is whole again. Throws when something does not start again. */
export async function makeFaults(bed: Bed, random: Random, options: FaultOptions): Promise<void> {
  while (await restOrEnd(300 + random.below(1500), options.signal)) {
    const kind = random.below(10);
    if (bed.etcd === undefined || kind < 3) await killServer(bed, random, options);
    else if (kind < 4) await pauseServer(bed, random, options);
    else if (kind < 8) await pauseEtcd(bed, random, options);
    else await killEtcd(bed, random, options);
  }
}

/** The store goes back to what it was at the snapshot, under servers that run. */
export async function restoreOnce(
  bed: Bed,
  { signal, tell, afterMs }: FaultOptions & { readonly afterMs: number },
): Promise<void> {
  if (bed.etcd === undefined || !(await restOrEnd(afterMs, signal))) return;
  tell('snapshot of etcd');
  await bed.etcd.snapshot();
  if (!(await restOrEnd(afterMs, signal))) return;
  tell('restore of etcd');
  await bed.etcd.restore();
}

async function killServer(bed: Bed, random: Random, { tell }: FaultOptions): Promise<void> {
  const server = random.pick(bed.servers);
  if (server === undefined) return;
  tell(`kill ${server.program.run}`);
  await server.program.end('SIGKILL');
  await wait(random.below(1500));
  await server.program.start();
}

async function pauseServer(bed: Bed, random: Random, { tell, mostPauseMs }: FaultOptions): Promise<void> {
  const server = random.pick(bed.servers);
  if (server === undefined) return;
  const pauseMs = 300 + random.below(mostPauseMs);
  tell(`stop ${server.program.run} for ${pauseMs} ms`);
  server.program.stop();
  await wait(pauseMs);
  server.program.goOn();
}

/** Sometimes a server is killed while etcd has its requests and has not looked at them. */
async function pauseEtcd(bed: Bed, random: Random, { tell, mostPauseMs }: FaultOptions): Promise<void> {
  const pauseMs = 500 + random.below(mostPauseMs - 500);
  const killed = random.chance(0.4) ? random.pick(bed.servers) : undefined;
  tell(`stop etcd for ${pauseMs} ms${killed === undefined ? '' : `, kill ${killed.program.run} meanwhile`}`);
  bed.etcd?.program.stop();
  await wait(pauseMs / 2);
  await killed?.program.end('SIGKILL');
  await wait(pauseMs / 2);
  bed.etcd?.program.goOn();
  await bed.etcd?.program.untilReady();
  await killed?.program.start();
}

async function killEtcd(bed: Bed, random: Random, { tell, mostPauseMs }: FaultOptions): Promise<void> {
  const awayMs = random.below(mostPauseMs);
  tell(`kill etcd for ${awayMs} ms`);
  await bed.etcd?.program.end('SIGKILL');
  await wait(awayMs);
  await bed.etcd?.program.start();
}

/** False: there is to be nothing more. */
async function restOrEnd(ms: number, signal: AbortSignal): Promise<boolean> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
  return !signal.aborted;
}
