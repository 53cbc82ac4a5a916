import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import { WorkQueue } from './work-queue.ts';

function queueOf(work: (key: string) => Promise<void>, more: { atOnce?: number } = {}) {
  const stop = new AbortController();
  const backoff = { minMs: 5, maxMs: 20 };
  const queue = new WorkQueue({ name: 'test', work, backoff, log: silentLogger(), signal: stop.signal, ...more });
  return { queue, stop };
}

test('nothing is worked on before it is opened, then each key once, in order', async () => {
  const done: string[] = [];
  const { queue } = queueOf(async (key) => void done.push(key), { atOnce: 1 });
  for (const key of ['b', 'a', 'b', 'c']) queue.add(key);
  await sleep(5);
  assert.deepEqual(done, []);
  queue.open();
  await queue.idle();
  assert.deepEqual(done, ['b', 'a', 'c']);
});

test('a key that is added while it is worked on is worked on once more, and never by two', async () => {
  let running = 0;
  let turns = 0;
  const { queue } = queueOf(async () => {
    running += 1;
    assert.equal(running, 1);
    turns += 1;
    await sleep(10);
    running -= 1;
  });
  queue.open();
  queue.add('a');
  for (let n = 0; n < 5; n += 1) queue.add('a');
  await queue.idle();
  assert.equal(turns, 2);
});

test('so many at once, and no more; a slow key keeps no others up', async () => {
  let most = 0;
  let running = 0;
  let others = 0;
  const over = new AbortController();
  const { queue } = queueOf(
    async (key) => {
      running += 1;
      most = Math.max(most, running);
      await (key === 'slow' ? sleep(60_000, over.signal) : sleep(1));
      others += Number(key !== 'slow');
      running -= 1;
    },
    { atOnce: 3 },
  );
  queue.open();
  for (const key of ['slow', ...Array.from({ length: 20 }, (_, n) => `k${n}`)]) queue.add(key);
  while (others < 20) await sleep(1);
  over.abort();
  await queue.idle();
  assert.equal(most, 3);
});

test('what fails is tried again later and later, and others meanwhile; success forgets it', async () => {
  const at: number[] = [];
  const others: string[] = [];
  const { queue } = queueOf(async (key) => {
    if (key !== 'bad') return void others.push(key);
    at.push(performance.now());
    if (at.length < 4) throw new Error('not yet');
  });
  queue.open();
  queue.add('bad');
  queue.add('good');
  while (at.length < 4) await sleep(2);
  await queue.idle();
  assert.deepEqual(others, ['good']);
  assert.equal(queue.size, 0);
  const waits = at.slice(1).map((one, n) => one - (at[n] ?? 0));
  assert(
    waits.every((one) => one >= 2),
    `waits of ${waits}`,
  );
});

test('after the signal nothing is begun, and what waits is forgotten', async () => {
  const done: string[] = [];
  const { queue, stop } = queueOf(async (key) => void done.push(key));
  queue.open();
  queue.addAfter('later', 5);
  stop.abort();
  queue.add('a');
  await sleep(20);
  assert.deepEqual(done, []);
  assert.equal(queue.size, 0);
});
