/** Plug-ins through the API of a server: registration, placement, questions before a write, what is told, limits and ranges. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, harnessOf, type Json, refused, startHarness, startTestServer } from '../testing/harness.ts';
import type { FakePlugin } from './fake-plugin.fixture.ts';
import { fakeFor, MEMBER, PLUGINS, register, shown, TIMES, told, until, world } from './plugin-world.fixture.ts';

test('a plug-in is Ready after its probe, of which each check is told, and its token is nowhere shown', async (t) => {
  const fake = await fakeFor(t);
  const harness = await startHarness(t, { pluginTimes: TIMES });
  await register(harness, fake);
  const { body } = await harness.send('GET', `${PLUGINS}/ovn/probe`);
  const checks = body['checks'] ?? [];
  assert.deepEqual(
    checks.filter(({ passed }) => String(passed) !== 'true'),
    [],
  );
  assert.ok(checks.length > 50, String(checks.length));
  const text = JSON.stringify([await shown(harness), body, (await harness.send('GET', PLUGINS)).body]);
  assert.equal(text.includes('"secret'), false, text);
  assert.equal(fake.objects.size, 0, 'the probe leaves nothing');
  assert.equal((await harness.send('GET', PLUGINS, undefined, MEMBER)).body['plugins']?.length, 0);
  assert.equal(
    (await harness.send('POST', PLUGINS, { plugin: { name: 'x', endpoint: fake.endpoint } }, MEMBER)).status,
    403,
  );
});

test('one that is not as the contract says is refused, with the check that failed', async (t) => {
  const fake = await fakeFor(t);
  const harness = await startHarness(t, { pluginTimes: TIMES });
  fake.instead = (verb, response) => {
    if (verb !== 'delete') return false;
    response.writeHead(500, { 'content-type': 'application/json' }).end('{"detail":"broken"}');
    return true;
  };
  await harness.create('plugin', { name: 'ovn', endpoint: fake.endpoint, token: 'secret' });
  const plugin = await until(
    'it is Refused',
    () => shown(harness),
    ({ state }) => String(state) === 'Refused',
  );
  assert.match(String(plugin['reason']), /delete/);
  fake.instead = () => false;
  const again = await harness.send('POST', `${PLUGINS}/ovn/test`);
  assert.deepEqual([again.status, again.body['passed']], [200, true]);
  assert.equal(String((await shown(harness))['state']), 'Ready');
});

test('hostile answers are refused: too long, too deep, no JSON, elsewhere, never', async (t) => {
  const fake = await fakeFor(t);
  const harness = await startHarness(t, { pluginTimes: TIMES });
  const answers: readonly (readonly [string, RegExp, FakePlugin['instead']])[] = [
    [
      'long',
      /over 1048576/,
      (_verb, response) => {
        response.writeHead(200).end(`{"x":"${'x'.repeat(3 << 20)}"}`);
        return true;
      },
    ],
    [
      'deep',
      /deeper/,
      (_verb, response) => {
        response.writeHead(200).end(`{"x":"}}}}","y":${'['.repeat(500)}${']'.repeat(500)}}`);
        return true;
      },
    ],
    [
      'garbage',
      /no JSON/,
      (_verb, response) => {
        response.writeHead(200).end('<html>');
        return true;
      },
    ],
    [
      'elsewhere',
      /led elsewhere/,
      (_verb, response) => {
        response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();
        return true;
      },
    ],
    [
      'slowly',
      /did not answer/,
      (_verb, response) => {
        response.writeHead(200).write('{');
        const timer = setInterval(() => response.write(' '), 50);
        response.once('close', () => clearInterval(timer));
        return true;
      },
    ],
    ['never', /did not answer/, () => true],
  ];
  for (const [name, reason, instead] of answers) {
    fake.instead = instead;
    await harness.create('plugin', { name, endpoint: fake.endpoint, token: 'secret' });
    const plugin = await until(
      name,
      () => shown(harness, name),
      (one) => one['reason'] !== null,
    );
    assert.match(String(plugin['reason']), reason);
    assert.notEqual(String(plugin['state']), 'Ready');
    assert.equal((await harness.send('DELETE', `${PLUGINS}/${name}`)).status, 204);
  }
  const places = ['ftp://x', 'http://10.0.0.1:80', 'unix:relative', 'http://u:p@localhost:1', 'nothing'];
  for (const endpoint of places) {
    await refused(harness.send('POST', PLUGINS, { plugin: { name: 'x', endpoint } }), 400, 'PluginEndpointNotAllowed');
  }
});

test('objects are told whole and as they are, in their order, and go', async (t) => {
  const all = await world(t);
  const { create, send, fake, server } = all;
  const network = await create('network', { name: 'blue' }, MEMBER);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 }, MEMBER);
  const port = await create('port', { network_id: network['id'] }, MEMBER);
  await until(
    'the port is told',
    () => told(all, 'port', port['id']),
    (one) => one !== undefined,
  );
  const path = `/v2.0/networks/${network['id']}`;
  const asAdmin = (await send('GET', path)).body['network'] as Json;
  assert.deepEqual(
    [asAdmin['cable:backend'], asAdmin['provider:network_type'], asAdmin['provider:segmentation_id'], asAdmin['mtu']],
    ['ovn', 'geneve', null, 1442],
  );
  assert.equal(told(all, 'subnet', subnet['id'])?.['cidr'], '10.0.0.0/24');
  const [groupId] = port['security_groups'] ?? [];
  const group = told(all, 'security_group', groupId) as { readonly security_group_rules: readonly unknown[] };
  assert.equal(group.security_group_rules.length, 4);
  await send('PUT', path, { network: { name: 'green' } }, MEMBER);
  await until(
    'the name is told',
    () => told(all, 'network', network['id'])?.['name'],
    (name) => name === 'green',
  );
  const rule = {
    security_group_id: groupId,
    direction: 'ingress',
    protocol: 'tcp',
    port_range_min: 80,
    port_range_max: 80,
  };
  await create('security_group_rule', rule, MEMBER);
  const rules = () => JSON.stringify(told(all, 'security_group', groupId)).split('ethertype').length - 1;
  await until('the rule is told', rules, (count) => count === 5);
  for (const [plural, id] of [
    ['ports', port['id']],
    ['subnets', subnet['id']],
    ['networks', network['id']],
  ] as const)
    assert.equal((await send('DELETE', `/v2.0/${plural}/${id}`, undefined, MEMBER)).status, 204);
  await until(
    'all is gone',
    () => fake.objects.size,
    (size) => size === 0,
  );
  await until(
    'nothing is left to tell',
    () => all.store.list('/cable/h/told/'),
    ({ kvs }) => kvs.length === 0,
  );
  await assertInvariants(server);
});

test('what the vrouter realises is told to nobody, and plug-ins’ objects are in no slice', async (t) => {
  const all = await world(t);
  const { create, server, fake } = all;
  const own = await create('network', {});
  const theirs = await create('network', {}, MEMBER);
  for (const { id } of [own, theirs]) await create('port', { network_id: id, 'binding:host_id': 'h1' });
  await until(
    'it is told',
    () => fake.count('port'),
    (count) => count === 1,
  );
  const { compilerTables } = await import('../slices/compiled-view.ts');
  const tables = compilerTables(server.tables);
  assert.deepEqual(
    [...tables.network.values()].map(({ id }) => id),
    [own['id']],
  );
  assert.equal(tables.port.by('network_id', String(theirs['id'])).length, 0);
  assert.equal(tables.port.by('network_id', String(own['id'])).length, 1);
});

test('a plug-in is asked before a write: its no is the client’s answer, and its silence is 503', async (t) => {
  const all = await world(t);
  const { create, send, fake } = all;
  const network = await create('network', {}, MEMBER);
  fake.refuse = (resource) => (resource === 'port' ? 'mac_address: not that one' : undefined);
  const port = { port: { network_id: network['id'] } };
  const text = await refused(send('POST', '/v2.0/ports', port, MEMBER), 400, 'BackendRefused');
  assert.match(text, /ovn does not take the port: mac_address: not that one/);
  fake.refuse = () => ({ reason: 'busy', conflict: true });
  await refused(send('POST', '/v2.0/ports', port, MEMBER), 409, 'BackendConflict');
  await refused(
    send('PUT', `/v2.0/networks/${network['id']}`, { network: { name: 'x' } }, MEMBER),
    409,
    'BackendConflict',
  );
  assert.equal((await send('GET', `/v2.0/ports?network_id=${network['id']}`)).body['ports']?.length, 0);
  fake.instead = (verb) => verb === 'verify';
  const start = performance.now();
  await refused(send('POST', '/v2.0/ports', port, MEMBER), 503, 'BackendUnavailable');
  assert.ok(performance.now() - start < 4000);
  fake.instead = () => false;
  fake.refuse = () => undefined;
  await create('port', { network_id: network['id'] }, MEMBER);
});

test('a plug-in is asked about what an action makes besides: legs and gateways of routers', async (t) => {
  const all = await world(t);
  const { fake, send, create } = all;
  const of = { project_id: 'p' };
  const { id: networkId } = await create('network', of);
  const { id: subnetId } = await create('subnet', { ...of, network_id: networkId, cidr: '10.0.0.0/24', ip_version: 4 });
  const { id: outside } = await create('network', { ...of, 'router:external': true });
  await create('subnet', { ...of, network_id: outside, cidr: '192.0.2.0/24', ip_version: 4 });
  const { id: routerId } = await create('router', of);
  const path = `/v2.0/routers/${String(routerId)}`;
  const gateway = { router: { external_gateway_info: { network_id: outside } } };
  const addLeg = () => send('PUT', `${path}/add_router_interface`, { subnet_id: subnetId });
  const before = (await send('GET', '/v2.0/ports')).body['ports']?.length;
  fake.refuse = (resource, { device_owner: owner }) =>
    resource === 'port' && String(owner).startsWith('network:router') ? `no ${String(owner)}` : undefined;
  assert.match(await refused(addLeg(), 400, 'BackendRefused'), /no network:router_interface/);
  await refused(send('PUT', path, gateway), 400, 'BackendRefused');
  assert.equal((await send('GET', '/v2.0/ports')).body['ports']?.length, before, 'nothing was written');
  fake.refuse = () => undefined;
  const asked = () => fake.asked.filter((one) => one === 'verify port').length;
  const start = asked();
  assert.equal((await addLeg()).status, 200);
  assert.equal((await send('PUT', path, gateway)).status, 200);
  assert.equal(asked(), start + 2, 'about each once');
});

test('a port is plugged as its plug-in says, and is ACTIVE when that says so', async (t) => {
  const all = await world(t);
  const { create, send, fake } = all;
  fake.portAnswer = { status: 'ACTIVE' };
  const network = await create('network', {}, MEMBER);
  const port = await create('port', { network_id: network['id'], project_id: 'p', 'binding:host_id': 'h1' });
  assert.deepEqual([port['binding:vif_type'], port['binding:vif_details']], ['ovs', { bridge_name: 'br-int' }]);
  const path = `/v2.0/ports/${port['id']}`;
  const statusOf = async () => String((await send('GET', path)).body['port']?.['status']);
  await until('it is ACTIVE', statusOf, (status) => status === 'ACTIVE');
  const moved = await send('PUT', path, { port: { 'binding:host_id': 'unknown' } });
  assert.equal(moved.body['port']?.['binding:vif_type'], 'binding_failed');
  await until('it is unbound there', () => fake.asked.includes('unbind'), Boolean);
  const away = await send('PUT', path, { port: { 'binding:host_id': '' } });
  assert.equal(away.body['port']?.['binding:vif_type'], 'unbound');
});

test('one that is lost is Degraded: nothing new is placed there, and what it missed is told when it is back', async (t) => {
  const fake = await fakeFor(t);
  const harness = await startHarness(t, { pluginTimes: { beatMs: 50, lostMs: 1500 } });
  await register(harness, fake);
  const all = { ...harness, fake };
  const { create, send } = all;
  await create('dispatch_rule', { priority: 10, projects: 'p', plugin: 'ovn' });
  const network = await create('network', {}, MEMBER);
  const port = await create('port', { network_id: network['id'] }, MEMBER);
  await until(
    'it is told',
    () => told(all, 'port', port['id']),
    (one) => one !== undefined,
  );
  fake.instead = (verb, response) => {
    if (verb === 'verify') return false;
    response.destroy();
    return true;
  };
  await until(
    'it is Degraded',
    () => shown(all),
    ({ state }) => String(state) === 'Degraded',
  );
  await refused(send('POST', '/v2.0/networks', { network: {} }, MEMBER), 503, 'BackendUnavailable');
  // What it owns stays its own: that it takes a change is its to say.
  const renamed = await send('PUT', `/v2.0/networks/${network['id']}`, { network: { name: 'later' } }, MEMBER);
  assert.equal(renamed.status, 200);
  assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`, undefined, MEMBER)).status, 204);
  fake.instead = () => false;
  await until(
    'it is Ready',
    () => shown(all),
    ({ state }) => String(state) === 'Ready',
  );
  await until(
    'the name is told',
    () => told(all, 'network', network['id'])?.['name'],
    (name) => name === 'later',
  );
  await until(
    'the delete is told',
    () => told(all, 'port', port['id']),
    (one) => one === undefined,
  );
});

test('one that starts anew and has forgotten everything is told all of it', async (t) => {
  const all = await world(t);
  const { create, fake } = all;
  const network = await create('network', {}, MEMBER);
  for (let n = 0; n < 20; n += 1) await create('port', { network_id: network['id'] }, MEMBER);
  await until(
    'all is told',
    () => fake.count('port'),
    (count) => count === 20,
  );
  fake.restart();
  fake.objects.set('network/7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b', { revision: 1, object: {} });
  await until(
    'all is told again',
    () => fake.count('port'),
    (count) => count === 20,
  );
  await until(
    'what is nobody’s is gone',
    () => fake.count('network'),
    (count) => count === 1,
  );
});

test('a server that is killed amid deliveries leaves nothing untold: another goes on', async (t) => {
  const fake = await fakeFor(t);
  const harness = await startHarness(t, { pluginTimes: TIMES });
  await register(harness, fake);
  const { create, send, store } = harness;
  await create('dispatch_rule', { priority: 10, projects: 'p', plugin: 'ovn' });
  const network = await create('network', {}, MEMBER);
  const gone = await create('port', { network_id: network['id'] }, MEMBER);
  await until(
    'it is told',
    () => fake.count('port'),
    (count) => count === 1,
  );
  // From here on what is asked is done, and never answered.
  let isSilent = true;
  fake.instead = (verb) => isSilent && ['create', 'delete'].includes(verb);
  for (let n = 0; n < 10; n += 1) await create('port', { network_id: network['id'] }, MEMBER);
  assert.equal((await send('DELETE', `/v2.0/ports/${gone['id']}`, undefined, MEMBER)).status, 204);
  const other = await startTestServer(store, undefined, { pluginTimes: TIMES });
  t.after(() => other.stop());
  await harness.server.stop();
  isSilent = false;
  await until(
    'the other tells',
    () => [...fake.objects.keys()].filter((key) => key.startsWith('port/')),
    (keys) => keys.length === 10 && !keys.includes(`port/${gone['id']}`),
    40_000,
  );
  await assertInvariants(other);
  assert.equal((await harnessOf(store, other).send('GET', `${PLUGINS}/ovn`)).status, 200);
});

test('a slow plug-in holds no other one up', async (t) => {
  const all = await world(t);
  const other = await fakeFor(t);
  await register(all, other, 'quick');
  await all.create('dispatch_rule', { priority: 5, projects: 'q', plugin: 'quick' });
  all.fake.instead = (verb) => verb === 'create';
  await all.create('network', {}, MEMBER);
  const start = performance.now();
  await all.create('network', {}, { 'x-project-id': 'q', 'x-roles': 'member' });
  await until(
    'the quick one is told',
    () => other.count('network'),
    (count) => count === 1,
    3000,
  );
  assert.ok(performance.now() - start < 3000);
});

test('rules, defaults and flavors say where a network is placed; explain says the same', async (t) => {
  const all = await world(t);
  const { create, send } = all;
  const made = async (attributes: object, project: string) => {
    const network = await create('network', { ...attributes, project_id: project });
    return [network['cable:backend'], network['flavor:network'], network['provider:network_type']];
  };
  const explained = async (body: object) => (await send('POST', '/cable/v1/dispatch-rules/explain', body)).body;
  assert.deepEqual(await made({}, 'q'), [null, null, 'vxlan']);
  assert.deepEqual(await made({ 'flavor:network': 'overlay' }, 'q'), [null, 'overlay', 'vxlan']);
  assert.deepEqual(await made({ 'flavor:network': 'overlay' }, 'p'), ['ovn', 'overlay', 'geneve']);
  const text = await refused(
    send('POST', '/v2.0/networks', { network: { 'flavor:network': 'gold' } }, MEMBER),
    400,
    'UnknownFlavor',
  );
  assert.match(text, /overlay, vlan, flat, l3vpn/);
  await refused(
    send('POST', '/v2.0/networks', { network: { 'flavor:network': 'l3vpn' } }, MEMBER),
    400,
    'BackendRefused',
  );
  await refused(send('POST', '/v2.0/networks', { network: { 'provider:network_type': 'gre' } }), 400, 'InvalidInput');
  await create('dispatch_default', { project_id: '*', network_flavor: 'overlay' });
  await create('dispatch_default', { project_id: 'r', plugin: 'ovn' });
  assert.deepEqual(await made({}, 'q'), [null, 'overlay', 'vxlan']);
  assert.deepEqual(await made({}, 'r'), ['ovn', 'overlay', 'geneve']);
  await create('dispatch_rule', {
    priority: 1,
    resource: 'network',
    flavor: 'overlay',
    projects: 'r*',
    plugin: 'vrouter',
  });
  assert.deepEqual(await made({}, 'r'), [null, 'overlay', 'vxlan']);
  await refused(
    send('POST', '/cable/v1/dispatch-rules', { dispatch_rule: { priority: 1, plugin: 'ovn' } }),
    409,
    'HTTPConflict',
  );
  await refused(
    send('POST', '/cable/v1/dispatch-rules', { dispatch_rule: { priority: 2, plugin: 'none' } }),
    404,
    'PluginNotFound',
  );
  const shownBy = await explained({ resource: 'network', project_id: 'p' });
  assert.deepEqual([shownBy['backend'], shownBy['reason'], shownBy['network_type']], ['ovn', 'rule 10', 'geneve']);
  assert.deepEqual(
    (shownBy['rules'] ?? []).map(({ why }) => String(why)),
    ['it is of projects r*', ''],
  );
  const not = await explained({ resource: 'network', project_id: 'p', flavor: 'flat' });
  assert.deepEqual([not['backend'], (not['candidates'] ?? []).map(({ can }) => can)], [null, [true, false]]);
  const flavors = (await send('GET', '/cable/v1/network-flavors', undefined, MEMBER)).body['network_flavors'] ?? [];
  assert.deepEqual(
    flavors.map(({ name }) => String(name)),
    ['overlay', 'vlan', 'flat', 'l3vpn'],
  );
  assert.equal(
    (
      await send('PUT', `/v2.0/networks/${(await create('network', {}, MEMBER))['id']}`, {
        network: { 'flavor:network': 'vlan' },
      })
    ).status,
    400,
  );
});

test('a flavor that one plug-in alone brings leads there, and is refused with it', async (t) => {
  const all = await world(t);
  const { fake, create, send } = all;
  fake.capabilities = { ...fake.capabilities, flavors: { fast: { network_types: ['geneve'] } } };
  assert.equal((await send('POST', `${PLUGINS}/ovn/test`)).body['passed'], true);
  const network = await create('network', { 'flavor:network': 'fast', project_id: 'q' });
  assert.deepEqual([network['cable:backend'], network['provider:network_type']], ['ovn', 'geneve']);
});

test('routers, networks and what the vrouter alone has do not cross back ends', async (t) => {
  const all = await world(t);
  const { create, send, fake, server } = all;
  const subnetOf = async (project: string, cidr: string) => {
    const network = await create('network', { project_id: project });
    return create('subnet', { network_id: network['id'], cidr, ip_version: 4, project_id: project });
  };
  const [own, theirs] = [await subnetOf('q', '10.1.0.0/24'), await subnetOf('p', '10.2.0.0/24')];
  const router = await create('router', { project_id: 'q' });
  const attach = (id: unknown, subnet: Json) =>
    send('PUT', `/v2.0/routers/${id}/add_router_interface`, { subnet_id: subnet['id'] });
  assert.equal((await attach(router['id'], own)).status, 200);
  await refused(attach(router['id'], theirs), 409, 'CrossesBackends');
  const other = await create('router', { project_id: 'p' });
  assert.equal((await attach(other['id'], theirs)).status, 200);
  await refused(attach(other['id'], own), 409, 'CrossesBackends');
  const outside = await create('network', { 'router:external': true, project_id: 'q' });
  const gateway = { external_gateway_info: { network_id: outside['id'] } };
  await refused(send('POST', '/v2.0/routers', { router: { project_id: 'p', ...gateway } }), 409, 'CrossesBackends');
  await refused(send('PUT', `/v2.0/routers/${other['id']}`, { router: gateway }), 409, 'CrossesBackends');
  const port = await create('port', { network_id: theirs['network_id'], project_id: 'p' });
  await refused(send('POST', '/v2.0/trunks', { trunk: { port_id: port['id'] } }), 400, 'BackendRefused');
  const parent = await create('port', { network_id: own['network_id'], project_id: 'q' });
  const trunk = await create('trunk', { port_id: parent['id'], project_id: 'q' });
  const subPorts = [{ port_id: port['id'], segmentation_type: 'vlan', segmentation_id: 7 }];
  const added = send('PUT', `/v2.0/trunks/${trunk['id']}/add_subports`, { sub_ports: subPorts });
  await refused(added, 400, 'BackendRefused');
  await send('DELETE', `/v2.0/trunks/${trunk['id']}`);
  await until(
    'router and leg are told',
    () => [fake.count('router'), fake.count('port')].join(),
    (counts) => counts === '1,2',
  );
  fake.capabilities = { ...fake.capabilities, features: { composite: true } };
  await send('POST', `${PLUGINS}/ovn/test`);
  const joined = await attach(other['id'], await subnetOf('q', '10.3.0.0/24'));
  assert.equal(joined.status, 200, JSON.stringify(joined.body));
  await assertInvariants(server);
});

test('what the vrouter alone does of an object is refused of one of a plug-in, at once and later', async (t) => {
  const { create, send, server } = await world(t);
  const network = await create('network', { project_id: 'p' });
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.1.0.0/24', ip_version: 4 });
  const router = await create('router', { project_id: 'p' });
  const port = await create('port', { network_id: network['id'], project_id: 'p' });
  const cases: readonly (readonly [string, string, Json, object])[] = [
    ['network', 'networks', network, { 'cable:flow_export': 1 }],
    ['subnet', 'subnets', subnet, { 'cable:private': true }],
    ['router', 'routers', router, { 'cable:snat': 'distributed' }],
    ['port', 'ports', port, { 'cable:user_data': 'eA==' }],
    ['port', 'ports', port, { 'cable:flow_export': 7 }],
  ];
  for (const [type, collection, { id }, attributes] of cases) {
    const text = await refused(send('PUT', `/v2.0/${collection}/${id}`, { [type]: attributes }), 400, 'BackendRefused');
    assert.match(text, new RegExp(`${Object.keys(attributes)[0]}.*ovn`));
  }
  const given = { network_id: network['id'], cidr: '10.2.0.0/24', ip_version: 4, 'cable:private': true };
  await refused(send('POST', '/v2.0/subnets', { subnet: given }), 400, 'BackendRefused');
  await create('subnet', { ...given, 'cable:private': false });
  await assertInvariants(server);
});

test('limits of a plug-in are exact, whoever creates at once, and after they were lowered', async (t) => {
  const all = await world(t);
  const { fake, send, create, store, server } = all;
  fake.capabilities = { ...fake.capabilities, limits: { networks: 5, ports_per_network: 2 } };
  await send('POST', `${PLUGINS}/ovn/test`);
  const second = await startTestServer(store, undefined, { pluginTimes: TIMES });
  t.after(() => second.stop());
  const doors = [send, harnessOf(store, second).send];
  const asked = Array.from({ length: 24 }, (_, n) =>
    (doors[n % 2] as typeof send)('POST', '/v2.0/networks', { network: {} }, MEMBER),
  );
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  assert.equal(statuses.filter((status) => status === 201).length, 5, statuses.join());
  await refused(send('POST', '/v2.0/networks', { network: {} }, MEMBER), 409, 'BackendLimitReached');
  const [first] = (await send('GET', '/v2.0/networks?project_id=p')).body['networks'] ?? [];
  for (let n = 0; n < 2; n += 1) await create('port', { network_id: first?.['id'] }, MEMBER);
  await refused(
    send('POST', '/v2.0/ports', { port: { network_id: first?.['id'] } }, MEMBER),
    409,
    'BackendLimitReached',
  );
  fake.capabilities = { ...fake.capabilities, limits: { networks: 6 } };
  await send('POST', `${PLUGINS}/ovn/test`);
  await create('network', {}, MEMBER);
  fake.capabilities = { ...fake.capabilities, limits: { networks: 3 } };
  await send('POST', `${PLUGINS}/ovn/test`);
  for (const { id } of (await send('GET', '/v2.0/networks?project_id=p')).body['networks']?.slice(1, 5) ?? [])
    assert.equal((await send('DELETE', `/v2.0/networks/${id}`)).status, 204);
  await create('network', {}, MEMBER);
  await refused(send('POST', '/v2.0/networks', { network: {} }, MEMBER), 409, 'BackendLimitReached');
  await assertInvariants(server);
});

test('numbers of a plug-in’s networks are of ranges that it was leased, and nobody else’s are', async (t) => {
  const all = await world(t);
  const { create, send, server } = all;
  const vlan = { 'provider:network_type': 'vlan', 'provider:physical_network': 'physnet1' };
  const range = (more: object) =>
    create('network_segment_range', { network_type: 'vlan', physical_network: 'physnet1', ...more });
  await range({ minimum: 100, maximum: 101 });
  await refused(send('POST', '/v2.0/networks', { network: { ...vlan, project_id: 'p' } }), 409, 'NoRoomInPluginRanges');
  await range({ minimum: 200, maximum: 201, 'cable:backend': 'ovn' });
  const numberOf = async (project: string, more: object = {}) =>
    Number((await create('network', { ...vlan, ...more, project_id: project }))['provider:segmentation_id']);
  assert.deepEqual([await numberOf('p'), await numberOf('p')].sort(), [200, 201]);
  await refused(send('POST', '/v2.0/networks', { network: { ...vlan, project_id: 'p' } }), 503, 'NoNetworkAvailable');
  assert.deepEqual([await numberOf('q'), await numberOf('q')].sort(), [100, 101]);
  await refused(send('POST', '/v2.0/networks', { network: { ...vlan, project_id: 'q' } }), 503, 'NoNetworkAvailable');
  const named = (id: number, project: string) =>
    send('POST', '/v2.0/networks', { network: { ...vlan, 'provider:segmentation_id': id, project_id: project } });
  await refused(named(300, 'p'), 409, 'NoRoomInPluginRanges');
  await range({ minimum: 400, maximum: 401, 'cable:backend': 'ovn' });
  await refused(named(400, 'q'), 409, 'NoRoomInPluginRanges');
  assert.equal((await named(401, 'p')).status, 201);
  assert.equal((await named(300, 'q')).status, 201);
  await assertInvariants(server);
});

test('the directory says what back ends can, and extensions are those of registered ones', async (t) => {
  const fake = await fakeFor(t);
  const harness = await startHarness(t, { pluginTimes: TIMES });
  const { send } = harness;
  const aliases = async () =>
    ((await send('GET', '/v2.0/extensions')).body['extensions'] ?? []).map(({ alias }) => String(alias));
  const before = await aliases();
  await register(harness, fake);
  assert.deepEqual(
    (await aliases()).filter((alias) => !before.includes(alias)),
    ['fake-mirror'],
  );
  assert.equal((await send('GET', '/v2.0/extensions/fake-mirror')).status, 200);
  const found = async (query: string) =>
    ((await send('GET', `/cable/v1/capabilities${query}`)).body['capabilities'] ?? []).map(({ backend }) =>
      String(backend),
    );
  assert.deepEqual(await found(''), ['vrouter', 'ovn']);
  assert.deepEqual(await found('?resource=network&network_type=geneve'), ['ovn']);
  assert.deepEqual(await found('?network_type=flat'), ['vrouter']);
  await harness.create('dispatch_rule', { priority: 1, plugin: 'ovn' });
  const text = await refused(send('DELETE', `${PLUGINS}/ovn`), 409, 'PluginInUse');
  assert.match(text, /dispatch_rule/);
  for (const { id } of (await send('GET', '/cable/v1/dispatch-rules')).body['dispatch_rules'] ?? [])
    await send('DELETE', `/cable/v1/dispatch-rules/${id}`);
  assert.equal((await send('DELETE', `${PLUGINS}/ovn`)).status, 204);
  assert.deepEqual(await aliases(), before);
  await until(
    'nothing is left of it',
    () => harness.store.list('/cable/h/heard/'),
    ({ kvs }) => kvs.length === 0,
  );
});
