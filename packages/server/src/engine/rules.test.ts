/** Rules between objects, under two requests that together would break one: each pair is sent at once, again and again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { openStore } from '@cable/store';
import { objectKey, underlayKey } from '../keys.ts';
import { assertInvariants, type Harness, harnessOf, type Json, startTestServer } from '../testing/harness.ts';
import { MEMBER, outsideWorld } from '../testing/outside.ts';

const ROUNDS = 40;
const AT = '2026-01-01T00:00:00Z';
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

test('a network is not taken from a project that uses it by two who each take one of its two policies', async (t) => {
  const two = await startTwo(t);
  const network = await two[0].create('network', { shared: true, project_id: 'owner' });
  const id = String(network['id']);
  const share = { object_type: 'network', object_id: id, action: 'access_as_shared' };
  await two[0].create('port', { network_id: id }, TENANT);
  const gone = { one: 0, all: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    const own = await two[0].create('rbac_policy', { ...share, target_tenant: 'tenant' });
    const path = `/v2.0/rbac-policies/${own['id']}`;
    const shared = `/v2.0/networks/${id}`;
    await until(async () => (await two[1].send('GET', path)).status === 200);
    const [one, all] = await Promise.all([
      two[0].send('DELETE', path),
      two[1].send('PUT', shared, { network: { shared: false } }),
    ]);
    assert.deepEqual([one.status === 204, all.status === 200].sort(), [false, true], JSON.stringify([one, all]));
    gone.one += Number(one.status === 204);
    gone.all += Number(all.status === 200);
    if (all.status === 200) {
      assert.equal((await two[0].send('PUT', shared, { network: { shared: true } })).status, 200);
      assert.equal((await two[0].send('DELETE', path)).status, 204);
    }
    await until(async () => (await two[1].send('GET', path)).status === 404);
  }
  assert.equal(gone.one + gone.all, ROUNDS);
  await assertInvariants(two[0].server);
});

test('a policy is not taken from a project beside what it makes, nor given twice, through one server or two', async (t) => {
  const two = await startTwo(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const network = await one.create('network', { project_id: 'owner' });
    const group = await one.create('security_group', { project_id: 'owner' });
    const own = await one.create('network', { project_id: 'tenant' });
    const share = (object_type: string, object: Json): object => ({
      rbac_policy: { object_type, object_id: object['id'], action: 'access_as_shared', target_tenant: 'tenant' },
    });
    await waitForNetwork(other, String(own['id']));
    const twice = await Promise.all(
      [one, other].map((server) => server.send('POST', '/v2.0/rbac-policies', share('network', network))),
    );
    assert.deepEqual(twice.map(({ status }) => status).sort(), [201, 409]);
    const policy = twice.find(({ status }) => status === 201)?.body['rbac_policy']?.['id'];
    const ofGroup = (await one.send('POST', '/v2.0/rbac-policies', share('security_group', group))).body['rbac_policy'];
    await until(async () => (await other.send('GET', `/v2.0/rbac-policies/${ofGroup?.['id']}`)).status === 200);
    await until(async () => (await one.send('GET', `/v2.0/rbac-policies/${policy}`)).status === 200);
    for (const [id, port] of [
      [policy, { network_id: network['id'] }],
      [ofGroup?.['id'], { network_id: own['id'], security_groups: [group['id']] }],
    ] as const) {
      const [made, taken] = await Promise.all([
        one.send('POST', '/v2.0/ports', { port }, TENANT),
        other.send('DELETE', `/v2.0/rbac-policies/${id}`),
      ]);
      assert.ok([201, 404].includes(made.status), JSON.stringify(made.body));
      assert.equal(taken.status, made.status === 201 ? 409 : 204, JSON.stringify([made.body, taken.body]));
    }
  }
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

test('a sub-port that is added while its parent moves is where the parent is then, through one server or two', async (t) => {
  const two = await startTwo(t);
  const network = await two[0].create('network', {});
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const [parent, sub] = [0, 0].map(() => two[0].create('port', { network_id: network['id'] }));
    const parentPath = `/v2.0/ports/${(await parent)?.['id']}`;
    const subId = (await sub)?.['id'];
    const trunk = await one.create('trunk', { port_id: (await parent)?.['id'] });
    await until(async () => (await other.send('GET', `/v2.0/trunks/${trunk['id']}`)).status === 200);
    const sub_ports = [{ port_id: subId, segmentation_type: 'vlan', segmentation_id: 7 }];
    const answers = await Promise.all([
      one.send('PUT', `/v2.0/trunks/${trunk['id']}/add_subports`, { sub_ports }),
      other.send('PUT', parentPath, { port: { 'binding:host_id': `h${round}` } }),
    ]);
    for (const { status, body } of answers) assert.equal(status, 200, JSON.stringify(body));
  }
  await assertInvariants(two[0].server);
});

test('a port is not a part of a trunk and a virtual address’s at once, through one server or two', async (t) => {
  const two = await startTwo(t);
  const network = await two[0].create('network', {});
  await two[0].create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24' });
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const [parent, port] = [
      await two[0].create('port', { network_id: network['id'] }),
      await two[0].create('port', { network_id: network['id'] }),
    ];
    await until(async () => (await other.send('GET', `/v2.0/ports/${port['id']}`)).status === 200);
    const sub_ports = [{ port_id: port['id'], segmentation_type: 'vlan', segmentation_id: 7 }];
    const trunk = round % 4 < 2 ? { port_id: parent['id'], sub_ports } : { port_id: port['id'] };
    const answers = await Promise.all([
      one.send('POST', '/v2.0/trunks', { trunk }),
      other.send('POST', '/v2.0/lbaas/loadbalancers', { loadbalancer: { vip_port_id: port['id'] } }),
    ]);
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409], JSON.stringify(answers));
  }
  await assertInvariants(two[0].server);
});

test('two trunks do not take one port at once, through one server or two', async (t) => {
  const two = await startTwo(t);
  const network = await two[0].create('network', {});
  for (let round = 0; round < ROUNDS; round += 1) {
    const servers = round % 2 === 0 ? [two[0], two[0]] : two;
    const made = await Promise.all([0, 1, 2].map(() => two[0].create('port', { network_id: network['id'] })));
    const [first, second, sub] = made.map((port) => port['id']);
    await until(async () => (await two[1].send('GET', `/v2.0/ports/${sub}`)).status === 200);
    const sub_ports = [{ port_id: sub, segmentation_type: 'vlan', segmentation_id: 7 }];
    const answers = await Promise.all(
      [first, second].map((port_id, at) =>
        servers[at]?.send('POST', '/v2.0/trunks', { trunk: { port_id, sub_ports } }),
      ),
    );
    assert.deepEqual(answers.map((one) => one?.status).sort(), [201, 409], JSON.stringify(answers));
  }
  await assertInvariants(two[0].server);
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

test('a port that comes beside a subnet of SLAAC has its address, through one server or two', async (t) => {
  const two = await startTwo(t);
  const slaac = { cidr: '2001:db8::/64', ip_version: 6, ipv6_ra_mode: 'slaac' };
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const network = await one.create('network', {});
    const id = String(network['id']);
    await waitForNetwork(other, id);
    const answers = await Promise.all([
      one.send('POST', '/v2.0/ports', { ports: Array(3).fill({ network_id: id }) }),
      other.send('POST', '/v2.0/subnets', { subnet: { network_id: id, ...slaac } }),
      one.send('POST', '/v2.0/ports', { port: { network_id: id } }),
    ]);
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [201, 201, 201],
    );
    await until(async () => {
      const { body } = await one.send('GET', `/v2.0/ports?network_id=${id}`);
      return body['ports']?.length === 4 && body['ports'].every((port) => port['fixed_ips']?.length === 1);
    });
  }
  await assertInvariants(two[0].server);
});

test('a port that changes beside a subnet of SLAAC has the address of its MAC, or none when the subnet goes', async (t) => {
  const two = await startTwo(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const network = await one.create('network', {});
    const id = String(network['id']);
    const subnet = { network_id: id, cidr: '2001:db8::/64', ip_version: 6, ipv6_address_mode: 'slaac' };
    const made = round % 4 < 2 ? undefined : await one.create('subnet', subnet);
    const port = await one.create('port', { network_id: id });
    const path = `/v2.0/ports/${port['id']}`;
    await until(async () => (await other.send('GET', path)).status === 200);
    const [changed, answer] = await Promise.all([
      one.send('PUT', path, { port: { mac_address: '02:00:00:00:00:01' } }),
      made === undefined
        ? other.send('POST', '/v2.0/subnets', { subnet })
        : other.send('DELETE', `/v2.0/subnets/${made['id']}`),
    ]);
    assert.equal(changed.status, 200, JSON.stringify(changed.body));
    assert.equal(answer.status, made === undefined ? 201 : 204, JSON.stringify(answer.body));
    const wanted = made === undefined ? ['2001:db8::ff:fe00:1'] : [];
    await until(async () => {
      const { body } = await one.send('GET', path);
      const found = body['port']?.['fixed_ips']?.map((fixed) => String(fixed['ip_address']));
      return JSON.stringify(found) === JSON.stringify(wanted);
    });
  }
  await assertInvariants(two[0].server);
});

test('the groups of a port are of one kind, whatever changes beside it, through one server or two', async (t) => {
  const two = await startTwo(t);
  const outcomes = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const network = await one.create('network', {});
    const ids = [];
    for (const stateful of [true, round % 4 < 2])
      ids.push((await one.create('security_group', { name: 'g', stateful }))['id']);
    const path = `/v2.0/security-groups/${ids[1]}`;
    await until(async () => (await other.send('GET', path)).status === 200);
    const [made, changed] = await Promise.all([
      one.send('POST', '/v2.0/ports', { port: { network_id: network['id'], security_groups: ids } }),
      other.send('PUT', path, { security_group: { stateful: round % 4 >= 2 } }),
    ]);
    outcomes.add(`${made.status} ${changed.status}`);
    const now = await Promise.all(ids.map((id) => one.send('GET', `/v2.0/security-groups/${id}`)));
    const kinds = new Set(now.map(({ body }) => body['security_group']?.['stateful']));
    if (made.status === 201) assert.equal(kinds.size, 1, 'a port with groups of two kinds');
  }
  await assertInvariants(two[0].server);
  assert.deepEqual(
    [...outcomes].filter((outcome) => !['201 409', '409 200', '201 200'].includes(outcome)),
    [],
  );
});

/** A host without an agent, with ports. */
async function makeHost({ store, server, create, send }: Harness, id: string, ports: number): Promise<void> {
  const underlay = `192.0.2.${++hosts}`;
  const host = { id, underlay, agent_version: '1', created_at: AT, updated_at: AT };
  const { revision } = await store.txn(
    [],
    [
      { kind: 'put', key: objectKey('host', id), value: JSON.stringify(host) },
      { kind: 'put', key: underlayKey(underlay), value: id },
    ],
  );
  await server.tables.waitFor(revision);
  const network = await create('network', {});
  const port = { network_id: network['id'], 'binding:host_id': id };
  assert.equal((await send('POST', '/v2.0/ports', { ports: Array(ports).fill(port) })).status, 201);
}

