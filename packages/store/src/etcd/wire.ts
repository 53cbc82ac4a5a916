import type { Compare, KeyValue, Op } from '../contract.ts';
import { countCompares } from '../limits.ts';
import type {
  Header,
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
  WireCompare,
  WireKeyValue,
  WireOp,
} from './schema.ts';

/** First key after all keys with the prefix, as etcd wants the end of a range. */
export function prefixEnd(prefix: string): Buffer {
  const bytes = Buffer.from(prefix);
  // The last byte of UTF-8 text is never 0xff.
  bytes.writeUInt8((bytes.at(-1) ?? 0) + 1, bytes.length - 1);
  return bytes;
}

/** etcd's key-value as the contract has it. */
export function decodeKeyValue(kv: WireKeyValue): KeyValue {
  return {
    key: kv.key.toString(),
    value: kv.value.toString(),
    createRevision: Number(kv.create_revision),
    modRevision: Number(kv.mod_revision),
    lease: kv.lease === '0' ? null : kv.lease,
  };
}

/** The store's revision when the answer was made. */
export function revisionOf(answer: { readonly header: Header | null }): number {
  return Number(answer.header?.revision ?? 0);
}

/** Most compares, and most ops, of one transaction within a request: etcd's default. Those of all transactions on the way to a nested one count together. */
const ETCD_MAX_OPS = 128;

/** What a request has at its outermost level beside transactions: the step in a lane. */
const LANE_OPS = 1;

/** Most transactions of one request. */
export const MOST_TOGETHER = 40;

/** Most compares, and most ops, of a transaction that goes with others. */
export const MOST_WIDTH: number = ETCD_MAX_OPS - LANE_OPS - MOST_TOGETHER;

/** Most compares, and most ops, of one that goes alone and is not cut. */
const MOST_WIDTH_ALONE: number = ETCD_MAX_OPS - LANE_OPS - 1;

/** Parts in one that is around them. Three levels of parts, and what is around them, are `ETCD_MAX_OPS` wide. */
const PARTS = 32;

/** Compares, and ops, of the innermost parts of a wide transaction. */
const PART: number = MOST_WIDTH_ALONE - 2 * PARTS;

/** A key's value before and after a request. `from` null: it is absent, and gets the lease. */
export type LaneStep = {
  readonly key: Buffer;
  readonly lease: string;
  readonly from: Buffer | null;
  readonly to: Buffer;
};

/** Several transactions as nested ones of a request, whose answer has one for each (`answersOf`). With a step in a lane it does nothing at all unless the lane has what it is to have. */
export function encodeGroup(txns: readonly Txn[], step: LaneStep | null, lanes: string): TxnRequest {
  const nested = txns.map((txn): WireOp => ({ request_txn: encodeTxn(txn, lanes) }));
  if (step === null) return { compare: [], success: nested, failure: [] };
  return { compare: [isBefore(step)], success: [putLane(step), ...nested], failure: [] };
}

/** The answer to each transaction of a group. */
export function answersOf(answer: TxnResponse): readonly TxnResponse[] {
  return answer.responses.flatMap(({ response_txn }) => (response_txn === null ? [] : [response_txn]));
}

/** Makes the step alone; if the lane has something else, says what. */
export function encodeTakeBack(step: LaneStep): TxnRequest {
  const look: WireOp = { request_range: { key: step.key } };
  return { compare: [isBefore(step)], success: [putLane(step)], failure: [look] };
}

function isBefore({ key, from }: LaneStep): WireCompare {
  if (from === null) return { result: EQUAL, target: VERSION, key, version: 0 };
  return { result: EQUAL, target: VALUE, key, value: from };
}

function putLane({ key, lease, from, to }: LaneStep): WireOp {
  if (from === null) return { request_put: { key, value: to, lease } };
  return { request_put: { key, value: to, lease: '0', ignore_lease: true } };
}

/**
 * A transaction. One that is wider than etcd allows is cut into nested ones. These
 * choose each for itself; so one whose compares do not hold has an op that etcd refuses, and with it the whole request, of which nothing is done then
 * (`isRefusedPart`): to keep the value of a key that nobody can have. etcd looks at all of that before it writes anything.
 */
function encodeTxn(txn: Txn, lanes: string): TxnRequest {
  const compare: WireCompare[] = [];
  for (const one of txn.compares) encodeCompare(one, compare);
  const success: WireOp[] = [];
  for (const op of txn.ops) encodeOp(op, lanes, success);
  if (!isCut(txn)) return { compare, success, failure: [] };
  const count = Math.ceil(Math.max(compare.length, success.length) / PART);
  const parts = Array.from({ length: count }, (_, index): TxnRequest => {
    const [from, to] = [index * PART, (index + 1) * PART];
    // etcd wants each key once in a request, this one too.
    const none: WireOp = {
      request_put: { key: Buffer.of(0, index >> 8, index & 255), value: EMPTY, lease: '0', ignore_value: true },
    };
    return { compare: compare.slice(from, to), success: success.slice(from, to), failure: [none] };
  });
  return nest(parts);
}

/** Compares, or ops, of a transaction as they are counted against `MOST_WIDTH`. */
export function widthOf({ compares, ops }: Txn): number {
  let count = ops.length;
  // A deletion around the lanes is two.
  for (const { kind } of ops) if (kind === 'deletePrefix') count += 1;
  return Math.max(countCompares(compares), count);
}

/** True for one that is too wide for etcd. */
export function isCut(txn: Txn): boolean {
  return widthOf(txn) > MOST_WIDTH_ALONE;
}

