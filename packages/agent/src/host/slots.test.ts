import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlotTable } from './slots.ts';

const RELEASE = { release: true };

test('a port keeps its slot, a new one gets the lowest free, whatever the order of asking', () => {
  const slots = new SlotTable(new Map([['b', 3]]), () => 0);
  assert.deepEqual(
    slots.assign(['c', 'b', 'a'], RELEASE),
    new Map([
      ['b', 3],
      ['a', 2],
      ['c', 4],
    ]),
  );
  assert.deepEqual(
    slots.assign(['a', 'b', 'c', 'a'], RELEASE),
    new Map([
      ['b', 3],
      ['a', 2],
      ['c', 4],
    ]),
  );
});

test('a released slot rests a minute before another port gets it', () => {
  let now = 0;
  const slots = new SlotTable(new Map(), () => now);
  slots.assign(['a', 'b'], RELEASE);
  assert.deepEqual(
    slots.assign(['b', 'c'], RELEASE),
    new Map([
      ['b', 3],
      ['c', 4],
    ]),
  );
  now = 60_000;
  assert.equal(slots.assign(['b', 'c', 'd'], RELEASE).get('d'), 2);
});

test('the slots of a previous run are free again when their ports are gone', () => {
  const slots = new SlotTable(new Map([['old', 2]]), () => 0);
  assert.deepEqual(slots.assign([], RELEASE), new Map());
});

test('while other ports may only be unknown yet, they keep their slots', () => {
  const slots = new SlotTable(new Map([['old', 2]]), () => 0);
  slots.assign(['new'], { release: false });
  assert.deepEqual(
    slots.assign(['new', 'old'], RELEASE),
    new Map([
      ['old', 2],
      ['new', 3],
    ]),
  );
});
