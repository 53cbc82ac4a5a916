import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressLines } from './address-lines.ts';

/** Lines of which it is seen who was given a turn, and who lost his place. */
function openLines() {
  const state = { nowMs: 0, turns: [] as string[], lost: [] as string[], leaves: new Map<string, (() => void)[]>() };
  const lines = new AddressLines(() => state.nowMs);
  const keep = (address: string, leave: () => void): void => {
    state.leaves.set(address, [...(state.leaves.get(address) ?? []), leave]);
  };
  const enter = (address: string): boolean => {
    const leave = lines.enter(address);
    if (leave !== undefined) keep(address, leave);
    return leave !== undefined;
  };
  const wait = (address: string, count = 1): (() => void)[] =>
    Array.from({ length: count }, () =>
      lines.wait(address, (leave) => {
        if (leave === undefined) state.lost.push(address);
        else {
          state.turns.push(address);
          keep(address, leave);
        }
      }),
    );
  const leave = (address: string): void => state.leaves.get(address)?.shift()?.();
  return { lines, state, enter, wait, leave };
}

test('turns go round between the addresses that wait', () => {
  const { lines, state, wait } = openLines();
  wait('a', 3);
  wait('b', 2);
  wait('c');
  while (lines.handOn());
  assert.deepEqual(state.turns, ['a', 'b', 'c', 'a', 'b', 'a']);
});

test('an address has few turns at once, and the next when one has ended', () => {
  const { lines, state, enter, wait, leave } = openLines();
  for (let n = 0; n < 8; n += 1) assert.ok(enter('a'));
  assert.ok(!enter('a'));
  wait('a', 2);
  assert.ok(!lines.handOn());
  leave('a');
  assert.ok(lines.handOn());
  assert.ok(!lines.handOn());
  assert.deepEqual(state.turns, ['a']);
});

test('when there is no place the address with the most waiting loses one', () => {
  const { state, wait } = openLines();
  wait('a', 128);
  wait('a');
  assert.deepEqual(state.lost, ['a'], 'one has so many of its own');
  for (const address of ['b', 'c', 'd']) wait(address, 128);
  state.lost.length = 0;
  wait('e', 100);
  assert.equal(state.lost.length, 100);
  assert.deepEqual([...new Set(state.lost)].sort(), ['a', 'b', 'c', 'd']);
});

test('who gives up waits no more, and leaves his place', () => {
  const { lines, state, wait } = openLines();
  for (const giveUp of wait('a', 2)) giveUp();
  wait('b');
  assert.ok(lines.handOn());
  assert.ok(!lines.handOn());
  assert.deepEqual([state.turns, state.lost], [['b'], []]);
});

test('an address that is blamed comes after the others and leaves them turns, for a minute', () => {
  const { lines, state, enter, wait } = openLines();
  wait('a', 2);
  // Also one that waits already.
  lines.blame('a');
  wait('b', 2);
  while (lines.handOn());
  assert.deepEqual(state.turns, ['b', 'b', 'a', 'a']);
  for (const address of ['c', 'd']) lines.blame(address);
  let entered = 0;
  for (const address of ['c', 'd']) while (enter(address)) entered += 1;
  assert.equal(entered, 14);
  wait('c');
  assert.ok(!lines.handOn());
  assert.ok(enter('e'));
  state.nowMs = 60_000;
  wait('d');
  assert.ok(!enter('c'), 'it has eight of its own');
});

test('when there is no place those who are blamed give way before the others', () => {
  const { lines, state, wait } = openLines();
  for (let at = 0; at < 412; at += 1) {
    lines.blame(`b${at}`);
    wait(`b${at}`);
  }
  wait('a', 100);
  wait('a', 10);
  assert.equal(state.lost.length, 10);
  assert.ok(!state.lost.includes('a'));
});
