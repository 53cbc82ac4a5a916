import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type {
  FlowEvent,
  FlowView,
  HostAsk,
  PacketCounts,
  PacketEvent,
  ServerLine,
  TraceEnd,
  TraceHop,
} from '@cable/model';
import type { Permission } from '../engine/permission.ts';
import { TestSocket, within } from '../hosts/stream.fixture.ts';
import { createPolicy } from '../policy/policy.ts';
import { type Harness, harnessOf, type Json, refused, startHarness, startTestServer } from '../testing/harness.ts';

const ANN = { 'x-project-id': 'ann', 'x-roles': 'member' };
const BOB = { 'x-project-id': 'bob', 'x-roles': 'member' };
const UNDERLAY: Readonly<Record<string, string>> = { h1: '192.0.2.1', h2: '192.0.2.2' };

type Said = { readonly value: unknown } | { readonly fault: unknown };

/** An agent that answers what it is asked as it is told; undefined: not at all. */
async function agent(
  t: TestContext,
  { send, server }: Harness,
  host: string,
  answer: (ask: HostAsk) => Said | undefined,
) {
  const session = randomUUID();
  const body = { underlay: UNDERLAY[host], agentVersion: '1', agentId: randomUUID(), session, protocol: 2 };
  assert.equal((await send('PUT', `/cable/v1/hosts/${host}`, body)).status, 200);
  let text = '';
  let inSync: () => void = () => {};
  const synced = new Promise<void>((resolve) => {
    inSync = resolve;
  });
  const socket = new TestSocket((chunk) => {
    text += chunk.toString();
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const one of lines) {
      const line = JSON.parse(one) as ServerLine;
      if (line.type === 'sync') inSync();
      if (line.type !== 'ask') continue;
      const said = answer(line.ask);
      if (said !== undefined) socket.push(`${JSON.stringify({ type: 'answer', id: line.id, ...said })}\n`);
    }
  });
  (await server.openStream(host))(socket);
  socket.say({ type: 'resume', session, since: 0, history: null, slices: {}, answers: true });
  t.after(() => socket.destroy());
  await within(synced, 'the agent to be in sync');
  return socket;
}

type Cloud = {
  readonly harness: Harness;
  readonly a: Json;
  readonly b: Json;
  readonly router: Json;
  readonly group: Json;
};

/** A port of ann's and one of bob's in a shared network, on two hosts. */
async function cloud(t: TestContext): Promise<Cloud> {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const network = await create('network', { name: 'shared', shared: true });
  await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const port = async (name: string, who: Record<string, string>, host: string): Promise<Json> => {
    const made = await create('port', { network_id: network['id'], name }, who);
    const body = { port: { 'binding:host_id': host, device_owner: 'compute:nova' } };
    const bound = await send('PUT', `/v2.0/ports/${made['id']}`, body);
    assert.equal(bound.status, 200, JSON.stringify(bound.body));
    return bound.body['port'] as Json;
  };
  const [a, b] = [await port('a', ANN, 'h1'), await port('b', BOB, 'h2')];
  const router = await create('router', { name: 'bobs' }, BOB);
  const { body } = await send('GET', '/v2.0/security-groups', undefined, BOB);
  return { harness, a, b, router, group: (body['security_groups'] as Json)[0] as Json };
}

const addressOf = (port: Json): string => String(port['fixed_ips']?.[0]?.['ip_address']);
const REASON = { name: 'policy_ingress', meaning: 'no rule allows it', remedy: 'add one' };

function hop(end: TraceEnd, more: Partial<TraceHop> = {}): { readonly value: TraceHop } {
  return { value: { neighbour: null, steps: [], end, ...more } };
}

test('who may not know of a port gets 404, who may only see it 403, and nobody is asked', async (t) => {
  const { harness, a, b } = await cloud(t);
  let asked = 0;
  for (const host of ['h1', 'h2']) {
    await agent(t, harness, host, () => {
      asked += 1;
      return { value: { drops: [], rxPackets: 1, txPackets: 2 } };
    });
  }
  const { send, create } = harness;
  for (const what of [
    'capture',
    'drops',
    'flows',
    'follow',
    `live?to=${addressOf(b)}`,
    `trace?to=${addressOf(b)}`,
    'why',
  ])
    await refused(send('GET', `/cable/v1/ports/${a['id']}/${what}`, undefined, BOB), 404, 'PortNotFound');
  await refused(send('GET', `/cable/v1/ports/${a['id']}/why?to=${b['id']}`, undefined, ANN), 404, 'PortNotFound');
  await refused(send('GET', '/cable/v1/ports/nonsense/drops'), 404, 'PortNotFound');
  // The owner of a network sees the ports of others there, and no more of them.
  const own = await create('network', { name: 'anns' }, ANN);
  await send('PUT', `/v2.0/networks/${own['id']}`, { network: { shared: true } });
  const guest = await create('port', { network_id: own['id'] }, BOB);
  await refused(send('GET', `/cable/v1/ports/${guest['id']}/drops`, undefined, ANN), 403, 'PolicyNotAuthorized');
  assert.equal(asked, 0);
  const { status, body } = await send('GET', `/cable/v1/ports/${a['id']}/drops`, undefined, ANN);
  assert.equal(status, 200);
  assert.equal(body['host'], null, 'a member is not told hosts');
  assert.equal((await send('GET', `/cable/v1/ports/${a['id']}/drops`)).body['host'], 'h1');
});

test('questions to a host that does not answer keep nobody from lists, nor others from their own', async (t) => {
  const { harness, a, b } = await cloud(t);
  const { send } = harness;
  let asked = 0;
  const silent = await agent(t, harness, 'h1', () => {
    asked += 1;
    return undefined;
  });
  await agent(t, harness, 'h2', () => ({ value: { drops: [], rxPackets: 1, txPackets: 2 } }));
  const drops = (port: Json, who: Record<string, string>) =>
    send('GET', `/cable/v1/ports/${port['id']}/drops`, undefined, who);
  const first = Array.from({ length: 60 }, () => drops(a, ANN));
  const refusals = (await Promise.all(first.slice(16))).map(({ status }) => status);
  assert.deepEqual(new Set(refusals), new Set([503]), 'one project has so many open');
  assert.equal((await send('GET', '/v2.0/ports')).status, 200);
  assert.equal((await drops(b, BOB)).status, 200);
  while (asked < 8) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(asked, 8);
  silent.destroy();
  assert.deepEqual(new Set((await Promise.all(first)).map(({ status }) => status)), new Set([503]));
  await agent(t, harness, 'h1', () => ({ value: { drops: [], rxPackets: 1, txPackets: 2 } }));
  assert.equal((await drops(a, ANN)).status, 200, 'its places are free again');
});

test('the way to the host of a router’s gateway is called so', async (t) => {
  const { harness, a } = await cloud(t);
  const { create, send } = harness;
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'p' };
  const external = await create('network', { 'router:external': true, ...flat });
  await create('subnet', { network_id: external['id'], cidr: '203.0.113.0/24', ip_version: 4 });
  const router = await create('router', { external_gateway_info: { network_id: external['id'] } });
  const ports = await send('GET', `/v2.0/ports?device_id=${router['id']}`);
  const gateway = (ports.body['ports'] as Json)[0] as Json;
  const route = { kind: 'route' as const, networkId: String(gateway['id']), nextHop: '169.254.0.1' };
  await agent(t, harness, 'h1', () => hop({ kind: 'service' }, { steps: [route] }));
  const { body } = await send('GET', `/cable/v1/ports/${a['id']}/trace?to=198.51.100.7`, undefined, ANN);
  assert.match(JSON.stringify(body), /"route: to the host of the router’s gateway"/);
});

