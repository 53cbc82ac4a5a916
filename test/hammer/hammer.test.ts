/** Conflicting requests of every kind beside faults, for some seconds; CONTRIBUTING.md has the long one. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startBed } from './bed.ts';
import { runRound } from './round.ts';

const SEED = 1;

test('every answer of two servers on etcd is true, whatever is stopped and killed meanwhile', (t) =>
  hammerOn(t, 'etcd', 8000));

test('every answer of a server on LMDB is true, whenever it is killed', (t) => hammerOn(t, 'lmdb', 3000));

async function hammerOn(t: TestContext, kind: 'etcd' | 'lmdb', hammerMs: number): Promise<void> {
  const bed = await startBed(kind);
  t.after(() => bed.close());
  const { problems, answers } = await runRound(bed, {
    ...{ seed: SEED, hammerMs, clients: 12, restores: false, mostPauseMs: 1500 },
    ...{ monotonicMs: () => performance.now(), tell: (what) => t.diagnostic(what) },
  });
  assert.deepEqual(problems, []);
  // Hardly anything would be true of hardly anything.
  for (const kindOf of ['create 201', 'update 200', 'delete 204'])
    assert.ok((answers[kindOf] ?? 0) > 20, JSON.stringify(answers));
}
