import type { Compare, KeyValue, Op, TxnResult } from '../contract.ts';
import { StoreError } from '../errors.ts';
import { encodeRecord, type LogEntry } from './records.ts';

/** The committed state that a draft stands on. */
export type DraftBase = {
  readonly revision: number;
  get(key: string): KeyValue | undefined;
  /** True when there is the key; costs less than `get`. */
  has(key: string): boolean;
  /** Keys with the prefix, in order. */
  keys(prefix: string): Iterable<string>;
  /** Keys from the first on that are before the second, in order. */
  keysBetween(from: string, to: string): Iterable<string>;
  /** TTL in seconds, or undefined when there is no such lease. */
  leaseTtl(lease: string): number | undefined;
  leaseKeys(lease: string): Iterable<string>;
};

/**
 * Several transactions worked out in order on top of the committed state, to be committed as one: group commit.
 * Each is all or nothing by itself: it is checked whole before it changes anything.
 */
export class Draft {
  /** New state of keys; null: deleted. */
  readonly records: Map<string, KeyValue | null> = new Map();
  /** New history, by revision. */
  readonly history: Map<number, LogEntry[]> = new Map();
  /** Leases granted (TTL in seconds) or ended (null). */
  readonly leases: Map<string, number | null> = new Map();
  /** Revision of the committed state; `revision` is that of the draft. */
  readonly baseRevision: number;
  revision: number;
  readonly #base: DraftBase;
  /** What was read of the committed state; null: absent. */
  readonly #committed = new Map<string, KeyValue | null>();
  /** Keys of the committed state that are there, whatever their values. */
  readonly #present = new Set<string>();

  constructor(base: DraftBase) {
    this.#base = base;
    this.baseRevision = base.revision;
    this.revision = base.revision;
  }

  get isEmpty(): boolean {
    return this.history.size === 0 && this.leases.size === 0;
  }

  /** Does all ops when every compare holds, else none. Throws `lease-gone`. */
  txn(compares: readonly Compare[], ops: readonly Op[]): TxnResult {
    if (!compares.every((compare) => this.#holds(compare))) return { ok: false, revision: this.revision };
    for (const op of ops) {
      if (op.kind === 'put' && op.lease !== undefined && this.leaseTtl(op.lease) === undefined) {
        throw new StoreError('lease-gone', `lease ${op.lease} of key ${op.key} has ended`);
      }
    }
    this.#apply(ops);
    return { ok: true, revision: this.revision };
  }

  leaseTtl(lease: string): number | undefined {
    const drafted = this.leases.get(lease);
    return drafted === undefined ? this.#base.leaseTtl(lease) : (drafted ?? undefined);
  }

  /** Ends a lease and deletes its keys, in one revision. False: there is none. */
  revoke(lease: string): boolean {
    if (this.leaseTtl(lease) === undefined) return false;
    const keys = new Set(this.#base.leaseKeys(lease));
    for (const [key, kv] of this.records) if (kv?.lease === lease) keys.add(key);
    const own = [...keys].filter((key) => this.#get(key)?.lease === lease).sort();
    this.#apply(own.map((key) => ({ kind: 'delete', key })));
    this.leases.set(lease, null);
    return true;
  }

  #holds(compare: Compare): boolean {
    switch (compare.kind) {
      case 'exists':
        return this.#has(compare.key);
      case 'absent':
        return !this.#has(compare.key);
      case 'modRevision':
        if (compare.revision === 0) return !this.#has(compare.key);
        return this.#get(compare.key)?.modRevision === compare.revision;
      case 'value':
        return this.#get(compare.key)?.value === compare.value;
      case 'prefixEmpty':
        return this.#isEmpty(compare.prefix, compare.except);
      case 'rangeEmpty':
        return this.#isRangeEmpty(compare.from, compare.to);
    }
  }

  #apply(ops: readonly Op[]): void {
    const revision = this.revision + 1;
    const entries: LogEntry[] = [];
    for (const op of ops) {
      if (op.kind === 'put') entries.push(this.#put(op, revision));
      else if (op.kind === 'delete') this.#delete(op.key, entries);
      else for (const key of this.#keys(op.prefix)) this.#delete(key, entries);
    }
    if (entries.length === 0) return;
    this.revision = revision;
    this.history.set(revision, entries);
  }

  #put(op: Op & { kind: 'put' }, revision: number): LogEntry {
    const kv: KeyValue = {
      key: op.key,
      value: op.value,
      createRevision: this.#get(op.key)?.createRevision ?? revision,
      modRevision: revision,
      lease: op.lease ?? null,
    };
    this.records.set(op.key, kv);
    return [op.key, encodeRecord(kv)];
  }

  #delete(key: string, entries: LogEntry[]): void {
    if (!this.#has(key)) return;
    this.records.set(key, null);
    entries.push([key]);
  }

  #get(key: string): KeyValue | undefined {
    const drafted = this.records.get(key);
    return drafted === undefined ? this.committed(key) : (drafted ?? undefined);
  }

  #has(key: string): boolean {
    const drafted = this.records.get(key);
    const known = drafted === undefined ? this.#committed.get(key) : drafted;
    if (known !== undefined) return known !== null;
    if (this.#present.has(key)) return true;
    const isThere = this.#base.has(key);
    // That it is not is all that there is to know.
    if (isThere) this.#present.add(key);
    else this.#committed.set(key, null);
    return isThere;
  }

  /** The committed state of a key, read once; undefined: absent. */
  committed(key: string): KeyValue | undefined {
    const known = this.#committed.get(key);
    if (known !== undefined) return known ?? undefined;
    const found = this.#base.get(key);
    this.#committed.set(key, found ?? null);
    return found;
  }

  #isEmpty(prefix: string, except: readonly string[] = []): boolean {
    const allowed = new Set(except);
    for (const [key, kv] of this.records) {
      if (kv !== null && key.startsWith(prefix) && !allowed.has(key)) return false;
    }
    for (const key of this.#base.keys(prefix)) {
      if (this.records.get(key) !== null && !allowed.has(key)) return false;
    }
    return true;
  }

  #isRangeEmpty(from: string, to: string): boolean {
    for (const [key, kv] of this.records) if (kv !== null && isBetween(key, from, to)) return false;
    for (const key of this.#base.keysBetween(from, to)) if (this.records.get(key) !== null) return false;
    return true;
  }

  #keys(prefix: string): readonly string[] {
    const keys = new Set(this.#base.keys(prefix));
    for (const key of this.records.keys()) if (key.startsWith(prefix)) keys.add(key);
    return [...keys].sort();
  }
}

/** In the order of bytes. */
function isBetween(key: string, from: string, to: string): boolean {
  const bytes = Buffer.from(key);
  return bytes.compare(Buffer.from(from)) >= 0 && bytes.compare(Buffer.from(to)) < 0;
}
