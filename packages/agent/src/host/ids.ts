import { CB_MAX_NET, CB_MAX_PROJECT, CB_MAX_TUNNEL, CB_MAX_VIF } from '../bpf/abi.gen.ts';
import type { IdKind } from '../plan/inputs.ts';

/** Numbers by kind. */
export type HostIds = Readonly<Record<IdKind, IdTable>>;

/** A released VIF number rests this long: an answer of a guest service on its way to the old guest must not reach a new one. */
const VIF_REST_MS = 60_000;

/** `existing`: what the pinned maps hold, by name. `now`: milliseconds, monotonic. */
export function createHostIds(
  existing: Readonly<Record<IdKind, ReadonlyMap<string, number>>>,
  now: () => number,
): HostIds {
  const table = (kind: IdKind, max: number, restMs = 0): IdTable =>
    new IdTable({ max, restMs, now, existing: existing[kind] });
  return {
    vif: table('vif', CB_MAX_VIF, VIF_REST_MS),
    network: table('network', CB_MAX_NET),
    tunnel: table('tunnel', CB_MAX_TUNNEL),
    project: table('project', CB_MAX_PROJECT),
  };
}

/** For an agent that begins afresh. */
export const NO_IDS: Readonly<Record<IdKind, ReadonlyMap<string, number>>> = {
  vif: new Map(),
  network: new Map(),
  tunnel: new Map(),
  project: new Map(),
};

export type IdTableOptions = {
  /** Numbers are 1 to `max` - 1. */
  readonly max: number;
  /** How long a number rests after it has gone from the maps. */
  readonly restMs: number;
  readonly now: () => number;
  readonly existing: ReadonlyMap<string, number>;
};

/** Dense numbers by name: a name keeps its number until it is released; another gets the lowest that is free. */
export class IdTable {
  readonly #max: number;
  readonly #restMs: number;
  readonly #now: () => number;
  readonly #ids: Map<string, number>;
  /** Names of an earlier run that have not asked for their number yet. */
  readonly #unclaimed: Set<string>;
  /** Released numbers that the maps may still hold. */
  #leaving: number[] = [];
  /** Numbers that the maps no longer hold, the first to be free again first. */
  readonly #resting: { readonly id: number; readonly until: number }[] = [];
  /** Free numbers below `#next`, the lowest last. */
  readonly #free: number[];
  #next: number;

  constructor({ max, restMs, now, existing }: IdTableOptions) {
    this.#max = max;
    this.#restMs = restMs;
    this.#now = now;
    this.#ids = new Map(existing);
    this.#unclaimed = new Set(existing.keys());
    const taken = new Set(existing.values());
    this.#next = Math.max(0, ...taken) + 1;
    this.#free = [];
    for (let id = this.#next - 1; id > 0; id -= 1) if (!taken.has(id)) this.#free.push(id);
  }

  /** Numbers by name. */
  get ids(): ReadonlyMap<string, number> {
    return this.#ids;
  }

  /** The name's number, which it keeps until it is released; undefined: none is free. */
  acquire(name: string): number | undefined {
    this.#unclaimed.delete(name);
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.#lowestFree();
    if (id !== undefined) this.#ids.set(name, id);
    return id;
  }

  /** The name needs none any more. */
  release(name: string): void {
    const id = this.#ids.get(name);
    if (id === undefined) return;
    this.#ids.delete(name);
    this.#unclaimed.delete(name);
    this.#leaving.push(id);
  }

  /** All names are known now: those of an earlier run that did not ask are gone. */
  releaseUnclaimed(): void {
    for (const name of this.#unclaimed) this.release(name);
  }

  /** The maps hold nothing any more of what was released until now. */
  settle(): void {
    if (this.#leaving.length === 0) return;
    const until = this.#now() + this.#restMs;
    for (const id of this.#leaving) this.#resting.push({ id, until });
    this.#leaving = [];
  }

  #lowestFree(): number | undefined {
    for (let first = this.#resting[0]; first !== undefined && first.until <= this.#now(); first = this.#resting[0]) {
      this.#resting.shift();
      const { id } = first;
      const at = this.#free.findIndex((free) => free < id);
      this.#free.splice(at < 0 ? this.#free.length : at, 0, id);
    }
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#next >= this.#max) return undefined;
    this.#next += 1;
    return this.#next - 1;
  }
}
