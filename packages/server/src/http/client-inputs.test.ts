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
