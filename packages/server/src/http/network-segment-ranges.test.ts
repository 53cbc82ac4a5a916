/** Neutron's network segment ranges: of which VNIs and VLANs those of new networks are chosen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DefaultRanges } from '../engine/context.ts';
import {
  assertInvariants,
  type Harness,
  harnessOf,
  type Json,
  refused,
  startHarness,
  startTestServer,
} from '../testing/harness.ts';
import { lateStore } from '../testing/late-store.ts';

const PATH = '/v2.0/network_segment_ranges';
const TYPE = 'network_segment_range';

const VNIS = { type: 'vxlan', physical: null, minimum: 1, maximum: 2000 } as const;
const VLANS = { type: 'vlan', physical: 'physnet1', minimum: 100, maximum: 103 } as const;

const numberOf = (network: Json): number => Number(network['provider:segmentation_id']);

const vlan = (more: object = {}) => ({
  'provider:network_type': 'vlan',
  'provider:physical_network': 'physnet1',
  ...more,
});

async function list({ send }: Pick<Harness, 'send'>, query = ''): Promise<readonly Json[]> {
  return (await send('GET', `${PATH}${query}`)).body['network_segment_ranges'] ?? [];
}

test('the ranges of the options are there, of all projects, and nobody changes or deletes them', async (t) => {
  const segmentRanges: DefaultRanges = [VNIS, VLANS];
  const harness = await startHarness(t, { segmentRanges });
  const { send, create } = harness;
  const shown = (await list(harness, '?network_type=vlan'))[0] as Json;
  assert.deepEqual(
    ['default', 'shared', 'project_id', 'physical_network', 'minimum', 'maximum', 'used', 'available'].map(
      (name) => shown[name],
    ),
    [true, true, null, 'physnet1', 100, 103, {}, [100, 101, 102, 103]],
  );
  const path = `${PATH}/${shown['id']}`;
  await refused(send('PUT', path, { [TYPE]: { name: 'x' } }), 400, 'NetworkSegmentRangeDefaultReadOnly');
  await refused(send('DELETE', path), 400, 'NetworkSegmentRangeDefaultReadOnly');
  for (const role of ['member', 'reader']) {
    const headers = { 'x-project-id': 'p', 'x-roles': role };
    await refused(send('GET', path, undefined, headers), 404, 'NetworkSegmentRangeNotFound');
    const range = { network_type: 'vxlan', minimum: 5, maximum: 6 };
    await refused(send('POST', PATH, { [TYPE]: range }, headers), 403, 'PolicyNotAuthorized');
  }
  const numbers = await Promise.all(Array.from({ length: 4 }, () => create('network', vlan())));
  assert.deepEqual(numbers.map(numberOf).sort(), [100, 101, 102, 103]);
  await refused(send('POST', '/v2.0/networks', { network: vlan() }), 503, 'NoNetworkAvailable');
  const full = (await list(harness, '?physical_network=physnet1'))[0] as Json;
  assert.deepEqual([Object.keys(full['used'] ?? {}), full['available']], [['100', '101', '102', '103'], []]);
  const vni = numberOf(await create('network', {}));
  assert.ok(vni >= 1 && vni <= 2000, String(vni));
  assert.equal(
    numberOf(await create('network', { 'provider:segmentation_id': 5000 })),
    5000,
    'an administrator may name any',
  );
});

test('a project’s networks have numbers of its own ranges first, then of those that all share, and never another’s', async (t) => {
  const harness = await startHarness(t, { segmentRanges: [{ ...VNIS, minimum: 1, maximum: 8 }] });
  const { create, send } = harness;
  const own = { network_type: 'vxlan', shared: false, minimum: 1, maximum: 3 };
  const range = await create(TYPE, { ...own, project_id: 'a', physical_network: '' });
  assert.deepEqual([range['project_id'], range['physical_network'], range['default']], ['a', null, false]);
  const make = async (project: string, count: number): Promise<readonly number[]> => {
    const made: number[] = [];
    for (let n = 0; n < count; n += 1) made.push(numberOf(await create('network', { project_id: project })));
    return made.sort();
  };
  const ofB = await make('b', 2);
  assert.ok(
    ofB.every((id) => id > 3),
    ofB.join(),
  );
  assert.deepEqual(await make('a', 3), [1, 2, 3]);
  const more = await make('a', 2);
  assert.ok(
    more.every((id) => id > 3),
    more.join(),
  );
  await make('b', 1);
  await refused(send('POST', '/v2.0/networks', { network: { project_id: 'b' } }), 503, 'NoNetworkAvailable');
  const shown = (await list(harness, `?id=${range['id']}`))[0] as Json;
  assert.deepEqual([shown['used'], shown['available']], [{ '1': 'a', '2': 'a', '3': 'a' }, []]);
  await create(TYPE, { network_type: 'vxlan', minimum: 20, maximum: 20 });
  assert.deepEqual(await make('b', 1), [20], 'a range that is added is for all');
});

test('what is no range is refused, and ranges of administrators have no number in common', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const first = await create(TYPE, { network_type: 'vxlan', minimum: 100, maximum: 199 });
  await create(TYPE, { network_type: 'vlan', physical_network: 'p', minimum: 100, maximum: 199 });
  await create(TYPE, { network_type: 'vlan', physical_network: 'q', minimum: 100, maximum: 199 });
  const later = await create(TYPE, { network_type: 'vxlan', minimum: 300, maximum: 399 });
  const cases: readonly (readonly [object, number, string])[] = [
    [{ network_type: 'vxlan', minimum: 199, maximum: 250 }, 409, 'NetworkSegmentRangeOverlaps'],
    [{ network_type: 'vxlan', minimum: 1, maximum: 1000 }, 409, 'NetworkSegmentRangeOverlaps'],
    [{ network_type: 'vlan', physical_network: 'p', minimum: 150, maximum: 150 }, 409, 'NetworkSegmentRangeOverlaps'],
    [{ network_type: 'gre', minimum: 1, maximum: 2 }, 400, 'NetworkSegmentRangeNetTypeNotSupported'],
    [{ network_type: 'geneve', minimum: 1, maximum: 2 }, 400, 'NetworkSegmentRangeNetTypeNotSupported'],
    [{ network_type: 'flat', minimum: 1, maximum: 2 }, 400, 'HTTPBadRequest'],
    [{ minimum: 1, maximum: 2 }, 400, 'HTTPBadRequest'],
    [{ network_type: 'vxlan', minimum: 1 }, 400, 'HTTPBadRequest'],
    [{ network_type: 'vxlan', minimum: 0, maximum: 2 }, 400, 'HTTPBadRequest'],
    [{ network_type: 'vxlan', minimum: 9, maximum: 8 }, 400, 'NetworkTunnelRangeError'],
    [{ network_type: 'vxlan', minimum: 1, maximum: 16777216 }, 400, 'NetworkTunnelRangeError'],
    [{ network_type: 'vlan', minimum: 1, maximum: 2 }, 400, 'HTTPBadRequest'],
    [{ network_type: 'vlan', physical_network: '', minimum: 1, maximum: 2 }, 400, 'HTTPBadRequest'],
    [{ network_type: 'vlan', physical_network: 'p', minimum: 1, maximum: 4095 }, 400, 'NetworkVlanRangeError'],
    [{ network_type: 'vlan', physical_network: 'p', minimum: 9, maximum: 8 }, 400, 'NetworkVlanRangeError'],
  ];
  for (const [range, status, type] of cases) await refused(send('POST', PATH, { [TYPE]: range }), status, type);
  const message = await refused(
    send('POST', PATH, { [TYPE]: { network_type: 'vxlan', minimum: 150, maximum: 350 } }),
    409,
    'NetworkSegmentRangeOverlaps',
  );
  assert.ok(
    [first, later].every(({ id }) => message.includes(String(id))),
    message,
  );
  const wider = { [TYPE]: { minimum: 150 } };
  await refused(send('PUT', `${PATH}/${later['id']}`, wider), 409, 'NetworkSegmentRangeOverlaps');
  const bulk = [1, 2].map((at) => ({ network_type: 'vxlan', minimum: 500 + at, maximum: 502 }));
  await refused(send('POST', PATH, { [`${TYPE}s`]: bulk }), 409, 'NetworkSegmentRangeOverlaps');
});

test('a range that networks have numbers of is not deleted, nor cut down to where they are', async (t) => {
  const { create, send } = await startHarness(t);
  const range = await create(TYPE, { network_type: 'vxlan', minimum: 100, maximum: 110 });
  const path = `${PATH}/${range['id']}`;
  const put = (change: object) => send('PUT', path, { [TYPE]: change });
  assert.equal((await put({ minimum: 90, maximum: 120, name: 'wide' })).status, 200);
  const network = await create('network', { 'provider:segmentation_id': 105 });
  for (const change of [{ minimum: 105 }, { maximum: 105 }, { minimum: 106 }, { minimum: 91, maximum: 104 }])
    await refused(put(change), 409, 'NetworkSegmentRangeReferencedByProject');
  assert.equal((await put({ name: 'other' })).body[TYPE]?.['name'], 'other');
  assert.equal((await put({ minimum: 104, maximum: 106 })).status, 200);
  await refused(send('DELETE', path), 409, 'NetworkSegmentRangeReferencedByProject');
  assert.equal((await send('DELETE', `/v2.0/networks/${network['id']}`)).status, 204);
  assert.equal((await send('DELETE', path)).status, 204);
});

test('a network that was there before its number’s range counts too', async (t) => {
  const { create, send, server } = await startHarness(t);
  await create('network', vlan({ 'provider:segmentation_id': 7 }));
  const range = await create(TYPE, { network_type: 'vlan', physical_network: 'physnet1', minimum: 7, maximum: 8 });
  assert.deepEqual([range['used'], range['available']], [{ '7': 'default' }, [8]]);
  await refused(send('DELETE', `${PATH}/${range['id']}`), 409, 'NetworkSegmentRangeReferencedByProject');
  await assertInvariants(server);
});

test('ranges that two servers know at different times neither overlap nor go under a network', async (t) => {
  const { store, server, create, send } = await startHarness(t);
  const held = lateStore(store);
  const other = await startTestServer(held.store);
  t.after(() => other.stop());
  const late = harnessOf(held.store, other);
  /** What the late server answers when it has not heard of the change. */
  const unheard = async (change: () => Promise<unknown>, method: string, path: string, body?: object) => {
    await other.tables.waitFor(server.tables.revision);
    const release = held.hold();
    await change();
    const answer = late.send(method, path, body);
    await held.asked();
    release();
    return answer;
  };
  const range = (minimum: number, maximum: number) => ({ network_type: 'vxlan', minimum, maximum });
  let id: unknown;
  const make = async () => {
    id = (await create(TYPE, range(100, 110)))['id'];
  };
  await refused(unheard(make, 'POST', PATH, { [TYPE]: range(105, 120) }), 409, 'NetworkSegmentRangeOverlaps');
  const network = () => create('network', { 'provider:segmentation_id': 104 });
  await refused(unheard(network, 'DELETE', `${PATH}/${id}`), 409, 'NetworkSegmentRangeReferencedByProject');
  const another = () => create('network', { 'provider:segmentation_id': 109 });
  const cut = { [TYPE]: { minimum: 99, maximum: 108 } };
  await refused(unheard(another, 'PUT', `${PATH}/${id}`, cut), 409, 'NetworkSegmentRangeReferencedByProject');
  const own = () => create(TYPE, { ...range(1, 1), shared: false, project_id: 'a' });
  const made = await unheard(own, 'POST', '/v2.0/networks', { network: { project_id: 'a' } });
  assert.equal(numberOf(made.body['network'] as Json), 1, 'its own range was made before');
  assert.equal((await send('GET', `${PATH}?id=${id}`)).status, 200);
  await assertInvariants(server);
});

test('the server that was started last says what the default ranges are', async (t) => {
  const { store, send } = await startHarness(t);
  const again = await startTestServer(store, undefined, { segmentRanges: [VNIS, VLANS] });
  t.after(() => again.stop());
  const ranges = await list(harnessOf(store, again));
  assert.deepEqual(ranges.map(({ minimum, maximum }) => `${minimum}:${maximum}`).sort(), ['100:103', '1:2000']);
  const every = await startTestServer(store);
  t.after(() => every.stop());
  assert.deepEqual(
    (await list(harnessOf(store, every))).map(({ maximum }) => Number(maximum)),
    [16777215],
  );
  const { body } = await send('GET', `${PATH}?fields=available&fields=maximum`);
  assert.equal(body['network_segment_ranges']?.[0]?.['available']?.length, 4096);
});
