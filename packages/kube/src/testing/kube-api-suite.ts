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
  /** The API server forgets all changes up to now. It may have to begin anew for that, as in `restart`. */
  compact(): Promise<void>;
  /** The API server ends, and with it every watch; what comes back has all that was stored. */
  restart(): Promise<void>;
};

type ConfigMap = KubeObject & { readonly data?: Readonly<Record<string, string>> };
export const CONFIG_MAPS: KubeKind = { group: '', version: 'v1', plural: 'configmaps', isNamespaced: true };

type Deployment = KubeObject & {
  readonly spec: { readonly replicas: number; readonly [name: string]: unknown };
  readonly status?: { readonly replicas?: number };
};
export const DEPLOYMENTS: KubeKind = { group: 'apps', version: 'v1', plural: 'deployments', isNamespaced: true };

/** A pod needs one that is there. */
export const SERVICE_ACCOUNTS: KubeKind = {
  ...{ group: '', version: 'v1', plural: 'serviceaccounts', isNamespaced: true },
};
export const PODS: KubeKind = { group: '', version: 'v1', plural: 'pods', isNamespaced: true };

type Pod = KubeObject & { readonly spec: object; readonly status?: { readonly message?: string } };

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
    const { resourceVersion } = made.metadata;
    const late = api.patch(CONFIG_MAPS, { namespace, name: 'a' }, { metadata: { resourceVersion }, data: { x: '2' } });
    await assert.rejects(late, reason('Conflict'));
    const other = { uid: '11111111-2222-3333-4444-555555555555' };
    await assert.rejects(api.delete(CONFIG_MAPS, { namespace, name: 'a' }, other), isConflict);
    await api.delete(CONFIG_MAPS, { namespace, name: 'a' }, { uid: made.metadata.uid ?? '' });
    await assert.rejects(api.delete(CONFIG_MAPS, { namespace, name: 'a' }), isNotFound);
    const nowhere: KubeKind = { group: 'nobody.example', version: 'v1', plural: 'things', isNamespaced: true };
    await assert.rejects(api.list(nowhere), isNotFound);
  });

  test(`${name}: which versions of a group are served`, async (t) => {
    const { api } = await start(t);
    assert.ok((await api.versions(DEPLOYMENTS.group)).includes('v1'));
    assert.deepEqual(await api.versions('nobody.example'), []);
  });

  test(`${name}: an object without a name gets one`, async (t) => {
    const { api, namespace } = await start(t);
    const one = await api.create(CONFIG_MAPS, map(namespace, '', { x: '1' }, { generateName: 'made-' }));
    const other = await api.create(CONFIG_MAPS, map(namespace, '', {}, { generateName: 'made-' }));
    assert.match(one.metadata.name, /^made-[a-z0-9]{5}$/);
    assert.notEqual(other.metadata.name, one.metadata.name);
    assert.deepEqual(await api.get(CONFIG_MAPS, { namespace, name: one.metadata.name }), one);
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

  test(`${name}: pages of a state that is forgotten are not told`, async (t) => {
    const { api, namespace, compact } = await start(t);
    for (const called of ['a', 'b', 'c']) await api.create(CONFIG_MAPS, map(namespace, called));
    const first = await api.list(CONFIG_MAPS, { namespace, limit: 1 });
    await api.create(CONFIG_MAPS, map(namespace, 'd'));
    await compact();
    const next = { namespace, limit: 1, continue: first.continue ?? '' };
    await assert.rejects(api.list(CONFIG_MAPS, next), isExpired);
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

  test(`${name}: a watch is told how far it has come, also when nothing of its own changes`, async (t) => {
    const { api, namespace } = await start(t);
    const labels = { app: 'web' };
    const selected = { namespace, labelSelector: 'app=web' };
    const { resourceVersion } = await api.list(CONFIG_MAPS, selected);
    await api.create(CONFIG_MAPS, map(namespace, 'a', {}, { labels }));
    const signal = AbortSignal.timeout(SECONDS * 1000);
    const events: WatchEvent<ConfigMap>[] = [];
    const options = { ...selected, resourceVersion, timeoutSeconds: 6, signal };
    for await (const event of api.watch<ConfigMap>(CONFIG_MAPS, options)) {
      events.push(event);
      // Once the watch has begun: a real one tells only what is later than that.
      if (event.type === 'ADDED') await api.create(CONFIG_MAPS, map(namespace, 'b'));
    }
    assert.deepEqual(changesIn(events), ['ADDED a']);
    const [told, known] = [events[0], events.at(-1)].map((event) => event?.object.metadata.resourceVersion ?? '');
    assert.notEqual(known, told);
    await api.patch(CONFIG_MAPS, { namespace, name: 'b' }, { metadata: { labels } });
    const later = { ...selected, resourceVersion: known ?? '', timeoutSeconds: 2, signal };
    assert.deepEqual(changesIn(await all(api.watch(CONFIG_MAPS, later))), ['ADDED b']);
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
    const options = { namespace, labelSelector, resourceVersion, timeoutSeconds: 2, signal };
    assert.deepEqual(changesIn(await all(api.watch(CONFIG_MAPS, options))), ['ADDED b', 'DELETED a']);
  });

  test(`${name}: an object with a finalizer stays until it has none`, async (t) => {
    const { api, namespace } = await start(t);
    const finalizers = ['example.com/wait'];
    const { metadata: made } = await api.create(CONFIG_MAPS, map(namespace, 'a', {}, { finalizers }));
    await api.delete(CONFIG_MAPS, { namespace, name: 'a' });
    const going = await api.get<ConfigMap>(CONFIG_MAPS, { namespace, name: 'a' });
    assert.match(going.metadata.deletionTimestamp ?? '', /^\d{4}-\d\d-\d\dT/);
    await api.delete(CONFIG_MAPS, { namespace, name: 'a' });
    const { finalizers: _, ...metadata } = going.metadata;
    await api.update(CONFIG_MAPS, { ...going, metadata: { ...metadata, finalizers: [] } });
    await assert.rejects(api.get(CONFIG_MAPS, { namespace, name: 'a' }), isNotFound);
    const signal = AbortSignal.timeout(SECONDS * 1000);
    const since = { namespace, resourceVersion: made.resourceVersion ?? '', timeoutSeconds: 2, signal };
    assert.deepEqual(changesIn(await all(api.watch(CONFIG_MAPS, since))), ['MODIFIED a', 'DELETED a']);
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
    await assert.rejects(
      api.update<Deployment>(DEPLOYMENTS, { ...changed, status: { replicas: 6 } }, 'status'),
      isConflict,
    );
  });

  test(`${name}: annotations of a pod are written with its status`, async (t) => {
    const { api, namespace } = await start(t);
    await api
      .create(SERVICE_ACCOUNTS, { metadata: { name: 'default', namespace } })
      .catch((err: unknown) => assert.ok(isConflict(err)));
    const spec = { containers: [{ name: 'a', image: 'a' }], automountServiceAccountToken: false };
    const made = await api.create<Pod>(PODS, { metadata: { name: 'a', namespace }, spec });
    const metadata = { uid: made.metadata.uid, annotations: { 'cable.io/vpc-address': '10.1.0.5' } };
    const patch = { metadata, spec: { hostname: 'other' } };
    const patched = await api.patch<Pod>(PODS, { namespace, name: 'a' }, patch, 'status');
    assert.deepEqual(patched.metadata.annotations, metadata.annotations);
    assert.deepEqual(patched.spec, made.spec);
    const ofAnother = { metadata: { ...metadata, uid: '11111111-2222-3333-4444-555555555555' } };
    const invalid = (err: unknown): boolean => err instanceof KubeError && err.reason === 'Invalid';
    await assert.rejects(api.patch(PODS, { namespace, name: 'a' }, ofAnother, 'status'), invalid);
    await api.delete(PODS, { namespace, name: 'a' });
  });

  test(`${name}: a watch from what is forgotten says so`, async (t) => {
    const { api, namespace, compact } = await start(t);
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
  test(`${name}: a restart ends the watches, and nothing that was stored is lost`, async (t) => {
    const { api, namespace, restart } = await start(t);
    const made = await api.create(CONFIG_MAPS, map(namespace, 'a', { x: '1' }));
    const { resourceVersion } = await api.list(CONFIG_MAPS, { namespace });
    const signal = AbortSignal.timeout(RESTART_SECONDS * 1000);
    const options = { namespace, resourceVersion, timeoutSeconds: RESTART_SECONDS, signal };
    const watching = api.watch(CONFIG_MAPS, options)[Symbol.asyncIterator]();
    await api.create(CONFIG_MAPS, map(namespace, 'b'));
    assert.equal((await watching.next()).value.object.metadata.name, 'b');
    await restart();
    // How it ends depends on what the connection was doing.
    const { done } = await watching.next().catch(() => ({ done: true }));
    assert(done, 'nothing has changed since');
    assert(!signal.aborted, 'the watch has ended with it');
    assert.deepEqual(await api.get(CONFIG_MAPS, { namespace, name: 'a' }), made);
    await assert.rejects(api.create(CONFIG_MAPS, map(namespace, 'a')), isConflict);
  });
}

/** More than a real one takes on a machine with other work. */
const RESTART_SECONDS = 300;

async function all<T extends KubeObject>(watch: AsyncIterable<WatchEvent<T>>): Promise<readonly WatchEvent<T>[]> {
  const events: WatchEvent<T>[] = [];
  for await (const event of watch) events.push(event);
  return events;
}

/** As `ADDED <name>`. */
function changesIn(events: readonly WatchEvent<KubeObject>[]): readonly string[] {
  return events.flatMap(({ type, object }) => (type === 'BOOKMARK' ? [] : [`${type} ${object.metadata.name}`]));
}
