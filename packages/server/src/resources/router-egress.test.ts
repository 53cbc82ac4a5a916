import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { Router, RouterEgress, SnatLease } from '@cable/model';
import { type Answer, assertInvariants, type Harness, type Json, startHarness } from '../testing/harness.ts';
import { MEMBER, outsideWorld } from '../testing/outside.ts';
import { SnatKeeper } from './snat-keeper.ts';

const OTHER = { 'x-project-id': 'p2', 'x-roles': 'member' };

/** A router with two networks behind it and its gateway on h1; requests about its egresses; and a keeper of leases that the test runs. */
async function world(harness: Harness, stop: AbortController) {
  const { server, send } = harness;
  await server.plane.register('h1', {
    ...{ underlay: '192.0.2.1', agentVersion: '1', cluster: 'c1', bridgeMappings: { physnet1: 'eth1' } },
    features: ['blocks', 'floats'],
  });
  const outside = await outsideWorld(harness);
  const { router } = outside;
  const networks = [await outside.inside('10.0.0.0/24'), await outside.inside('10.0.1.0/24')] as const;
  const path = '/v2.0/router-egresses';
  const post = (fields: object, headers: Record<string, string> = MEMBER): Promise<Answer> =>
    send('POST', path, { router_egress: { priority: 100, router_id: router['id'], ...fields } }, headers);
  const made = async (fields: object): Promise<RouterEgress> => {
    const answer = await post(fields);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body['router_egress'] as unknown as RouterEgress;
  };
  const addresses = async (): Promise<readonly string[]> => {
    const { body } = await send('GET', `/v2.0/routers/${router['id']}`);
    const info = (body['router'] as unknown as Router).external_gateway_info;
    return (info?.external_fixed_ips ?? []).map((one) => one.ip_address);
  };
  const keeper = new SnatKeeper({ ...server.deps, log: silentLogger(), signal: stop.signal });
  const leaves = async (port: Json): Promise<string | undefined> => {
    await keeper.round();
    const leases: readonly SnatLease[] = [...server.tables.of('snat_lease').values()];
    return leases.find((one) => one.port_id === String(port['id']) && one.first_ports.length > 0)?.external_address;
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await keeper.done;
    await assertInvariants(server);
  };
  return { ...outside, networks, path, post, made, addresses, leaves, end };
}

