import type { ByteText } from '../bpf/codec.ts';
import { orderAround } from './address.ts';
import { Numbering, type NumberOf } from './numbers.ts';
import { PrefixRows, type Row } from './prefix-rows.ts';

/** A set of selectors that some address lies in exactly. */
export type PolicyClass = {
  /** Names of its selectors joined: what its number is made from. */
  readonly name: string;
  readonly selectors: readonly string[];
  /** Prefixes that have it. */
  prefixes: number;
  /** Those of them that only selectors list whose members are told. */
  told: number;
};

/** A prefix: the selectors that list it, and its class. No class: what it would say, the prefix around it says already. */
export type ClassedPrefix = Row<{
  own: readonly string[];
  class: PolicyClass | undefined;
  /** It has a class, and only selectors list it whose members are told. */
  isTold: boolean;
  /** Key of the entry that is claimed for it; undefined: none is. The owner's of the classes. */
  claimed: ByteText | undefined;
}>;

/** What changed: prefixes whose class is another, prefixes that are gone, classes that came, went or have another number. */
export type ClassChanges = {
  readonly moved: readonly ClassedPrefix[];
  readonly gone: readonly ClassedPrefix[];
  readonly renumbered: ReadonlySet<string>;
  readonly dead: ReadonlySet<PolicyClass>;
};

/** The selectors that list a prefix (`Prefix.order`), sorted by name. */
export type Listed = (order: string) => readonly string[];

/**
 * Splits the address space by the selectors that contain each address: the longest listed prefix of an address names all of its selectors. A
 * prefix that is listed by others than before changes its own class and those of the prefixes in it; nothing else is looked at.
 */
export class PolicyClasses {
  readonly #rows = new PrefixRows<ClassedPrefix['state']>();
  readonly #classes = new Map<string, PolicyClass>();
  readonly #numbers: Numbering;
  readonly #isTold: (selector: string) => boolean;
  #classed = 0;

  /** `isTold`: whether the members of a selector are told; absent: of none. */
  constructor(numberOf: NumberOf, isTold: (selector: string) => boolean = () => false) {
    this.#numbers = new Numbering(numberOf);
    this.#isTold = isTold;
  }

  /** Prefixes that have a class. */
  get classed(): number {
    return this.#classed;
  }

  get rows(): Iterable<ClassedPrefix> {
    return this.#rows.values();
  }

  get classes(): ReadonlyMap<string, PolicyClass> {
    return this.#classes;
  }

  /** The class of an address (`Prefix.order`); undefined: it has none. */
  classAt(address: string): PolicyClass | undefined {
    for (let length = 128; length >= 0; length -= 1) {
      const found = this.#rows.get(orderAround(address, length))?.state.class;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  numberOf(one: PolicyClass): number {
    return this.#numbers.get(one.name) ?? 0;
  }

  /** These prefixes, each named once or more often, may be listed by others than before. Works in portions. */
  *update(touched: Iterable<string>, listed: Listed): Generator<void, ClassChanges> {
    const check: ClassedPrefix[] = [];
    const gone: ClassedPrefix[] = [];
    const containers: ClassedPrefix[] = [];
    for (const order of touched) {
      const row = this.#list(order, listed(order));
      if (row !== undefined) {
        (row.state.own.length === 0 ? gone : check).push(row);
        if (row.length < 128) containers.push(row);
      }
      yield;
    }
    for (const container of containers) {
      for (const row of this.#rows.within(container)) {
        check.push(row);
        yield;
      }
    }
    const moved: ClassedPrefix[] = [];
    const seen = new Set<PolicyClass>();
    for (const row of gone) this.#move(row, undefined, seen);
    for (const row of check) {
      if (this.#move(row, this.#classOf(row), seen)) moved.push(row);
      yield;
    }
    return { moved, gone, ...this.#settle(seen) };
  }

  /** Undefined: it is listed by the same as before. A row that nobody lists any more is taken out. */
  #list(order: string, own: readonly string[]): ClassedPrefix | undefined {
    const row = this.#rows.get(order);
    if (row === undefined)
      return own.length === 0
        ? undefined
        : this.#rows.add(order, { own, class: undefined, isTold: false, claimed: undefined });
    if (sameNames(row.state.own, own)) return undefined;
    row.state.own = own;
    if (own.length === 0) this.#rows.delete(row);
    return row;
  }

  #classOf(row: ClassedPrefix): PolicyClass | undefined {
    const { own } = row.state;
    const selectors = this.#rows.flat ? own : this.#selectors(row);
    if (selectors === undefined || selectors.length === 0) return undefined;
    const name = selectors.length === 1 ? (selectors[0] ?? '') : selectors.join('+');
    const known = this.#classes.get(name);
    if (known !== undefined) return known;
    const made = { name, selectors, prefixes: 0, told: 0 };
    this.#classes.set(name, made);
    return made;
  }

  /** Of the row and of what is around it; undefined: its own are all around it already. */
  #selectors(row: ClassedPrefix): readonly string[] | undefined {
    const { own } = row.state;
    const around = new Set<string>();
    for (const { state } of this.#rows.around(row)) for (const name of state.own) around.add(name);
    if (own.every((name) => around.has(name))) return undefined;
    return around.size === 0 ? own : [...new Set([...around, ...own])].sort();
  }

  #move({ state }: ClassedPrefix, to: PolicyClass | undefined, seen: Set<PolicyClass>): boolean {
    const from = state.class;
    if (to !== undefined) seen.add(to);
    const isTold = to !== undefined && state.own.every((one) => this.#isTold(one));
    const isOther = isTold !== state.isTold;
    if (state.isTold && from !== undefined) from.told -= 1;
    if (isTold) to.told += 1;
    state.isTold = isTold;
    if (from === to) return isOther;
    if (from !== undefined) {
      from.prefixes -= 1;
      this.#classed -= 1;
      seen.add(from);
    }
    if (to !== undefined) {
      to.prefixes += 1;
      this.#classed += 1;
    }
    state.class = to;
    return true;
  }

  /** Gives numbers to classes that came and takes them from those that went. */
  #settle(seen: ReadonlySet<PolicyClass>): Pick<ClassChanges, 'renumbered' | 'dead'> {
    const dead = new Set<PolicyClass>();
    const renumbered = new Set<string>();
    for (const one of seen) {
      if (one.prefixes === 0) {
        dead.add(one);
        this.#classes.delete(one.name);
      }
      const changed = one.prefixes === 0 ? this.#numbers.delete(one.name) : this.#numbers.add(one.name);
      for (const name of changed) renumbered.add(name);
    }
    for (const { name } of dead) renumbered.delete(name);
    return { renumbered, dead };
  }
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((name, i) => name === b[i]));
}
