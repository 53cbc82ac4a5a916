/** One round: clients and faults together, then everything is alive again, and the judge looks. */
import { setTimeout as wait } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import { createClient } from './client.ts';
import { makeFaults, restoreOnce } from './faults.ts';
import { hammer } from './hammering.ts';
import { type Entry, type Row, TYPES, type TypeName, textOf } from './history.ts';
import { judge } from './judge.ts';
import type { Objects } from './ledger.ts';
import { randomFrom } from './random.ts';

export type RoundOptions = {
  readonly seed: number;
  /** How long requests are sent. */
  readonly hammerMs: number;
  readonly clients: number;
  /** True: etcd is put back to a snapshot on the way, so that answers need not be true any more. */
  readonly restores: boolean;
  readonly mostPauseMs: number;
  readonly monotonicMs: () => number;
  readonly tell: (what: string) => void;
};

/** `problems` empty: all is well. `answers`: how many requests had which status, 0: none. */
export type RoundResult = { readonly problems: readonly string[]; readonly answers: Readonly<Record<string, number>> };

const AGREE_MS = 20_000;

export async function runRound(bed: Bed, options: RoundOptions): Promise<RoundResult> {
  const { seed, clients, monotonicMs } = options;
  const end = AbortSignal.timeout(options.hammerMs);
  const hammering = hammer(bed, { seed, clients, monotonicMs, prefix: `h${seed}`, signal: end });
  const faults = { ...options, signal: end };
  const random = randomFrom(seed * 1000 + 999);
  const [entries] = await Promise.all([
    hammering,
    options.restores ? restoreOnce(bed, { ...faults, afterMs: options.hammerMs / 3 }) : makeFaults(bed, random, faults),
  ]);
  for (const { program } of bed.servers) await program.untilReady();
  const checks = [];
  for (const { port } of bed.servers) checks.push(...(await brokenPromises(port)));
  const { objects, differences } = await untilAgreed(bed);
  const untrue = options.restores ? [] : judge(entries, objects);
  return { problems: [...checks, ...differences, ...untrue], answers: count(entries) };
}

async function brokenPromises(port: number): Promise<readonly string[]> {
  const violations = (await get(port, '/cable/v1/check'))?.['violations'];
  if (!Array.isArray(violations)) return [`the check of ${port} does not answer`];
  return violations.map((one) => `the check of ${port}: ${JSON.stringify(one)}`);
}

/** Servers follow the store by some milliseconds: looks until all show the same, and what is in the raw store. */
async function untilAgreed(bed: Bed): Promise<{ readonly objects: Objects; readonly differences: readonly string[] }> {
  const deadline = performance.now() + AGREE_MS;
  for (;;) {
    const shown = await Promise.all(bed.servers.map(({ port }) => shownBy(port)));
    const objects = await rawObjects(bed);
    const stored = revisionsOf(objects);
    const differences = shown.flatMap((one, n) => differencesOf(stored, one, `server ${n}`));
    if (differences.length === 0 || performance.now() > deadline) return { objects, differences };
    await wait(100);
  }
}

/** LMDB is for one process: its server is away while its files are read. */
async function rawObjects(bed: Bed): Promise<Objects> {
  if (bed.etcd !== undefined) return bed.readObjects();
  for (const { program } of bed.servers) await program.end('SIGTERM');
  const objects = await bed.readObjects();
  for (const { program } of bed.servers) await program.start();
  return objects;
}

/** Type, id and revision of every object that a server shows. */
async function shownBy(port: number): Promise<ReadonlySet<string>> {
  const shown = new Set<string>();
  for (const [type, { path, plural }] of Object.entries(TYPES)) {
    const rows = (await get(port, `/v2.0/${path}`))?.[plural];
    for (const row of Array.isArray(rows) ? rows : []) shown.add(lineOf(type, row));
  }
  return shown;
}

function revisionsOf(objects: Objects): ReadonlySet<string> {
  const types = Object.keys(TYPES) as readonly TypeName[];
  return new Set(types.flatMap((type) => [...(objects.get(type)?.values() ?? [])].map((row) => lineOf(type, row))));
}

function lineOf(type: string, row: Row): string {
  return `${type} ${textOf(row, 'id')} revision ${row['revision_number']}`;
}

function differencesOf(stored: ReadonlySet<string>, shown: ReadonlySet<string>, who: string): readonly string[] {
  return [
    ...[...stored].filter((line) => !shown.has(line)).map((line) => `${who} does not show ${line}`),
    ...[...shown].filter((line) => !stored.has(line)).map((line) => `${who} shows ${line}, which is not stored`),
  ];
}

async function get(port: number, path: string): Promise<Row | undefined> {
  const client = createClient();
  try {
    const caller = { project: 'owner', roles: undefined };
    return (await client.send({ port, method: 'GET', path, caller })).body;
  } finally {
    client.close();
  }
}

function count(entries: readonly Entry[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { status, deed } of entries) {
    const name = `${deed.kind} ${status}`;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}
