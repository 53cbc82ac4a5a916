import type { AnyObject } from '@cable/model';
import { type Compare, type Op, txnBytes } from '@cable/store';
import { objectKey, referenceKey, referencePrefix } from '../keys.ts';
import type { Tables } from '../tables.ts';

/** One attempt of a transaction: what must hold, and what is written. Built from the tables, then committed or thrown away. */
export class TxnPlan {
  readonly #tables: Tables;
  readonly #reservations: Set<string>;
  readonly #reserved: string[] = [];
  readonly #compares = new Map<string, Compare>();
  readonly #ops = new Map<string, Op>();
  readonly #created = new Map<string, AnyObject>();
  readonly #asked = new Set<string>();

  constructor(tables: Tables, reservations: Set<string>) {
    this.#tables = tables;
    this.#reservations = reservations;
  }

  get compares(): readonly Compare[] {
    return [...this.#compares.values()];
  }

  get ops(): readonly Op[] {
    return [...this.#ops.values()];
  }

  /** The larger of the two counts that the store limits. */
  get size(): number {
    return Math.max(this.#compares.size, this.#ops.size);
  }

  /** What it is for the store. */
  get bytes(): number {
    return txnBytes(this.compares, this.ops);
  }

  /** The object as this plan will leave it, or as the tables have it. */
  get(type: string, id: string): AnyObject | undefined {
    return this.#created.get(objectKey(type, id)) ?? this.#tables.any(type).get(id);
  }

  /** New objects of a type in this plan. */
  createdOf(type: string): readonly AnyObject[] {
    const prefix = objectKey(type, '');
    return [...this.#created].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object);
  }

  /** Takes a key that must be free; `value` says who has it. The caller has looked that it is. */
  claim(key: string, value: string): void {
    this.#compares.set(key, { kind: 'absent', key });
    this.#ops.set(key, { kind: 'put', key, value });
  }

  /** True when this plan claims the key already, as two objects of one bulk request may. */
  claims(key: string): boolean {
    return this.#compares.get(key)?.kind === 'absent';
  }

  /** Keeps other requests on this server from choosing the key while this plan is under way. */
  reserve(key: string): void {
    this.#reservations.add(key);
    this.#reserved.push(key);
  }

  /** True when another request, or this plan, is about to take the key. */
  isReserved(key: string): boolean {
    return this.#reservations.has(key) || this.claims(key);
  }

  /** True when it is asked of the name for the first time. */
  isFirst(name: string): boolean {
    const isFirst = !this.#asked.has(name);
    this.#asked.add(name);
    return isFirst;
  }

  /** Frees a claimed key. */
  release(key: string): void {
    this.#ops.set(key, { kind: 'delete', key });
  }

  /** A claimed key goes over to another holder. */
  pass(key: string, from: string, to: string): void {
    this.#compares.set(key, { kind: 'value', key, value: from });
    this.#ops.set(key, { kind: 'put', key, value: to });
  }

  requireAbsent(key: string): void {
    this.#compares.set(key, { kind: 'absent', key });
  }

  deletePrefix(prefix: string): void {
    this.#ops.set(prefix, { kind: 'deletePrefix', prefix });
  }

  requireExists(type: string, id: string): void {
    const key = objectKey(type, id);
    if (!this.#created.has(key) && !this.#compares.has(key)) this.#compares.set(key, { kind: 'exists', key });
  }

  /** The object must still be as the tables have it, or had it when the plan relied on that first: what is planned rests on the object as it was then. */
  requireUnchanged(type: string, id: string): void {
    const key = objectKey(type, id);
    if (this.#created.has(key) || this.#compares.get(key)?.kind === 'modRevision') return;
    this.#compares.set(key, { kind: 'modRevision', key, revision: this.#tables.modRevision(type, id) ?? 0 });
  }

  /** Nothing of `byType` may refer to the object. */
  requireUnreferenced(type: string, id: string, byType: string): void {
    const prefix = referencePrefix(type, id, byType);
    this.#compares.set(prefix, { kind: 'prefixEmpty', prefix });
  }

  /** Writes a new object. */
  create(type: string, object: AnyObject): void {
    this.#created.set(objectKey(type, object.id), object);
    this.#write(type, object);
  }

  /** Writes an existing object, which must still be as the tables have it. */
  replace(type: string, object: AnyObject): void {
    this.requireUnchanged(type, object.id);
    this.#write(type, object);
  }

  /** Raises the revision of an object whose parts change, so that two changes of its parts cannot pass each other. */
  revise(type: string, id: string, timestamp: string): void {
    const key = objectKey(type, id);
    const row = this.#tables.any(type).get(id);
    if (row === undefined || this.#ops.has(key)) return;
    const revision = Number(row['revision_number'] ?? 0) + 1;
    this.replace(type, { ...row, revision_number: revision, updated_at: timestamp });
  }

  /** Deletes an object, which must still be as the tables have it. */
  delete(type: string, id: string): void {
    this.requireUnchanged(type, id);
    this.release(objectKey(type, id));
  }

  /** True when the plan deletes the object. */
  deletes(type: string, id: string): boolean {
    return this.#ops.get(objectKey(type, id))?.kind === 'delete';
  }

  addReference(type: string, id: string, byType: string, byId: string): void {
    const key = referenceKey(type, id, byType, byId);
    this.#ops.set(key, { kind: 'put', key, value: '' });
  }

  removeReference(type: string, id: string, byType: string, byId: string): void {
    this.release(referenceKey(type, id, byType, byId));
  }

  /** Gives the reservations back. Idempotent. */
  dispose(): void {
    for (const key of this.#reserved) this.#reservations.delete(key);
    this.#reserved.length = 0;
  }

  #write(type: string, object: AnyObject): void {
    const key = objectKey(type, object.id);
    this.#ops.set(key, { kind: 'put', key, value: JSON.stringify(object) });
  }
}
