import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const NOVA = { device_owner: 'compute:nova', 'binding:host_id': 'h1' };

async function portOf({ create }: Harness, attributes: object = NOVA): Promise<Json> {
  const { id } = await create('network', {});
  return create('port', { network_id: id, ...attributes });
}

async function startHosts(t: Parameters<typeof startHarness>[0]): Promise<Harness> {
  const harness = await startHarness(t);
  for (const [name, underlay] of [
    ['h1', '192.0.2.1'],
    ['h2', '192.0.2.2'],
  ] as const) {
    await harness.send('PUT', `/cable/v1/hosts/${name}`, { underlay, agentVersion: 'test' });
  }
  return harness;
}

test('what Nova does for a live migration: prepare, activate in one step, delete the source', async (t) => {
  const harness = await startHosts(t);
  const { send, server } = harness;
  const port = await portOf(harness);
  const path = `/v2.0/ports/${port['id']}`;
  const made = await send('POST', `${path}/bindings`, { binding: { host: 'h2', profile: { a: 1 } } });
  const details = { port_filter: true, connectivity: 'l2' };
  const common = { vif_type: 'tap', vif_details: details, vnic_type: 'normal' };
  const target = { host: 'h2', ...common, profile: { a: 1 }, status: 'INACTIVE' };
  assert.deepEqual([made.status, made.body], [201, { binding: target }]);
  assert.deepEqual((await send('GET', `${path}/bindings/h2`)).body, { binding: target });
  assert.equal((await send('GET', path)).body['port']?.['binding:host_id'], 'h1');
  const activated = await send('PUT', `${path}/bindings/h2/activate`);
  assert.deepEqual([activated.status, activated.body], [200, { binding: { ...target, status: 'ACTIVE' } }]);
  const now = (await send('GET', path)).body['port'];
  assert.deepEqual([now?.['binding:host_id'], now?.['binding:profile']], ['h2', { a: 1 }]);
  const source = { host: 'h1', ...common, profile: {}, status: 'INACTIVE' };
  assert.deepEqual((await send('GET', `${path}/bindings`)).body, {
    bindings: [{ ...target, status: 'ACTIVE' }, source],
  });
  await refused(send('PUT', `${path}/bindings/h2/activate`), 409, 'PortBindingAlreadyActive');
  await refused(send('POST', `${path}/bindings`, { binding: { host: 'h1' } }), 409, 'PortBindingAlreadyExists');
  // A host that may still have packets of the port is not deleted.
  await refused(send('DELETE', '/cable/v1/hosts/h1'), 409, 'HostInUse');
  await assertInvariants(server);
  assert.equal((await send('DELETE', `${path}/bindings/h1`)).status, 204);
  await refused(send('DELETE', `${path}/bindings/h1`), 404, 'PortBindingNotFound');
  await refused(send('GET', `${path}/bindings/h1`), 404, 'PortBindingNotFound');
  await refused(send('PUT', `${path}/bindings/h1/activate`), 404, 'PortBindingNotFound');
  await assertInvariants(server);
});

test('where libvirt makes the devices of VMs, Nova is told of a bridge for each port, on the hosts that say so', async (t) => {
  const harness = await startHosts(t);
  const { send } = harness;
  const host = (features: readonly string[]): Promise<Answer> =>
    send('PUT', '/cable/v1/hosts/h2', { underlay: '192.0.2.2', agentVersion: 'test', features });
  await host(['bridges']);
  const port = await portOf(harness);
  const { id } = port;
  const path = `/v2.0/ports/${id}`;
  const plain = { port_filter: true, connectivity: 'l2' };
  const details = { ...plain, bridge_name: `cbr${String(id).slice(0, 11)}` };
  assert.deepEqual([port['binding:vif_type'], port['binding:vif_details']], ['tap', plain]);
  const { binding } = (await send('POST', `${path}/bindings`, { binding: { host: 'h2' } })).body;
  assert.deepEqual([binding?.['vif_type'], binding?.['vif_details']], ['bridge', details]);
  await send('PUT', `${path}/bindings/h2/activate`);
  const moved = (await send('GET', path)).body['port'];
  assert.deepEqual([moved?.['binding:vif_type'], moved?.['binding:vif_details']], ['bridge', details]);
  await host([]);
  assert.equal((await send('GET', path)).body['port']?.['binding:vif_type'], 'tap');
});

