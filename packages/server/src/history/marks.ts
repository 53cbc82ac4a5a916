import { randomBytes } from 'node:crypto';
import { type KeyValue, LANES, type Op, type Store } from '@cable/store';
import { historyMarkKey, isLeased, MARKS, ROOT, SERVERS } from '../keys.ts';
import { storeErrorCode } from '../store-errors.ts';

/** Marks that are kept: at one a minute those of a month. A client that was away for longer has to be told to take the store over. */
export const MARKS_KEPT = 50_000;
/** How long the reading of recent history may take at a start. */
const REPLAY_MS = 2000;

/** One mark of the chain. */
export type Mark = {
  readonly number: number;
  /** `<number>-<random>`: what clients hold. */
  readonly text: string;
  /** Revision at which it was written. */
  readonly revision: number;
  /** Up to this revision the store has the history that the predecessor's clients know. */
  readonly vouches: number;
};

/** The mark in a stored value; undefined: not readable. */
export function parseMark(kv: KeyValue): Mark | undefined {
  try {
    const { text, vouches } = JSON.parse(kv.value) as { text?: unknown; vouches?: unknown };
    const number = numberOf(text);
    if (typeof text !== 'string' || number === undefined || kv.key !== historyMarkKey(number)) return undefined;
    const revision = kv.modRevision;
    return { number, text, revision, vouches: typeof vouches === 'number' ? vouches : revision - 1 };
  } catch {
    return undefined;
  }
}

/** The number of the mark with this text; undefined: no mark's text. */
export function numberOf(text: unknown): number | undefined {
  const match = typeof text === 'string' ? /^([1-9]\d{0,9})-[0-9a-f]{16}$/.exec(text) : null;
  return match === null ? undefined : Number(match[1]);
}

/** The newest mark of the store; undefined: none yet. */
export async function newestMark(store: Pick<Store, 'list'>): Promise<Mark | undefined> {
  const { kvs } = await store.list(MARKS);
  const last = kvs.at(-1);
  return last === undefined ? undefined : parseMark(last);
}

export type MarkOptions = {
  /** See `Mark`; absent: everything before the mark. */
  readonly vouches?: number | undefined;
  /** What is written with it. */
  readonly beside?: readonly Op[];
};

/** Writes the mark behind `predecessor`; undefined: somebody was first, or the predecessor is not there. */
export async function writeMark(
  store: Pick<Store, 'txn'>,
  predecessor: Mark | undefined,
  { vouches, beside = [] }: MarkOptions = {},
): Promise<Mark | undefined> {
  const number = (predecessor?.number ?? 0) + 1;
  const text = `${number}-${randomBytes(8).toString('hex')}`;
  const key = historyMarkKey(number);
  const ops: Op[] = [{ kind: 'put', key, value: JSON.stringify({ text, vouches }) }, ...beside];
  if (number > MARKS_KEPT) ops.push({ kind: 'delete', key: historyMarkKey(number - MARKS_KEPT) });
  const result = await store.txn(
    [
      { kind: 'absent', key },
      ...(predecessor === undefined
        ? []
        : [{ kind: 'modRevision', key: historyMarkKey(predecessor.number), revision: predecessor.revision } as const]),
    ],
    ops,
  );
  return result.ok ? { number, text, revision: result.revision, vouches: vouches ?? result.revision - 1 } : undefined;
}

/**
 * What a server that starts can vouch for: undefined: everything, because another server lives and sees what happens; else the last revision
 * that is not the mere end of leases, which a store does by itself also while nobody looks.
 */
export async function vouchedAtStart(store: Pick<Store, 'list' | 'watch'>, newest: Mark): Promise<number | undefined> {
  const servers = await store.list(SERVERS);
  if (servers.kvs.length > 0) return undefined;
  const { revision } = servers;
  const expiries = await expiriesSince(store, newest.revision + 1, revision);
  let vouched = revision;
  while (expiries.has(vouched)) vouched -= 1;
  return vouched;
}

/** Revisions in which leased keys were deleted, or a store that was opened made its lanes, and nothing else happened. */
async function expiriesSince(store: Pick<Store, 'watch'>, from: number, to: number): Promise<ReadonlySet<number>> {
  const expiries = new Set<number>();
  const others = new Set<number>();
  if (from > to) return expiries;
  const signal = AbortSignal.timeout(REPLAY_MS);
  try {
    for await (const batch of store.watch(ROOT, { fromRevision: from, signal })) {
      for (const event of batch.events) {
        const key = event.kind === 'put' ? event.kv.key : event.key;
        const isExpiry = key.startsWith(LANES) || (event.kind === 'delete' && isLeased(key));
        (isExpiry ? expiries : others).add(event.kind === 'put' ? event.kv.modRevision : event.modRevision);
      }
      if (batch.revision >= to) break;
    }
  } catch (err) {
    if (storeErrorCode(err) !== 'compacted') throw err;
  }
  for (const revision of others) expiries.delete(revision);
  return expiries;
}
