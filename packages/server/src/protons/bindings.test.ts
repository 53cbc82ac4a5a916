import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FakeNova } from '../nova/testing/fake-nova.ts';
import {
  type Answer,
  assertInvariants,
  type Harness,
  type Json,
  startHarness,
  type TestServerOptions,
} from '../testing/harness.ts';
import { ADMIN, AS, install, model, PORT, TENANT } from './protons.fixture.ts';

const SERVICE = { 'x-roles': 'service', 'x-project-id': 'services' };
const VM = '5b2f6c1e-8d7a-4f3b-9c2d-1e0f9a8b7c6d';
const BASE = '/proton/net-l3vpn/v1.0';
const BIND = { 'binding:host_id': 'h1', device_id: VM, device_owner: 'compute:nova' };

type World = Harness & { readonly id: string; readonly neutron: string };

/** A server with the proton, and a port of the tenant's with an address. */
async function startWorld(t: TestContext, options: TestServerOptions = {}): Promise<World> {
  const harness = await startHarness(t, options);
  const { send } = harness;
  const done = await install(harness, model('net-l3vpn'));
  assert.equal(done.status, 200, JSON.stringify(done.body));
  const { body: port } = await send('POST', `${BASE}/ports`, PORT, AS);
  const { body: vpn } = await send('POST', `${BASE}/vpns`, { name: 'blue', tenant_id: TENANT }, AS);
  const binding = {
    tenant_id: TENANT,
    interface_id: port['id'],
    service_id: vpn['id'],
    ipaddress: '10.0.0.5',
    subnet_prefix: 24,
    gateway: '10.0.0.1',
  };
  const bound = await send('POST', `${BASE}/vpnbindings`, binding, AS);
  assert.equal(bound.status, 201, JSON.stringify(bound.body));
  return { ...harness, id: String(port['id']), neutron: `/v2.0/ports/${port['id']}` };
}

/** A controller that an administrator made, alive. */
async function controller({ send }: Harness, name: string, more: object = {}) {
  const made = await send(
    'POST',
    '/cable/v1/proton-controllers',
    { proton_controller: { name, proton: 'net-l3vpn', ...more } },
    ADMIN,
  );
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const headers = { 'x-roles': 'network_controller', 'x-project-id': 'ops' };
  const { body, status } = await send('PUT', `/cable/v1/proton-controllers/${name}/heartbeat`, {}, headers);
  assert.equal(status, 200, JSON.stringify(body));
  const said = { controller: name, session: String(body['session']) };
  const say = (id: string, what: string, also: object): Promise<Answer> =>
    send('PUT', `/cable/v1/port-owners/${id}/${what}`, { ...said, ...also }, headers);
  return { say, session: said.session, headers };
}

async function pending({ send }: Harness, id: string): Promise<number> {
  for (let look = 0; look < 200; look += 1) {
    const owner = (await send('GET', `/cable/v1/port-owners/${id}`, undefined, ADMIN)).body['port_owner'];
    if ((owner?.['phase'] as unknown) === 'Pending') return Number(owner?.['generation']);
    await sleep(10);
  }
  throw new Error('the port is not pending');
}

