/** Services of Kubernetes through the API of a server. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { checkStore } from '../engine/check.ts';
import { objectKey } from '../keys.ts';
import { AnnouncedKeeper } from '../resources/announced-keeper.ts';
import { type Answer, assertInvariants, type Harness, type Json, startHarness } from '../testing/harness.ts';

type Headers = Record<string, string>;

/** The controller of the cluster. */
const KUBE: Headers = { 'x-project-id': 'prod.', 'cable-cluster': 'prod', 'cable-epoch': '1' };
const MEMBER: Headers = { 'x-project-id': 'prod.', 'x-roles': 'member,reader' };
const OTHER: Headers = { 'x-project-id': 'other', 'x-roles': 'member,reader' };

/** A scope at a router with an interface in 10.1.0.0/24, and requests about its Services. */
async function cluster({ create, send }: Harness, cidrs: readonly string[] = ['10.96.0.0/16', 'fd96::/112']) {
  await create('kubernetes_cluster', { name: 'prod' });
  const claim = { uid: randomUUID(), holder: 'a', epoch: 1 };
  assert.equal((await send('PUT', '/cable/v1/kubernetes-clusters/prod/claim', claim, KUBE)).status, 200);
  const router = await create('router', {}, KUBE);
  const network = await create('network', {}, KUBE);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.1.0.0/24', ip_version: 4 }, KUBE);
  const attach = (id: unknown): Promise<Answer> =>
    send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: id }, KUBE);
  assert.equal((await attach(subnet['id'])).status, 200);
  const post = (path: string, name: string, fields: object, headers = KUBE): Promise<Answer> =>
    send('POST', `/cable/v1/${path}`, { [name]: fields }, headers);
  const scope = await post('service-scopes', 'service_scope', { cidrs, router_ids: [router['id']] });
  assert.equal(scope.status, 201, JSON.stringify(scope.body));
  const { id } = scope.body['service_scope'] as Json;
  const web = { scope_id: id, cluster_ips: ['10.96.0.10'], ports: [{ protocol: 'TCP', port: 80 }] };
  return {
    ...{ router, network, subnet, attach, web, id: String(id) },
    scopes: (fields: object) => post('service-scopes', 'service_scope', fields),
    services: (fields: object, headers = KUBE) => post('services', 'service', { ...web, ...fields }, headers),
    sets: (fields: object) => post('endpoint-sets', 'endpoint_set', fields),
    put: (path: string, name: string, of: unknown, fields: object): Promise<Answer> =>
      send('PUT', `/cable/v1/${path}/${of}`, { [name]: fields }, KUBE),
  };
}

test('a controller puts Services behind routers of its cluster’s projects alone', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { router, id, put, scopes } = await cluster(harness);
  const theirs = await create('router', {}, OTHER);
  const given = await create('router', {}, { 'x-project-id': 'f0e1d2c3', 'x-roles': 'member,reader' });
  const cidrs = ['198.51.100.0/24'];
  for (const answer of [
    await scopes({ cidrs, router_ids: [theirs['id']] }),
    await put('service-scopes', 'service_scope', id, { router_ids: [router['id'], theirs['id']] }),
    await scopes({ cidrs, router_ids: [given['id']] }),
  ]) {
    assert.equal(answer.status, 404, JSON.stringify(answer.body));
    assert.match(JSON.stringify(answer.body), /Router .* could not be found/);
  }
  const asThem = { ...KUBE, 'x-project-id': 'f0e1d2c3' };
  const within = {
    service_scope: {
      ...{ cidrs, router_ids: [given['id']] },
      ...{ 'cable:cluster': 'prod', 'cable:origin': `ServiceScope/${given['id']}` },
    },
  };
  const made = await send('POST', '/cable/v1/service-scopes', within, asThem);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const seen = await send('GET', '/cable/v1/service-scopes?fields=router_ids', undefined, KUBE);
  const all = (seen.body['service_scopes'] as unknown as Json[]).flatMap((one) => one['router_ids'] ?? []);
  assert.deepEqual(
    new Set(all),
    new Set([router['id'], given['id']]),
    'as the cluster’s own project it sees all that is its',
  );
});

