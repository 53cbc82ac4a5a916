/** Neutron's logs through the API of a server, and what hosts are told of them. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants, type Json, refused, startHarness } from '../testing/harness.ts';

const LOGS = '/v2.0/log/logs';
const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member,reader' };

test('a log is an administrator’s, and only whether it is enabled is changed', async (t) => {
  const { create, send } = await startHarness(t);
  const group = await create('security_group', { name: 'web' }, MEMBER);
  const log = await create('log', { name: 'n', resource_type: 'security_group', resource_id: group['id'] });
  const of = ['resource_type', 'resource_id', 'target_id', 'event', 'enabled', 'description', 'revision_number'];
  assert.deepEqual(
    of.map((name) => log[name]),
    ['security_group', group['id'], null, 'ALL', true, '', 1],
  );
  const path = `${LOGS}/${log['id']}`;
  const changed = await send('PUT', path, { log: { enabled: 'False', description: 'd', name: 'm' } });
  assert.deepEqual(
    ['enabled', 'description', 'name'].map((name) => changed.body['log']?.[name]),
    [false, 'd', 'm'],
  );
  for (const given of [{ event: 'DROP' }, { resource_id: null }, { target_id: null }, { resource_type: 'x' }]) {
    await refused(send('PUT', path, { log: given }), 400, 'HTTPBadRequest');
  }
  await refused(send('GET', path, undefined, MEMBER), 404, 'LogResourceNotFound');
  assert.deepEqual((await send('GET', LOGS, undefined, MEMBER)).body['logs'], []);
  await refused(send('POST', LOGS, { log: { resource_type: 'security_group' } }, MEMBER), 403, 'PolicyNotAuthorized');
  assert.equal((await send('GET', `${LOGS}?event=ALL&enabled=False&name=m`)).body['logs']?.length, 1);
  assert.equal((await send('DELETE', path)).status, 204);
  await refused(send('GET', path), 404, 'LogResourceNotFound');
});

test('what can be logged is a list of one', async (t) => {
  const { send } = await startHarness(t);
  const path = '/v2.0/log/loggable-resources';
  assert.deepEqual((await send('GET', path)).body, { loggable_resources: [{ type: 'security_group' }] });
  assert.deepEqual((await send('GET', path, undefined, MEMBER)).body['loggable_resources'], []);
});

test('a log names a group and a port that are there and go together, and goes with either', async (t) => {
  const { create, send, server } = await startHarness(t);
  const post = (more: object): ReturnType<typeof send> =>
    send('POST', LOGS, { log: { resource_type: 'security_group', ...more } });
  await refused(send('POST', LOGS, { log: {} }), 400, 'HTTPBadRequest');
  await refused(post({ resource_type: 'fake_resource' }), 400, 'InvalidLogResourceType');
  await refused(post({ event: 'REJECT' }), 400, 'HTTPBadRequest');
  await refused(post({ target_id: randomUUID() }), 404, 'PortNotFound');
  await refused(post({ resource_id: randomUUID() }), 404, 'SecurityGroupNotFound');
  const network = await create('network', {}, MEMBER);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 }, MEMBER);
  const [one, other] = [
    await create('security_group', { name: 'one' }, MEMBER),
    await create('security_group', { name: 'other' }, MEMBER),
  ];
  const port = await create('port', { network_id: network['id'], security_groups: [one['id']] }, MEMBER);
  await refused(post({ target_id: port['id'], resource_id: other['id'] }), 400, 'InvalidResourceConstraint');
  const router = await create('router', {}, MEMBER);
  const interfaces = `/v2.0/routers/${router['id']}/add_router_interface`;
  const leg = (await send('PUT', interfaces, { subnet_id: subnet['id'] }, MEMBER)).body['port_id'];
  await refused(post({ target_id: leg }), 409, 'LoggingTypeNotSupported');

  const ids = async (): Promise<readonly unknown[]> =>
    ((await send('GET', `${LOGS}?sort_key=name&sort_dir=asc`)).body['logs'] ?? []).map((log: Json) => log['name']);
  const make = (more: object): Promise<Json> => create('log', { resource_type: 'security_group', ...more });
  await make({ name: 'both', target_id: port['id'], resource_id: one['id'] });
  await make({ name: 'group', resource_id: one['id'] });
  await make({ name: 'port', target_id: port['id'] });
  await make({ name: 'project' });
  assert.deepEqual(await ids(), ['both', 'group', 'port', 'project']);
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual(await ids(), ['group', 'project']);
  assert.equal((await send('DELETE', `/v2.0/security-groups/${one['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual(await ids(), ['project']);
  await assertInvariants(server);
});
