/** A 16-bit value's leading bits: `length` 0..16 counts those that matter, the rest of `value` are zero. */
export type PortPrefix = { readonly value: number; readonly length: number };

/** The fewest prefixes that cover exactly the ports from `first` to `last` (both included); none when `first > last`. */
export function portPrefixes(first: number, last: number): readonly PortPrefix[] {
  const prefixes: PortPrefix[] = [];
  let at = Math.max(0, first);
  const end = Math.min(0xffff, last);
  while (at <= end) {
    let size = at === 0 ? 0x10000 : at & -at;
    while (at + size - 1 > end) size /= 2;
    prefixes.push({ value: at, length: 16 - Math.log2(size) });
    at += size;
  }
  return prefixes;
}
