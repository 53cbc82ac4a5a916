import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpTransport, silentLogger } from '@cable/kit';
import { createKubeApi, isNotFound, type KubeApi, type KubeKind, Reflector } from '@cable/kube';
import { type FakeApiServer, startFakeApiServer } from '@cable/kube/testing';
import { ENDPOINT_SLICES, type EndpointSlice, sliceFacts } from './service-facts.ts';
import { withSliceVersions } from './slice-versions.ts';

const OLD: KubeKind = { ...ENDPOINT_SLICES, version: 'v1beta1' };
const PLACE = { namespace: 'shop', name: 'web-1' };

type Started = { readonly fake: FakeApiServer; readonly plain: KubeApi; readonly api: KubeApi };

/** An API server that serves EndpointSlices in these versions, which are kinds of their own to the double. */
async function serving(t: { after(done: () => unknown): void }, ...kinds: readonly KubeKind[]): Promise<Started> {
  const fake = await startFakeApiServer(kinds.map((one) => ({ ...one, kind: 'EndpointSlice' })));
  t.after(() => fake.close());
  const transport = httpTransport(fake.url);
  t.after(() => transport.close());
  const plain = createKubeApi({ transport });
  return { fake, plain, api: withSliceVersions(plain) };
}

test('of both versions v1 is asked for, and of v1beta1 alone that', async (t) => {
  const both = await serving(t, OLD, ENDPOINT_SLICES);
  await both.plain.create(ENDPOINT_SLICES, { metadata: PLACE });
  assert.equal((await both.api.list(ENDPOINT_SLICES)).items.length, 1);
  const old = await serving(t, OLD);
  await old.plain.create(OLD, { metadata: PLACE });
  assert.equal((await old.api.list(ENDPOINT_SLICES, { limit: 1 })).items.length, 1);
  assert.equal((await old.api.get(ENDPOINT_SLICES, PLACE)).metadata.name, PLACE.name);
});

test('where there is none, the list says so', async (t) => {
  const { api } = await serving(t, { group: '', version: 'v1', plural: 'pods', isNamespaced: true });
  await assert.rejects(api.list(ENDPOINT_SLICES), isNotFound);
});

test('an API server that serves v1beta1 no more is listed anew', async (t) => {
  const [before, after] = [await serving(t, OLD), await serving(t, ENDPOINT_SLICES)];
  await before.plain.create(OLD, { metadata: PLACE });
  await after.plain.create(ENDPOINT_SLICES, { metadata: { ...PLACE, name: 'web-2' } });
  let now = before;
  const pick =
    (name: 'versions' | 'list' | 'watch') =>
    (...args: readonly unknown[]) =>
      (now.plain[name] as (...given: readonly unknown[]) => never)(...args);
  const moving = { ...before.plain, versions: pick('versions'), list: pick('list'), watch: pick('watch') };
  const stop = new AbortController();
  const changed: string[] = [];
  const slices = new Reflector({
    ...{ api: withSliceVersions(moving), kind: ENDPOINT_SLICES, log: silentLogger(), signal: stop.signal },
    keep: (one: EndpointSlice) => sliceFacts(one),
    changed: (key: string) => changed.push(key),
    timing: { backoff: { minMs: 1, maxMs: 5 } },
  });
  await slices.synced;
  assert.deepEqual([...slices.keys()], ['shop/web-1']);
  now = after;
  before.fake.cutWatches();
  while (!changed.includes('shop/web-2')) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual([...slices.keys()], ['shop/web-2']);
  stop.abort();
  await slices.done;
});

test('the node of an endpoint is its nodeName, and before that was there, the host name of its topology', () => {
  const hostOf = (endpoint: object): string | undefined =>
    sliceFacts({
      ...{ metadata: { ...PLACE, uid: 'u' }, addressType: 'IPv4' },
      endpoints: [{ addresses: ['10.244.0.5'], ...endpoint }],
    }).endpoints[0]?.host_id;
  const topology = { 'kubernetes.io/hostname': 'n1', 'topology.kubernetes.io/zone': 'z' };
  assert.equal(hostOf({ topology }), 'n1');
  assert.equal(hostOf({ topology, nodeName: 'n2' }), 'n2');
  assert.equal(hostOf({}), '');
});