test('a trace goes from host to host and back, and names nothing of another project', async (t) => {
  const { harness, a, b, router, group } = await cloud(t);
  const asks: HostAsk[] = [];
  const rule = String((group['security_group_rules'] as Json)[0]?.['id']).slice(0, 8);
  const onHost =
    (name: string) =>
    (ask: HostAsk): Said => {
      asks.push(ask);
      assert.equal(ask.kind, 'trace');
      if (ask.kind !== 'trace') return { fault: {} };
      if (ask.from.kind === 'host') return hop({ kind: 'port', portId: String(name === 'h1' ? a['id'] : b['id']) });
      const underlay = UNDERLAY[name === 'h1' ? 'h2' : 'h1'] ?? '';
      return hop(
        { kind: 'host', underlay, vni: 7, frame: 'AAAA' },
        {
          neighbour: { address: ask.from.nextHop, mac: '02:00:00:00:00:01', end: { kind: 'answered' } },
          steps: [
            { kind: 'router', routerId: String(router['id']) },
            { kind: 'receiver', portId: String(b['id']) },
            { kind: 'rule', direction: 'ingress', rule },
          ],
        },
      );
    };
  for (const host of ['h1', 'h2']) await agent(t, harness, host, onHost(host));
  const path = `/cable/v1/ports/${a['id']}/trace?to=${addressOf(b)}&protocol=tcp&dport=80`;
  const { status, body } = await harness.send('GET', path, undefined, ANN);
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(
    [body['verdict'], body['cause'], body['receiver'], body['there']?.length, body['back']?.length],
    ['passes', null, null, 2, 2],
  );
  const told = JSON.stringify(body);
  for (const secret of ['bobs', String(router['id']), String(b['id']), String(group['id']), '"b"', 'h2', '192.0.2'])
    assert.ok(!told.includes(secret), `${secret} is told: ${told}`);
  assert.match(told, /of another project/);
  const [there, second, back, last] = asks;
  assert.deepEqual(second, {
    kind: 'trace',
    from: { kind: 'host', underlay: '192.0.2.1', vni: 7, frame: 'AAAA' },
    isAnswer: false,
  });
  assert.ok(
    there?.kind === 'trace' && there.from.kind === 'port' && back?.kind === 'trace' && back.from.kind === 'port',
  );
  assert.deepEqual([there.isAnswer, back.isAnswer, last?.kind === 'trace' && last.isAnswer], [false, true, true]);
  assert.equal(back.from.portId, b['id']);
  assert.deepEqual(
    [back.from.packet.source, back.from.packet.sourcePort, back.from.packet.destination],
    [addressOf(b), 80, addressOf(a)],
  );
  const admin = await harness.send('GET', path);
  assert.match(JSON.stringify(admin.body), /router bobs/);
});

test('a packet to a group is followed to each host that gets a copy, and arrives where a port does', async (t) => {
  const { harness, a, b } = await cloud(t);
  const asks: HostAsk[] = [];
  const copy = { kind: 'copy', portId: null, underlay: null, passed: true, isOutside: false } as const;
  const group = '239.1.2.3';
  await agent(t, harness, 'h1', (ask) => {
    asks.push(ask);
    const neighbour = { address: group, mac: '01:00:5e:01:02:03', end: { kind: 'answered' } } as const;
    const end = { kind: 'copies', count: 1, frame: 'AAAA' } as const;
    const toOther = { ...copy, underlay: UNDERLAY['h2'] ?? '' };
    return hop(end, { neighbour, steps: [toOther, { kind: 'passed-over', count: 2, isReport: false }] });
  });
  let passed = true;
  const other = await agent(t, harness, 'h2', (ask) => {
    asks.push(ask);
    return hop({ kind: 'copies', count: 1 }, { steps: [{ ...copy, portId: String(b['id']), passed }] });
  });
  const path = `/cable/v1/ports/${a['id']}/trace?to=${group}&protocol=udp&dport=5000`;
  const verdict = async (): Promise<unknown[]> => {
    const { body } = await harness.send('GET', path);
    return [body['verdict'], body['cause']?.['reason'] ?? null, body['there']?.length, body['back']?.length];
  };
  assert.deepEqual(await verdict(), ['arrives', null, 2, 0]);
  const { body: network } = await harness.send('GET', `/v2.0/networks/${a['network_id']}`);
  const [first, second] = asks;
  assert.ok(first?.kind === 'trace' && first.from.kind === 'port');
  assert.equal(first.from.nextHop, group);
  assert.deepEqual(second?.kind === 'trace' && second.from, {
    kind: 'host',
    underlay: UNDERLAY['h1'],
    vni: network['network']?.['provider:segmentation_id'],
    frame: 'AAAA',
  });
  const { body } = await harness.send('GET', path);
  assert.match(
    JSON.stringify(body),
    /to 239.1.2.3 by 01:00:5e:01:02:03.*2 ports of this host get no copy: not joined.*a copy to port/,
  );
  passed = false;
  assert.deepEqual(await verdict(), ['dropped', 'no_members', 2, 0]);
  other.destroy();
  assert.deepEqual(await verdict(), ['unknown', 'host_unreachable', 1, 0]);
});

test('a host that watches another server of the store is asked by that one, and nothing is left of it', async (t) => {
  const { harness, a } = await cloud(t);
  const { store, server, send } = harness;
  const other = await startTestServer(store);
  t.after(() => other.stop());
  const asked: HostAsk[] = [];
  let said: Said = { value: { rxPackets: 3, txPackets: 4, drops: [] } };
  const there = harnessOf(store, other);
  await agent(t, there, 'h1', (ask) => {
    asked.push(ask);
    return said;
  });
  await server.tables.waitFor(other.tables.revision);
  const path = `/cable/v1/ports/${a['id']}/drops`;
  const answers = await Promise.all([...Array(20)].map(() => send('GET', path)));
  for (const answer of answers) {
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    assert.deepEqual(answer.body, (await there.send('GET', path)).body);
  }
  assert.equal(asked.length, 40);
  said = { fault: { code: 'no-port', message: '' } };
  await refused(send('GET', path), 409, 'HostRefusesAsk');
  const left = async (): Promise<number> => (await store.list('/cable/y/')).kvs.length;
  for (let tries = 0; (await left()) > 0 && tries < 600; tries += 1) await new Promise((r) => setTimeout(r, 100));
  assert.equal(await left(), 0);
});

test('what drops a packet is the cause; an agent that is away leaves the verdict open; the first is an error', async (t) => {
  const { harness, a, b } = await cloud(t);
  const path = `/cable/v1/ports/${a['id']}/trace?to=${addressOf(b)}`;
  await refused(harness.send('GET', path), 503, 'HostUnreachable');
  let end: TraceEnd = { kind: 'drop', reason: REASON };
  const socket = await agent(t, harness, 'h1', () => hop(end));
  const dropped = (await harness.send('GET', path)).body;
  assert.deepEqual(
    [dropped['verdict'], dropped['cause']?.['reason'], dropped['cause']?.['way']],
    ['dropped', 'policy_ingress', 'there'],
  );
  end = { kind: 'host', underlay: UNDERLAY['h2'] ?? '', vni: 7, frame: '' };
  const open = (await harness.send('GET', path)).body;
  assert.deepEqual([open['verdict'], open['cause']?.['reason']], ['unknown', 'host_unreachable']);
  end = { kind: 'host', underlay: UNDERLAY['h1'] ?? '', vni: 7, frame: '' };
  await harness.send('PUT', '/cable/v1/hosts/h1', {});
  const turning = (await harness.send('GET', path)).body;
  assert.match(String(turning['cause']?.['meaning']), /does not end within/);
  socket.destroy();
});

