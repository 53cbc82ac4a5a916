import type { SliceKey } from '@cable/model';
import type { Topic } from './topics.ts';
import type { NumberedTopic } from './unit.ts';
import type { Unit } from './units.ts';

/**
 * One thing that units read: a header, an item, the facts under a key, and so on. It knows who read it, so that a change finds them without
 * a look at a name.
 */
export class Readable {
  readonly #space: Map<string, Readable>;
  readonly #key: string;
  #units: Unit | Set<Unit> | undefined;
  #alone: readonly Readable[] | undefined;
  /** Number of the last run that read it. */
  run = 0;

  /** Use `Reads.of`. */
  constructor(space: Map<string, Readable>, key: string) {
    this.#space = space;
    this.#key = key;
  }

  /** What a unit reads that reads nothing else: one list for all of these, of which there may be very many. */
  get alone(): readonly Readable[] {
    this.#alone ??= [this];
    return this.#alone;
  }

  /** Units whose last run read this. They may run meanwhile. */
  get units(): readonly Unit[] {
    if (this.#units === undefined) return NOBODY;
    return this.#units instanceof Set ? [...this.#units] : [this.#units];
  }

  add(unit: Unit): void {
    if (this.#units === undefined) this.#units = unit;
    else if (this.#units instanceof Set) this.#units.add(unit);
    else if (this.#units !== unit) this.#units = new Set([this.#units, unit]);
  }

  /** What nobody reads is forgotten. */
  delete(unit: Unit): void {
    if (this.#units instanceof Set) this.#units.delete(unit);
    if (this.#units !== undefined && this.#units !== unit && !(this.#units instanceof Set && this.#units.size === 0))
      return;
    this.#units = undefined;
    this.#space.delete(this.#key);
  }
}

const NOBODY: readonly never[] = [];

/** What can be read, by space and key. */
export class Reads<Space extends string> {
  readonly #spaces = new Map<Space, Map<string, Readable>>();

  /** Undefined: nobody reads it. */
  find(space: Space, key: string): Readable | undefined {
    return this.#spaces.get(space)?.get(key);
  }

  of(space: Space, key: string): Readable {
    let keys = this.#spaces.get(space);
    if (keys === undefined) {
      keys = new Map();
      this.#spaces.set(space, keys);
    }
    let known = keys.get(key);
    if (known === undefined) {
      known = new Readable(keys, key);
      keys.set(key, known);
    }
    return known;
  }
}

/** Everything that units read. `slices`: of the slice with that key the header, all items as one, or (space: the slice) one item. */
export type AllReads = {
  readonly slices: Reads<'header' | 'items' | SliceKey>;
  readonly facts: Reads<Topic>;
  /** Numbers by topic. `told`: what DNS told a port. `learned`: what BGP told for a VPN. `admission`: whether the policy fits the host. */
  readonly host: Reads<'device' | 'health' | 'gateway' | 'told' | 'learned' | 'admission' | NumberedTopic>;
};

export function createReads(): AllReads {
  return { slices: new Reads(), facts: new Reads(), host: new Reads() };
}
