import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { checkStore } from '../engine/check.ts';
import { objectKey } from '../keys.ts';
import {
  type Answer,
  assertInvariants,
  type Harness,
  harnessOf,
  type Json,
  refused,
  startHarness,
  startTestServer,
} from '../testing/harness.ts';
import { lateStore } from '../testing/late-store.ts';
import { MEMBER, outsideWorld } from '../testing/outside.ts';

/** A floating IP, a port behind its router, and requests about its port forwardings as the project. */
async function forwardingWorld(harness: Harness) {
  const { send } = harness;
  const world = await outsideWorld(harness);
  const { network, subnet } = await world.inside('10.0.0.0/24');
  const port = await world.portIn(network);
  const given = { floatingip: { floating_network_id: world.external['id'] } };
  const take = async (): Promise<Json> =>
    (await send('POST', '/v2.0/floatingips', given, MEMBER)).body['floatingip'] as Json;
  const floating = await take();
  const path = (one: Json = floating): string => `/v2.0/floatingips/${one['id']}/port_forwardings`;
  const base = { protocol: 'tcp', internal_port_id: port['id'] };
  const post = (attributes: object, one?: Json, headers: Record<string, string> = MEMBER): Promise<Answer> =>
    send('POST', path(one), { port_forwarding: { ...base, ...attributes } }, headers);
  const made = async (attributes: object, one?: Json): Promise<Json> => {
    const answer = await post(attributes, one);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body['port_forwarding'] as Json;
  };
  const put = (id: unknown, attributes: object): Promise<Answer> =>
    send('PUT', `${path()}/${id}`, { port_forwarding: attributes }, MEMBER);
  const remove = (one: Json): Promise<Answer> => send('DELETE', `${path()}/${one['id']}`, undefined, MEMBER);
  const showFloating = async (one: Json = floating): Promise<Json> =>
    (await send('GET', `/v2.0/floatingips/${one['id']}`, undefined, MEMBER)).body['floatingip'] as Json;
  return { ...world, network, subnet, port, floating, take, path, post, made, put, remove, showFloating };
}

const portsOf = (one: Json | undefined): readonly unknown[] =>
  ['external_port', 'external_port_range', 'internal_port', 'internal_port_range'].map((name) => one?.[name]);

const address = (port: Json): unknown => port['fixed_ips']?.[0]?.['ip_address'];

