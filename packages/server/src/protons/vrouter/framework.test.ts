/** What all back ends on the vrouter have in common: who has one, and how their ports are bound, carried and told of. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TestAgent } from '../../hosts/plane.fixture.ts';
import { FakeNova } from '../../nova/testing/fake-nova.ts';
import {
  assertInvariants,
  type Harness,
  type Json,
  keysLeft,
  startHarness,
  type TestServerOptions,
} from '../../testing/harness.ts';
import { ADMIN, AS, file, install, model, OTHER, TENANT, V10, V20 } from '../protons.fixture.ts';

const BASE = '/proton/circuit/v1.0';
const SERVICE = { 'x-roles': 'service', 'x-project-id': 'services' };
const VM = '5b2f6c1e-8d7a-4f3b-9c2d-1e0f9a8b7c6d';

type World = Harness & { readonly agent: TestAgent };

/** A server with lines, and an agent that is there. */
async function startWorld(t: TestContext, options: TestServerOptions = {}): Promise<World> {
  const harness = await startHarness(t, options);
  const done = await install(harness, model('circuit'));
  assert.equal(done.status, 200, JSON.stringify(done.body));
  const url = await harness.server.app.listen({ host: '127.0.0.1', port: 0 });
  const agent = new TestAgent(url, 'h1');
  assert.equal((await agent.register('192.0.2.1')).status, 204);
  await agent.connect();
  t.after(() => agent.disconnect());
  return { ...harness, agent };
}

