import { startTurns, type Turns } from '@cable/kit';
import { SHOWN_MAPS, type ShownMap, showEntry } from './maps.ts';
import { type NameSource, type Names, readNames } from './names.ts';

/** Rows shown of one map; a map with more ends in a row that says how many are left out. */
const MAX_ROWS = 20_000;

/** Raw entries of a map, some at a time. */
export type RawReader = (
  map: ShownMap,
) => Iterable<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]>;

/**
 * What the maps hold, in users' names: an object with a list of rows for each map, as pieces of its JSON. Read and written in turns of the
 * event loop.
 */
export async function* mapRowsJson(read: RawReader, source: NameSource): AsyncGenerator<string> {
  const turns = startTurns();
  const reading = readNames(source);
  let step = reading.next();
  while (step.done !== true) {
    if (turns.due()) await turns.next();
    step = reading.next();
  }
  const names = step.value;
  let opening = '{';
  for (const map of SHOWN_MAPS) {
    yield `${opening}${JSON.stringify(map)}:`;
    opening = ',';
    yield* rowsJson(map, read(map), names, turns);
  }
  yield '}';
}

async function* rowsJson(
  map: ShownMap,
  batches: ReturnType<RawReader>,
  names: Names,
  turns: Turns,
): AsyncGenerator<string> {
  let text = '[';
  let shown = 0;
  let leftOut = 0;
  for (const batch of batches) {
    for (const entry of batch) {
      const row = showEntry(map, entry, names);
      if (row !== undefined && shown < MAX_ROWS) {
        text += `${shown === 0 ? '' : ','}${JSON.stringify(row)}`;
        shown += 1;
      } else if (row !== undefined) leftOut += 1;
      if (!turns.due()) continue;
      yield text;
      text = '';
      await turns.next();
    }
  }
  yield leftOut > 0 ? `${text},${JSON.stringify({ left_out: leftOut })}]` : `${text}]`;
}