test('Neutron shows a port of a proton with its network and its subnet, by id and by machine', async (t) => {
  const world = await startWorld(t);
  const { send, id, neutron } = world;
  const { body, status } = await send('GET', neutron, undefined, SERVICE);
  assert.equal(status, 200, JSON.stringify(body));
  const port = body['port'] as Json;
  assert.deepEqual([port['name'], port['tenant_id'], port['mac_address']], ['p1', TENANT, 'fa:16:3e:00:00:01']);
  const address = port['fixed_ips']?.[0] as Json;
  assert.equal(String(address['ip_address']), '10.0.0.5');
  const network = (await send('GET', `/v2.0/networks/${port['network_id']}`, undefined, SERVICE)).body['network'];
  assert.equal(String(network?.['name']), 'net-l3vpn');
  const subnets = (await send('GET', `/v2.0/subnets?id=${address['subnet_id']}`, undefined, SERVICE)).body[
    'subnets'
  ] as Json;
  assert.deepEqual([subnets[0]?.['cidr'], subnets[0]?.['gateway_ip']], ['10.0.0.0/24', '10.0.0.1']);
  assert.equal((await send('GET', neutron, undefined, AS)).status, 200, 'its owner sees it');
  assert.equal((await send('GET', neutron, undefined, { ...AS, 'x-project-id': 'other' })).status, 404);
  assert.equal((await send('GET', `/v2.0/ports?id=${id}`, undefined, SERVICE)).body['ports']?.length, 1);
  assert.equal((await send('GET', '/v2.0/ports', undefined, AS)).body['ports']?.length, 0, 'lists stay what they are');
  const other = await send('PUT', neutron, { port: { fixed_ips: [{ ip_address: '10.0.0.9' }] } }, SERVICE);
  assert.equal(other.status, 400);
  assert.match(String(other.body['NeutronError']?.['detail']), /\/proton\/net-l3vpn\/v1\.0\/ports/);
});

test('a controller binds a port that Nova plugs; a new name leaves the binding, and Neutron’s delete deletes the port', async (t) => {
  const world = await startWorld(t);
  const { send, id, neutron } = world;
  const { say } = await controller(world, 'vpn-1');
  const asking = send('PUT', neutron, { port: BIND }, SERVICE);
  const generation = await pending(world, id);
  assert.equal((await say(id, 'bound', { generation, vif_type: 'ovs' })).status, 409, 'it has not claimed it');
  assert.equal((await say(id, 'claim', { generation: generation + 1 })).status, 409, 'another binding');
  assert.equal((await say(id, 'claim', { generation })).status, 200);
  assert.equal((await say(id, 'claim', { generation })).status, 200, 'again');
  assert.equal((await say(id, 'bound', { generation, vif_type: 'evil' })).status, 400);
  const plugged = await say(id, 'bound', { generation, vif_type: 'ovs', vif_details: { bridge_name: 'br-int' } });
  assert.equal(plugged.status, 200, JSON.stringify(plugged.body));
  const { body, status } = await asking;
  assert.equal(status, 200, JSON.stringify(body));
  const port = body['port'] as Json;
  assert.deepEqual(
    [port['binding:vif_type'], port['binding:vif_details'], port['status']],
    ['ovs', { bridge_name: 'br-int' }, 'ACTIVE'],
  );
  const own = (await send('GET', `${BASE}/ports/${id}`, undefined, AS)).body;
  assert.deepEqual([own['vif_type'], own['status'], own['host_id'], own['device_id']], ['ovs', 'ACTIVE', 'h1', VM]);
  assert.equal((await send('GET', `/v2.0/ports?device_id=${VM}`, undefined, SERVICE)).body['ports']?.length, 1);
  const renamed = (await send('PUT', neutron, { port: { name: 'other' } }, SERVICE)).body['port'] as Json;
  assert.deepEqual([renamed['name'], renamed['binding:vif_type']], ['other', 'ovs']);
  const freed = (
    await send('PUT', neutron, { port: { 'binding:host_id': '', device_id: '', device_owner: '' } }, SERVICE)
  ).body['port'] as Json;
  assert.deepEqual([freed['binding:vif_type'], freed['status'], freed['binding:host_id']], ['unbound', 'DOWN', '']);
  assert.equal((await send('DELETE', neutron, undefined, SERVICE)).status, 409, 'it has a binding to a VPN');
  await send('DELETE', `${BASE}/vpnbindings/${id}`, undefined, AS);
  assert.equal((await send('DELETE', neutron, undefined, SERVICE)).status, 204);
  assert.equal((await send('GET', `${BASE}/ports/${id}`, undefined, AS)).status, 404);
  assert.equal((await send('GET', `/cable/v1/port-owners/${id}`, undefined, ADMIN)).status, 404);
  await assertInvariants(world.server);
});

