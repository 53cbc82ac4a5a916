import type { Turns } from '@cable/kit';
import type { SliceKey, SliceKind } from '@cable/model';
import { sameJson } from '../json.ts';
import { addHash, removeHash } from './digest.ts';
import type { SliceChange } from './slice-reader.ts';
import { type Held, isInVoidBucket, type StagedSlice } from './staged-lines.ts';

/** What is to be kept of a slice on disk: its header (`item` null) or an item; `held` null: nothing any more. `gone`: the whole slice is. */
export type SliceWrite = {
  readonly key: string;
  readonly item: string | null;
  readonly held: Held | null;
  readonly gone?: true;
};

/** One slice as it is held. */
export type Slice = Tally & { readonly header: Held | null; readonly items: Map<string, Held> };

/** What is counted of a slice. */
export type Tally = {
  /** Sum of the hashes of what is held and not only kept. */
  readonly digest: number;
  /** How many of header and items are only kept (`Held`). */
  readonly kept: number;
};

export const NO_SLICE: Slice = { header: null, items: new Map(), digest: 0, kept: 0 };

/**
 * What becomes of what a `reset` or `drop` leaves out. `remove`: it goes, and so does all that is only kept. `keep`: it is kept, but for what a `reset` leaves
 * out of slices that say what is allowed: rules that are revoked, routes that are gone. `keep-dropped`: what is kept stays, and with it what a `drop` leaves out, but for a router: no port that the server knows needs a dropped network, policy
 * or group, kept ones may; a router is dropped also when it is gone, and must route no more.
 */
export type AbsenceRule = 'remove' | 'keep' | 'keep-dropped';

/** How one slice changes: to these items, or by these edits of those it has. Gone when `header` is null and it has no items. */
export type SlicePlan = { readonly header: Held | null } & Tally &
  ({ readonly items: Map<string, Held> } | { readonly edits: (readonly [string, Held | null])[] });

/** Where plans of slices put what differs, and their turns of the event loop. */
export type PlanOutput = { readonly changes: SliceChange[]; readonly writes: SliceWrite[]; readonly turns: Turns };

const KNOWN_KINDS: ReadonlySet<string> = new Set(
  Object.keys({
    host: true,
    standby: true,
    network: true,
    endpoints: true,
    names: true,
    qos: true,
    gateways: true,
    spares: true,
    router: true,
    floating: true,
    forwards: true,
    floats: true,
    leases: true,
    blocks: true,
    peerings: true,
    services: true,
    backends: true,
    vpn: true,
    pseudowires: true,
    logs: true,
    policy: true,
    network_policies: true,
    cluster_policies: true,
    host_policies: true,
    private_subnets: true,
    private_legs: true,
    pods: true,
    cluster_pods: true,
    group: true,
    balancers: true,
    pool: true,
  } satisfies Record<SliceKind, true>),
);

/** Edits are made in one turn; where a slice has this many and a quarter of its items or more, it gets a new map, made in turns. */
const MANY_EDITS = 1024;

/** True for a key of a kind that this agent knows. */
export function isKnownKey(key: string): key is SliceKey {
  return KNOWN_KINDS.has(key.slice(0, Math.max(0, key.indexOf(':'))));
}

/** The tally with one thing held instead of another; null: nothing. */
export function tallyWith({ digest, kept }: Tally, old: Held | null, held: Held | null): Tally {
  return {
    digest: addHash(removeHash(digest, countedHash(old)), countedHash(held)),
    kept: kept + (held?.kept ? 1 : 0) - (old?.kept ? 1 : 0),
  };
}

/** What a slice becomes by what is staged of it, in turns. */
export async function planSlice(
  key: string,
  before: Slice,
  staged: StagedSlice,
  rule: AbsenceRule,
  out: PlanOutput,
): Promise<SlicePlan> {
  const fate = fateOf(key, staged.void, rule);
  const header = staged.header === undefined ? fate(before.header) : keepEqual(before.header, staged.header);
  note(out, key, null, before.header, header);
  const plan =
    staged.void === undefined
      ? await planEdits(key, before, editsOf(key, before, staged, rule), out)
      : await planItems(key, before, staged, fate, out);
  const tally = tallyWith(plan, staged.void === undefined ? before.header : null, header);
  const isGone = header === null && plan.size === 0;
  if (isGone && (before.header !== null || before.items.size > 0)) {
    out.writes.push({ key, item: null, held: null, gone: true });
  }
  return 'items' in plan ? { ...tally, header, items: plan.items } : { ...tally, header, edits: plan.edits };
}

/** The plan of the slice (undefined: none) without an item that is only kept. */
export function withoutKept(plan: SlicePlan | undefined, slice: Slice, item: string): SlicePlan {
  const { header, digest, kept } = plan ?? slice;
  const tally = { header, digest, kept: kept - 1 };
  if (plan === undefined) return { ...tally, edits: [[item, null]] };
  if ('items' in plan) {
    plan.items.delete(item);
    return { ...tally, items: plan.items };
  }
  plan.edits.push([item, null]);
  return { ...tally, edits: plan.edits };
}

