import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { RelayTraffic } from './relay-traffic.ts';

const KIB = 1024;
const MIB = 1 << 20;

function bed() {
  const at = { ms: 1_000_000, revision: 10 };
  const compacted: number[] = [];
  const waited: number[] = [];
  const traffic = new RelayTraffic({
    compact: async (revision) => void compacted.push(revision),
    revision: () => at.revision,
    monotonicMs: () => at.ms,
    log: silentLogger(),
    sleep: async (ms) => void waited.push(Math.round(ms)),
  });
  const pass = (bytes: number) => traffic.pass(bytes, new AbortController().signal);
  return { at, compacted, waited, pass };
}

test('after a pause some go at once, then as many as may a second; what would wait for long is refused, and what is short never waits', async () => {
  const { at, waited, pass } = bed();
  for (let n = 0; n < 16; n += 1) assert.equal(await pass(256 * KIB), true);
  assert.deepEqual(waited, [], 'four seconds’ worth');
  for (let n = 0; n < 4; n += 1) assert.equal(await pass(MIB), true);
  assert.deepEqual(waited, [1000, 2000, 3000]);
  await pass(2 * MIB);
  assert.equal(await pass(MIB), false, 'it would wait for six');
  assert.equal(await pass(KIB), true);
  assert.deepEqual(waited, [1000, 2000, 3000, 4000]);
  at.ms += 3000;
  assert.equal(await pass(MIB), true);
  for (let n = 0; n < 2000; n += 1) await pass(16 * KIB);
  at.ms += 6000;
  assert.equal(await pass(MIB), true, 'a flood of short ones keeps nobody away for long');
});

test('when much went through the store its history is compacted, but for what a slow watch may still need', async () => {
  const { at, compacted, pass } = bed();
  const minute = async (): Promise<void> => {
    for (let n = 0; n < 60; n += 1) {
      at.ms += 1000;
      at.revision += 1;
      await pass(MIB);
    }
  };
  await minute();
  assert.deepEqual(compacted, []);
  await minute();
  assert.deepEqual(compacted, [11]);
  await minute();
  assert.deepEqual(compacted, [11, 71]);
  for (const _ of [1, 2, 3]) {
    at.ms += 3_600_000;
    for (let n = 0; n < 100; n += 1) await pass(KIB);
  }
  assert.deepEqual(compacted, [11, 71, 131], 'little is kept for as long as the store keeps it');
});
