import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

type Segment = { readonly type?: string; readonly physical?: string | null; readonly id?: number | null };

function given({ type, physical, id }: Segment): object {
  return {
    ...(type === undefined ? {} : { 'provider:network_type': type }),
    ...(physical === undefined ? {} : { 'provider:physical_network': physical }),
    ...(id === undefined ? {} : { 'provider:segmentation_id': id }),
  };
}

function shown(network: Json): readonly unknown[] {
  return [
    network['provider:network_type'],
    network['provider:physical_network'],
    network['provider:segmentation_id'],
    network['mtu'],
  ];
}

const post = ({ send }: Harness, segment: Segment, headers?: Record<string, string>) =>
  send('POST', '/v2.0/networks', { network: given(segment) }, headers);

test('networks are tunnelled, or on a physical network with a VLAN or without one', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  const vlan = await create('network', given({ type: 'vlan', physical: 'physnet1', id: 100 }));
  assert.deepEqual(
    shown(vlan),
    ['vlan', 'physnet1', 100, 1500],
    'what a physical network carries has no tunnel header',
  );
  const flat = await create('network', given({ type: 'flat', physical: 'physnet1' }));
  assert.deepEqual(shown(flat), ['flat', 'physnet1', null, 1500]);
  const tunnelled = await create('network', given({ type: 'vxlan', id: 100 }));
  assert.deepEqual(shown(tunnelled), ['vxlan', null, 100, 1450], 'VLAN 100 is not VNI 100');
  assert.deepEqual(shown(await create('network', given({ type: 'vlan', physical: 'physnet2', id: 100 }))), [
    ...['vlan', 'physnet2', 100, 1500],
  ]);
  const on = await send('GET', '/v2.0/networks?provider:physical_network=physnet1');
  assert.equal(on.body['networks']?.length, 2);
  await refused(post(harness, { type: 'vlan', physical: 'physnet1', id: 100 }), 409, 'VlanIdInUse');
  await refused(post(harness, { type: 'flat', physical: 'physnet1' }), 409, 'FlatNetworkInUse');
  await refused(post(harness, { id: 100 }), 409, 'TunnelIdInUse');
  await assertInvariants(server);
  for (const { id } of [vlan, flat, tunnelled] as unknown as { id: string }[]) {
    assert.equal((await send('DELETE', `/v2.0/networks/${id}`)).status, 204);
  }
  await create('network', given({ type: 'vlan', physical: 'physnet1', id: 100 }));
  await create('network', given({ type: 'flat', physical: 'physnet1' }));
  await assertInvariants(server);
});

test('a segment that does not fit its type is refused, and tells what is wrong', async (t) => {
  const harness = await startHarness(t);
  const wrong = (segment: Segment): Promise<string> => refused(post(harness, segment), 400, 'InvalidInput');
  assert.match(await wrong({ type: 'flat' }), /physical_network required for flat/);
  assert.match(await wrong({ type: 'vlan', id: 5 }), /segmentation_id requires physical_network/);
  assert.match(await wrong({ type: 'vlan', physical: 'p' }), /physical network p requires that segmentation_id/);
  assert.match(await wrong({ type: 'vlan', physical: 'p', id: 4095 }), /1 through 4094/);
  assert.match(await wrong({ type: 'flat', physical: 'p', id: 5 }), /segmentation_id prohibited/);
  assert.match(await wrong({ physical: 'p' }), /physical_network specified for vxlan/);
  assert.match(await wrong({ type: 'gre' }), /network_type value 'gre' not supported/);
  for (const bad of [
    { type: 'vlan', physical: '', id: 1 },
    { type: 'vlan', physical: 'p', id: 0 },
  ]) {
    await refused(post(harness, bad), 400, 'HTTPBadRequest');
  }
  const big = { network: { ...given({ type: 'flat', physical: 'p' }), mtu: 1501 } };
  assert.match(await refused(harness.send('POST', '/v2.0/networks', big), 400, 'InvalidInput'), /maximum is 1500/);
});

test('only admins choose and see the segment of a network', async (t) => {
  const harness = await startHarness(t);
  const member = { 'x-project-id': 'p1', 'x-roles': 'member' };
  await refused(post(harness, { type: 'flat', physical: 'physnet1' }, member), 403, 'PolicyNotAuthorized');
  await refused(post(harness, { type: 'vlan', physical: 'physnet1', id: 5 }, member), 403, 'PolicyNotAuthorized');
  const own = await harness.create('network', {}, member);
  assert.deepEqual(shown(own), [undefined, undefined, undefined, 1450]);
});

test('of two requests for one segment at once one is refused', async (t) => {
  const harness = await startHarness(t);
  const segment = { type: 'vlan', physical: 'physnet1', id: 7 };
  const answers = await Promise.all([1, 2, 3, 4].map(() => post(harness, segment)));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409, 409]);
  await assertInvariants(harness.server);
});

test('a port binds only to a host that is on the physical network', async (t) => {
  const { server, send, create } = await startHarness(t);
  await server.plane.register('h1', { underlay: '192.0.2.1', agentVersion: '1', bridgeMappings: { physnet1: 'eth1' } });
  await server.plane.register('h2', { underlay: '192.0.2.2', agentVersion: '1' });
  const network = await create('network', given({ type: 'flat', physical: 'physnet1' }));
  const typeOn = async (host: string) =>
    (await create('port', { network_id: network['id'], 'binding:host_id': host }))['binding:vif_type'];
  assert.deepEqual([await typeOn('h1'), await typeOn('h2')], ['tap', 'binding_failed']);
  const [port] = (await send('GET', '/v2.0/ports?binding:host_id=h2')).body['ports'] ?? [];
  await server.plane.register('h2', { underlay: '192.0.2.2', agentVersion: '1', bridgeMappings: { physnet1: 'eth9' } });
  const later = (await send('GET', `/v2.0/ports/${port?.['id']}`)).body['port'];
  assert.equal(later?.['binding:vif_type'], 'tap');
});

test('a host tells on which physical networks it is', async (t) => {
  const { server, send } = await startHarness(t);
  const agent = { underlay: '192.0.2.1', agentVersion: '1' };
  const mappings = async () => (await send('GET', '/cable/v1/hosts/h1')).body['host']?.['bridge_mappings'];
  await server.plane.register('h1', agent);
  assert.deepEqual(await mappings(), {});
  await server.plane.register('h1', { ...agent, bridgeMappings: { physnet1: 'eth1' } });
  assert.deepEqual(await mappings(), { physnet1: 'eth1' });
  const [listed] = (await send('GET', '/v2.0/agents')).body['agents'] ?? [];
  assert.deepEqual(listed?.['configurations']?.['bridge_mappings'], { physnet1: 'eth1' });
  const put = (bridgeMappings: unknown) => send('PUT', '/cable/v1/hosts/h1', { ...agent, bridgeMappings });
  for (const bad of [{ p: '' }, { p: 7 }, ['p'], { '': 'eth1' }, { p: 'x'.repeat(16) }]) {
    assert.match(await refused(put(bad), 400, 'InvalidInput'), /bridgeMappings/);
  }
});
