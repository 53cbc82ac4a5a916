/**
 * A header or an item as held: the server's hash of it, and the value. `kept`: the server left it out, and it stays for the sake of ports that it left out
 * too (`judgeRemoval`); no digest counts it.
 */
export type Held = { readonly hash: number; readonly value: object; readonly kept?: true };

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
  /**
   * What of the slice is held does not count any more, only what is staged: because of a `reset`, a `reset` that deletes what it leaves out, or a
   * `drop`. Undefined: it counts.
   */
  void: 'reset' | 'deliberate' | 'drop' | undefined;
  /** Undefined: nothing was said about it. */
  header: Held | undefined;
  /** Null: deleted. */
  items: Map<string, Held | null>;
};

/** Of a slice about which nothing was said. */
export const NOTHING_STAGED: StagedSlice = { void: undefined, header: undefined, items: new Map() };

/** Lines that do not count yet, folded to the last word on each slice and item. */
export class StagedLines {
  readonly #slices = new Map<string, StagedSlice>();

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
        this.voidSlice(line.key, line.deliberate ? 'deliberate' : 'reset');
        return;
      case 'drop':
        this.voidSlice(line.key, 'drop');
    }
  }

  /** What is held of the slice, and what was staged of it, counts no more; what was deleted is still deleted, not absent. */
  voidSlice(key: string, why: 'reset' | 'deliberate' | 'drop'): void {
    const staged = this.#slices.get(key);
    // What was absent before stays so: a later deliberate word is on what came since.
    const wasAbsent = staged?.void === 'reset' || staged?.void === 'drop';
    const items = new Map<string, null>();
    for (const [item, held] of staged?.items ?? []) if (held === null) items.set(item, null);
    this.#slices.set(key, { void: why === 'deliberate' && wasAbsent ? 'reset' : why, header: undefined, items });
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
    const made: StagedSlice = { void: undefined, header: undefined, items: new Map() };
    this.#slices.set(key, made);
    return made;
  }
}