test('a node port is one Service’s at a protocol', async (t) => {
  const harness = await startHarness(t);
  const { services } = await cluster(harness);
  const ports = [{ name: '', protocol: 'TCP', port: 80, node_port: 30_080 }];
  const made = await services({ ports, external_traffic_policy: 'Local' });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const service = made.body['service'] as Json;
  assert.deepEqual([service['ports'], service['external_traffic_policy']], [ports, 'Local']);
  const other = { cluster_ips: ['10.96.0.11'] };
  const taken = await services({ ...other, ports });
  assert.equal(taken.status, 409, JSON.stringify(taken.body));
  assert.match(
    JSON.stringify(taken.body),
    new RegExp(`Service ${service['id']} of the scope has node port TCP/30080 already`),
  );
  const twice = await services({
    ...other,
    ports: [ports[0], { name: 'b', protocol: 'TCP', port: 81, node_port: 30_080 }],
  });
  assert.equal(twice.status, 400);
  assert.match(JSON.stringify(twice.body), /ports has node_port TCP\/30080 twice/);
  const udp = await services({ ...other, ports: [{ protocol: 'UDP', port: 80, node_port: 30_080 }] });
  assert.equal(udp.status, 201, JSON.stringify(udp.body));
});

test('addresses of load balancers are one Service’s at a port, as external ones are, and no address behind the routers', async (t) => {
  const harness = await startHarness(t);
  const { services, put } = await cluster(harness);
  const ips = { load_balancer_ips: ['198.51.100.20'], load_balancer_source_ranges: ['192.0.2.0/24'] };
  const made = await services({ ...ips, external_ips: ['198.51.100.20'], health_check_node_port: 32_000 });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const service = made.body['service'] as Json;
  assert.deepEqual(
    [service['load_balancer_source_ranges'], service['health_check_node_port']],
    [['192.0.2.0/24'], 32_000],
  );
  const other = { cluster_ips: ['10.96.0.11'] };
  assert.equal((await services({ ...other, ...ips })).status, 409);
  assert.equal((await services({ ...other, external_ips: ['198.51.100.20'] })).status, 409);
  assert.equal((await services({ ...other, ...ips, ports: [{ protocol: 'TCP', port: 81 }] })).status, 201);
  for (const [address, why] of [
    ['10.1.0.9', /load_balancer_ips has 10\.1\.0\.9, which is in 10\.1\.0\.0\/24 of subnet/],
    ['10.96.0.99', /load_balancer_ips has 10\.96\.0\.99, which is in 10\.96\.0\.0\/16 of the scope/],
  ] as const) {
    const answer = await put('services', 'service', service['id'], { load_balancer_ips: [address] });
    assert.equal(answer.status, 400);
    assert.match(JSON.stringify(answer.body), why);
  }
});

test('which host announces an address of a Service is what nodes of its cluster report', async (t) => {
  const harness = await startHarness(t);
  const { server, send } = harness;
  const { services, put } = await cluster(harness);
  const stray = await services({ announced_ips: ['198.51.100.20'] });
  assert.equal(stray.status, 400);
  assert.match(JSON.stringify(stray.body), /announced_ips has 198\.51\.100\.20, which is none of load_balancer_ips/);
  const [a, b] = ['198.51.100.20', '198.51.100.21'];
  const ips = { load_balancer_ips: [a, b], announced_ips: [a], announced_by: [{ address: a, host_id: 'x' }] };
  assert.equal((await services(ips)).status, 400, 'who announces is not written');
  const made = await services({ ...ips, announced_by: undefined });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id } = made.body['service'] as Json;
  for (const [n, of] of ['prod', 'prod', 'other'].entries()) {
    await server.plane.register(`h${n}`, { underlay: `192.0.2.${n + 1}`, agentVersion: '1', cluster: of });
  }
  const clock = { ms: 0 };
  const stop = new AbortController();
  const keeper = new AnnouncedKeeper({
    ...{ ...server.deps, monotonicMs: () => clock.ms },
    ...{ log: silentLogger(), signal: stop.signal },
  });
  t.after(() => stop.abort());
  const by = async (): Promise<string> => {
    await keeper.round();
    const answer = await send('GET', `/cable/v1/services/${id}`, undefined, KUBE);
    const all = (answer.body['service'] as Json)['announced_by'] as unknown as readonly {
      address: string;
      host_id: string;
    }[];
    return all.map(({ address, host_id: host }) => `${address} ${host}`).join(', ');
  };
  assert.equal(await by(), '');
  keeper.take('h0', [a, b]);
  keeper.take('h2', [a]);
  assert.equal(await by(), `${a} h0`, 'not the address that it is not to announce, nor the node of another cluster');
  keeper.take('h1', [a]);
  assert.equal(await by(), `${a} h0, ${a} h1`);
  keeper.take('h0', []);
  assert.equal(await by(), `${a} h1`);
  clock.ms += 60_000;
  assert.equal(await by(), `${a} h1`, 'it may report to another server');
  await put('services', 'service', id, { announced_ips: [] });
  assert.equal(await by(), '');
  await assertInvariants(server);
});

