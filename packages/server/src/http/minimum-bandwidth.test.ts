/** Minimum bandwidth: what is promised on hosts is counted, and never more than they say that they have. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { checkStore } from '../engine/check.ts';
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

const POLICIES = '/v2.0/qos/policies';
const OVER = 'QosPlacementAllocationUpdateConflict';
const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };

type Cloud = Harness & {
  readonly flat: string;
  readonly tunnelled: string;
  /** Id of a new policy with these minima. */
  policy(rules: Readonly<Record<string, number>>): Promise<string>;
  bind(network: string, policy: string | null, host: string): Promise<Json>;
  booked(host: string): Promise<unknown>;
};

async function cloud(t: TestContext): Promise<Cloud> {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const provider = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
  const flat = String((await create('network', provider))['id']);
  const tunnelled = String((await create('network', {}))['id']);
  await host(harness, 'h1', { physnet1: { egress: 1000, ingress: 500 } });
  await host(harness, 'h2', { physnet1: { egress: 1000 }, rp_tunnelled: { egress: 100 } });
  return {
    ...harness,
    ...{ flat, tunnelled },
    policy: async (rules) => {
      const id = String((await create('qos_policy', {}))['id']);
      for (const [direction, min_kbps] of Object.entries(rules)) await rule(harness, id, { direction, min_kbps });
      return id;
    },
    bind: (network, policy, to) =>
      create('port', {
        ...{ network_id: network, qos_policy_id: policy, device_owner: 'compute:nova', 'binding:host_id': to },
      }),
    booked: async (name) => (await send('GET', `/cable/v1/hosts/${name}`)).body['host']?.['booked_bandwidth'],
  };
}

async function host({ send }: Pick<Harness, 'send'>, name: string, bandwidth: object): Promise<void> {
  const underlay = `192.0.2.${name.slice(1)}`;
  const body = { underlay, agentVersion: 'test', bridgeMappings: { physnet1: 'eth1' }, bandwidth };
  const { status } = await send('PUT', `/cable/v1/hosts/${name}`, body);
  assert.ok(status < 300, String(status));
}

async function rule({ send }: Pick<Harness, 'send'>, policy: string, fields: object): Promise<Json> {
  const answer = await send('POST', `${POLICIES}/${policy}/minimum_bandwidth_rules`, {
    minimum_bandwidth_rule: fields,
  });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body['minimum_bandwidth_rule'] as Json;
}

