/** Kinds of one's own, in a real API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeKind, KubeObject } from '@cable/kube';
import { KubeError } from '@cable/kube';
import { customResourceSuite, type TestedApi, THINGS, THINGS_DEFINITION, type Thing, thing } from '@cable/kube/testing';
import { testedApiServer } from './namespaces.ts';

type Definition = KubeObject & {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
};
const DEFINITIONS: KubeKind = {
  ...{ group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions', isNamespaced: false },
};

const { server, start } = testedApiServer();
let defined: Promise<void> | undefined;

async function startWithThings(): Promise<TestedApi> {
  const tested = await start();
  defined ??= define(tested);
  await defined;
  return tested;
}

async function define({ api }: TestedApi): Promise<void> {
  const { metadata } = await api.create<Definition>(DEFINITIONS, THINGS_DEFINITION);
  const signal = AbortSignal.timeout(60_000);
  const { resourceVersion = '', name } = metadata;
  const fieldSelector = `metadata.name=${name}`;
  const changes = api.watch<Definition>(DEFINITIONS, { resourceVersion, fieldSelector, timeoutSeconds: 60, signal });
  for await (const { object } of changes) {
    const conditions = object.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return;
  }
  assert.fail('the kind is not established');
}

customResourceSuite('real', startWithThings);

test('real: what the schema forbids is refused, what it does not know is left out, what is not given is filled in', async () => {
  const { api, namespace } = await startWithThings();
  await assert.rejects(api.create(THINGS, thing(namespace, 'a', { size: 0 })), (err) => {
    assert(err instanceof KubeError);
    assert.deepEqual([err.status, err.reason], [422, 'Invalid']);
    assert.match(err.message, /spec\.size.*greater than or equal to 1/);
    return true;
  });
  const made = await api.create<Thing>(THINGS, thing(namespace, 'a', { size: 3, colour: undefined, weight: 7 }));
  assert.deepEqual(made.spec, { size: 3, colour: 'red' });
});

test('real: columns of one’s own are shown', async () => {
  const { api, namespace } = await startWithThings();
  await api.create(THINGS, thing(namespace, 'a', { size: 3 }));
  await api.patch(THINGS, { namespace, name: 'a' }, { status: { state: 'up' } }, 'status');
  const { body } = await server()
    .connect()
    .request({
      method: 'GET',
      path: `/apis/${THINGS.group}/${THINGS.version}/namespaces/${namespace}/${THINGS.plural}`,
      headers: {
        accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
        authorization: `Bearer ${server().adminToken}`,
      },
    });
  const table = JSON.parse(body) as {
    readonly columnDefinitions: readonly { readonly name: string }[];
    readonly rows: readonly { readonly cells: readonly unknown[] }[];
  };
  assert.deepEqual(
    table.columnDefinitions.map(({ name }) => name),
    ['Name', 'Size', 'State'],
  );
  assert.deepEqual(
    table.rows.map(({ cells }) => cells),
    [['a', 3, 'up']],
  );
});
