import type { AnyObject } from '@cable/model';
import type { TableChange, Tables } from '../tables.ts';
import { SLOT } from './hidden.ts';

/** The slots that are held of one type in one project. */
export type HeldSlots = {
  /** How many. */
  readonly size: number;
  has(slot: number): boolean;
  /** The highest; -1: there is none. */
  highest(): number;
};

/** Who holds which slot, kept from the tables, by project and type. */
export class SlotBook {
  readonly #held = new Map<string, Slots>();

  /** Follows the tables; make it before they start. */
  follow(tables: Pick<Tables, 'onChange'>): void {
    tables.onChange((_revision, changes) => {
      // A slot may go from one object to another in one batch: first what is freed, then what is taken.
      for (const change of changes) if (slotOf(change.before) !== slotOf(change.after)) this.#release(change);
      for (const change of changes) if (slotOf(change.before) !== slotOf(change.after)) this.#take(change);
    });
  }

  of(projectId: string, type: string): HeldSlots {
    return this.#held.get(nameOf(projectId, type)) ?? NONE;
  }

  #release({ type, id, before }: TableChange): void {
    const slot = slotOf(before);
    if (slot === undefined) return;
    const name = nameOf(before?.['project_id'], type);
    const slots = this.#held.get(name);
    slots?.release(slot, id);
    if (slots?.size === 0) this.#held.delete(name);
  }

  #take({ type, id, after }: TableChange): void {
    const slot = slotOf(after);
    if (slot === undefined) return;
    const name = nameOf(after?.['project_id'], type);
    const slots = this.#held.get(name) ?? new Slots();
    this.#held.set(name, slots);
    slots.take(slot, id);
  }
}

class Slots implements HeldSlots {
  readonly #holders = new Map<number, string>();
  /** Undefined: it is not known. */
  #highest: number | undefined = -1;

  get size(): number {
    return this.#holders.size;
  }

  has(slot: number): boolean {
    return this.#holders.has(slot);
  }

  highest(): number {
    if (this.#highest === undefined) {
      this.#highest = -1;
      for (const slot of this.#holders.keys()) if (slot > this.#highest) this.#highest = slot;
    }
    return this.#highest;
  }

  take(slot: number, id: string): void {
    this.#holders.set(slot, id);
    if (this.#highest !== undefined && slot > this.#highest) this.#highest = slot;
  }

  /** Idempotent: another object may have it by now. */
  release(slot: number, id: string): void {
    if (this.#holders.get(slot) !== id) return;
    this.#holders.delete(slot);
    if (slot === this.#highest) this.#highest = undefined;
  }
}

const NONE: HeldSlots = { size: 0, has: () => false, highest: () => -1 };

function nameOf(projectId: unknown, type: string): string {
  return `${type}/${String(projectId)}`;
}

function slotOf(object: AnyObject | undefined): number | undefined {
  const slot = object?.[SLOT];
  return typeof slot === 'number' ? slot : undefined;
}
