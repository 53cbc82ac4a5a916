import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChangeLog } from './change-log.ts';

function logOf(count: number, items: number): ChangeLog {
  const log = new ChangeLog();
  for (let n = 0; n < count; n += 1) log.append(`i${n}`, 100 + n, items);
  return log;
}

describe('change log', () => {
  test('gives what changed from a position on, each item once', () => {
    const log = logOf(3, 0);
    log.append('i1', 103, 0);
    log.append(null, 104, 0);
    assert.deepEqual([...(log.itemsFrom(0, 10) ?? [])], ['i0', 'i1', 'i2', null]);
    assert.deepEqual([...(log.itemsFrom(1, 2) ?? [])], ['i1', 'i2']);
    assert.deepEqual([...(log.itemsFrom(5, 10) ?? [1])], []);
  });

  test('finds the latest position with a digest', () => {
    const log = logOf(3, 0);
    log.append('i9', 101, 0);
    assert.equal(log.positionOf(100), 0);
    assert.equal(log.positionOf(101), 3);
    assert.equal(log.positionOf(99), undefined);
  });

  test('keeps at least 16 changes, or half as many as there are items, at most 4096', () => {
    for (const [items, least] of [
      [0, 16],
      [200, 100],
      [1_000_000, 4096],
    ] as const) {
      const log = logOf(20_000, items);
      const kept = log.end - log.start;
      assert.ok(kept >= least && kept < 2 * least, `${kept} of ${items} items`);
      assert.equal(log.itemsFrom(log.start - 1, 1), undefined);
      assert.deepEqual([...(log.itemsFrom(log.end - 1, 1) ?? [])], ['i19999']);
    }
  });

  test('knows no position from before it was cleared, not even its end', () => {
    const log = logOf(3, 0);
    log.clear();
    assert.equal(log.itemsFrom(3, 1), undefined);
    assert.equal(log.positionOf(100), undefined);
    assert.deepEqual([...(log.itemsFrom(log.end, 1) ?? [1])], []);
  });
});
