/** Conflicting requests of every kind beside faults, for some seconds; CONTRIBUTING.md has the long one. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startBed } from './bed.ts';
import { runRound } from './round.ts';

const SEED = 1;

test('every answer of two servers on etcd is true, whatever is stopped and killed meanwhile', (t) =>
  hammerOn(t, 'etcd', 8000));

test('every answer of a server on LMDB is true, whenever it is killed', (t) => hammerOn(t, 'lmdb', 3000));

/** Hardly anything would be true of hardly anything. */
const OFTEN = ['create 201', 'update 200', 'delete 204'] as const;
const LEAST = 20;
/** On a machine that is busy with other things one round may do little. */
const MOST_ROUNDS = 5;

async function hammerOn(t: TestContext, kind: 'etcd' | 'lmdb', hammerMs: number): Promise<void> {
  const bed = await startBed(kind);
  t.after(() => bed.close());
  const counts = new Map<string, number>(OFTEN.map((answer) => [answer, 0]));
  for (let n = 0; n < MOST_ROUNDS && Math.min(...counts.values()) <= LEAST; n += 1) {
    const { problems, answers } = await runRound(bed, {
      ...{ seed: SEED + n, hammerMs, clients: 12, restores: false, mostPauseMs: 1500 },
      ...{ monotonicMs: () => performance.now(), tell: (what) => t.diagnostic(what) },
    });
    assert.deepEqual(problems, []);
    for (const answer of OFTEN) counts.set(answer, (counts.get(answer) ?? 0) + (answers[answer] ?? 0));
  }
  assert.ok(Math.min(...counts.values()) > LEAST, JSON.stringify([...counts]));
}
