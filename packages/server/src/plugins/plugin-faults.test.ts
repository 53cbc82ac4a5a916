/** Plug-ins that are away, wrong, full or changed, through the API of a server: what users and operators see of it. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { assertInvariants, refused, startHarness } from '../testing/harness.ts';
import { fakeFor, MEMBER, PLUGINS, register, shown, TIMES, told, until, world } from './plugin-world.fixture.ts';

/** Answers so instead. */
function say(response: ServerResponse, status: number, body: object): true {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  return true;
}

test('regression: what is let go needs no live plug-in, what is new does', async (t) => {
  const all = await world(t);
  const { create, send, fake, server } = all;
  const of = { project_id: 'p' };
  const { id: network_id } = await create('network', of);
  const { id: subnet_id } = await create('subnet', { ...of, network_id, cidr: '10.0.0.0/24', ip_version: 4 });
  const { id: outside } = await create('network', { ...of, 'router:external': true });
  await create('subnet', { ...of, network_id: outside, cidr: '192.0.2.0/24', ip_version: 4 });
  const router = await create('router', { ...of, external_gateway_info: { network_id: outside } });
  const routerPath = `/v2.0/routers/${router['id']}`;
  assert.equal((await send('PUT', `${routerPath}/add_router_interface`, { subnet_id })).status, 200);
  const nova = { device_id: 'm', device_owner: 'compute:nova', 'binding:host_id': 'h1', 'binding:profile': { a: 1 } };
  const port = await create('port', { ...of, network_id, ...nova });
  const pairs = [{ ip_address: '10.0.0.77' }, { ip_address: '10.0.0.78' }];
  const path = `/v2.0/ports/${port['id']}`;
  assert.equal((await send('PUT', path, { port: { allowed_address_pairs: pairs } })).status, 200);
  const floating = await create('floatingip', { ...of, floating_network_id: outside, port_id: port['id'] });
  await until(
    'all is told',
    async () => Number((await shown(all))['undelivered']),
    (count) => count === 0,
  );
  // It answers nothing any more.
  let isAway = true;
  fake.instead = (_verb, response) => {
    if (isAway) response.destroy();
    return isAway;
  };
  const floatingPath = `/v2.0/floatingips/${floating['id']}`;
  for (const [at, body] of [
    [path, { port: { allowed_address_pairs: pairs.slice(1) } }],
    [floatingPath, { floatingip: { port_id: null } }],
    [`${routerPath}/remove_router_interface`, { subnet_id }],
    [routerPath, { router: { external_gateway_info: null } }],
    [path, { port: { device_id: '', device_owner: '', 'binding:host_id': '', 'binding:profile': {} } }],
  ] as const) {
    const { status, body: answer } = await send('PUT', at, body);
    assert.equal(status, 200, `${at}: ${JSON.stringify(answer)}`);
  }
  const unbound = (await send('GET', path)).body['port'];
  assert.deepEqual([unbound?.['binding:vif_type'], unbound?.['binding:host_id']], ['unbound', '']);
  await refused(send('PUT', path, { port: { 'binding:host_id': 'h2' } }), 503, 'BackendUnavailable');
  await refused(send('PUT', path, { port: { name: 'new' } }), 503, 'BackendUnavailable');
  isAway = false;
  await until(
    'it is told later',
    () => told(all, 'port', port['id'])?.['binding:host_id'],
    (host) => host === '',
  );
  assert.ok(fake.asked.includes('unbind'));
  await assertInvariants(server);
});

