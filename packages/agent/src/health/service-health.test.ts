import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { HealthPort } from '../plan/entrances.ts';
import { ServiceHealth } from './service-health.ts';

/** A port that nobody has, and one that somebody has until he is told to go. */
async function port(): Promise<{ readonly number: number; readonly free: () => Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, () => resolve()));
  const { port: number } = server.address() as AddressInfo;
  return { number, free: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** Asks until somebody answers; 0: nobody. */
async function ask(
  at: number,
): Promise<{ readonly status: number; readonly body: unknown; readonly weight?: string | null }> {
  for (let waited = 0; waited < 5000; waited += 10) {
    try {
      const answer = await fetch(`http://127.0.0.1:${at}/healthz`);
      const weight = answer.headers.get('x-load-balancing-endpoint-weight');
      return { status: answer.status, body: await answer.json(), weight };
    } catch {
      await sleep(10);
    }
  }
  return { status: 0, body: undefined };
}

test('a port says whether the Service has endpoints here, as soon as nobody else has it, and as long as it is wanted', async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const health = new ServiceHealth({ log: silentLogger(), signal: stop.signal, retryMs: 20 });
  const { number, free } = await port();
  const wanted = (endpoints: number): ReadonlyMap<number, HealthPort> =>
    new Map([[number, { port: number, service: 'shop/web', endpoints }]]);
  health.take(wanted(2));
  await sleep(30);
  await free();
  const service = { namespace: 'shop', name: 'web' };
  const body = { service, localEndpoints: 2, serviceProxyHealthy: true };
  assert.deepEqual(await ask(number), { status: 200, body, weight: '2' });
  health.take(wanted(0));
  assert.deepEqual(await ask(number), { status: 503, body: { ...body, localEndpoints: 0 }, weight: '0' });
  health.take(new Map());
  await assert.rejects(fetch(`http://127.0.0.1:${number}/`));
});
