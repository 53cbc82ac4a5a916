/** Which keys are of each group, as the keys say one by one: what is due with the group is found without looking at all. */
export class KeyIndex {
  readonly #group = new Map<string, string>();
  readonly #keys = new Map<string, Set<string>>();

  /** `group` undefined: the key is of none, or gone. */
  put(key: string, group: string | undefined): void {
    const before = this.#group.get(key);
    if (before === group) return;
    if (before !== undefined) {
      const others = this.#keys.get(before);
      others?.delete(key);
      if (others?.size === 0) this.#keys.delete(before);
    }
    if (group === undefined) {
      this.#group.delete(key);
      return;
    }
    this.#group.set(key, group);
    const known = this.#keys.get(group);
    if (known === undefined) this.#keys.set(group, new Set([key]));
    else known.add(key);
  }

  /** Undefined: the key is of none. */
  groupOf(key: string): string | undefined {
    return this.#group.get(key);
  }

  of(group: string): readonly string[] {
    return [...(this.#keys.get(group) ?? [])];
  }
}
