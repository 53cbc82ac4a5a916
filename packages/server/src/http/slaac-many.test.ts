/** Subnets of SLAAC in networks of more ports than one transaction changes: they come and go in parts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { SlaacKeeper } from '../resources/slaac-keeper.ts';
import type { CableServer } from '../server.ts';
import {
  assertInvariants,
  type Harness,
  type Json,
  keysLeft,
  refused,
  startHarness,
  startTestServer,
} from '../testing/harness.ts';

const SLAAC = { ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' };

type Cloud = Harness & { readonly network: Json; subnet(cidr: string, more: object): Promise<Json> };

async function startCloud(t: TestContext): Promise<Cloud> {
  const harness = await startHarness(t);
  const network = await harness.create('network', {});
  const subnet = (cidr: string, more: object) => harness.create('subnet', { network_id: network['id'], cidr, ...more });
  return { ...harness, network, subnet };
}

test('a subnet of SLAAC that changes more ports than the store takes at once comes and goes in parts', async (t) => {
  const { server, store, send, network, subnet } = await startCloud(t);
  const data = Buffer.alloc(60_000).toString('base64');
  const fat = { network_id: network['id'], 'cable:user_data': data };
  for (let n = 0; n < 20; n += 10) {
    assert.equal((await send('POST', '/v2.0/ports', { ports: Array(10).fill(fat) })).status, 201);
  }
  const made = await subnet('2001:db8::/64', SLAAC);
  const held = async (): Promise<readonly number[]> => {
    const { body } = await send('GET', `/v2.0/ports?network_id=${network['id']}&fields=fixed_ips`);
    return [...new Set((body['ports'] as unknown as Json[]).map((port) => port['fixed_ips']?.length ?? -1))];
  };
  assert.deepEqual(await held(), [1]);
  const shown = (await send('GET', `/v2.0/subnets/${made['id']}`)).body['subnet'];
  assert.equal(shown?.['revision_number'], made['revision_number'], 'the answer is of the end');
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/subnets/${made['id']}`)).status, 204);
  assert.deepEqual(await held(), [0]);
  assert.ok(!(await keysLeft(store)).some((key) => key.includes(String(made['id']))));
  await assertInvariants(server);
});

type Many = Cloud & {
  /** How many ports have an address of the subnet. */
  held(subnet: unknown): Promise<number>;
  keeper(server: CableServer): SlaacKeeper;
};

/** A network of 1,300 ports. */
async function manyPorts(t: TestContext): Promise<Many> {
  const cloud = await startCloud(t);
  const { send, network } = cloud;
  const ports = Array(650).fill({ network_id: network['id'] });
  for (const _ of [1, 2]) assert.equal((await send('POST', '/v2.0/ports', { ports })).status, 201);
  const held = async (id: unknown): Promise<number> => {
    const filter = `network_id=${network['id']}&fixed_ips=subnet_id=${id}`;
    return ((await send('GET', `/v2.0/ports?${filter}&fields=id`)).body['ports'] as unknown as Json[]).length;
  };
  const keeper = (server: CableServer): SlaacKeeper => {
    const abort = new AbortController();
    t.after(() => abort.abort());
    return new SlaacKeeper({ ...server.deps, signal: abort.signal, log: silentLogger() });
  };
  return { ...cloud, held, keeper };
}

test('what a request leaves of a subnet of SLAAC, another server does; ports that come meanwhile have the address', async (t) => {
  const { server, store, send, network, held, keeper } = await manyPorts(t);
  const body = { subnet: { network_id: network['id'], cidr: '2001:db8::/64', ...SLAAC } };
  // With less than a second nothing is done but the subnet itself.
  const answer = await send('POST', '/v2.0/subnets', body, { 'request-timeout': '0.9' });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  const id = answer.body['subnet']?.['id'];
  assert.equal(await held(id), 0);
  await assertInvariants(server);
  const second = await startTestServer(store);
  t.after(() => second.stop());
  const coming = Promise.all(
    Array.from({ length: 20 }, () => send('POST', '/v2.0/ports', { port: { network_id: network['id'] } })),
  );
  await Promise.all([keeper(server).round(0), keeper(second).round(0), coming]);
  assert.ok((await coming).every((one) => one.status === 201 && one.body['port']?.['fixed_ips']?.length === 1));
  assert.equal(await held(id), 1320);
  assert.deepEqual(Object.keys(server.deps.tables.of('subnet').get(String(id)) ?? {}).filter(isHidden), []);
  await assertInvariants(server);
});

test('a subnet of SLAAC whose delete was left goes all the same, and nobody gets an address of it meanwhile', async (t) => {
  const { server, store, send, network, held, keeper, subnet } = await manyPorts(t);
  const { id } = await subnet('2001:db8::/64', SLAAC);
  assert.equal(await held(id), 1300);
  const path = `/v2.0/subnets/${id}`;
  await refused(send('DELETE', path, undefined, { 'request-timeout': '0.9' }), 504, 'OutcomeUnknown');
  assert.equal(await held(id), 1300);
  await assertInvariants(server);
  const came = await send('POST', '/v2.0/ports', { port: { network_id: network['id'] } });
  assert.equal(came.body['port']?.['fixed_ips']?.length, 0);
  const leg = { port: { network_id: network['id'], fixed_ips: [{ subnet_id: id }] } };
  await refused(send('POST', '/v2.0/ports', leg), 400, 'InvalidInput');
  await refused(send('PUT', path, { subnet: { name: 'late' } }), 409, 'SubnetBeingDeleted');
  // What a guest's owner sends back as it was shown is no fault.
  const [one] = (await send('GET', `/v2.0/ports?fixed_ips=subnet_id=${id}&limit=1`)).body['ports'] as unknown as Json[];
  const again = { port: { fixed_ips: one?.['fixed_ips'], mac_address: 'fa:16:3e:ff:ff:01' } };
  assert.equal((await send('PUT', `/v2.0/ports/${one?.['id']}`, again)).status, 200);
  await keeper(server).round(0);
  assert.equal((await send('GET', path)).status, 404);
  assert.equal(await held(id), 0);
  assert.ok(!(await keysLeft(store)).some((key) => key.includes(String(id))));
  await assertInvariants(server);
});

test('a subnet of SLAAC that many ports follow stays while a router has a leg in it, with its addresses', async (t) => {
  const { server, send, held, subnet, create } = await manyPorts(t);
  const { id } = await subnet('2001:db8::/64', SLAAC);
  const router = await create('router', {});
  await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: id });
  await refused(send('DELETE', `/v2.0/subnets/${id}`), 409, 'SubnetInUse');
  assert.equal(await held(id), 1301);
  await assertInvariants(server);
});

function isHidden(name: string): boolean {
  return name.startsWith('_');
}
