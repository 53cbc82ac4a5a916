import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CB_SERVICE_SLOT_MAX, CB_SERVICE_SLOT_MIN } from '../bpf/abi.gen.ts';
import { SlotTable } from './slots.ts';

test('a port keeps its slot, a new one gets the lowest free', () => {
  const slots = new SlotTable(new Map([['b', 3]]), () => 0);
  assert.deepEqual(
    ['c', 'b', 'a', 'c', 'd'].map((portId) => slots.acquire(portId)),
    [2, 3, 4, 2, 5],
  );
});

test('a released slot rests a minute before another port gets it', () => {
  let now = 0;
  const slots = new SlotTable(new Map(), () => now);
  for (const portId of ['a', 'b', 'c']) slots.acquire(portId);
  slots.release('b');
  slots.release('b');
  now = 1;
  slots.release('a');
  assert.equal(slots.acquire('d'), 5);
  now = 60_000;
  assert.equal(slots.acquire('e'), 3);
  now = 60_001;
  assert.equal(slots.acquire('f'), 2);
  assert.equal(slots.acquire('g'), 6);
});

test('the slots of a previous run are kept until all ports are known, and free after their rest', () => {
  let now = 0;
  const slots = new SlotTable(
    new Map([
      ['old', 2],
      ['gone', 3],
    ]),
    () => now,
  );
  assert.equal(slots.acquire('new'), 4);
  assert.equal(slots.acquire('old'), 2);
  slots.releaseUnclaimed();
  assert.equal(slots.acquire('old'), 2);
  now = 60_000;
  assert.equal(slots.acquire('other'), 3);
});

test('when no slot is free there is none, until one is released', () => {
  let now = 0;
  const slots = new SlotTable(new Map(), () => now);
  for (let slot = CB_SERVICE_SLOT_MIN; slot <= CB_SERVICE_SLOT_MAX; slot += 1) slots.acquire(String(slot));
  assert.equal(slots.acquire('more'), undefined);
  slots.release('77');
  now = 60_000;
  assert.equal(slots.acquire('more'), 77);
});
