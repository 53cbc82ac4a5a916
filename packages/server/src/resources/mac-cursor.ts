/** How many MAC addresses begin with `fa:16:3e`. */
const COUNT = 0x100_0000;

/**
 * Which MAC address a server tries next: one after another from a random one on, so that no two networks get the same one as a rule, and the keys of ports that
 * are made together lie together in the store.
 */
export class MacCursor {
  readonly #random: () => number;
  #next: number;

  /** `random`: 0..1. */
  constructor(random: () => number) {
    this.#random = random;
    this.#next = this.#anyOf();
  }

  /** Neutron's prefix and three octets. */
  next(): string {
    const tail = this.#next.toString(16).padStart(6, '0');
    this.#next = (this.#next + 1) % COUNT;
    return `fa:16:3e:${tail.slice(0, 2)}:${tail.slice(2, 4)}:${tail.slice(4)}`;
  }

  /** Goes on elsewhere: what is next is taken, and what follows may be. */
  jump(): void {
    this.#next = this.#anyOf();
  }

  #anyOf(): number {
    return Math.floor(this.#random() * COUNT) % COUNT;
  }
}
