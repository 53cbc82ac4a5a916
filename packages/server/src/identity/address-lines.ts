/**
 * Strangers who wait for their turn, by address: turns go round between the addresses, one has few at once, and when there is no place the one with the most waiting loses
 * one. An address whose tokens were none lately is blamed: it comes after the others, gives way before them, and leaves them some turns. Each step costs the same, however many wait.
 */
import { BoundedMap } from './bounded-map.ts';

/** Told once: how to end the turn that it has now; undefined: it has none. */
export type Waiter = (leave: (() => void) | undefined) => void;

/** Questions of one address under way, and those that wait. */
const TURNS_OF_ONE = 8;
const PLACES_OF_ONE = 128;
/** Of all addresses so many wait. */
const PLACES = 512;
/** Turns of all that are blamed. */
const TURNS_OF_BLAMED = 16;
const BLAMED_MS = 60_000;
const BLAMED_KEPT = 20_000;

type Line = { readonly address: string; readonly waiting: Set<Waiter>; underWay: number; rank: Rank };

type Rank = {
  readonly turns: number;
  underWay: number;
  /** Lines of which one may have a turn, in the order in which it is theirs. */
  readonly ring: Set<Line>;
  /** Lines with so many waiting; none is longer than `longest`. */
  readonly byLength: Set<Line>[];
  longest: number;
};

export class AddressLines {
  readonly #now: () => number;
  /** Of addresses that have something under way, or waiting. */
  readonly #lines = new Map<string, Line>();
  /** Until when. */
  readonly #blamed = new BoundedMap<number>(BLAMED_KEPT);
  readonly #ranks = { good: openRank(Infinity), blamed: openRank(TURNS_OF_BLAMED) };
  #waiting = 0;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** A turn for the address, at once, which is ended with what is given; undefined: it has as many as it may. */
  enter(address: string): (() => void) | undefined {
    const line = this.#lineOf(address);
    return line.underWay < TURNS_OF_ONE && line.rank.underWay < line.rank.turns ? this.#begin(line) : undefined;
  }

  /** Waits for a turn of the address. Gives how to give it up, after which the waiter is told nothing. It may be told at once that there is no place. */
  wait(address: string, waiter: Waiter): () => void {
    const line = this.#lineOf(address);
    if (line.waiting.size >= PLACES_OF_ONE) {
      waiter(undefined);
      return () => {};
    }
    this.#change(line, () => line.waiting.add(waiter));
    if (this.#waiting > PLACES) this.#dropOne();
    return () => {
      if (line.waiting.has(waiter)) this.#change(line, () => line.waiting.delete(waiter));
    };
  }

  /** Gives the next one that waits a turn. False: none waits that may have one. */
  handOn(): boolean {
    const { good, blamed } = this.#ranks;
    for (const rank of [good, blamed]) {
      const [line] = rank.ring;
      const [waiter] = line?.waiting ?? [];
      if (line === undefined || waiter === undefined || rank.underWay >= rank.turns) continue;
      // It goes behind the others.
      rank.ring.delete(line);
      this.#change(line, () => line.waiting.delete(waiter));
      waiter(this.#begin(line));
      return true;
    }
    return false;
  }

  /** A token of the address was none. */
  blame(address: string): void {
    this.#blamed.set(address, this.#now() + BLAMED_MS);
    if (this.#lines.has(address)) this.#lineOf(address);
  }

  #begin(line: Line): () => void {
    const { rank } = line;
    rank.underWay += 1;
    this.#change(line, () => {
      line.underWay += 1;
    });
    return () => {
      rank.underWay -= 1;
      this.#change(line, () => {
        line.underWay -= 1;
      });
    };
  }

  /** Where it is now, blamed or not. */
  #lineOf(address: string): Line {
    const isBlamed = (this.#blamed.get(address) ?? 0) > this.#now();
    const rank = isBlamed ? this.#ranks.blamed : this.#ranks.good;
    const line = this.#lines.get(address) ?? { address, waiting: new Set(), underWay: 0, rank };
    if (line.rank !== rank) {
      line.rank.ring.delete(line);
      this.#change(line, () => {
        line.rank = rank;
      });
    }
    return line;
  }

  /** Changes a line and puts it where it belongs then. */
  #change(line: Line, change: () => void): void {
    const { waiting } = line;
    const before = waiting.size;
    line.rank.byLength[before]?.delete(line);
    change();
    const { rank } = line;
    this.#waiting += waiting.size - before;
    if (waiting.size > 0) {
      const alike = rank.byLength[waiting.size] ?? new Set();
      rank.byLength[waiting.size] = alike.add(line);
      rank.longest = Math.max(rank.longest, waiting.size);
    }
    if (waiting.size > 0 && line.underWay < TURNS_OF_ONE) rank.ring.add(line);
    else rank.ring.delete(line);
    if (waiting.size > 0 || line.underWay > 0) this.#lines.set(line.address, line);
    else this.#lines.delete(line.address);
  }

  /** Who has waited for the longest would be the first to be told so anyway. */
  #dropOne(): void {
    const { good, blamed } = this.#ranks;
    const [line] = longestOf(blamed) ?? longestOf(good) ?? [];
    const [waiter] = line?.waiting ?? [];
    if (line === undefined || waiter === undefined) return;
    this.#change(line, () => line.waiting.delete(waiter));
    waiter(undefined);
  }
}

function openRank(turns: number): Rank {
  return { turns, underWay: 0, ring: new Set(), byLength: Array.from({ length: PLACES_OF_ONE + 1 }), longest: 0 };
}

/** The lines with the most waiting; undefined: none waits. */
function longestOf(rank: Rank): ReadonlySet<Line> | undefined {
  while (rank.longest > 0 && (rank.byLength[rank.longest]?.size ?? 0) === 0) rank.longest -= 1;
  return rank.longest === 0 ? undefined : rank.byLength[rank.longest];
}
