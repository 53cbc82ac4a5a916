import type { Compare, Op } from './contract.ts';
import { StoreError } from './errors.ts';

/** Longest key in bytes of UTF-8. LMDB takes 1978 with 4 KiB pages, of which the lease index needs some. */
export const MAX_KEY_BYTES = 1900;

/** Most bytes of keys and values in one transaction; etcd's default for a request is 1.5 MiB, framing included. */
export const MAX_TXN_BYTES: number = 1024 * 1024;

/** Most compares, and most ops, in one transaction: etcd's default. */
export const MAX_TXN_OPS = 128;

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

/** Throws `invalid` unless the TTL is a whole number of seconds from 1. */
export function checkTtl(ttlSeconds: number): void {
  if (Number.isSafeInteger(ttlSeconds) && ttlSeconds >= 1) return;
  throw new StoreError('invalid', `a lease's TTL is a whole number of seconds from 1, not ${ttlSeconds}`);
}

/** Throws for a transaction that breaks the contract, before anything is done, so that all stores refuse the same ones. */
export function checkTxn(compares: readonly Compare[], ops: readonly Op[]): void {
  if (compares.length > MAX_TXN_OPS || ops.length > MAX_TXN_OPS) {
    throw new StoreError(
      'too-large',
      `a transaction has ${compares.length} compares and ${ops.length} ops; the limit is ${MAX_TXN_OPS} of each`,
    );
  }
  let bytes = 0;
  for (const compare of compares) {
    checkKey(compare.kind === 'prefixEmpty' ? compare.prefix : compare.key);
    if (compare.kind === 'value') bytes += Buffer.byteLength(compare.value);
  }
  for (const op of ops) {
    if (op.kind === 'deletePrefix') checkKey(op.prefix, 'prefix');
    else checkKey(op.key);
    if (op.kind === 'put') bytes += Buffer.byteLength(op.key) + Buffer.byteLength(op.value);
  }
  if (bytes > MAX_TXN_BYTES) {
    throw new StoreError('too-large', `a transaction has ${bytes} bytes; the limit is ${MAX_TXN_BYTES}`);
  }
  checkOneOpPerKey(ops);
}

function checkOneOpPerKey(ops: readonly Op[]): void {
  const keys = new Set<string>();
  const prefixes: string[] = [];
  for (const op of ops) {
    if (op.kind === 'deletePrefix') {
      prefixes.push(op.prefix);
      continue;
    }
    if (keys.has(op.key)) throw new StoreError('invalid', `a transaction has two ops on key ${op.key}`);
    keys.add(op.key);
  }
  for (const prefix of prefixes) {
    for (const key of keys) {
      if (key.startsWith(prefix)) {
        throw new StoreError('invalid', `a transaction deletes prefix ${prefix} and has an op on key ${key}`);
      }
    }
  }
}
