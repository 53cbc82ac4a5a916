import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTurnLine } from './turn-line.ts';

test('of many that work at once, one has a turn in each round of the event loop, in order', async () => {
  const start = createTurnLine(0);
  let round = 0;
  let isDone = false;
  const count = (): void => {
    round += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const turns: string[] = [];
  const rounds: number[] = [];
  const work = async (name: string): Promise<void> => {
    const line = start();
    for (let i = 0; i < 3; i += 1) {
      await line.next();
      turns.push(name);
      rounds.push(round);
    }
  };
  await Promise.all(['a', 'b', 'c'].map(work));
  isDone = true;
  assert.equal(turns.join(''), 'abcabcabc');
  assert.equal(new Set(rounds).size, 9);
});

test('work that is short has no need to wait; work that is long has', async () => {
  const clock = { now: 0 };
  const line = createTurnLine(40, () => clock.now)();
  const isDue = (): boolean => Array.from({ length: 8 }, () => line.due()).includes(true);
  clock.now = 9;
  assert.equal(isDue(), false);
  clock.now = 10;
  assert.equal(isDue(), true, 'a quarter of a turn is over');
  await line.next();
  clock.now = 49;
  assert.equal(isDue(), false);
  clock.now = 50;
  assert.equal(isDue(), true);
});
