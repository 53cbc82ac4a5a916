import assert from 'node:assert/strict';
import { test } from 'node:test';
import { objectKey, underlayKey } from '../keys.ts';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';
import { MEMBER } from '../testing/outside.ts';

async function agentsOf({ send }: Harness, query = ''): Promise<readonly Json[]> {
  return (await send('GET', `/v2.0/agents${query}`)).body['agents'] ?? [];
}

async function agentOn(harness: Harness, host: string): Promise<Json> {
  const [agent] = await agentsOf(harness, `?host=${host}`);
  assert.ok(agent !== undefined, `no agent on ${host}`);
  return agent;
}

const setUp = (harness: Harness, agent: Json, up: boolean): ReturnType<Harness['send']> =>
  harness.send('PUT', `/v2.0/agents/${agent['id']}`, { agent: { admin_state_up: up } });

test('each host is an agent, which an administrator describes, sets down and deletes', async (t) => {
  const harness = await startHarness(t);
  const { server, send } = harness;
  await server.plane.register('h1', { underlay: '192.0.2.1', agentVersion: '7', bridgeMappings: { physnet1: 'eth1' } });
  await server.plane.register('h2', { underlay: '192.0.2.2', agentVersion: '7', availabilityZone: 'az2' });
  const agent = await agentOn(harness, 'h1');
  const { agent_type, binary, alive, admin_state_up, description, availability_zone, configurations } = agent;
  assert.deepEqual(
    { agent_type, binary, alive, admin_state_up, description, availability_zone },
    {
      ...{ agent_type: 'Cable agent', binary: 'cable-agent', alive: true, admin_state_up: true, description: '' },
      availability_zone: 'nova',
    },
  );
  assert.deepEqual(configurations?.['bridge_mappings'], { physnet1: 'eth1' });
  for (const time of ['created_at', 'started_at', 'heartbeat_timestamp']) {
    assert.match(String(agent[time]), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/, 'Neutron’s form');
  }
  const path = `/v2.0/agents/${agent['id']}`;
  const put = (changes: object, headers = {}) => send('PUT', path, { agent: changes }, headers);
  const changed = await put({ admin_state_up: false, description: 'being repaired' });
  assert.deepEqual(
    [changed.status, changed.body['agent']?.['admin_state_up'], changed.body['agent']?.['description']],
    [200, false, 'being repaired'],
  );
  assert.deepEqual((await send('GET', path)).body['agent']?.['description'], 'being repaired');
  assert.deepEqual((await put({ description: null })).body['agent']?.['description'], '');
  const host = (await send('GET', '/cable/v1/hosts/h1')).body['host'];
  assert.deepEqual([host?.['admin_state_up'], host?.['availability_zone']], [false, 'nova']);
  await server.plane.register('h1', { underlay: '192.0.2.1', agentVersion: '8' });
  assert.equal((await agentOn(harness, 'h1'))['admin_state_up'], false, 'an agent that registers anew stays down');
  for (const [query, hosts] of [
    ['?admin_state_up=false', ['h1']],
    ['?availability_zone=az2', ['h2']],
    ['?alive=True&sort_key=host&sort_dir=desc', ['h2', 'h1']],
    ['?agent_type=Cable%20agent&host=h2&fields=host', ['h2']],
    ['?agent_type=L3%20agent', []],
  ] as const) {
    assert.deepEqual(
      (await agentsOf(harness, query)).map((one) => one['host']),
      hosts,
      query,
    );
  }
  await refused(put({ host: 'h9' }), 400, 'HTTPBadRequest');
  await refused(put({ admin_state_up: 'perhaps' }), 400, 'InvalidInput');
  await refused(put({ description: 'x'.repeat(256) }), 400, 'HTTPBadRequest');
  await refused(put({ admin_state_up: true }, MEMBER), 404, 'AgentNotFound');
  await refused(send('DELETE', path, undefined, MEMBER), 404, 'AgentNotFound');
  assert.deepEqual((await send('GET', '/v2.0/agents', undefined, MEMBER)).body['agents'], []);
  await refused(send('PUT', `/v2.0/agents/${agent['id']}0`, { agent: {} }), 404, 'AgentNotFound');
  await refused(send('POST', '/v2.0/agents', { agent: {} }), 405, 'HTTPMethodNotAllowed');
  await refused(send('DELETE', path), 409, 'HostInUse');
  await assertInvariants(server);
});

