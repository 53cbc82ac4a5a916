import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpTransport, sleep } from '@cable/kit';
import { createKubeApi } from './kube-api.ts';
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
