import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Store, StoreError } from '@cable/store';
import { StoreHealth } from './store-health.ts';

const PUT = [{ kind: 'put', key: '/cable/x', value: '' }] as const;

type Place = {
  readonly health: StoreHealth;
  readonly clock: { now: number };
  readonly tables: { revision: number };
  /** What the store answers next. */
  answer: () => unknown;
  readonly store: Store;
  failing(): readonly string[];
};

function place(): Place {
  const [clock, tables] = [{ now: 0 }, { revision: 0 }];
  const health = new StoreHealth({ revision: () => tables.revision, monotonicMs: () => clock.now });
  const call = async (): Promise<unknown> => made.answer();
  const store = health.watch({ get: call, txn: call } as unknown as Store);
  const failing = (): readonly string[] =>
    health
      .checks()
      .filter((one) => !one.isReady().ok)
      .map((one) => one.name);
  const made: Place = { health, clock, tables, answer: () => undefined, store, failing };
  return made;
}

function refuse(code: 'unavailable' | 'full' | 'compacted'): () => never {
  return () => {
    throw new StoreError(code, code);
  };
}

test('a store that is silent for two seconds is not ready, until it answers anything', async () => {
  const at = place();
  at.clock.now = 1999;
  assert.deepEqual(at.failing(), []);
  at.clock.now = 2000;
  assert.deepEqual(at.failing(), ['store']);
  at.answer = refuse('unavailable');
  await assert.rejects(at.store.get('/cable/x'));
  assert.deepEqual(at.failing(), ['store']);
  at.answer = refuse('compacted');
  await assert.rejects(at.store.get('/cable/x'));
  assert.deepEqual(at.failing(), []);
});

test('a store without room is not ready until a write is taken', async () => {
  const at = place();
  at.answer = refuse('full');
  await assert.rejects(at.store.txn([], PUT));
  assert.deepEqual([at.failing(), at.health.isFull], [['room'], true]);
  at.answer = () => ({ ok: true, revision: 0 });
  await at.store.txn([], [{ kind: 'delete', key: '/cable/x' }]);
  assert.deepEqual(at.failing(), ['room']);
  await at.store.txn([], PUT);
  assert.deepEqual(at.failing(), []);
});

test('tables that do not get what was written are not ready, until they do or begin anew', async () => {
  const at = place();
  at.answer = () => ({ ok: true, revision: 7 });
  await at.store.txn([], PUT);
  at.clock.now = 1500;
  at.answer = () => ({ ok: true, revision: 8 });
  await at.store.txn([], PUT);
  at.clock.now = 2000;
  assert.deepEqual(at.failing(), ['watch']);
  at.tables.revision = 7;
  assert.deepEqual(at.failing(), []);
  at.answer = () => ({ ok: true, revision: 9 });
  await at.store.txn([], PUT);
  at.clock.now = 4000;
  await at.store.txn([], PUT);
  assert.deepEqual(at.failing(), ['watch']);
  at.health.restart();
  assert.deepEqual(at.failing(), []);
});
