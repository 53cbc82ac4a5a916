import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RemovalGuard } from './removal-guard.ts';

const T0 = new Date('2026-11-26T10:00:00Z');
const T1 = new Date('2026-11-26T11:00:00Z');

test('more than half and at least ten ports are held, less is not', () => {
  const cases: [absent: number, before: number, held: boolean][] = [
    [0, 0, false],
    [9, 9, false],
    [10, 10, true],
    [10, 19, true],
    [10, 20, false],
    [11, 20, true],
    [500, 1000, false],
    [501, 1000, true],
  ];
  for (const [absent, before, held] of cases) {
    const verdict = new RemovalGuard().judge({ absent, before }, T0);
    assert.equal(verdict.held !== null, held, `${absent} of ${before}`);
  }
});

test('a held removal keeps its time while it lasts, and ends when the ports are there again', () => {
  const guard = new RemovalGuard();
  guard.judge({ absent: 10, before: 10 }, T0);
  assert.deepEqual(guard.judge({ absent: 12, before: 12 }, T1).held, {
    absent: 12,
    before: 12,
    since: T0.toISOString(),
  });
  assert.equal(guard.judge({ absent: 0, before: 12 }, T1).held, null);
  assert.equal(guard.held, null);
  assert.equal(guard.judge({ absent: 12, before: 12 }, T1).held?.since, T1.toISOString());
});

test('a confirmation lets one removal through; without one that is held it counts for nothing', () => {
  const guard = new RemovalGuard();
  assert.equal(guard.confirm(), null);
  assert.notEqual(guard.judge({ absent: 10, before: 10 }, T0).held, null);
  assert.equal(guard.confirm()?.absent, 10);
  assert.equal(guard.judge({ absent: 10, before: 10 }, T0).held, null);
  assert.notEqual(guard.judge({ absent: 10, before: 10 }, T0).held, null);
  guard.confirm();
  assert.equal(guard.judge({ absent: 0, before: 10 }, T0).held, null);
  assert.notEqual(guard.judge({ absent: 10, before: 10 }, T0).held, null, 'the confirmation was for another change');
});