async function port({ send }: Harness, more: object = {}, headers: Record<string, string> = AS): Promise<Json> {
  const { status, body } = await send('POST', `${BASE}/ports`, { mac_address: 'FA:16:3e:00:00:07', ...more }, headers);
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

async function owner({ send }: Harness, id: unknown): Promise<Json> {
  const { body } = await send('GET', `/cable/v1/port-owners/${String(id)}`, undefined, ADMIN);
  return body['port_owner'] as Json;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < 500; look += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('waited in vain');
}

test('a back end is of the proton from its first install on, and another one comes only while there is no object', async (t) => {
  const harness = await startHarness(t);
  const reason = async (files: Parameters<typeof install>[1], more: object): Promise<string> => {
    const { status, body } = await install(harness, files, more);
    return `${status} ${String(body['detail'] ?? body['NeutronError']?.['message'])}`;
  };
  assert.match(
    await reason(file(V10), { backend: 'ovs' }),
    /^400 .*backend.*no back end ovs: there are .*vrouter-circuit/,
  );
  assert.match(
    await reason(file(V10), { backend: 'vrouter-circuit' }),
    /^400 .*backend.*no service refers to two ports of Port/,
  );
  assert.match(
    await reason(file(V20.replace('version: "2.0", description', 'version: "2.0", backend: vrouter, description')), {}),
    /^400 .*no back end vrouter:/,
  );
  assert.equal((await install(harness, model('circuit'), { backend: '' })).status, 200);
  const shown = async (): Promise<unknown> =>
    (await harness.send('GET', '/cable/v1/protons/circuit', undefined, ADMIN)).body['proton']?.['backend'];
  assert.equal(await shown(), null);
  assert.equal((await install(harness, model('circuit'))).status, 200);
  assert.equal(await shown(), null, 'it keeps what it has');
  assert.equal((await install(harness, model('circuit'), { backend: 'vrouter-circuit' })).status, 200);
  assert.equal(await shown(), 'vrouter-circuit');
  const made = await port(harness);
  assert.match(await reason(model('circuit'), { backend: '' }), /^409 .*has objects.*back end stays vrouter-circuit/);
  assert.match(await reason(model('circuit'), { backend: '', dry_run: true }), /^409 /);
  assert.equal(await shown(), 'vrouter-circuit');
  await harness.send('DELETE', `${BASE}/ports/${String(made['id'])}`, undefined, AS);
  assert.equal((await install(harness, model('circuit'), { backend: '' })).status, 200);
});

test('a port on a host with an agent is bound in the request, and is ACTIVE when the host says so', async (t) => {
  const world = await startWorld(t);
  const { send, agent } = world;
  const { id } = await port(world, { name: 'p1' });
  agent.devices.add(String(id));
  const neutron = `/v2.0/ports/${String(id)}`;
  const bind = { 'binding:host_id': 'h1', device_id: VM, device_owner: 'compute:nova' };
  const bound = await send('PUT', neutron, { port: bind }, SERVICE);
  assert.equal(bound.status, 200, JSON.stringify(bound.body));
  const seen = bound.body['port'] as Json;
  assert.deepEqual([seen['binding:vif_type'], seen['status']].map(String), ['tap', 'DOWN']);
  assert.deepEqual(seen['binding:vif_details'] as unknown, { port_filter: true, connectivity: 'l2' });
  const row = await owner(world, id);
  assert.deepEqual([row['phase'], row['controller'], row['status']], ['Bound', null, 'DOWN']);
  await until(
    async () => String((await send('GET', neutron, undefined, SERVICE)).body['port']?.['status']) === 'ACTIVE',
  );
  const own = (await send('GET', `${BASE}/ports/${String(id)}`, undefined, AS)).body;
  assert.equal(String(own['status']), 'ACTIVE');
  const slice = agent.slices.get('host:h1');
  const [told] = slice?.kind === 'host' ? slice.ports : [];
  assert.deepEqual(
    [told?.id, told?.macAddress, told?.name, told?.deviceId, told?.policy, told?.portSecurityEnabled],
    [id, 'fa:16:3e:00:00:07', 'p1', VM, 'policy:', true],
  );
  const network = agent.slices.get(`network:${told?.networkId}`);
  assert.ok(network?.kind === 'network' && network.mtuBytes === 1450 && network.subnets.length === 0);

  agent.devices.delete(String(id));
  await agent.report();
  await until(async () => String((await send('GET', neutron, undefined, SERVICE)).body['port']?.['status']) === 'DOWN');
  await send('PUT', neutron, { port: { 'binding:host_id': '' } }, SERVICE);
  await until(async () => {
    const now = agent.slices.get('host:h1');
    return now?.kind === 'host' && now.ports.length === 0;
  });
  assert.deepEqual([(await owner(world, id))['phase'], (await owner(world, id))['status']], ['Unbound', null]);
  await assertInvariants(world.server);
});

test('Nova is told that the port is plugged when its host carries it, and not when it is bound', async (t) => {
  const nova = new FakeNova();
  nova.servers.add(VM);
  const world = await startWorld(t, { nova: nova.post });
  const { send, agent } = world;
  const { id } = await port(world);
  const told = (): boolean =>
    nova.taken.some(
      ({ name, tag, server_uuid }) => name === 'network-vif-plugged' && tag === String(id) && server_uuid === VM,
    );
  const bind = { 'binding:host_id': 'h1', device_id: VM, device_owner: 'compute:nova' };
  await send('PUT', `/v2.0/ports/${String(id)}`, { port: bind }, SERVICE);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  assert.equal(told(), false);
  agent.devices.add(String(id));
  await agent.report();
  await until(async () => told());
});

test('a port on a host that nobody knows fails, and says why', async (t) => {
  const world = await startWorld(t);
  const { send } = world;
  const { id } = await port(world);
  const bound = await send('PUT', `/v2.0/ports/${String(id)}`, { port: { 'binding:host_id': 'h9' } }, SERVICE);
  assert.equal(String(bound.body['port']?.['binding:vif_type']), 'binding_failed');
  assert.match(String((await owner(world, id))['reason']), /no agent has registered as the host h9/);
  const again = await send('PUT', `/v2.0/ports/${String(id)}`, { port: { 'binding:host_id': 'h1' } }, SERVICE);
  assert.equal(String(again.body['port']?.['binding:vif_type']), 'tap');
});

test('the network of a project is there with its first port and goes with its last, and no other network has its VNI', async (t) => {
  const world = await startWorld(t);
  const { send, store } = world;
  const networks = async (): Promise<readonly Json[]> =>
    (await send('GET', '/cable/v1/proton-networks', undefined, ADMIN)).body['proton_networks'] ?? [];
  const [one, two, three] = [
    await port(world),
    await port(world, { mac_address: 'fa:16:3e:00:00:08' }),
    await port(world, { mac_address: 'fa:16:3e:00:00:09' }, { 'x-roles': 'member', 'x-project-id': OTHER }),
  ];
  const all = await networks();
  assert.deepEqual(all.map((each) => String(each['project_id'])).sort(), [TENANT, OTHER].sort());
  const [vni] = all.map((each) => Number(each['vni']));
  const taken = { name: 'x', 'provider:network_type': 'vxlan', 'provider:segmentation_id': vni };
  assert.equal((await send('POST', '/v2.0/networks', { network: taken }, ADMIN)).status, 409);
  assert.equal((await send('GET', '/cable/v1/proton-networks', undefined, AS)).body['proton_networks']?.length ?? 0, 0);
  await Promise.all([one, two].map(({ id }) => send('DELETE', `${BASE}/ports/${String(id)}`, undefined, ADMIN)));
  assert.deepEqual(
    (await networks()).map((each) => String(each['project_id'])),
    [OTHER],
  );
  await send('DELETE', `${BASE}/ports/${String(three['id'])}`, undefined, ADMIN);
  assert.deepEqual(await networks(), []);
  await send('DELETE', '/cable/v1/protons/circuit', undefined, ADMIN);
  assert.deepEqual(
    (await keysLeft(store)).filter((key) => key.includes('proton') || key.includes('vni')),
    [],
  );
});

test('a server that makes other rows of the same objects, or does not know the back end, reads and does not write', async (t) => {
  const world = await startWorld(t);
  const { send, store } = world;
  const { id } = await port(world);
  const key = '/cable/o/proton/circuit';
  const text = (await store.get(key))?.value ?? '';
  await store.txn(
    [],
    [
      {
        kind: 'put',
        key,
        value: text.replace('"derivation":1', '"derivation":2').replace(/"digest":"[0-9a-f]{6}/, '"digest":"000000'),
      },
    ],
  );
  const path = `${BASE}/ports/${String(id)}`;
  await until(async () => (await send('GET', path, undefined, AS)).status === 200);
  const refused = await send('PUT', path, { name: 'other' }, AS);
  assert.equal(refused.status, 503, JSON.stringify(refused.body));
  assert.equal(String((await send('GET', path, undefined, AS)).body['name']), '');
});
