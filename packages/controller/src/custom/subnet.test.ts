/** With whom a Subnet is shared, while namespaces come. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { subnetKind } from './subnet.ts';
import type { Work } from './work.ts';

test('a namespace that comes while the Subnet is worked on is shared with, or said to be waited for', async () => {
  const targets: string[] = [];
  let looks = 0;
  const spec = { cidrBlock: '10.9.0.0/24', namespaces: ['coming'] };
  const work = {
    ...{ name: 'shared', projectId: 'prod', isOperators: true, spec: () => spec },
    object: { metadata: { namespace: 'kube-system' }, spec },
    deps: {
      operatorNamespace: 'kube-system',
      networks: () => ({ routerId: 'router' }),
      // It comes right behind the first look.
      podProjectOf: (namespace: string) => {
        looks += 1;
        return looks > 1 ? `prod.${namespace}` : undefined;
      },
    },
    rows: async () => [],
    ensure: async (type: string) => ({ id: type }),
    client: {
      list: async () => [],
      action: async () => ({}),
      create: async (_type: string, { target_tenant: target }: { readonly target_tenant: string }) =>
        void targets.push(target),
    },
  } as unknown as Work;
  const first = await subnetKind.apply(work);
  assert.deepEqual([targets, first.unmet?.reason], [[], 'WaitsFor']);
  const second = await subnetKind.apply(work);
  assert.deepEqual([targets, second.unmet], [['prod.coming'], undefined]);
});