test('a Service and its endpoints are written with ids of the writer’s, and a create that is sent again makes nothing twice', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { services, sets, put } = await cluster(harness);
  const [id, setId] = [randomUUID(), randomUUID()];
  const fields = {
    id,
    name: 'default/web',
    cluster_ips: ['10.96.0.10', 'FD96:0::a'],
    session_affinity: 'ClientIP',
    ports: [
      { name: 'http', protocol: 'TCP', port: 80 },
      { name: 'dns', protocol: 'UDP', port: 53 },
    ],
  };
  const made = await services(fields);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const service = made.body['service'] as Json;
  assert.deepEqual([service['id'], service['cluster_ips']], [id, ['10.96.0.10', 'fd96::a']]);
  assert.deepEqual([service['session_affinity_timeout'], service['internal_traffic_policy']], [10_800, 'Cluster']);
  const again = await services(fields);
  assert.equal(again.status, 409);
  assert.match(JSON.stringify(again.body), /There is a Service with id/);
  const set = await sets({
    id: setId,
    service_id: id,
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: [
      { address: '10.1.0.5', host_id: 'node-1', host_address: '192.0.2.11' },
      { address: '10.1.0.6', ready: false, zone_hints: ['b'] },
    ],
  });
  assert.equal(set.status, 201, JSON.stringify(set.body));
  const { scope_id: scopeId, endpoints } = set.body['endpoint_set'] as Json;
  assert.equal(scopeId, service['scope_id']);
  assert.deepEqual(
    (endpoints as unknown as Json[]).map(({ ready, serving, terminating, host_address: own }) => [
      ...[ready, serving, terminating, own],
    ]),
    [
      [true, true, false, '192.0.2.11'],
      [false, true, false, null],
    ],
  );
  assert.equal((await put('endpoint-sets', 'endpoint_set', setId, { endpoints: [] })).status, 200);
  assert.equal((await send('DELETE', `/cable/v1/services/${id}`, undefined, KUBE)).status, 204);
  assert.equal((await send('GET', `/cable/v1/endpoint-sets/${setId}`, undefined, KUBE)).status, 404);
  await assertInvariants(server);
});

test('who is neither an administrator nor a cluster’s controller writes no Services, and its project’s readers see them', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const { services } = await cluster(harness);
  assert.equal((await services({}, MEMBER)).status, 403);
  const made = await services({});
  const path = `/cable/v1/services/${(made.body['service'] as Json)['id']}`;
  assert.equal((await send('GET', path, undefined, MEMBER)).status, 200);
  assert.equal((await send('GET', path, undefined, OTHER)).status, 404);
  assert.equal((await send('DELETE', path, undefined, MEMBER)).status, 403);
});