test('where nobody binds it, Nova is told so: without a controller, refused by each, or in time', async (t) => {
  const world = await startWorld(t);
  const { send, id, neutron } = world;
  const none = (await send('PUT', neutron, { port: BIND }, SERVICE)).body['port'] as Json;
  assert.equal(String(none['binding:vif_type']), 'binding_failed');
  const first = await controller(world, 'vpn-1', { priority: 10 });
  const second = await controller(world, 'vpn-2');
  const asking = send('PUT', neutron, { port: { 'binding:host_id': 'h1' } }, SERVICE);
  const generation = await pending(world, id);
  assert.equal((await second.say(id, 'claim', { generation })).status, 409, 'who has more priority is alive');
  assert.equal((await first.say(id, 'refuse', { generation, reason: 'no room' })).status, 200);
  assert.equal((await second.say(id, 'claim', { generation })).status, 200);
  assert.equal((await second.say(id, 'refuse', { generation, reason: 'nor here' })).status, 200);
  const refused = (await asking).body['port'] as Json;
  assert.equal(String(refused['binding:vif_type']), 'binding_failed');
  const owner = (await send('GET', `/cable/v1/port-owners/${id}`, undefined, ADMIN)).body['port_owner'];
  assert.deepEqual([owner?.['phase'], owner?.['reason']], ['Failed', 'vpn-2: nor here']);
  const again = await send('PUT', neutron, { port: { 'binding:host_id': 'h1' } }, SERVICE);
  assert.equal(String(again.body['port']?.['binding:vif_type']), 'binding_failed', 'nobody has answered in time');
});

test('of two controllers that race one has the port, and one whose session is over says nothing', async (t) => {
  const world = await startWorld(t);
  const { send, id, neutron } = world;
  const all = [await controller(world, 'vpn-1'), await controller(world, 'vpn-2'), await controller(world, 'vpn-3')];
  const asking = send('PUT', neutron, { port: BIND }, SERVICE);
  const generation = await pending(world, id);
  const claims = await Promise.all(all.map(({ say }) => say(id, 'claim', { generation })));
  assert.deepEqual(claims.map(({ status }) => status).sort(), [200, 409, 409]);
  const winner = claims.findIndex(({ status }) => status === 200);
  const { headers } = all[winner] as (typeof all)[number];
  const name = `vpn-${winner + 1}`;
  const anew = await send('PUT', `/cable/v1/proton-controllers/${name}/heartbeat`, { replace: true }, headers);
  assert.equal(anew.status, 200);
  assert.equal(
    (await all[winner]?.say(id, 'bound', { generation, vif_type: 'ovs' }))?.status,
    409,
    'its session is over',
  );
  const said = { controller: name, session: anew.body['session'], generation };
  assert.equal(
    (await send('PUT', `/cable/v1/port-owners/${id}/claim`, said, headers)).status,
    200,
    'it takes up what it had',
  );
  assert.equal(
    (await send('PUT', `/cable/v1/port-owners/${id}/bound`, { ...said, vif_type: 'ovs' }, headers)).status,
    200,
  );
  assert.equal(String((await asking).body['port']?.['binding:vif_type']), 'ovs');
  assert.equal((await send('PUT', `/cable/v1/port-owners/${id}/claim`, said, AS)).status, 404, 'a tenant');
});

test('Nova is told that a port of a proton is plugged, and that it is gone', async (t) => {
  const nova = new FakeNova();
  nova.servers.add(VM);
  const world = await startWorld(t, { nova: nova.post });
  const { send, id, neutron } = world;
  const { say } = await controller(world, 'vpn-1');
  const asking = send('PUT', neutron, { port: BIND }, SERVICE);
  const generation = await pending(world, id);
  await say(id, 'claim', { generation });
  await say(id, 'bound', { generation, vif_type: 'ovs' });
  await asking;
  const told = async (name: string): Promise<boolean> => {
    for (let look = 0; look < 500; look += 1) {
      if (nova.taken.some((one) => one.name === name && one.tag === id && one.server_uuid === VM)) return true;
      await sleep(10);
    }
    return false;
  };
  assert.ok(await told('network-vif-plugged'));
  await send('DELETE', `${BASE}/vpnbindings/${id}`, undefined, AS);
  await send('DELETE', neutron, undefined, SERVICE);
  assert.ok(await told('network-vif-deleted'));
});

