import { startTurns } from '@cable/kit';
import { type Row, SHOWN_MAPS, type ShownMap, showEntry } from './maps.ts';
import { type NameSource, readNames } from './names.ts';

/** Rows shown of one map; a map with more ends in a row that says how many are left out. */
const MAX_ROWS = 20_000;

/** Raw entries of a map, some at a time. */
export type RawReader = (
  map: ShownMap,
) => Iterable<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>;

/** What the maps hold, in users' names. Read in turns of the event loop. */
export async function readMapRows(
  read: RawReader,
  source: NameSource,
): Promise<Readonly<Record<string, readonly Row[]>>> {
  const turns = startTurns();
  const reading = readNames(source);
  let step = reading.next();
  while (step.done !== true) {
    if (turns.due()) await turns.next();
    step = reading.next();
  }
  const names = step.value;
  const shown: Record<string, readonly Row[]> = {};
  for (const map of SHOWN_MAPS) {
    const rows: Row[] = [];
    let leftOut = 0;
    for (const batch of read(map)) {
      for (const entry of batch) {
        if (rows.length < MAX_ROWS) rows.push(showEntry(map, entry, names));
        else leftOut += 1;
        if (turns.due()) await turns.next();
      }
    }
    if (leftOut > 0) rows.push({ leftOut });
    shown[map] = rows;
  }
  return shown;
}
