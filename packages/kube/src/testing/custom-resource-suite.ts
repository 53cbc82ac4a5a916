/** What is different about kinds that a CustomResourceDefinition adds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isConflict, KubeError } from '../kube-error.ts';
import type { KubeKind, KubeObject } from '../kube-object.ts';
import type { TestedApi } from './kube-api-suite.ts';

/** Of the CustomResourceDefinition below. */
export const THINGS: KubeKind = { group: 'tests.cable.example', version: 'v1', plural: 'things', isNamespaced: true };

/** `spec.size`: a number from 1 on, `spec.colour`: a text, red unless it is given; the status is a part of its own. */
export const THINGS_DEFINITION: KubeObject & { readonly [field: string]: unknown } = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${THINGS.plural}.${THINGS.group}` },
  spec: {
    group: THINGS.group,
    scope: 'Namespaced',
    names: { plural: THINGS.plural, singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
    versions: [
      {
        ...{ name: THINGS.version, served: true, storage: true, subresources: { status: {} } },
        additionalPrinterColumns: [
          { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
          { name: 'State', type: 'string', jsonPath: '.status.state' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'integer', minimum: 1 },
                  colour: { type: 'string', default: 'red' },
                },
              },
              status: { type: 'object', properties: { state: { type: 'string' } } },
            },
          },
        },
      },
    ],
  },
};

export type Thing = KubeObject & {
  readonly spec: { readonly size: number; readonly colour?: string };
  readonly status?: { readonly state?: string };
};

export function thing(namespace: string, name: string, spec: object): Thing {
  const place = { apiVersion: `${THINGS.group}/${THINGS.version}`, kind: 'Thing', metadata: { name, namespace } };
  return { ...place, spec: { colour: 'red', ...spec } } as unknown as Thing;
}

/** `start` is called for each test; `THINGS` are known. */
export function customResourceSuite(
  name: string,
  start: (t: { after(done: () => unknown): void }) => Promise<TestedApi>,
): void {
  test(`${name}: status and spec of a custom resource are written apart`, async (t) => {
    const { api, namespace } = await start(t);
    const made = await api.create(THINGS, { ...thing(namespace, 'a', { size: 1 }), status: { state: 'early' } });
    assert.deepEqual([made.status, made.metadata.generation], [undefined, 1]);
    const told = { ...made, spec: { size: 9 }, status: { state: 'up' } };
    const shown = await api.update<Thing>(THINGS, told, 'status');
    assert.deepEqual([shown.spec.size, shown.status, shown.metadata.generation], [1, { state: 'up' }, 1]);
    const wanted = { ...shown, spec: { ...shown.spec, size: 2 }, status: { state: 'gone' } };
    const changed = await api.update<Thing>(THINGS, wanted);
    assert.deepEqual([changed.spec.size, changed.status, changed.metadata.generation], [2, { state: 'up' }, 2]);
    await assert.rejects(api.update<Thing>(THINGS, wanted, 'status'), isConflict);
    const patch = { status: { state: 'down' } };
    const patched = await api.patch<Thing>(THINGS, { namespace, name: 'a' }, patch, 'status');
    assert.deepEqual([patched.status, patched.metadata.generation], [{ state: 'down' }, 2]);
  });

  test(`${name}: a custom resource is replaced only by what says of which version it was`, async (t) => {
    const { api, namespace } = await start(t);
    await api.create(THINGS, thing(namespace, 'a', { size: 1 }));
    await assert.rejects(api.update(THINGS, thing(namespace, 'a', { size: 2 })), (err) => {
      assert(err instanceof KubeError);
      assert.deepEqual([err.status, err.reason], [422, 'Invalid']);
      assert.match(err.message, /metadata\.resourceVersion: .*must be specified for an update/);
      return true;
    });
  });
}
