import { CB_SERVICE_SLOT_MAX, CB_SERVICE_SLOT_MIN } from '../bpf/abi.gen.ts';

/** A released slot rests this long: an answer on its way to the old guest must not reach a new one. */
const REST_MS = 60_000;

/** Service address slots of ports: a port keeps its slot as long as it has a device; another gets the lowest that is free. */
export class SlotTable {
  readonly #now: () => number;
  readonly #slots: Map<string, number>;
  readonly #taken: Set<number>;
  readonly #restingUntil = new Map<number, number>();

  /** `existing`: slots that the pinned maps hold, by port id. */
  constructor(existing: ReadonlyMap<string, number>, now: () => number) {
    this.#now = now;
    this.#slots = new Map(existing);
    this.#taken = new Set(existing.values());
  }

  /**
   * Gives slots to these ports; with `release` takes them from all others. (Before the server was heard, other ports may only be
   * unknown yet, and must find their slots again.) A port that finds none free has none in the result.
   */
  assign(portIds: Iterable<string>, options: { readonly release: boolean }): ReadonlyMap<string, number> {
    const wanted = [...new Set(portIds)].sort();
    if (options.release) this.#releaseAllBut(new Set(wanted));
    for (const portId of wanted) {
      if (this.#slots.has(portId)) continue;
      const slot = this.#lowestFree();
      if (slot === undefined) break;
      this.#slots.set(portId, slot);
      this.#taken.add(slot);
    }
    return new Map(this.#slots);
  }

  #releaseAllBut(wanted: ReadonlySet<string>): void {
    for (const [portId, slot] of this.#slots) {
      if (wanted.has(portId)) continue;
      this.#slots.delete(portId);
      this.#taken.delete(slot);
      this.#restingUntil.set(slot, this.#now() + REST_MS);
    }
  }

  #lowestFree(): number | undefined {
    for (let slot = CB_SERVICE_SLOT_MIN; slot <= CB_SERVICE_SLOT_MAX; slot += 1) {
      if (this.#taken.has(slot)) continue;
      const until = this.#restingUntil.get(slot);
      if (until !== undefined && until > this.#now()) continue;
      this.#restingUntil.delete(slot);
      return slot;
    }
    return undefined;
  }
}
