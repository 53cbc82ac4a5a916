import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIdMaker } from './new-id.ts';

test('ids are UUIDs of version 4, and lie together when they are made together', () => {
  let ms = 1_700_000_000_000;
  const newId = createIdMaker(() => ms);
  const together = Array.from({ length: 1000 }, newId);
  assert.equal(new Set(together).size, 1000);
  for (const id of together) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(together.map((id) => id.slice(0, 3))).size, 1);
  // By which devices are named.
  assert.equal(new Set(together.map((id) => id.slice(0, 11))).size, 1000);
  const prefixes = Array.from({ length: 5000 }, () => {
    ms += 64;
    return newId().slice(0, 3);
  });
  assert.equal(new Set(prefixes).size, 4096);
});