test('a port of a floating IP is forwarded, shown, changed, and forwarded no more', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { router, port, network, portIn, floating, path, made, put, remove, showFloating } =
    await forwardingWorld(harness);
  const one = await made({ external_port: 2222, internal_port: 22, protocol: 'TCP', description: 'ssh' });
  assert.deepEqual(portsOf(one), [2222, '2222:2222', 22, '22:22']);
  assert.deepEqual(
    [one['protocol'], one['internal_ip_address'], one['description'], one['project_id']],
    ['tcp', address(port), 'ssh', 'p1'],
  );
  const shown = await showFloating();
  assert.deepEqual([shown['router_id'], shown['port_id'], shown['status']], [router['id'], null, 'ACTIVE']);
  const told = {
    ...{ id: one['id'], protocol: 'tcp', internal_port_id: port['id'], internal_ip_address: address(port) },
    ...{ external_port: 2222, internal_port: 22 },
  };
  assert.deepEqual(shown['port_forwardings'], [told], 'without ranges, which add nothing');
  await assertInvariants(server);

  const two = await made({ protocol: '17', external_port: 53, internal_port: 5353 });
  assert.equal(two['protocol'], 'udp', 'by its number');
  const listed = async (query: string): Promise<number> =>
    (await send('GET', `${path()}?${query}`, undefined, MEMBER)).body['port_forwardings']?.length ?? -1;
  assert.deepEqual(
    await Promise.all(['', 'protocol=udp', 'external_port=2222', `internal_port_id=${port['id']}`].map(listed)),
    [2, 1, 1, 2],
  );
  const other = await portIn(network);
  const moved = (await put(one['id'], { internal_port_id: other['id'], external_port: 2200 })).body['port_forwarding'];
  assert.deepEqual(
    [...portsOf(moved), moved?.['internal_ip_address']],
    [2200, '2200:2200', 22, '22:22', address(other)],
  );
  const ranged = (await put(one['id'], { external_port_range: '100:109', internal_port_range: '200:209' })).body;
  assert.deepEqual(portsOf(ranged['port_forwarding']), [null, '100:109', null, '200:209']);
  const back = (await put(one['id'], { external_port: 7, internal_port: 8, description: '' })).body['port_forwarding'];
  assert.deepEqual([...portsOf(back), back?.['description']], [7, '7:7', 8, '8:8', '']);
  await assertInvariants(server);

  assert.equal((await remove(one)).status, 204);
  assert.equal((await showFloating())['router_id'], router['id']);
  assert.equal((await remove(two)).status, 204);
  const free = await showFloating();
  assert.deepEqual([free['router_id'], free['status'], free['port_forwardings']], [null, 'DOWN', []]);
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/floatingips/${floating['id']}`, undefined, MEMBER)).status, 204);
});

test('ranges lead to as many ports or to one, and SCTP to the same', async (t) => {
  const harness = await startHarness(t);
  const { post, made } = await forwardingWorld(harness);
  assert.deepEqual(portsOf(await made({ external_port_range: '8000:8009', internal_port_range: '9000:9009' })), [
    ...[null, '8000:8009', null, '9000:9009'],
  ]);
  assert.deepEqual(portsOf(await made({ external_port_range: '8010:8019', internal_port: 80 })), [
    ...[null, '8010:8019', 80, '80:80'],
  ]);
  assert.deepEqual(portsOf(await made({ external_port_range: '8020', internal_port_range: '81:81' })), [
    ...[8020, '8020:8020', 81, '81:81'],
  ]);
  await made({ protocol: 'sctp', external_port_range: '1:10', internal_port_range: '1:10' });
  for (const [wrong, why] of [
    [{ external_port_range: '1:10', internal_port_range: '1:5' }, /lead to one port or to as many, and not to 1:5/],
    [{ external_port: 1, internal_port_range: '1:5' }, /lead to one port or to as many/],
    [{ external_port: 1, external_port_range: '1:5', internal_port: 1 }, /cannot be given together/],
    [{ internal_port: 1 }, /external_port or external_port_range is required/],
    [{ external_port: 1 }, /internal_port or internal_port_range is required/],
    [{ protocol: 'sctp', external_port: 20, internal_port: 21 }, /SCTP leads to the same ports only, .* checksum/],
    [{ protocol: 'icmp', external_port: 1, internal_port: 1 }, /icmp has no ports: the floating IP itself answers/],
    [{ protocol: 'gre', external_port: 1, internal_port: 1 }, /gre is none whose packets have ports. Give one of tcp/],
  ] as const) {
    assert.match(await refused(post(wrong), 400, 'BadRequest'), why, JSON.stringify(wrong));
  }
  await refused(post({ external_port: 65536, internal_port: 1 }), 400, 'HTTPBadRequest');
  for (const range of ['10:1', '0:1', '1:65536', '1-2', '1:', ''])
    for (const more of [{}, { external_port: 1 }]) {
      const asked = post({ external_port_range: range, internal_port: 1, ...more });
      assert.match(
        await refused(asked, 400, 'HTTPBadRequest'),
        /^Invalid input for external_port_range. Reason: .*no range/,
      );
    }
  for (const protocol of ['nonsense', '', '256']) {
    const asked = post({ protocol, external_port: 1, internal_port: 1 });
    assert.match(await refused(asked, 400, 'InvalidInput'), /IP protocol '.*' is not supported/);
  }
  const both = await made({
    external_port: 8030,
    external_port_range: '8030:8030',
    internal_port: 82,
    internal_port_range: '82',
  });
  assert.deepEqual(portsOf(both), [8030, '8030:8030', 82, '82:82'], 'what says the same twice is no contradiction');
});

test('a port is forwarded once, and nothing leads to one port inside by two ways', async (t) => {
  const harness = await startHarness(t);
  const { server } = harness;
  const { network, portIn, take, post, made, put } = await forwardingWorld(harness);
  const first = await made({ external_port_range: '8000:8009', internal_port: 80 });
  const twice = /There is a port collision with the (ex|in)ternal_port_range\. The following ranges collides: /;
  for (const ports of [
    { external_port: 8005, internal_port: 1 },
    { external_port_range: '7000:8000', internal_port: 2 },
    { external_port: 1, internal_port: 80 },
  ]) {
    assert.match(await refused(post(ports), 400, 'BadRequest'), twice);
  }
  await made({ protocol: 'udp', external_port: 8005, internal_port: 80 });
  const second = await take();
  assert.match(await refused(post({ external_port: 1, internal_port: 80 }, second), 400, 'BadRequest'), twice);
  await made({ external_port: 8005, internal_port: 81 }, second);
  await made({ external_port: 1, internal_port: 80, internal_port_id: (await portIn(network))['id'] });
  await put(first['id'], { external_port_range: '8001:8009' });
  await made({ external_port: 8000, internal_port: 82 });
  assert.match(await refused(put(first['id'], { external_port_range: '8000:8009' }), 400, 'BadRequest'), twice);
  await assertInvariants(server);
});

test('a port has a floating IP or port forwardings, and a floating IP leads to a port or has them', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { external, network, portIn, port, floating, take, post, made } = await forwardingWorld(harness);
  const one = await made({ external_port: 1, internal_port: 1 });
  const put = (id: unknown, attributes: object): Promise<Answer> =>
    send('PUT', `/v2.0/floatingips/${id}`, { floatingip: attributes }, MEMBER);
  const other = await portIn(network);
  await refused(put(floating['id'], { port_id: other['id'] }), 409, 'FipInUseByPortForwarding');
  await refused(
    send('DELETE', `/v2.0/floatingips/${floating['id']}`, undefined, MEMBER),
    409,
    'FipInUseByPortForwarding',
  );
  const second = await take();
  await refused(put(second['id'], { port_id: port['id'] }), 400, 'PortHasPortForwarding');
  const given = { floating_network_id: external['id'], port_id: port['id'] };
  await refused(send('POST', '/v2.0/floatingips', { floatingip: given }, MEMBER), 400, 'PortHasPortForwarding');
  assert.equal((await put(second['id'], { port_id: other['id'] })).status, 200);
  const asked = { external_port: 2, internal_port: 2, internal_port_id: other['id'] };
  await refused(post(asked), 409, 'PortHasBindingFloatingIP');
  await refused(post({ external_port: 2, internal_port: 2 }, second), 409, 'FloatingIPPortAlreadyAssociated');
  await assertInvariants(server);
  assert.equal((await put(floating['id'], { description: 'mine' })).status, 200);
  assert.equal((await put(second['id'], { port_id: null })).status, 200);
  await made(asked, second);
  assert.equal(one['protocol'], 'tcp');
  await assertInvariants(server);
});

test('port forwardings go with their port, or with its address, and hold the router’s gateway and legs', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { router, network, subnet, portIn, inside, floating, path, post, made, showFloating } =
    await forwardingWorld(harness);
  const double = await portIn(network, { fixed_ips: [{ subnet_id: subnet['id'] }, { subnet_id: subnet['id'] }] });
  const [, fixed] = double['fixed_ips'] ?? [];
  const to = { internal_port_id: double['id'] };
  assert.equal((await made({ ...to, external_port: 1, internal_port: 1 }))['internal_ip_address'], address(double));
  await made({ ...to, external_port: 2, internal_port: 2, internal_ip_address: fixed?.['ip_address'] });
  assert.match(
    await refused(
      post({ ...to, external_port: 3, internal_port: 3, internal_ip_address: '10.0.0.250' }),
      400,
      'BadRequest',
    ),
    /Requested internal IP address 10.0.0.250 is not suitable for internal neutron port/,
  );
  const bare = await portIn(network, { fixed_ips: [] });
  const nowhere = { internal_port_id: bare['id'], external_port: 3, internal_port: 3 };
  assert.match(await refused(post(nowhere), 400, 'BadRequest'), /has no IPv4 address/);
  const routerPath = `/v2.0/routers/${router['id']}`;
  await refused(
    send('PUT', `${routerPath}/remove_router_interface`, { subnet_id: subnet['id'] }, MEMBER),
    409,
    'RouterInterfaceInUseByFloatingIP',
  );
  await refused(
    send('PUT', routerPath, { router: { external_gateway_info: {} } }, MEMBER),
    409,
    'RouterExternalGatewayInUseByFloatingIp',
  );
  const unused = await inside('10.9.0.0/24');
  const detach = { subnet_id: unused.subnet['id'] };
  assert.equal((await send('PUT', `${routerPath}/remove_router_interface`, detach, MEMBER)).status, 200);

  await send('PUT', `/v2.0/ports/${double['id']}`, { port: { fixed_ips: [fixed] } }, MEMBER);
  const left = (await send('GET', path(), undefined, MEMBER)).body['port_forwardings'];
  assert.deepEqual(
    left?.map((one: Json) => one['external_port']),
    [2],
  );
  assert.equal((await showFloating())['router_id'], router['id']);
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/ports/${double['id']}`, undefined, MEMBER)).status, 204);
  assert.deepEqual([(await showFloating())['router_id'], (await showFloating())['port_forwardings']], [null, []]);
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/floatingips/${floating['id']}`, undefined, MEMBER)).status, 204);
});

test('one floating IP leads through one router, and only where its owner may lead', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const { external, network, made, post, put, take, path } = await forwardingWorld(harness);
  const second = await create('router', { external_gateway_info: { network_id: external['id'] } }, MEMBER);
  const apart = await create('network', {}, MEMBER);
  const subnet = await create('subnet', { network_id: apart['id'], cidr: '10.7.0.0/24', ip_version: 4 }, MEMBER);
  const there = await create('port', { network_id: apart['id'] }, MEMBER);
  const asked = { external_port: 9, internal_port: 9, internal_port_id: there['id'] };
  assert.match(
    await refused(post(asked), 400, 'BadRequest'),
    /is not reachable from subnet .* Cannot set Port forwarding/,
  );
  const added = { subnet_id: subnet['id'] };
  await send('PUT', `/v2.0/routers/${second['id']}/add_router_interface`, added, MEMBER);
  const one = await made({ external_port: 1, internal_port: 1 });
  const other = await made({ external_port: 2, internal_port: 2 });
  assert.match(await refused(post(asked), 400, 'BadRequest'), /leads through router .*, which does not reach port/);
  assert.match(await refused(put(one['id'], { internal_port_id: there['id'] }), 400, 'BadRequest'), /does not reach/);
  await send('DELETE', `${path()}/${other['id']}`, undefined, MEMBER);
  assert.equal((await put(one['id'], { internal_port_id: there['id'] })).status, 200, 'the only one goes elsewhere');
  await assertInvariants(server);

  const foreign = await create('port', { network_id: network['id'] }, { 'x-project-id': 'p2' });
  const fresh = await take();
  assert.match(
    await refused(post({ ...asked, internal_port_id: foreign['id'] }, fresh), 400, 'BadRequest'),
    /different tenant/,
  );
  await refused(post({ ...asked, internal_port_id: randomUUID() }, fresh), 404, 'PortNotFound');
  const stranger = { 'x-project-id': 'p2', 'x-roles': 'member' };
  await refused(post(asked, fresh, stranger), 404, 'FloatingIPNotFound');
  await refused(send('GET', `${path()}/${one['id']}`, undefined, stranger), 404, 'FloatingIPNotFound');
  await refused(send('DELETE', `${path()}/${randomUUID()}`, undefined, MEMBER), 404, 'PortForwardingNotFound');
  await refused(send('DELETE', `${path(fresh)}/${one['id']}`, undefined, MEMBER), 404, 'PortForwardingNotFound');
  await assertInvariants(server);
});

test('a project has no more port forwardings than its quota, and all of a request or none are made', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const { port, path, post } = await forwardingWorld(harness);
  await send('PUT', '/v2.0/quotas/p1', { quota: { port_forwarding: 2 } });
  const many = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      ...{ protocol: 'tcp', internal_port_id: port['id'] },
      ...{ external_port: at + 1, internal_port: at + 1 },
    }));
  await refused(send('POST', path(), { port_forwardings: many(3) }, MEMBER), 409, 'OverQuota');
  assert.equal((await send('POST', path(), { port_forwardings: many(2) }, MEMBER)).status, 201);
  await refused(post({ external_port: 9, internal_port: 9 }), 409, 'OverQuota');
  await send('PUT', '/v2.0/quotas/p1', { quota: { port_forwarding: -1 } });
  const more = Array.from({ length: 498 }, (_, at) => ({
    ...many(1)[0],
    external_port: at + 10,
    internal_port: at + 10,
  }));
  assert.equal((await send('POST', path(), { port_forwardings: more }, MEMBER)).status, 201);
  await refused(post({ external_port: 9, internal_port: 9 }), 409, 'HTTPConflict');
  assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`, undefined, MEMBER)).status, 204);
  await assertInvariants(harness.server);
});

