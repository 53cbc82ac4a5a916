/** A header or an item as held: the server's hash of it, and the value. */
export type Held = { readonly hash: number; readonly value: object };

/**
 * What a line says about content, whatever protocol it came by. `reset` voids what is held of a slice, `drop` the slice itself. `deliberate`: items
 * that do not follow a reset are deleted, not absent.
 */
export type ContentLine =
  | { readonly type: 'header'; readonly key: string; readonly held: Held }
  | { readonly type: 'put'; readonly key: string; readonly item: string; readonly held: Held }
  | { readonly type: 'delete'; readonly key: string; readonly item: string }
  | { readonly type: 'reset'; readonly key: string; readonly deliberate: boolean }
  | { readonly type: 'drop'; readonly key: string };

/** What lines have said about one slice since the last applied change. */
export type StagedSlice = {
  /** True: what is held of the slice does not count any more, only what is staged. */
  void: boolean;
  deliberate: boolean;
  /** Undefined: nothing was said about it. */
  header: Held | undefined;
  /** Null: deleted. */
  items: Map<string, Held | null>;
};

/** Lines that do not count yet, folded to the last word on each slice and item. */
export class StagedLines {
  readonly #slices = new Map<string, StagedSlice>();

  get size(): number {
    return this.#slices.size;
  }

  add(line: ContentLine): void {
    switch (line.type) {
      case 'header':
        this.#slice(line.key).header = line.held;
        return;
      case 'put':
        this.#slice(line.key).items.set(line.item, line.held);
        return;
      case 'delete':
        this.#slice(line.key).items.set(line.item, null);
        return;
      case 'reset':
        this.voidSlice(line.key, line.deliberate);
        return;
      case 'drop':
        this.voidSlice(line.key, false);
    }
  }

  /** What is held of the slice, and what was staged of it, counts no more. */
  voidSlice(key: string, deliberate: boolean): void {
    const staged = this.#slices.get(key);
    // What was absent before stays so: a later deliberate word is on what came since.
    const wasAbsent = staged?.void === true && !staged.deliberate;
    this.#slices.set(key, { void: true, deliberate: deliberate && !wasAbsent, header: undefined, items: new Map() });
  }

  get(key: string): StagedSlice | undefined {
    return this.#slices.get(key);
  }

  entries(): Iterable<[string, StagedSlice]> {
    return this.#slices;
  }

  clear(): void {
    this.#slices.clear();
  }

  #slice(key: string): StagedSlice {
    const found = this.#slices.get(key);
    if (found !== undefined) return found;
    const made: StagedSlice = { void: false, deliberate: false, header: undefined, items: new Map() };
    this.#slices.set(key, made);
    return made;
  }
}
