import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpTransport, silentLogger, sleep, TOO_LARGE, TransportError } from '@cable/kit';
import { createKubeApi, type KubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import type { KubeObject } from './kube-object.ts';
import { Reflector, type ReflectorTiming } from './reflector.ts';
import { CONFIG_MAPS, type FakeApiServer, reflectorSuite, startFakeApiServer } from './testing/index.ts';
import { until } from './testing/until.ts';

type ConfigMap = KubeObject & { readonly data?: Readonly<Record<string, string>> };

/** Of an object with this nothing can be kept. */
const UNREADABLE = 'unreadable';

const FAST = { watchSeconds: 60, backoff: { minMs: 5, maxMs: 50 } };

type World = {
  readonly fake: FakeApiServer;
  readonly api: KubeApi;
  readonly changed: string[];
  put(name: string, x: string): Promise<void>;
  start(timing?: Partial<ReflectorTiming>): Reflector<ConfigMap, string>;
};

async function world(t: { after(done: () => unknown): void }): Promise<World> {
  const fake = await startFakeApiServer([{ ...CONFIG_MAPS, kind: 'ConfigMap' }]);
  const transport = httpTransport(fake.url);
  const api = createKubeApi({ transport });
  const stop = new AbortController();
  const changed: string[] = [];
  const reflectors: Reflector<ConfigMap, string>[] = [];
  t.after(async () => {
    stop.abort();
    await Promise.all(reflectors.map(({ done }) => done));
    transport.close();
    await fake.close();
  });
  const put = async (name: string, x: string): Promise<void> => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'n' }, data: { x } };
    await api.update(CONFIG_MAPS, object).catch(() => api.create(CONFIG_MAPS, object));
  };
  const start = (timing: Partial<ReflectorTiming> = {}): Reflector<ConfigMap, string> => {
    const reflector = new Reflector<ConfigMap, string>({
      ...{ api, kind: CONFIG_MAPS, log: silentLogger(), signal: stop.signal, timing: { ...FAST, ...timing } },
      keep: ({ data }) => {
        if (data?.['x'] === UNREADABLE) throw new TypeError('unreadable');
        return data?.['x'] ?? '';
      },
      changed: (key) => void changed.push(key),
    });
    reflectors.push(reflector);
    return reflector;
  };
  return { fake, api, changed, put, start };
}

reflectorSuite('double', async (t) => {
  const { api, fake } = await world(t);
  return { api, namespace: 'test', compact: async () => fake.compact(), restart: async () => fake.cutWatches() };
});

test('what is there is listed in pages, and what changes follows', async (t) => {
  const { fake, api, changed, put, start } = await world(t);
  for (const name of ['a', 'b', 'c']) await put(name, '1');
  const kept = start({ pageSize: 2 });
  await kept.synced;
  assert.deepEqual([...kept.keys()], ['n/a', 'n/b', 'n/c']);
  assert.equal(fake.asked.filter((one) => one.includes('limit=2')).length, 2);
  assert.deepEqual(changed.splice(0), ['n/a', 'n/b', 'n/c']);
  await put('a', '2');
  await api.delete(CONFIG_MAPS, { namespace: 'n', name: 'b' });
  await until(() => kept.get('n/a') === '2' && kept.size === 2);
  assert.deepEqual(changed, ['n/a', 'n/b']);
});

test('a watch that is cut goes on where it was, without another list', async (t) => {
  const { fake, put, start } = await world(t);
  await put('a', '1');
  const kept = start();
  await kept.synced;
  const lists = (): number => fake.asked.filter((one) => one.startsWith('GET') && !one.includes('watch=1')).length;
  const before = lists();
  for (let n = 2; n < 6; n += 1) {
    fake.cutWatches();
    await put('a', String(n));
    await until(() => kept.get('n/a') === String(n));
  }
  assert.equal(lists(), before);
});

test('a bookmark spares the list when nothing of one’s own has changed for long', async (t) => {
  const { fake, put, start } = await world(t);
  await put('a', '1');
  const kept = start();
  await kept.synced;
  await until(() => fake.asked.some((one) => one.includes('watch=1')));
  fake.compact();
  const lists = fake.asked.filter((one) => !one.includes('watch=1')).length;
  fake.bookmark();
  await sleep(500);
  fake.cutWatches();
  await until(() => fake.asked.filter((one) => one.includes('watch=1')).length === 2);
  await put('b', '1');
  await until(() => kept.size === 2);
  // The put of `b` asked twice.
  assert.equal(fake.asked.filter((one) => !one.includes('watch=1')).length, lists + 2);
});