test('what is translated or leaves by an uplink arrives, and its answer is not traced', async (t) => {
  const { harness, a, b } = await cloud(t);
  const path = `/cable/v1/ports/${a['id']}/trace?to=203.0.113.7`;
  const asks: HostAsk[] = [];
  let said = hop({ kind: 'outside' });
  await agent(t, harness, 'h1', (ask) => {
    asks.push(ask);
    return said;
  });
  const verdictOf = ({ body }: { body: Json }) => [body['verdict'], body['cause']?.['reason'], body['cause']?.['way']];
  assert.deepEqual(verdictOf(await harness.send('GET', path)), ['arrives', 'outside', 'there']);
  const source = { kind: 'translation', of: 'source', address: '203.0.113.2', port: 4096 } as const;
  said = hop({ kind: 'outside' }, { steps: [source] });
  assert.deepEqual(verdictOf(await harness.send('GET', path)), ['arrives', 'outside', 'there']);
  const destination = { kind: 'translation', of: 'destination', address: addressOf(b), port: 8080 } as const;
  said = hop({ kind: 'port', portId: String(b['id']) }, { steps: [{ kind: 'member' }, destination, source] });
  const admin = await harness.send('GET', path);
  assert.deepEqual(verdictOf(admin), ['arrives', 'translated', 'back']);
  assert.match(JSON.stringify(admin.body), new RegExp(`its destination becomes ${addressOf(b)}, port 8080`));
  const member = await harness.send('GET', path, undefined, ANN);
  assert.ok(!JSON.stringify(member.body).includes(addressOf(b)), 'the address behind is another project’s');
  assert.match(JSON.stringify(member.body), /becomes an address of another project, port 8080/);
  assert.match(JSON.stringify(member.body), /its source becomes 203.0.113.2, port 4096/);
  assert.equal(asks.length, 4, 'no answer is asked for');
  said = hop({ kind: 'drop', reason: REASON }, { steps: [destination] });
  assert.deepEqual(verdictOf(await harness.send('GET', path)), ['dropped', 'policy_ingress', 'there']);
  said = hop({ kind: 'cut' });
  assert.deepEqual(verdictOf(await harness.send('GET', path)), ['unknown', 'cut', 'there']);
  said = hop({ kind: 'later' } as unknown as TraceEnd);
  assert.deepEqual(verdictOf(await harness.send('GET', path)), ['unknown', 'not_understood', 'there']);
});

test('the answer of what is translated is asked for as it arrived, with the flows of each host', async (t) => {
  const { harness, a, b } = await cloud(t);
  const asks: Extract<HostAsk, { kind: 'trace' }>[] = [];
  const destination = { kind: 'translation', of: 'destination', address: addressOf(b), port: 8080 } as const;
  const packet = { source: '203.0.113.2', destination: addressOf(b), sourcePort: 4096, destinationPort: 8080 };
  const toHost = (host: string): TraceEnd => ({ kind: 'host', underlay: UNDERLAY[host] ?? '', vni: 7, frame: '' });
  await agent(t, harness, 'h1', (ask) => {
    if (ask.kind !== 'trace') return undefined;
    asks.push(ask);
    if (ask.isAnswer) return hop({ kind: 'port', portId: String(a['id']) });
    return hop(toHost('h2'), { began: 'AAAA', steps: [{ kind: 'member' }, destination] });
  });
  let arrived: typeof packet | undefined = packet;
  await agent(t, harness, 'h2', (ask) => {
    if (ask.kind !== 'trace') return undefined;
    asks.push(ask);
    const neighbour = { address: '10.0.0.1', mac: '02:00:00:00:00:01', end: { kind: 'answered' } } as const;
    if (ask.isAnswer) return hop(toHost('h1'), { neighbour });
    const end = { kind: 'port', portId: String(b['id']) } as const;
    return hop(arrived === undefined ? end : { ...end, packet: arrived }, { began: 'BBBB' });
  });
  const path = `/cable/v1/ports/${a['id']}/trace?to=203.0.113.7&protocol=tcp&dport=80`;
  const { body } = await harness.send('GET', path);
  assert.deepEqual([body['verdict'], body['cause']], ['passes', null]);
  assert.deepEqual(
    asks.map(({ flows }) => flows),
    [undefined, undefined, ['BBBB'], ['AAAA']],
  );
  const [, , back] = asks;
  assert.ok(back?.from.kind === 'port' && back.from.portId === String(b['id']));
  const { source, destination: to, sourcePort, destinationPort } = back.from.packet;
  assert.deepEqual([source, sourcePort, to, destinationPort], [addressOf(b), 8080, '203.0.113.2', 4096]);
  const member = (await harness.send('GET', path, undefined, ANN)).body;
  assert.equal(member['verdict'], 'passes');
  assert.ok(!JSON.stringify(member).includes(addressOf(b)), 'the address behind is another project’s');
  assert.match(JSON.stringify(member['back']), /its next hop answers/);
  assert.ok(!JSON.stringify(member).includes('10.0.0.1"'));
  arrived = undefined;
  const older = (await harness.send('GET', path)).body;
  assert.deepEqual(
    [older['verdict'], older['cause']?.['reason']],
    ['arrives', 'translated'],
    'the receiver’s agent is older',
  );
});

test('answers of agents that are no answers are refused, whatever they are', async (t) => {
  const { harness, a, b } = await cloud(t);
  let value: unknown;
  await agent(t, harness, 'h1', () => ({ value }));
  const ask = (what: string) => harness.send('GET', `/cable/v1/ports/${a['id']}/${what}`);
  for (value of [
    ...[null, 1, 'x', [], {}, { drops: 1, rxPackets: 1, txPackets: 1 }, { flows: [{}], total: 1, next: null }],
    ...[
      { steps: [], end: {}, neighbour: null },
      { steps: [1], end: null, neighbour: null },
    ],
    ...[
      { steps: [], end: { kind: 'host', underlay: 1 }, neighbour: null },
      { steps: [], end: null, neighbour: 7 },
    ],
    { rxPackets: 1, txPackets: 1, drops: [{ reason: 'text', packets: 1, lastSecondsAgo: 1 }] },
    ...[
      { lease: 'a.1', records: [], lost: 0 },
      { lease: 'a', records: [{}], lost: 0 },
      { lease: 'a', records: [{ ...eventOf(a, b), atMs: 1e300 }], lost: 0 },
      { lease: 'a', records: [{ ...eventOf(a, b), becomes: { source: 1 } }], lost: 0 },
      { lease: 'a', records: [{ ...packetOf(a, b), atMs: null }], lost: 0 },
      { lease: 'a', records: [{ ...packetOf(a, b), flow: 7 }], lost: 0 },
      { lease: 'a', records: [], lost: 0, counted: { sent: 1, received: 1, drops: [{}] } },
    ],
  ]) {
    for (const what of ['drops', 'flows', 'follow', `trace?to=${addressOf(b)}`])
      await refused(ask(what), 409, 'HostRefusesAsk');
  }
});