test('ports leave by the address of the first egress that matches them, and nobody else by that', async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const harness = await startHarness(t);
  const { networks, router, portIn, made, addresses, leaves, path, end } = await world(harness, stop);
  const [first, second] = networks;
  const onHost = { 'binding:host_id': 'h1' };
  const { create, send } = harness;
  const controller = { 'x-project-id': 'c1.', 'cable-cluster': 'c1', 'cable-epoch': '1' };
  await create('kubernetes_cluster', { name: 'c1' });
  const claim = { uid: '0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21', holder: 'a', epoch: 1 };
  await send('PUT', '/cable/v1/kubernetes-clusters/c1/claim', claim, controller);
  const ofCluster = (origin: string): object => ({ 'cable:cluster': 'c1', 'cable:origin': origin });
  const pods = await create('network', ofCluster('Vpc/default'), controller);
  const subnet = await create('subnet', { network_id: pods['id'], cidr: '10.0.2.0/24' }, controller);
  const leg = { subnet_id: subnet['id'] };
  assert.equal((await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, leg)).status, 200);
  const pod = async (name: string, app: string): Promise<Json> => {
    const fields = { ...ofCluster(`Pod/shop/${name}/${name}`), network_id: pods['id'], ...onHost };
    const labels = { 'cable:namespace': 'c1/shop', 'cable:labels': [`app=${app}`] };
    return create('port', { ...fields, ...labels, device_owner: 'kubernetes:pod', security_groups: [] }, controller);
  };
  const plain = await portIn(first.network);
  const other = await portIn(second.network);
  for (const { id } of [plain, other] as readonly { id?: unknown }[])
    await send('PUT', `/v2.0/ports/${id}`, { port: onHost });
  const web = await pod('web-1', 'web');
  const db = await pod('db-1', 'db');
  const [own] = await addresses();
  assert.equal(await leaves(plain), undefined, 'ports are shared by default');
  const shop = await made({ namespaces: ['c1/shop'] });
  const [ofShop] = shop.external_addresses;
  assert.ok(ofShop !== undefined && ofShop !== own);
  assert.deepEqual(await addresses(), [own, ofShop], 'the router has one more');
  for (const [port, address] of [
    [plain, own],
    [other, own],
    [web, ofShop],
    [db, ofShop],
  ] as const)
    assert.equal(await leaves(port), address);
  const ofWeb = await made({ priority: 200, pods: 'app in (web)' });
  assert.equal(ofWeb['pods'], 'app=web', 'selectors have one text');
  const [webAddress] = ofWeb.external_addresses;
  assert.deepEqual([await leaves(web), await leaves(db)], [webAddress, ofShop], 'the highest priority counts');
  const relabelled = await send(
    'PUT',
    `/v2.0/ports/${db['id']}`,
    { port: { 'cable:labels': ['app=web'] } },
    controller,
  );
  assert.equal(relabelled.status, 200, JSON.stringify(relabelled.body));
  assert.equal(await leaves(db), webAddress, 'a changed label is followed');
  const bySecond = { priority: 50, subnet_ids: [second.subnet['id']], external_addresses: [ofShop] };
  const bySubnet = await made(bySecond);
  assert.deepEqual([await leaves(other), await leaves(plain)], [ofShop, own], 'a subnet, and an address that is there');
  assert.equal((await send('DELETE', `${path}/${shop['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual(await addresses(), [own, ofShop, webAddress], 'another one names its address');
  assert.equal((await send('DELETE', `${path}/${bySubnet['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual(await addresses(), [own, webAddress], 'and takes it along');
  assert.equal(await leaves(other), own);
  await end();
});

test('what cannot be is refused by name, and a router keeps the addresses that are named', async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const harness = await startHarness(t);
  const { send } = harness;
  const { router, post, made, addresses, end, path } = await world(harness, stop);
  const [own] = await addresses();
  for (const [fields, status, text] of [
    [{ pods: 'app=(' }, 400, /pods is "app=\(", which is no selector/],
    [
      { external_addresses: ['203.0.113.200'] },
      400,
      /external_addresses has 203\.0\.113\.200, which the router's gateway has not/,
    ],
    [{ external_addresses: ['2001:db8::1'] }, 400, /IPv6 is not translated/],
    [{ priority: -1 }, 400, /priority/],
  ] as const) {
    const answer = await post(fields);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(JSON.stringify(answer.body).replaceAll('\\"', '"'), text);
  }
  assert.equal((await post({}, OTHER)).status, 404, 'of a router of another project');
  assert.deepEqual(await addresses(), [own], 'what was refused took no address');
  const one = await made({});
  const [named] = one.external_addresses;
  const put = (info: object | null): Promise<Answer> =>
    send('PUT', `/v2.0/routers/${router['id']}`, { router: { external_gateway_info: info } });
  const { body } = await send('GET', `/v2.0/routers/${router['id']}`);
  const info = (body['router'] as unknown as Router).external_gateway_info;
  assert.ok(info);
  assert.equal((await put({ network_id: info.network_id, external_fixed_ips: [{ ip_address: own }] })).status, 409);
  assert.equal((await put(null)).status, 409);
  assert.equal((await put({ network_id: info.network_id })).status, 200);
  assert.deepEqual(await addresses(), [own, named]);
  const changed = await send('PUT', `${path}/${one['id']}`, { router_egress: { external_addresses: [own] } }, MEMBER);
  assert.equal(changed.status, 400, 'addresses stay');
  for (const { id } of (await send('GET', `/v2.0/ports?device_owner=network:router_interface`)).body['ports'] ?? [])
    await send('PUT', `/v2.0/routers/${router['id']}/remove_router_interface`, { port_id: id }, MEMBER);
  assert.equal((await send('DELETE', `/v2.0/routers/${router['id']}`, undefined, MEMBER)).status, 204);
  await end();
});

test('an egress says whether it is in force, and what it waits for if it is not', async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const harness = await startHarness(t);
  const { router, made, path, end } = await world(harness, stop);
  const { send, server } = harness;
  const egress = await made({});
  const said = async (): Promise<readonly unknown[]> => {
    const shown = (await send('GET', `${path}/${egress.id}`, undefined, MEMBER)).body['router_egress'] as Json;
    return [shown['status'], shown['waits_for']];
  };
  assert.deepEqual(await said(), ['ACTIVE', '']);
  const host = { underlay: '192.0.2.1', agentVersion: '1', cluster: 'c1', bridgeMappings: { physnet1: 'eth1' } };
  await server.plane.register('h1', { ...host, features: ['floats'] });
  const [status, waitsFor] = await said();
  assert.equal(status, 'DOWN');
  assert.match(String(waitsFor), /agent on the gateway’s host that leases ports/);
  assert.doesNotMatch(String(waitsFor), /h1/, 'names of hosts are not the project’s to know');
  await server.plane.register('h1', { ...host, features: ['blocks', 'floats'] });
  assert.deepEqual(await said(), ['ACTIVE', '']);
  const { network_id } = router['external_gateway_info'] as unknown as { readonly network_id: string };
  const untranslated = { router: { external_gateway_info: { network_id, enable_snat: false } } };
  assert.equal((await send('PUT', `/v2.0/routers/${router['id']}`, untranslated)).status, 200);
  assert.match(String((await said())[1]), /enable_snat/);
  await end();
});
