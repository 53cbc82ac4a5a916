import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpTransport, silentLogger, sleep } from '@cable/kit';
import { createKubeApi } from './kube-api.ts';
import { holdLease } from './lease.ts';
import { type FakeApiServer, LEASES, leaseSuite, startFakeApiServer, type TestedApi } from './testing/index.ts';
import { startCandidates } from './testing/lease-suite.ts';
import { until } from './testing/until.ts';

/** Long against what a machine with other work takes for a request. */
const TIMING = { durationMs: 3000, giveUpMs: 2000, retryMs: 50 };

async function start(t: { after(done: () => unknown): void }): Promise<TestedApi & { readonly fake: FakeApiServer }> {
  const fake = await startFakeApiServer([{ ...LEASES, kind: 'Lease' }]);
  const transport = httpTransport(fake.url);
  t.after(async () => {
    transport.close();
    await fake.close();
  });
  const [compact, restart] = [async () => fake.compact(), async () => fake.cutWatches()];
  return { fake, api: createKubeApi({ transport }), namespace: 'test', compact, restart };
}

leaseSuite('double', start, TIMING);

test('an outage shorter than what a holder waits changes nothing', async (t) => {
  const { fake, ...tested } = await start(t);
  const { join } = startCandidates(t, tested, TIMING);
  const first = join('a');
  await until(() => first.isLeading);
  fake.refuse(503);
  await sleep(TIMING.giveUpMs / 4);
  fake.refuse();
  await sleep(TIMING.durationMs);
  assert.deepEqual([first.isLeading, first.terms], [true, 1]);
});

test('who loses the Lease while he raises it is told, and may have it again', { timeout: 60_000 }, async (t) => {
  const { fake, api, namespace } = await start(t);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const options = { api, namespace, name: 'cable', identity: 'a', log: silentLogger(), timing: TIMING };
  const terms: number[] = [];
  const done = holdLease({ ...options, signal: stop.signal }, async ({ signal, raise }) => {
    terms.push(terms.length);
    if (terms.length === 2) return stop.abort();
    fake.refuse(503);
    await raise(7);
    assert.ok(signal.aborted);
    await raise(8);
    fake.refuse();
  });
  await done;
  assert.equal(terms.length, 2);
});
