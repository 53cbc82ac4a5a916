import type { SliceKey } from '@cable/model';
import type { Claim } from './claims.ts';
import type { Fact } from './facts.ts';
import type { Readable } from './reads.ts';
import type { Family, Output, UnitKey, UnitMemory } from './unit.ts';

/** What the units of a family have in common that are of one slice, or of one topic's key. */
export type UnitHome = {
  readonly family: Family;
  /** Place of the family in `FAMILIES`. */
  readonly rank: number;
  readonly scope: string;
  /** Key of the slice that the units are of; undefined: they are of facts. */
  readonly slice: SliceKey | undefined;
};

/** A unit as the planner keeps it: what it is, and what it yielded. */
export class Unit implements UnitKey {
  readonly home: UnitHome;
  readonly item: string;
  projectId: string | undefined;
  dirty = false;
  /** False once it has been taken out of its family: it must not run again. */
  alive = true;
  claims: readonly Claim[] = NOTHING;
  facts: readonly Fact[] = NOTHING;
  /** What its last run read. */
  reads: readonly Readable[] = NOTHING;
  /** What else it yielded; undefined: nothing. */
  rest:
    | Pick<
        Output,
        'vif' | 'guest' | 'error' | 'links' | 'probe' | 'entrances' | 'health' | 'announces' | 'labels' | 'pseudowires'
      >
    | undefined;
  memory: UnitMemory | undefined;
  /** Of a unit with a memory: what changed since it ran, by read. 'everything': no details are known. */
  touched: Map<Readable, Set<string>> | 'everything' = 'everything';

  constructor(home: UnitHome, item: string) {
    this.home = home;
    this.item = item;
  }

  get family(): Family {
    return this.home.family;
  }

  get rank(): number {
    return this.home.rank;
  }

  get scope(): string {
    return this.home.scope;
  }

  /** Whether its claims go before those of the other unit. */
  before(other: Unit): boolean {
    if (this.rank !== other.rank) return this.rank < other.rank;
    if (this.scope !== other.scope) return this.scope < other.scope;
    return this.item < other.item;
  }

  /** As a log shows it. */
  get name(): string {
    return this.item === '' ? `${this.family.name} ${this.scope}` : `${this.family.name} ${this.scope}/${this.item}`;
  }
}

const NOTHING: readonly never[] = [];

/** The units of one family. */
export class UnitTable {
  readonly #family: Family;
  readonly #rank: number;
  readonly #homes = new Map<string, { readonly home: UnitHome; readonly items: Map<string, Unit> }>();

  constructor(family: Family, rank: number) {
    this.#family = family;
    this.#rank = rank;
  }

  /** The unit of this key, made if there is none. */
  ensure(scope: string, item: string): Unit {
    const { home, items } = this.#home(scope);
    const known = items.get(item);
    if (known !== undefined) return known;
    const unit = new Unit(home, item);
    items.set(item, unit);
    return unit;
  }

  get(scope: string, item: string): Unit | undefined {
    return this.#homes.get(scope)?.items.get(item);
  }

  delete(unit: Unit): void {
    unit.alive = false;
    const items = this.#homes.get(unit.scope)?.items;
    items?.delete(unit.item);
    if (items?.size === 0) this.#homes.delete(unit.scope);
  }

  #home(scope: string): { readonly home: UnitHome; readonly items: Map<string, Unit> } {
    const known = this.#homes.get(scope);
    if (known !== undefined) return known;
    const { source } = this.#family;
    const slice: SliceKey | undefined = source.kind === 'topic' ? undefined : `${source.slice}:${scope}`;
    const made = { home: { family: this.#family, rank: this.#rank, scope, slice }, items: new Map<string, Unit>() };
    this.#homes.set(scope, made);
    return made;
  }
}

/** Units that are to run, the first to come first. (Taking the first of a Set costs a look at all that were taken before.) */
export class UnitQueue {
  #units: Unit[] = [];
  #taken = 0;

  add(unit: Unit): void {
    this.#units.push(unit);
  }

  take(): Unit | undefined {
    const unit = this.#units[this.#taken];
    if (unit === undefined) return undefined;
    this.#taken += 1;
    if (this.#taken === this.#units.length) {
      this.#units = [];
      this.#taken = 0;
    }
    return unit;
  }
}
