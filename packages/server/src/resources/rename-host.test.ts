import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { checkStore } from '../engine/check.ts';
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

/** The store does so many transactions of a rename. */
async function renameAndDie(harness: Harness, transactions: number): Promise<void> {
  const { store } = harness;
  const { txn } = store;
  let left = transactions;
  store.txn = (compares, ops) => {
    left -= 1;
    return left >= 0 ? txn.call(store, compares, ops) : Promise.reject(new Error('the store is gone'));
  };
  assert.equal((await rename(harness, 'new')).status, 500);
  store.txn = txn;
}

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
  await renameAndDie(harness, 2);
  assert.deepEqual([portsOf(harness, 'old'), portsOf(harness, 'new')], [44, 256]);
  for (const [name, underlay] of [
    ['new', UNDERLAY],
    ['new', '192.0.2.7'],
    ['old', UNDERLAY],
    ['old', '192.0.2.7'],
  ] as const) {
    const registered = server.plane.register(name, { underlay, agentVersion: '2' });
    await assert.rejects(registered, {
      code: 'HostBeingRenamed',
      message: /old is being renamed to new.*old --name new/s,
    });
  }
  await assertInvariants(server);
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

test('while a host is being renamed it gets no other name, and neither of its two is deleted', async (t) => {
  const harness = await startDead(t, 3);
  const { server, send } = harness;
  await renameAndDie(harness, 1);
  const requests = [
    () => rename(harness, 'another'),
    () => send('PUT', '/cable/v1/hosts/new/rename', { name: 'another' }),
    () => send('DELETE', '/cable/v1/hosts/new'),
    () => send('DELETE', '/cable/v1/hosts/old'),
  ];
  for (const request of requests) {
    assert.match(await refused(request(), 409, 'HostBeingRenamed'), /old is being renamed to new.*old --name new/s);
  }
  await assertInvariants(server);
  assert.equal((await rename(harness, 'new')).status, 200);
  await refused(rename(harness, 'another'), 404, 'HostNotFound');
  assert.equal((await send('PUT', '/cable/v1/hosts/new/rename', { name: 'another' })).status, 200);
  assert.equal(portsOf(harness, 'another'), 3);
  await assertInvariants(server);
});

test('a port that is bound to the old name while it is renamed goes over, too', async (t) => {
  const harness = await startDead(t, 3);
  const { server, store, create } = harness;
  await renameAndDie(harness, 2);
  assert.equal(portsOf(harness, 'new'), 3);
  const network = await create('network', {});
  const { txn } = store;
  store.txn = async (compares, ops, options) => {
    store.txn = txn;
    await create('port', { network_id: network['id'], 'binding:host_id': 'old' });
    return txn.call(store, compares, ops, options);
  };
  assert.equal((await rename(harness, 'new')).status, 200);
  assert.deepEqual([portsOf(harness, 'old'), portsOf(harness, 'new')], [0, 4]);
  await assertInvariants(server);
});

/** Writes hosts as an older server did. */
async function putHosts({ store, server }: Harness, hosts: Readonly<Record<string, object>>): Promise<void> {
  const ops = Object.entries(hosts).map(([id, more]) => {
    const host = { id, underlay: UNDERLAY, agent_version: '1', created_at: AT, updated_at: AT, ...more };
    return { kind: 'put', key: objectKey('host', id), value: JSON.stringify(host) } as const;
  });
  const { revision } = await store.txn([], ops);
  await server.tables.waitFor(revision);
}

const found = async ({ server }: Harness): Promise<string> =>
  (await checkStore(server.deps)).violations.map(({ object, detail }) => `${object}: ${detail}`).join('\n');

test('a host that two renames of an older server left over is renamed to the one that has its address', async (t) => {
  const harness = await startDead(t, 3);
  const { server, send } = harness;
  const [port] = server.tables.of('port').by('binding:host_id', 'old');
  assert.equal((await rename(harness, 'new')).status, 200);
  await send('PUT', `/v2.0/ports/${port?.id}`, { port: { 'binding:host_id': 'left' } });
  await putHosts(harness, { left: { _renamed_from: 'old' } });
  const remedy = /left is left over.*cable host rename left --name new/s;
  assert.match(await found(harness), remedy);
  const registered = server.plane.register('left', { underlay: UNDERLAY, agentVersion: '1' });
  await assert.rejects(registered, { code: 'HostBeingRenamed', message: remedy });
  const elsewhere = send('PUT', '/cable/v1/hosts/left/rename', { name: 'another' });
  assert.match(await refused(elsewhere, 409, 'HostBeingRenamed'), remedy);
  const { status } = await send('PUT', '/cable/v1/hosts/left/rename', { name: 'new' });
  assert.deepEqual([status, portsOf(harness, 'left'), portsOf(harness, 'new')], [200, 0, 3]);
  await assertInvariants(server);
});

