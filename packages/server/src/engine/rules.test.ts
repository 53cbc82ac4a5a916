/** Rules between objects, under two requests that together would break one: each pair is sent at once, again and again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore } from '@cable/store';
import { assertInvariants, type Harness, harnessOf, type Json, startTestServer } from '../testing/harness.ts';

const ROUNDS = 40;
const TENANT = { 'x-project-id': 'tenant', 'x-roles': 'member' };

/** Two servers on one store. */
async function startTwo(t: TestContext): Promise<readonly [Harness, Harness]> {
  const directory = await mkdtemp(join(tmpdir(), `cable-rules-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  const servers = [await startTestServer(store), await startTestServer(store)] as const;
  t.after(async () => {
    for (const server of servers) await server.stop();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  return [harnessOf(store, servers[0]), harnessOf(store, servers[1])];
}

test('a network is not un-shared beside another project’s port, through one server or two', async (t) => {
  const two = await startTwo(t);
  const outcomes = { ports: 0, unshared: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const network = await one.create('network', { shared: true, project_id: 'owner' });
    const id = String(network['id']);
    await waitForNetwork(other, id);
    const [port, unshared] = await Promise.all([
      one.send('POST', '/v2.0/ports', { port: { network_id: id } }, TENANT),
      other.send('PUT', `/v2.0/networks/${id}`, { network: { shared: false } }),
    ]);
    assert.ok([201, 404].includes(port.status), JSON.stringify(port.body));
    assert.ok([200, 409].includes(unshared.status), JSON.stringify(unshared.body));
    assert.notEqual(port.status === 201, unshared.status === 200);
    outcomes.ports += Number(port.status === 201);
    outcomes.unshared += Number(unshared.status === 200);
  }
  assert.equal(outcomes.ports + outcomes.unshared, ROUNDS);
  await assertInvariants(two[0].server);
});

test('a port that becomes another project’s machine by its device_owner counts, too', async (t) => {
  const two = await startTwo(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    const network = await two[0].create('network', { shared: true, project_id: 'owner' });
    const id = String(network['id']);
    const owned = { network_id: id, project_id: 'tenant', device_owner: 'network:dhcp' };
    const port = await two[0].create('port', owned);
    await waitForNetwork(two[1], id);
    const [changed, unshared] = await Promise.all([
      two[0].send('PUT', `/v2.0/ports/${port['id']}`, { port: { device_owner: 'compute:nova' } }),
      two[1].send('PUT', `/v2.0/networks/${id}`, { network: { shared: false } }),
    ]);
    assert.equal(changed.status, 200, JSON.stringify(changed.body));
    assert.ok([200, 409].includes(unshared.status), JSON.stringify(unshared.body));
  }
});

test('a gateway is not changed beside a router’s leg that takes it, through one server or two', async (t) => {
  const two = await startTwo(t);
  const outcomes = { attached: 0, changed: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const network = await one.create('network', {});
    const subnet = await one.create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
    const router = await one.create('router', {});
    const path = `/v2.0/subnets/${subnet['id']}`;
    await until(async () => (await other.send('GET', path)).status === 200);
    const [attached, changed] = await Promise.all([
      one.send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnet['id'] }),
      other.send('PUT', path, { subnet: { gateway_ip: '10.0.0.254', allocation_pools: [] } }),
    ]);
    assert.equal(attached.status, 200, JSON.stringify(attached.body));
    assert.ok([200, 409].includes(changed.status), JSON.stringify(changed.body));
    const leg = (await one.send('GET', `/v2.0/ports/${attached.body['port_id']}`)).body['port'] as Json;
    const now = (await one.send('GET', path)).body['subnet'] as Json;
    assert.equal(String(leg['fixed_ips']?.[0]?.['ip_address']), String(now['gateway_ip']));
    outcomes.attached += Number(changed.status === 409);
    outcomes.changed += Number(changed.status === 200);
  }
  assert.equal(outcomes.attached + outcomes.changed, ROUNDS);
  await assertInvariants(two[0].server);
});

async function waitForNetwork({ send }: Harness, id: string): Promise<void> {
  await until(async () => (await send('GET', `/v2.0/networks/${id}`)).status === 200);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}