test('the check tells of port forwardings that break a rule', async (t) => {
  const harness = await startHarness(t);
  const { server, store, send } = harness;
  const { floating, port, made } = await forwardingWorld(harness);
  const one = await made({ external_port: 1, internal_port: 1 });
  const two = await made({ external_port: 2, internal_port: 2 });
  const rulesBroken = async (type: string, object: Json, changes: object): Promise<string> => {
    const key = objectKey(type, String(object['id']));
    const value = (await store.list(key)).kvs[0]?.value ?? '';
    const write = (text: string) => store.txn([], [{ kind: 'put', key, value: text }]);
    await write(JSON.stringify({ ...JSON.parse(value), ...changes }));
    const { violations } = await checkStore(server.deps);
    await write(value);
    return JSON.stringify(violations);
  };
  assert.match(await rulesBroken('port_forwarding', two, { external_port_range: '1:1' }), /a port is forwarded once/);
  assert.match(await rulesBroken('port_forwarding', two, { internal_port_range: '1:1' }), /a port is forwarded once/);
  assert.match(await rulesBroken('port_forwarding', one, { internal_port_range: '1:2' }), /to as many, or to one/);
  assert.match(
    await rulesBroken('port_forwarding', one, { internal_ip_address: '10.0.0.99' }),
    /leads to an address of its port/,
  );
  assert.match(await rulesBroken('floatingip', floating, { router_id: null }), /leads through their router/);
  assert.match(await rulesBroken('floatingip', floating, { port_id: port['id'] }), /has no floating IP/);
  for (const gone of [one, two]) {
    await send('DELETE', `/v2.0/floatingips/${floating['id']}/port_forwardings/${gone['id']}`);
  }
  assert.match(
    await rulesBroken('floatingip', floating, { router_id: one['router_id'] ?? 'r' }),
    /leads through no router/,
  );
  await assertInvariants(server);
});

