/** Pure: the operations that make rows as they are to be, and no others. */
import { type Datum, encodeDatum, sameDatum, setOf } from '../ovsdb/datum.ts';
import type { Operation } from '../ovsdb/ovsdb-client.ts';
import type { Row } from '../ovsdb/replica.ts';
import type { ColumnSchema, DatabaseSchema } from '../ovsdb/schema.ts';
import { type NorthboundTable, OWN_IDS, ROOTS, unitOf, type WantedRow } from '../translate/wanted-row.ts';
import type { ActualHolder, ActualRow, ActualRows } from './actual-rows.ts';

/** A unit and the rows that it is to have. */
export type WantedUnit = { readonly unit: string; readonly rows: readonly WantedRow[] };

/** `operations`: one transaction; none: all is as it is to be. `waiting`: units of which nothing is done, and a unit whose rows each of them lacks. */
export type Plan = {
  readonly operations: readonly Operation[];
  readonly waiting: ReadonlyMap<string, string>;
};

/** What units that belong together need. Rows that several units hold together, such as a switch's ports, are one operation. */
export function planUnits(units: readonly WantedUnit[], actual: ActualRows, schema: DatabaseSchema): Plan {
  const draft = new Draft(actual, schema);
  const waiting = new Map<string, string>();
  const coming = new Set(units.flatMap(({ rows }) => rows.map(({ key }) => key)));
  for (const { unit, rows } of units) {
    const lack = rows.flatMap(namesOf).find((key) => !coming.has(key) && actual.find(key) === undefined);
    if (lack !== undefined) waiting.set(unit, unitOf(lack));
    for (const row of lack === undefined ? rows : []) draft.name(row);
  }
  // What waits for a unit that waits comes in the next turn, too.
  const ready = units.filter(
    ({ unit, rows }) => !waiting.has(unit) && rows.flatMap(namesOf).every((key) => draft.knows(key)),
  );
  for (const { unit, rows } of ready) planUnit(unit, rows, draft);
  for (const { unit } of units)
    if (!ready.some((one) => one.unit === unit) && !waiting.has(unit)) waiting.set(unit, unit);
  return { operations: draft.operations(), waiting };
}

function namesOf({ refs, holders }: WantedRow): readonly string[] {
  return [...Object.values(refs).flat(), ...holders.map(({ key }) => key)];
}

function planUnit(unit: string, rows: readonly WantedRow[], draft: Draft): void {
  const left = new Map(draft.actual.of(unit).map((one) => [one.row.uuid, one]));
  for (const wanted of rows) {
    const found = [...left.values()].find(({ key, table }) => key === wanted.key && table === wanted.table);
    if (found === undefined) draft.insert(wanted);
    else draft.change(wanted, found.row);
    if (found !== undefined) left.delete(found.row.uuid);
  }
  for (const one of left.values()) draft.remove(one);
}

type Held = { readonly holder: ActualHolder; readonly comes: Set<string>; readonly goes: Set<string> };

/** A transaction as it grows. A UUID is that of a row that is there, or the name that a new one has in the transaction. */
class Draft {
  readonly actual: ActualRows;
  readonly #schema: DatabaseSchema;
  readonly #coming = new Map<string, { readonly name: string; readonly table: NorthboundTable }>();
  readonly #held = new Map<string, Held>();
  readonly #waits: Operation[] = [];
  readonly #inserts: Operation[] = [];
  readonly #changes: Operation[] = [];
  readonly #deletes: Operation[] = [];

  constructor(actual: ActualRows, schema: DatabaseSchema) {
    this.actual = actual;
    this.#schema = schema;
  }

  /** The row is there, or will be with this transaction. */
  name({ key, table }: WantedRow): void {
    if (this.actual.find(key)?.table !== table) this.#coming.set(key, { name: `row${this.#coming.size}`, table });
  }

  knows(key: string): boolean {
    return this.#coming.has(key) || this.actual.find(key) !== undefined;
  }

  insert(wanted: WantedRow): void {
    const { table, columns, ids, key, holders } = wanted;
    const name = this.#uuid(key);
    const all = {
      ...columns,
      ...this.#refsOf(wanted),
      external_ids: { kind: 'map', entries: new Map(Object.entries(ids)) } as const,
    };
    this.#inserts.push({ op: 'insert', table, 'uuid-name': name, row: this.#encoded(table, all) });
    for (const { key: holder, column } of holders) this.#hold(holder, column).comes.add(name);
  }

  change(wanted: WantedRow, row: Row): void {
    const { table, columns, ids, holders } = wanted;
    this.#update(table, row, { ...columns, ...this.#refsOf(wanted) });
    this.#updateIds(table, row, ids);
    const is = new Set(this.actual.holdersOf(row.uuid).map(({ uuid, column }) => `${uuid} ${column}`));
    const wants = new Set(holders.map(({ key, column }) => `${this.#uuid(key)} ${column}`));
    for (const { key, column } of holders)
      if (!is.has(`${this.#uuid(key)} ${column}`)) this.#hold(key, column).comes.add(row.uuid);
    for (const holder of this.actual.holdersOf(row.uuid))
      if (holder.isOurs && !wants.has(`${holder.uuid} ${holder.column}`)) this.#heldBy(holder).goes.add(row.uuid);
  }

  /** A row that others hold is gone when nobody does. */
  remove({ table, row }: ActualRow): void {
    if (ROOTS.includes(table)) this.#deletes.push({ op: 'delete', table, where: whereIs(row.uuid) });
    else for (const holder of this.actual.holdersOf(row.uuid)) this.#heldBy(holder).goes.add(row.uuid);
  }

