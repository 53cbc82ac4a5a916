import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { sleep } from './backoff.ts';
import { startTimeLimit } from './time-limit.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Nobody but listeners has the signal. */
function wait(ms: number, caller: AbortSignal, told: () => void): void {
  startTimeLimit(ms, caller).signal.addEventListener('abort', told);
}

test('the time ends, whatever the garbage collector takes', async () => {
  const caller = new AbortController();
  let told = 0;
  for (let n = 0; n < 50; n += 1) {
    wait(100, caller.signal, () => {
      told += 1;
    });
  }
  for (let n = 0; n < 4; n += 1) {
    await sleep(20);
    collect();
  }
  await sleep(200);
  assert.equal(told, 50);
});

test('the caller ends it with his reason; what was stopped is not ended by time', async () => {
  const caller = new AbortController();
  const limit = startTimeLimit(60_000, caller.signal);
  caller.abort(new Error('enough'));
  assert.equal((limit.signal.reason as Error).message, 'enough');
  assert.equal(limit.isOver(), false);
  limit.stop();
  const over = startTimeLimit(1, undefined, new Error('late'));
  await sleep(30);
  assert.equal((over.signal.reason as Error).message, 'late');
  assert.equal(over.isOver(), true);
  const stopped = startTimeLimit(1, caller.signal);
  stopped.stop();
  assert.equal(stopped.signal.aborted, true, 'he had ended it before');
  const quiet = startTimeLimit(1, undefined);
  quiet.stop();
  await sleep(30);
  assert.equal(quiet.signal.aborted, false);
});