let hosts = 0;

test('a host gets one of two names that it is given at once, with all its ports, through one server or two', async (t) => {
  const two = await startTwo(t);
  const reasons = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 4 === 0 ? [two[0], two[0]] : two;
    const ports = round % 16 === 1 ? 600 : 2;
    const old = `old-${round}`;
    await makeHost(one, old, ports);
    await until(async () => other.server.tables.of('port').by('binding:host_id', old).length === ports);
    const names = [`b-${round}`, `c-${round}`] as const;
    const path = `/cable/v1/hosts/${old}/rename`;
    const answers = await Promise.all([
      one.send('PUT', path, { name: names[0] }),
      other.send('PUT', path, { name: names[1] }),
    ]);
    const statuses = answers.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 200).length, 1, JSON.stringify(answers));
    const [winner, loser] = statuses[0] === 200 ? names : [names[1], names[0]];
    reasons.add(String(answers.find(({ status }) => status !== 200)?.body['NeutronError']?.['type']));
    const bound = (await one.send('GET', `/v2.0/ports?binding:host_id=${winner}&fields=id`)).body['ports'] ?? [];
    assert.equal(bound.length, ports);
    assert.equal((await one.send('GET', `/cable/v1/hosts/${loser}`)).status, 404);
  }
  await assertInvariants(two[0].server);
  for (const reason of reasons) assert.ok(['HostBeingRenamed', 'HostNotFound'].includes(reason), reason);
  assert.ok(reasons.has('HostBeingRenamed'));
});

