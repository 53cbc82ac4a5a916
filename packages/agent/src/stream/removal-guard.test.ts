import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeRemoval, type PortAbsence } from './removal-guard.ts';

const T0 = new Date('2026-11-26T10:00:00Z');
const T1 = new Date('2026-11-26T11:00:00Z');

function ports(some: Partial<PortAbsence>): PortAbsence {
  return { live: 0, absent: 0, kept: 0, deleted: 0, ...some };
}

test('more than half and at least ten ports are kept, less is not', () => {
  const cases: [absent: number, live: number, kept: boolean][] = [
    [0, 0, false],
    [9, 9, false],
    [10, 10, true],
    [10, 19, true],
    [10, 20, false],
    [11, 20, true],
    [500, 1000, false],
    [501, 1000, true],
  ];
  for (const [absent, live, kept] of cases) {
    assert.equal(judgeRemoval(null, ports({ absent, live }), T0) !== null, kept, `${absent} of ${live}`);
  }
});

test('kept ports keep their time while they are most of those that were there', () => {
  const first = judgeRemoval(null, ports({ absent: 20, live: 30 }), T0);
  assert.deepEqual(first, { before: 30, since: T0.toISOString() });
  assert.deepEqual(judgeRemoval(first, ports({ kept: 20, live: 10 }), T1), first);
  assert.deepEqual(judgeRemoval(first, ports({ kept: 16, live: 14 }), T1), first, 'four are there again');
  assert.equal(judgeRemoval(first, ports({ kept: 15, live: 15 }), T1), null, 'half of them are');
});

test('new ports, however many, do not let kept ones go; ports that are left out later are kept with them', () => {
  const first = judgeRemoval(null, ports({ absent: 11, live: 20 }), T0);
  assert.deepEqual(judgeRemoval(first, ports({ kept: 11, live: 1000 }), T1), first);
  assert.deepEqual(judgeRemoval(first, ports({ kept: 11, live: 1000, absent: 1 }), T1), {
    before: 21,
    since: T0.toISOString(),
  });
});

test('kept ports that are deleted count no more, neither as absent nor as there before', () => {
  const first = judgeRemoval(null, ports({ absent: 11, live: 20 }), T0);
  const second = judgeRemoval(first, ports({ kept: 10, deleted: 1, live: 9 }), T1);
  assert.equal(second?.before, 19);
  assert.equal(judgeRemoval(second, ports({ kept: 9, deleted: 1, live: 9 }), T1), null, 'fewer than ten');
});
