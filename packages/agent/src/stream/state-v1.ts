import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@cable/kit';
import { isRecord, parseJson } from '../json.ts';
import { isRevision } from './server-line.ts';
import type { ContentLine } from './staged-lines.ts';
import { linesOfSlice } from './v1-lines.ts';

/** What an agent of protocol 1 saved. */
export type StateV1 = { readonly revision: number; readonly lines: readonly ContentLine[] };

function pathOf(stateDir: string): string {
  return join(stateDir, 'state.json');
}

/** The state that an agent of protocol 1 left in `<stateDir>/state.json`; undefined: none that is usable. */
export async function readStateV1(stateDir: string, log: Logger): Promise<StateV1 | undefined> {
  const path = pathOf(stateDir);
  const text = await readFile(path, 'utf8').catch((err: unknown) => {
    if (!(err instanceof Error && 'code' in err && err.code === 'ENOENT')) {
      log.warn({ path, err }, 'cannot read the state of an older agent');
    }
    return undefined;
  });
  if (text === undefined) return undefined;
  const state = parseStateV1(text);
  if (state === undefined) log.warn({ path }, 'the state of an older agent is not usable');
  return state;
}

/** Once it is kept elsewhere. */
export async function removeStateV1(stateDir: string, log: Logger): Promise<void> {
  const path = pathOf(stateDir);
  await rm(path, { force: true }).catch((err: unknown) => log.warn({ path, err }, 'cannot remove the old state'));
}

function parseStateV1(text: string): StateV1 | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || value['version'] !== 1 || !isRevision(value['revision'])) return undefined;
  const { revision, slices } = value;
  if (!isRecord(slices)) return undefined;
  try {
    const lines = Object.entries(slices).flatMap(([key, slice]) =>
      isRecord(slice) ? (linesOfSlice(key, slice, false) ?? []) : [],
    );
    return { revision, lines };
  } catch {
    // A slice that has not the members of its kind.
    return undefined;
  }
}
