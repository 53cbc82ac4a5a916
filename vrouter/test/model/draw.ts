import { seededRandom } from '../../../packages/kit/src/seeded-random.ts';

/** Draws from small pools. The same seed draws the same. */
export class Draw {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A whole number from 0 up to below `bound`. */
  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  chance(of: number): boolean {
    return this.#random() < of;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new Error('there is nothing to draw from');
    return list[this.below(list.length)] as T;
  }

  /** As many as `count`, of the list's, each once. */
  some<T>(list: readonly T[], count: number): readonly T[] {
    const left = [...list];
    return Array.from({ length: Math.min(count, list.length) }, () => left.splice(this.below(left.length), 1)).flat();
  }

  /** One of the keys, each as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const all = Object.entries(weights) as [K, number][];
    let at = this.#random() * all.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of all) {
      at -= weight;
      if (at < 0) return key;
    }
    return this.pick(all)[0];
  }
}
