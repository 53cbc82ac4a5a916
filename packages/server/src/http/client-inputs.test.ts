/**
 * What Heat, Horizon, OpenStack's SDK and others send, or may: found by reading them, and by sending each request to a neutron-server 21 as well.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

type World = Harness & { readonly network: Json; readonly subnet: Json; readonly portIn: () => Promise<Json> };

async function startWorld(t: Parameters<typeof startHarness>[0]): Promise<World> {
  const harness = await startHarness(t);
  const network = await harness.create('network', {});
  const subnet = await harness.create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  return { ...harness, network, subnet, portIn: () => harness.create('port', { network_id: network['id'] }) };
}

test('what actions are given besides what Neutron looks at is left out', async (t) => {
  const { create, send, subnet, portIn } = await startWorld(t);
  const router = await create('router', {});
  const given = { subnet_id: subnet['id'], name: 'x', tenant_id: null };
  const leg = (action: string, body: object) => send('PUT', `/v2.0/routers/${router['id']}/${action}`, body);
  const added = await leg('add_router_interface', given);
  assert.equal(added.status, 200, JSON.stringify(added.body));
  await refused(leg('add_router_interface', { name: 'x' }), 400, 'BadRequest');
  assert.equal((await leg('remove_router_interface', given)).status, 200);
  const port = await portIn();
  const tags = `/v2.0/ports/${port['id']}/tags`;
  assert.deepEqual((await send('PUT', tags, { tags: ['a'], port: {} })).body, { tags: ['a'] });
  await refused(send('PUT', tags, { port: {} }), 400, 'InvalidInput');
  await send('POST', tags, { tags: ['b'], port: {} });
  assert.deepEqual((await send('GET', tags)).body, { tags: ['a', 'b'] });
  const addresses = await create('address_group', { name: 'x' });
  const pool = await create('subnetpool', { name: 'x', prefixes: ['10.1.0.0/16'], default_prefixlen: 24 });
  for (const [path, body] of [
    [`routers/${router['id']}/add_extraroutes`, { router: { routes: [], name: 'x' } }],
    [`routers/${router['id']}/remove_extraroutes`, { router: { routes: [], name: 'x' } }],
    [`address-groups/${addresses['id']}/add_addresses`, { addresses: ['10.0.0.0/24'], name: 'x' }],
    [`address-groups/${addresses['id']}/remove_addresses`, { addresses: ['10.0.0.0/24'], name: 'x' }],
    [`subnetpools/${pool['id']}/add_prefixes`, { prefixes: ['10.2.0.0/16'], name: 'x' }],
    [`subnetpools/${pool['id']}/remove_prefixes`, { prefixes: ['10.2.0.0/16'], name: 'x' }],
  ] as const) {
    const answer = await send('PUT', `/v2.0/${path}`, body);
    assert.equal(answer.status, 200, `${path}: ${JSON.stringify(answer.body)}`);
  }
});

test('a sub-port may be given with more than Neutron knows of it', async (t) => {
  const { create, send, portIn } = await startWorld(t);
  const [parent, one, two] = [await portIn(), await portIn(), await portIn()];
  const tagged = (port: Json, tag: number) => ({
    port_id: port['id'],
    segmentation_type: 'vlan',
    segmentation_id: tag,
  });
  const trunk = await create('trunk', { port_id: parent['id'], sub_ports: [{ ...tagged(one, 7), mac_address: null }] });
  assert.deepEqual(trunk['sub_ports'], [tagged(one, 7)]);
  const change = (action: string) =>
    send('PUT', `/v2.0/trunks/${trunk['id']}/${action}`, { sub_ports: [{ ...tagged(two, 8), port: null }] });
  assert.deepEqual((await change('add_subports')).body['sub_ports'], [tagged(one, 7), tagged(two, 8)]);
  assert.deepEqual((await change('remove_subports')).body['sub_ports'], [tagged(one, 7)]);
});

test('null as security groups of a port is none of them, of a new one too', async (t) => {
  const { create, send, network } = await startWorld(t);
  const port = await create('port', { network_id: network['id'], security_groups: null });
  assert.deepEqual(port['security_groups'], []);
  const group = await create('security_group', {});
  await send('PUT', `/v2.0/ports/${port['id']}`, { port: { security_groups: [group['id']] } });
  const change = { port: { security_groups: null } };
  const changed = await send('PUT', `/v2.0/ports/${port['id']}`, change);
  assert.deepEqual(changed.body['port']?.['security_groups'], []);
});

test('an empty prefix of a rule is none, and so is an empty gateway of a router', async (t) => {
  const { create, send, network, subnet } = await startWorld(t);
  const group = await create('security_group', {});
  const inward = { security_group_id: group['id'], direction: 'ingress' };
  const rule = await create('security_group_rule', { ...inward, remote_ip_prefix: '' });
  assert.equal(rule['remote_ip_prefix'], null);
  await create('security_group_rule', { ...inward, remote_ip_prefix: '', remote_group_id: group['id'] });
  await refused(
    send('POST', '/v2.0/security-group-rules', { security_group_rule: { ...inward, remote_ip_prefix: ' ' } }),
    400,
    'InvalidCIDR',
  );
  await send('PUT', `/v2.0/networks/${network['id']}`, { network: { 'router:external': true } });
  const gateway = { network_id: network['id'], external_fixed_ips: [{ subnet_id: subnet['id'] }] };
  const router = await create('router', { external_gateway_info: gateway });
  const cleared = await send('PUT', `/v2.0/routers/${router['id']}`, { router: { external_gateway_info: '' } });
  assert.equal(cleared.body['router']?.['external_gateway_info'], null, JSON.stringify(cleared.body));
});

test('the path of an object may say the format of the answer', async (t) => {
  const { send, network } = await startWorld(t);
  const path = `/v2.0/networks/${network['id']}`;
  assert.deepEqual((await send('GET', `${path}.json?fields=id`)).body, { network: { id: network['id'] } });
  assert.equal((await send('GET', `${path}/tags.json`)).status, 200);
  await refused(send('GET', '/v2.0/networks/x.json'), 404, 'NetworkNotFound');
});

test('of If-Match the revision number alone counts, quoted or not', async (t) => {
  const { send, network } = await startWorld(t);
  const put = (match: string) =>
    send('PUT', `/v2.0/networks/${network['id']}`, { network: { description: match } }, { 'if-match': match });
  for (const other of ['*', '"33a64df5"', 'W/"x", "y"']) assert.equal((await put(other)).status, 200, other);
  const shown = await send('GET', `/v2.0/networks/${network['id']}`);
  const now = shown.body['network']?.['revision_number'];
  assert.equal((await put(`"x", "revision_number=${now}"`)).status, 200);
  await refused(put(`"revision_number=${now}"`), 412, 'RevisionNumberConstraintFailed');
  for (const wrong of ['revision_number=x', '"revision_number=1", "revision_number=2"'])
    await refused(put(wrong), 400, 'BadRequest');
});

test('a port’s binding may be prepared with null as its profile', async (t) => {
  const { create, send, network } = await startWorld(t);
  const bound = { device_owner: 'compute:nova', 'binding:host_id': 'h1', 'binding:profile': { a: 1 } };
  const port = await create('port', { network_id: network['id'], ...bound });
  const path = `/v2.0/ports/${port['id']}/bindings`;
  await send('PUT', '/cable/v1/hosts/h2', { underlay: '192.0.2.2', agentVersion: 'test' });
  const made = await send('POST', path, { binding: { host: 'h2', profile: null, vnic_type: 'normal' } });
  assert.deepEqual(made.body['binding']?.['profile'], {}, JSON.stringify(made.body));
  for (const host of ['h1', 'h2']) {
    const changed = await send('PUT', `${path}/${host}`, { binding: { profile: null } });
    assert.deepEqual(changed.body['binding']?.['profile'], {}, JSON.stringify(changed.body));
  }
});

test('an address that no subnet of the network has for ports is none of the network, as Nova expects', async (t) => {
  const { send, network, subnet } = await startWorld(t);
  for (const address of ['10.0.0.0', '10.0.0.255', '10.0.1.1']) {
    const post = (fixed: object) =>
      send('POST', '/v2.0/ports', { port: { network_id: network['id'], fixed_ips: [fixed] } });
    await refused(post({ ip_address: address }), 400, 'InvalidIpForNetwork');
    await refused(post({ ip_address: address, subnet_id: subnet['id'] }), 400, 'InvalidIpForSubnet');
  }
});

test('a floating IP for which null is given as address and subnet has any free one', async (t) => {
  const { create, send, network } = await startWorld(t);
  await send('PUT', `/v2.0/networks/${network['id']}`, { network: { 'router:external': true } });
  const given = { floating_network_id: network['id'], floating_ip_address: null, subnet_id: null };
  const asMember = { 'x-project-id': 'b'.repeat(32), 'x-roles': 'member,reader' };
  for (const headers of [{}, asMember]) {
    const floating = await create('floatingip', { ...given, port_id: null, fixed_ip_address: null }, headers);
    assert.match(String(floating['floating_ip_address']), /^10\.0\.0\./);
  }
});
