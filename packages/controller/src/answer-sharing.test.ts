import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharing } from './answer-sharing.ts';

test('who asks meanwhile shares the next answer, and none is of before its question', async () => {
  const ends: ((text: string) => void)[] = [];
  const ask = sharing(() => new Promise<string>((resolve) => ends.push(resolve)));
  const [first, alike] = [ask(), ask()];
  await Promise.resolve();
  assert.equal(ends.length, 1);
  const [second, third] = [ask(), ask()];
  await Promise.resolve();
  assert.equal(ends.length, 1, 'one at a time');
  ends[0]?.('one');
  assert.deepEqual(await Promise.all([first, alike]), ['one', 'one']);
  while (ends.length < 2) await Promise.resolve();
  ends[1]?.('two');
  assert.deepEqual(await Promise.all([second, third]), ['two', 'two']);
});

test('a failure is that of those who asked for it, and of nobody later', async () => {
  let asked = 0;
  const ask = sharing(async () => {
    asked += 1;
    if (asked === 1) throw new Error('no answer');
    return asked;
  });
  await assert.rejects(ask(), /no answer/);
  assert.equal(await ask(), 2);
});