test('neither name of a host that is being renamed is deleted, through one server or two; to repeat it at once does no harm', async (t) => {
  const two = await startTwo(t);
  for (let round = 0; round < ROUNDS / 4; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const [old, name] = [`old-${round}`, `new-${round}`];
    await makeHost(one, old, 600);
    await until(async () => other.server.tables.of('port').by('binding:host_id', old).length === 600);
    let isDone = false;
    const renamed = Promise.all(
      [one, other].map((server) => server.send('PUT', `/cable/v1/hosts/${old}/rename`, { name })),
    ).finally(() => {
      isDone = true;
    });
    const deleted = new Set<number>();
    while (!isDone) {
      // Once it is done the new name has the ports, and so is not deleted either.
      for (const host of [name, old]) deleted.add((await other.send('DELETE', `/cable/v1/hosts/${host}`)).status);
      // Requests that come over no connection let nothing else in between.
      await setImmediate();
    }
    // Who comes when it is done finds nothing to be renamed.
    const statuses = (await renamed).map(({ status }) => status);
    assert.ok(statuses.includes(200) && statuses.every((status) => status === 200 || status === 404), statuses.join());
    assert.ok(!deleted.has(204) && [...deleted].every((status) => status < 500), [...deleted].join());
    const bound = (await one.send('GET', `/v2.0/ports?binding:host_id=${name}&fields=id`)).body['ports'] ?? [];
    assert.equal(bound.length, 600);
    await assertInvariants(two[0].server);
  }
});

