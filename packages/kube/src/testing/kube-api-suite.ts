/** What Cable relies on in Kubernetes' API. A real API server and the double pass it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeApi, WatchEvent } from '../kube-api.ts';
import { isConflict, isExpired, isNotFound, KubeError } from '../kube-error.ts';
import type { KubeKind, KubeObject } from '../kube-object.ts';

export type TestedApi = {
  readonly api: KubeApi;
  /** A namespace that is there, of this test alone. */
  readonly namespace: string;
  /** Makes the API server forget all changes up to now; undefined: it cannot be told to. */
  readonly compact: (() => Promise<void>) | undefined;
};

type ConfigMap = KubeObject & { readonly data?: Readonly<Record<string, string>> };
export const CONFIG_MAPS: KubeKind = { group: '', version: 'v1', plural: 'configmaps', isNamespaced: true };

type Deployment = KubeObject & {
  readonly spec: { readonly replicas: number; readonly [name: string]: unknown };
  readonly status?: { readonly replicas?: number };
};
export const DEPLOYMENTS: KubeKind = { group: 'apps', version: 'v1', plural: 'deployments', isNamespaced: true };

const SECONDS = 20;

/** `start` is called for each test. */
export function kubeApiSuite(
  name: string,
  start: (t: { after(done: () => unknown): void }) => Promise<TestedApi>,
): void {
  const map = (namespace: string, called: string, data: Record<string, string> = {}, more: object = {}): ConfigMap => ({
    ...{ apiVersion: 'v1', kind: 'ConfigMap', data },
    metadata: { name: called, namespace, ...more },
  });

  test(`${name}: an object is made, read, replaced, patched and deleted`, async (t) => {
    const { api, namespace } = await start(t);
    const made = await api.create(CONFIG_MAPS, map(namespace, 'a', { x: '1' }));
    assert.match(made.metadata.uid ?? '', /^[0-9a-f-]{36}$/);
    assert.deepEqual(await api.get(CONFIG_MAPS, { namespace, name: 'a' }), made);
    const replaced = await api.update<ConfigMap>(CONFIG_MAPS, { ...made, data: { y: '2' } });
    assert.deepEqual(replaced.data, { y: '2' });
    assert.notEqual(replaced.metadata.resourceVersion, made.metadata.resourceVersion);
    const patched = await api.patch<ConfigMap>(CONFIG_MAPS, { namespace, name: 'a' }, { data: { y: null, z: '3' } });
    assert.deepEqual(patched.data, { z: '3' });
    assert.equal(patched.metadata.uid, made.metadata.uid);
    await api.delete(CONFIG_MAPS, { namespace, name: 'a' });
    await assert.rejects(api.get(CONFIG_MAPS, { namespace, name: 'a' }), isNotFound);
  });

  test(`${name}: refusals have their words`, async (t) => {
    const { api, namespace } = await start(t);
    const made = await api.create(CONFIG_MAPS, map(namespace, 'a'));
    const reason = (wanted: string) => (err: unknown) => err instanceof KubeError && err.reason === wanted;
    await assert.rejects(api.create(CONFIG_MAPS, map(namespace, 'a')), reason('AlreadyExists'));
    await api.update(CONFIG_MAPS, { ...made, data: { x: '1' } });
    await assert.rejects(api.update(CONFIG_MAPS, { ...made, data: { x: '2' } }), reason('Conflict'));
    const other = { uid: '11111111-2222-3333-4444-555555555555' };
    await assert.rejects(api.delete(CONFIG_MAPS, { namespace, name: 'a' }, other), isConflict);
    await assert.rejects(api.delete(CONFIG_MAPS, { namespace, name: 'b' }), isNotFound);
    const nowhere: KubeKind = { group: 'nobody.example', version: 'v1', plural: 'things', isNamespaced: true };
    await assert.rejects(api.list(nowhere), isNotFound);
  });

  test(`${name}: what is written as it is makes no new version`, async (t) => {
    const { api, namespace } = await start(t);
    const made = await api.create(CONFIG_MAPS, map(namespace, 'a', { x: '1' }));
    const again = await api.update(CONFIG_MAPS, made);
    assert.equal(again.metadata.resourceVersion, made.metadata.resourceVersion);
  });

  test(`${name}: a list comes in pages, of one state`, async (t) => {
    const { api, namespace } = await start(t);
    for (const called of ['a', 'b', 'c', 'd', 'e']) await api.create(CONFIG_MAPS, map(namespace, called));
    const names: string[] = [];
    const first = await api.list(CONFIG_MAPS, { namespace, limit: 2 });
    for (let page = first; ; ) {
      assert(page.items.length <= 2);
      names.push(...page.items.map(({ metadata }) => metadata.name));
      assert.equal(page.resourceVersion, first.resourceVersion);
      if (page.continue === undefined) break;
      page = await api.list(CONFIG_MAPS, { namespace, limit: 2, continue: page.continue });
    }
    assert.deepEqual(
      names.filter((one) => one.length === 1),
      ['a', 'b', 'c', 'd', 'e'],
    );
  });

  test(`${name}: a watch tells all since a list, in order, and ends when its time is over`, async (t) => {
    const { api, namespace } = await start(t);
    await api.create(CONFIG_MAPS, map(namespace, 'before'));
    const { resourceVersion } = await api.list(CONFIG_MAPS, { namespace });
    const made = await api.create(CONFIG_MAPS, map(namespace, 'a', { x: '1' }));
    await api.update(CONFIG_MAPS, { ...made, data: { x: '2' } });
    const signal = AbortSignal.timeout(SECONDS * 1000);
    const events: WatchEvent<ConfigMap>[] = [];
    let isDeleted = false;
    for await (const event of api.watch<ConfigMap>(CONFIG_MAPS, {
      namespace,
      resourceVersion,
      timeoutSeconds: 3,
      signal,
    })) {
      if (event.type === 'BOOKMARK') continue;
      events.push(event);
      if (events.length < 2 || isDeleted) continue;
      isDeleted = true;
      await api.delete(CONFIG_MAPS, { namespace, name: 'a' });
    }
    assert.deepEqual(
      events.map(({ type, object }) => `${type} ${object.metadata.name} ${object.data?.['x']}`),
      ['ADDED a 1', 'MODIFIED a 2', 'DELETED a 2'],
    );
  });

  test(`${name}: what a label selects is told as made and gone`, async (t) => {
    const { api, namespace } = await start(t);
    const chosen = { labels: { app: 'web' } };
    const made = await api.create(CONFIG_MAPS, map(namespace, 'a', {}, chosen));
    await api.create(CONFIG_MAPS, map(namespace, 'b'));
    const labelSelector = 'app=web';
    const { items, resourceVersion } = await api.list(CONFIG_MAPS, { namespace, labelSelector });
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['a'],
    );
    await api.patch(CONFIG_MAPS, { namespace, name: 'b' }, { metadata: chosen });
    await api.update(CONFIG_MAPS, { ...made, metadata: { ...made.metadata, labels: {} } });
    const signal = AbortSignal.timeout(SECONDS * 1000);
    const told: string[] = [];
    const options = { namespace, labelSelector, resourceVersion, timeoutSeconds: 2, signal };
    for await (const { type, object } of api.watch(CONFIG_MAPS, options))
      if (type !== 'BOOKMARK') told.push(`${type} ${object.metadata.name}`);
    assert.deepEqual(told, ['ADDED b', 'DELETED a']);
  });

  test(`${name}: an object with a finalizer stays until it has none`, async (t) => {
    const { api, namespace } = await start(t);
    const finalizers = ['example.com/wait'];
    await api.create(CONFIG_MAPS, map(namespace, 'a', {}, { finalizers }));
    await api.delete(CONFIG_MAPS, { namespace, name: 'a' });
    const going = await api.get<ConfigMap>(CONFIG_MAPS, { namespace, name: 'a' });
    assert.match(going.metadata.deletionTimestamp ?? '', /^\d{4}-\d\d-\d\dT/);
    await api.delete(CONFIG_MAPS, { namespace, name: 'a' });
    const { finalizers: _, ...metadata } = going.metadata;
    await api.update(CONFIG_MAPS, { ...going, metadata: { ...metadata, finalizers: [] } });
    await assert.rejects(api.get(CONFIG_MAPS, { namespace, name: 'a' }), isNotFound);
  });

  test(`${name}: status and spec are written apart, and only a new spec is a new generation`, async (t) => {
    const { api, namespace } = await start(t);
    const labels = { app: 'web' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'web' }] } };
    const made = await api.create<Deployment>(DEPLOYMENTS, {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a', namespace } },
      spec: { replicas: 1, selector: { matchLabels: labels }, template },
      status: { replicas: 7 },
    });
    assert.deepEqual([made.status?.replicas, made.metadata.generation], [undefined, 1]);
    const told = { ...made, spec: { ...made.spec, replicas: 9 }, status: { replicas: 2 } };
    const shown = await api.update<Deployment>(DEPLOYMENTS, told, 'status');
    assert.deepEqual([shown.spec.replicas, shown.status?.replicas, shown.metadata.generation], [1, 2, 1]);
    const wanted = { ...shown, spec: { ...shown.spec, replicas: 3 }, status: { replicas: 8 } };
    const changed = await api.update<Deployment>(DEPLOYMENTS, wanted);
    assert.deepEqual([changed.spec.replicas, changed.status?.replicas, changed.metadata.generation], [3, 2, 2]);
    const patch = { status: { replicas: 4 }, spec: { replicas: 5 } };
    const patched = await api.patch<Deployment>(DEPLOYMENTS, { namespace, name: 'a' }, patch, 'status');
    assert.deepEqual([patched.spec.replicas, patched.status?.replicas, patched.metadata.generation], [3, 4, 2]);
  });

  test(`${name}: a watch from what is forgotten says so`, async (t) => {
    const { api, namespace, compact } = await start(t);
    if (compact === undefined) return t.skip('this API server cannot be told to forget');
    const { resourceVersion } = await api.list(CONFIG_MAPS, { namespace });
    const made = await api.create(CONFIG_MAPS, map(namespace, 'a'));
    await api.update(CONFIG_MAPS, { ...made, data: { x: '1' } });
    await compact();
    const signal = AbortSignal.timeout(SECONDS * 1000);
    const watch = api.watch(CONFIG_MAPS, { namespace, resourceVersion, timeoutSeconds: 2, signal });
    await assert.rejects(async () => {
      for await (const _ of watch);
    }, isExpired);
  });
}