test('a scope loses a prefix that no Service has an address of, and the first ones never', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const { id, services, put } = await cluster(harness);
  const scope = async (...cidrs: readonly string[]): Promise<Answer> =>
    put('service-scopes', 'service_scope', id, { cidrs });
  const firsts = ['10.96.0.0/16', 'fd96::/112'];
  assert.equal((await scope(...firsts, '10.97.0.0/16', '10.98.0.0/16')).status, 200);
  const made = await services({ name: 'far', cluster_ips: ['10.97.0.7'] });
  const refused = await scope(...firsts, '10.98.0.0/16');
  assert.equal(refused.status, 400);
  assert.match(JSON.stringify(refused.body), /cidrs lacks 10\.97\.0\.0\/16, in which Service .* has 10\.97\.0\.7/);
  assert.equal((await scope(...firsts, '10.97.0.0/16')).status, 200);
  for (const others of [
    ['10.97.0.0/16', ...firsts],
    ['10.96.0.0/16', '10.97.0.0/16'],
  ]) {
    const { status, body } = await scope(...others);
    assert.equal(status, 400);
    assert.match(JSON.stringify(body), /as the first of its version of IP/);
  }
  await send('DELETE', `/cable/v1/services/${(made.body['service'] as Json)['id']}`, undefined, KUBE);
  assert.equal((await scope(...firsts)).status, 200);
});

test('a Service and the loss of its prefix at one time: one of them is refused', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const { id, services, put } = await cluster(harness);
  const firsts = ['10.96.0.0/16', 'fd96::/112'];
  const scope = (...more: readonly string[]): Promise<Answer> =>
    put('service-scopes', 'service_scope', id, { cidrs: [...firsts, ...more] });
  for (let n = 1; n <= 20; n += 1) {
    assert.equal((await scope('10.97.0.0/16')).status, 200);
    const [made, lost] = await Promise.all([
      services({ name: `far-${n}`, cluster_ips: [`10.97.0.${n}`] }),
      ...(n % 2 === 0 ? [scope()] : [scope('10.98.0.0/16')]),
    ]);
    assert.deepEqual([made?.status, lost?.status].sort(), made?.status === 201 ? [201, 400] : [200, 400]);
    if (made?.status === 201)
      await send('DELETE', `/cable/v1/services/${(made.body['service'] as Json)['id']}`, undefined, KUBE);
  }
});

