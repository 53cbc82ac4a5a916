import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { BUILT_IN_REGISTRY, isGrantedTo } from '@cable/model';
import { type Op, openStore, type Store } from '@cable/store';
import { noauth } from '../http/auth.ts';
import { DERIVED, FORMAT, OBJECTS, objectKey, serverKey } from '../keys.ts';
import { type CableServer, startServer } from '../server.ts';
import { assertInvariants, harnessOf, refused } from '../testing/harness.ts';

/** A store as a version before the form of today left it: objects whose keys are elsewhere. */
async function openOld(t: TestContext): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), `cable-format-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  t.after(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const server = await start(store);
  const { create } = harnessOf(store, server);
  const network = await create('network', { shared: true, project_id: 'owner' });
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  await create('port', { network_id: network['id'], project_id: 'tenant', 'binding:host_id': 'h1' });
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
  const outside = await create('network', { ...flat, 'router:external': true });
  await create('router', { project_id: 'tenant', external_gateway_info: { network_id: outside['id'] } });
  await create('qos_policy', { shared: true, project_id: 'owner' });
  await create('qos_policy', { project_id: 'owner' });
  await server.stop();
  // Objects said it of themselves, and there were no policies.
  const objects = (await store.list(OBJECTS)).kvs.map(({ key, value }): Op => {
    if (key.includes('/rbac_policy/')) return { kind: 'delete', key };
    const {
      shared_with: targets,
      external_to: _,
      ha,
      distributed,
      ...object
    } = JSON.parse(value) as Record<string, unknown>;
    // Routers said nothing of these.
    assert.equal(ha, distributed);
    const shared =
      key.includes('security_group') || targets === undefined ? {} : { shared: isGrantedTo(targets, null) };
    return { kind: 'put', key, value: JSON.stringify({ ...object, ...shared }) };
  });
  await store.txn([], [...objects, { kind: 'deletePrefix', prefix: DERIVED }, { kind: 'delete', key: FORMAT }]);
  await store.txn([], [{ kind: 'put', key: `${DERIVED}vni/77`, value: String(network['id']) }]);
  return store;
}

/** Time that a wait passes quickly. */
function start(store: Store, isStoreShared = false, monotonicMs = () => performance.now()): Promise<CableServer> {
  const settings = { underlayMtuBytes: 1500 };
  const options = { store, registry: BUILT_IN_REGISTRY, authenticate: noauth(), settings, log: silentLogger() };
  return startServer({ ...options, isStoreShared, monotonicMs });
}

test('the keys of an older store are made anew, and those of before are gone', async (t) => {
  const store = await openOld(t);
  const server = await start(store);
  t.after(() => server.stop());
  await assertInvariants(server);
  assert.ok((await store.list(DERIVED)).kvs.length >= 5);
});

test('routers of an older store say what they have been all the time', async (t) => {
  const store = await openOld(t);
  const server = await start(store);
  t.after(() => server.stop());
  const { body } = await harnessOf(store, server).send('GET', '/v2.0/routers?ha=True&distributed=True');
  assert.deepEqual(
    body['routers']?.map((one) => [one['ha'], one['distributed']]),
    [[true, true]],
  );
});

test('many large routers of an older store get what they lack, in as many transactions as it takes', async (t) => {
  const store = await openOld(t);
  const [old] = (await store.list(`${OBJECTS}router/`)).kvs;
  const router = JSON.parse(old?.value ?? '') as Record<string, unknown>;
  const many = Array.from({ length: 300 }, (_, n): Op => {
    const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
    const bare = { ...router, id, external_gateway_info: null, gateway_port_id: null, transit_vni: null };
    return {
      kind: 'put',
      key: objectKey('router', id),
      value: JSON.stringify({ ...bare, description: 'x'.repeat(9000) }),
    };
  });
  for (let at = 0; at < many.length; at += 100) await store.txn([], many.slice(at, at + 100));
  const server = await start(store);
  t.after(() => server.stop());
  const { body } = await harnessOf(store, server).send('GET', '/v2.0/routers?ha=True&distributed=True&fields=id');
  assert.equal(body['routers']?.length, 301);
});

test('a router of an older store keeps the provider of its flavor, and a leg that has moved is no breach', async (t) => {
  const store = await openOld(t);
  const first = await start(store);
  const harness = harnessOf(store, first);
  const { create, send } = harness;
  const profile = await create('service_profile', { driver: 'cable' });
  const flavor = await create('flavor', { name: 'f', service_type: 'L3_ROUTER_NAT' });
  const bind = { service_profile: { id: profile['id'] } };
  assert.equal((await send('POST', `/v2.0/flavors/${flavor['id']}/service_profiles`, bind)).status, 201);
  const router = await create('router', { flavor_id: flavor['id'] });
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.7.0.0/24', ip_version: 4 });
  const added = await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnet['id'] });
  const leg = String(added.body['port_id']);
  const fixed = [{ subnet_id: subnet['id'], ip_address: '10.7.0.9' }];
  assert.equal((await send('PUT', `/v2.0/ports/${leg}`, { port: { fixed_ips: fixed } })).status, 200);
  await first.stop();
  // As it was before the provider was kept, and the mark followed.
  const change = async (type: string, id: string, sets: object): Promise<void> => {
    const key = objectKey(type, id);
    const object = JSON.parse((await store.get(key))?.value ?? '') as object;
    await store.txn([], [{ kind: 'put', key, value: JSON.stringify({ ...object, ...sets }) }]);
  };
  await change('router', String(router['id']), { _provider: undefined });
  await change('port', leg, { _gateway: true });
  await store.txn([], [{ kind: 'put', key: FORMAT, value: '5' }]);
  const server = await start(store);
  t.after(() => server.stop());
  await assertInvariants(server);
  const stored = JSON.parse((await store.get(objectKey('router', String(router['id']))))?.value ?? '') as object;
  assert.equal((stored as { _provider?: string })._provider, 'cable');
  assert.ok(!((await store.get(objectKey('port', leg)))?.value ?? '').includes('_gateway'));
});

test('ports of gateways of an older store are taken out of the project and the quota that they were in', async (t) => {
  const store = await openOld(t);
  const ports = (await store.list(`${OBJECTS}port/`)).kvs;
  const owned = ports.flatMap(({ key, value }): Op[] => {
    const port = JSON.parse(value) as { readonly device_owner: string };
    if (port.device_owner !== 'network:router_gateway') return [];
    return [{ kind: 'put', key, value: JSON.stringify({ ...port, project_id: 'owner', _slot: 3 }) }];
  });
  assert.equal(owned.length, 1);
  await store.txn([], owned);
  const server = await start(store);
  t.after(() => server.stop());
  const { body } = await harnessOf(store, server).send('GET', '/v2.0/ports?device_owner=network:router_gateway');
  assert.deepEqual(
    body['ports']?.map((port) => port['project_id']),
    [''],
  );
  assert.ok(!((await store.get(owned[0]?.kind === 'put' ? owned[0].key : ''))?.value ?? '').includes('_slot'));
  assert.deepEqual((await store.list(`${DERIVED}claim/slot/`)).kvs, []);
  await assertInvariants(server);
});

test('what an older store says is shared has its policies, and none twice', async (t) => {
  const store = await openOld(t);
  const look = async (server: CableServer): Promise<unknown> => {
    const { send } = harnessOf(store, server);
    const seen = { 'x-project-id': 'another', 'x-roles': 'member' };
    const networks = (await send('GET', '/v2.0/networks', undefined, seen)).body['networks'] ?? [];
    const policies = (await send('GET', '/v2.0/qos/policies', undefined, seen)).body['policies'] ?? [];
    const rbac = (await send('GET', '/v2.0/rbac-policies')).body['rbac_policies'] ?? [];
    return {
      networks: networks.map((one) => [one['shared'], one['router:external']]).sort(),
      policies: policies.map((one) => one['shared']),
      rbac: rbac
        .map((one) => `${one['object_type']} ${one['action']} ${one['target_tenant']} ${one['project_id']}`)
        .sort(),
    };
  };
  const expected = {
    networks: [
      [false, true],
      [true, false],
    ],
    policies: [true],
    rbac: [
      'network access_as_external * default',
      'network access_as_shared * owner',
      'qos_policy access_as_shared * owner',
    ],
  };
  // Each dies some transactions later than the one before.
  const { txn } = store;
  for (let deaths = 1; deaths < 8; deaths += 1) {
    let left = deaths;
    store.txn = (...args) => {
      left -= 1;
      return left >= 0 ? txn.apply(store, args) : Promise.reject(new Error('the server died'));
    };
    await start(store).then(
      (server) => server.stop(),
      () => {},
    );
  }
  store.txn = txn;
  const server = await start(store);
  t.after(() => server.stop());
  assert.deepEqual(await look(server), expected);
  await assertInvariants(server);
  const { send } = harnessOf(store, server);
  const [network] = (await send('GET', '/v2.0/networks?shared=True')).body['networks'] ?? [];
  await refused(
    send('PUT', `/v2.0/networks/${network?.['id']}`, { network: { shared: false } }),
    409,
    'InvalidSharedSetting',
  );
});

test('rules that an older version took for different ones stay, and the oldest is the one that is not made twice', async (t) => {
  const store = await openOld(t);
  const first = await start(store);
  const { create } = harnessOf(store, first);
  const group = await create('security_group', {});
  const given = { security_group_id: group['id'], direction: 'ingress', protocol: 'tcp' };
  const rule = await create('security_group_rule', given);
  await first.stop();
  const stored = JSON.parse(String((await store.get(objectKey('security_group_rule', String(rule['id']))))?.value));
  const older = [
    { id: '00000000-0000-4000-8000-000000000001', remote_ip_prefix: '0.0.0.0/0', created_at: '2020-01-01T00:00:00Z' },
    { id: '00000000-0000-4000-8000-000000000002', port_range_min: 1, port_range_max: 65535 },
  ].map((more) => ({ ...stored, ...more }));
  await store.txn(
    [],
    [
      ...older.map(
        (one): Op => ({ kind: 'put', key: objectKey('security_group_rule', one.id), value: JSON.stringify(one) }),
      ),
      { kind: 'put', key: FORMAT, value: '4' },
    ],
  );
  const server = await start(store);
  t.after(() => server.stop());
  await assertInvariants(server);
  const { send } = harnessOf(store, server);
  const again = (): ReturnType<typeof send> =>
    send('POST', '/v2.0/security-group-rules', { security_group_rule: given });
  for (const id of [older[0]?.id, String(rule['id']), older[1]?.id]) {
    await refused(again(), 409, 'SecurityGroupRuleExists');
    assert.equal((await send('DELETE', `/v2.0/security-group-rules/${id}`)).status, 204);
    await assertInvariants(server);
  }
  assert.equal((await again()).status, 201);
});

test('a server that died while it made the keys is followed by one that makes them', async (t) => {
  const store = await openOld(t);
  const { txn } = store;
  let left = 4;
  store.txn = (...args) => {
    left -= 1;
    return left > 0 ? txn.apply(store, args) : Promise.reject(new Error('the server died'));
  };
  await assert.rejects(start(store), /the server died/);
  store.txn = txn;
  const server = await start(store);
  t.after(() => server.stop());
  await assertInvariants(server);
});

test('an older server that runs keeps a new one from starting, a newer store for good', async (t) => {
  const store = await openOld(t);
  await store.txn([], [{ kind: 'put', key: serverKey('old'), value: '{}' }]);
  let ms = 0;
  const fast = (): number => {
    ms += 40_000;
    return ms;
  };
  await assert.rejects(start(store, true, fast), /older version runs on it: stop all of those first/);
  await store.txn([], [{ kind: 'put', key: FORMAT, value: '99' }]);
  await assert.rejects(start(store), /newer version of Cable \(form 99/);
});