test('no port forwarding leads to a virtual address, whichever comes first', async (t) => {
  const harness = await startHarness(t);
  const { send, server } = harness;
  const { port, subnet, post, made } = await forwardingWorld(harness);
  const balance = (more: object): Promise<Answer> =>
    send('POST', '/v2.0/lbaas/loadbalancers', { loadbalancer: more }, MEMBER);
  const answer = await balance({ vip_subnet_id: subnet['id'] });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  const vip = { internal_port_id: answer.body['loadbalancer']?.['vip_port_id'], external_port: 1, internal_port: 1 };
  assert.match(await refused(post(vip), 400, 'BadRequest'), /virtual address of a load balancer/);
  await made({ external_port: 1, internal_port: 1 });
  assert.match(await refused(balance({ vip_port_id: port['id'] }), 409, 'VIPInUse'), /ports of a floating IP lead/);
  await assertInvariants(server);
});

test('two port forwardings that two servers change at once do not come to have one port', async (t) => {
  const harness = await startHarness(t);
  const { server, store } = harness;
  const { path, take, made, put } = await forwardingWorld(harness);
  const other = await take();
  const [one, two] = [
    await made({ external_port: 80, internal_port: 80 }),
    await made({ external_port: 81, internal_port: 81 }),
  ];
  const far = await made({ external_port: 80, internal_port: 82 }, other);
  const held = lateStore(store);
  const late = await startTestServer(held.store);
  t.after(() => late.stop());
  const putLate = harnessOf(store, late).send;
  for (const [changed, at, attributes] of [
    [{ external_port: 90 }, `${path()}/${two['id']}`, { external_port: 90 }],
    [{ internal_port: 90 }, `${path(other)}/${far['id']}`, { internal_port: 90 }],
  ] as const) {
    await late.tables.waitFor(server.tables.revision);
    const release = held.hold();
    assert.equal((await put(one['id'], changed)).status, 200);
    const answer = putLate('PUT', at, { port_forwarding: attributes }, MEMBER);
    await Promise.race([held.asked(), answer]);
    release();
    assert.match(await refused(answer, 400, 'BadRequest'), /port collision/);
    await assertInvariants(server);
  }
});
