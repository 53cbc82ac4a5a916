/** Which Subnet a namespace is bound to, where what is followed is behind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { KubeApi, ListOptions } from '@cable/kube';
import { CustomLists } from './custom-resources.ts';
import type { CustomObject } from './work.ts';

const subnet = (namespace: string, name: string, spec: object): CustomObject => ({
  metadata: { namespace, name, uid: name, creationTimestamp: '2026-11-01T00:00:00Z' },
  spec: { cidrBlock: '10.0.0.0/24', ...spec },
});

test('for a new pod the Subnets of its namespace and of the operator’s are asked for, in pages, and no others', async (t) => {
  const ending = new AbortController();
  t.after(() => ending.abort());
  const there = [
    ...Array.from({ length: 700 }, (_, n) => subnet('many', `s-${n}`, {})),
    subnet('many', 'front', { default: true }),
    subnet('other', 'theft', { namespaces: ['team'] }),
    subnet('kube-system', 'shared', { namespaces: ['team', 'many'] }),
  ];
  const asked: ListOptions[] = [];
  const api = {
    list: async (_kind: unknown, { signal: _, ...options }: ListOptions = {}) => {
      const { namespace, limit = 9999, continue: from = '0' } = options;
      // What is followed has nothing yet.
      if (namespace === undefined) return { items: [], resourceVersion: '1', continue: undefined };
      asked.push(options);
      const own = there.filter(({ metadata }) => metadata.namespace === namespace);
      const to = Number(from) + limit;
      const next = to < own.length ? String(to) : undefined;
      return { items: own.slice(Number(from), to), resourceVersion: '1', continue: next };
    },
    watch: async function* () {
      await new Promise((resolve) => ending.signal.addEventListener('abort', resolve));
    },
  } as unknown as KubeApi;
  const lists = new CustomLists({ api, log: silentLogger(), signal: ending.signal }, 'kube-system');
  const bound = await Promise.all(['many', 'team', 'kube-system', 'team'].map((one) => lists.boundNow(one)));
  assert.deepEqual(bound, ['many/front', 'kube-system/shared', undefined, 'kube-system/shared']);
  const places = asked.map(({ namespace, continue: from = '' }) => `${namespace} ${from}`).sort();
  assert.deepEqual(places, ['kube-system ', 'many ', 'many 500', 'team ']);
  assert.ok(asked.every(({ limit }) => limit === 500));
});
