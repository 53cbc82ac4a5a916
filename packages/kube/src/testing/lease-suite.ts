/** What a Lease promises to those who want it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { KubeApi } from '../kube-api.ts';
import type { KubeKind } from '../kube-object.ts';
import { holdLease, type LeaseTiming } from '../lease.ts';
import type { TestedApi } from './kube-api-suite.ts';
import { until } from './until.ts';

export const LEASES: KubeKind = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', isNamespaced: true };

/** One who wants the Lease. `terms`: how often it had it. */
export type Candidate = {
  readonly stop: AbortController;
  readonly done: Promise<void>;
  isLeading: boolean;
  terms: number;
};

/** Those who want the Lease `cable` of a namespace; `most.leading`: how many had it at a time. */
export type Candidates = {
  join(identity: string, own?: Pick<KubeApi, 'get' | 'create' | 'update'>): Candidate;
  readonly most: { leading: number };
};

export function startCandidates(
  t: { after(done: () => unknown): void },
  { api, namespace }: Pick<TestedApi, 'api' | 'namespace'>,
  timing: LeaseTiming,
): Candidates {
  const candidates: Candidate[] = [];
  const most = { leading: 0 };
  t.after(async () => {
    for (const { stop } of candidates) stop.abort();
    await Promise.all(candidates.map(({ done }) => done));
  });
  const join: Candidates['join'] = (identity, own = api) => {
    const stop = new AbortController();
    const options = { api: own, namespace, name: 'cable', identity, log: silentLogger(), timing };
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
  return { join, most };
}

/** `start` is called for each test. `timing`: long against what a request takes on a machine with other work. */
export function leaseSuite(
  name: string,
  start: (t: { after(done: () => unknown): void }) => Promise<TestedApi>,
  timing: LeaseTiming,
): void {
  const world = async (t: { after(done: () => unknown): void }) => {
    const tested = await start(t);
    return { ...tested, ...startCandidates(t, tested, timing) };
  };
  const waitSeconds = (3 * timing.durationMs) / 1000 + 10;

  test(`${name}: one of several acts; when it ends another does at once`, async (t) => {
    const { api, namespace, join, most } = await world(t);
    const all = [join('a'), join('b'), join('c')];
    await until(() => all.some(({ isLeading }) => isLeading), waitSeconds);
    await sleep(1.5 * timing.durationMs);
    const first = all.find(({ isLeading }) => isLeading);
    assert.equal(first?.terms, 1);
    const startedAt = performance.now();
    first?.stop.abort();
    await first?.done;
    await until(() => all.some((one) => one !== first && one.isLeading), waitSeconds);
    assert(performance.now() - startedAt < timing.durationMs, 'the Lease was given back');
    assert.equal(most.leading, 1);
    const { spec } = (await api.get(LEASES, { namespace, name: 'cable' })) as unknown as {
      spec: { leaseTransitions: number };
    };
    assert.equal(spec.leaseTransitions, 1);
  });

  test(`${name}: a holder that cannot renew stops before another begins`, async (t) => {
    const { api, join, most } = await world(t);
    let isCut = false;
    const hang = new Promise<never>(() => {});
    const cut = {
      get: (...args: Parameters<KubeApi['get']>) => (isCut ? hang : api.get(...args)),
      create: (...args: Parameters<KubeApi['create']>) => (isCut ? hang : api.create(...args)),
      update: (...args: Parameters<KubeApi['update']>) => (isCut ? hang : api.update(...args)),
    } as Pick<KubeApi, 'get' | 'create' | 'update'>;
    const first = join('a', cut);
    await until(() => first.isLeading, waitSeconds);
    const second = join('b');
    await sleep(timing.durationMs / 2);
    assert(!second.isLeading);
    isCut = true;
    const cutAt = performance.now();
    await until(() => !first.isLeading, waitSeconds);
    assert(performance.now() - cutAt < timing.durationMs - 50, 'it gave up in time');
    await until(() => second.isLeading, waitSeconds);
    assert.equal(most.leading, 1);
  });

  test(`${name}: what the holder’s clock says does not matter`, async (t) => {
    const { api, namespace, join } = await world(t);
    const spec = {
      holderIdentity: 'dead',
      leaseDurationSeconds: 1,
      renewTime: '2099-01-01T00:00:00.000000Z',
      leaseTransitions: 4,
    };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: 'cable', namespace }, spec };
    await api.create(LEASES, lease);
    const startedAt = performance.now();
    const one = join('a');
    await until(() => one.isLeading, waitSeconds);
    assert(performance.now() - startedAt >= 900, 'it waited a whole term');
  });

  test(`${name}: after a restart of the API server one acts, and never two did`, async (t) => {
    const { restart, join, most } = await world(t);
    const all = [join('a'), join('b')];
    await until(() => all.some(({ isLeading }) => isLeading), waitSeconds);
    await restart();
    await sleep(timing.durationMs);
    await until(() => all.some(({ isLeading }) => isLeading), waitSeconds);
    assert.equal(most.leading, 1);
  });
}
