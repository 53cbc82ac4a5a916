/** What custom resources name is found with few requests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from '@cable/api';
import { type CustomObject, Work, type WorkDeps } from './work.ts';

test('hundreds of names are asked for together, and each must mean one', async () => {
  const rows = Array.from({ length: 300 }, (_, n) => ({ id: `id-${n}`, name: `group-${n}`, project_id: 'prod.shop' }));
  const asked: object[] = [];
  const list = async (_type: string, query: Readonly<Record<string, readonly string[]>>) => {
    asked.push(query);
    return rows.filter((row) => query['name']?.includes(row.name) || query['id']?.includes(row.id));
  };
  const client = { list } as unknown as Client;
  const deps = {
    ...{ cable: { as: () => client, own: client }, cluster: 'prod' },
    find: (_kind: string, key: string) => (key === 'shop/own' ? { outcome: { id: 'of-own' } } : undefined),
  } as unknown as WorkDeps;
  const object = { metadata: { namespace: 'shop', name: 'web', uid: 'u' } } as CustomObject;
  const work = new Work(deps, 'SecurityGroup', object, 'prod.shop');
  const names = ['own', ...rows.map(({ name }) => name)];
  const ids = await work.referAll('SecurityGroup', 'security_group', names);
  assert.deepEqual([ids.size, ids.get('own'), ids.get('group-299')], [301, 'of-own', 'id-299']);
  assert.equal(asked.length, 15);
  await assert.rejects(work.referAll('SecurityGroup', 'security_group', ['none']), /there is no security_group none/);
  rows.push({ id: 'other', name: 'group-1', project_id: 'prod.shop' });
  await assert.rejects(
    work.referAll('SecurityGroup', 'security_group', ['group-1']),
    /several of security_group group-1/,
  );
});
