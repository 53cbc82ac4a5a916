import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { objectKey, underlayKey } from '../keys.ts';
import { assertInvariants, type Harness, refused, startHarness } from '../testing/harness.ts';

const UNDERLAY = '192.0.2.1';
const AT = '2026-01-01T00:00:00Z';

/** A host with ports whose agent is gone. */
async function startDead(t: TestContext, ports: number): Promise<Harness> {
  const harness = await startHarness(t);
  const { server, store, create } = harness;
  const host = { id: 'old', underlay: UNDERLAY, agent_version: '1', created_at: AT, updated_at: AT };
  const { revision } = await store.txn(
    [],
    [
      { kind: 'put', key: objectKey('host', 'old'), value: JSON.stringify(host) },
      { kind: 'put', key: underlayKey(UNDERLAY), value: 'old' },
    ],
  );
  await server.tables.waitFor(revision);
  const network = await create('network', {});
  await create('subnet', { network_id: network['id'], ip_version: 4, cidr: '10.0.0.0/22' });
  for (let n = 0; n < ports; n += 1) {
    await create('port', { network_id: network['id'], 'binding:host_id': 'old' });
  }
  return harness;
}

const rename = (harness: Harness, name: unknown) => harness.send('PUT', '/cable/v1/hosts/old/rename', { name });

const portsOf = (harness: Harness, host: string): number =>
  harness.server.tables.of('port').by('binding:host_id', host).length;

test('a host is renamed with its address and all its ports, and its agent is let in under the new name', async (t) => {
  const harness = await startDead(t, 300);
  const { server, store } = harness;
  await assert.rejects(server.plane.register('new', { underlay: UNDERLAY, agentVersion: '1' }), /belongs to host old/);
  const { status, body } = await rename(harness, 'new');
  assert.deepEqual([status, body['id'], body['underlay']], [200, 'new', UNDERLAY]);
  assert.deepEqual([portsOf(harness, 'old'), portsOf(harness, 'new')], [0, 300]);
  assert.equal(server.tables.of('host').get('old'), undefined);
  assert.equal((await store.get(underlayKey(UNDERLAY)))?.value, 'new');
  await assertInvariants(server);
  await server.plane.register('new', { underlay: UNDERLAY, agentVersion: '1' });
});

test('a rename that failed in the middle is repeated; until then the new name is not let in', async (t) => {
  const harness = await startDead(t, 300);
  const { server, store } = harness;
  const { txn } = store;
  let left = 2;
  store.txn = (compares, ops) => {
    left -= 1;
    return left >= 0 ? txn.call(store, compares, ops) : Promise.reject(new Error('the store is gone'));
  };
  assert.equal((await rename(harness, 'new')).status, 500);
  store.txn = txn;
  assert.deepEqual([portsOf(harness, 'old'), portsOf(harness, 'new')], [44, 256]);
  await assert.rejects(server.plane.register('new', { underlay: UNDERLAY, agentVersion: '1' }), /belongs to host old/);
  assert.equal((await rename(harness, 'new')).status, 200);
  assert.deepEqual([portsOf(harness, 'old'), portsOf(harness, 'new')], [0, 300]);
  assert.equal(await store.get(objectKey('host', 'old')), undefined);
});

test('a host that is alive, a name that is another host’s, and what is no name are refused', async (t) => {
  const harness = await startDead(t, 1);
  const { server } = harness;
  await server.plane.register('other', { underlay: '192.0.2.9', agentVersion: '1' });
  assert.match(await refused(rename(harness, 'other'), 409, 'HostNameInUse'), /192\.0\.2\.9/);
  assert.match(await refused(rename(harness, 'a b'), 400, 'InvalidInput'), /host/);
  assert.match(await refused(rename(harness, undefined), 400, 'InvalidInput'), /name/);
  assert.match(await refused(rename(harness, 'old'), 400, 'InvalidInput'), /has this name/);
  await server.plane.register('old', { underlay: UNDERLAY, agentVersion: '1' });
  assert.match(await refused(rename(harness, 'new'), 409, 'HostInUse'), /old is alive/);
  assert.match(String((await rename(harness, 'new')).body['NeutronError']?.['detail']), /^Stop its agent/);
  const member = { 'x-roles': 'member', 'x-project-id': 'p' };
  const path = '/cable/v1/hosts/old/rename';
  await refused(harness.send('PUT', path, { name: 'new' }, member), 404, 'HostNotFound');
  assert.equal(portsOf(harness, 'old'), 1);
});
