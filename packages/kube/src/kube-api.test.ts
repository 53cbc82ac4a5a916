import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpTransport } from '@cable/kit';
import { createKubeApi } from './kube-api.ts';
import { KubeError } from './kube-error.ts';
import {
  CONFIG_MAPS,
  customResourceSuite,
  DEPLOYMENTS,
  kubeApiSuite,
  PODS,
  SERVICE_ACCOUNTS,
  startFakeApiServer,
  type TestedApi,
  THINGS,
} from './testing/index.ts';

const KINDS = [
  { ...CONFIG_MAPS, kind: 'ConfigMap' },
  { ...DEPLOYMENTS, kind: 'Deployment', hasStatus: true },
  { ...PODS, kind: 'Pod', hasStatus: true },
  { ...SERVICE_ACCOUNTS, kind: 'ServiceAccount' },
  { ...THINGS, kind: 'Thing', hasStatus: true, isCustom: true },
];

async function start(t: { after(done: () => unknown): void }): Promise<TestedApi> {
  const fake = await startFakeApiServer(KINDS);
  const transport = httpTransport(fake.url);
  t.after(async () => {
    transport.close();
    await fake.close();
  });
  const [compact, restart] = [async () => fake.compact(), async () => fake.cutWatches()];
  return { api: createKubeApi({ transport }), namespace: 'test', compact, restart };
}

kubeApiSuite('double', start);
customResourceSuite('double', start);

test('a token is asked for each request, and sent', async () => {
  const seen: (string | undefined)[] = [];
  const request = async ({ headers }: { headers?: Readonly<Record<string, string>> }) => {
    seen.push(headers?.['authorization']);
    return { status: 200, headers: {}, body: '{"items":null,"metadata":{"resourceVersion":"7"}}' };
  };
  const transport = { ...httpTransport('http://127.0.0.1:1'), request };
  const tokens = ['first', 'second', undefined];
  const api = createKubeApi({ transport, token: () => tokens.shift() });
  for (let n = 0; n < 3; n += 1) assert.deepEqual((await api.list(CONFIG_MAPS)).items, []);
  assert.deepEqual(seen, ['Bearer first', 'Bearer second', undefined]);
});

test('a refusal without a Status is told all the same, with when to ask again', async () => {
  const request = async () => ({ status: 429, headers: { 'retry-after': '3' }, body: 'too many' });
  const api = createKubeApi({ transport: { ...httpTransport('http://127.0.0.1:1'), request } });
  await assert.rejects(api.list(CONFIG_MAPS), (err) => {
    assert(err instanceof KubeError);
    assert.deepEqual([err.status, err.reason, err.retryAfterSeconds], [429, '', 3]);
    assert.match(err.message, /429: too many/);
    return true;
  });
});
