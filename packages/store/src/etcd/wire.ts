import type { Compare, KeyValue, Op } from '../contract.ts';
import type { Header, TxnRequest, WireCompare, WireKeyValue, WireOp } from './schema.ts';

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
export const ETCD_MAX_OPS = 128;

/** Compares, and ops, of the innermost parts of a wide transaction; parts in one that is around them. Three levels of parts are `ETCD_MAX_OPS` wide. */
const PART = 64;
const PARTS = 32;

/**
 * A transaction. One that is wider than etcd allows is cut into nested ones. These
 * choose each for itself; so one whose compares do not hold has an op that etcd refuses, and with it the whole request, of which nothing is done then
 * (`isRefusedPart`): to keep the value of a key that nobody can have. etcd looks at all of that before it writes anything.
 */
export function encodeTxn(txn: Txn): TxnRequest {
  const compare = txn.compares.flatMap(encodeCompare);
  const success = txn.ops.map(encodeOp);
  const width = Math.max(compare.length, success.length);
  if (width <= ETCD_MAX_OPS) return { compare, success, failure: [] };
  const count = Math.ceil(width / PART);
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

/** One transaction as it is; several as nested ones of one request, whose answer has one for each. */
export function encodeGroup(txns: readonly Txn[]): TxnRequest {
  const [only] = txns;
  if (only !== undefined && txns.length === 1) return encodeTxn(only);
  return { compare: [], success: txns.map((txn) => ({ request_txn: encodeTxn(txn) })), failure: [] };
}

function nest(parts: readonly TxnRequest[]): TxnRequest {
  const levels = parts.length > PARTS ? chunks(parts, PARTS).map(nest) : parts;
  return { compare: [], success: levels.map((part) => ({ request_txn: part })), failure: [] };
}

function chunks<T>(all: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}

const EMPTY = Buffer.alloc(0);

type Txn = { readonly compares: readonly Compare[]; readonly ops: readonly Op[] };

const EQUAL = 0;
const GREATER = 1;
const VERSION = 0;
const MOD = 2;
const VALUE = 3;

function encodeCompare(compare: Compare): readonly WireCompare[] {
  switch (compare.kind) {
    case 'exists':
      return [{ result: GREATER, target: VERSION, key: Buffer.from(compare.key), version: 0 }];
    case 'absent':
      return [{ result: EQUAL, target: VERSION, key: Buffer.from(compare.key), version: 0 }];
    case 'modRevision':
      return [{ result: EQUAL, target: MOD, key: Buffer.from(compare.key), mod_revision: compare.revision }];
    case 'value':
      return [{ result: EQUAL, target: VALUE, key: Buffer.from(compare.key), value: Buffer.from(compare.value) }];
    case 'prefixEmpty':
      return emptyRanges(compare.prefix, compare.except ?? []);
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

function encodeOp(op: Op): WireOp {
  switch (op.kind) {
    case 'put':
      return { request_put: { key: Buffer.from(op.key), value: Buffer.from(op.value), lease: op.lease ?? '0' } };
    case 'delete':
      return { request_delete_range: { key: Buffer.from(op.key) } };
    case 'deletePrefix':
      return { request_delete_range: { key: Buffer.from(op.prefix), range_end: prefixEnd(op.prefix) } };
  }
}