async function waitForNetwork({ send }: Harness, id: string): Promise<void> {
  await until(async () => (await send('GET', `/v2.0/networks/${id}`)).status === 200);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await holds())) assert.ok(performance.now() < deadline, 'what is waited for does not come');
}

test('port forwardings keep their rules beside floating IPs, ports and legs, through one server or two', async (t) => {
  const two = await startTwo(t);
  const { external, router, inside, portIn } = await outsideWorld(two[0]);
  const { network, subnet } = await inside('10.0.0.0/24');
  const given = { floatingip: { floating_network_id: external['id'] } };
  const take = async (): Promise<string> =>
    String((await two[0].send('POST', '/v2.0/floatingips', given, MEMBER)).body['floatingip']?.['id']);
  const outcomes: Record<string, number> = {};
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = round % 2 === 0 ? [two[0], two[0]] : two;
    const [floating, second, port] = [await take(), await take(), await portIn(network)];
    await other.server.tables.waitFor(one.server.tables.revision);
    const forward = ({ send }: Harness, internal: number, external: number, floatingIp = floating) =>
      send('POST', `/v2.0/floatingips/${floatingIp}/port_forwardings`, {
        port_forwarding: {
          ...{ protocol: 'tcp', internal_port_id: port['id'] },
          ...{ internal_port: internal, external_port: external },
        },
      });
    const lead = ({ send }: Harness, floatingIp: string) =>
      send('PUT', `/v2.0/floatingips/${floatingIp}`, { floatingip: { port_id: port['id'] } });
    const kinds = [
      ['external', () => forward(other, 2, 80)],
      ['internal', () => forward(other, 1, 81, second)],
      ['floating', () => lead(other, floating)],
      ['port', () => lead(other, second)],
      [
        'leg',
        () => other.send('PUT', `/v2.0/routers/${router['id']}/remove_router_interface`, { subnet_id: subnet['id'] }),
      ],
    ] as const;
    const [name, act] = kinds[(round >> 1) % kinds.length] ?? kinds[0];
    const acts = [() => forward(one, 1, 80), act];
    const isLater = round % 20 >= 10;
    const sent = await Promise.all((isLater ? acts.reverse() : acts).map((send) => send()));
    const answers = isLater ? sent.reverse() : sent;
    const done = answers.filter(({ status }) => status === 200 || status === 201);
    assert.equal(done.length, 1, `${name}: ${JSON.stringify(answers)}`);
    outcomes[name] = (outcomes[name] ?? 0) + Number(done[0] === answers[0]);
    await assertInvariants(two[0].server);
    if (name === 'leg' && answers[1]?.status === 200) {
      await one.send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnet['id'] });
    }
    await Promise.all([one.send('DELETE', `/v2.0/ports/${port['id']}`), forward(other, 7, 7)]);
    await other.server.tables.waitFor(one.server.tables.revision);
    await assertInvariants(two[0].server);
    for (const id of [floating, second])
      assert.equal((await one.send('DELETE', `/v2.0/floatingips/${id}`)).status, 204);
  }
  t.diagnostic(`the port forwarding won: ${JSON.stringify(outcomes)}`);
});