  operations(): readonly Operation[] {
    const held = [...this.#held.values()].flatMap(({ holder, comes, goes }) => {
      const mutations = [
        ...(goes.size === 0
          ? []
          : [[holder.column, 'delete', ['set', [...goes].map((uuid) => this.#encodedUuid(uuid))]]]),
        ...(comes.size === 0
          ? []
          : [[holder.column, 'insert', ['set', [...comes].map((uuid) => this.#encodedUuid(uuid))]]]),
      ];
      return { op: 'mutate', table: holder.table, where: [['_uuid', '==', this.#encodedUuid(holder.uuid)]], mutations };
    });
    return [...this.#waits, ...this.#inserts, ...this.#changes, ...held, ...this.#deletes];
  }

  #refsOf({ refs }: WantedRow): Readonly<Record<string, Datum>> {
    return Object.fromEntries(
      Object.entries(refs).map(([column, keys]) => [column, setOf(keys.map((key) => this.#uuid(key)))]),
    );
  }

  /** What is written rests on what was seen: a column that somebody has changed meanwhile is looked at again first. */
  #update(table: string, row: Row, columns: Readonly<Record<string, Datum>>): void {
    const changed = Object.entries(columns).filter(([name, datum]) => !sameDatum(row.columns[name] ?? datum, datum));
    const large = changed.filter(([name]) => this.#columnOf(table, name)?.max === Number.POSITIVE_INFINITY);
    const sets = large.filter(([, datum]) => datum.kind === 'set');
    const whole = changed.filter((one) => !sets.includes(one));
    const where = whereIs(row.uuid);
    if (whole.length > 0) {
      const seen = Object.fromEntries(whole.map(([name, datum]) => [name, row.columns[name] ?? datum]));
      const columnNames = Object.keys(seen);
      const rows = [this.#encoded(table, seen)];
      this.#waits.push({ op: 'wait', table, where, columns: columnNames, until: '==', rows, timeout: 0 });
      this.#changes.push({ op: 'update', table, where, row: this.#encoded(table, Object.fromEntries(whole)) });
    }
    const mutations = sets.flatMap(([name, datum]) => differences(name, row.columns[name] ?? datum, datum));
    if (mutations.length > 0) this.#changes.push({ op: 'mutate', table, where, mutations });
  }

  #updateIds(table: string, row: Row, ids: Readonly<Record<string, string>>): void {
    const datum = row.columns['external_ids'];
    const is = datum?.kind === 'map' ? datum.entries : new Map();
    const goes = [...is.keys()].filter((key) => OWN_IDS.test(String(key)) && is.get(key) !== ids[String(key)]);
    const comes = Object.entries(ids).filter(([key, value]) => is.get(key) !== value);
    const mutations = [
      ...(goes.length === 0 ? [] : [['external_ids', 'delete', ['set', goes]]]),
      ...(comes.length === 0 ? [] : [['external_ids', 'insert', ['map', comes]]]),
    ];
    if (mutations.length > 0) this.#changes.push({ op: 'mutate', table, where: whereIs(row.uuid), mutations });
  }

  #hold(key: string, column: string): Held {
    const table = this.#coming.get(key)?.table ?? this.actual.find(key)?.table;
    if (table === undefined) throw new Error(`${key} is neither there nor coming`);
    return this.#heldBy({ table, uuid: this.#uuid(key), column });
  }

  #heldBy(holder: ActualHolder): Held {
    const name = `${holder.uuid} ${holder.column}`;
    const known = this.#held.get(name);
    if (known !== undefined) return known;
    const made: Held = { holder, comes: new Set(), goes: new Set() };
    this.#held.set(name, made);
    return made;
  }

  #uuid(key: string): string {
    const uuid = this.#coming.get(key)?.name ?? this.actual.find(key)?.row.uuid;
    if (uuid === undefined) throw new Error(`${key} is neither there nor coming`);
    return uuid;
  }

  #encoded(table: string, columns: Readonly<Record<string, Datum>>): Readonly<Record<string, unknown>> {
    return Object.fromEntries(
      Object.entries(columns).flatMap(([name, datum]) => {
        const column = this.#columnOf(table, name);
        return column === undefined ? [] : [[name, encodeDatum(datum, column, (uuid) => this.#encodedUuid(uuid))]];
      }),
    );
  }

  #encodedUuid(uuid: string): readonly [string, string] {
    return [/^row\d+$/.test(uuid) ? 'named-uuid' : 'uuid', uuid];
  }

  /** Undefined: the server's OVN is older, and has no such column. */
  #columnOf(table: string, name: string): ColumnSchema | undefined {
    return this.#schema[table]?.[name];
  }
}

function differences(name: string, before: Datum, after: Datum): readonly unknown[] {
  if (before.kind !== 'set' || after.kind !== 'set') throw new Error(`${name} is a set`);
  const had = new Set(before.atoms);
  const has = new Set(after.atoms);
  const goes = before.atoms.filter((atom) => !has.has(atom));
  const comes = after.atoms.filter((atom) => !had.has(atom));
  return [
    ...(goes.length === 0 ? [] : [[name, 'delete', ['set', goes]]]),
    ...(comes.length === 0 ? [] : [[name, 'insert', ['set', comes]]]),
  ];
}

function whereIs(uuid: string): readonly unknown[] {
  return [['_uuid', '==', ['uuid', uuid]]];
}
