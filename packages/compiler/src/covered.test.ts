import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cidrsOverlap, type IpPrefix, parseCidr } from '@cable/model';
import { cover, coveredBy, isTouched } from './covered.ts';

/** Random, and the same each time. */
function prefixes(count: number): readonly IpPrefix[] {
  let state = 11;
  const below = (n: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % n;
  };
  return Array.from({ length: count }, () => {
    const [version, length] = [below(2), below(33)];
    const text =
      version === 0
        ? `10.${below(4)}.${below(8)}.${below(256)}/${length}`
        : `::${below(65536).toString(16)}/${96 + length}`;
    return parseCidr(text, true);
  }).filter((one) => one !== undefined);
}

test('what prefixes cover is what one of them overlaps, whatever they contain of one another', () => {
  let touched = 0;
  const all = prefixes(4000);
  for (let first = 0; first < all.length; first += 40) {
    const [some, asked] = [all.slice(first, first + 20), all.slice(first + 20, first + 40)];
    // Long ones first: short ones would leave nothing to ask about.
    const taken = some.filter(({ prefixLength, base }) => prefixLength > (base.version === 4 ? 20 : 112));
    const covered = coveredBy(taken);
    for (const one of asked) {
      const expected = taken.some((other) => cidrsOverlap(other, one));
      assert.equal(isTouched(covered, one), expected, `${first}: ${String(one.base.value)}/${one.prefixLength}`);
      if (expected) touched += 1;
      else {
        taken.push(one);
        cover(covered, one);
      }
    }
    for (const one of some) cover(covered, one);
    for (const one of asked)
      assert.equal(
        isTouched(covered, one),
        [...taken, ...some].some((other) => cidrsOverlap(other, one)),
      );
  }
  assert.ok(touched > 100, String(touched));
});
