import { startTurns, type Turns } from '@cable/kit';
import { bucketOf, type SliceHeader, type SliceItem, type SliceKey, type SliceKind } from '@cable/model';
import { addHash, removeHash } from './digest.ts';
import { type Place, placeOf } from './kept-places.ts';
import type { PortAbsence } from './removal-guard.ts';
import {
  type AbsenceRule,
  isKnownKey,
  NO_SLICE,
  type PlanOutput,
  planSlice,
  type Slice,
  type SlicePlan,
  type SliceWrite,
  tallyWith,
  withoutKept,
} from './slice-plan.ts';
import type { SliceChange, SliceReader } from './slice-reader.ts';
import { type ContentLine, type Held, isInVoidBucket, NOTHING_STAGED, StagedLines } from './staged-lines.ts';

/** Lines, or the end of what was kept, as one change that can be applied at once. */
export type PreparedChange = {
  /** Of known kinds, and only where the value differs. */
  readonly changes: readonly SliceChange[];
  /** Also of unknown kinds, and where only the hash differs, or whether it is only kept. */
  readonly writes: readonly SliceWrite[];
  /** Digest of all slices when it is applied. */
  readonly digest: number;
  readonly slices: ReadonlyMap<string, SlicePlan>;
  /** Kept ports of the host that end because the server says that something else is where they are. */
  readonly gaveWay: number;
  /** The lines it is made of, which are then done with. */
  readonly staged: StagedLines;
};

/**
 * The content of all slices of a host: headers and items with the hashes the server gave them. Lines are staged, made into one change in turns
 * (`prepare`), and applied at once. Slices of unknown kinds are held, counted and saved like others, and shown to nobody. What is only kept
 * (`Held`) is shown like all else, and counted in no digest.
 */
export class SliceState implements SliceReader {
  readonly #slices = new Map<string, Slice>();
  readonly #staged = new StagedLines();
  /** Slices that have something that is only kept. */
  readonly #keeping = new Set<string>();
  readonly #startTurns: () => Turns;
  #digest = 0;

  /** `turns`: starts the turns in which bulk work is done. */
  constructor(turns: () => Turns = startTurns) {
    this.#startTurns = turns;
  }

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

  /** True: not even something that is only kept. */
  get isEmpty(): boolean {
    return this.#slices.size === 0;
  }