test('what cannot be is refused with the field and the remedy', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { id, router, subnet, attach, services, scopes, sets, put } = await cluster(harness);
  const told = async (answer: Promise<Answer>, status: number, text: RegExp): Promise<void> => {
    const { status: found, body } = await answer;
    assert.equal(found, status, JSON.stringify(body));
    assert.match(JSON.stringify(body), text);
  };
  await told(
    scopes({ cidrs: ['10.1.0.0/16'], router_ids: [router['id']] }),
    400,
    /cidrs has 10\.1\.0\.0\/16, which overlaps 10\.1\.0\.0\/24 of subnet/,
  );
  await told(
    scopes({ cidrs: ['10.96.1.0/24'], router_ids: [router['id']] }),
    400,
    /overlaps 10\.96\.0\.0\/16 of service scope/,
  );
  await told(scopes({ cidrs: [] }), 400, /cidrs is empty/);
  await told(
    put('service-scopes', 'service_scope', id, { cidrs: ['10.97.0.0/16'] }),
    400,
    /cidrs lacks 10\.96\.0\.0\/16 as the first/,
  );
  assert.equal(
    (await put('service-scopes', 'service_scope', id, { cidrs: ['10.96.0.0/16', 'fd96::/112', '10.97.0.0/16'] }))
      .status,
    200,
  );
  const network = await create('network', {}, KUBE);
  const inside = await create('subnet', { network_id: network['id'], cidr: '10.96.7.0/24', ip_version: 4 }, KUBE);
  await told(attach(inside['id']), 400, /overlaps with 10\.96\.0\.0\/16 of service scope/);
  const outside = await create('network', { 'router:external': true });
  await create('subnet', { network_id: outside['id'], cidr: '10.97.3.0/24', ip_version: 4 });
  const gateway = { router: { external_gateway_info: { network_id: outside['id'] } } };
  await told(
    send('PUT', `/v2.0/routers/${router['id']}`, gateway, KUBE),
    400,
    /overlaps with 10\.97\.0\.0\/16 of service scope/,
  );
  await told(
    services({ cluster_ips: ['10.1.0.10'] }),
    400,
    /cluster_ips has 10\.1\.0\.10, which is in none of the cidrs/,
  );
  await told(
    services({ cluster_ips: [], external_ips: ['203.0.113.7'] }),
    400,
    /external_ips lead to a Service that has/,
  );
  await told(services({ external_name: 'db.example.org' }), 400, /external_name stands for the Service/);
  await told(services({ cluster_ips: [], external_name: 'no name' }), 400, /external_name no name is no host name/);
  await told(
    put('service-scopes', 'service_scope', id, { cluster_domain: 'a..b' }),
    400,
    /cluster_domain a\.\.b is no domain/,
  );
  await told(services({ cluster_ips: ['10.96.0.1', '10.96.0.2'] }), 400, /two of one version/);
  await told(services({ ports: [] }), 400, /ports is empty/);
  const twice = [
    { name: 'a', protocol: 'TCP', port: 80 },
    { name: 'b', protocol: 'TCP', port: 80 },
  ];
  await told(services({ ports: twice }), 400, /ports has TCP 80 twice/);
  await told(services({ ports: twice.map((one) => ({ ...one, name: 'a' })) }), 400, /Duplicate port name/);
  await told(
    services({ external_ips: ['10.1.0.9'] }),
    400,
    new RegExp(`in 10\\.1\\.0\\.0/24 of subnet ${subnet['id']}`),
  );
  await told(services({ external_ips: ['10.96.0.9'] }), 400, /give it as a ClusterIP/);
  const made = await services({ external_ips: ['203.0.113.7'], ports: [{ protocol: 'SCTP', port: 80 }] });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { id: serviceId } = made.body['service'] as Json;
  await told(services({}), 409, new RegExp(`Service ${serviceId} of the scope has ClusterIP 10\\.96\\.0\\.10 already`));
  const taken = { cluster_ips: ['10.96.0.11'], external_ips: ['203.0.113.7'] };
  await told(
    services({ ...taken, ports: [{ protocol: 'SCTP', port: 80 }] }),
    409,
    /serves at external address 203\.0\.113\.7\/SCTP\/80 already/,
  );
  assert.equal((await services({ ...taken, ports: [{ protocol: 'TCP', port: 80 }] })).status, 201);
  await told(sets({ service_id: serviceId, ports: [{ protocol: 'SCTP', port: 81 }] }), 400, /SCTP keeps its port/);
  const both = [{ address: '10.1.0.5' }, { address: 'fd00::5' }];
  await told(sets({ service_id: serviceId, endpoints: both }), 400, /both versions of IP/);
  await told(sets({ service_id: serviceId, endpoints: [both[0], both[0]] }), 400, /Duplicate address/);
  for (const host_address of ['fd00::1', '127.0.0.1', '0.0.0.0', '224.0.0.1']) {
    const endpoints = [{ address: '10.1.0.5', host_address }];
    await told(sets({ service_id: serviceId, endpoints }), 400, /host_address .* give an address of the host/);
  }
  const badName = [{ address: '10.1.0.5', hostname: 'a.b' }];
  await told(sets({ service_id: serviceId, endpoints: badName }), 400, /endpoints has hostname a\.b: give one label/);
  await told(send('DELETE', `/cable/v1/service-scopes/${id}`, undefined, KUBE), 409, /in use/);
  await told(send('DELETE', `/v2.0/routers/${router['id']}`, undefined, KUBE), 409, /RouterInUse/);
  await told(sets({ service_id: randomUUID() }), 404, /Service .* could not be found/);
});

test('of two Services with one ClusterIP that are made at once one is refused, and what a store has besides is found', async (t) => {
  const harness = await startHarness(t);
  const { server, store } = harness;
  const { services } = await cluster(harness);
  const answers = await Promise.all([services({}), services({}), services({})]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409]);
  const made = answers.find(({ status }) => status === 201)?.body['service'] as Json;
  const key = objectKey('service', String(made['id']));
  const value = (await store.list(key)).kvs[0]?.value ?? '';
  const broken = JSON.stringify({ ...JSON.parse(value), cluster_ips: ['10.1.0.1'] });
  await store.txn([], [{ kind: 'put', key, value: broken }]);
  const { violations } = await checkStore(server.deps);
  assert.match(JSON.stringify(violations), /ClusterIPs are in the prefixes of their scope/);
});
