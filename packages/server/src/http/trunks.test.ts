import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const HOST = { 'binding:host_id': 'h1' };
const MEMBER = { 'x-project-id': 'p1', 'x-roles': 'member' };

async function portOf({ create }: Harness, attributes: object = {}, network: object = {}): Promise<Json> {
  const { id } = await create('network', network);
  return create('port', { network_id: id, ...attributes });
}

function tagged(port: Json, segmentation_id: number): object {
  return { port_id: port['id'], segmentation_type: 'vlan', segmentation_id };
}

async function shown({ send }: Harness, port: Json): Promise<Json> {
  return (await send('GET', `/v2.0/ports/${port['id']}`)).body['port'] as Json;
}

test('sub-ports are where their parent is, from the beginning, after a move and until they are removed', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const [parent, one, two] = [await portOf(harness, HOST), await portOf(harness), await portOf(harness)];
  const trunk = await create('trunk', { port_id: parent['id'], sub_ports: [tagged(one, 101)], name: 't' });
  assert.deepEqual(trunk['sub_ports'], [tagged(one, 101)]);
  assert.equal(trunk['status'], 'DOWN');
  assert.equal((await shown(harness, one))['device_owner'], 'trunk:subport');
  assert.equal((await shown(harness, one))['binding:host_id'], 'h1');
  const path = `/v2.0/trunks/${trunk['id']}`;
  const added = await send('PUT', `${path}/add_subports`, { sub_ports: [tagged(two, 102)] });
  assert.equal(added.status, 200, JSON.stringify(added.body));
  assert.deepEqual(added.body['sub_ports'], [tagged(one, 101), tagged(two, 102)]);
  assert.equal(added.body['id'], trunk['id']);
  assert.equal(added.body['status'], 'DOWN');
  assert.deepEqual((await send('GET', `${path}/get_subports`)).body, {
    sub_ports: [tagged(one, 101), tagged(two, 102)],
  });
  assert.deepEqual((await shown(harness, parent))['trunk_details'], {
    trunk_id: trunk['id'],
    sub_ports: [
      { ...tagged(one, 101), mac_address: one['mac_address'] },
      { ...tagged(two, 102), mac_address: two['mac_address'] },
    ],
  });
  assert.ok(!('trunk_details' in (await shown(harness, one))));
  await send('PUT', `/v2.0/ports/${parent['id']}`, { port: { 'binding:host_id': 'h2' } });
  for (const port of [one, two]) assert.equal((await shown(harness, port))['binding:host_id'], 'h2');
  await assertInvariants(server);
  const removed = await send('PUT', `${path}/remove_subports`, { sub_ports: [{ port_id: one['id'] }] });
  assert.deepEqual(removed.body['sub_ports'], [tagged(two, 102)]);
  assert.equal((await shown(harness, one))['device_owner'], '');
  assert.equal((await shown(harness, one))['binding:host_id'], '');
  await send('PUT', `/v2.0/ports/${parent['id']}`, { port: { 'binding:host_id': '' } });
  assert.equal((await shown(harness, two))['binding:host_id'], '');
  assert.equal((await send('DELETE', path)).status, 204);
  assert.equal((await shown(harness, two))['device_owner'], '');
  for (const port of [parent, one, two]) assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`)).status, 204);
  await assertInvariants(server);
});

test('what cannot be a part of a trunk is refused in Neutron’s words', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const [parent, one, two] = [await portOf(harness), await portOf(harness), await portOf(harness)];
  const trunk = await create('trunk', { port_id: parent['id'], sub_ports: [tagged(one, 101)] });
  const make = (port: Json, sub_ports: object[] = []): Promise<Answer> =>
    send('POST', '/v2.0/trunks', { trunk: { port_id: port['id'], sub_ports } });
  const path = `/v2.0/trunks/${trunk['id']}`;
  const add = (...sub_ports: object[]): Promise<Answer> => send('PUT', `${path}/add_subports`, { sub_ports });
  await refused(make(parent), 409, 'ParentPortInUse');
  await refused(make(one), 409, 'TrunkPortInUse');
  await refused(make(two, [tagged(two, 1)]), 409, 'ParentPortInUse');
  await refused(make(two, [tagged(parent, 1)]), 409, 'ParentPortInUse');
  await refused(make(two, [tagged(one, 1)]), 409, 'TrunkPortInUse');
  await refused(make({ id: randomUUID() } as unknown as Json), 404, 'PortNotFound');
  await refused(add(tagged(two, 101)), 409, 'DuplicateSubPort');
  await refused(add(tagged(one, 102)), 409, 'TrunkPortInUse');
  await refused(add(tagged(two, 102), tagged(two, 103)), 400, 'HTTPBadRequest');
  await refused(add(tagged(two, 102), tagged(await portOf(harness), 102)), 400, 'HTTPBadRequest');
  await refused(add(tagged(await portOf(harness, { device_id: 'vm' }), 102)), 409, 'PortInUse');
  const narrow = await portOf(harness, {}, { mtu: 1400 });
  await refused(make(narrow, [tagged(two, 102)]), 409, 'SubPortMtuGreaterThanTrunkPortMtu');
  for (const wrong of [{ segmentation_id: 0 }, { segmentation_id: 4095 }, { segmentation_type: 'gre' }]) {
    await refused(add({ ...tagged(two, 102), ...wrong }), 400, 'HTTPBadRequest');
  }
  await refused(add({ port_id: two['id'] }), 400, 'HTTPBadRequest');
  await refused(send('PUT', `${path}/add_subports`, {}), 400, 'HTTPBadRequest');
  await refused(
    send('PUT', `${path}/remove_subports`, { sub_ports: [{ port_id: two['id'] }] }),
    404,
    'SubPortNotFound',
  );
  await refused(send('PUT', path, { trunk: { sub_ports: [] } }), 400, 'HTTPBadRequest');
  await send('PUT', path, { trunk: { admin_state_up: false } });
  await refused(add(tagged(two, 102)), 409, 'TrunkDisabled');
  await refused(send('DELETE', path), 409, 'TrunkDisabled');
});

test('a part of a trunk is neither deleted, nor moved alone, nor made a router’s leg', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const subnet = async (port: Json): Promise<Json> =>
    create('subnet', { network_id: port['network_id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const [first, second] = [await portOf(harness), await portOf(harness)];
  const ports = [];
  for (const port of [first, second]) {
    await subnet(port);
    ports.push(await create('port', { network_id: port['network_id'] }));
  }
  const [parent, one] = ports as [Json, Json];
  await create('trunk', { port_id: parent['id'], sub_ports: [tagged(one, 7)] });
  await refused(send('DELETE', `/v2.0/ports/${parent['id']}`), 409, 'PortInUseAsTrunkParent');
  await refused(send('DELETE', `/v2.0/ports/${one['id']}`), 409, 'PortInUseAsSubPort');
  for (const change of [{ 'binding:host_id': 'h2' }, { device_owner: 'compute:nova' }]) {
    await refused(send('PUT', `/v2.0/ports/${one['id']}`, { port: change }), 409, 'PortInUseAsSubPort');
  }
  const same = { port: { 'binding:host_id': '', name: 'new' } };
  assert.equal((await send('PUT', `/v2.0/ports/${one['id']}`, same)).status, 200);
  const router = await create('router', {});
  const leg = (port: Json): Promise<Answer> =>
    send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { port_id: port['id'] });
  await refused(leg(one), 409, 'PortInUseAsSubPort');
  await refused(leg(parent), 409, 'PortInUseAsTrunkParent');
});

test('a project makes trunks of its own ports only, as many as its quota says', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const network = await create('network', { shared: true });
  const port = (headers: Record<string, string>): Promise<Json> =>
    create('port', { network_id: network['id'] }, headers);
  const [parent, own, foreign] = [await port(MEMBER), await port(MEMBER), await port({ 'x-project-id': 'p2' })];
  const trunk = (body: object): Promise<Answer> => send('POST', '/v2.0/trunks', { trunk: body }, MEMBER);
  await refused(trunk({ port_id: foreign['id'] }), 404, 'PortNotFound');
  await refused(trunk({ port_id: parent['id'], sub_ports: [tagged(foreign, 1)] }), 404, 'PortNotFound');
  await send('PUT', '/v2.0/quotas/p1', { quota: { trunk: 1 } });
  const made = await trunk({ port_id: parent['id'] });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  await refused(trunk({ port_id: own['id'] }), 409, 'OverQuota');
  const path = `/v2.0/trunks/${made.body['trunk']?.['id']}`;
  const add = (one: Json): Promise<Answer> =>
    send('PUT', `${path}/add_subports`, { sub_ports: [tagged(one, 1)] }, MEMBER);
  await refused(add(foreign), 404, 'PortNotFound');
  assert.equal((await add(own)).status, 200);
  await refused(send('GET', path, undefined, { ...MEMBER, 'x-project-id': 'p2' }), 404, 'TrunkNotFound');
});
