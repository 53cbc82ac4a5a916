import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Admission, type Closable, ConnectionShares } from './connection-shares.ts';

type Fake = Closable & { closed: boolean };

function fake(): Fake {
  const connection: Fake = {
    closed: false,
    destroy: () => {
      connection.closed = true;
    },
  };
  return connection;
}

function fill(shares: ConnectionShares, vif: number, count: number): readonly Fake[] {
  const made = Array.from({ length: count }, fake);
  for (const one of made) assert.equal(shares.admit(vif, one), 'admitted');
  return made;
}

test('128 guests with all that each may have cannot shut out another', () => {
  const shares = new ConnectionShares({ total: 2048, perGuest: 16 });
  const filled = Array.from({ length: 128 }, (_, vif) => fill(shares, vif, 16));
  const got: Admission[] = Array.from({ length: 15 }, () => shares.admit(1000, fake()));
  assert.deepEqual(new Set(got), new Set(['evicted']));
  const closed = filled.map((connections) => connections.map((one) => one.closed));
  assert.equal(closed.flat().filter((one) => one).length, 15);
  assert.ok(
    closed.every((one) => one.filter((isClosed) => isClosed).length <= 1),
    'no guest loses more than one',
  );
  assert.ok(
    closed.every(([, ...younger]) => younger.every((isClosed) => !isClosed)),
    'the oldest goes',
  );
});

test('a guest has so many at most, and gets one back for each that it closes', () => {
  const shares = new ConnectionShares({ total: 100, perGuest: 2 });
  const [first] = fill(shares, 1, 2);
  assert.ok(first);
  assert.equal(shares.admit(1, fake()), 'refused');
  shares.release(1, first);
  shares.release(1, first);
  fill(shares, 1, 1);
  assert.equal(shares.admit(1, fake()), 'refused');
});

test('when all have the same, nobody loses one', () => {
  const shares = new ConnectionShares({ total: 4, perGuest: 2 });
  const held = [1, 2, 3, 4].flatMap((vif) => fill(shares, vif, 1));
  assert.equal(shares.admit(5, fake()), 'refused');
  assert.equal(shares.admit(1, fake()), 'refused');
  assert.ok(held.every((one) => !one.closed));
});
