import assert from 'node:assert/strict';
import type { CallOptions, Compare, Op, Store } from '../contract.ts';
import { StoreError } from '../errors.ts';

/** A transaction that was tried: what it would leave, whether its compares hold, and what it was answered: `done`, `refused`, or an error's code. */
type Attempt = { readonly key: string; readonly leaves: string | null; readonly holds: boolean; answer: string };

type Try = {
  readonly compares: readonly Compare[];
  readonly ops: readonly Op[];
  readonly leaves: string | null;
  readonly holds: boolean;
};

/** Errors that say that nothing was done. */
const NOTHING_DONE = ['unavailable', 'not-sent'];

/**
 * Transactions of all kinds whose outcome is known beforehand, each about a key of its own below a prefix; and whether what the store was found to
 * have, and to have answered, is true.
 */
export class Attempts {
  readonly #store: Store;
  readonly #prefix: string;
  readonly #all: Attempt[] = [];
  #answered = 0;
  #wake: () => void = () => undefined;

  constructor(store: Store, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  get answers(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { answer } of this.#all) counts[answer] = (counts[answer] ?? 0) + 1;
    return counts;
  }

  /** Writes what the transactions to come stand on. */
  async prepare(count: number): Promise<void> {
    const ops = Array.from({ length: count }, (_, n): Op => ({ kind: 'put', key: this.#key(n), value: 'old' }));
    await this.#store.txn([], [{ kind: 'put', key: `${this.#prefix}there`, value: '' }]);
    for (let at = 0; at < count; at += 5000) await this.#store.txn([], ops.slice(at, at + 5000));
  }

  /** Tries those from `from` to before `to`, as many at once as `width` says, until `end` aborts; resolves when all are answered. */
  async tryAll(
    from: number,
    to: number,
    options: CallOptions = {},
    width: number = to - from,
    end?: AbortSignal,
  ): Promise<void> {
    let next = from;
    const loop = async (): Promise<void> => {
      while (next < to && !end?.aborted) {
        next += 1;
        await this.try(next - 1, options);
      }
    };
    await Promise.all(Array.from({ length: width }, loop));
  }

  /** Resolves when so many have been answered. */
  async until(count: number): Promise<void> {
    while (this.#answered < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Tries number `n`; resolves when it is answered, however. */
  async try(n: number, options: CallOptions = {}): Promise<void> {
    const key = this.#key(n);
    const { compares, ops, leaves, holds } = this.#make(n, key);
    const attempt: Attempt = { key, leaves, holds, answer: 'none' };
    this.#all.push(attempt);
    attempt.answer = await this.#store.txn(compares, ops, options).then(
      ({ ok }) => (ok ? 'done' : 'refused'),
      (err: unknown) => (err instanceof StoreError ? err.code : String(err)),
    );
    this.#answered += 1;
    this.#wake();
  }

  /** Throws unless every answer is true of what the store has. */
  async verify(): Promise<void> {
    const { kvs } = await this.#store.list(this.#prefix);
    const found = new Map(kvs.map(({ key, value }) => [key, value]));
    for (const { key, leaves, holds, answer } of this.#all) {
      const value = found.get(key) ?? null;
      const text = `${key}: answered ${answer}, left ${value}`;
      if (answer === 'done') assert(holds && value === leaves, text);
      else if (answer === 'refused') assert(!holds && value === 'old', text);
      else if (NOTHING_DONE.includes(answer)) assert.equal(value, 'old', text);
      else assert(answer === 'pending' && (value === 'old' || (holds && value === leaves)), text);
    }
  }

  #key(n: number): string {
    return `${this.#prefix}k/${String(n).padStart(6, '0')}`;
  }

  #make(n: number, key: string): Try {
    const unchanged: Compare = { kind: 'value', key, value: 'old' };
    const there: Compare = { kind: 'exists', key: `${this.#prefix}there` };
    const failing: Compare = { kind: 'absent', key: `${this.#prefix}there` };
    const put: Op = { kind: 'put', key, value: `new ${n}` };
    const noop: Op = { kind: 'delete', key: `${this.#prefix}never/${n}` };
    switch (n % 7) {
      case 0:
        return { compares: [there, failing], ops: [put], leaves: `new ${n}`, holds: false };
      case 1:
        return { compares: [unchanged], ops: [{ kind: 'delete', key }], leaves: null, holds: true };
      case 2:
        return { compares: [failing], ops: [{ kind: 'delete', key }], leaves: null, holds: false };
      case 3:
        return { compares: [there], ops: [noop], leaves: 'old', holds: true };
      case 4:
        return { compares: [{ kind: 'prefixEmpty', prefix: key }], ops: [noop], leaves: 'old', holds: false };
      default: {
        const alone: Compare = { kind: 'prefixEmpty', prefix: key, except: [key] };
        return { compares: [there, unchanged, alone], ops: [put], leaves: `new ${n}`, holds: true };
      }
    }
  }
}