test('an agent that is gone is deleted with its host', async (t) => {
  const harness = await startHarness(t);
  const { server, store, send } = harness;
  const at = '2026-01-01T00:00:00Z';
  // As before hosts had the attributes of agents.
  const host = { id: 'old', underlay: '192.0.2.9', agent_version: '1', created_at: at, updated_at: at };
  const { revision } = await store.txn(
    [],
    [
      { kind: 'put', key: objectKey('host', 'old'), value: JSON.stringify(host) },
      { kind: 'put', key: underlayKey('192.0.2.9'), value: 'old' },
    ],
  );
  await server.tables.waitFor(revision);
  const agent = await agentOn(harness, 'old');
  assert.deepEqual(
    [agent['alive'], agent['admin_state_up'], agent['description'], agent['availability_zone']],
    [false, true, '', 'nova'],
  );
  assert.equal(agent['heartbeat_timestamp'], '2026-01-01 00:00:00');
  assert.equal((await setUp(harness, agent, false)).status, 200);
  assert.equal((await send('DELETE', `/v2.0/agents/${agent['id']}`)).status, 204);
  assert.equal((await send('GET', '/cable/v1/hosts/old')).status, 404);
  await refused(send('DELETE', `/v2.0/agents/${agent['id']}`), 404, 'AgentNotFound');
  await assertInvariants(server);
});

test('to a host whose agent is set down no port is bound, and what is there stays', async (t) => {
  const harness = await startHarness(t);
  const { server, send, create } = harness;
  for (const n of [1, 2]) await server.plane.register(`h${n}`, { underlay: `192.0.2.${n}`, agentVersion: '1' });
  const network = await create('network', {});
  const portOn = (host: string) =>
    create('port', { network_id: network['id'], 'binding:host_id': host, device_owner: 'compute:nova' });
  const bound = await portOn('h1');
  const agent = await agentOn(harness, 'h1');
  await setUp(harness, agent, false);
  const show = async ({ id }: Json): Promise<readonly unknown[]> => {
    const port = (await send('GET', `/v2.0/ports/${id}`)).body['port'];
    return [port?.['binding:host_id'], port?.['binding:vif_type']];
  };
  const update = ({ id }: Json, changes: object) => send('PUT', `/v2.0/ports/${id}`, { port: changes });
  assert.deepEqual(await show(bound), ['h1', 'tap'], 'it was there before');
  const failed = await portOn('h1');
  assert.deepEqual(await show(failed), ['h1', 'binding_failed']);
  const row = server.tables.of('port').get(String(failed['id']));
  assert.equal(row?.binding_failed, true);
  await update(failed, { name: 'again' });
  assert.deepEqual(await show(failed), ['h1', 'binding_failed'], 'the host still takes nothing');
  await update(failed, { 'binding:host_id': 'h2' });
  assert.deepEqual(await show(failed), ['h2', 'tap']);
  await update(failed, { 'binding:host_id': 'h1' });
  assert.deepEqual(await show(failed), ['h1', 'binding_failed']);
  await update(failed, { 'binding:host_id': '' });
  assert.deepEqual(await show(failed), ['', 'unbound']);
  const bindings = `/v2.0/ports/${failed['id']}/bindings`;
  await update(failed, { 'binding:host_id': 'h2' });
  const message = await refused(send('POST', bindings, { binding: { host: 'h1' } }), 500, 'PortBindingError');
  assert.match(message, /on host h1 could not be created or updated/);
  await setUp(harness, agent, true);
  assert.equal((await send('POST', bindings, { binding: { host: 'h1' } })).status, 201);
  await setUp(harness, agent, false);
  assert.equal((await send('PUT', `${bindings}/h1/activate`)).status, 200, 'it has been prepared');
  assert.deepEqual(await show(failed), ['h1', 'tap']);
  const other = await portOn('h1');
  await setUp(harness, agent, true);
  assert.deepEqual(await show(other), ['h1', 'binding_failed'], 'until it is bound anew');
  await update(other, { 'binding:host_id': 'h1' });
  assert.deepEqual(await show(other), ['h1', 'tap'], 'Nova binds again as it was');
  await assertInvariants(server);
});

test('administrators are told that nothing is scheduled to agents, as Heat asks of each network', async (t) => {
  const { create, send } = await startHarness(t);
  const member = { 'x-project-id': 'ann', 'x-roles': 'member' };
  const network = await create('network', {}, member);
  const router = await create('router', {}, member);
  for (const path of [`networks/${network['id']}/dhcp-agents`, `routers/${router['id']}/l3-agents`]) {
    assert.deepEqual(await send('GET', `/v2.0/${path}`), { status: 200, body: { agents: [] } });
    await refused(send('GET', `/v2.0/${path}`, undefined, member), 403, 'PolicyNotAuthorized');
  }
  const nobody = '/v2.0/networks/11111111-1111-4111-8111-111111111111/dhcp-agents';
  assert.deepEqual(await send('GET', nobody), { status: 200, body: { agents: [] } }, 'as Neutron, which does not look');
  await refused(send('GET', nobody, undefined, member), 403, 'PolicyNotAuthorized');
});
