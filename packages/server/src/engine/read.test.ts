import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseListQuery } from '@cable/api';
import type { Turns } from '@cable/kit';
import { credentialsOf } from '../policy/credentials.ts';
import { type Harness, type Json, startHarness } from '../testing/harness.ts';
import { listObjects } from './read.ts';
import { readerOf } from './reader.ts';

const ADMIN = credentialsOf({ projectId: 'p', isAdmin: true });

/** Names of the networks of a list during which `meanwhile` happens in each turn. */
async function names({ server }: Harness, query: string, meanwhile: (turn: number) => Promise<void>): Promise<string> {
  const resource = server.deps.resources.named('network');
  let turn = 0;
  const turns: Turns = {
    due: () => true,
    next: async () => {
      turn += 1;
      await meanwhile(turn);
    },
  };
  const parsed = parseListQuery(resource, new URLSearchParams(query));
  const { objects } = await listObjects(server.deps, resource, parsed, readerOf(server.deps, ADMIN), turns);
  return objects.map((object) => String(object['name'])).join('');
}

test('a list is of one moment, whatever changes between its turns', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const made: Json[] = [];
  for (const name of ['a', 'b', 'c', 'd']) made.push(await create('network', { name, description: 'of the list' }));
  const change = async (turn: number): Promise<void> => {
    if (turn !== 1) return;
    assert.equal((await send('DELETE', `/v2.0/networks/${made[1]?.['id']}`)).status, 204);
    await create('network', { name: 'e', description: 'of the list' });
    const renamed = await send('PUT', `/v2.0/networks/${made[2]?.['id']}`, { network: { name: 'C' } });
    assert.equal(renamed.status, 200);
  };
  assert.equal(await names(harness, 'description=of the list&sort_key=name&sort_dir=asc', change), 'abcd');
  assert.equal(await names(harness, 'sort_key=name&sort_dir=asc&limit=3', async () => undefined), 'Cad');
});

test('a list whose turns do not come any more ends', async (t) => {
  const harness = await startHarness(t);
  await harness.create('network', {});
  const gone = names(harness, '', () => Promise.reject(new Error('the client has gone')));
  await assert.rejects(gone, /the client has gone/);
});

test('of the indexes that filters allow, the narrowest is looked in', async (t) => {
  const harness = await startHarness(t);
  for (const name of ['a', 'b', 'c', 'd', 'e']) await harness.create('network', { name, project_id: 'p' });
  let turns = 0;
  const count = async (): Promise<void> => {
    turns += 1;
  };
  assert.equal(await names(harness, 'project_id=p&name=c', count), 'c');
  assert.equal(turns, 1);
});
