/** Makes the Northbound database as it is to be, and keeps it so: whoever changes a row of ours finds it mended. */
import { setImmediate } from 'node:timers/promises';
import { type Logger, type Loop, startLoop } from '@cable/kit';
import type { OvsdbClient, OvsdbListener } from '../ovsdb/ovsdb-client.ts';
import { OvsdbError } from '../ovsdb/ovsdb-error.ts';
import type { Replica, Row, RowChange } from '../ovsdb/replica.ts';
import type { Translation } from '../translate/translation.ts';
import { objectOf, rankOf } from '../translate/units.ts';
import { unitOf } from '../translate/wanted-row.ts';
import { ActualRows, keyOf } from './actual-rows.ts';
import { planUnits, type WantedUnit } from './plan.ts';
import type { Reports } from './reports.ts';

export type ReconcilerOptions = {
  readonly translation: Translation;
  readonly reports: Reports;
  /** What is in the database alone is deleted once this is true: all that is to be there is known. */
  readonly isComplete: () => boolean;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** How many units one transaction carries at most: what belongs together is far less, and a server is busy with one for some milliseconds. */
const UNITS_MAX = 250;
/** A unit that the database refuses is tried again after this time, or when it, or what it reads, changes. */
const REFUSED_MS = 30_000;

/** `lacks`: why the rows are not all that the object is to have. */
type KnownUnit = WantedUnit & { readonly lacks: string | undefined };

/** Counts since the process began. */
export type ReconcilerCounts = { readonly transactions: number; readonly operations: number; readonly refused: number };

/** It is the listener of the Northbound's client. */
export class Reconciler implements OvsdbListener {
  readonly #options: ReconcilerOptions;
  readonly #loop: Loop;
  readonly #dirty = new Set<string>();
  readonly #refused = new Map<string, { readonly at: number; readonly reason: string }>();
  readonly #waiting = new Map<string, string>();
  #client: Pick<OvsdbClient, 'transact'> | undefined;
  #replica: Replica | undefined;
  #actual: ActualRows | undefined;
  #hasLock = false;
  #underWay = 0;
  #counts: ReconcilerCounts = { transactions: 0, operations: 0, refused: 0 };

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { log, signal } = options;
    this.#loop = startLoop({ name: 'reconcile', log, signal, run: () => this.#reconcile(), everyMs: REFUSED_MS });
  }

  /** Resolves after the signal aborts. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  /** Whether it may write: of several processes one does. */
  get hasLock(): boolean {
    return this.#hasLock;
  }

  get counts(): ReconcilerCounts {
    return this.#counts;
  }

  /** Units that are not yet known to be as they are to be. */
  get pending(): number {
    return this.#dirty.size + this.#underWay + this.#refused.size + this.#waiting.size;
  }

  /** Says by whom it writes. To be called once. */
  writeBy(client: Pick<OvsdbClient, 'transact'>): void {
    this.#client = client;
  }

  /** These may have other rows now; without any: all is to be looked at. */
  touch(units: Iterable<string>): void {
    for (const unit of units) this.#dirty.add(unit);
    this.#loop.trigger();
  }

  synced(replica: Replica): void {
    this.#replica = replica;
    this.#actual = new ActualRows(replica);
    for (const row of replica.rows('Logical_Switch_Port').values()) this.#tellStatus(row);
    this.touch([...this.#options.translation.units, ...this.#actual.units]);
  }

  changed(changes: readonly RowChange[]): void {
    const units = changes.flatMap((change) => {
      const touched = this.#actual?.apply(change) ?? [];
      if (change.table === 'Logical_Switch_Port' && change.after !== undefined) this.#tellStatus(change.after);
      return isOfOthers(change) ? [] : touched;
    });
    this.touch([...units, ...changes.flatMap((change) => this.#left(change))]);
  }

  lost(): void {
    this.#replica = undefined;
    this.#actual = undefined;
    this.#hasLock = false;
  }

  locked(has: boolean): void {
    this.#hasLock = has;
    this.#loop.trigger();
  }

  /** Ports that were in a group and are no more. */
  #left({ before, after, table }: RowChange): readonly string[] {
    if (table !== 'Port_Group' || keyOf(before) === undefined) return [];
    const stays = new Set(portsOf(after));
    const gone = portsOf(before).filter((uuid) => !stays.has(uuid));
    const keys = gone.flatMap((uuid) => keyOf(this.#replica?.rows('Logical_Switch_Port').get(uuid)) ?? []);
    return keys.map(unitOf);
  }

  #tellStatus(row: Row): void {
    const object = objectOf(keyOf(row) ?? '');
    const up = row.columns['up'];
    if (object?.resource !== 'port' || keyOf(row)?.includes('#') === true || up?.kind !== 'set') return;
    this.#options.reports.say({ ...object, status: up.atoms[0] === true ? 'ACTIVE' : 'DOWN' });
  }

  async #reconcile(): Promise<void> {
    if (this.#replica === undefined || !this.#hasLock || !this.#options.isComplete()) return;
    const now = performance.now();
    for (const [unit, { at }] of this.#refused) if (now - at >= REFUSED_MS) this.#dirty.add(unit);
    for (const unit of this.#waiting.keys()) this.#dirty.add(unit);
    this.#waiting.clear();
    const before = this.#counts.transactions;
    const wanted = this.#inOrder();
    for (const batch of this.#batches(wanted)) {
      await this.#commit(batch);
      // Others have their turn: their requests, and updates of the database.
      await setImmediate();
    }
    const mayGoOn = this.#waiting.size > 0 && this.#counts.transactions > before;
    if (this.#dirty.size > 0 || mayGoOn) this.#loop.trigger();
  }

  /** What was refused before is tried alone: it would only fail the others. */
  #batches(wanted: readonly KnownUnit[]): readonly (readonly KnownUnit[])[] {
    const good = wanted.filter(({ unit }) => !this.#refused.has(unit));
    const count = Math.ceil(good.length / UNITS_MAX);
    const batches = Array.from({ length: count }, (_, i) => good.slice(i * UNITS_MAX, (i + 1) * UNITS_MAX));
    return [...batches, ...wanted.filter(({ unit }) => this.#refused.has(unit)).map((one) => [one])];
  }

  /** What comes, referents first; then what goes, referents last. */
  #inOrder(): readonly KnownUnit[] {
    const units = [...this.#dirty].map((unit) => ({ unit, ...this.#options.translation.rowsOf(unit) }));
    const comes = units.filter(({ rows }) => rows.length > 0).sort((a, b) => rankOf(a.unit) - rankOf(b.unit));
    const goes = units.filter(({ rows }) => rows.length === 0).sort((a, b) => rankOf(b.unit) - rankOf(a.unit));
    return [...comes, ...goes];
  }

  /** A transaction; of one that is refused its halves, until those are alone that are refused. */
  async #commit(units: readonly KnownUnit[]): Promise<void> {
    if (this.#actual === undefined || this.#replica === undefined) throw new OvsdbError('lost', 'the database is away');
    // What becomes dirty from now on was not looked at.
    for (const { unit } of units) this.#dirty.delete(unit);
    this.#underWay = units.length;
    const { operations, waiting } = planUnits(units, this.#actual, this.#replica.schema);
    try {
      if (operations.length > 0) await this.#write(operations);
    } catch (err) {
      if (!(err instanceof OvsdbError) || err.kind !== 'refused' || AGAIN.includes(err.code)) {
        for (const { unit } of units) this.#dirty.add(unit);
        this.#underWay = 0;
        throw err;
      }
      const [one, ...others] = units;
      if (one !== undefined && others.length === 0) this.#refuse(one.unit, err);
      else for (const half of halves(units)) await this.#commit(half);
      return;
    }
    for (const { unit, lacks } of units) {
      this.#refused.delete(unit);
      const missing = waiting.get(unit);
      if (missing === undefined) this.#tellDone(unit, lacks);
      else this.#waiting.set(unit, missing);
    }
    this.#underWay = 0;
  }

  async #write(operations: Parameters<OvsdbClient['transact']>[0]): Promise<void> {
    if (this.#client === undefined) throw new Error('nobody writes');
    await this.#client.transact(operations);
    const { transactions, operations: all, refused } = this.#counts;
    this.#counts = { transactions: transactions + 1, operations: all + operations.length, refused };
  }

  #refuse(unit: string, err: OvsdbError): void {
    const isNew = this.#refused.get(unit)?.reason !== err.message;
    this.#refused.set(unit, { at: performance.now(), reason: err.message });
    this.#counts = { ...this.#counts, refused: this.#counts.refused + 1 };
    if (isNew) this.#options.log.warn({ unit, err }, 'database refuses rows');
    const object = objectOf(unit);
    if (object !== undefined) this.#options.reports.say({ ...object, error: err.message });
  }

  #tellDone(unit: string, lacks: string | undefined): void {
    const object = objectOf(unit);
    if (object === undefined) return;
    const { reports, translation } = this.#options;
    const known = translation.get(object.resource, object.id);
    if (known === undefined) reports.forget(object.resource, object.id);
    else reports.say({ ...object, ...(lacks === undefined ? { realisedRevision: known.revision } : { error: lacks }) });
  }
}

/** Refusals that say that something changed meanwhile, not that rows are wrong. */
const AGAIN: readonly string[] = [
  'timed out',
  'not owner',
  'resources exhausted',
  'I/O error',
  'aborted',
  'not leader',
];

/** A change of what OVN itself writes, such as whether a port is up, or of what a row of ours holds: those are looked at by themselves. */
function isOfOthers({ before, after }: RowChange): boolean {
  if (before === undefined || after === undefined) return false;
  return Object.keys(after.columns).every(
    (name) => OTHERS.includes(name) || before.columns[name] === after.columns[name],
  );
}

const OTHERS: readonly string[] = ['up', 'ports', 'acls', 'static_routes', 'nat', 'gateway_chassis'];

function portsOf(row: Row | undefined): readonly string[] {
  const ports = row?.columns['ports'];
  return ports?.kind === 'set' ? ports.atoms.map(String) : [];
}

function halves<T>(all: readonly T[]): readonly (readonly T[])[] {
  const middle = Math.ceil(all.length / 2);
  return [all.slice(0, middle), all.slice(middle)];
}
