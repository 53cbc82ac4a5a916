/** Lines: from the API to what hosts are told, and what their hosts' uplinks keep free for them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TestAgent } from '../../hosts/plane.fixture.ts';
import {
  assertInvariants,
  type Harness,
  harnessOf,
  type Json,
  keysLeft,
  startHarness,
  startTestServer,
} from '../../testing/harness.ts';
import { lateStore } from '../../testing/late-store.ts';
import { ADMIN, OTHER } from '../protons.fixture.ts';
import {
  bind,
  host,
  installed,
  MEMBER,
  mac,
  make,
  reasonOf,
  refusal,
  rows,
  SERVICE,
  wiresAt,
} from './wires.fixture.ts';

const BASE = 'circuit/v1.0';
const ROOM = { bandwidth: { rp_tunnelled: { egress: 1000, ingress: 1000 } } };

type World = Harness & { readonly a: string; readonly z: string };

async function startWorld(t: TestContext): Promise<World> {
  const harness = await startHarness(t);
  await installed(harness, 'circuit');
  for (const name of ['h1', 'h2', 'h3']) await host(harness, name, name === 'h3' ? {} : ROOM);
  return { ...harness, a: await port(harness), z: await port(harness) };
}

async function port(harness: Harness): Promise<string> {
  return String((await make(harness, `${BASE}/ports`, { mac_address: mac() }))['id']);
}

function line(world: World, more: object = {}): Promise<Json> {
  return make(world, `${BASE}/lines`, { name: 'l', a_port_id: world.a, z_port_id: world.z, ...more });
}

async function booked({ send }: Harness, name: string): Promise<unknown> {
  return (await send('GET', `/cable/v1/hosts/${name}`)).body['host']?.['booked_bandwidth'];
}

test('a line is two wires, of which both hosts are told as soon as its ports are there', async (t) => {
  const world = await startWorld(t);
  const { send, a, z } = world;
  const { id } = await line(world, { admitted_kbps: 500 });
  assert.deepEqual(wiresAt(world, 'h1'), []);
  assert.equal(await bind(world, a, 'h1'), 'tap');
  const [alone] = wiresAt(world, 'h1');
  assert.deepEqual([alone?.from.portId, alone?.to.host], [a, ''], 'the other end is nowhere');
  assert.equal(await bind(world, z, 'h2'), 'tap');
  const wires = wiresAt(world, 'h1');
  assert.deepEqual(wires.map(({ from, to }) => [from.portId, from.host, to.portId, to.host, to.as]).sort(), [
    ...[
      [a, 'h1', z, 'h2', 'deliver'],
      [z, 'h2', a, 'h1', 'deliver'],
    ].sort(),
  ]);
  assert.ok(wires.every((one) => one.admittedKbps === 500 && one.name === 'l' && one.guaranteedKbps === undefined));
  assert.notEqual(wires[0]?.vni, wires[1]?.vni);
  assert.deepEqual(
    wiresAt(world, 'h2')
      .map((one) => one.id)
      .sort(),
    wires.map((one) => one.id).sort(),
  );

  await send('PUT', `/proton/${BASE}/lines/${String(id)}`, { name: 'other', admitted_kbps: 600 }, MEMBER);
  assert.ok(wiresAt(world, 'h2').every((one) => one.admittedKbps === 600 && one.name === 'other'));
  await bind(world, z, 'h1');
  assert.deepEqual([wiresAt(world, 'h1').length, wiresAt(world, 'h2').length], [2, 0]);
  await assertInvariants(world.server);
  await send('DELETE', `/proton/${BASE}/lines/${String(id)}`, undefined, MEMBER);
  assert.deepEqual(wiresAt(world, 'h1'), []);
  assert.deepEqual(await rows(world), []);
});

test('a line is ACTIVE when both of its ports are', async (t) => {
  const world = await startWorld(t);
  const { send, server, a, z } = world;
  const { id } = await line(world);
  const status = async (): Promise<string> =>
    String((await send('GET', `/proton/${BASE}/lines/${String(id)}`, undefined, MEMBER)).body['status']);
  assert.equal(await status(), 'DOWN');
  const url = await server.app.listen({ host: '127.0.0.1', port: 0 });
  const agent = new TestAgent(url, 'h1');
  await agent.connect();
  t.after(() => agent.disconnect());
  agent.devices.add(a);
  for (const one of [a, z]) await bind(world, one, 'h1');
  const until = async (wanted: string, of: () => Promise<string>): Promise<void> => {
    for (let look = 0; look < 500 && (await of()) !== wanted; look += 1)
      await new Promise((done) => setTimeout(done, 10));
    assert.equal(await of(), wanted);
  };
  const ofPort = async (): Promise<string> =>
    String((await send('GET', `/proton/${BASE}/ports/${a}`, undefined, MEMBER)).body['status']);
  await until('ACTIVE', ofPort);
  assert.equal(await status(), 'DOWN');
  agent.devices.add(z);
  await agent.report();
  await until('ACTIVE', status);
  await bind(world, z, '');
  assert.equal(await status(), 'DOWN');
});

test('what is guaranteed is booked on both hosts, beside what Neutron’s ports are promised, and nothing of it on one host', async (t) => {
  const world = await startWorld(t);
  const { send, create, a, z } = world;
  const { id } = await line(world, { guaranteed_kbps: 700 });
  await bind(world, a, 'h1');
  assert.deepEqual(await booked(world, 'h1'), {});
  await bind(world, z, 'h1');
  assert.deepEqual(await booked(world, 'h1'), {});
  await bind(world, z, 'h2');
  const all = { rp_tunnelled: { egress: 700, ingress: 700 } };
  assert.deepEqual([await booked(world, 'h1'), await booked(world, 'h2')], [all, all]);
  await assertInvariants(world.server);

  const policy = String((await create('qos_policy', {}))['id']);
  const path = `/v2.0/qos/policies/${policy}/minimum_bandwidth_rules`;
  await send('POST', path, { minimum_bandwidth_rule: { direction: 'egress', min_kbps: 301 } });
  const network = String((await create('network', {}))['id']);
  const fields = { network_id: network, qos_policy_id: policy, 'binding:host_id': 'h1', device_owner: 'compute:nova' };
  assert.match(await refusal(send('POST', '/v2.0/ports', { port: fields })), /^409 .*h1 has 1000 .*promised 1001/);
  const change = (guaranteed_kbps: number | null) =>
    send('PUT', `/proton/${BASE}/lines/${String(id)}`, { guaranteed_kbps }, MEMBER);
  assert.equal((await change(600)).status, 200);
  assert.equal((await send('POST', '/v2.0/ports', { port: fields })).status, 201);
  assert.deepEqual(await booked(world, 'h1'), { rp_tunnelled: { egress: 901, ingress: 600 } });
  assert.match(await refusal(change(700)), /^409 .*guaranteed_kbps.*h1 has 1000 kbit\/s of egress.*promised 1001/);
  assert.deepEqual(await booked(world, 'h1'), { rp_tunnelled: { egress: 901, ingress: 600 } });
  assert.equal((await change(null)).status, 200);
  assert.deepEqual(await booked(world, 'h2'), {});
  await assertInvariants(world.server);
});

test('a port does not come to a host that has no room for its line, or has not said that it has any', async (t) => {
  const world = await startWorld(t);
  const { send, a, z } = world;
  const { id } = await line(world, { guaranteed_kbps: 1001 });
  await bind(world, a, 'h1');
  assert.equal(await bind(world, z, 'h2'), 'binding_failed');
  assert.match(await reasonOf(world, z), /h1 has 1000 kbit\/s of egress on rp_tunnelled.*promised 1001/);
  assert.deepEqual([await booked(world, 'h1'), await booked(world, 'h2')], [{}, {}]);
  assert.deepEqual(wiresAt(world, 'h2'), []);
  assert.equal(await bind(world, z, 'h3'), 'binding_failed');
  await send('PUT', `/proton/${BASE}/lines/${String(id)}`, { guaranteed_kbps: 900 }, MEMBER);
  assert.equal(await bind(world, z, 'h3'), 'binding_failed');
  assert.match(await reasonOf(world, z), /h3 has not said.*--bandwidth rp_tunnelled:EGRESS:INGRESS/);
  assert.equal(await bind(world, z, 'h1'), 'tap', 'both on one host need none');
  assert.equal(await bind(world, z, 'h2'), 'tap');
  assert.match(
    await refusal(
      makeLine(world, {
        a_port_id: await bound(world, 'h1'),
        z_port_id: await bound(world, 'h2'),
        guaranteed_kbps: 101,
      }),
    ),
    /^409 .*guaranteed_kbps.*promised 1001/,
  );
  await assertInvariants(world.server);
});

async function bound(world: Harness, to: string): Promise<string> {
  const id = await port(world);
  await bind(world, id, to);
  return id;
}

function makeLine({ send }: Harness, given: object) {
  return send('POST', `/proton/${BASE}/lines`, given, MEMBER);
}

test('a host that knows of no wires is refused, and names why', async (t) => {
  const world = await startWorld(t);
  const { a, z } = world;
  await host(world, 'h4', { features: [] });
  await bind(world, a, 'h4');
  const given = { a_port_id: a, z_port_id: z };
  assert.match(await refusal(makeLine(world, given)), /^409 .*h4 knows of no pseudowires: its agent is too old/);
  await bind(world, a, 'h1');
  assert.equal((await makeLine(world, given)).status, 201);
  assert.equal(await bind(world, z, 'h4'), 'binding_failed');
  assert.match(await reasonOf(world, z), /h4 knows of no pseudowires/);
});

test('a port is an end of one line alone', async (t) => {
  const world = await startWorld(t);
  const { a, z } = world;
  await line(world);
  const other = await port(world);
  for (const given of [
    { a_port_id: other, z_port_id: a },
    { a_port_id: z, z_port_id: other },
    { a_port_id: a, z_port_id: other },
  ])
    assert.match(await refusal(makeLine(world, given)), /^409 /, JSON.stringify(given));
  const theirs = { 'x-roles': 'member', 'x-project-id': OTHER };
  const stranger = String((await make(world, `${BASE}/ports`, { mac_address: mac() }, theirs))['id']);
  assert.match(await refusal(makeLine(world, { a_port_id: other, z_port_id: stranger })), /^404 /);
  const { status } = await world.send('DELETE', `/v2.0/ports/${a}`, undefined, SERVICE);
  assert.equal(status, 409, 'a line keeps its ports');
});

test('a binding of a line names an interface of the whole port at that end', async (t) => {
  const world = await startWorld(t);
  const { send, a, z } = world;
  const { id } = await line(world);
  const tagged = { port_id: a, segmentation_type: 'vlan', segmentation_id: 5 };
  const part = String((await make(world, `${BASE}/interfaces`, tagged))['id']);
  const tie = (interface_id: string, side: string) =>
    send('POST', `/proton/${BASE}/circuitbindings`, { interface_id, service_id: id, side }, MEMBER);
  assert.match(await refusal(tie(part, 'a')), /^400 .*interface_id.*has a tag/);
  assert.match(await refusal(tie(z, 'a')), /^400 .*interface_id.*not of the port at that end/);
  assert.equal((await tie(a, 'a')).status, 201);
  const change = { segmentation_type: 'vlan', segmentation_id: 6 };
  assert.match(
    await refusal(send('PUT', `/proton/${BASE}/interfaces/${a}`, change, MEMBER)),
    /^400 .*segmentation_type.*has a tag/,
  );
});

test('a machine that moves has the room of its lines on both hosts, and does not come where there is none', async (t) => {
  const world = await startWorld(t);
  const { send, a, z } = world;
  await host(world, 'h5', { bandwidth: { rp_tunnelled: { egress: 500, ingress: 500 } } });
  await host(world, 'h6', ROOM);
  await host(world, 'h7', { features: [] });
  await line(world, { guaranteed_kbps: 600 });
  for (const id of [a, z]) {
    await send('PUT', `/v2.0/ports/${id}`, { port: { device_owner: 'compute:nova', device_id: id } }, SERVICE);
    await bind(world, id, 'h1');
  }
  const path = `/v2.0/ports/${a}/bindings`;
  const prepare = (to: string) => send('POST', path, { binding: { host: to, profile: {} } }, SERVICE);
  assert.match(await refusal(prepare('h5')), /^409 .*h5 has 500 kbit\/s of egress.*promised 600/);
  assert.match(await refusal(prepare('h7')), /^409 .*h7 knows of no pseudowires/);
  assert.deepEqual(await booked(world, 'h1'), {});
  assert.equal((await prepare('h6')).status, 201);
  const whole = { rp_tunnelled: { egress: 600, ingress: 600 } };
  assert.deepEqual([await booked(world, 'h1'), await booked(world, 'h6')], [whole, whole]);
  assert.equal((await send('PUT', `${path}/h6/activate`, undefined, SERVICE)).status, 200);
  assert.equal((await send('DELETE', `${path}/h1`, undefined, SERVICE)).status, 204);
  assert.deepEqual([await booked(world, 'h1'), await booked(world, 'h6')], [whole, whole]);
  assert.deepEqual(
    wiresAt(world, 'h6')
      .map(({ to }) => to.host)
      .sort(),
    ['h1', 'h6'],
  );
  await bind(world, z, 'h6');
  assert.deepEqual([await booked(world, 'h1'), await booked(world, 'h6')], [{}, {}]);
  await assertInvariants(world.server);
});

test('a server that has not heard of the other end, or of what is left, promises nothing twice', async (t) => {
  const world = await startWorld(t);
  const { a, z, store, server, send } = world;
  const held = lateStore(store);
  const second = await startTestServer(held.store);
  t.after(() => second.stop());
  const other = harnessOf(store, second);
  const { id } = await line(world, { guaranteed_kbps: 800 });
  const [b, y] = [await port(world), await port(world)];
  await make(world, `${BASE}/lines`, { a_port_id: b, z_port_id: y, guaranteed_kbps: 800 });
  /** The second does something while it has not heard what the first has done. */
  const late = async <T>(first: () => Promise<unknown>, then: () => Promise<T>): Promise<T> => {
    await second.tables.waitFor(server.tables.revision);
    const release = held.hold();
    await first();
    const answer = then();
    await held.asked();
    release();
    return answer;
  };
  const whole = { rp_tunnelled: { egress: 800, ingress: 800 } };
  assert.equal(
    await late(
      () => bind(world, a, 'h1'),
      () => bind(other, z, 'h2'),
    ),
    'tap',
  );
  assert.deepEqual([await booked(world, 'h1'), await booked(world, 'h2')], [whole, whole]);
  await assertInvariants(server);
  await bind(world, z, '');
  await bind(world, b, 'h1');
  assert.equal(
    await late(
      () => bind(world, z, 'h2'),
      () => bind(other, y, 'h2'),
    ),
    'binding_failed',
  );
  assert.deepEqual([await booked(world, 'h1'), await booked(world, 'h2')], [whole, whole]);
  await bind(world, z, '');
  const change = { guaranteed_kbps: 1001 };
  await send('PUT', `/proton/${BASE}/lines/${String(id)}`, { guaranteed_kbps: 5 }, MEMBER);
  const raised = await late(
    () => bind(world, z, 'h2'),
    () => refusal(other.send('PUT', `/proton/${BASE}/lines/${String(id)}`, change, MEMBER)),
  );
  assert.match(raised, /^409 .*guaranteed_kbps/);
  await assertInvariants(server);
});

test('a proton that is removed with its lines leaves nothing', async (t) => {
  const world = await startWorld(t);
  const { send, a, z, store } = world;
  await line(world, { guaranteed_kbps: 5 });
  await bind(world, a, 'h1');
  await bind(world, z, 'h2');
  const gone = await send('DELETE', '/cable/v1/protons/circuit?objects=true', undefined, ADMIN);
  assert.equal(gone.status, 204, JSON.stringify(gone.body));
  assert.deepEqual(
    (await keysLeft(store)).filter((key) => !/\/(?:host|host_booking)\/|\/underlay\//.test(key)),
    [],
  );
});
