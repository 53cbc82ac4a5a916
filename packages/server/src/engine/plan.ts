import { unfitForKey } from '@cable/api';
import type { Table } from '@cable/kit';
import type { AnyObject } from '@cable/model';
import { type Compare, type Op, txnBytes } from '@cable/store';
import { markGaps, markPrefix, objectKey, prefixOfTarget, referencePrefix } from '../keys.ts';
import { putObject } from '../object-text.ts';
import type { Tables } from '../tables.ts';
import type { Fences } from './fences.ts';
import { type KeyMaker, keyOfClaim, type ObjectKey } from './keys-of.ts';
import type { Claim, ClaimName } from './module.ts';
import type { Look, MarksAbout, RowOf, View } from './view.ts';

export type PlanDeps = {
  readonly tables: Tables;
  readonly addresses: Addresses;
  readonly keys: KeyMaker;
  /** Keys that a transaction under way on this server is about to claim. */
  readonly reservations: Set<string>;
  /** Absent: nothing came by a proton. */
  readonly fences?: Fences;
};

/** Which port has an address in the tables; undefined: none. */
export type Addresses = { holderOf(subnetId: string, address: string): string | undefined };

/** What is to be sent to the store. Without ops nothing changes. `bytes`: what it is for the store. */
export type Transaction = {
  readonly compares: readonly Compare[];
  readonly ops: readonly Op[];
  readonly bytes: number;
};

/** An object that the plan writes. */
type Touched = {
  readonly type: string;
  readonly id: string;
  /** As the tables have it, or had it when the plan first relied on it. */
  readonly before: AnyObject | undefined;
  readonly revision: number;
  /** As the plan leaves it; undefined: deleted, or never there. */
  after: AnyObject | undefined;
};

/**
 * One attempt of a transaction. It is a view: what it wrote it reads. What is written beside the objects (claims, references, marks), and what must hold, is
 * made from the objects before and after, so that it cannot be forgotten, and moves from one object of the plan to another.
 */
export class Plan implements Look, View {
  /** Time of the request, ISO 8601 in whole seconds, UTC. */
  readonly timestamp: string;
  readonly #deps: PlanDeps;
  readonly #leads: string | undefined;
  /** What is there without the plan. */
  readonly #base: Look;
  readonly #touched = new Map<string, Touched>();
  readonly #types = new Set<string>();
  readonly #overlays = new Map<string, Table<AnyObject, string>>();
  /** Who has a claim after the plan; null: nobody any more. */
  readonly #claims = new Map<string, string | null>();
  readonly #relied = new Map<string, Compare>();
  readonly #needed = new Set<string>();
  readonly #emptyPrefixes = new Map<string, readonly string[]>();
  readonly #emptyRanges = new Map<string, Compare>();
  /** Keys deleted besides those of the objects. */
  readonly #extraGone = new Set<string>();
  readonly #extraOps: Op[] = [];
  readonly #vetted = new Map<string, AnyObject>();
  readonly #reserved: string[] = [];
  readonly #asked = new Set<string>();
  readonly #counts = new Map<string, number>();

  /** `leads`: id of the change of a proton that is made. */
  constructor(deps: PlanDeps, timestamp: string, leads?: string) {
    this.#deps = deps;
    this.#leads = leads;
    this.#base = lookAt(deps);
    this.timestamp = timestamp;
  }

