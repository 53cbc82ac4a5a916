import { contains, type Prefix } from './address.ts';

/** A prefix whose addresses (less those of longer prefixes in the list) lie in exactly these selectors. */
export type ClassedPrefix = {
  readonly prefix: Prefix;
  /** Indexes of selectors, rising. */
  readonly selectors: readonly number[];
  /** The selectors as text: the class's identity within the policy. */
  readonly key: string;
};

/**
 * Splits the address space by the selectors that contain each address: the longest listed prefix of an address names all of its
 * selectors. A prefix that would say the same as the one around it is left out.
 */
export function classify(selectors: readonly (readonly Prefix[])[]): readonly ClassedPrefix[] {
  const sorted = collect(selectors);
  const around: ClassedPrefix[] = [];
  const result: ClassedPrefix[] = [];
  for (const { prefix, own } of sorted) {
    let top = around.at(-1);
    while (top !== undefined && !contains(top.prefix, prefix)) {
      around.pop();
      top = around.at(-1);
    }
    const all = top === undefined ? [...own] : [...new Set([...top.selectors, ...own])];
    if (all.length > 1) all.sort((a, b) => a - b);
    const key = all.join(',');
    if (top?.key === key) continue;
    const classed = { prefix, selectors: all, key };
    around.push(classed);
    result.push(classed);
  }
  return result;
}

/** Each distinct prefix with the selectors that list it, a containing prefix before the contained. */
function collect(selectors: readonly (readonly Prefix[])[]): { prefix: Prefix; own: Set<number> }[] {
  const found = new Map<string, { prefix: Prefix; own: Set<number> }>();
  for (const [index, prefixes] of selectors.entries()) {
    for (const prefix of prefixes) {
      const row = found.get(prefix.order);
      if (row === undefined) found.set(prefix.order, { prefix, own: new Set([index]) });
      else row.own.add(index);
    }
  }
  return [...found.values()].sort((a, b) => (a.prefix.order < b.prefix.order ? -1 : 1));
}
