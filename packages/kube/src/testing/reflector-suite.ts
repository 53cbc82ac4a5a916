/** What a `Reflector` promises while the API server forgets and goes away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { KubeApi } from '../kube-api.ts';
import type { KubeObject } from '../kube-object.ts';
import { Reflector } from '../reflector.ts';
import { CONFIG_MAPS, type TestedApi } from './kube-api-suite.ts';
import { until } from './until.ts';

type ConfigMap = KubeObject & { readonly data?: Readonly<Record<string, string>> };
type World = TestedApi & {
  put(name: string, x: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** What is kept of each is its `x`. `own`: in place of the API. */
  follow(own?: Partial<Pick<KubeApi, 'list' | 'watch'>>): Reflector<ConfigMap, string>;
  readonly changed: string[];
};

/** More than a busy machine takes. */
const SECONDS = 60;
const TIMING = { watchSeconds: 60, pageSize: 1, backoff: { minMs: 5, maxMs: 200 } };

/** `start` is called for each test. */
export function reflectorSuite(
  name: string,
  start: (t: { after(done: () => unknown): void }) => Promise<TestedApi>,
): void {
  const world = async (t: { after(done: () => unknown): void }): Promise<World> => {
    const tested = await start(t);
    const { api, namespace } = tested;
    const stop = new AbortController();
    const changed: string[] = [];
    const reflectors: Reflector<ConfigMap, string>[] = [];
    t.after(async () => {
      stop.abort();
      await Promise.all(reflectors.map(({ done }) => done));
    });
    const put: World['put'] = async (called, x) => {
      const metadata = { name: called, namespace };
      const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { x } };
      await api.update(CONFIG_MAPS, object).catch(() => api.create(CONFIG_MAPS, object));
    };
    const follow: World['follow'] = (own = {}) => {
      const reflector = new Reflector<ConfigMap, string>({
        ...{ api: { list: api.list, watch: api.watch, ...own }, kind: CONFIG_MAPS, namespace, timing: TIMING },
        ...{ log: silentLogger(), signal: stop.signal },
        keep: ({ data }) => data?.['x'] ?? '',
        changed: (key) => void changed.push(key),
      });
      reflectors.push(reflector);
      return reflector;
    };
    const remove = (called: string): Promise<void> => api.delete(CONFIG_MAPS, { namespace, name: called });
    return { ...tested, put, remove, follow, changed };
  };

  test(`${name}: over a restart of the API server nothing is missed`, async (t) => {
    const { namespace, restart, put, remove, follow } = await world(t);
    for (const called of ['a', 'b', 'same']) await put(called, '1');
    const kept = follow();
    await kept.synced;
    await put('a', '2');
    await restart();
    await put('a', '3');
    await remove('b');
    await put('c', '1');
    await until(() => kept.get(`${namespace}/c`) === '1' && kept.get(`${namespace}/b`) === undefined, SECONDS);
    assert.equal(kept.get(`${namespace}/a`), '3');
    assert.deepEqual(
      [...kept.keys()].sort(),
      ['a', 'c', 'same'].map((one) => `${namespace}/${one}`),
    );
  });

  test(`${name}: one that is too far behind lists anew, and learns what has gone`, async (t) => {
    const { api, namespace, compact, put, remove, follow, changed } = await world(t);
    for (const called of ['a', 'b', 'same']) await put(called, '1');
    let goOn = (): void => undefined;
    let held = Promise.resolve();
    const cut = new AbortController();
    const watch: KubeApi['watch'] = async function* (kind, options) {
      const first = cut.signal.aborted ? [] : [cut.signal];
      await held;
      const signal = AbortSignal.any([options.signal, ...first]);
      yield* api.watch(kind, { ...options, signal }) as AsyncIterable<never>;
    };
    const kept = follow({ watch });
    await kept.synced;
    held = new Promise((resolve) => {
      goOn = resolve;
    });
    cut.abort();
    changed.splice(0);
    await remove('a');
    await put('b', '2');
    await compact();
    assert.deepEqual(changed, []);
    goOn();
    await until(() => kept.get(`${namespace}/b`) === '2' && kept.get(`${namespace}/a`) === undefined, SECONDS);
    assert.deepEqual(
      changed.toSorted(),
      [`${namespace}/a`, `${namespace}/b`],
      'what is as it was is not worked on again',
    );
  });

  test(`${name}: pages that expire while they are read are read anew, at last in one`, async (t) => {
    const { api, namespace, compact, put, follow } = await world(t);
    for (const called of ['a', 'b', 'c']) await put(called, '1');
    const limits: (number | undefined)[] = [];
    const list: KubeApi['list'] = async (kind, options) => {
      limits.push(options?.limit);
      const page = await api.list(kind, options);
      if (page.continue !== undefined) {
        // Were nothing newer, the state of the page would be the present, which is never forgotten.
        await put(`later-${limits.length}`, '1');
        await compact();
      }
      return page as never;
    };
    const kept = follow({ list });
    await kept.synced;
    assert.deepEqual(limits, [1, 1, 1, 1, undefined]);
    assert.deepEqual(
      [...kept.keys()].sort(),
      ['a', 'b', 'c', 'later-1', 'later-3'].map((one) => `${namespace}/${one}`),
    );
  });
}
