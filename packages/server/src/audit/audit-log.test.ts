import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { objectKey, vifKey } from '../keys.ts';
import { type Harness, startHarness } from '../testing/harness.ts';
import { type AuditLog, createAuditLog } from './audit-log.ts';

type Line = {
  readonly [name: string]: unknown;
  readonly changed: readonly { readonly type: string; readonly id: string; readonly deleted?: true }[];
};

type Audited = Harness & { readonly audit: AuditLog; readonly texts: string[]; last(): Line };

async function start(t: TestContext): Promise<Audited> {
  const texts: string[] = [];
  const file = { add: (line: string) => void texts.push(line), lost: 0, waitingBytes: 0 };
  const audit = createAuditLog(file, () => new Date(0));
  const harness = await startHarness(t, { audit });
  return { ...harness, audit, texts, last: () => JSON.parse(texts.at(-1) ?? '{}') };
}

test('a write is told with who, from where, its answer and what it has changed, and nothing that it said', async (t) => {
  const { send, create, texts, last } = await start(t);
  const who = { 'x-project-id': 'p1', 'x-roles': 'member' };
  const network = await create('network', { name: 'a secret name' }, who);
  const { request_id: id, ...line } = last();
  assert.match(String(id), /^req-[0-9a-f-]{36}$/);
  assert.deepEqual(line, {
    time: '1970-01-01T00:00:00.000Z',
    ...{ user: null, project: 'p1', certificate: null, address: '127.0.0.1' },
    ...{ method: 'POST', path: '/v2.0/networks', status: 201 },
    changed: [...last().changed],
  });
  assert.ok(last().changed.some((one) => one.type === 'network' && one.id === String(network['id'])));
  const ports = [1, 2].map(() => ({ network_id: network['id'], 'cable:user_data': 'c2VjcmV0' }));
  const made = await send('POST', '/v2.0/ports', { ports }, who);
  assert.equal(made.status, 201);
  for (const { id: port } of made.body['ports'] ?? []) assert.ok(last().changed.some((one) => one.id === String(port)));
  const [port] = made.body['ports'] ?? [];
  const lines = texts.length;
  await send('GET', '/v2.0/ports', undefined, who);
  await send('GET', `/v2.0/ports/${port?.['id']}`, undefined, who);
  assert.equal(texts.length, lines);
  await send('DELETE', `/v2.0/ports/${port?.['id']}?secret=1`, undefined, who);
  assert.deepEqual(last()['path'], `/v2.0/ports/${port?.['id']}`);
  assert.ok(last().changed.some((one) => one.id === String(port?.['id']) && one.deleted));
  const refused = await send('DELETE', `/v2.0/networks/${network['id']}`, undefined, { ...who, 'x-project-id': 'p2' });
  assert.deepEqual([last()['status'], last()['project'], last().changed], [refused.status, 'p2', []]);
  assert.equal(texts.length, lines + 2);
  assert.doesNotMatch(texts.join(), /secret|c2VjcmV0/);
});

test('an answer says the id of its line, which names the request that it came of', async (t) => {
  const { server, last } = await start(t);
  const headers = { 'content-type': 'application/json', 'x-openstack-request-id': `req-${randomUUID()}` };
  const sent = { method: 'POST', url: '/v2.0/networks', payload: '{"network":{}}' } as const;
  const { headers: answered } = await server.app.inject({ ...sent, headers });
  assert.equal(answered['x-openstack-request-id'], last()['request_id']);
  assert.equal(last()['global_request_id'], headers['x-openstack-request-id']);
  await server.app.inject({ ...sent, headers: { ...headers, 'x-openstack-request-id': 'req-"\u0007' } });
  assert.equal(last()['global_request_id'], undefined);
});

test('of the Contrail plug-in’s requests those that write are told, of the user for whom they act', async (t) => {
  const { send, texts, last } = await start(t);
  const requestId = `req-${randomUUID()}`;
  const context = { user_id: 'u1', tenant_id: 'p1', is_admin: false, roles: ['member'], request_id: requestId };
  const resource = { name: 'n', tenant_id: 'p1', admin_state_up: true };
  const ask = (operation: string, data: object): ReturnType<typeof send> =>
    send('POST', '/neutron/network', { context: { ...context, operation, type: 'network' }, data });
  const made = await ask('CREATE', { resource, fields: [] });
  assert.equal(made.status, 200, JSON.stringify(made.body));
  const { user, project, path, global_request_id: asked } = last();
  assert.deepEqual([user, project, path, asked], ['u1', 'p1', '/neutron/network', requestId]);
  const { sent_by: sentBy } = last() as { readonly sent_by?: { readonly user: unknown; readonly project: unknown } };
  assert.deepEqual([sentBy?.user, typeof sentBy?.project], [null, 'string']);
  assert.ok(last().changed.some((one) => one.type === 'network' && one.id === String(made.body['id'])));
  assert.equal((await ask('READALL', { filters: {}, fields: [] })).status, 200);
  assert.equal(texts.length, 1);
});

test('what a host reports is told where something was written', async (t) => {
  const { audit, texts, last } = await start(t);
  audit.told('h1', [{ kind: 'deletePrefix', prefix: '/cable/o/' }]);
  assert.deepEqual(texts, []);
  audit.told('h1', [
    { kind: 'put', key: vifKey('h1', 'p1'), value: '{}' },
    { kind: 'put', key: objectKey('port', 'p1'), value: '{}' },
    { kind: 'delete', key: vifKey('h1', 'p2') },
  ]);
  assert.deepEqual(last(), {
    ...{ time: '1970-01-01T00:00:00.000Z', event: 'report', host: 'h1' },
    changed: [
      { type: 'vif', id: 'h1/p1' },
      { type: 'port', id: 'p1' },
      { type: 'vif', id: 'h1/p2', deleted: true },
    ],
  });
});