test('bindings are changed, the active one too; the end of the active one unbinds the port', async (t) => {
  const harness = await startHosts(t);
  const { send } = harness;
  const port = await portOf(harness);
  const path = `/v2.0/ports/${port['id']}`;
  await send('POST', `${path}/bindings`, { binding: { host: 'h2' } });
  const change = (host: string): Promise<Answer> =>
    send('PUT', `${path}/bindings/${host}`, { binding: { profile: { trusted: 'true' } } });
  assert.deepEqual((await change('h2')).body['binding']?.['profile'], { trusted: 'true' });
  assert.deepEqual((await change('h1')).body['binding']?.['profile'], { trusted: 'true' });
  assert.deepEqual((await send('GET', path)).body['port']?.['binding:profile'], { trusted: 'true' });
  assert.equal((await send('DELETE', `${path}/bindings/h1`)).status, 204);
  const now = (await send('GET', path)).body['port'];
  assert.deepEqual([now?.['binding:host_id'], now?.['binding:vif_type']], ['', 'unbound']);
  assert.deepEqual((await send('GET', `${path}/bindings`)).body, { bindings: [] });
});

test('a profile is as long as Neutron’s: 4,095 characters, as Python writes JSON', async (t) => {
  const harness = await startHosts(t);
  const { send } = harness;
  const port = await portOf(harness);
  const path = `/v2.0/ports/${port['id']}`;
  const given = (profile: object) => ({ port: { 'binding:profile': profile } });
  const fits = { a: ['é', 1, null], b: {}, c: 'x'.repeat(4051) };
  assert.equal((await send('PUT', path, given(fits))).status, 200);
  const text = 'Invalid input for operation: binding:profile value too large.';
  const tooLong = { ...fits, c: 'x'.repeat(4052) };
  assert.equal(await refused(send('PUT', path, given(tooLong)), 400, 'InvalidInput'), text);
  await refused(portPost(harness, { network_id: port['network_id'], ...given(tooLong).port }), 400, 'InvalidInput');
  const binding = { host: 'h2', profile: tooLong };
  await refused(send('POST', `${path}/bindings`, { binding }), 400, 'InvalidInput');
});

const portPost = ({ send }: Harness, port: object) => send('POST', '/v2.0/ports', { port });

test('only an admin sees bindings, and only ports of machines have several', async (t) => {
  const harness = await startHosts(t);
  const { send } = harness;
  const other = await portOf(harness, { device_owner: 'network:dhcp', 'binding:host_id': 'h1' });
  const binding = { binding: { host: 'h2' } };
  await refused(send('POST', `/v2.0/ports/${other['id']}/bindings`, binding), 409, 'UnsupportedPortDeviceOwner');
  const port = await portOf(harness);
  const path = `/v2.0/ports/${port['id']}/bindings`;
  const member = { 'x-project-id': String(port['project_id']), 'x-roles': 'member' };
  for (const asked of [send('POST', path, binding, member), send('GET', path, undefined, member)]) {
    await refused(asked, 403, 'PolicyNotAuthorized');
  }
  await refused(send('POST', path, { binding: {} }), 400, 'HTTPBadRequest');
});

