/** Which addresses many prefixes cover: what is asked of them is answered without a look at each. */
import { type IpPrefix, lastIp } from '@cable/model';

/** From the lowest to the highest address. */
type Span = { readonly first: bigint; readonly last: bigint };

/** By version, in order; no two have an address in common. */
export type Covered = { readonly 4: Span[]; readonly 6: Span[] };

export function coveredBy(prefixes: readonly IpPrefix[]): Covered {
  const covered: Covered = { 4: [], 6: [] };
  for (const prefix of prefixes) cover(covered, prefix);
  return covered;
}

/** From now on the prefix is covered, too. */
export function cover(covered: Covered, prefix: IpPrefix): void {
  const spans = covered[prefix.base.version];
  const added = spanOf(prefix);
  const from = placeOf(spans, added.first);
  let to = from;
  // Prefixes that have an address in common contain one another.
  for (let span = spans[to]; span !== undefined && span.first <= added.last; span = spans[to]) {
    if (span.first <= added.first && span.last >= added.last) return;
    to += 1;
  }
  spans.splice(from, to - from, added);
}

/** True when an address of the prefix is covered. */
export function isTouched(covered: Covered, prefix: IpPrefix): boolean {
  const spans = covered[prefix.base.version];
  const { first, last } = spanOf(prefix);
  const span = spans[placeOf(spans, first)];
  return span !== undefined && span.first <= last;
}

function spanOf(prefix: IpPrefix): Span {
  return { first: prefix.base.value, last: lastIp(prefix).value };
}

/** Place of the first span that does not end before the address. */
function placeOf(spans: readonly Span[], address: bigint): number {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle]?.last ?? address) < address) low = middle + 1;
    else high = middle;
  }
  return low;
}
