import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADMIN, MEMBER, OTHER_PROJECT, PROJECT, startDoor } from './testing/door.fixture.ts';
import type { Value } from './testing/plugin.ts';

type Context = Readonly<Record<string, unknown>>;

const READALL: Context = { ...ADMIN, operation: 'READALL', type: 'port' };

test('what is no request of the plug-in is 400 with an exception that it knows', async (t) => {
  const { plugin } = await startDoor(t);
  const bodies: readonly unknown[] = [
    {},
    [],
    'x',
    7,
    null,
    { context: null },
    { context: [] },
    { context: 'x', data: {} },
    { context: { ...READALL, operation: 7 } },
    { context: { ...READALL, operation: '__proto__' } },
    { context: { ...READALL, operation: 'constructor' } },
    { context: { ...READALL, operation: 'toString' } },
    { context: { ...READALL, operation: 'x'.repeat(1000) } },
    { context: { ...READALL, type: 'network' } },
    { context: { ...READALL, is_admin: 'yes' } },
    { context: { ...READALL, tenant_id: 7 } },
    { context: { ...READALL, tenant_id: 'a\u0000b' } },
    { context: { ...READALL, tenant_id: 'x'.repeat(5000) } },
    { context: { ...READALL, tenant: OTHER_PROJECT } },
    { context: { ...READALL, roles: 'admin' } },
    { context: { ...READALL, roles: [7] } },
    { context: READALL, data: [] },
    { context: READALL, data: 'x' },
    { context: READALL, data: { filters: [] } },
    { context: READALL, data: { filters: 'x' } },
    { context: READALL, data: { filters: { name: [{}] } } },
    { context: READALL, data: { filters: { name: [['x']] } } },
    { context: READALL, data: { filters: { fixed_ips: { ip_address: {} } } } },
    { context: READALL, data: { filters: { admin_state_up: ['perhaps'] } } },
    { context: READALL, data: { filters: { name: ['x'.repeat(2000)] } } },
    { context: READALL, data: { filters: Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`a${n}`, ['']])) } },
    { context: READALL, data: { filters: { name: Array.from({ length: 20_000 }, (_, n) => `a${n}`) } } },
    { context: READALL, data: { fields: 'x' } },
    { context: READALL, data: { fields: [7] } },
    { context: { ...READALL, operation: 'READ' }, data: {} },
    { context: { ...READALL, operation: 'READ' }, data: { id: {} } },
    { context: { ...READALL, operation: 'READ' }, data: { id: [7] } },
    { context: { ...READALL, operation: 'CREATE' }, data: {} },
    { context: { ...READALL, operation: 'CREATE' }, data: { resource: 'x' } },
    { context: { ...READALL, operation: 'CREATE' }, data: { resource: [] } },
    { context: { ...READALL, operation: 'CREATE' }, data: { resource: { tenant_id: {} } } },
    { context: { ...READALL, operation: 'CREATE' }, data: { resource: { network_id: '../x' } } },
    { context: { ...READALL, operation: 'UPDATE' }, data: { resource: { name: 'x' } } },
    { context: { ...READALL, operation: 'ADDINTERFACE' }, data: { id: 'x', resource: {} } },
  ];
  for (const body of bodies) {
    const { status, info } = await plugin.post('port', body);
    const shown = JSON.stringify(body).slice(0, 200);
    const isNoValue = JSON.stringify(body).includes('perhaps');
    assert.deepEqual(
      [status, info['exception']],
      [400, isNoValue ? 'InvalidInput' : 'BadRequest'],
      `${shown}: ${JSON.stringify(info).slice(0, 300)}`,
    );
  }
  const broken = await plugin.post('port', '{"context":');
  assert.deepEqual([broken.status, broken.info['exception']], [400, 'BadRequest']);
});

test('names of the language’s own objects are names like others', async (t) => {
  const { plugin } = await startDoor(t);
  const text = (operation: string, data: string): string =>
    `{"context": ${JSON.stringify({ ...MEMBER, operation, type: 'network' })}, "data": ${data}}`;
  const odd = '"__proto__": {"shared": true}, "constructor": {"prototype": {}}, "toString": "x"';
  const made = await plugin.post('network', text('CREATE', `{"resource": {"name": "n", ${odd}}}`));
  assert.equal(made.status, 200, JSON.stringify(made.info));
  assert.deepEqual([made.info['name'], made.info['shared']], ['n', false]);
  assert.equal(({} as Record<string, unknown>)['shared'], undefined);
  const filtered = await plugin.post(
    'network',
    text('READALL', '{"filters": {"__proto__": ["x"], "toString": ["y"]}}'),
  );
  assert.deepEqual([filtered.status, filtered.info], [200, []]);
  const fields = await plugin.post('network', text('READALL', '{"fields": ["__proto__", "name"]}'));
  assert.deepEqual(fields.info, [{ id: made.info['id'], name: 'n' }]);
});

