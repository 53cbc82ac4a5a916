/** What goes without a word, and what waits for one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type KubeApi, KubeError } from '@cable/kube';
import { DeletionGuard } from './deletion-guard.ts';
import { vpcKind } from './vpc.ts';

type Definition = { readonly deletionTimestamp?: string; readonly annotations?: Readonly<Record<string, string>> };

function bed(definition: Definition | null = {}) {
  let [now, metadata] = [0, definition];
  const get = async (): Promise<object> => {
    if (metadata === null) throw new KubeError(404, 'NotFound', 'no such definition');
    return { metadata };
  };
  const guard = new DeletionGuard({ get } as unknown as Pick<KubeApi, 'get'>, vpcKind.declared, () => now);
  let keys = 0;
  const ask = async (namespace: string, left: number): Promise<string | undefined> =>
    await guard.objection(`${namespace}/v-${++keys}`, { namespace, left });
  /** How many of so many are let go. */
  const letGo = async (namespace: string, count: number, left: number): Promise<number> => {
    let gone = 0;
    for (let at = 0; at < count; at++) if ((await ask(namespace, left)) === undefined) gone += 1;
    return gone;
  };
  return {
    ask,
    letGo,
    forward: (ms: number) => {
      now += ms;
    },
    become: (next: Definition | null) => {
      metadata = next;
    },
  };
}

test('ten go, or as many as are left; more wait, for ten minutes or a word', async () => {
  const { letGo, ask, forward, become } = bed();
  assert.equal(await letGo('shop', 20, 0), 10);
  assert.match((await ask('shop', 0)) ?? '', /more than half/);
  assert.equal(await ask('shop', 50), undefined);
  forward(10 * 60_000 + 1);
  assert.equal(await letGo('shop', 20, 0), 10);
  become({ annotations: { 'cable.io/confirm-deletion': '12' } });
  assert.equal(await letGo('shop', 20, 0), 2);
});

test('who deletes many, in whatever namespaces, keeps nobody else from it', async () => {
  const { letGo } = bed();
  assert.equal(await letGo('churn', 100, 0), 10);
  assert.equal(await letGo('shop', 3, 0), 3);
  assert.equal(await letGo('churn-2', 100, 0), 10);
  assert.equal(await letGo('bank', 10, 0), 10);
});

test('of a kind whose definition is going, or gone, nothing goes without a word', async () => {
  const going = bed({ deletionTimestamp: '2026-11-30T00:00:00Z' });
  assert.match((await going.ask('shop', 100)) ?? '', /is being deleted/);
  const gone = bed(null);
  assert.match((await gone.ask('shop', 100)) ?? '', /vpcs.cable.io is gone: apply it again, with the annotation/);
  gone.become({ annotations: { 'cable.io/confirm-deletion': 'all' } });
  assert.equal(await gone.ask('shop', 0), undefined);
});
