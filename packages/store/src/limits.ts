import type { Compare, Op } from './contract.ts';
import { StoreError } from './errors.ts';

/** Longest key in bytes of UTF-8. LMDB takes 1978 with 4 KiB pages, of which the lease index needs some. */
export const MAX_KEY_BYTES = 1900;

/** Most bytes of one transaction (`txnBytes`); etcd's default for a request is 1.5 MiB. */
export const MAX_TXN_BYTES: number = 1.4 * 1024 * 1024;

/** Most compares, and most ops, in one transaction. Some 10,000 of them keep etcd from all others for some 0.2 s. */
export const MAX_TXN_OPS = 16_384;

/** Of a compare or an op, beside its key and value. */
const FRAME_BYTES = 24;

/** Keys in one portion of `listPages`: some milliseconds of work for whoever takes them in. */
export const PAGE_KEYS = 500;

const UNFIT = /[\p{Control}\p{Surrogate}]/u;

/** Throws `invalid` or `too-large` for a key (or prefix) that one of the stores could not hold. */
export function checkKey(key: string, what: 'key' | 'prefix' = 'key'): void {
  if (key === '') throw new StoreError('invalid', `store ${what} is empty`);
  if (UNFIT.test(key)) {
    throw new StoreError('invalid', `store ${what} ${JSON.stringify(key)} has a control character or a lone surrogate`);
  }
  const bytes = Buffer.byteLength(key);
  if (bytes > MAX_KEY_BYTES) {
    throw new StoreError(
      'too-large',
      `store ${what} starting ${JSON.stringify(key.slice(0, 64))} has ${bytes} bytes; the limit is ${MAX_KEY_BYTES}`,
    );
  }
}

/** Throws `invalid` or `too-large` for a watch that no store could serve: its bound must lie behind its prefix. */
export function checkWatch(prefix: string, below: string | undefined): void {
  checkKey(prefix, 'prefix');
  if (below === undefined) return;
  checkKey(below);
  if (Buffer.compare(Buffer.from(prefix), Buffer.from(below)) < 0) return;
  throw new StoreError('invalid', `no key with prefix ${prefix} sorts before ${below}`);
}

/** Which keys a watch tells of: those with the prefix that sort before `below`. */
export function watchedKeys(prefix: string, below: string | undefined): (key: string) => boolean {
  if (below === undefined) return (key) => key.startsWith(prefix);
  const end = Buffer.from(below);
  return (key) => key.startsWith(prefix) && Buffer.compare(Buffer.from(key), end) < 0;
}

/** Throws `invalid` unless the TTL is a whole number of seconds from 1. */
export function checkTtl(ttlSeconds: number): void {
  if (Number.isSafeInteger(ttlSeconds) && ttlSeconds >= 1) return;
  throw new StoreError('invalid', `a lease's TTL is a whole number of seconds from 1, not ${ttlSeconds}`);
}

/** Throws for a transaction that breaks the contract, before anything is done, so that all stores refuse the same ones. */
export function checkTxn(compares: readonly Compare[], ops: readonly Op[]): void {
  const count = countCompares(compares);
  if (count > MAX_TXN_OPS || ops.length > MAX_TXN_OPS) {
    throw new StoreError(
      'too-large',
      `a transaction has ${count} compares and ${ops.length} ops; the limit is ${MAX_TXN_OPS} of each`,
    );
  }
  for (const compare of compares) checkCompare(compare);
  for (const op of ops) {
    if (op.kind === 'deletePrefix') checkKey(op.prefix, 'prefix');
    else checkKey(op.key);
  }
  const bytes = txnBytes(compares, ops);
  if (bytes > MAX_TXN_BYTES) {
    throw new StoreError('too-large', `a transaction has ${bytes} bytes; the limit is ${MAX_TXN_BYTES}`);
  }
  checkOneOpPerKey(ops);
}

/** How many of `MAX_TXN_OPS` the compares are. */
export function countCompares(compares: readonly Compare[]): number {
  let count = compares.length;
  for (const compare of compares) if (compare.kind === 'prefixEmpty') count += compare.except?.length ?? 0;
  return count;
}

/** Bytes of a transaction as it is sent, in round numbers. */
export function txnBytes(compares: readonly Compare[], ops: readonly Op[]): number {
  let bytes = 0;
  for (const compare of compares) bytes += compareBytes(compare);
  for (const op of ops) {
    const value = op.kind === 'put' ? Buffer.byteLength(op.value) : 0;
    bytes += FRAME_BYTES + Buffer.byteLength('key' in op ? op.key : op.prefix) + value;
  }
  return bytes;
}

function checkCompare(compare: Compare): void {
  if (compare.kind === 'prefixEmpty') {
    checkKey(compare.prefix, 'prefix');
    for (const key of compare.except ?? []) checkKey(key);
  } else if (compare.kind === 'rangeEmpty') {
    checkKey(compare.from);
    checkKey(compare.to);
  } else checkKey(compare.key);
}

function compareBytes(compare: Compare): number {
  if (compare.kind === 'rangeEmpty')
    return FRAME_BYTES + Buffer.byteLength(compare.from) + Buffer.byteLength(compare.to);
  if (compare.kind !== 'prefixEmpty') {
    const value = compare.kind === 'value' ? Buffer.byteLength(compare.value) : 0;
    return FRAME_BYTES + Buffer.byteLength(compare.key) + value;
  }
  let bytes = FRAME_BYTES + Buffer.byteLength(compare.prefix);
  // Each ends one range and begins the next.
  for (const key of compare.except ?? []) bytes += FRAME_BYTES + 2 * Buffer.byteLength(key);
  return bytes;
}

function checkOneOpPerKey(ops: readonly Op[]): void {
  const keys = new Set<string>();
  const prefixes = new Set<string>();
  const lengths = new Set<number>();
  for (const op of ops) {
    if (op.kind === 'deletePrefix') {
      prefixes.add(op.prefix);
      lengths.add(op.prefix.length);
      continue;
    }
    if (keys.has(op.key)) throw new StoreError('invalid', `a transaction has two ops on key ${op.key}`);
    keys.add(op.key);
  }
  for (const length of lengths) {
    for (const key of keys) {
      const prefix = key.slice(0, length);
      if (!prefixes.has(prefix)) continue;
      throw new StoreError('invalid', `a transaction deletes prefix ${prefix} and has an op on key ${key}`);
    }
  }
}
