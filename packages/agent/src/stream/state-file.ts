import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Logger, startLoop } from '@cable/kit';
import type { Slice, SliceKey } from '@cable/model';
import { type HostState, NO_STATE } from './host-state.ts';
import { isKey, isRecord, isRevision, isSlice, parseJson } from './watch-line.ts';

/** Raised when the file's form changes; a file of another version is ignored: the server has everything. */
const VERSION = 1;

/** Changes within this time are one write: a disk that the store may be on too is not kept busy with what any server can tell again. */
const DELAY_MS = 1000;

/** The state a previous run saved, never `synced`; the empty state when there is none or it cannot be read. */
export async function readStateFile(path: string, log: Logger): Promise<HostState> {
  const text = await readFile(path, 'utf8').catch((err: unknown) => {
    if (!isRecord(err) || err['code'] !== 'ENOENT') log.warn({ path, err }, 'cannot read the saved state');
    return undefined;
  });
  if (text === undefined) return NO_STATE;
  const state = parseState(parseJson(text));
  if (state === undefined) log.warn({ path }, 'saved state is not usable, starting without');
  return state ?? NO_STATE;
}

/** Saves states in the background: the newest one wins, written whole or not at all. */
export type StateFile = { save(state: HostState): void; readonly done: Promise<void> };

/** A state file at the path; its directory is made as needed. What is not yet written when the signal aborts is written then. */
export function startStateFile(path: string, deps: { readonly log: Logger; readonly signal: AbortSignal }): StateFile {
  let latest: HostState | undefined;
  let saved: HostState | undefined;
  const write = async (): Promise<void> => {
    if (latest === undefined || latest === saved) return;
    const state = latest;
    await writeWhole(path, formatState(state));
    saved = state;
  };
  const loop = startLoop({ name: 'state file', log: deps.log, signal: deps.signal, run: write });
  let timer: NodeJS.Timeout | undefined;
  const save = (state: HostState): void => {
    latest = state;
    timer ??= setTimeout(() => {
      timer = undefined;
      loop.trigger();
    }, DELAY_MS);
  };
  const finish = async (): Promise<void> => {
    await loop.done;
    clearTimeout(timer);
    await write().catch((err: unknown) => deps.log.warn({ path, err }, 'cannot save the state'));
  };
  return { save, done: finish() };
}

/** Writes beside the file, syncs, renames: after a crash there is the old content or the new, and at most one draft, used by the next. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = join(dirname(path), '.draft');
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}

function formatState(state: HostState): string {
  return JSON.stringify({ version: VERSION, revision: state.revision, slices: Object.fromEntries(state.slices) });
}

function parseState(value: unknown): HostState | undefined {
  if (!isRecord(value) || value['version'] !== VERSION) return undefined;
  const { revision, slices } = value;
  if (!isRevision(revision) || !isRecord(slices)) return undefined;
  const parsed = new Map<SliceKey, Slice>();
  for (const [key, slice] of Object.entries(slices)) {
    if (!isKey(key) || !isSlice(slice)) return undefined;
    parsed.set(key, slice);
  }
  return { revision, slices: parsed, synced: false };
}