test('what ports are promised is counted on their host, and no more than it has', async (t) => {
  const { send, flat, policy, bind, booked, server } = await cloud(t);
  const gold = await policy({ egress: 600, ingress: 200 });
  const port = await bind(flat, gold, 'h1');
  assert.deepEqual(await booked('h1'), { physnet1: { egress: 600, ingress: 200 } });
  const fields = { network_id: flat, qos_policy_id: gold, 'binding:host_id': 'h1' };
  const message = await refused(send('POST', '/v2.0/ports', { port: fields }), 409, OVER);
  assert.match(message, /h1 has 1000 kbit\/s of egress on physnet1.*promised 1200/);
  const other = await bind(flat, gold, 'h2');
  const move = { port: { 'binding:host_id': 'h1' } };
  await refused(send('PUT', `/v2.0/ports/${other['id']}`, move), 409, OVER);
  assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`)).status, 204);
  assert.deepEqual(await booked('h1'), {});
  assert.equal((await send('PUT', `/v2.0/ports/${other['id']}`, move)).status, 200);
  assert.deepEqual([await booked('h1'), await booked('h2')], [{ physnet1: { egress: 600, ingress: 200 } }, {}]);
  await assertInvariants(server);
});

test('a host that says nothing is promised without bound, and counted; so is a direction or network of which it says nothing', async (t) => {
  const { send, flat, tunnelled, policy, bind, booked, server } = await cloud(t);
  const huge = await policy({ egress: 900_000, ingress: 900_000 });
  await bind(flat, huge, 'h7');
  await bind(tunnelled, huge, 'h1');
  assert.deepEqual(await booked('h1'), { rp_tunnelled: { egress: 900_000, ingress: 900_000 } });
  await bind(flat, await policy({ ingress: 900_000 }), 'h2');
  await refused(
    send('POST', '/v2.0/ports', { port: { network_id: tunnelled, qos_policy_id: huge, 'binding:host_id': 'h2' } }),
    ...([409, OVER] as const),
  );
  await host({ send }, 'h7', { physnet1: { egress: 5 } });
  assert.deepEqual(await booked('h7'), { physnet1: { egress: 900_000, ingress: 900_000 } });
  await refused(
    send('POST', '/v2.0/ports', {
      port: { network_id: flat, qos_policy_id: await policy({ egress: 1 }), 'binding:host_id': 'h7' },
    }),
    ...([409, OVER] as const),
  );
  await assertInvariants(server);
});

test('packets are promised alike: each direction counts among all, and Placement is asked for them apart', async (t) => {
  const { send, flat, tunnelled, policy, bind, booked, server } = await cloud(t);
  await host({ send }, 'h3', { physnet1: { egress: 1000 }, rp_packets: { any: 500, egress: 300 } });
  const packets = async (id: string, direction: string, min_kpps: number): ReturnType<typeof send> =>
    send('POST', `${POLICIES}/${id}/minimum_packet_rate_rules`, { minimum_packet_rate_rule: { direction, min_kpps } });
  const gold = await policy({ egress: 10 });
  assert.equal((await packets(gold, 'egress', 200)).status, 201);
  await refused(packets(gold, 'any', 1), 409, 'QoSRuleParameterConflict');
  await refused(packets(gold, 'egress', 1), 409, 'QoSRulesConflict');
  const port = await bind(flat, gold, 'h3');
  assert.deepEqual(await booked('h3'), { physnet1: { egress: 10 }, rp_packets: { any: 200, egress: 200 } });
  const { request_groups: groups, same_subtree: ids } = port['resource_request'] as unknown as {
    readonly request_groups: readonly {
      readonly id: string;
      readonly required: unknown;
      readonly resources: unknown;
    }[];
    readonly same_subtree: readonly string[];
  };
  assert.deepEqual(
    groups.map(({ required, resources }) => [required, resources]),
    [
      [['CUSTOM_PHYSNET_PHYSNET1', 'CUSTOM_VNIC_TYPE_NORMAL'], { NET_BW_EGR_KILOBIT_PER_SEC: 10 }],
      [['CUSTOM_VNIC_TYPE_NORMAL'], { NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC: 200 }],
    ],
  );
  assert.deepEqual(
    ids,
    groups.map(({ id }) => id),
  );
  const all = await policy({});
  const made = await packets(all, 'any', 301);
  await refused(packets(all, 'ingress', 1), 409, 'QoSRuleParameterConflict');
  const fields = { network_id: tunnelled, qos_policy_id: all, 'binding:host_id': 'h3' };
  const message = await refused(send('POST', '/v2.0/ports', { port: fields }), 409, OVER);
  assert.match(message, /h3 has 500 thousand packets a second of any on rp_packets.*promised 501/);
  const path = `/v2.0/qos/alias_minimum_packet_rate_rules/${made.body['minimum_packet_rate_rule']?.['id']}`;
  const lowered = { alias_minimum_packet_rate_rule: { min_kpps: 300, direction: 'ingress' } };
  assert.equal((await send('PUT', path, lowered)).status, 200);
  await bind(tunnelled, all, 'h3');
  assert.deepEqual(((await booked('h3')) as Json)['rp_packets'], { any: 500, egress: 200, ingress: 300 });
  const [agent] = (await send('GET', '/v2.0/agents?host=h3')).body['agents'] ?? [];
  const { configurations } = agent as unknown as { readonly configurations: Json };
  assert.deepEqual(configurations['resource_provider_packet_processing_without_direction'], { h3: 500 });
  assert.deepEqual(configurations['resource_provider_packet_processing_with_direction'], { h3: { egress: 300 } });
  await assertInvariants(server);
});

test('of ports that are bound at once, on two servers, as many get their place as there are', async (t) => {
  const { store, flat, policy, server, send, booked } = await cloud(t);
  const second = await startTestServer(store);
  t.after(() => second.stop());
  const gold = await policy({ egress: 300 });
  await second.tables.waitFor(server.tables.revision);
  const sends = [send, harnessOf(store, second).send];
  const fields = { network_id: flat, qos_policy_id: gold, 'binding:host_id': 'h1' };
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, at) => (sends[at % 2] ?? send)('POST', '/v2.0/ports', { port: fields })),
  );
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 201, 201, ...Array<number>(9).fill(409)]);
  assert.deepEqual(await booked('h1'), { physnet1: { egress: 900 } });
  await assertInvariants(server);
});

test('a rule that rises, and a port that comes, at once: no more than there is', async (t) => {
  const { send, flat, policy, bind, server, booked } = await cloud(t);
  for (let n = 0; n < 6; n += 1) {
    const gold = await policy({});
    const { id } = await rule({ send }, gold, { min_kbps: 300 });
    const first = await bind(flat, gold, 'h1');
    const [raised, port] = await Promise.all([
      send('PUT', `${POLICIES}/${gold}/minimum_bandwidth_rules/${id}`, { minimum_bandwidth_rule: { min_kbps: 600 } }),
      send('POST', '/v2.0/ports', { port: { network_id: flat, qos_policy_id: gold, 'binding:host_id': 'h1' } }),
    ]);
    assert.notEqual(raised.status === 200, port.status === 201, `${raised.status} ${port.status}`);
    const bound = await booked('h1');
    assert.deepEqual(bound, { physnet1: { egress: 600 } });
    await assertInvariants(server);
    for (const one of [first, port.body['port']]) if (one) await send('DELETE', `/v2.0/ports/${one['id']}`);
  }
});

test('a network’s policy holds for its ports that have none, also when it changes while one comes', async (t) => {
  const { send, flat, policy, bind, booked, server } = await cloud(t);
  const gold = await policy({ egress: 400 });
  const put = (qos_policy_id: string | null) => send('PUT', `/v2.0/networks/${flat}`, { network: { qos_policy_id } });
  for (const _ of [1, 2]) await bind(flat, null, 'h1');
  assert.deepEqual(await booked('h1'), {});
  const [set, third] = await Promise.all([
    put(gold),
    send('POST', '/v2.0/ports', { port: { network_id: flat, 'binding:host_id': 'h1' } }),
  ]);
  assert.notEqual(set.status === 200, third.status === 201, `${set.status} ${third.status}`);
  if (third.status === 201)
    assert.equal((await send('DELETE', `/v2.0/ports/${third.body['port']?.['id']}`)).status, 204);
  assert.equal((await put(gold)).status, 200);
  assert.deepEqual(await booked('h1'), { physnet1: { egress: 800 } });
  await refused(put(await policy({ egress: 501 })), 409, OVER);
  const service = { network_id: flat, device_owner: 'network:dhcp', 'binding:host_id': 'h1' };
  assert.equal((await send('POST', '/v2.0/ports', { port: service })).status, 201, 'services are promised nothing');
  await assertInvariants(server);
});

test('a machine that moves while it runs has its place on both hosts', async (t) => {
  const { send, flat, policy, bind, booked, server } = await cloud(t);
  const gold = await policy({ egress: 600 });
  const port = await bind(flat, gold, 'h1');
  const other = await bind(flat, gold, 'h2');
  const bindings = `/v2.0/ports/${port['id']}/bindings`;
  await refused(send('POST', bindings, { binding: { host: 'h2' } }), 409, OVER);
  await send('DELETE', `/v2.0/ports/${other['id']}`);
  const allocation = { '5f0c1b7e-2d3a-5c4b-8e9f-0a1b2c3d4e5f': '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b' };
  const made = await send('POST', bindings, { binding: { host: 'h2', profile: { allocation } } });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  assert.deepEqual(
    [await booked('h1'), await booked('h2')],
    [{ physnet1: { egress: 600 } }, { physnet1: { egress: 600 } }],
  );
  assert.equal((await send('PUT', `${bindings}/h2/activate`)).status, 200);
  assert.deepEqual((await send('GET', `/v2.0/ports/${port['id']}`)).body['port']?.['binding:profile'], { allocation });
  assert.equal((await send('DELETE', `${bindings}/h1`)).status, 204);
  assert.deepEqual([await booked('h1'), await booked('h2')], [{}, { physnet1: { egress: 600 } }]);
  await assertInvariants(server);
});

test('a port says what it was promised in words of Placement, to administrators', async (t) => {
  const { send, create, flat, tunnelled, policy } = await cloud(t);
  const gold = await policy({ egress: 600, ingress: 200 });
  const request = async (id: unknown, headers?: Record<string, string>): Promise<Json | undefined> =>
    (await send('GET', `/v2.0/ports/${id}`, undefined, headers)).body['port']?.['resource_request'];
  const port = await create('port', { network_id: flat, qos_policy_id: gold, project_id: 'p' });
  const shown = await request(port['id']);
  const [id] = (shown?.['same_subtree'] ?? []) as unknown as string[];
  assert.match(String(id), /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(shown, {
    request_groups: [
      {
        id,
        required: ['CUSTOM_PHYSNET_PHYSNET1', 'CUSTOM_VNIC_TYPE_NORMAL'],
        resources: { NET_BW_EGR_KILOBIT_PER_SEC: 600, NET_BW_IGR_KILOBIT_PER_SEC: 200 },
      },
    ],
    same_subtree: [id],
  });
  assert.equal(await request(port['id'], MEMBER), undefined);
  const inside = await create('port', { network_id: tunnelled, qos_policy_id: gold });
  const [group] = ((await request(inside['id']))?.['request_groups'] ?? []) as unknown as Json[];
  assert.deepEqual(group?.['required'], ['CUSTOM_NETWORK_TUNNEL_PROVIDER', 'CUSTOM_VNIC_TYPE_NORMAL']);
  assert.equal(await request((await create('port', { network_id: flat }))['id']), null);
  const { extensions } = (await send('GET', '/v2.0/extensions')).body;
  const aliases = (extensions as unknown as Json[]).map((one) => String(one['alias']));
  for (const alias of ['qos-bw-minimum-ingress', 'port-resource-request', 'port-resource-request-groups'])
    assert.ok(aliases.includes(alias), alias);
});

test('a policy promises in a direction no more than it lets pass', async (t) => {
  const { send, policy } = await cloud(t);
  const gold = await policy({ egress: 600 });
  const limit = (fields: object) =>
    send('POST', `${POLICIES}/${gold}/bandwidth_limit_rules`, { bandwidth_limit_rule: fields });
  await refused(limit({ max_kbps: 599 }), 409, 'QoSRuleParameterConflict');
  assert.equal((await limit({ max_kbps: 599, direction: 'ingress' })).status, 201);
  const made = await limit({ max_kbps: 600 });
  assert.equal(made.status, 201);
  const rules = (await send('GET', `${POLICIES}/${gold}/minimum_bandwidth_rules`)).body['minimum_bandwidth_rules'];
  const path = `/v2.0/qos/alias_minimum_bandwidth_rules/${rules?.[0]?.['id']}`;
  const raise = { alias_minimum_bandwidth_rule: { min_kbps: 601 } };
  await refused(send('PUT', path, raise), 409, 'QoSRuleParameterConflict');
  await refused(
    send('POST', `${POLICIES}/${gold}/minimum_bandwidth_rules`, { minimum_bandwidth_rule: { min_kbps: 5 } }),
    ...([409, 'QoSRulesConflict'] as const),
  );
});

test('agents show what they have, in Neutron’s words; what nobody could have is refused', async (t) => {
  const { send } = await cloud(t);
  const agents = (await send('GET', '/v2.0/agents?host=h2')).body['agents'] as unknown as Json[];
  const { resource_provider_bandwidths: shown } = agents[0]?.['configurations'] ?? ({} as Json);
  assert.deepEqual(shown, { eth1: { egress: 1000 }, rp_tunnelled: { egress: 100 } });
  for (const bandwidth of [7, { '': {} }, { a: 7 }, { a: { egress: -1 } }, { a: { ingress: 1.5 } }]) {
    const body = { underlay: '192.0.2.9', agentVersion: 'test', bandwidth };
    await refused(send('PUT', '/cable/v1/hosts/h9', body), 400, 'InvalidInput');
  }
});

test('a physical network may be called as what every object has', async (t) => {
  const harness = await cloud(t);
  const { send, create, policy, booked, server } = harness;
  const gold = await policy({ egress: 400 });
  for (const [name, at] of [
    ['constructor', 'h4'],
    ['__proto__', 'h5'],
  ] as const) {
    const of = (rates: object): object => JSON.parse(`{"${name}":${JSON.stringify(rates)}}`) as object;
    await host(harness, at, of({ egress: 1000 }));
    const provider = { 'provider:network_type': 'flat', 'provider:physical_network': name };
    const { id } = await create('network', provider);
    const port = { network_id: id, qos_policy_id: gold, 'binding:host_id': at };
    const answers: number[] = [];
    for (const _ of [1, 2, 3]) answers.push((await send('POST', '/v2.0/ports', { port })).status);
    assert.deepEqual(answers, [201, 201, 409], name);
    assert.equal(JSON.stringify(await booked(at)), JSON.stringify(of({ egress: 800 })));
    await assertInvariants(server);
  }
  assert.deepEqual([Object.keys(Object.prototype), Object.keys(Object)], [[], []], 'nobody else has what they have');
});

test('a host that gets another name keeps what is promised there, and one that goes takes it along', async (t) => {
  const { send, flat, policy, bind, booked, server } = await cloud(t);
  const gold = await policy({ egress: 700 });
  const body = { port: { network_id: flat, qos_policy_id: gold, 'binding:host_id': 'h3' } };
  assert.equal((await send('POST', '/v2.0/ports', body)).status, 201);
  const port = await bind(flat, gold, 'h1');
  await server.tables.waitFor(
    (await server.deps.store.txn([], [{ kind: 'deletePrefix', prefix: '/cable/h/' }])).revision,
  );
  assert.equal((await send('PUT', '/cable/v1/hosts/h1/rename', { name: 'h8' })).status, 200);
  assert.deepEqual(await booked('h8'), { physnet1: { egress: 700 } });
  const bookings = async () =>
    (await send('GET', '/cable/v1/host-bookings')).body['host_bookings'] as unknown as Json[];
  assert.deepEqual((await bookings()).map((one) => one['id']).sort(), ['h3', 'h8']);
  await assertInvariants(server);
  await send('DELETE', `/v2.0/ports/${port['id']}`);
  assert.equal((await send('DELETE', '/cable/v1/hosts/h8')).status, 204);
  assert.deepEqual(
    (await bookings()).map((one) => one['id']),
    ['h3'],
  );
  await assertInvariants(server);
});

test('what one server promises on a host, and another has not heard of yet, is counted when that one makes it more', async (t) => {
  const { store, send, create, server, flat, policy, booked } = await cloud(t);
  const held = lateStore(store);
  const late = await startTestServer(held.store);
  t.after(() => late.stop());
  const sendLate = harnessOf(store, late).send;
  const nova = { device_owner: 'compute:nova' };
  const put = (path: string, fields: object) => send('PUT', path, fields);
  const made = async (fields: object) => String((await create('port', { network_id: flat, ...nova, ...fields }))['id']);
  const raise = async (id: string): Promise<() => Promise<Answer>> => {
    const rules = `${POLICIES}/${id}/minimum_bandwidth_rules`;
    const [one] = (await send('GET', rules)).body['minimum_bandwidth_rules'] as unknown as Json[];
    return () => sendLate('PUT', `${rules}/${one?.['id']}`, { minimum_bandwidth_rule: { min_kbps: 1001 } });
  };
  const provider = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
  let vlan = 100;
  const network = async () =>
    String(
      (await create('network', { ...provider, 'provider:network_type': 'vlan', 'provider:segmentation_id': vlan++ }))[
        'id'
      ],
    );
  type Case = readonly [what: string, prepare: () => Promise<readonly [() => Promise<unknown>, () => Promise<Answer>]>];
  const cases: readonly Case[] = [
    [
      'a port that comes, and its policy’s rule',
      async () => {
        const gold = await policy({ egress: 100 });
        return [() => made({ qos_policy_id: gold, 'binding:host_id': 'h1' }), await raise(gold)];
      },
    ],
    [
      'a port that comes to a host, and its policy’s rule',
      async () => {
        const gold = await policy({ egress: 100 });
        const port = await made({ qos_policy_id: gold });
        return [() => put(`/v2.0/ports/${port}`, { port: { 'binding:host_id': 'h1' } }), await raise(gold)];
      },
    ],
    [
      'a port that is given a policy, and its rule',
      async () => {
        const gold = await policy({ egress: 100 });
        const port = await made({ 'binding:host_id': 'h1' });
        return [() => put(`/v2.0/ports/${port}`, { port: { qos_policy_id: gold } }), await raise(gold)];
      },
    ],
    [
      'a network that is given a policy, and its rule',
      async () => {
        const [gold, id] = [await policy({ egress: 100 }), await network()];
        await made({ network_id: id, 'binding:host_id': 'h1' });
        return [() => put(`/v2.0/networks/${id}`, { network: { qos_policy_id: gold } }), await raise(gold)];
      },
    ],
    [
      'a port that loses its own policy, and the rule of its network’s',
      async () => {
        const [gold, other, id] = [await policy({ egress: 100 }), await policy({}), await network()];
        await put(`/v2.0/networks/${id}`, { network: { qos_policy_id: gold } });
        const port = await made({ network_id: id, qos_policy_id: other, 'binding:host_id': 'h1' });
        return [() => put(`/v2.0/ports/${port}`, { port: { qos_policy_id: null } }), await raise(gold)];
      },
    ],
    [
      'a port that comes, and its network’s policy',
      async () => {
        const [gold, id] = [await policy({ egress: 1001 }), await network()];
        const give = () => sendLate('PUT', `/v2.0/networks/${id}`, { network: { qos_policy_id: gold } });
        return [() => made({ network_id: id, 'binding:host_id': 'h1' }), give];
      },
    ],
    [
      'a port that comes to a host, and its network’s policy',
      async () => {
        const [gold, id] = [await policy({ egress: 1001 }), await network()];
        const port = await made({ network_id: id });
        const give = () => sendLate('PUT', `/v2.0/networks/${id}`, { network: { qos_policy_id: gold } });
        return [() => put(`/v2.0/ports/${port}`, { port: { 'binding:host_id': 'h1' } }), give];
      },
    ],
    [
      'a rule, and a port that comes by its policy',
      async () => {
        const gold = await policy({ egress: 100 });
        const [one] = (await send('GET', `${POLICIES}/${gold}/minimum_bandwidth_rules`)).body[
          'minimum_bandwidth_rules'
        ] as unknown as Json[];
        const more = { minimum_bandwidth_rule: { min_kbps: 1001 } };
        const port = { network_id: flat, ...nova, qos_policy_id: gold, 'binding:host_id': 'h1' };
        return [
          () => put(`${POLICIES}/${gold}/minimum_bandwidth_rules/${one?.['id']}`, more),
          () => sendLate('POST', '/v2.0/ports', { port }),
        ];
      },
    ],
  ];
  for (const [what, prepare] of cases) {
    const [first, second] = await prepare();
    await late.tables.waitFor(server.tables.revision);
    const release = held.hold();
    await first();
    const answer = second();
    // It has planned by what it knows; what it is refused for it hears of afterwards.
    await Promise.race([held.asked(), answer]);
    release();
    await refused(answer, 409, OVER).catch((err: Error) => assert.fail(`${what}: ${err.message}`));
    assert.deepEqual((await checkStore(server.deps)).violations, [], what);
    const now = ((await booked('h1')) as Record<string, Record<string, number>>)['physnet1']?.['egress'] ?? 0;
    assert.ok(now <= 1000, `${what}: ${now}`);
    for (const one of (await send('GET', '/v2.0/ports')).body['ports'] ?? [])
      await send('DELETE', `/v2.0/ports/${one['id']}`);
  }
});

test('whatever is asked of two servers at once, no host is promised more than it has', async (t) => {
  const { store, send, server, flat, policy, booked } = await cloud(t);
  const second = await startTestServer(store);
  t.after(() => second.stop());
  const sends = [send, harnessOf(store, second).send];
  const policies = [await policy({ egress: 200, ingress: 100 }), await policy({ egress: 350 })];
  await second.tables.waitFor(server.tables.revision);
  const ports: string[] = [];
  let state = 7;
  const below = (n: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % n;
  };
  const any = <T>(all: readonly T[]): T | undefined => all[below(all.length)];
  const hosts = ['', 'h1', 'h2'];
  const step = async (): Promise<void> => {
    const ask = any(sends) ?? send;
    const qos_policy_id = any([null, ...policies]) ?? null;
    const [kind, path] = [below(10), `/v2.0/ports/${any(ports)}`];
    if (kind < 4 || ports.length === 0) {
      const port = { network_id: flat, qos_policy_id, device_owner: 'compute:nova', 'binding:host_id': any(hosts) };
      const made = await ask('POST', '/v2.0/ports', { port });
      if (made.status === 201) ports.push(String(made.body['port']?.['id']));
    } else if (kind === 4) await ask('PUT', path, { port: { qos_policy_id } });
    else if (kind === 5) await ask('PUT', path, { port: { 'binding:host_id': any(hosts) } });
    else if (kind === 6) await ask('POST', `${path}/bindings`, { binding: { host: any(['h1', 'h2']) } });
    else if (kind === 7) await ask('DELETE', path);
    else if (kind === 8) await ask('PUT', `/v2.0/networks/${flat}`, { network: { qos_policy_id } });
    else {
      const rules = `${POLICIES}/${any(policies)}/minimum_bandwidth_rules`;
      const [one] = ((await ask('GET', rules)).body['minimum_bandwidth_rules'] ?? []) as unknown as Json[];
      await ask('PUT', `${rules}/${one?.['id']}`, { minimum_bandwidth_rule: { min_kbps: 50 * (1 + below(8)) } });
    }
  };
  for (let round = 0; round < 30; round += 1) {
    await Promise.all(Array.from({ length: 12 }, step));
    await server.tables.waitFor(second.tables.revision);
    for (const [host, most] of Object.entries({ h1: { egress: 1000, ingress: 500 }, h2: { egress: 1000 } })) {
      const now = ((await booked(host)) as Record<string, Record<string, number>>)['physnet1'] ?? {};
      for (const [direction, rate] of Object.entries(most))
        assert.ok((now[direction] ?? 0) <= rate, `${round}: ${host} ${JSON.stringify(now)}`);
    }
    await assertInvariants(server);
  }
  t.diagnostic(`h1 ${JSON.stringify(await booked('h1'))}, h2 ${JSON.stringify(await booked('h2'))}`);
});

test('a rule by which more is promised on more hosts than one transaction takes is refused, and promises nothing', async (t) => {
  const { send, flat, policy, booked, server } = await cloud(t);
  const gold = await policy({ egress: 10 });
  const name = (n: number): string => `h${n}-${'x'.repeat(200)}`;
  const given = { network_id: flat, qos_policy_id: gold, device_owner: 'compute:nova' };
  for (let first = 0; first < 3000; first += 250) {
    const ports = Array.from({ length: 250 }, (_, n) => ({ ...given, 'binding:host_id': name(first + n) }));
    assert.equal((await send('POST', '/v2.0/ports', { ports })).status, 201);
  }
  const rules = `${POLICIES}/${gold}/minimum_bandwidth_rules`;
  const [one] = (await send('GET', rules)).body['minimum_bandwidth_rules'] as unknown as Json[];
  const raised = { minimum_bandwidth_rule: { min_kbps: 20 } };
  await refused(send('PUT', `${rules}/${one?.['id']}`, raised), 413, 'HTTPRequestEntityTooLarge');
  assert.equal((await send('GET', `${rules}/${one?.['id']}`)).body['minimum_bandwidth_rule']?.['min_kbps'], 10);
  const lowered = { minimum_bandwidth_rule: { min_kbps: 5 } };
  assert.equal((await send('PUT', `${rules}/${one?.['id']}`, lowered)).status, 200, 'less is booked nowhere');
  assert.deepEqual(await booked('h1'), {});
  await assertInvariants(server);
});

test('a minimum and a limit that are changed at once by two servers do not pass each other', async (t) => {
  const { store, send, server, policy } = await cloud(t);
  const held = lateStore(store);
  const late = await startTestServer(held.store);
  t.after(() => late.stop());
  const gold = `${POLICIES}/${await policy({ egress: 100 })}`;
  const limit = { bandwidth_limit_rule: { max_kbps: 900 } };
  const made = (await send('POST', `${gold}/bandwidth_limit_rules`, limit)).body['bandwidth_limit_rule'];
  const [least] = (await send('GET', `${gold}/minimum_bandwidth_rules`)).body['minimum_bandwidth_rules'] ?? [];
  await late.tables.waitFor(server.tables.revision);
  const release = held.hold();
  const lower = { bandwidth_limit_rule: { max_kbps: 500 } };
  assert.equal((await send('PUT', `${gold}/bandwidth_limit_rules/${made?.['id']}`, lower)).status, 200);
  const answer = harnessOf(store, late).send('PUT', `${gold}/minimum_bandwidth_rules/${least?.['id']}`, {
    minimum_bandwidth_rule: { min_kbps: 800 },
  });
  await Promise.race([held.asked(), answer]);
  release();
  await refused(answer, 409, 'QoSRuleParameterConflict');
  await assertInvariants(server);
});