test('flows have the names of peers and rules that the caller may know', async (t) => {
  const { harness, a, b } = await cloud(t);
  const { body } = await harness.send('GET', '/v2.0/security-groups', undefined, ANN);
  const rules = (body['security_groups'] as Json)[0]?.['security_group_rules'] as Json;
  const flow: FlowView = {
    ...{ flow: 9, isBegun: true, networkId: String(a['network_id']), protocol: 6, state: 'established' },
    ...{ source: addressOf(a), destination: addressOf(b), sourcePort: 5, destinationPort: 80, icmpType: null },
    ...{ packets: 1, bytes: 2, replyPackets: 3, replyBytes: 4, ageSeconds: 5, expiresSeconds: 6 },
    ...{ peerPortId: null, peerUnderlay: '192.0.2.2', rule: String(rules[0]?.['id']).slice(0, 8) },
  };
  const asked: HostAsk[] = [];
  await agent(t, harness, 'h1', (ask) => {
    asked.push(ask);
    return { value: { flows: [flow], total: 7, next: 9 } };
  });
  const path = `/cable/v1/ports/${a['id']}/flows?limit=1&protocol=TCP&address=10.0.0.9&port=80&state=new&marker=3`;
  const seen = (await harness.send('GET', path, undefined, ANN)).body;
  assert.deepEqual(asked[0], {
    ...{ kind: 'flows', portId: a['id'], limit: 1, after: 3, protocol: 6, address: '10.0.0.9', port: 80, state: 'new' },
  });
  const [one] = seen['flows'] as unknown as Json[];
  assert.deepEqual([seen['total'], seen['next_marker'], one?.['peer'], one?.['rule']], [7, 9, null, rules[0]?.['id']]);
  assert.ok(!JSON.stringify(seen).includes('192.0.2.2'), 'where the peer is, is not told');
  const [admins] = (await harness.send('GET', path)).body['flows'] as unknown as Json[];
  assert.deepEqual(admins?.['peer'], { id: b['id'], name: 'b' });
});

type Outside = Pick<Cloud, 'harness'> & {
  readonly external: Json;
  readonly inner: Json;
  readonly router: Json;
  readonly gateway: Json;
  readonly floating: Json;
  readonly port: Json;
};

/** An external network, ann's router with its gateway on h1, and her port on h2 with a floating IP. */
async function outsideCloud(t: TestContext): Promise<Outside> {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'p' };
  const external = await create('network', { name: 'ext', 'router:external': true, ...flat });
  await create('subnet', { network_id: external['id'], cidr: '203.0.113.0/24', ip_version: 4 });
  const inner = await create('network', { name: 'inner' }, ANN);
  const subnet = await create('subnet', { network_id: inner['id'], cidr: '10.0.0.0/24', ip_version: 4 }, ANN);
  const router = await create('router', { external_gateway_info: { network_id: external['id'] } }, ANN);
  const leg = { subnet_id: subnet['id'] };
  assert.equal((await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, leg, ANN)).status, 200);
  const made = await create('port', { network_id: inner['id'], name: 'web' }, ANN);
  const port = await bind(harness, made, 'h2', { device_owner: 'compute:nova' });
  const found = await send('GET', `/v2.0/ports?device_id=${router['id']}&device_owner=network:router_gateway`);
  const gateway = await bind(harness, (found.body['ports'] as Json)[0] as Json, 'h1');
  const asked = { floating_network_id: external['id'], port_id: port['id'] };
  return { harness, external, inner, router, gateway, port, floating: await create('floatingip', asked, ANN) };
}

async function bind({ send }: Harness, port: Json, host: string, more: Record<string, string> = {}): Promise<Json> {
  const { status, body } = await send('PUT', `/v2.0/ports/${port['id']}`, {
    port: { 'binding:host_id': host, ...more },
  });
  assert.equal(status, 200, JSON.stringify(body));
  return body['port'] as Json;
}

const UNANSWERED: TraceHop = {
  ...{ steps: [], end: null },
  neighbour: { address: '', mac: null, end: { kind: 'copies', count: 0 } },
};

