import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpTransport, silentLogger, sleep } from '@cable/kit';
import { createKubeApi, type KubeApi } from './kube-api.ts';
import { holdLease } from './lease.ts';
import { startFakeApiServer } from './testing/index.ts';
import { until } from './testing/until.ts';

const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', isNamespaced: true };
/** Long against what a machine with other work takes for a request. */
const TIMING = { durationMs: 3000, giveUpMs: 2000, retryMs: 50 };

type Candidate = { readonly stop: AbortController; readonly done: Promise<void>; isLeading: boolean; terms: number };

async function world(t: { after(done: () => unknown): void }) {
  const fake = await startFakeApiServer([{ ...LEASES, kind: 'Lease' }]);
  const transport = httpTransport(fake.url);
  const api = createKubeApi({ transport });
  const candidates: Candidate[] = [];
  const most = { leading: 0 };
  const join = (identity: string, own: Pick<KubeApi, 'get' | 'create' | 'update'> = api): Candidate => {
    const stop = new AbortController();
    const options = { api: own, namespace: 'n', name: 'cable', identity, log: silentLogger(), timing: TIMING };
    const done = holdLease({ ...options, signal: stop.signal }, async ({ signal }) => {
      one.isLeading = true;
      one.terms += 1;
      most.leading = Math.max(most.leading, candidates.filter(({ isLeading }) => isLeading).length);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      one.isLeading = false;
    });
    const one: Candidate = { stop, done, isLeading: false, terms: 0 };
    candidates.push(one);
    return one;
  };
  t.after(async () => {
    for (const { stop } of candidates) stop.abort();
    await Promise.all(candidates.map(({ done }) => done));
    transport.close();
    await fake.close();
  });
  return { fake, api, join, most };
}

test('one of several acts; when it ends another does at once', async (t) => {
  const { api, join, most } = await world(t);
  const all = [join('a'), join('b'), join('c')];
  await until(() => all.some(({ isLeading }) => isLeading));
  await sleep(1.5 * TIMING.durationMs);
  const first = all.find(({ isLeading }) => isLeading);
  assert.equal(first?.terms, 1);
  const startedAt = performance.now();
  first?.stop.abort();
  await first?.done;
  await until(() => all.some((one) => one !== first && one.isLeading));
  assert(performance.now() - startedAt < TIMING.durationMs, 'the Lease was given back');
  assert.equal(most.leading, 1);
  const { spec } = (await api.get(LEASES, { namespace: 'n', name: 'cable' })) as unknown as {
    spec: { leaseTransitions: number };
  };
  assert.equal(spec.leaseTransitions, 1);
});

test('a holder that cannot renew stops before another begins', async (t) => {
  const { api, join, most } = await world(t);
  let isCut = false;
  const hang = new Promise<never>(() => {});
  const cut = {
    get: (...args: Parameters<KubeApi['get']>) => (isCut ? hang : api.get(...args)),
    create: (...args: Parameters<KubeApi['create']>) => (isCut ? hang : api.create(...args)),
    update: (...args: Parameters<KubeApi['update']>) => (isCut ? hang : api.update(...args)),
  } as Pick<KubeApi, 'get' | 'create' | 'update'>;
  const first = join('a', cut);
  await until(() => first.isLeading);
  const second = join('b');
  await sleep(TIMING.durationMs / 2);
  assert(!second.isLeading);
  isCut = true;
  const cutAt = performance.now();
  await until(() => !first.isLeading);
  assert(performance.now() - cutAt < TIMING.durationMs - 50, 'it gave up in time');
  await until(() => second.isLeading);
  assert.equal(most.leading, 1);
});

test('an outage shorter than what a holder waits changes nothing', async (t) => {
  const { fake, join } = await world(t);
  const first = join('a');
  await until(() => first.isLeading);
  fake.refuse(503);
  await sleep(TIMING.giveUpMs / 4);
  fake.refuse();
  await sleep(TIMING.durationMs);
  assert.deepEqual([first.isLeading, first.terms], [true, 1]);
});

test('what the holder’s clock says does not matter', async (t) => {
  const { api, join } = await world(t);
  const spec = {
    holderIdentity: 'dead',
    leaseDurationSeconds: 1,
    renewTime: '2099-01-01T00:00:00.000000Z',
    leaseTransitions: 4,
  };
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'cable', namespace: 'n' },
    spec,
  };
  await api.create(LEASES, lease);
  const startedAt = performance.now();
  const one = join('a');
  await until(() => one.isLeading);
  assert(performance.now() - startedAt >= 900, 'it waited a whole term');
});
