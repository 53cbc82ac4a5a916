import { startPatience } from './patience.ts';

/** How long a watch may not say what its store has acknowledged. */
const STUCK_MS = 1000;

/** What one watch has delivered, beside what transactions of the same store were answered: one that lags behind that is stuck. */
export class WatchProgress {
  readonly #isWatched: (key: string) => boolean;
  #delivered: number;
  #expected = 0;
  #onStuck: (() => void) | undefined;
  #stop: (() => void) | undefined;

  /** `isWatched`: whether the watch tells of a key. `delivered`: the revision that it does not have to come to. */
  constructor(isWatched: (key: string) => boolean, delivered: number) {
    this.#isWatched = isWatched;
    this.#delivered = delivered;
  }

  /** These keys were written at the revision. */
  expect(revision: number, keys: () => Iterable<string>): void {
    if (revision <= Math.max(this.#expected, this.#delivered)) return;
    for (const key of keys()) {
      if (!this.#isWatched(key)) continue;
      this.#expected = revision;
      this.#arm();
      return;
    }
  }

  /** Somebody waits for what the watch says next; when that does not come in time, `onStuck` is called once. */
  listen(onStuck: () => void): void {
    this.#onStuck = onStuck;
    this.#arm();
  }

  /** The watch has said something: everything up to a revision, or (0) a part of that. */
  heard(revision: number): void {
    this.#delivered = Math.max(this.#delivered, revision);
    this.rest();
  }

  /** Nobody waits for it. */
  rest(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#onStuck = undefined;
  }

  #arm(): void {
    const onStuck = this.#onStuck;
    if (onStuck === undefined || this.#stop !== undefined || this.#delivered >= this.#expected) return;
    this.#stop = startPatience(STUCK_MS, () => {
      this.rest();
      onStuck();
    });
  }
}

/** The watches of one store. */
export class OpenWatches {
  readonly #open = new Set<WatchProgress>();

  add(progress: WatchProgress): void {
    this.#open.add(progress);
  }

  remove(progress: WatchProgress): void {
    this.#open.delete(progress);
    progress.rest();
  }

  /** A request was done at the revision, and has written these keys. */
  acknowledged(revision: number, keys: () => Iterable<string>): void {
    for (const progress of this.#open) progress.expect(revision, keys);
  }
}
