/** Reads members of a map by their kind, and tells what is of another. */
import type { Place, Problems } from './problems.ts';
import type { Entry, ListTree, MapTree, Tree } from './tree.ts';

/** A map; empty where nothing is written; undefined, and told, when it is something else. */
export function asMap(tree: Tree, what: string, problems: Problems): MapTree | undefined {
  if (tree.kind === 'map') return tree;
  if (tree.kind === 'scalar' && tree.value === null) return { kind: 'map', at: tree.at, entries: new Map() };
  problems.error(tree.at, `${what} is no map`, 'Write "name: value" below it');
  return undefined;
}

/** The map of that key; undefined when there is none, or it is something else, which is told. */
export function mapAt(map: MapTree, key: string, what: string, problems: Problems): MapTree | undefined {
  const entry = map.entries.get(key);
  return entry === undefined ? undefined : asMap(entry.value, what, problems);
}

/** Tells of each key that is none of `known`. */
export function checkKeys(map: MapTree, known: readonly string[], what: string, problems: Problems): void {
  for (const [key, { at }] of map.entries) {
    if (known.includes(key)) continue;
    problems.error(at, `${what} has no ${key}`, `It has ${listed(known)}`);
  }
}

/** True: each object of JavaScript has something of the name: nothing of a model is called so. */
export function isInherited(name: string): boolean {
  return name in {};
}

/** A text; undefined, and told, when it is something else. */
export function asText({ value, at }: Entry, what: string, problems: Problems): string | undefined {
  if (value.kind === 'scalar' && typeof value.value === 'string') return value.value;
  problems.error(place(value, at), `${what} is no text`, 'Write it in quotes');
  return undefined;
}

/** A text, or a number as it is written. */
export function asWord({ value, at }: Entry, what: string, problems: Problems): string | undefined {
  if (value.kind === 'scalar' && value.value !== null) return value.source;
  problems.error(place(value, at), `${what} is no text`, 'Write a text');
  return undefined;
}

export function textAt(map: MapTree, key: string, what: string, problems: Problems): string | undefined {
  const entry = map.entries.get(key);
  return entry === undefined ? undefined : asText(entry, what, problems);
}

export function wordAt(map: MapTree, key: string, what: string, problems: Problems): string | undefined {
  const entry = map.entries.get(key);
  return entry === undefined ? undefined : asWord(entry, what, problems);
}

/** True or false; `absent` where there is none, and where it is something else, which is told. */
export function flagAt(
  entries: ReadonlyMap<string, Entry>,
  key: string,
  absent: boolean,
  what: string,
  problems: Problems,
): boolean {
  const entry = entries.get(key);
  if (entry === undefined) return absent;
  if (entry.value.kind === 'scalar' && typeof entry.value.value === 'boolean') return entry.value.value;
  problems.error(place(entry.value, entry.at), `${what} is neither true nor false`, 'Write true or false');
  return absent;
}

export function asList(tree: Tree, what: string, problems: Problems): ListTree | undefined {
  if (tree.kind === 'list') return tree;
  problems.error(tree.at, `${what} is no list`, 'Write [ ... ], or lines that begin with "-"');
  return undefined;
}

/** A list of texts. */
export function asTexts(tree: Tree, what: string, problems: Problems): readonly string[] {
  const list = asList(tree, what, problems);
  return (list?.items ?? []).flatMap(
    (item) => asText({ at: item.at, value: item }, `a member of ${what}`, problems) ?? [],
  );
}

/** `a, b and c`. */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** An empty value stands where its key does. */
function place(value: Tree, key: Place): Place {
  return value.kind === 'scalar' && value.source === '' ? key : value.at;
}