test('regression: how a port is plugged is as was declared, and bounded; it moves to a host that the plug-in takes', async (t) => {
  const all = await world(t);
  const { create, send, fake, server } = all;
  const { id: network_id } = await create('network', {}, MEMBER);
  const nova = { network_id, project_id: 'p', device_owner: 'compute:nova', 'binding:host_id': 'h1' };
  for (const [answer, reason] of [
    [{ vif_type: 'tap' }, /tap is none that it declared: ovs/],
    [{ vif_type: 'ovs', vif_details: { x: 'y'.repeat(20_000) } }, /vif_details has more than 16384 bytes/],
  ] as const) {
    fake.instead = (verb, response) => verb === 'bind' && say(response, 200, answer);
    const port = await create('port', nova);
    assert.equal(port['binding:vif_type'], 'binding_failed');
    const stored = server.tables.of('port').get(String(port['id'])) as unknown as {
      readonly _plug: { readonly reason: string };
    };
    assert.match(stored._plug.reason, reason);
  }
  fake.instead = () => false;
  const port = await create('port', nova);
  const path = `/v2.0/ports/${port['id']}`;
  const ask = (verb: string, at: string, host?: string) =>
    send(verb, `${path}/bindings${at}`, host === undefined ? undefined : { binding: { host } });
  const no = await ask('POST', '', 'unknown');
  assert.equal(no.status, 500, JSON.stringify(no.body));
  assert.match(JSON.stringify(no.body), /The plug-in ovn.*no such host/);
  fake.instead = (verb, response) =>
    verb === 'bind' && say(response, 200, { vif_type: 'ovs', vif_details: { bridge_name: 'br-2' } });
  const made = await ask('POST', '', 'h2');
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.deepEqual(made.body['binding']?.['vif_details'], { bridge_name: 'br-2' });
  fake.instead = (verb, response) => verb === 'bind' && say(response, 200, { refused: 'not asked again' });
  assert.equal((await ask('PUT', '/h2/activate')).status, 200);
  const now = (await send('GET', path)).body['port'];
  assert.deepEqual(
    [now?.['binding:host_id'], now?.['binding:vif_type'], now?.['binding:vif_details']],
    ['h2', 'ovs', { bridge_name: 'br-2' }],
  );
  const source = (await ask('GET', '/h1')).body['binding'];
  assert.deepEqual([source?.['vif_details'], source?.['status']], [{ bridge_name: 'br-int' }, 'INACTIVE']);
  await until(
    'it is told where it is',
    () => told(all, 'port', port['id'])?.['binding:host_id'],
    (host) => host === 'h2',
  );
  assert.equal((await ask('DELETE', '/h1')).status, 204);
  assert.equal((await ask('GET', '/h1')).status, 404);
  assert.equal((await send('GET', path)).body['port']?.['binding:vif_type'], 'ovs');
  await assertInvariants(server);
});

test('regression: one that missed heartbeats is compared, whatever instance it says', async (t) => {
  const all = await world(t);
  const { create, fake } = all;
  const network = await create('network', {}, MEMBER);
  await until(
    'it is told',
    () => told(all, 'network', network['id']),
    (one) => one !== undefined,
  );
  let missed = 0;
  fake.instead = (_verb, response) => {
    missed += 1;
    response.destroy();
    return true;
  };
  await until(
    'a heartbeat is missed',
    () => missed,
    (count) => count > 2,
  );
  fake.objects.clear();
  fake.instead = () => false;
  await until(
    'it is told again',
    () => told(all, 'network', network['id']),
    (one) => one !== undefined,
  );
});

test('regression: what it says of limits counts at once, and explain says when it is full', async (t) => {
  const all = await world(t);
  const { create, send, fake } = all;
  const limitTo = async (limits: object) => {
    fake.capabilities = { ...fake.capabilities, limits };
    const text = JSON.stringify(limits);
    await until(
      `limits ${text}`,
      async () => JSON.stringify((await shown(all))['limits']),
      (now) => now === text,
    );
  };
  await limitTo({ networks: 1 });
  const explained = async () =>
    (await send('POST', '/cable/v1/dispatch-rules/explain', { resource: 'network', project_id: 'p' })).body;
  assert.equal((await explained())['backend'], 'ovn');
  await create('network', {}, MEMBER);
  await refused(send('POST', '/v2.0/networks', { network: {} }, MEMBER), 409, 'BackendLimitReached');
  const full = await explained();
  assert.deepEqual(
    [full['backend'], full['reason']],
    [null, 'rule 10 leads to ovn, but it takes 1 networks, and has them'],
  );
  assert.deepEqual(
    (full['candidates'] ?? []).map(({ can }) => can),
    [true, false],
  );
  await limitTo({ networks: 2 });
  await create('network', {}, MEMBER);
  await limitTo({});
  await create('network', {}, MEMBER);
});

test('regression: an object that it never takes is shown with its reason, which drives no terminal', async (t) => {
  const all = await world(t);
  const { create, send, fake } = all;
  fake.instead = (verb, response) => verb === 'create' && say(response, 400, { detail: 'no\u001b[31m\u0000 room' });
  const network = await create('network', {}, MEMBER);
  const plugin = await until(
    'the refusal is shown',
    () => shown(all),
    ({ reason }) => reason !== null,
  );
  assert.deepEqual(
    [plugin['state'], plugin['undelivered'], plugin['reason']],
    ['Ready', 1, `it does not take network ${network['id']}: no\\u001b[31m\\u0000 room`],
  );
  fake.instead = () => false;
  await until(
    'it is taken',
    async () => JSON.stringify([(await shown(all))['undelivered'], (await shown(all))['reason']]),
    (now) => now === '[0,null]',
  );
  fake.refuse = () => 'x\u009by';
  const text = await refused(send('POST', '/v2.0/networks', { network: {} }, MEMBER), 400, 'BackendRefused');
  assert.ok(text.includes('x\\u009by'), text);
});