test('what the common door refuses the plug-in understands, too', async (t) => {
  const { edge } = await startDoor(t);
  const exceptionOf = (text: string): unknown => (JSON.parse(text) as Value)['exception'];
  const large = await edge.ask('POST', '/neutron/port', { body: `{"a": "${'x'.repeat(5 << 20)}"}` });
  assert.deepEqual([large.status, exceptionOf(large.text)], [400, 'BadRequest']);
  const form = await edge.ask('POST', '/neutron/port', { body: 'a=b', headers: { 'content-type': 'text/plain' } });
  assert.deepEqual([form.status, exceptionOf(form.text)], [400, 'BadRequest']);
  for (const [method, path] of [
    ['GET', '/neutron/port'],
    ['POST', '/neutron/wormhole'],
    ['POST', '/neutron'],
    ['PUT', '/neutron/port'],
  ] as const) {
    const { status, text } = await edge.ask(method, path, method === 'GET' ? {} : { body: '{}' });
    assert.equal(status, 400, `${method} ${path}`);
    assert.match(String(exceptionOf(text)), /^(?:BadRequest|ObjectNotFound)$/);
  }
  const foreign = await edge.ask('POST', '/neutron/port', { body: '{}', headers: { origin: 'http://evil.example' } });
  assert.deepEqual([foreign.status, exceptionOf(foreign.text)], [403, 'NotAuthorized']);
  assert.equal((await edge.ask('GET', '/aaa-mode')).status, 200);
});

test('a member of a project speaks for himself, whatever the context says', async (t) => {
  const { edge } = await startDoor(t);
  const body = (context: object): string =>
    JSON.stringify({
      context: { ...context, operation: 'CREATE', type: 'network' },
      data: { resource: { shared: true } },
    });
  const send = async (roles: string, context: object): Promise<number> => {
    const headers = { 'x-project-id': PROJECT, 'x-roles': roles };
    return (await edge.ask('POST', '/neutron/network', { body: body(context), headers })).status;
  };
  assert.equal(await send('member', { ...ADMIN, tenant_id: PROJECT }), 403);
  assert.equal(await send('member', { ...ADMIN, tenant_id: OTHER_PROJECT }), 403);
  assert.equal(await send('service', { ...ADMIN, tenant_id: OTHER_PROJECT }), 200);
  assert.equal(await send('admin', { ...ADMIN, tenant_id: OTHER_PROJECT }), 200);
  assert.equal(await send('admin', { ...MEMBER, tenant_id: OTHER_PROJECT, tenant: OTHER_PROJECT }), 403);
});

test('lists go on with others: ten thousand ports', async (t) => {
  const { edge, plugin } = await startDoor(t);
  const { deps, app } = edge.server;
  const inject = async (path: string, payload: object): Promise<Value> =>
    (await app.inject({ method: 'POST', url: path, payload })).json<Value>();
  const network = (await inject('/v2.0/networks', { network: { name: 'n', project_id: PROJECT } }))['network'];
  const ports = Array.from({ length: 1000 }, (_, n) => ({
    ...{ network_id: network?.['id'], project_id: PROJECT, name: `p${n}`, security_groups: [] },
    port_security_enabled: false,
  }));
  for (let part = 0; part < 10; part += 1) await inject('/v2.0/ports', { ports });
  assert.equal(deps.tables.any('port').size, 10_000);
  const ids = [...(deps.tables.any('port').sorted('id') ?? [])].flat().map(({ id }) => id);
  const asked: readonly object[] = [{}, { status: ['DOWN'] }, { id: ids }, { name: ['p7'], status: ['DOWN'] }];
  for (const filters of asked) {
    // The event loop is looked at as a client of the same process would find it: how many turns it takes meanwhile.
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns += 1;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const { status, body } = await plugin.list('port', ADMIN, filters);
    isOver = true;
    assert.equal(status, 200);
    assert.equal(body.length, 'name' in filters ? 10 : 10_000);
    if ('name' in filters) continue;
    assert.ok(turns > 10, `${turns} turns with ${JSON.stringify(filters).slice(0, 60)}`);
    t.diagnostic(`${turns} turns of the event loop during a list with ${Object.keys(filters).join() || 'no filter'}`);
  }
  assert.equal(await plugin.count('port', ADMIN, { tenant_id: [PROJECT] }), 10_000);
});
