import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Op } from '../contract.ts';
import { TxnQueue } from './txn-queue.ts';

/** Adds transactions that may not go together; gives the CPU time in microseconds that one takes until it is taken. */
function costOfEach(count: number): number {
  const queue = new TxnQueue(60_000);
  const op: Op = { kind: 'put', key: '/same', value: '' };
  for (let n = 0; n < count; n += 1) queue.add({ compares: [], ops: [op] }, {}).catch(() => undefined);
  const before = process.cpuUsage();
  for (let n = 0; n < count; n += 1) {
    const [job, ...others] = queue.take();
    assert(job !== undefined && others.length === 0);
    job.resolve({ ok: true, revision: n });
  }
  const { user, system } = process.cpuUsage(before);
  assert.equal(queue.first, undefined);
  return (user + system) / count;
}

test('what a request costs does not grow with the number of transactions that wait', () => {
  costOfEach(1000);
  const [few, many] = [costOfEach(2000), costOfEach(20_000)];
  assert(many < 4 * few, `${few} and ${many} microseconds each`);
});

test('a transaction that was taken and not done is the first again, unless it was given up meanwhile', async () => {
  const queue = new TxnQueue(60_000);
  const abort = new AbortController();
  const put = (key: string): Op => ({ kind: 'put', key, value: '' });
  const kept = queue.add({ compares: [], ops: [put('/a')] }, {});
  const given = queue.add({ compares: [], ops: [put('/b')] }, { signal: abort.signal });
  const taken = queue.take();
  const last = queue.add({ compares: [], ops: [put('/c')] }, {});
  abort.abort();
  assert.equal(taken.length, 2);
  queue.again(taken);
  await assert.rejects(given, { code: 'not-sent' });
  const again = queue.take();
  assert.deepEqual(
    again.map(({ ops }) => ops),
    [[put('/a')], [put('/c')]],
  );
  for (const job of again) job.resolve({ ok: true, revision: 1 });
  await Promise.all([kept, last]);
});