  get<T extends string>(type: T, id: string): RowOf<T> | undefined {
    const touched = this.#touched.get(objectKey(type, id));
    return (touched === undefined ? this.#deps.tables.any(type).get(id) : touched.after) as RowOf<T> | undefined;
  }

  by<T extends string>(type: T, index: string, key: string): readonly RowOf<T>[] {
    const rows = this.#deps.tables.any(type).by(index, key);
    if (!this.#types.has(type)) return rows as unknown as readonly RowOf<T>[];
    const overlay = this.#overlayOf(type);
    const others = rows.filter(({ id }) => !this.#touched.has(objectKey(type, id)));
    return [...others, ...overlay.by(index, key)] as unknown as readonly RowOf<T>[];
  }

  beside<T extends string>(type: T, order: string, row: RowOf<T>): readonly RowOf<T>[] {
    const start = row as AnyObject;
    const table = this.#deps.tables.any(type);
    const [before, behind] = [0, 1].map((side) => {
      let one = table.beside(order, start)[side];
      while (one !== undefined && this.#touched.has(objectKey(type, one.id))) one = table.beside(order, one)[side];
      return one;
    });
    const own = this.#types.has(type) ? this.#overlayOf(type).beside(order, start) : [];
    return [before, behind, ...own].filter((one) => one !== undefined) as unknown as readonly RowOf<T>[];
  }

  addressHolder(subnetId: string, address: string): string | undefined {
    return this.#deps.addresses.holderOf(subnetId, address);
  }

  need<T extends string>(type: T, id: string): RowOf<T> | undefined {
    const row = this.get(type, id);
    if (row !== undefined) this.#needed.add(objectKey(type, id));
    return row;
  }

  rely<T extends string>(type: T, id: string): RowOf<T> | undefined {
    const key = objectKey(type, id);
    if (!this.#touched.has(key) && !this.#relied.has(key)) {
      const revision = this.#deps.tables.modRevision(type, id) ?? 0;
      // A key that the store cannot have stays absent.
      if (revision === 0 && unfitForKey(id) !== undefined) return undefined;
      this.#relied.set(key, { kind: 'modRevision', key, revision });
    }
    return this.get(type, id);
  }

  parts<T>(type: string, id: string, find: (look: Look) => readonly T[]): readonly T[] {
    this.rely(type, id);
    return find(this);
  }

  holder(claim: Claim): string | undefined {
    const key = keyOfClaim(claim);
    const planned = this.#claims.get(key);
    if (planned !== undefined) return planned ?? undefined;
    const holder = claim.holder(this);
    this.#relied.set(key, holder === undefined ? { kind: 'absent', key } : { kind: 'value', key, value: holder });
    return holder;
  }

  unmarked(kind: string, id: string, found: (look: Look) => boolean, about: MarksAbout = {}): boolean {
    if (found(this)) return false;
    if (about.but === undefined) this.#emptyPrefixes.set(markPrefix(kind, id, about.only), []);
    else
      for (const [from, to] of markGaps(kind, id, about.but))
        this.#emptyRanges.set(from, { kind: 'rangeEmpty', from, to });
    return true;
  }

  /** Writes a new object. Throws what its claims say when another has one of them. */
  create(type: string, object: AnyObject): void {
    const key = objectKey(type, object.id);
    const known = this.#touched.get(key);
    if (known === undefined)
      this.#touched.set(key, { type, id: object.id, before: undefined, revision: 0, after: object });
    else known.after = object;
    this.#changed(type, object.id, undefined, object);
  }

  /** Writes an object that is there. Its revision rises by one, however often the plan writes it. Answers what is written. */
  replace(type: string, object: AnyObject): AnyObject {
    const touched = this.#touch(type, object.id);
    const written =
      touched.before === undefined || object['revision_number'] === undefined
        ? object
        : {
            ...object,
            updated_at: this.timestamp,
            revision_number: Number(touched.before['revision_number'] ?? 0) + 1,
          };
    const last = touched.after;
    touched.after = written;
    this.#changed(type, object.id, last, written);
    return written;
  }

  /** Raises the revision of an object whose parts change, so that two changes of its parts cannot pass each other. */
  revise(type: string, id: string): void {
    const touched = this.#touched.get(objectKey(type, id));
    if (touched !== undefined && (touched.after === undefined || touched.after !== touched.before)) return;
    const row = this.get(type, id);
    if (row !== undefined) this.replace(type, row);
  }

  /** Deletes an object, with all keys that it has. Whoever refers to it from outside of this plan makes that fail. */
  delete(type: string, id: string): void {
    const touched = this.#touch(type, id);
    const last = touched.after;
    touched.after = undefined;
    this.#changed(type, id, last, undefined);
  }

  /** What the plan makes or changes and leaves there, and was not said to be vetted as it is. */
  *unvetted(): Iterable<{ readonly type: string; readonly before: AnyObject | undefined; readonly after: AnyObject }> {
    for (const [key, { type, before, after }] of [...this.#touched]) {
      if (after !== undefined && after !== before && this.#vetted.get(key) !== after) yield { type, before, after };
    }
  }

  /** All who have to be asked about the object take it as it is. */
  setVetted(type: string, object: AnyObject): void {
    this.#vetted.set(objectKey(type, object.id), object);
  }

  /** True when the plan deletes the object. */
  deletes(type: string, id: string): boolean {
    const touched = this.#touched.get(objectKey(type, id));
    return touched !== undefined && touched.after === undefined;
  }

  /** The key must be absent: of what is none of the objects, e.g. that a host is alive. */
  requireAbsent(key: string): void {
    this.#relied.set(key, { kind: 'absent', key });
  }

  /** The key must have the value: of what is none of the objects, e.g. that a controller is alive. */
  requireValue(key: string, value: string): void {
    this.#relied.set(key, { kind: 'value', key, value });
  }

  /** No key has the prefix but these. */
  requireEmpty(prefix: string, except: readonly string[]): void {
    this.#emptyPrefixes.set(prefix, except);
  }

  /** Writes a key that is none of an object's. */
  put(key: string, value: string): void {
    this.#extraOps.push({ kind: 'put', key, value });
  }

  /** Deletes a key of an object that goes later. */
  deleteKey(key: string): void {
    this.#extraGone.add(key);
  }

  /** Deletes what hosts have reported. */
  deletePrefix(prefix: string): void {
    this.#extraOps.push({ kind: 'deletePrefix', prefix });
  }

  /** The object as it is without the plan, which must then be as it is; undefined: there is none. */
  relyBefore(type: string, id: string): AnyObject | undefined {
    return this.#touched.has(objectKey(type, id))
      ? this.#touched.get(objectKey(type, id))?.before
      : this.rely(type, id);
  }

  /** Keeps other requests on this server from choosing the claim while this plan is under way. */
  reserve(claim: ClaimName): void {
    const key = keyOfClaim(claim);
    this.#deps.reservations.add(key);
    this.#reserved.push(key);
  }

  /** True when another request, or this plan, is about to have it. */
  isReserved(claim: ClaimName): boolean {
    const key = keyOfClaim(claim);
    return this.#deps.reservations.has(key) || typeof this.#claims.get(key) === 'string';
  }

  /** True when it is asked of the name for the first time. */
  isFirst(name: string): boolean {
    const isFirst = !this.#asked.has(name);
    this.#asked.add(name);
    return isFirst;
  }

  /** How often it was asked of the name before. */
  countUp(name: string): number {
    const before = this.#counts.get(name) ?? 0;
    this.#counts.set(name, before + 1);
    return before;
  }

  /** Gives the reservations back. Idempotent. */
  dispose(): void {
    for (const key of this.#reserved) this.#deps.reservations.delete(key);
    this.#reserved.length = 0;
  }

  /** What is to be sent to the store. Without ops nothing changes. */
  transaction(): Transaction {
    const compares = new Map<string, Compare>(this.#relied);
    const ops = new Map<string, Op>();
    const gone = new Map<string, string>();
    const made = new Map<string, ObjectKey>();
    for (const touched of this.#touched.values()) this.#writeObject(touched, compares, ops, gone, made);
    for (const [key, value] of gone) {
      if (!made.has(key)) ops.set(key, { kind: 'delete', key });
      else if (made.get(key)?.kind === 'claim') compares.set(key, { kind: 'value', key, value });
    }
    for (const [key, { kind, value }] of made) {
      if (kind === 'claim' && !gone.has(key)) compares.set(key, { kind: 'absent', key });
      ops.set(key, { kind: 'put', key, value });
    }
    for (const key of this.#needed) {
      if (!compares.has(key) && !this.#isCreated(key)) compares.set(key, { kind: 'exists', key });
    }
    for (const key of this.#extraGone) ops.set(key, { kind: 'delete', key });
    const deleted = byPrefix([...this.#extraGone, ...[...gone.keys()].filter((key) => !made.has(key))]);
    const empty = new Map(this.#emptyPrefixes);
    for (const prefix of this.#prefixesOfDeleted()) empty.set(prefix, NO_NAMES);
    const prefixes = Array.from(empty, ([prefix, except]) =>
      emptyBut(prefix, [...except, ...(deleted.get(prefix) ?? [])]),
    );
    const all = {
      compares: [...compares.values(), ...prefixes, ...this.#emptyRanges.values()],
      ops: [...ops.values(), ...this.#extraOps],
    };
    return { ...all, bytes: txnBytes(all.compares, all.ops) };
  }

  #writeObject(
    { type, id, before, revision, after }: Touched,
    compares: Map<string, Compare>,
    ops: Map<string, Op>,
    gone: Map<string, string>,
    made: Map<string, ObjectKey>,
  ): void {
    if (before === after) return;
    const key = objectKey(type, id);
    compares.set(key, { kind: 'modRevision', key, revision });
    const typeKey = before === undefined ? this.#deps.keys.typeKeyOf(type) : undefined;
    if (typeKey !== undefined) compares.set(typeKey, { kind: 'exists', key: typeKey });
    const fence = this.#deps.fences?.of(type, this.#leads);
    // Beside what else is compared of the proton's row.
    if (fence !== undefined) compares.set(`fence ${fence.key}`, fence);
    ops.set(key, after === undefined ? { kind: 'delete', key } : putObject(type, after));
    const old = before === undefined ? NO_KEYS : this.#deps.keys.keysOf(type, before, this.#base);
    const now = after === undefined ? NO_KEYS : this.#deps.keys.keysOf(type, after, this);
    for (const [one, { value }] of old) if (now.get(one)?.value !== value) gone.set(one, value);
    for (const [one, is] of now) {
      if (old.get(one)?.value === is.value) continue;
      made.set(one, is);
      const { target, how } = is;
      if (target === undefined) continue;
      const targetKey = objectKey(target.type, target.id);
      if (how === 'unchanged') this.#relyFor(compares, target.type, target.id);
      else if (how === 'exists' && !compares.has(targetKey) && !this.#isCreated(targetKey)) {
        compares.set(targetKey, { kind: 'exists', key: targetKey });
      }
    }
  }

  #relyFor(compares: Map<string, Compare>, type: string, id: string): void {
    const key = objectKey(type, id);
    if (compares.get(key)?.kind === 'modRevision' || this.#isCreated(key)) return;
    const revision = this.#touched.get(key)?.revision ?? this.#deps.tables.modRevision(type, id) ?? 0;
    compares.set(key, { kind: 'modRevision', key, revision });
  }

  #isCreated(key: string): boolean {
    const touched = this.#touched.get(key);
    return touched !== undefined && touched.before === undefined;
  }

  *#prefixesOfDeleted(): Iterable<string> {
    for (const { type, id, before, after } of this.#touched.values()) {
      if (before !== undefined && after === undefined) yield referencePrefix(type, id);
    }
  }

  #touch(type: string, id: string): Touched {
    const key = objectKey(type, id);
    const known = this.#touched.get(key);
    if (known !== undefined) return known;
    const before = this.#deps.tables.any(type).get(id);
    const relied = this.#relied.get(key);
    const revision = relied?.kind === 'modRevision' ? relied.revision : (this.#deps.tables.modRevision(type, id) ?? 0);
    const touched: Touched = { type, id, before, revision, after: before };
    this.#touched.set(key, touched);
    return touched;
  }

  #changed(type: string, id: string, last: AnyObject | undefined, now: AnyObject | undefined): void {
    this.#types.add(type);
    const overlay = this.#overlays.get(type);
    if (now === undefined) overlay?.delete(id);
    else overlay?.put(id, now);
    const { keys } = this.#deps;
    const had = last === undefined ? NO_CLAIMS : keys.claimsOf(type, last);
    const has = now === undefined ? NO_CLAIMS : keys.claimsOf(type, now);
    for (const key of had.keys()) if (!has.has(key)) this.#claims.set(key, null);
    for (const [key, claim] of has) this.#take(key, claim, id);
  }

  #take(key: string, claim: Claim, id: string): void {
    const planned = this.#claims.get(key);
    const holder = planned === undefined ? claim.holder(this.#base) : (planned ?? undefined);
    if (holder !== undefined && holder !== id) throw claim.taken(holder);
    this.#claims.set(key, id);
  }

  #overlayOf(type: string): Table<AnyObject, string> {
    const known = this.#overlays.get(type);
    if (known !== undefined) return known;
    const made = this.#deps.tables.emptyLike(type);
    for (const touched of this.#touched.values()) {
      if (touched.type === type && touched.after !== undefined) made.put(touched.id, touched.after);
    }
    this.#overlays.set(type, made);
    return made;
  }
}

/** Rows of the tables, for what is shown. */
export function lookAtTables(tables: Tables): Pick<Look, 'get' | 'by'> {
  return {
    get: (type, id) => tables.any(type).get(id) as RowOf<typeof type> | undefined,
    by: (type, index, key) => tables.any(type).by(index, key) as unknown as readonly RowOf<typeof type>[],
  };
}

/** What the tables show. Made for each request: a class costs it nothing. */
class TablesLook implements Look {
  readonly #tables: Tables;
  readonly #addresses: Addresses;

  constructor(tables: Tables, addresses: Addresses) {
    this.#tables = tables;
    this.#addresses = addresses;
  }

  get<T extends string>(type: T, id: string): RowOf<T> | undefined {
    return this.#tables.any(type).get(id) as RowOf<T> | undefined;
  }

  by<T extends string>(type: T, index: string, key: string): readonly RowOf<T>[] {
    return this.#tables.any(type).by(index, key) as unknown as readonly RowOf<T>[];
  }

  beside<T extends string>(type: T, order: string, row: RowOf<T>): readonly RowOf<T>[] {
    const found = this.#tables.any(type).beside(order, row as AnyObject);
    return found.filter((one) => one !== undefined) as unknown as readonly RowOf<T>[];
  }

  addressHolder(subnetId: string, address: string): string | undefined {
    return this.#addresses.holderOf(subnetId, address);
  }
}

/** What the tables show. */
export function lookAt({ tables, addresses }: Pick<PlanDeps, 'tables' | 'addresses'>): Look {
  return new TablesLook(tables, addresses);
}

const NO_CLAIMS: ReadonlyMap<string, Claim> = new Map();
const NO_NAMES: readonly string[] = [];
const NO_KEYS: ReadonlyMap<string, ObjectKey> = new Map();

/** Keys by the prefix that they stand under: `prefixOfTarget`. A delete may have thousands of parts, each with a prefix and keys of its own. */
function byPrefix(keys: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const key of keys) {
    const prefix = prefixOfTarget(key);
    const known = found.get(prefix);
    if (known === undefined) found.set(prefix, [key]);
    else known.push(key);
  }
  return found;
}

/** No key has the prefix but these. */
function emptyBut(prefix: string, except: readonly string[]): Compare {
  return except.length === 0 ? { kind: 'prefixEmpty', prefix } : { kind: 'prefixEmpty', prefix, except };
}