test('what a machine outside sends is traced by the host that answers it, and the answer has to leave as from there', async (t) => {
  const { harness, external, floating, gateway, port } = await outsideCloud(t);
  const [to, source] = [String(floating['floating_ip_address']), '198.51.100.7'];
  const asked: [string, HostAsk][] = [];
  let left: TraceEnd = { kind: 'outside' };
  let steps: TraceHop['steps'] = [];
  await agent(t, harness, 'h1', (ask) => {
    asked.push(['h1', ask]);
    if (ask.kind !== 'trace') return undefined;
    if (ask.from.kind === 'host') return hop(left, { steps });
    const neighbour = { address: to, mac: '02:00:00:00:00:01', end: { kind: 'answered' } } as const;
    return hop({ kind: 'host', underlay: '192.0.2.2', vni: 7, frame: 'AAAA' }, { neighbour, began: 'flow' });
  });
  await agent(t, harness, 'h2', (ask) => {
    asked.push(['h2', ask]);
    if (ask.kind !== 'trace') return undefined;
    if (ask.from.kind === 'outside') return { value: UNANSWERED };
    if (ask.from.kind === 'port') return hop({ kind: 'host', underlay: '192.0.2.1', vni: 8, frame: 'AAAA' });
    return hop({ kind: 'port', portId: String(port['id']) });
  });
  const trace = async (more = '', who: Record<string, string> = ANN): Promise<Json> => {
    const path = `/cable/v1/networks/${external['id']}/trace?to=${to}&source=${source}&protocol=tcp&dport=80${more}`;
    const { status, body } = await harness.send('GET', path, undefined, who);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const judged = async (): Promise<readonly unknown[]> => {
    const { verdict, cause } = await trace();
    return [verdict, cause?.['reason'] ?? null];
  };
  const told = await trace();
  assert.deepEqual([told['verdict'], told['cause'], told['receiver']?.['name']], ['passes', null, 'web']);
  assert.match(JSON.stringify(told['there']), /a machine on the physical network of ext sends/);
  assert.deepEqual(
    asked.map(([host, ask]) => [host, ask.kind === 'trace' && ask.from.kind, ask.kind === 'trace' && ask.flows]),
    [
      ['h1', 'outside', undefined],
      ['h2', 'host', undefined],
      ['h2', 'port', undefined],
      ['h1', 'host', ['flow']],
    ],
  );
  const [[, first] = []] = asked;
  assert.ok(first?.kind === 'trace' && first.from.kind === 'outside');
  assert.deepEqual([first.from.asker, first.from.nextHop, first.from.networkId], ['203.0.113.1', to, external['id']]);
  const packet = { source: to, destination: source, sourcePort: 80, destinationPort: 40_000 };
  left = { kind: 'outside', packet };
  assert.deepEqual(await judged(), ['passes', null]);
  left = { kind: 'outside', packet: { ...packet, source: addressOf(gateway) } };
  assert.deepEqual(await judged(), ['dropped', 'answer_astray']);
  left = { kind: 'port', portId: null };
  assert.deepEqual(await judged(), ['dropped', 'answer_astray']);
  left = { kind: 'drop', reason: { ...REASON, name: 'no_neighbour' } };
  assert.deepEqual(await judged(), ['dropped', 'no_neighbour']);
  steps = [{ kind: 'outside', networkId: String(external['id']), address: '203.0.113.1', isKnown: false }];
  assert.deepEqual(await judged(), ['passes', null], 'who has just asked is known');
});

test('a port of a provider network answers the machine outside that has asked for it', async (t) => {
  const { harness, b } = await cloud(t);
  const { create } = harness;
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'p' };
  const office = await create('network', { name: 'office', ...flat });
  await create('subnet', { network_id: office['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const port = await bind(harness, await create('port', { network_id: office['id'] }), 'h1');
  const sent: HostAsk[] = [];
  let receiver = port;
  const neighbour = { address: '', mac: '02:00:00:00:00:01', end: { kind: 'answered' } } as const;
  await agent(t, harness, 'h1', (ask) => {
    sent.push(ask);
    const isOut = ask.kind === 'trace' && ask.from.kind === 'port';
    return hop(isOut ? { kind: 'outside' } : { kind: 'port', portId: String(receiver['id']) }, { neighbour });
  });
  await agent(t, harness, 'h2', (ask) => {
    sent.push(ask);
    return hop({ kind: 'outside' }, { neighbour });
  });
  const answered = async (source: string): Promise<unknown> => {
    sent.length = 0;
    const path = `/cable/v1/networks/${office['id']}/trace?to=${addressOf(port)}&source=${source}`;
    const { status, body } = await harness.send('GET', path);
    assert.deepEqual([status, body['verdict']], [200, 'passes'], JSON.stringify(body));
    const last = sent.at(-1);
    return last?.kind === 'trace' && last.from.kind === 'port' && [last.from.nextHop, last.from.isOutside ?? false];
  };
  assert.deepEqual(await answered('10.0.0.200'), ['10.0.0.200', true]);
  assert.deepEqual(await answered('198.51.100.7'), ['10.0.0.1', true], 'the gateway of the link has asked');
  // Who gets it in another network knows nobody there by that.
  receiver = b;
  assert.deepEqual(await answered('10.0.0.200'), ['10.0.0.200', false]);
});

test('of the hosts that may have a floating IP each is asked; none answers, none is there, and older agents are told apart', async (t) => {
  const { harness, external, floating, port, gateway } = await outsideCloud(t);
  const asked: string[] = [];
  let answer: Said = { value: UNANSWERED };
  for (const host of ['h1', 'h2'])
    await agent(t, harness, host, () => {
      asked.push(host);
      return answer;
    });
  const path = `/cable/v1/networks/${external['id']}/trace?to=${floating['floating_ip_address']}&source=203.0.113.200`;
  const { body } = await harness.send('GET', path, undefined, ANN);
  assert.deepEqual([body['verdict'], body['cause']?.['reason'], asked], ['unresolved', 'no_neighbour', ['h1']]);
  assert.match(String(body['cause']?.['meaning']), /no host answers for 203\.0\.113\./);
  const identity = { agentId: randomUUID(), session: randomUUID(), agentVersion: '1', protocol: 2 };
  const registered = { ...identity, underlay: '192.0.2.3', bridgeMappings: { p: 'eth1' } };
  assert.equal((await harness.send('PUT', '/cable/v1/hosts/h3', registered)).status, 200);
  await bind(harness, port, 'h3');
  await refused(harness.send('GET', path), 503, 'HostUnreachable');
  await bind(harness, port, 'h2');
  answer = { fault: { code: 'failed', message: 'from.kind is neither port nor host' } };
  const older = await harness.send('GET', path);
  assert.equal(older.status, 409);
  assert.match(JSON.stringify(older.body), /host h1 is of an older build/);
  await bind(harness, gateway, '');
  await refused(harness.send('GET', path), 409, 'PortNotBound');
});

test('from outside the port that is reached must be the caller’s to look into, and what is not is not told apart from nothing', async (t) => {
  const { harness, external, inner, floating, port, gateway } = await outsideCloud(t);
  const { create, send } = harness;
  await agent(t, harness, 'h1', () => ({ value: UNANSWERED }));
  const trace = (to: string, who?: Record<string, string>, more = '', network = external) =>
    send('GET', `/cable/v1/networks/${network['id']}/trace?to=${to}&source=203.0.113.1${more}`, undefined, who);
  const taken = String(floating['floating_ip_address']);
  const said = await Promise.all([taken, '203.0.113.99', addressOf(gateway)].map((to) => trace(to, BOB)));
  assert.deepEqual(new Set(said.map(({ status }) => status)), new Set([400]));
  assert.deepEqual(new Set(said.map(({ body }) => JSON.stringify(body))).size, 1);
  assert.equal((await trace(addressOf(gateway))).status, 200, 'an administrator');
  await refused(trace(taken, BOB, '', inner), 404, 'NetworkNotFound');
  await refused(trace(taken, ANN, '', inner), 400, 'InvalidInput');
  for (const [more, parameter] of [
    ['&via=10.0.0.77', 'to'],
    ['&via=x', 'via'],
    ['&bytes=1', 'bytes'],
    ['&rate=1', 'rate'],
  ] as const) {
    const { status, body } = await trace(taken, ANN, more);
    assert.equal(status, 400);
    assert.match(JSON.stringify(body), new RegExp(`Invalid value for ${parameter}:`));
  }
  const none = await send('GET', `/cable/v1/networks/${external['id']}/trace?to=${taken}`, undefined, ANN);
  assert.match(JSON.stringify(none.body), /Invalid value for source: give the address of the machine outside/);
  // Behind routers that translate nothing: by the router’s address.
  assert.equal((await trace(addressOf(port), ANN)).status, 200);
  assert.equal((await trace(addressOf(port), ANN, `&via=${addressOf(gateway)}`)).status, 200);
  const second = await create('network', { name: 'second' }, ANN);
  const subnet = await create('subnet', { network_id: second['id'], cidr: '10.0.0.0/24', ip_version: 4 }, ANN);
  const other = await create('router', { external_gateway_info: { network_id: external['id'] } }, ANN);
  await send('PUT', `/v2.0/routers/${other['id']}/add_router_interface`, { subnet_id: subnet['id'] }, ANN);
  const same = [{ subnet_id: subnet['id'], ip_address: addressOf(port) }];
  await create('port', { network_id: second['id'], fixed_ips: same }, ANN);
  const several = await trace(addressOf(port), ANN);
  assert.match(JSON.stringify(several.body), /Invalid value for via: several routers lead to/);
  assert.equal((await trace(addressOf(port), ANN, `&via=${addressOf(gateway)}`)).status, 200);
});

function packetOf(from: Json, to: Json, more: Partial<PacketEvent> = {}): PacketEvent {
  return {
    ...{ number: 1, kind: 'packet', atMs: 1_700_000_000_000.25, isSent: true, protocol: 6, source: addressOf(from) },
    ...{ destination: addressOf(to), sourcePort: 5, destinationPort: 80, icmpType: null, tcpFlags: 0x12, bytes: 60 },
    flow: null,
    ...more,
  };
}

test('packets are shown as they pass at the sender and, to who may look into that, at the receiver', async (t) => {
  const { harness, a, b } = await cloud(t);
  const asked: [string, HostAsk][] = [];
  const counted: PacketCounts = { sent: 7, received: 8, drops: [{ reason: REASON, packets: 3 }] };
  const flow: FlowView = {
    ...{ flow: 9, isBegun: true, networkId: String(a['network_id']), protocol: 6, state: 'established' },
    ...{ source: addressOf(a), destination: addressOf(b), sourcePort: 5, destinationPort: 80, icmpType: null },
    ...{ packets: 1, bytes: 2, replyPackets: 3, replyBytes: 4, ageSeconds: 5, expiresSeconds: 6 },
    ...{ peerPortId: null, peerUnderlay: '192.0.2.2', rule: null, isBalanced: true },
    becomes: { source: addressOf(a), sourcePort: 5, destination: addressOf(b), destinationPort: 8080 },
  };
  const later = { number: 2, atMs: 1_700_000_000_002 };
  const said: Record<string, readonly (FlowEvent | PacketEvent)[]> = {
    h1: [packetOf(a, b, { ...later, flow }), packetOf(a, b, { number: 3, atMs: later.atMs + 2 })],
    h2: [packetOf(a, b, { isSent: false }), { ...eventOf(a, b), ...later, atMs: later.atMs + 1 }],
  };
  const answers: Record<string, Said | undefined> = {};
  for (const host of ['h1', 'h2'])
    await agent(t, harness, host, (ask) => {
      asked.push([host, ask]);
      return answers[host] ?? { value: { lease: `l${host}`, records: said[host], lost: 1, counted } };
    });
  const live = async (more = '', who?: Record<string, string>): Promise<Json> => {
    const path = `/cable/v1/ports/${a['id']}/live?to=${addressOf(b)}&protocol=tcp&dport=80&rate=5${more}`;
    const { status, body } = await harness.send('GET', path, undefined, who);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const kinds = ({ records }: Json) =>
    (records as unknown as Json[]).map(({ kind, port, at }) => [kind, port?.['name'], String(at).slice(17)]);
  const admins = await live();
  assert.deepEqual(kinds(admins), [
    ['packet', 'b', '20.000250Z'],
    ['packet', 'a', '20.002000Z'],
    ['begin', 'b', '20.003000Z'],
    ['packet', 'a', '20.004000Z'],
  ]);
  assert.deepEqual([admins['missing'], admins['receiver']?.['name'], admins['begun_anew']], [2, 'b', false]);
  const packets = { protocol: 6, rate: 5 };
  const askOf = (port: Json, peer: Json, peerPort: number | null, ownPort: number | null) => ({
    ...{ kind: 'follow', portId: port['id'], lease: null, after: 0 },
    packets: { ...packets, peer: addressOf(peer), peerPort, ownPort },
  });
  assert.deepEqual(
    new Map(asked),
    new Map<string, unknown>([
      ['h1', askOf(a, b, 80, null)],
      ['h2', askOf(b, a, null, 80)],
    ]),
  );
  const [, first] = admins['records'] as unknown as Json[];
  assert.deepEqual(
    [first?.['tcp_flags'], first?.['flow']?.['peer_host'], first?.['flow']?.['load_balanced']],
    [['SYN', 'ACK'], 'h2', true],
  );
  asked.length = 0;
  const anns = await live('', ANN);
  assert.deepEqual(
    asked.map(([host]) => host),
    ['h1'],
    'the receiver is another project’s',
  );
  assert.deepEqual([kinds(anns).length, anns['receiver'], (anns['sides'] as unknown as Json[]).length], [2, null, 1]);
  const [shown] = anns['records'] as unknown as Json[];
  assert.deepEqual(
    [shown?.['host'], shown?.['flow']?.['peer_host'], shown?.['flow']?.['becomes']?.['destination_port']],
    [null, null, 8080],
  );
  asked.length = 0;
  await live(`&marker=${admins['marker']}`);
  const places = asked.map(([host, ask]) => [
    host,
    ask.kind === 'follow' && ask.lease,
    ask.kind === 'follow' && ask.after,
  ]);
  assert.deepEqual(places.sort(), [
    ['h1', 'lh1', 3],
    ['h2', 'lh2', 2],
  ]);
  answers['h2'] = { fault: { code: 'failed', message: '8 ports of the host are followed already' } };
  const half = await live(`&marker=${admins['marker']}`);
  const [, second] = half['sides'] as unknown as Json[];
  assert.match(String(second?.['error']), /8 ports of the host are followed already/);
  assert.deepEqual([kinds(half).length, half['marker']], [2, admins['marker']], 'its place is kept');
  answers['h2'] = { value: { lease: 'l', records: [], lost: 0 } };
  const [, older] = (await live())['sides'] as unknown as Json[];
  assert.match(String(older?.['error']), /host h2 is of an older build/);
  answers['h1'] = { fault: { code: 'no-port', message: '' } };
  await refused(harness.send('GET', `/cable/v1/ports/${a['id']}/live?to=${addressOf(b)}`), 409, 'HostRefusesAsk');
  await refused(harness.send('GET', `/cable/v1/ports/${a['id']}/live?to=2001:db8::1`), 400, 'InvalidInput');
});

function eventOf(from: Json, to: Json): FlowEvent {
  return {
    ...{ number: 1, kind: 'begin', atMs: 1_700_000_000_123.4, isBegun: true, networkId: String(from['network_id']) },
    ...{ protocol: 6, source: addressOf(from), destination: addressOf(to), sourcePort: 5, destinationPort: 80 },
    ...{ icmpType: null, packets: 1, bytes: 2, replyPackets: 3, replyBytes: 4, peerPortId: null, rule: null },
    ...{ becomes: null, ended: null, reason: null },
  };
}

test('who follows is told what came since his marker, in names that he may know', async (t) => {
  const { harness, a, b, group } = await cloud(t);
  const rule = String((group['security_group_rules'] as Json)[0]?.['id']);
  const ends = { source: addressOf(a), sourcePort: 5, destination: addressOf(b), destinationPort: 8080 };
  const events: readonly FlowEvent[] = [
    { ...eventOf(a, b), rule },
    { ...eventOf(a, b), number: 2, destination: '203.0.113.9', becomes: ends, peerPortId: String(b['id']) },
    {
      ...{ ...eventOf(b, a), number: 3, kind: 'drop', isBegun: false, reason: REASON },
      becomes: { ...ends, source: '203.0.113.2', destination: addressOf(a) },
    },
  ];
  const asked: HostAsk[] = [];
  let said = { lease: 'first', records: [] as readonly FlowEvent[], lost: 4 };
  await agent(t, harness, 'h1', (ask) => {
    asked.push(ask);
    return { value: said };
  });
  const follow = async (query: string, who?: Record<string, string>): Promise<Json> => {
    const path = `/cable/v1/ports/${a['id']}/follow?protocol=tcp&address=10.0.0.9&port=80${query}`;
    const { status, body } = await harness.send('GET', path, undefined, who);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const begun = await follow('', ANN);
  assert.deepEqual([begun['begun_anew'], begun['missing'], begun['records']], [false, 4, []]);
  said = { lease: 'first', records: events, lost: 6 };
  const next = await follow(`&marker=${begun['marker']}`, ANN);
  const only = { protocol: 6, address: '10.0.0.9', port: 80 };
  assert.deepEqual(asked, [
    { kind: 'follow', portId: a['id'], lease: null, after: 0, ...only },
    { kind: 'follow', portId: a['id'], lease: 'first', after: 0, ...only },
  ]);
  assert.deepEqual([next['begun_anew'], next['missing'], next['host']], [false, 2, null]);
  const [first, second, third] = next['records'] as unknown as Json[];
  assert.deepEqual([first?.['at'], first?.['rule'], first?.['peer']], ['2023-11-14T22:13:20.123400Z', null, null]);
  assert.deepEqual(second?.['becomes'], {
    ...{ source: addressOf(a), source_port: 5, destination: null, destination_port: null },
  });
  assert.deepEqual(
    [third?.['source'], third?.['reason'], third?.['remedy']],
    ['203.0.113.2', 'policy_ingress', 'add one'],
    'of what another project sends by a router that is seen which the port meets',
  );
  for (const secret of [String(b['id']), rule, 'h1'])
    assert.ok(!JSON.stringify(next).includes(secret), `${secret} is told`);
  const admins = await follow(`&marker=${begun['marker']}`);
  const [, behind] = admins['records'] as unknown as Json[];
  assert.equal(behind?.['becomes']?.['destination'], addressOf(b));
  assert.equal((admins['records'] as unknown as Json[])[0]?.['rule'], rule);
  await follow(`&marker=${next['marker']}`);
  assert.deepEqual(
    [asked.at(-1)].map((ask) => ask?.kind === 'follow' && [ask.lease, ask.after]),
    [['first', 3]],
  );
  said = { lease: 'second', records: [], lost: 1 };
  const anew = await follow(`&marker=${next['marker']}`);
  assert.deepEqual([anew['begun_anew'], anew['missing']], [true, 1]);
});

const FRAME = { number: 1, atUs: 1_700_000_000_000_001, bytes: 90, frame: 'AAECAwQF' };

test('who captures is given the frames that came since his marker, and what is missing; what is no answer is refused', async (t) => {
  const { harness, a } = await cloud(t);
  const asked: HostAsk[] = [];
  let said: unknown = { lease: 'first', frames: [], lost: 4, hasMore: false };
  await agent(t, harness, 'h1', (ask) => {
    asked.push(ask);
    return { value: said };
  });
  const path = `/cable/v1/ports/${a['id']}/capture`;
  const capture = async (query: string, who: Record<string, string> = ANN): Promise<Json> => {
    const { status, body } = await harness.send('GET', `${path}${query}`, undefined, who);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const begun = await capture('?filter=tcp+and+host+10.0.0.9&snaplen=128');
  assert.deepEqual(begun, {
    ...{ port: { id: a['id'], name: 'a' }, host: null, marker: 'first.0.4', begun_anew: false, missing: 4 },
    ...{ more: false, frames: [] },
  });
  said = { lease: 'first', frames: [FRAME, { ...FRAME, number: 2 }], lost: 6, hasMore: true };
  const next = await capture('?filter=tcp+and+host+10.0.0.9&snaplen=128&marker=first.0.4');
  assert.deepEqual([next['marker'], next['missing'], next['more']], ['first.2.6', 2, true]);
  const shown = { at_us: FRAME.atUs, bytes: 90, frame: FRAME.frame };
  assert.deepEqual(next['frames'], [shown, shown]);
  await capture('?marker=first.2.6&end=true');
  const of = { kind: 'capture', portId: a['id'] };
  const filter = { etherType: null, protocol: 6, hosts: ['10.0.0.9'], ports: [] };
  const every = { ...filter, protocol: null, hosts: [] };
  assert.deepEqual(asked, [
    { ...of, lease: null, after: 0, filter, snaplen: 128 },
    { ...of, lease: 'first', after: 0, filter, snaplen: 128 },
    { ...of, lease: 'first', after: 2, isLast: true, filter: every, snaplen: 65_549 },
  ]);
  said = { lease: 'second', frames: [], lost: 1, hasMore: false };
  const anew = await capture('?marker=first.2.6', {});
  assert.deepEqual([anew['begun_anew'], anew['missing'], anew['host']], [true, 1, 'h1']);
  const whole = { lease: 'l', frames: [FRAME], lost: 0, hasMore: false };
  for (const wrong of [
    null,
    { ...whole, lease: 'a b' },
    { ...whole, hasMore: 1 },
    { ...whole, frames: {} },
    { ...whole, frames: [{ ...FRAME, frame: 'AA\u0000=' }] },
    { ...whole, frames: [{ ...FRAME, frame: 'A'.repeat(90_000) }] },
    { ...whole, frames: Array.from({ length: 20 }, () => ({ ...FRAME, frame: 'A'.repeat(20_000) })) },
    { ...whole, frames: [{ ...FRAME, atUs: -1 }] },
    { ...whole, frames: [{ ...FRAME, number: 1.5 }] },
  ]) {
    said = wrong;
    await refused(harness.send('GET', path), 409, 'HostRefusesAsk');
  }
});

test('a rule of its own says who may capture: the owner, unless an operator says otherwise', async (t) => {
  const { harness, a } = await cloud(t);
  await agent(t, harness, 'h1', ({ kind }) =>
    kind === 'capture'
      ? { value: { lease: 'l', frames: [], lost: 0, hasMore: false } }
      : { value: { drops: [], rxPackets: 1, txPackets: 2 } },
  );
  const get = (what: string, who?: Record<string, string>) =>
    harness.send('GET', `/cable/v1/ports/${a['id']}/${what}`, undefined, who);
  assert.equal((await get('capture', ANN)).status, 200);
  const { deps } = harness.server;
  const permission = deps.permission as { -readonly [K in keyof Permission]: Permission[K] };
  permission.policy = createPolicy({
    ...{ rules: deps.modules.rules, models: deps.resources.all },
    overrides: { capture_port: 'rule:admin_only' },
  });
  const message = await refused(get('capture', ANN), 403, 'PolicyNotAuthorized');
  assert.match(message, /capture_port/);
  assert.equal((await get('drops', ANN)).status, 200);
  assert.equal((await get('capture')).status, 200);
});

test('when a port moves its capture begins anew at the new host, and when it goes there is none', async (t) => {
  const { harness, a } = await cloud(t);
  const { send } = harness;
  const asked: [string, unknown][] = [];
  for (const host of ['h1', 'h2'])
    await agent(t, harness, host, (ask) => {
      asked.push([host, ask.kind === 'capture' && ask.lease]);
      return { value: { lease: `of${host}`, frames: [FRAME], lost: 0, hasMore: false } };
    });
  const path = `/cable/v1/ports/${a['id']}/capture`;
  const { body: first } = await send('GET', path, undefined, ANN);
  const bound = await send('PUT', `/v2.0/ports/${a['id']}`, { port: { 'binding:host_id': 'h2' } });
  assert.equal(bound.status, 200, JSON.stringify(bound.body));
  const { body: second } = await send('GET', `${path}?marker=${first['marker']}`, undefined, ANN);
  assert.deepEqual([second['begun_anew'], (second['frames'] as unknown as Json[]).length], [true, 1]);
  assert.deepEqual(asked, [
    ['h1', null],
    ['h2', 'ofh1'],
  ]);
  assert.equal((await send('DELETE', `/v2.0/ports/${a['id']}`)).status, 204);
  await refused(send('GET', `${path}?marker=${second['marker']}`, undefined, ANN), 404, 'PortNotFound');
  assert.equal(asked.length, 2);
});

test('a capture by a host of another server goes as the others do, also while that hangs, and one of an older build says so', async (t) => {
  const { harness, a } = await cloud(t);
  const { store, server, send } = harness;
  const other = await startTestServer(store);
  t.after(() => other.stop());
  const frames = Array.from({ length: 3 }, (_, n) => ({ ...FRAME, number: n + 1, frame: 'A'.repeat(80_000) }));
  let said: Said | undefined = { value: { lease: 'l', frames, lost: 0, hasMore: false } };
  const socket = await agent(t, harnessOf(store, other), 'h1', () => said);
  await server.tables.waitFor(other.tables.revision);
  const path = `/cable/v1/ports/${a['id']}/capture`;
  const { status, body } = await send('GET', path, undefined, ANN);
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(
    (body['frames'] as unknown as Json[]).map(({ frame }) => String(frame).length),
    [80_000, 80_000, 80_000],
  );
  said = { fault: { code: 'unknown', message: '' } };
  assert.match(await refused(send('GET', path), 409, 'HostRefusesAsk'), /of a build that cannot answer this/);
  said = undefined;
  const hanging = send('GET', path);
  for (let tries = 0; (await store.list('/cable/y/')).kvs.length === 0 && tries < 600; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 100));
  socket.destroy();
  await refused(hanging, 503, 'HostUnreachable');
});

test('parameters are refused by name', async (t) => {
  const { harness, a, b } = await cloud(t);
  for (const [what, named] of [
    ['drops?x=1', 'x'],
    ['flows?limit=0', 'limit'],
    ['flows?limit=501', 'limit'],
    ['flows?limit=1&limit=2', 'limit'],
    ['flows?marker=-1', 'marker'],
    ['flows?state=open', 'state'],
    ['flows?address=ten', 'address'],
    ['live', 'to'],
    [`live?to=${addressOf(b)}&dport=80`, 'dport'],
    [`live?to=${addressOf(b)}&rate=101`, 'rate'],
    [`live?to=${addressOf(b)}&marker=a.1.1`, 'marker'],
    [`live?to=${addressOf(b)}&marker=a.1.1~~`, 'marker'],
    ['follow?state=new', 'state'],
    ['follow?end=true', 'end'],
    ['follow?marker=a.1.1&end=1', 'end'],
    [`live?to=${addressOf(b)}&end=true`, 'end'],
    ['capture?filter=foo', 'filter'],
    ['capture?filter=tcp+and+udp', 'filter'],
    ['capture?snaplen=63', 'snaplen'],
    ['capture?snaplen=65550', 'snaplen'],
    ['capture?marker=7', 'marker'],
    ['capture?rate=7', 'rate'],
    ['follow?marker=7', 'marker'],
    ['follow?marker=a.b.c', 'marker'],
    ['trace', 'to'],
    ['trace?to=255.255.255.255', 'to'],
    ['trace?to=0.0.0.0', 'to'],
    ['live?to=224.0.0.1', 'to'],
    ['trace?to=255.255.255.255', 'to'],
    ['trace?to=0.0.0.0', 'to'],
    ['trace?to=::', 'to'],
    [`trace?to=${addressOf(b)}&source=fe80::1`, 'source'],
    [`trace?to=${addressOf(b)}&protocol=tcp`, 'dport'],
    [`trace?to=${addressOf(b)}&dport=80`, 'dport'],
    [`trace?to=${addressOf(b)}&protocol=300`, 'protocol'],
    [`trace?to=${addressOf(b)}&protocol=constructor`, 'protocol'],
    [`trace?to=${addressOf(b)}&protocol=udp&dport=1&icmp_type=8`, 'icmp_type'],
    [`trace?to=${addressOf(b)}&bytes=99999`, 'bytes'],
    ['why?to=b', 'to'],
  ] as const) {
    const message = await refused(harness.send('GET', `/cable/v1/ports/${a['id']}/${what}`), 400, 'HTTPBadRequest');
    assert.match(message, new RegExp(`Invalid value for ${named}:`), what);
  }
});

test('why a port is not ACTIVE is found at its binding, its host, its device and its report, in this order', async (t) => {
  const { harness, a } = await cloud(t);
  const { send, create } = harness;
  const codes = async (port: Json): Promise<readonly string[]> => {
    const { body } = await send('GET', `/cable/v1/ports/${port['id']}/why`);
    return (body['findings'] as unknown as Json[]).map(({ code }) => String(code));
  };
  const loose = await create('port', { network_id: a['network_id'] });
  assert.deepEqual(await codes(loose), ['not_bound']);
  assert.deepEqual(await codes(a), ['host_unknown']);
  const socket = await agent(t, harness, 'h1', () => ({ value: { drops: [], rxPackets: 0, txPackets: 0 } }));
  assert.deepEqual(await codes(a), ['device_missing']);
  const report = (state: 'up' | 'error', reason: string | null): void =>
    socket.say({ type: 'status', revision: 0, full: false, vifs: [{ portId: String(a['id']), state, reason }] });
  const until = async (code: string): Promise<void> => {
    while ((await codes(a))[0] !== code) await new Promise((resolve) => setImmediate(resolve));
  };
  report('error', 'no room');
  await within(until('refused'), 'the error to be told');
  report('up', null);
  await within(until('behind'), 'the device to be up');
  await send('PUT', `/v2.0/ports/${a['id']}`, { port: { admin_state_up: false } });
  assert.equal((await codes(a))[0], 'port_admin_down');
});

test('of ports whose host does not answer nobody says that they cannot talk', async (t) => {
  const { harness, a, b } = await cloud(t);
  const frame = { kind: 'host', underlay: UNDERLAY['h2'] ?? '', vni: 7, frame: 'AAAA' } as const;
  const answered = {
    neighbour: { address: addressOf(b), mac: '02:00:00:00:00:01', end: { kind: 'answered' } },
  } as const;
  let far: Said = { fault: { code: 'busy', message: 'too much is asked' } };
  const drops = { value: { drops: [], rxPackets: 0, txPackets: 0 } };
  const near = await agent(t, harness, 'h1', ({ kind }) => (kind === 'trace' ? hop(frame, answered) : drops));
  const other = await agent(t, harness, 'h2', () => far);
  for (const [socket, port] of [
    [near, a],
    [other, b],
  ] as const) {
    const vifs = [{ portId: String(port['id']), state: 'up', reason: null }] as const;
    socket.say({ type: 'status', revision: 0, full: false, vifs: [...vifs] });
  }
  const why = async () => (await harness.send('GET', `/cable/v1/ports/${a['id']}/why?to=${b['id']}`)).body;
  const reported = async (): Promise<void> => {
    while (/device_missing/.test(JSON.stringify(await why()))) await new Promise((resolve) => setImmediate(resolve));
  };
  await within(reported(), 'the devices to be up');
  const unheard = await why();
  assert.equal(unheard['verdict'], 'unknown', JSON.stringify(unheard['finding']));
  far = hop({ kind: 'drop', reason: REASON });
  const heard = await why();
  assert.deepEqual([heard['verdict'], heard['finding']?.['code']], ['cannot-talk', 'policy_ingress']);
});

test('ports that no router joins are told apart from those whose addresses are alike', async (t) => {
  const { harness, a } = await cloud(t);
  const other = await harness.create('network', { name: 'other' });
  await harness.create('subnet', { network_id: other['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const twin = await harness.create('port', { network_id: other['id'], name: 'twin' });
  const { body } = await harness.send('GET', `/cable/v1/ports/${a['id']}/why?to=${twin['id']}`);
  assert.equal(body['ways']?.length, 0);
  assert.match(JSON.stringify(body['ports']), /not_bound/);
});

test('drops, traces and findings name the private subnet that keeps packets to itself', async (t) => {
  const { harness, a, b } = await cloud(t);
  const { send } = harness;
  const subnetId = String(a['fixed_ips']?.[0]?.['subnet_id']);
  const kept = { name: 'backend', 'cable:private': true };
  assert.equal((await send('PUT', `/v2.0/subnets/${subnetId}`, { subnet: kept })).status, 200);
  const reason = { name: 'private_subnet', meaning: 'it keeps to itself', remedy: 'allow it' };
  const denied = { kind: 'rule', direction: 'egress', rule: null, deniedBy: subnetId.slice(0, 8) } as const;
  await agent(t, harness, 'h1', ({ kind }) =>
    kind === 'drops'
      ? { value: { drops: [{ reason, packets: 3, lastSecondsAgo: 1 }], rxPackets: 1, txPackets: 2 } }
      : hop({ kind: 'drop', reason }, { steps: [denied] }),
  );
  const told = (what: string) => send('GET', `/cable/v1/ports/${a['id']}/${what}`, undefined, ANN);
  const { body: drops } = await told('drops');
  assert.equal((drops['drops'] as Json)[0]?.['meaning'], 'it keeps to itself: backend');
  const { body: trace } = await told(`trace?to=${addressOf(b)}`);
  const subnet = { id: subnetId, name: 'backend' };
  const cause = trace['cause'] as Json;
  assert.deepEqual([cause['private_subnet'], cause['meaning']], [subnet, 'it keeps to itself: backend']);
  const steps = (trace['there'] as Json)[0]?.['steps'] as Json;
  const rule = [...steps].find((step) => String(step['kind']) === 'rule');
  assert.deepEqual([rule?.['allowed'], rule?.['private_subnet']], [false, subnet]);
  assert.match(String(rule?.['text']), /^private subnets: backend keeps to itself/);
});
