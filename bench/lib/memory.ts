import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { agentPaths, type LabHost } from '@cable/lab';
import type { CableBed } from './cable.ts';
import { run } from './net.ts';

/** What a host's agent holds: its maps in the kernel, and the memory of its process. Bytes. */
export type Memory = { readonly maps: number; readonly process: number };

/** What one more of something takes. */
export type MemoryRow = {
  readonly what: string;
  readonly many: number;
  readonly mapBytes: number;
  readonly processBytes?: number;
};

const STILL_MS = 3000;
const PAGE_BYTES = 4096;

type MapInfo = { readonly name: string; readonly max_entries: number; readonly bytes_memlock: number };

function mapsOf(host: LabHost): readonly MapInfo[] {
  const pins = `${agentPaths(host.name).pins}/maps`;
  return readdirSync(pins)
    .filter((name) => name.startsWith('cb_'))
    .map((name) => JSON.parse(run('bpftool', '-j', 'map', 'show', 'pinned', `${pins}/${name}`)) as MapInfo);
}

function look(bed: CableBed, host: LabHost): Memory {
  const [, resident = 0] = readFileSync(`/proc/${bed.agentPid(host)}/statm`, 'utf8')
    .split(' ')
    .map(Number);
  return {
    maps: mapsOf(host).reduce((sum, { bytes_memlock: bytes }) => sum + bytes, 0),
    process: resident * PAGE_BYTES,
  };
}

/** Once its maps do not grow any more: the agent has put everything in. */
export async function memoryOf(bed: CableBed, host: LabHost): Promise<Memory> {
  for (let before = look(bed, host); ; ) {
    await sleep(STILL_MS);
    const now = look(bed, host);
    if (now.maps === before.maps) return now;
    before = now;
  }
}

/** What `make` brings to the host, for each of so many. */
export async function memoryOfEach<T>(
  { bed, what, many }: { readonly bed: CableBed; readonly what: string; readonly many: number },
  make: () => Promise<T>,
): Promise<{ readonly made: T; readonly row: MemoryRow }> {
  const host = bed.names.h1;
  const before = await memoryOf(bed, host);
  const made = await make();
  const after = await memoryOf(bed, host);
  const row = {
    ...{ what, many, mapBytes: (after.maps - before.maps) / many },
    processBytes: (after.process - before.process) / many,
  };
  return { made, row };
}

/** The flow table is as large from the start as it ever is. */
export function memoryOfFlow(host: LabHost): MemoryRow {
  const all = mapsOf(host);
  const flows = all.find(({ name }) => name.startsWith('cb_flow_'));
  const tuples = all.find(({ name }) => name.startsWith('cb_tuple_'));
  if (flows === undefined || tuples === undefined) throw new Error('the agent has no flow table');
  const many = flows.max_entries;
  return { what: 'flow, with both its tuples', many, mapBytes: (flows.bytes_memlock + tuples.bytes_memlock) / many };
}
