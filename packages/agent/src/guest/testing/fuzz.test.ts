import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.ts';

test('a planted mistake is found and shrunk to what it needs', () => {
  const judge = (bytes: Uint8Array): string => {
    const at = bytes.indexOf(0xee);
    assert.ok(at < 0 || bytes[at + 1] !== 0x07);
    return at < 0 ? 'without' : 'with';
  };
  const corpus = [Uint8Array.from({ length: 50 }, (_, index) => index)];
  assert.throws(() => fuzz({ corpus, judge, rounds: 500_000, maxBytes: 100 }), /fuzz: fails for ee07$/);
});

test('outcomes are counted, and the same in each run', () => {
  const run = () =>
    fuzz({ corpus: [Uint8Array.of(1, 2)], judge: (bytes) => `${bytes.length % 3}`, rounds: 1000, maxBytes: 20 });
  assert.deepEqual(run(), run());
  assert.equal(
    [...run().values()].reduce((sum, times) => sum + times),
    1001,
  );
});
