import { startTurns, type Turns } from '@cable/kit';
import type { SliceHeader, SliceItem, SliceKey, SliceKind } from '@cable/model';
import { sameJson } from '../json.ts';
import { addHash, removeHash } from './digest.ts';
import type { SliceChange, SliceReader } from './slice-reader.ts';
import { type ContentLine, type Held, StagedLines, type StagedSlice } from './staged-lines.ts';

/** What is to be kept of a slice on disk: its header (`item` null) or an item; `held` null: nothing any more. `gone`: the whole slice is. */
export type SliceWrite = {
  readonly key: string;
  readonly item: string | null;
  readonly held: Held | null;
  readonly gone?: true;
};

/** The staged lines as one change that can be applied at once. */
export type PreparedChange = {
  /** Of known kinds, and only where the value differs. */
  readonly changes: readonly SliceChange[];
  /** Also of unknown kinds, and where only the hash differs. */
  readonly writes: readonly SliceWrite[];
  /** Digest of all slices when it is applied. */
  readonly digest: number;
  readonly slices: ReadonlyMap<string, SlicePlan>;
};

/** How one slice changes: to these items, or by these edits of those it has. Gone when `header` is null and it has no items. */
type SlicePlan = {
  readonly header: Held | null;
  readonly digest: number;
} & ({ readonly items: Map<string, Held> } | { readonly edits: readonly (readonly [string, Held | null])[] });

type Slice = { header: Held | null; digest: number; items: Map<string, Held> };

const KNOWN_KINDS: ReadonlySet<string> = new Set(
  Object.keys({
    host: true,
    network: true,
    endpoints: true,
    router: true,
    policy: true,
    group: true,
  } satisfies Record<SliceKind, true>),
);

/** Edits are made in one turn; where a slice has this many and a quarter of its items or more, it gets a new map, made in turns. */
const MANY_EDITS = 1024;

/** True for a key of a kind that this agent knows. */
export function isKnownKey(key: string): key is SliceKey {
  return KNOWN_KINDS.has(key.slice(0, Math.max(0, key.indexOf(':'))));
}

/**
 * The content of all slices of a host: headers and items with the hashes the server gave them. Lines are staged, made into one change in turns
 * (`prepare`), and applied at once. Slices of unknown kinds are held, counted and saved like others, and shown to nobody.
 */
export class SliceState implements SliceReader {
  readonly #slices = new Map<string, Slice>();
  readonly #staged = new StagedLines();
  #digest = 0;

  header<K extends SliceKind>(key: `${K}:${string}`): SliceHeader<K> | undefined {
    return this.#shown(key)?.header?.value as SliceHeader<K> | undefined;
  }

  item<K extends SliceKind>(key: `${K}:${string}`, item: string): SliceItem<K> | undefined {
    return this.#shown(key)?.items.get(item)?.value as SliceItem<K> | undefined;
  }

