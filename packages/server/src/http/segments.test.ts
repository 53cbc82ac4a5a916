/** Neutron's segments, of which a network has one, and networks that are given as a list of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Json, refused, startHarness } from '../testing/harness.ts';

const PATH = '/v2.0/segments';
const MEMBER = { 'x-project-id': 'p1', 'x-roles': 'member' };

const vlan = (id: number) => ({
  'provider:network_type': 'vlan',
  'provider:physical_network': 'physnet1',
  'provider:segmentation_id': id,
});

test('each network has a segment, which lists find by what it says, and which goes with the network', async (t) => {
  const { send, create } = await startHarness(t);
  const tagged = await create('network', vlan(100));
  const tunnelled = await create('network', { 'provider:segmentation_id': 4242 });
  const list = async (query: string, headers?: Record<string, string>): Promise<readonly Json[]> =>
    (await send('GET', `${PATH}?${query}`, undefined, headers)).body['segments'] ?? [];
  const [segment] = await list(`network_id=${tagged['id']}`);
  const { id, ...rest } = segment as Json;
  assert.deepEqual(rest, {
    ...{ name: null, description: null, network_id: tagged['id'] },
    ...{ network_type: 'vlan', physical_network: 'physnet1', segmentation_id: 100 },
    ...{ created_at: tagged['created_at'], updated_at: tagged['updated_at'], revision_number: 1 },
  });
  assert.deepEqual((await send('GET', `${PATH}/${id}`)).body['segment'], segment);
  assert.deepEqual(await list(`id=${id}`), [segment]);
  assert.deepEqual(await list(`id=${id}&id=${id}`), [segment]);
  assert.deepEqual(await list(`network_id=${tagged['id']}&network_id=${tagged['id']}&name=`), [segment]);
  assert.deepEqual(await list(`network_id=${tunnelled['id']}&id=${id}`), []);
  const types = async (query: string) => (await list(query)).map(({ network_type: type }) => String(type));
  assert.deepEqual(await types('sort_key=segmentation_id&sort_dir=desc'), ['vxlan', 'vlan']);
  assert.deepEqual(await types('physical_network=physnet1'), ['vlan']);
  assert.deepEqual(await types('network_type=vxlan'), ['vxlan']);
  await refused(send('GET', `${PATH}?segmentation_id=100`), 400, 'HTTPBadRequest');
  assert.deepEqual(await list('', MEMBER), []);
  await refused(send('GET', `${PATH}/${id}`, undefined, MEMBER), 404, 'SegmentNotFound');
  assert.equal((await send('DELETE', `/v2.0/networks/${tagged['id']}`)).status, 204);
  await refused(send('GET', `${PATH}/${id}`), 404, 'SegmentNotFound');
  assert.deepEqual(await types(''), ['vxlan']);
  assert.equal(tunnelled['l2_adjacency'], true);
});

test('a segment has a name and a description of its own, and is neither made nor deleted alone', async (t) => {
  const { send, create, server } = await startHarness(t);
  const network = await create('network', { name: 'n', description: 'd' });
  const [segment] = (await send('GET', PATH)).body['segments'] ?? [];
  const path = `${PATH}/${segment?.['id']}`;
  const put = (change: object, headers?: Record<string, string>) => send('PUT', path, { segment: change }, headers);
  assert.equal((await put({ name: 'rack 7' })).body['segment']?.['name'], 'rack 7');
  const { body } = await put({ description: 'by the door' });
  assert.deepEqual([body['segment']?.['name'], body['segment']?.['description']], ['rack 7', 'by the door']);
  assert.deepEqual((await send('GET', `${PATH}?name=rack 7`)).body['segments'], [body['segment']]);
  const shown = (await send('GET', `/v2.0/networks/${network['id']}`)).body['network'];
  for (const name of ['created_at', 'updated_at', 'revision_number'])
    assert.deepEqual(body['segment']?.[name], shown?.[name]);
  assert.notEqual(body['segment']?.['revision_number'], segment?.['revision_number']);
  assert.deepEqual([shown?.['name'], shown?.['description']], ['n', 'd']);
  assert.ok(!('segment' in (shown ?? {})) && !('_segment_texts' in (shown ?? {})));
  await refused(put({ name: 'x' }, MEMBER), 404, 'SegmentNotFound');
  await refused(put({ network_type: 'vlan' }), 400, 'HTTPBadRequest');
  await refused(send('DELETE', path), 409, 'SegmentInUse');
  const second = { network_id: network['id'], network_type: 'vlan', physical_network: 'p', segmentation_id: 5 };
  assert.match(await refused(send('POST', PATH, { segment: second }), 400, 'HTTPBadRequest'), /no network has several/);
  await refused(send('POST', PATH, { segment: second }, MEMBER), 403, 'PolicyNotAuthorized');
  const nowhere = { ...second, network_id: '11111111-2222-4333-8444-555555555555' };
  await refused(send('POST', PATH, { segment: nowhere }), 404, 'NetworkNotFound');
  await assertInvariants(server);
});

test('a network may be given as a list of one segment, and not of several', async (t) => {
  const { send, create } = await startHarness(t);
  const post = (network: object, headers?: Record<string, string>) =>
    send('POST', '/v2.0/networks', { network }, headers);
  const network = await create('network', { segments: [vlan(7)] });
  assert.deepEqual(
    [network['provider:network_type'], network['provider:physical_network'], network['provider:segmentation_id']],
    ['vlan', 'physnet1', 7],
  );
  assert.equal(network['segments'], undefined, 'as Neutron shows a network of one segment');
  const free = await create('network', {
    segments: [{ 'provider:network_type': 'vxlan', 'provider:physical_network': '' }],
  });
  assert.equal(free['provider:network_type'], 'vxlan');
  assert.equal((await create('network', { segments: [] }))['provider:network_type'], 'vxlan');
  const cases: readonly (readonly [object, number, string])[] = [
    [{ segments: [vlan(8), vlan(9)] }, 400, 'InvalidInput'],
    [{ segments: [vlan(8)], ...vlan(8) }, 400, 'SegmentsSetInConjunctionWithProviders'],
    [{ segments: [vlan(7)] }, 409, 'VlanIdInUse'],
    [{ segments: [{ 'provider:network_type': 'gre' }] }, 400, 'HTTPBadRequest'],
    [{ segments: [{ ...vlan(8), other: 1 }] }, 400, 'HTTPBadRequest'],
    [{ segments: [vlan(5000)] }, 400, 'InvalidInput'],
    [{ segments: 'vlan' }, 400, 'HTTPBadRequest'],
  ];
  for (const [given, status, type] of cases) await refused(post(given), status, type);
  const { body } = await post({ segments: [vlan(8), vlan(9)] });
  assert.match(String(body['NeutronError']?.['detail']), /connect them by a router/);
  await refused(post({ segments: [vlan(8)] }, MEMBER), 403, 'PolicyNotAuthorized');
});

test('an update may say how a network is carried, and not otherwise than it is', async (t) => {
  const { send, create } = await startHarness(t);
  const tagged = await create('network', vlan(7));
  const tunnelled = await create('network', {});
  const put = ({ id }: Json, network: object, headers?: Record<string, string>) =>
    send('PUT', `/v2.0/networks/${id}`, { network }, headers);
  for (const same of [
    vlan(7),
    { 'provider:network_type': 'vlan', name: 'x' },
    { 'provider:physical_network': null },
    { segments: [vlan(7)] },
    { segments: [] },
  ]) {
    const { status, body } = await put(tagged, same);
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body['network']?.['provider:physical_network'], 'physnet1');
    assert.equal(body['network']?.['segments'], undefined);
  }
  assert.equal((await put(tunnelled, { 'provider:network_type': 'vxlan' })).status, 200);
  const cases: readonly (readonly [Json, object, RegExp])[] = [
    [tagged, { 'provider:network_type': 'flat' }, /does not support updating/],
    [tagged, { 'provider:physical_network': 'physnet2' }, /does not support updating/],
    [tagged, { 'provider:segmentation_id': 8 }, /does not support updating/],
    [tagged, { segments: [vlan(8)] }, /does not change/],
    [tunnelled, { 'provider:segmentation_id': tunnelled['provider:segmentation_id'] }, /Only VLAN type networks/],
  ];
  for (const [network, given, text] of cases)
    assert.match(await refused(put(network, given), 400, 'InvalidInput'), text);
  const own = await create('network', {}, MEMBER);
  await refused(put(own, { 'provider:network_type': 'vxlan' }, MEMBER), 403, 'PolicyNotAuthorized');
});

test('a subnet is of the whole network: a segment is refused, with what to do', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const [segment] = (await send('GET', PATH)).body['segments'] ?? [];
  const subnet = { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 };
  const post = (more: object) => send('POST', '/v2.0/subnets', { subnet: { ...subnet, ...more } });
  const { body } = await post({ segment_id: segment?.['id'] });
  assert.equal(body['NeutronError']?.['type'], 'HTTPBadRequest');
  assert.match(String(body['NeutronError']?.['detail']), /Leave segment_id out/);
  await refused(post({ segment_id: network['id'] }), 404, 'SegmentNotFound');
  assert.equal((await post({ segment_id: null })).body['subnet']?.['segment_id'], null);
  const path = `/v2.0/subnets?network_id=${network['id']}&fields=segment_id`;
  assert.deepEqual((await send('GET', path)).body['subnets'], [{ segment_id: null }], 'as Nova asks');
});