test('what a controller had claimed that is killed another one binds in time', async (t) => {
  const world = await startWorld(t);
  const { send, id, neutron } = world;
  const first = await controller(world, 'vpn-1', { priority: 10 });
  const asking = send('PUT', neutron, { port: BIND }, SERVICE);
  const generation = await pending(world, id);
  assert.equal((await first.say(id, 'claim', { generation })).status, 200);
  const second = await controller(world, 'vpn-2');
  assert.equal((await second.say(id, 'claim', { generation })).status, 409, 'it is alive still');
  let claimed = 409;
  for (let look = 0; look < 100 && claimed !== 200; look += 1) {
    await sleep(100);
    await send('PUT', '/cable/v1/proton-controllers/vpn-2/heartbeat', { session: second.session }, second.headers);
    claimed = (await second.say(id, 'claim', { generation })).status;
  }
  assert.equal(claimed, 200);
  assert.equal((await first.say(id, 'bound', { generation, vif_type: 'ovs' })).status, 409);
  assert.equal((await second.say(id, 'bound', { generation, vif_type: 'ovs' })).status, 200);
  assert.equal(String((await asking).body['port']?.['binding:vif_type']), 'ovs');
});

test('a controller that comes to know that a port it has bound is lost says so, and nobody waits for one that is away', async (t) => {
  const world = await startWorld(t);
  const { send, id, neutron } = world;
  const { say } = await controller(world, 'vpn-1');
  await send(
    'POST',
    '/cable/v1/proton-controllers',
    { proton_controller: { name: 'away', proton: 'net-l3vpn' } },
    ADMIN,
  );
  const start = performance.now();
  const asking = send('PUT', neutron, { port: BIND }, SERVICE);
  const generation = await pending(world, id);
  const long = 'no room '.repeat(1000);
  assert.equal((await say(id, 'refuse', { generation, reason: long })).status, 200, 'however much it says');
  assert.equal(String((await asking).body['port']?.['binding:vif_type']), 'binding_failed');
  assert.ok(performance.now() - start < 5000, 'at once');
  const again = send('PUT', neutron, { port: BIND }, SERVICE);
  const next = await pending(world, id);
  assert.equal((await say(id, 'claim', { generation: next })).status, 200);
  assert.equal((await say(id, 'bound', { generation: next, vif_type: 'ovs' })).status, 200);
  await again;
  const { body } = await send('GET', `${neutron}/bindings`, undefined, SERVICE);
  assert.deepEqual((body['bindings'] as Json | undefined)?.[0]?.['vif_type'], 'ovs');
  assert.equal((await say(id, 'refuse', { generation: next, reason: 'its device is lost' })).status, 200);
  const lost = (await send('GET', neutron, undefined, SERVICE)).body['port'];
  assert.deepEqual([lost?.['binding:vif_type'], lost?.['status']].map(String), ['binding_failed', 'DOWN']);
  await send('PUT', neutron, { port: { 'binding:host_id': '' } }, SERVICE);
  assert.equal((await say(id, 'bound', { generation: next, vif_type: 'ovs' })).status, 409, 'over, not forbidden');
});

test('a controller that is deleted while it has a port keeps it from no other one', async (t) => {
  const world = await startWorld(t);
  const { send, id, neutron } = world;
  const [first, second] = [await controller(world, 'first'), await controller(world, 'second')];
  const asking = send('PUT', neutron, { port: BIND }, SERVICE);
  const generation = await pending(world, id);
  assert.equal((await first.say(id, 'claim', { generation })).status, 200);
  assert.equal((await second.say(id, 'claim', { generation })).status, 409);
  assert.equal((await send('DELETE', '/cable/v1/proton-controllers/first', undefined, ADMIN)).status, 204);
  assert.equal((await second.say(id, 'claim', { generation })).status, 200);
  assert.equal((await second.say(id, 'bound', { generation, vif_type: 'ovs' })).status, 200);
  await asking;
});
