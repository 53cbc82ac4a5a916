import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { addEventLoopDelay } from './event-loop.ts';

test('a turn that keeps the event loop is seen, and once', async (t) => {
  const registry = new Registry();
  t.after(addEventLoopDelay(registry));
  const longest = async (): Promise<number> =>
    Number(/cable_event_loop_delay_seconds\{quantile="1"\} (\S+)/.exec(await registry.metrics())?.[1]);
  const loop = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  await loop(20);
  await longest();
  await loop(20);
  const until = performance.now() + 400;
  while (performance.now() < until);
  await loop(20);
  const seen = await longest();
  assert.ok(seen > 0.35 && seen < 10, String(seen));
  await loop(20);
  assert.ok((await longest()) < seen);
});
