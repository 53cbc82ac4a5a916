/** A machine with ports of protons moves as Nova moves it: two bindings, one of them active. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { TestAgent } from '../hosts/plane.fixture.ts';
import { assertInvariants, type Harness, type Json, startHarness } from '../testing/harness.ts';
import { AS, install, model, PORT } from './protons.fixture.ts';

const SERVICE = { 'x-roles': 'service', 'x-project-id': 'services' };
const VM = '5b2f6c1e-8d7a-4f3b-9c2d-1e0f9a8b7c6d';

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let look = 0; look < 500; look += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited in vain: ${what}`);
}

async function agentOf(t: TestContext, url: string, host: string, underlay: string): Promise<TestAgent> {
  const agent = new TestAgent(url, host);
  assert.equal((await agent.register(underlay)).status, 204);
  await agent.connect();
  t.after(() => agent.disconnect());
  return agent;
}

/** Ids of the ports that a slice has. */
function portsIn(agent: TestAgent, key: 'host:h1' | 'host:h2'): readonly string[] {
  const slice = agent.slices.get(key);
  return slice?.kind === 'host' ? slice.ports.map(({ id }) => id) : [];
}

const bindingsOf = async ({ send }: Harness, id: string): Promise<readonly string[]> => {
  const { body } = await send('GET', `/v2.0/ports/${id}/bindings`, undefined, SERVICE);
  const bindings = (body['bindings'] ?? []) as readonly Json[];
  return bindings.map((one) => `${one['host']} ${one['status']} ${one['vif_type']}`).sort();
};

test('a port on the vrouter is prepared on another host, moves there, and leaves the first', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  assert.equal((await install(harness, model('circuit'))).status, 200);
  const url = await harness.server.app.listen({ host: '127.0.0.1', port: 0 });
  const [one, two] = [await agentOf(t, url, 'h1', '192.0.2.1'), await agentOf(t, url, 'h2', '192.0.2.2')];
  const made = await send('POST', '/proton/circuit/v1.0/ports', { mac_address: 'fa:16:3e:00:00:07' }, AS);
  const id = String(made.body['id']);
  const path = `/v2.0/ports/${id}`;
  const status = async () => String((await send('GET', path, undefined, SERVICE)).body['port']?.['status']);
  const early = await send('POST', `${path}/bindings`, { binding: { host: 'h2' } }, SERVICE);
  assert.equal(early.status, 409, JSON.stringify(early.body));
  one.devices.add(id);
  const bind = { 'binding:host_id': 'h1', device_id: VM, device_owner: 'compute:nova' };
  assert.equal((await send('PUT', path, { port: bind }, SERVICE)).status, 200);
  await until('it is ACTIVE', async () => (await status()) === 'ACTIVE');

  const prepare = (host: string) => send('POST', `${path}/bindings`, { binding: { host, profile: {} } }, SERVICE);
  assert.equal((await prepare('h9')).status, 500, 'no host of that name');
  const added = await prepare('h2');
  assert.equal(added.status, 201, JSON.stringify(added.body));
  assert.equal((await prepare('h2')).status, 409);
  assert.deepEqual(await bindingsOf(harness, id), ['h1 ACTIVE tap', 'h2 INACTIVE tap']);
  two.devices.add(id);
  assert.deepEqual(portsIn(one, 'host:h1'), [id]);
  assert.equal((await send('POST', `${path}/bindings`, { binding: { host: 'h2' } }, AS)).status, 403);

  const moved = await send('PUT', `${path}/bindings/h2/activate`, undefined, SERVICE);
  assert.equal(moved.status, 200, JSON.stringify(moved.body));
  await until('it is on the other host', async () => portsIn(two, 'host:h2').includes(id));
  await until('it is ACTIVE there', async () => (await status()) === 'ACTIVE');
  assert.deepEqual(await bindingsOf(harness, id), ['h1 INACTIVE tap', 'h2 ACTIVE tap']);
  const own = (await send('GET', `/proton/circuit/v1.0/ports/${id}`, undefined, SERVICE)).body;
  assert.equal(String(own['host_id']), 'h2');
  assert.equal((await send('DELETE', `${path}/bindings/h1`, undefined, SERVICE)).status, 204);
  assert.deepEqual(await bindingsOf(harness, id), ['h2 ACTIVE tap']);
  await until('the first has nothing of it', async () => portsIn(one, 'host:h1').length === 0);
  await assertInvariants(harness.server);

  assert.equal((await prepare('h1')).status, 201);
  assert.equal((await send('PUT', path, { port: { 'binding:host_id': '' } }, SERVICE)).status, 200);
  assert.deepEqual(await bindingsOf(harness, id), []);
  await assertInvariants(harness.server);
});

test('a port that controllers bind is on one host at a time, and who asks for two is told so', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  assert.equal((await install(harness, model('net-l3vpn'), { backend: '' })).status, 200);
  const { body: port } = await send('POST', '/proton/net-l3vpn/v1.0/ports', PORT, AS);
  const path = `/v2.0/ports/${String(port['id'])}`;
  const plugged = { host_id: 'h1', device_id: VM, device_owner: 'compute:nova', vif_type: 'ovs' };
  await send('PUT', `/proton/net-l3vpn/v1.0/ports/${String(port['id'])}`, plugged, SERVICE);
  const added = await send('POST', `${path}/bindings`, { binding: { host: 'h2' } }, SERVICE);
  assert.equal(added.status, 400, JSON.stringify(added.body));
  assert.match(JSON.stringify(added.body), /controllers of the proton net-l3vpn, to one host at a time/);
});