  *items<K extends SliceKind>(key: `${K}:${string}`): Generator<readonly [string, SliceItem<K>]> {
    for (const [item, held] of this.#shown(key)?.items ?? []) yield [item, held.value as SliceItem<K>];
  }

  itemKeys(key: SliceKey): Iterable<string> {
    return this.#shown(key)?.items.keys() ?? [];
  }

  size(key: SliceKey): number {
    return this.#shown(key)?.items.size ?? 0;
  }

  *keys(): Generator<SliceKey> {
    for (const key of this.#slices.keys()) if (isKnownKey(key)) yield key;
  }

  /** Sum of the digests of all slices. */
  get digest(): number {
    return this.#digest;
  }

  /** Digest of each slice held, also of unknown kinds. */
  digests(): Record<string, number> {
    return Object.fromEntries(Array.from(this.#slices, ([key, slice]) => [key, slice.digest]));
  }

  /** Keys of all slices held, also of unknown kinds. */
  allKeys(): Iterable<string> {
    return this.#slices.keys();
  }

  /** Everything that is held, as it would be written to an empty disk. */
  *all(): Generator<SliceWrite> {
    for (const [key, slice] of this.#slices) {
      if (slice.header !== null) yield { key, item: null, held: slice.header };
      for (const [item, held] of slice.items) yield { key, item, held };
    }
  }

  /** Takes in what was saved; for the time before the first line. */
  load(key: string, item: string | null, held: Held): void {
    let slice = this.#slices.get(key);
    if (slice === undefined) {
      slice = { header: null, digest: 0, items: new Map() };
      this.#slices.set(key, slice);
    }
    if (item === null) slice.header = held;
    else slice.items.set(item, held);
    slice.digest = addHash(slice.digest, held.hash);
    this.#digest = addHash(this.#digest, held.hash);
  }

  /** Notes a line; it counts when a change is prepared and applied. */
  stage(line: ContentLine): void {
    this.#staged.add(line);
  }

  /** Forgets what is staged. */
  discard(): void {
    this.#staged.clear();
  }

  /** Everything comes anew: what is held counts no more, as far as it does not come again. */
  stageNothing(): void {
    this.#staged.clear();
    for (const key of this.#slices.keys()) this.#staged.voidSlice(key, false);
  }

  /** Of the items that are held of the slice, how many would go because a `reset` or `drop` leaves them out. */
  absent(key: string): { readonly before: number; readonly absent: number } {
    const before = this.#slices.get(key)?.items ?? new Map<string, Held>();
    const staged = this.#staged.get(key);
    if (staged === undefined || !staged.void || staged.deliberate) return { before: before.size, absent: 0 };
    let absent = 0;
    for (const item of before.keys()) if (!staged.items.has(item)) absent += 1;
    return { before: before.size, absent };
  }

  /** What is staged as one change. Nothing may be staged, loaded or applied while it is being prepared. */
  async prepare(): Promise<PreparedChange> {
    const out: Output = { changes: [], writes: [], turns: startTurns() };
    const slices = new Map<string, SlicePlan>();
    let digest = this.#digest;
    for (const [key, staged] of this.#staged.entries()) {
      const before = this.#slices.get(key);
      const plan = await planSlice(key, before, staged, out);
      slices.set(key, plan);
      digest = addHash(removeHash(digest, before?.digest ?? 0), plan.digest);
    }
    return { changes: out.changes, writes: out.writes, digest, slices };
  }

  /** Makes the prepared change count, and forgets what was staged. */
  apply(prepared: PreparedChange): void {
    for (const [key, plan] of prepared.slices) this.#applySlice(key, plan);
    this.#digest = prepared.digest;
    this.#staged.clear();
  }

  #applySlice(key: string, plan: SlicePlan): void {
    const slice = this.#slices.get(key) ?? { header: null, digest: 0, items: new Map<string, Held>() };
    slice.header = plan.header;
    slice.digest = plan.digest;
    if ('items' in plan) slice.items = plan.items;
    else {
      for (const [item, held] of plan.edits) {
        if (held === null) slice.items.delete(item);
        else slice.items.set(item, held);
      }
    }
    if (slice.header === null && slice.items.size === 0) this.#slices.delete(key);
    else this.#slices.set(key, slice);
  }

  #shown(key: string): Slice | undefined {
    return isKnownKey(key) ? this.#slices.get(key) : undefined;
  }
}

type Output = { readonly changes: SliceChange[]; readonly writes: SliceWrite[]; readonly turns: Turns };

async function planSlice(key: string, before: Slice | undefined, staged: StagedSlice, out: Output): Promise<SlicePlan> {
  const base = staged.void ? null : (before?.header ?? null);
  const header = staged.header === undefined ? base : keep(before?.header ?? null, staged.header);
  note(out, key, null, before?.header ?? null, header);
  const plan = staged.void
    ? await planItems(key, before, staged, out)
    : await planEdits(key, before ?? { header: null, digest: 0, items: new Map() }, staged, out);
  const digest = addHash(
    staged.void ? plan.digest : removeHash(plan.digest, before?.header?.hash ?? 0),
    header?.hash ?? 0,
  );
  const count = 'items' in plan ? plan.items.size : plan.size;
  if (header === null && count === 0 && before !== undefined) {
    out.writes.push({ key, item: null, held: null, gone: true });
  }
  return 'items' in plan ? { header, digest, items: plan.items } : { header, digest, edits: plan.edits };
}

/** Items of a slice of which only what is staged counts. */
async function planItems(
  key: string,
  before: Slice | undefined,
  staged: StagedSlice,
  out: Output,
): Promise<{ readonly digest: number; readonly items: Map<string, Held> }> {
  const items = new Map<string, Held>();
  let digest = 0;
  for (const [item, said] of staged.items) {
    if (out.turns.due()) await out.turns.next();
    if (said === null) continue;
    const old = before?.items.get(item) ?? null;
    const held = keep(old, said);
    items.set(item, held);
    digest = addHash(digest, held.hash);
    note(out, key, item, old, held);
  }
  for (const [item, old] of before?.items ?? []) {
    if (out.turns.due()) await out.turns.next();
    if (!items.has(item)) note(out, key, item, old, null);
  }
  return { digest, items };
}

/** Items of a slice that stays, but for what is staged. */
async function planEdits(
  key: string,
  before: Slice,
  staged: StagedSlice,
  out: Output,
): Promise<
  | { readonly digest: number; readonly items: Map<string, Held> }
  | { readonly digest: number; readonly size: number; readonly edits: readonly (readonly [string, Held | null])[] }
> {
  const edits: (readonly [string, Held | null])[] = [];
  let { digest } = before;
  let { size } = before.items;
  for (const [item, said] of staged.items) {
    if (out.turns.due()) await out.turns.next();
    const old = before.items.get(item) ?? null;
    const held = said === null ? null : keep(old, said);
    if (held === old) continue;
    edits.push([item, held]);
    digest = addHash(removeHash(digest, old?.hash ?? 0), held?.hash ?? 0);
    size += (held === null ? 0 : 1) - (old === null ? 0 : 1);
    note(out, key, item, old, held);
  }
  if (edits.length < MANY_EDITS || edits.length < before.items.size / 4) return { digest, size, edits };
  const items = new Map<string, Held>();
  for (const [item, held] of before.items) {
    if (out.turns.due()) await out.turns.next();
    items.set(item, held);
  }
  for (const [item, held] of edits) {
    if (out.turns.due()) await out.turns.next();
    if (held === null) items.delete(item);
    else items.set(item, held);
  }
  return { digest, items };
}

/** What to hold when this is said: what is held already as far as it is the same, so that its value stays the same object. */
function keep(old: Held | null, said: Held): Held {
  if (old === null) return said;
  if (old.hash === said.hash) return old;
  // After a change of the server's way to count the same content comes with other hashes.
  return sameJson(old.value, said.value) ? { hash: said.hash, value: old.value } : said;
}

function note(out: Output, key: string, item: string | null, old: Held | null, held: Held | null): void {
  if (held === old) return;
  out.writes.push({ key, item, held });
  if (held?.value !== old?.value && isKnownKey(key)) out.changes.push({ key, item });
}
