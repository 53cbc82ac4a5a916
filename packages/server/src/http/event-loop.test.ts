import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { addEventLoopDelay, watchPauses } from './event-loop.ts';

test('a turn that keeps the event loop is seen, and once', async (t) => {
  const registry = new Registry();
  t.after(addEventLoopDelay(registry));
  const longest = async (): Promise<number> =>
    Number(/cable_event_loop_delay_seconds\{quantile="1"\} (\S+)/.exec(await registry.metrics())?.[1]);
  const loop = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  /** The longest delay since the last time, and the time since then; both in seconds. */
  let askedAt = performance.now();
  const look = async (): Promise<readonly [seen: number, pastS: number]> => {
    const since = askedAt;
    askedAt = performance.now();
    const seen = await longest();
    return [seen, (performance.now() - since) / 1000];
  };
  await loop(20);
  await look();
  await loop(20);
  const until = performance.now() + 400;
  while (performance.now() < until);
  await loop(20);
  const [seen, pastS] = await look();
  // The histogram has three digits.
  assert.ok(seen > 0.35 && seen <= pastS * 1.01, `${seen} s, in ${pastS} s`);
  await loop(20);
  const [again, sinceS] = await look();
  assert.ok(again <= sinceS * 1.01, `${again} s, in ${sinceS} s`);
});

test('a loop that was kept for long is told of for some seconds', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const clock = { now: 0 };
  const stop = new AbortController();
  const check = watchPauses(() => clock.now, stop.signal);
  const said = (): string => {
    const found = check.isReady();
    return found.ok ? '' : found.reason;
  };
  /** A look of the check that comes so much too late. */
  const late = (ms: number): void => {
    clock.now += 250 + ms;
    t.mock.timers.tick(250);
  };
  late(900);
  assert.equal(said(), '');
  late(1200);
  assert.match(said(), /did nothing else for 1\.2 s/);
  for (let n = 0; n < 20; n += 1) late(0);
  assert.match(said(), /did nothing else/, 'five seconds after it');
  late(0);
  assert.equal(said(), '');
  stop.abort();
});
