/** What was found by reading the code against its promises. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore } from '@cable/store';
import { assertInvariants, harnessOf, type Json, startHarness, startTestServer } from '../testing/harness.ts';
import { ADMIN, AS, file, install, model, OTHER, PORT, TENANT, V10, V20 } from './protons.fixture.ts';

const SERVICE = { 'x-roles': 'service', 'x-project-id': 'services' };
const SHOPS = '/proton/shop/v2.0/shops';
const OLD_SHOPS = '/proton/shop/v1.0/shops';
const BASE = '/proton/net-l3vpn/v1.0';

test('a port that is bound to another host is not bound by what the one before said', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, model('net-l3vpn'));
  const { body: port } = await send('POST', `${BASE}/ports`, PORT, AS);
  const path = `${BASE}/ports/${port['id']}`;
  const first = await send('PUT', path, { host_id: 'h1', vif_type: 'ovs', vif_details: '{"a": 1}' }, SERVICE);
  assert.deepEqual([first.body['vif_type'], first.body['status']], ['ovs', 'ACTIVE']);
  const moved = await send('PUT', path, { host_id: 'h2' }, SERVICE);
  assert.deepEqual(
    [moved.body['vif_type'], moved.body['status']],
    ['binding_failed', 'DOWN'],
    'nobody has bound it there',
  );
});

test('a tenant begins no binding anew by sending back what he was shown', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, model('net-l3vpn'));
  const { body: port } = await send('POST', `${BASE}/ports`, PORT, AS);
  const path = `${BASE}/ports/${port['id']}`;
  await send('PUT', path, { host_id: 'h1' }, SERVICE);
  const generation = async (): Promise<number> =>
    Number(
      (await send('GET', `/cable/v1/port-owners/${port['id']}`, undefined, ADMIN)).body['port_owner']?.['generation'],
    );
  const before = await generation();
  const shown = (await send('GET', path, undefined, AS)).body;
  assert.equal((await send('PUT', path, shown, AS)).status, 200);
  await send('PUT', `/v2.0/ports/${port['id']}`, { port: { 'binding:host_id': 'h1' } }, AS);
  assert.equal(await generation(), before);
  await send('PUT', path, { host_id: 'h1' }, SERVICE);
  assert.equal(await generation(), before + 1, 'who may bind tries again');
  const owner = (await send('GET', `/cable/v1/port-owners/${port['id']}`, undefined, AS)).body['port_owner'] as Json;
  assert.deepEqual([owner['proton'], 'host_id' in owner, 'vif_details' in owner], ['net-l3vpn', false, false]);
});

test('the networks and subnets that are made up are those of the project that has ports there', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, model('net-l3vpn'));
  const { body: port } = await send('POST', `${BASE}/ports`, PORT, AS);
  const network = (await send('GET', `/v2.0/ports/${port['id']}`, undefined, AS)).body['port']?.['network_id'];
  const path = `/v2.0/networks/${network}`;
  assert.equal((await send('GET', path, undefined, AS)).status, 200);
  assert.equal((await send('GET', path, undefined, SERVICE)).status, 200);
  assert.equal((await send('GET', path, undefined, { ...AS, 'x-project-id': OTHER })).status, 404);
});

test('an upgrade keeps what the engine has hidden in objects: slots of quotas, and of which request each is', async (t) => {
  const harness = await startHarness(t, { tenants: true });
  const { send } = harness;
  await install(harness, file(V10));
  const key = { ...AS, 'idempotency-key': 'k1' };
  const body = { name: 'a', size: 3, tenant_id: TENANT };
  assert.equal((await send('POST', OLD_SHOPS, body, key)).status, 201);
  const upgrade = await install(harness, file(V20));
  assert.equal(upgrade.status, 200, JSON.stringify(upgrade.body));
  await assertInvariants(harness.server);
  // What the request comes to is another by now: it is said, and nothing is made twice.
  assert.equal((await send('POST', OLD_SHOPS, body, key)).status, 422);
  assert.equal((await send('GET', SHOPS, undefined, AS)).body['shops']?.length, 1);
  assert.equal((await send('PUT', '/cable/v1/protons/shop/migrate', {}, ADMIN)).body['left'] as unknown, 0);
  await assertInvariants(harness.server);
});

test('a server that starts knows which slots of quotas are held', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), `cable-slots-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  t.after(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const first = await startTestServer(store);
  const one = harnessOf(store, first);
  await install(one, file(V20));
  await one.send('PUT', '/cable/v1/protons/shop/quota', { object: 'shop', quota: 6 }, ADMIN);
  const ids: string[] = [];
  for (let at = 0; at < 5; at += 1) ids.push(String((await one.send('POST', SHOPS, { volume: 1 }, AS)).body['id']));
  for (const id of ids.slice(0, 2)) await one.send('DELETE', `${SHOPS}/${id}`, undefined, AS);
  await first.stop();
  const second = await startTestServer(store);
  t.after(() => second.stop());
  const { send } = harnessOf(store, second);
  const made = [];
  for (let at = 0; at < 4; at += 1) made.push((await send('POST', SHOPS, { volume: 1 }, AS)).status);
  assert.deepEqual(made, [201, 201, 201, 409]);
});

test('files that are installed again change nothing, and no version takes what it cannot hold', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, file(V10));
  await install(harness, file(V20));
  await send('POST', SHOPS, { volume: 2, colour: 'green' }, AS);
  await send('PUT', '/cable/v1/protons/shop/versions/1.0', { deprecated: true }, ADMIN);
  for (const text of [V10, V20]) assert.equal(String((await install(harness, file(text))).body['state']), 'unchanged');
  const proton = (await send('GET', '/cable/v1/protons/shop', undefined, ADMIN)).body['proton'] as Json;
  assert.deepEqual([proton['storage_version'], proton['versions']?.[0]?.['deprecated']], ['2.0', true]);
  const back = await send('PUT', '/cable/v1/protons/shop/migrate', { to: '1.0' }, ADMIN);
  assert.equal(back.status, 409);
  assert.match(String(back.body['NeutronError']?.['message']), /colour: version 1\.0 cannot hold it/);
});

test('through a version that is not the stored one a tenant makes a port', async (t) => {
  const harness = await startHarness(t);
  await install(harness, model('net-l3vpn'));
  const next = await install(harness, model('net-l3vpn-v1.1'));
  assert.equal(next.status, 200, JSON.stringify(next.body));
  const made = await harness.send('POST', `${BASE}/ports`, PORT, AS);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const changed = await harness.send('PUT', `${BASE}/ports/${made.body['id']}`, { name: 'other' }, AS);
  assert.equal(changed.status, 200, JSON.stringify(changed.body));
  assert.equal((await harness.send('PUT', `${BASE}/ports/${made.body['id']}`, { host_id: 'h1' }, AS)).status, 403);
});

test('what nothing refers to goes first when a proton is removed with its objects', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, model('net-l3vpn'));
  const { body: port } = await send('POST', `${BASE}/ports`, PORT, AS);
  const { body: vpn } = await send('POST', `${BASE}/vpns`, { name: 'blue', tenant_id: TENANT }, AS);
  const binding = { tenant_id: TENANT, interface_id: port['id'], service_id: vpn['id'], ipaddress: '10.0.0.5' };
  assert.equal((await send('POST', `${BASE}/vpnbindings`, binding, AS)).status, 201);
  const gone = await send('DELETE', '/cable/v1/protons/net-l3vpn?objects=true', undefined, ADMIN);
  assert.equal(gone.status, 204, JSON.stringify(gone.body));
  const left = await harness.store.list('/cable/o/port_owner/');
  assert.deepEqual(left.kvs, []);
});

test('what refers to each other, or to itself, goes when a proton is removed with its objects', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const reference = (object: string) => `{ nullable: true, ref: { object: ${object} } }`;
  const object = (name: string, word: string, other: string) =>
    `  ${name}: { api: { name: ${word}, plural_name: ${word}s }, extends: BaseService, attributes: { next: ${reference(other)}, twin: ${reference(name)} } }`;
  const head = ['file_version: "2.0"', 'info: { name: rings, version: "1.0" }', 'imports: base/v2.yaml', 'objects:'];
  const text = [...head, object('Left', 'left', 'Right'), object('Right', 'right', 'Left')];
  const installed = await install(harness, [{ name: 'rings.yaml', text: text.join('\n') }]);
  assert.equal(installed.status, 200, JSON.stringify(installed.body));
  const made = async (collection: string, body: object): Promise<string> => {
    const { status, body: one } = await send('POST', `/proton/rings/v1.0/${collection}`, body, AS);
    assert.equal(status, 201, JSON.stringify(one));
    return String(one['id']);
  };
  const left = await made('lefts', {});
  const right = await made('rights', { next: left });
  await made('lefts', { next: right });
  for (const change of [{ next: right }, { twin: left }]) {
    const { status, body } = await send('PUT', `/proton/rings/v1.0/lefts/${left}`, change, AS);
    assert.equal(status, 200, JSON.stringify(body));
  }
  const gone = await send('DELETE', '/cable/v1/protons/rings?objects=true', undefined, ADMIN);
  assert.equal(gone.status, 204, JSON.stringify(gone.body));
  assert.deepEqual((await harness.store.list('/cable/o/proton.rings')).kvs, []);
  await assertInvariants(harness.server);
});

test('a change of Neutron’s door holds only for the revision that it names, and nothing is taken that does nothing', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, model('net-l3vpn'));
  const { body: port } = await send('POST', `${BASE}/ports`, PORT, AS);
  const path = `/v2.0/ports/${port['id']}`;
  const stale = { ...AS, 'if-match': 'revision_number=99' };
  assert.equal((await send('PUT', path, { port: { name: 'x' } }, stale)).status, 412);
  assert.equal((await send('DELETE', path, undefined, stale)).status, 412);
  assert.equal((await send('PUT', path, { port: { port_security_enabled: true } }, AS)).status, 400);
  assert.equal((await send('PUT', path, { port: { name: 'x', security_groups: [] } }, AS)).status, 200);
});

test('a port is unbound by empty texts, as Gluon’s plug-in does it', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  await install(harness, model('net-l3vpn'));
  const { body: port } = await send('POST', `${BASE}/ports`, PORT, AS);
  const path = `${BASE}/ports/${port['id']}`;
  const bind = {
    host_id: 'h1',
    device_id: '5b2f6c1e-8d7a-4f3b-9c2d-1e0f9a8b7c6d',
    device_owner: 'compute:nova',
    profile: '{}',
  };
  await send('PUT', path, { ...bind, vif_type: 'ovs' }, SERVICE);
  const freed = await send('PUT', path, { host_id: '', device_id: '', device_owner: '', profile: '' }, SERVICE);
  assert.equal(freed.status, 200, JSON.stringify(freed.body));
  assert.deepEqual([freed.body['vif_type'], freed.body['device_id'], freed.body['status']], [null, null, 'DOWN']);
});