test('regression: a token that is not the one is the operator’s fault; a group is asked about once', async (t) => {
  const all = await world(t);
  const { create, send, fake } = all;
  for (const status of [401, 403, 404, 429]) {
    fake.instead = (verb, response) => verb === 'verify' && say(response, status, { detail: 'who are you?' });
    const asked = send('POST', '/v2.0/networks', { network: {} }, MEMBER);
    assert.match(await refused(asked, 503, 'BackendUnavailable'), new RegExp(`verify: status ${status}, who are you`));
  }
  fake.instead = () => false;
  const network = await create('network', {}, MEMBER);
  const before = fake.asked.length;
  await create('port', { network_id: network['id'] }, MEMBER);
  const asked = fake.asked.slice(before).filter((one) => one.startsWith('verify'));
  assert.deepEqual(asked.sort(), ['verify port', 'verify security_group']);
});

test('regression: zones of a plug-in are listed, and can be asked for', async (t) => {
  const fake = await fakeFor(t);
  fake.capabilities = { ...fake.capabilities, zones: ['pod1'], features: {} };
  const harness = await startHarness(t, { pluginTimes: TIMES });
  const { create, send } = harness;
  await register(harness, fake);
  const zones = ((await send('GET', '/v2.0/availability_zones')).body['availability_zones'] ?? []).map(
    ({ name, resource, state }) => `${name} ${resource} ${state}`,
  );
  assert.deepEqual(zones.sort(), ['pod1 network available', 'pod1 router available']);
  const network = await create('network', { availability_zone_hints: ['pod1'] });
  // Its features do not say what a tunnel takes.
  assert.deepEqual([network['cable:backend'], network['availability_zones'], network['mtu']], ['ovn', ['pod1'], 1442]);
  assert.equal((await create('router', { availability_zone_hints: ['pod1'] }))['cable:backend'], 'ovn');
  const elsewhere = { availability_zone_hints: ['pod2'] };
  await refused(send('POST', '/v2.0/networks', { network: elsewhere }), 404, 'AvailabilityZoneNotFound');
  const explain = (zone: string) => send('POST', '/cable/v1/dispatch-rules/explain', { resource: 'network', zone });
  await refused(explain('pod2'), 404, 'AvailabilityZoneNotFound');
  const can = ((await explain('pod1')).body['candidates'] ?? []).map((one) => one['can']);
  assert.deepEqual(can, [false, true]);
});

test('regression: a test that fails takes a plug-in’s new objects from it until one passes', async (t) => {
  const all = await world(t);
  const { create, send, fake } = all;
  const { instead } = fake;
  fake.instead = (verb, response) => verb === 'usage' && say(response, 500, { detail: 'broken' });
  assert.equal((await send('POST', `${PLUGINS}/ovn/test`)).body['passed'], false);
  fake.instead = instead;
  const after = await shown(all);
  assert.deepEqual([after['state'], after['reason']], ['Degraded', 'usage: status 500: broken']);
  await new Promise((resolve) => setTimeout(resolve, 5 * TIMES.beatMs));
  assert.equal(String((await shown(all))['state']), 'Degraded', 'however well it says that it is');
  await refused(send('POST', '/v2.0/networks', { network: {} }, MEMBER), 503, 'BackendUnavailable');
  assert.equal((await send('POST', `${PLUGINS}/ovn/test`)).body['passed'], true);
  const again = await shown(all);
  assert.deepEqual([again['state'], again['reason']], ['Ready', null]);
  await create('network', {}, MEMBER);
  for (const [endpoint, why] of [
    ['unix:/etc/passwd', /there is no Unix socket, but a file/],
    ['https://127.0.0.1:9/path', /leave out what follows HOST:PORT/],
    ['https://127.0.0.1:9/', /leave out what follows HOST:PORT/],
  ] as const) {
    const plugin = { name: 'x', endpoint };
    assert.match(await refused(send('POST', PLUGINS, { plugin }), 400, 'PluginEndpointNotAllowed'), why);
    const changed = send('PUT', `${PLUGINS}/ovn`, { plugin: { endpoint } });
    await refused(changed, 400, 'PluginEndpointNotAllowed');
  }
});
