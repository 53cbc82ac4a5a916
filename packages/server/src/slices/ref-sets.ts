import type { NodeKey } from '@cable/compiler';

/** What an item or a header refers to, shared by all that refer to the same: hundreds of thousands of ports have a few thousand of these. */
export type RefSet = { readonly name: string; readonly keys: readonly NodeKey[]; uses: number };

export const NO_REFS: RefSet = { name: '', keys: [], uses: 0 };

/** The sets in use. Equal ones are the same object. */
export class RefSets {
  readonly #sets = new Map<string, RefSet>();

  /** The set, with one use more. */
  acquire(keys: readonly NodeKey[]): RefSet {
    if (keys.length === 0) return NO_REFS;
    const name = keys.join('\0');
    const found = this.#sets.get(name) ?? { name, keys, uses: 0 };
    found.uses += 1;
    if (found.uses === 1) this.#sets.set(name, found);
    return found;
  }

  release(set: RefSet): void {
    if (set === NO_REFS) return;
    set.uses -= 1;
    if (set.uses === 0) this.#sets.delete(set.name);
  }
}
