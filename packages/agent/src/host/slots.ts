import { CB_SERVICE_SLOT_MAX, CB_SERVICE_SLOT_MIN } from '../bpf/abi.gen.ts';

/** A released slot rests this long: an answer on its way to the old guest must not reach a new one. */
const REST_MS = 60_000;

/** Service address slots of ports: a port keeps its slot as long as it has a device; another gets the lowest that is free. */
export class SlotTable {
  readonly #now: () => number;
  readonly #slots: Map<string, number>;
  /** Ports of an earlier run that have not asked for their slot yet. */
  readonly #unclaimed: Set<string>;
  /** Released slots, the first to be free again first. */
  readonly #resting: { readonly slot: number; readonly until: number }[] = [];
  /** Free slots below `#next`, the lowest last. */
  readonly #free: number[];
  #next: number;

  /** `existing`: slots that the pinned maps hold, by port id. */
  constructor(existing: ReadonlyMap<string, number>, now: () => number) {
    this.#now = now;
    this.#slots = new Map(existing);
    this.#unclaimed = new Set(existing.keys());
    const taken = new Set(existing.values());
    this.#next = Math.max(CB_SERVICE_SLOT_MIN - 1, ...taken) + 1;
    this.#free = [];
    for (let slot = this.#next - 1; slot >= CB_SERVICE_SLOT_MIN; slot -= 1) if (!taken.has(slot)) this.#free.push(slot);
  }

  /** The port's slot, which it keeps until it is released; undefined: none is free. */
  acquire(portId: string): number | undefined {
    this.#unclaimed.delete(portId);
    const known = this.#slots.get(portId);
    if (known !== undefined) return known;
    const slot = this.#lowestFree();
    if (slot !== undefined) this.#slots.set(portId, slot);
    return slot;
  }

  /** The port needs none any more. */
  release(portId: string): void {
    const slot = this.#slots.get(portId);
    if (slot === undefined) return;
    this.#slots.delete(portId);
    this.#unclaimed.delete(portId);
    this.#resting.push({ slot, until: this.#now() + REST_MS });
  }

  /** All ports are known now: those of an earlier run that did not ask are gone. */
  releaseUnclaimed(): void {
    for (const portId of this.#unclaimed) this.release(portId);
  }

  #lowestFree(): number | undefined {
    for (let first = this.#resting[0]; first !== undefined && first.until <= this.#now(); first = this.#resting[0]) {
      this.#resting.shift();
      const at = this.#free.findIndex((slot) => slot < first.slot);
      this.#free.splice(at < 0 ? this.#free.length : at, 0, first.slot);
    }
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    if (this.#next > CB_SERVICE_SLOT_MAX) return undefined;
    this.#next += 1;
    return this.#next - 1;
  }
}