  /** Digest of each slice that the server gave and did not leave out, also of unknown kinds. */
  digests(): Record<string, number> {
    return Object.fromEntries(Array.from(this.#given(), ([key, slice]) => [key, slice.digest]));
  }

  /** Digests of the slice's items that count, by bucket; made in turns, during which nothing may be applied. */
  async bucketDigests(key: string, buckets: number): Promise<readonly number[]> {
    const digests = new Array<number>(buckets).fill(0);
    const turns = this.#startTurns();
    for (const [item, held] of this.#slices.get(key)?.items ?? []) {
      if (turns.due()) await turns.next();
      const bucket = bucketOf(item, buckets);
      if (!held.kept) digests[bucket] = addHash(digests[bucket] ?? 0, held.hash);
    }
    return digests;
  }

  /** Keys of all slices that the server gave and did not leave out, also of unknown kinds. */
  *givenKeys(): Generator<string> {
    for (const [key] of this.#given()) yield key;
  }

  /** Number of items of the slice that are only kept. */
  keptItems(key: string): number {
    const slice = this.#slices.get(key) ?? NO_SLICE;
    return slice.kept - (slice.header?.kept ? 1 : 0);
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
    const slice = this.#slices.get(key) ?? { ...NO_SLICE, items: new Map<string, Held>() };
    const { header, items } = slice;
    const { digest, kept } = tallyWith(slice, null, held);
    if (item !== null) items.set(item, held);
    this.#put(key, { header: item === null ? held : header, items, digest, kept });
    if (!held.kept) this.#digest = addHash(this.#digest, held.hash);
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
    for (const key of this.#slices.keys()) this.#staged.voidSlice(key, 'drop');
  }

  /** What the staged lines do to the items of a slice by not naming them. */
  absence(key: string): PortAbsence {
    const { items } = this.#slices.get(key) ?? NO_SLICE;
    const keptBefore = this.keptItems(key);
    const live = items.size - keptBefore;
    const staged = this.#staged.get(key) ?? NOTHING_STAGED;
    let kept = keptBefore;
    let deleted = 0;
    for (const [item, said] of keptBefore === 0 ? [] : staged.items) {
      if (!items.get(item)?.kept) continue;
      kept -= 1;
      if (said === null) deleted += 1;
    }
    let absent = 0;
    const isWhole = staged.void === 'reset' || staged.void === 'drop';
    if (isWhole || staged.voidBuckets !== undefined) {
      for (const [item, held] of items) {
        if (!held.kept && !staged.items.has(item) && (isWhole || isInVoidBucket(staged, item))) absent += 1;
      }
    }
    return { live, absent, kept, deleted };
  }

  /** What is staged as one change. Nothing may be staged, loaded or applied while it is being prepared. */
  async prepare(rule: AbsenceRule): Promise<PreparedChange> {
    return await this.#prepare(this.#staged, rule);
  }

  /** The end of all that is only kept as one change. Nothing may be loaded or applied while it is being prepared. */
  async prepareRelease(): Promise<PreparedChange> {
    return await this.#prepare(new StagedLines(), 'remove');
  }

  /** Makes the prepared change count, and forgets the lines it is made of. */
  apply(prepared: PreparedChange): void {
    for (const [key, plan] of prepared.slices) this.#applySlice(key, plan);
    this.#digest = prepared.digest;
    prepared.staged.clear();
  }

  async #prepare(staged: StagedLines, rule: AbsenceRule): Promise<PreparedChange> {
    const out: PlanOutput = { changes: [], writes: [], turns: this.#startTurns() };
    const slices = new Map<string, SlicePlan>();
    let digest = this.#digest;
    const plan = async (key: string): Promise<void> => {
      const before = this.#slices.get(key) ?? NO_SLICE;
      const made = await planSlice(key, before, staged.get(key) ?? NOTHING_STAGED, rule, out);
      slices.set(key, made);
      digest = addHash(removeHash(digest, before.digest), made.digest);
    };
    for (const [key] of staged.entries()) await plan(key);
    if (rule === 'remove') for (const key of this.#keeping) if (!slices.has(key)) await plan(key);
    const gaveWay = rule === 'remove' ? 0 : await this.#giveWay(slices, out);
    return { changes: out.changes, writes: out.writes, digest, slices, gaveWay, staged };
  }

  /**
   * What is kept ends where the server knows better: when it has a port with that id, MAC or address in the network. A new port is never mistaken for a lost one,
   * nor trusted like it. Returns how many ports of the host end.
   */
  async #giveWay(plans: Map<string, SlicePlan>, out: PlanOutput): Promise<number> {
    // With no endpoint another and nothing newly kept, all is as it was judged before.
    const isNews = [...plans].some(
      ([key, plan]) => key.startsWith('endpoints:') || plan.kept > (this.#slices.get(key) ?? NO_SLICE).kept,
    );
    if (!isNews) return 0;
    const kept = new Map<string, { readonly key: string; readonly item: string; readonly place: Place }[]>();
    for (const key of new Set([...this.#keeping, ...plans.keys()])) {
      if ((plans.get(key) ?? this.#slices.get(key) ?? NO_SLICE).kept === 0) continue;
      for (const [item, held] of this.#itemsAfter(key, plans)) {
        if (out.turns.due()) await out.turns.next();
        const place = held.kept ? placeOf(key, held.value) : undefined;
        if (place === undefined) continue;
        const known = kept.get(place.networkId) ?? [];
        kept.set(place.networkId, known);
        known.push({ key, item, place });
      }
    }
    let ports = 0;
    for (const [networkId, all] of kept) {
      const taken = new Set<string>();
      const endpoints = `endpoints:${networkId}`;
      for (const [, held] of this.#itemsAfter(endpoints, plans)) {
        if (out.turns.due()) await out.turns.next();
        if (!held.kept) for (const name of placeOf(endpoints, held.value)?.names ?? []) taken.add(name);
      }
      for (const { key, item, place } of all) {
        if (!place.names.some((name) => taken.has(name))) continue;
        plans.set(key, withoutKept(plans.get(key), this.#slices.get(key) ?? NO_SLICE, item));
        out.writes.push({ key, item, held: null });
        if (isKnownKey(key)) out.changes.push({ key, item });
        if (key.startsWith('host:')) ports += 1;
      }
    }
    return ports;
  }

  /** Items of the slice when the plans are applied. */
  *#itemsAfter(key: string, plans: ReadonlyMap<string, SlicePlan>): Generator<readonly [string, Held]> {
    const plan = plans.get(key);
    if (plan !== undefined && 'items' in plan) {
      yield* plan.items;
      return;
    }
    const edits = new Map(plan?.edits);
    for (const [item, held] of this.#slices.get(key)?.items ?? []) if (!edits.has(item)) yield [item, held];
    for (const [item, held] of edits) if (held !== null) yield [item, held];
  }

  #applySlice(key: string, plan: SlicePlan): void {
    const { header, digest, kept } = plan;
    if ('items' in plan) {
      this.#put(key, { header, digest, kept, items: plan.items });
      return;
    }
    const items = this.#slices.get(key)?.items ?? new Map<string, Held>();
    for (const [item, held] of plan.edits) {
      if (held === null) items.delete(item);
      else items.set(item, held);
    }
    this.#put(key, { header, digest, kept, items });
  }

  #put(key: string, slice: Slice): void {
    if (slice.header === null && slice.items.size === 0) this.#slices.delete(key);
    else this.#slices.set(key, slice);
    if (slice.kept > 0) this.#keeping.add(key);
    else this.#keeping.delete(key);
  }

  *#given(): Generator<[string, Slice]> {
    for (const [key, slice] of this.#slices) {
      if (slice.items.size + (slice.header === null ? 0 : 1) > slice.kept) yield [key, slice];
    }
  }

  #shown(key: string): Slice | undefined {
    return isKnownKey(key) ? this.#slices.get(key) : undefined;
  }
}