test('sub-ports of a trunk go where their parent goes, prepared and activated with it', async (t) => {
  const harness = await startHosts(t);
  const { create, send, server } = harness;
  const [parent, sub] = [await portOf(harness), await portOf(harness, {})];
  await create('trunk', {
    port_id: parent['id'],
    sub_ports: [{ port_id: sub['id'], segmentation_type: 'vlan', segmentation_id: 7 }],
  });
  const hostsOf = async (): Promise<unknown> => {
    const { body } = await send('GET', `/v2.0/ports/${sub['id']}/bindings`);
    return (body['bindings'] ?? []).map((one) => `${one['host']} ${one['status']}`);
  };
  await send('POST', `/v2.0/ports/${parent['id']}/bindings`, { binding: { host: 'h2' } });
  assert.deepEqual(await hostsOf(), ['h1 ACTIVE', 'h2 INACTIVE']);
  await send('PUT', `/v2.0/ports/${parent['id']}/bindings/h2/activate`);
  assert.deepEqual(await hostsOf(), ['h2 ACTIVE', 'h1 INACTIVE']);
  await send('DELETE', `/v2.0/ports/${parent['id']}/bindings/h1`);
  assert.deepEqual(await hostsOf(), ['h2 ACTIVE']);
  await assertInvariants(server);
});

test('a port that is bound to no host has no binding beside', async (t) => {
  const harness = await startHosts(t);
  const port = await portOf(harness, { device_owner: 'compute:nova' });
  const given = { binding: { host: 'h2' } };
  const said = await refused(harness.send('POST', `/v2.0/ports/${port['id']}/bindings`, given), 400, 'HTTPBadRequest');
  assert.match(said, /is bound to no host/);
});

test('a sub-port, and a router’s port, are moved by nobody else', async (t) => {
  const harness = await startHosts(t);
  const { create, send, server } = harness;
  const [parent, sub] = [await portOf(harness), await portOf(harness, {})];
  const sub_ports = [{ port_id: sub['id'], segmentation_type: 'vlan', segmentation_id: 7 }];
  await create('trunk', { port_id: parent['id'], sub_ports });
  await send('POST', `/v2.0/ports/${parent['id']}/bindings`, { binding: { host: 'h2' } });
  const path = `/v2.0/ports/${sub['id']}/bindings`;
  for (const [method, where] of [
    ['PUT', `${path}/h2/activate`],
    ['DELETE', `${path}/h1`],
    ['DELETE', `${path}/h2`],
  ] as const) {
    await refused(send(method, where), 409, 'UnsupportedPortDeviceOwner');
  }
  assert.equal((await send('PUT', `/v2.0/ports/${parent['id']}/bindings/h2/activate`)).status, 200);
  assert.equal((await send('GET', `/v2.0/ports/${sub['id']}`)).body['port']?.['binding:host_id'], 'h2');
  await assertInvariants(server);
});

test('where a host cannot carry the port, a binding to it is neither made nor activated', async (t) => {
  const harness = await startHosts(t);
  const { send, create, server } = harness;
  const provider = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
  const host = (name: string, bridgeMappings: object): Promise<Answer> =>
    send('PUT', `/cable/v1/hosts/${name}`, {
      underlay: `192.0.2.${name.slice(1)}`,
      agentVersion: 'test',
      bridgeMappings,
    });
  await host('h1', { physnet1: 'eth1' });
  await host('h2', { physnet1: 'eth1' });
  const network = await create('network', provider);
  const port = await create('port', { network_id: network['id'], ...NOVA });
  const path = `/v2.0/ports/${port['id']}`;
  const bind = (name: string) => send('POST', `${path}/bindings`, { binding: { host: name } });
  assert.match(
    await refused(bind('nohost'), 500, 'PortBindingError'),
    /^Binding for port \S+ on host nohost could not be created or updated\.$/,
  );
  await host('h3', {});
  await refused(bind('h3'), 500, 'PortBindingError');
  assert.equal((await bind('h2')).status, 201);
  // Its wire is taken away between the two.
  await host('h2', {});
  await refused(send('PUT', `${path}/bindings/h2/activate`), 500, 'PortBindingError');
  assert.equal((await send('GET', path)).body['port']?.['binding:host_id'], 'h1');
  await host('h2', { physnet1: 'eth1' });
  assert.equal((await send('PUT', `${path}/bindings/h2/activate`)).status, 200);
  await assertInvariants(server);
});
