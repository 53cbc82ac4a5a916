import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReconnectWaits } from './reconnect-waits.ts';

test('waits between connections stay under a second for a minute, and then grow', () => {
  let now = 0;
  const waits = createReconnectWaits(
    () => now,
    () => 1,
  );
  const eager = Array.from({ length: 8 }, () => waits.next());
  assert.deepEqual(eager, [100, 200, 400, 800, 1000, 1000, 1000, 1000]);
  now = 60_000;
  assert.equal(waits.next(), 5000);
  waits.reset();
  assert.equal(waits.next(), 100);
});

test('patient waits are spread over their upper half', () => {
  let now = 0;
  const waits = createReconnectWaits(
    () => now,
    () => 0,
  );
  waits.next();
  now = 90_000;
  assert.equal(waits.next(), 2500);
});