/** What becomes of something of which nothing is staged. */
type Fate = (old: Held | null) => Held | null;

function fateOf(key: string, why: StagedSlice['void'], rule: AbsenceRule): Fate {
  const isAbsent = why !== undefined;
  const stays =
    !isAbsent ||
    (rule === 'keep' && (why === 'drop' || (why === 'reset' && isOfPorts(key)))) ||
    (rule === 'keep-dropped' && why === 'drop' && !key.startsWith('router:'));
  return (old) => {
    if (old === null || (old.kept && rule !== 'remove')) return old;
    if (old.kept || !stays) return null;
    return isAbsent ? { ...old, kept: true } : old;
  };
}

/** A server that lost ports lacks them in these, too. */
function isOfPorts(key: string): boolean {
  return /^(host|endpoints|group):/.test(key);
}

type ItemsPlan = Tally & { readonly size: number } & (
    | { readonly items: Map<string, Held> }
    | { readonly edits: (readonly [string, Held | null])[] }
  );

/** Items of a slice of which only what is staged counts, and what is kept all the same. */
async function planItems(
  key: string,
  before: Slice,
  staged: StagedSlice,
  fate: Fate,
  out: PlanOutput,
): Promise<ItemsPlan> {
  const items = new Map<string, Held>();
  let tally: Tally = { digest: 0, kept: 0 };
  const take = (item: string, old: Held | null, held: Held | null): void => {
    note(out, key, item, old, held);
    if (held === null) return;
    items.set(item, held);
    tally = tallyWith(tally, null, held);
  };
  for (const [item, said] of staged.items) {
    if (out.turns.due()) await out.turns.next();
    const old = before.items.get(item) ?? null;
    take(item, old, said === null ? null : keepEqual(old, said));
  }
  for (const [item, old] of before.items) {
    if (out.turns.due()) await out.turns.next();
    if (!staged.items.has(item)) take(item, old, fate(old));
  }
  return { ...tally, size: items.size, items };
}

/**
 * What becomes of the items of a slice that stays, as far as it may differ: of those that are staged, in buckets that are void, or end because they are
 * only kept.
 */
function* editsOf(
  key: string,
  before: Slice,
  staged: StagedSlice,
  rule: AbsenceRule,
): Generator<readonly [string, Held | null]> {
  for (const [item, said] of staged.items) {
    const old = before.items.get(item) ?? null;
    yield [item, said === null ? null : keepEqual(old, said)];
  }
  const keptEnds = rule === 'remove' && before.kept > 0;
  if (!keptEnds && staged.voidBuckets === undefined) return;
  const [asReset, asBefore] = [fateOf(key, 'reset', rule), fateOf(key, undefined, rule)];
  for (const [item, old] of before.items) {
    if (!staged.items.has(item)) yield [item, isInVoidBucket(staged, item) ? asReset(old) : asBefore(old)];
  }
}

/** Items of a slice that stays, but for what these become. */
async function planEdits(
  key: string,
  before: Slice,
  become: Iterable<readonly [string, Held | null]>,
  out: PlanOutput,
): Promise<ItemsPlan> {
  const edits: (readonly [string, Held | null])[] = [];
  let tally: Tally = before;
  let { size } = before.items;
  for (const [item, held] of become) {
    if (out.turns.due()) await out.turns.next();
    const old = before.items.get(item) ?? null;
    if (held === old) continue;
    edits.push([item, held]);
    tally = tallyWith(tally, old, held);
    size += (held === null ? 0 : 1) - (old === null ? 0 : 1);
    note(out, key, item, old, held);
  }
  const { digest, kept } = tally;
  if (edits.length < MANY_EDITS || edits.length < before.items.size / 4) return { digest, kept, size, edits };
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
  return { digest, kept, size: items.size, items };
}

function countedHash(held: Held | null): number {
  return held === null || held.kept ? 0 : held.hash;
}

/** What to hold when this is said: what is held already as far as it is the same, so that its value stays the same object. */
function keepEqual(old: Held | null, said: Held): Held {
  if (old === null) return said;
  if (old.hash === said.hash) return old.kept ? { hash: old.hash, value: old.value } : old;
  // After a change of the server's way to count the same content comes with other hashes.
  return sameJson(old.value, said.value) ? { hash: said.hash, value: old.value } : said;
}

function note(out: PlanOutput, key: string, item: string | null, old: Held | null, held: Held | null): void {
  if (held === old) return;
  out.writes.push({ key, item, held });
  if (held?.value !== old?.value && isKnownKey(key)) out.changes.push({ key, item });
}
