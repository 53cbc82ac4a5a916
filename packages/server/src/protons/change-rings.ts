/** The last changes of objects of protons, by type: what watches are told of. */
import type { AnyObject } from '@cable/model';
import type { LoadedResources, ResourceRegistry } from '../engine/registry.ts';
import type { Tables } from '../tables.ts';

/** Changes that are kept of a type. */
const KEPT = 4096;

/** One object before and after; undefined: it was not there. */
export type ObjectChange = {
  readonly revision: number;
  readonly before: AnyObject | undefined;
  readonly after: AnyObject | undefined;
};

type Ring = {
  /** Every change after this revision is in `changes`. */
  floor: number;
  readonly changes: ObjectChange[];
};

export type ChangeRingsDeps = {
  readonly tables: Pick<Tables, 'onChange' | 'revision'>;
  readonly resources: Pick<ResourceRegistry, 'current' | 'onChange'>;
  readonly signal: AbortSignal;
};

/** Keeps them from when it is made. One a server. */
export class ChangeRings {
  readonly #rings = new Map<string, Ring>();
  readonly #waiting = new Set<() => void>();
  readonly #tables: ChangeRingsDeps['tables'];
  readonly #signal: AbortSignal;
  #revision: number;

  constructor({ tables, resources, signal }: ChangeRingsDeps) {
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    this.#revision = tables.revision;
    this.#tables = tables;
    this.#open(resources.current, undefined);
    resources.onChange((now, before) => this.#open(now, before));
    tables.onChange((revision, changes) => {
      // The store has another history: what is known is void.
      if (revision < this.#revision) this.restart(revision);
      this.#revision = revision;
      for (const { type, before, after } of changes) {
        this.#add(type, { revision, before, after });
      }
      this.#wake();
    });
  }

  /** True: nothing is told any more. */
  get isEnded(): boolean {
    return this.#signal.aborted;
  }

  /** Everything up to this revision has been told. */
  get revision(): number {
    return this.#revision;
  }

  /** All changes of the type after the revision, in order; undefined: some are not known any more, or of a revision that is not reached. */
  after(type: string, revision: number): readonly ObjectChange[] | undefined {
    if (revision > this.#revision) return undefined;
    const ring = this.#rings.get(type);
    if (ring === undefined || revision < ring.floor) return undefined;
    const { changes } = ring;
    return changes.slice(firstAfter(changes, revision));
  }

  /** Resolves with the next change of anything, at the latest when the signal aborts or the time is over. */
  next(signal: AbortSignal, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });
  }

  /** What came before this revision is of another history. */
  restart(revision: number): void {
    for (const ring of this.#rings.values()) {
      ring.floor = revision;
      ring.changes.length = 0;
    }
    this.#wake();
  }

  /** Of a type that is new, or is another one now, what was before says nothing. */
  #open(now: LoadedResources, before: LoadedResources | undefined): void {
    for (const type of this.#rings.keys()) if (now.protonOf(type) === undefined) this.#rings.delete(type);
    for (const type of now.protonTypes) {
      const isSame = before?.protonOf(type)?.digest === now.protonOf(type)?.digest;
      if (!isSame || !this.#rings.has(type)) this.#rings.set(type, { floor: this.#tables.revision, changes: [] });
    }
    this.#wake();
  }

  #add(type: string, change: ObjectChange): void {
    const ring = this.#rings.get(type);
    if (ring === undefined) return;
    ring.changes.push(change);
    if (ring.changes.length <= 2 * KEPT) return;
    const gone = ring.changes.splice(0, ring.changes.length - KEPT);
    ring.floor = gone.at(-1)?.revision ?? ring.floor;
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

/** Where the changes after the revision begin. */
function firstAfter(changes: readonly ObjectChange[], revision: number): number {
  let [low, high] = [0, changes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((changes[middle]?.revision ?? 0) > revision) high = middle;
    else low = middle + 1;
  }
  return low;
}
