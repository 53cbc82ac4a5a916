import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { formatCidr, type IpPrefix, parseCidr } from '@cable/model';
import { PrefixSet } from './prefix-set.ts';

const prefix = (text: string): IpPrefix => parseCidr(text) ?? assert.fail(text);
const setOf = (...texts: string[]): PrefixSet => PrefixSet.of(texts.map(prefix));
const texts = (set: PrefixSet): readonly string[] => set.texts();

test('prefixes beside one another become one', () => {
  assert.deepEqual(texts(setOf('10.1.0.0/24', '10.0.1.0/24', '10.0.0.0/24')), ['10.0.0.0/23', '10.1.0.0/24']);
  assert.deepEqual(texts(setOf('fd00:1::/32', 'fd00::/32', 'fd00:1:2::/48')), ['fd00::/31']);
  assert.deepEqual(texts(setOf('0.0.0.0/1', '128.0.0.0/1')), ['0.0.0.0/0']);
  assert.deepEqual(texts(setOf()), []);
});

test('what is taken out leaves the rest', () => {
  assert.deepEqual(texts(setOf('10.0.0.0/22').without(prefix('10.0.1.0/24'))), ['10.0.0.0/24', '10.0.2.0/23']);
  assert.deepEqual(texts(setOf('10.0.0.0/24').without(prefix('10.0.0.0/8'))), []);
  assert.deepEqual(texts(setOf('10.0.0.0/24').without(prefix('fd00::/8'))), ['10.0.0.0/24']);
});

test('it knows what it has whole, and what in part', () => {
  const set = setOf('10.0.0.0/24', '10.0.2.0/24');
  const cases: readonly (readonly [string, boolean, boolean])[] = [
    ['10.0.0.0/24', true, true],
    ['10.0.0.128/25', true, true],
    ['10.0.0.0/22', false, true],
    ['10.0.1.0/24', false, false],
    ['fd00::/64', false, false],
  ];
  for (const [text, covers, overlaps] of cases) {
    assert.deepEqual([set.covers(prefix(text)), set.overlaps(prefix(text))], [covers, overlaps], text);
  }
});

test('room is found in the smallest block, the lowest first', () => {
  const room = (set: PrefixSet, length: number): string | undefined => {
    const found = set.smallestWithRoom(length);
    return found === undefined ? undefined : formatCidr(found);
  };
  const set = setOf('10.0.0.0/16', '10.2.0.0/24', '10.4.0.0/24');
  assert.deepEqual(
    [26, 24, 23, 16, 15].map((length) => room(set, length)),
    ['10.2.0.0/26', '10.2.0.0/24', '10.0.0.0/23', '10.0.0.0/16', undefined],
  );
  assert.equal(room(setOf('fd00::/48'), 128), 'fd00::/128');
  assert.equal(room(setOf(), 32), undefined);
});

test('it is what a list of all its addresses says', () => {
  const random = seededRandom(7);
  const below = (limit: number): number => Math.floor(random() * limit);
  for (let round = 0; round < 200; round += 1) {
    const has = new Set<number>();
    let set = PrefixSet.EMPTY;
    for (let step = 0; step < 12; step += 1) {
      const length = 24 + below(9);
      const size = 2 ** (32 - length);
      const first = below(256 / size) * size;
      const one = prefix(`192.0.2.${first}/${length}`);
      const adds = random() < 0.6;
      set = adds ? set.with(one) : set.without(one);
      for (let at = first; at < first + size; at += 1) adds ? has.add(at) : has.delete(at);
    }
    const blocks = set.blocks();
    const listed = blocks.flatMap(({ base, prefixLength }) =>
      Array.from({ length: 2 ** (32 - prefixLength) }, (_, at) => Number(base.value & 255n) + at),
    );
    assert.deepEqual(
      listed,
      [...has].sort((a, b) => a - b),
    );
    for (let length = 24; length <= 32; length += 1) {
      const fits = blocks.filter((block) => block.prefixLength <= length);
      const longest = Math.max(...fits.map((block) => block.prefixLength));
      const expected = fits.find((block) => block.prefixLength === longest)?.base.value;
      assert.equal(set.smallestWithRoom(length)?.base.value, expected);
    }
  }
});
