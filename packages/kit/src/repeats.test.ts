import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Repeats } from './repeats.ts';

const MINUTE = 60_000;

test('what lasts is news once, again after ten minutes, and anew when it was over', () => {
  let now = 0;
  const repeats = new Repeats(() => now);
  const news: number[] = [];
  for (; now <= 25 * MINUTE; now += MINUTE / 2) if (repeats.isNews('h1', 'full')) news.push(now / MINUTE);
  assert.deepEqual(news, [0, 10, 20]);
  repeats.forget('h1');
  assert.equal(repeats.isNews('h1', 'full'), true);
});

test('another reason, and another subject, are news of their own, also when two take turns', () => {
  const repeats = new Repeats(() => 0);
  const told = ['h1 a', 'h1 b', 'h2 a', 'h1 a', 'h1 b', 'h1 a', 'h2 a'].filter((line) => {
    const [subject = '', what = ''] = line.split(' ');
    return repeats.isNews(subject, what);
  });
  assert.deepEqual(told, ['h1 a', 'h1 b', 'h2 a']);
});

test('it remembers a bounded number of subjects', () => {
  const repeats = new Repeats(() => 0);
  for (let i = 0; i < 3000; i += 1) repeats.isNews(`h${i}`, 'a');
  assert.equal(repeats.isNews('h2999', 'a'), false);
  assert.equal(repeats.isNews('h0', 'a'), true);
});
