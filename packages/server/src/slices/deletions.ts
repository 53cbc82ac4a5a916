import type { NodeKey } from '@cable/compiler';

/** A host has at most so many ports. */
const MOST_A_SLICE = 8192;

/** Of all slices together: some 30 MB. */
const MOST = 1 << 18;

/**
 * Ports that hosts do not carry any more, because they were deleted or moved: so that a host that is sent all of its ports anew is told which are gone deliberately. (Of others
 * that it holds the server knows nothing, which may be because it lost part of its store.) Within a bound; the host that lost a port longest ago is forgotten first.
 */
export class Deletions {
  readonly #slices = new Map<NodeKey, Set<string>>();
  #size = 0;

  add(key: NodeKey, item: string): void {
    const items = this.#slices.get(key) ?? new Set<string>();
    this.#slices.delete(key);
    this.#slices.set(key, items);
    const before = items.size;
    items.add(item);
    this.#size += items.size - before;
    if (items.size > MOST_A_SLICE) this.#forgetFirst(items);
    for (const [other, { size }] of this.#slices) {
      if (this.#size <= MOST) return;
      this.#slices.delete(other);
      this.#size -= size;
    }
  }

  /** It is there again. */
  forget(key: NodeKey, item: string): void {
    if (this.#slices.get(key)?.delete(item)) this.#size -= 1;
  }

  of(key: NodeKey): Iterable<string> {
    return this.#slices.get(key) ?? [];
  }

  /** The slice is no more. */
  drop(key: NodeKey): void {
    this.#size -= this.#slices.get(key)?.size ?? 0;
    this.#slices.delete(key);
  }

  clear(): void {
    this.#slices.clear();
    this.#size = 0;
  }

  #forgetFirst(items: Set<string>): void {
    for (const item of items) {
      items.delete(item);
      this.#size -= 1;
      return;
    }
  }
}