/** Reads, as they were at a revision, what the compares of each transaction look at. */
export function encodeLooks(txns: readonly Txn[], revision: number): TxnRequest {
  const looks = txns.map(({ compares }): WireOp => {
    const success = compares.map((compare): WireOp => ({ request_range: { ...encodeLook(compare), revision } }));
    return { request_txn: { compare: [], success, failure: [] } };
  });
  return { compare: [], success: looks, failure: [] };
}

/** Whether the compares held, from the answer to `encodeLooks`. */
export function didHold(compares: readonly Compare[], looks: TxnResponse | undefined): boolean {
  return compares.every((compare, index) => holds(compare, looks?.responses[index]?.response_range ?? null));
}

function nest(parts: readonly TxnRequest[]): TxnRequest {
  const levels = parts.length > PARTS ? chunks(parts, PARTS).map(nest) : parts;
  return { compare: [], success: levels.map((part) => ({ request_txn: part })), failure: [] };
}

function chunks<T>(all: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}

const EMPTY = Buffer.alloc(0);

/** A transaction as the contract has it. */
export type Txn = { readonly compares: readonly Compare[]; readonly ops: readonly Op[] };

const EQUAL = 0;
const GREATER = 1;
const VERSION = 0;
const MOD = 2;
const VALUE = 3;

/** Adds what the compare is on the wire. */
function encodeCompare(compare: Compare, to: WireCompare[]): void {
  switch (compare.kind) {
    case 'exists':
      to.push({ result: GREATER, target: VERSION, key: Buffer.from(compare.key), version: 0 });
      return;
    case 'absent':
      to.push({ result: EQUAL, target: VERSION, key: Buffer.from(compare.key), version: 0 });
      return;
    case 'modRevision':
      to.push({ result: EQUAL, target: MOD, key: Buffer.from(compare.key), mod_revision: compare.revision });
      return;
    case 'value':
      to.push({ result: EQUAL, target: VALUE, key: Buffer.from(compare.key), value: Buffer.from(compare.value) });
      return;
    case 'prefixEmpty':
      for (const range of emptyRanges(compare.prefix, compare.except ?? [])) to.push(range);
      return;
    case 'rangeEmpty':
      to.push({ result: EQUAL, target: VERSION, ...rangeOf(compare), version: 0 });
  }
}

/** What lies before, between and behind the exceptions is empty. */
function emptyRanges(prefix: string, except: readonly string[]): readonly WireCompare[] {
  const inside = new Set(except.filter((key) => key.startsWith(prefix)));
  const ends = [...inside].map((key) => Buffer.from(key)).sort(Buffer.compare);
  const ranges: WireCompare[] = [];
  let key = Buffer.from(prefix);
  for (const range_end of [...ends, prefixEnd(prefix)]) {
    if (!key.equals(range_end)) ranges.push({ result: EQUAL, target: VERSION, key, range_end, version: 0 });
    key = Buffer.concat([range_end, Buffer.of(0)]);
  }
  return ranges;
}

/** Adds what the op is on the wire. */
function encodeOp(op: Op, lanes: string, to: WireOp[]): void {
  switch (op.kind) {
    case 'put':
      to.push({ request_put: { key: Buffer.from(op.key), value: Buffer.from(op.value), lease: op.lease ?? '0' } });
      return;
    case 'delete':
      to.push({ request_delete_range: { key: Buffer.from(op.key) } });
      return;
    case 'deletePrefix':
      for (const range of encodeDeletePrefix(op.prefix, lanes)) to.push(range);
  }
}

/** Lanes are left where they are: a request's own among them, which etcd would refuse. */
function encodeDeletePrefix(prefix: string, lanes: string): readonly WireOp[] {
  const [key, range_end] = [Buffer.from(prefix), prefixEnd(prefix)];
  if (!lanes.startsWith(prefix)) return [{ request_delete_range: { key, range_end } }];
  const before = { key, range_end: Buffer.from(lanes) };
  const behind = { key: prefixEnd(lanes), range_end };
  return [before, behind]
    .filter((range) => !range.key.equals(range.range_end))
    .map((range) => ({ request_delete_range: range }));
}

function rangeOf({ from, to }: Extract<Compare, { kind: 'rangeEmpty' }>): { key: Buffer; range_end: Buffer } {
  return { key: Buffer.from(from), range_end: Buffer.from(to) };
}

function encodeLook(compare: Compare): RangeRequest {
  if (compare.kind === 'rangeEmpty') return { ...rangeOf(compare), limit: 1, keys_only: true };
  if (compare.kind !== 'prefixEmpty') return { key: Buffer.from(compare.key), keys_only: compare.kind !== 'value' };
  const { prefix, except = [] } = compare;
  return { key: Buffer.from(prefix), range_end: prefixEnd(prefix), limit: except.length + 1, keys_only: true };
}

function holds(compare: Compare, found: RangeResponse | null): boolean {
  const kvs = found?.kvs ?? [];
  const [kv] = kvs;
  switch (compare.kind) {
    case 'exists':
      return kv !== undefined;
    case 'absent':
    case 'rangeEmpty':
      return kv === undefined;
    case 'modRevision':
      return Number(kv?.mod_revision ?? 0) === compare.revision;
    case 'value':
      return kv?.value.toString() === compare.value;
    case 'prefixEmpty':
      return kvs.every(({ key }) => compare.except?.includes(key.toString()));
  }
}
