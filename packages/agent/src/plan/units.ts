import type { ReadKey } from '@cable/kit';
import type { Claim } from './claims.ts';
import type { Fact } from './facts.ts';
import type { Family, Output, UnitKey, UnitMemory } from './unit.ts';

/** A unit as the planner keeps it: what it is, and what it yielded. */
export class Unit implements UnitKey {
  readonly family: Family;
  /** Place of the family in `FAMILIES`. */
  readonly rank: number;
  readonly scope: string;
  readonly item: string;
  projectId: string | undefined;
  dirty = false;
  /** False once it has been taken out of its family: it must not run again. */
  alive = true;
  claims: readonly Claim[] = NOTHING;
  facts: readonly Fact[] = NOTHING;
  /** What else it yielded; undefined: nothing. */
  rest: Pick<Output, 'vif' | 'guest' | 'error' | 'links'> | undefined;
  memory: UnitMemory | undefined;
  /** Of a unit with a memory: what changed since it ran, by read. 'everything': no details are known. */
  touched: Map<ReadKey, Set<string>> | 'everything' = 'everything';

  constructor(family: Family, rank: number, key: UnitKey) {
    this.family = family;
    this.rank = rank;
    this.scope = key.scope;
    this.item = key.item;
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
  readonly #scopes = new Map<string, Map<string, Unit>>();

  constructor(family: Family, rank: number) {
    this.#family = family;
    this.#rank = rank;
  }

  /** The unit of this key, made if there is none. */
  ensure(scope: string, item: string): Unit {
    const items = this.#scopes.get(scope) ?? new Map<string, Unit>();
    this.#scopes.set(scope, items);
    const known = items.get(item);
    if (known !== undefined) return known;
    const unit = new Unit(this.#family, this.#rank, { scope, item });
    items.set(item, unit);
    return unit;
  }

  get(scope: string, item: string): Unit | undefined {
    return this.#scopes.get(scope)?.get(item);
  }

  delete(unit: Unit): void {
    unit.alive = false;
    const items = this.#scopes.get(unit.scope);
    items?.delete(unit.item);
    if (items?.size === 0) this.#scopes.delete(unit.scope);
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