test('a rename that an older server left in the middle is done by repeating it, whichever of two it was', async (t) => {
  for (const name of ['new', 'other']) {
    const harness = await startDead(t, 3);
    const { server, send } = harness;
    const [port] = server.tables.of('port').by('binding:host_id', 'old');
    await putHosts(harness, { new: { _renamed_from: 'old' }, other: { _renamed_from: 'old' } });
    await send('PUT', `/v2.0/ports/${port?.id}`, { port: { 'binding:host_id': 'new' } });
    assert.match(await found(harness), /host\/new: .*cable host rename old --name new/);
    assert.match(await found(harness), /host\/other: .*cable host rename old --name other/);
    const registered = server.plane.register('new', { underlay: UNDERLAY, agentVersion: '1' });
    await assert.rejects(registered, { code: 'HostBeingRenamed', message: /cable host rename old --name new/ });
    const third = await refused(rename(harness, 'third'), 409, 'HostBeingRenamed');
    assert.match(third, /cable host rename old --name (new|other)/);
    assert.equal((await rename(harness, name)).status, 200);
    const rest = name === 'new' ? 'other' : 'new';
    assert.equal((await send('PUT', `/cable/v1/hosts/${rest}/rename`, { name })).status, 200);
    assert.equal(portsOf(harness, name), 3);
    await assertInvariants(server);
    await server.plane.register(name, { underlay: UNDERLAY, agentVersion: '1' });
    await assertInvariants(server);
  }
});

test('the agent of a host that is left over is let in when nobody has its address, and so it is a host as others', async (t) => {
  for (const underlay of [UNDERLAY, '192.0.2.7']) {
    const harness = await startHarness(t);
    const { server } = harness;
    await putHosts(harness, { left: { _renamed_from: 'old' } });
    assert.match(await found(harness), /left is left over.*start the agent with --host left/s);
    await server.plane.register('left', { underlay, agentVersion: '1' });
    await assertInvariants(server);
    assert.equal(server.tables.of('host').get('left')?.underlay, underlay);
  }
});

test('a host that is left over without ports may be deleted', async (t) => {
  const harness = await startDead(t, 1);
  const { server, send } = harness;
  await putHosts(harness, { left: { _renamed_from: 'gone' } });
  assert.equal((await send('DELETE', '/cable/v1/hosts/left')).status, 204);
  await assertInvariants(server);
});

test('subnets that leave by the host, and policies for it, name it by its new name', async (t) => {
  const harness = await startDead(t, 0);
  const { server, create } = harness;
  await create('kubernetes_cluster', { name: 'prod' });
  await putHosts(harness, { old: { cluster: 'prod' } });
  await server.plane.register('next', { underlay: '192.0.2.8', agentVersion: '1', cluster: 'prod' });
  const network = await create('network', {});
  const subnets: string[] = [];
  for (const [at, nodes] of [['old'], ['next', 'old'], ['next']].entries()) {
    const given = {
      network_id: network['id'],
      ip_version: 4,
      cidr: `10.${at + 1}.0.0/24`,
      'cable:gateway_nodes': nodes,
    };
    subnets.push(String((await create('subnet', given))['id']));
  }
  const policy = { name: 'web', hosts: ['next', 'old'], directions: ['ingress'], rules: [] };
  const { id } = await create('host_policy', policy);
  assert.equal((await rename(harness, 'new')).status, 200);
  const placed = subnets.map((one) => {
    const { 'cable:gateway_nodes': nodes, 'cable:gateway_node': active } = server.tables.of('subnet').get(one) ?? {};
    return [active, nodes?.join()];
  });
  assert.deepEqual(placed, [
    ['new', 'new'],
    ['next', 'next,new'],
    ['next', 'next'],
  ]);
  assert.deepEqual(server.tables.of('host_policy').get(String(id))?.hosts, ['next', 'new']);
  await assertInvariants(server);
});