test('an outage leaves what is kept, and is not hammered', async (t) => {
  const { fake, put, start } = await world(t);
  await put('a', '1');
  const kept = start({ backoff: { minMs: 40, maxMs: 400 } });
  await kept.synced;
  fake.refuse(503);
  fake.cutWatches();
  const before = fake.asked.length;
  await sleep(600);
  assert.equal(kept.get('n/a'), '1');
  const asked = fake.asked.length - before;
  assert(asked >= 1 && asked <= 12, `${asked} requests in 600 ms`);
  fake.refuse();
  await put('a', '2');
  await until(() => kept.get('n/a') === '2');
});

test('a watch that says nothing any more, and does not end, is given up', async (t) => {
  const { api, put } = await world(t);
  await put('a', '1');
  const stop = new AbortController();
  let watches = 0;
  const watch: KubeApi['watch'] = async function* (_, { signal }) {
    watches += 1;
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  };
  const kept = new Reflector<ConfigMap, true>({
    ...{ api: { list: api.list, watch }, kind: CONFIG_MAPS, log: silentLogger(), signal: stop.signal },
    timing: { ...FAST, watchSeconds: 0, graceMs: 20 },
    keep: () => true,
    changed: () => {},
  });
  await until(() => watches >= 3);
  stop.abort();
  await kept.done;
});

test('an object that cannot be read stops no other, in the list and in the watch', async (t) => {
  const { put, start } = await world(t);
  await put('a', UNREADABLE);
  await put('b', '1');
  const kept = start();
  await kept.synced;
  assert.deepEqual([...kept.keys()], ['n/b']);
  await put('b', UNREADABLE);
  await put('c', '1');
  await until(() => kept.get('n/c') === '1');
  assert.equal(kept.get('n/b'), '1');
  await put('a', '2');
  await put('b', '2');
  await until(() => kept.get('n/a') === '2' && kept.get('n/b') === '2');
});

test('a page that is too large is asked for with fewer objects, from where the one before it ended', async (t) => {
  const all = Array.from({ length: 10 }, (_, n) => ({
    metadata: { name: `o${n}`, namespace: 'n', uid: `${n}`, resourceVersion: '5' },
  }));
  const asked: string[] = [];
  const stop = new AbortController();
  const api = {
    list: async (_kind: unknown, options: { readonly limit?: number; readonly continue?: string }) => {
      const { limit = all.length, continue: from = '0' } = options;
      asked.push(`${from}+${limit}`);
      if (limit > 2) throw new TransportError(TOO_LARGE, 'too large');
      const end = Number(from) + limit;
      const more = end < all.length ? { continue: String(end) } : {};
      return { items: all.slice(Number(from), end), resourceVersion: '5', ...more };
    },
    watch: async function* () {
      await sleep(60_000, stop.signal);
      yield* [];
    },
  } as unknown as KubeApi;
  const kept = new Reflector<KubeObject, string>({
    ...{ api, kind: CONFIG_MAPS, log: silentLogger(), signal: stop.signal, timing: { ...FAST, pageSize: 8 } },
    keep: ({ metadata }) => metadata.name,
    changed: () => undefined,
  });
  t.after(async () => {
    stop.abort();
    await kept.done;
  });
  await kept.synced;
  assert.deepEqual(asked, ['0+8', '0+4', '0+2', '2+2', '4+2', '6+2', '8+2']);
  assert.equal(kept.size, 10);
});

test('that there is no such kind is told, but where it need not be there', async () => {
  for (const [isOptional, told] of [
    [{}, 1],
    [{ isOptional: true }, 0],
  ] as const) {
    const stop = new AbortController();
    let [asked, warned] = [0, 0];
    const list = async (): Promise<never> => {
      asked += 1;
      throw new KubeError(404, 'NotFound', 'no such kind');
    };
    const warn = (): void => {
      warned += 1;
    };
    const log = { ...silentLogger(), warn };
    const kept = new Reflector<ConfigMap, true>({
      ...{ api: { list, watch: async function* () {} }, kind: CONFIG_MAPS, log, signal: stop.signal, timing: FAST },
      ...{ keep: () => true, changed: () => {}, ...isOptional },
    });
    await until(() => asked >= 3);
    assert.equal(warned, told);
    stop.abort();
    await kept.done;
  }
});
