/** Chains: from the API to what hosts are told, and what is refused. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  type Answer,
  assertInvariants,
  type Harness,
  harnessOf,
  type Json,
  keysLeft,
  startHarness,
  startTestServer,
} from '../../testing/harness.ts';
import { lateStore } from '../../testing/late-store.ts';
import { ADMIN, OTHER, PORT, TENANT } from '../protons.fixture.ts';
import { bind, host, installed, MEMBER, mac, make, reasonOf, refusal, rows, wiresAt } from './wires.fixture.ts';

const BASE = 'ietf-sfc/v1.0';
const OF = { tenant_id: TENANT };

type World = Harness & { readonly network: string; readonly led: string };

/** A network of the tenant with a port at h1, and hosts. */
async function startWorld(t: TestContext): Promise<World> {
  const harness = await startHarness(t);
  await installed(harness, 'ietf-sfc', { backend: 'vrouter-chain' });
  for (const name of ['h1', 'h2', 'h3']) await host(harness, name);
  const network = await networkOf(harness, '10.0.0.0/24');
  return { ...harness, network, led: await guest(harness, network, 'h1') };
}

async function networkOf({ create }: Harness, cidr: string): Promise<string> {
  const id = String((await create('network', {}, MEMBER))['id']);
  await create('subnet', { network_id: id, cidr, ip_version: 4 }, MEMBER);
  return id;
}

/** A port of Neutron's. */
async function guest({ create, send }: Harness, network_id: string, to: string): Promise<string> {
  const id = String((await create('port', { network_id, device_owner: 'compute:nova' }, MEMBER))['id']);
  await send('PUT', `/v2.0/ports/${id}`, { port: { 'binding:host_id': to } }, ADMIN);
  return id;
}

function post({ send }: Harness, path: string, given: object, as = MEMBER): Promise<Answer> {
  return send('POST', `/proton/${BASE}/${path}`, { ...OF, ...given }, as);
}

async function made(world: Harness, path: string, given: object): Promise<Json> {
  return make(world, `${BASE}/${path}`, { ...OF, ...given });
}

async function idOf(world: Harness, path: string, given: object): Promise<string> {
  return String((await made(world, path, given))['id']);
}

type Fn = { readonly id: string; readonly ports: readonly string[] };

/** A function behind so many ports, which are on the host. */
async function fn(world: Harness, type: string, to: string, count = 1): Promise<Fn> {
  const id = await idOf(world, 'servicefunctions', { type, name: type });
  const ports: string[] = [];
  for (let n = 0; n < count; n += 1) {
    const port = await idOf(world, 'ports', { ...PORT, mac_address: mac(), name: `${type}-${n}` });
    await made(world, 'sfdataplanelocators', { interface_id: port, service_id: id, transport: 'mac' });
    if (to !== '') assert.equal(await bind(world, port, to), 'tap');
    ports.push(port);
  }
  return { id, ports };
}

type Chain = { readonly chain: string; readonly path: string; readonly hops: readonly string[] };

async function chainOf(world: Harness, fns: readonly Fn[], more: object = {}): Promise<Chain> {
  const chain = await idOf(world, 'chains', { name: 'c', ...more });
  const path = await idOf(world, 'paths', { chain_id: chain, path_id: 1 });
  const hops: string[] = [];
  for (const [at, one] of fns.entries())
    hops.push(await idOf(world, 'hops', { service_path_id: path, hop_number: 10 * (at + 1), sf_id: one.id }));
  return { chain, path, hops };
}

/** From port to port, in the order of what the classifier leads. */
async function ways(world: Harness): Promise<readonly string[]> {
  const all = await rows(world);
  const one = (at: string): readonly string[] => {
    const own = all.filter((row) => String(row['at']) === at);
    const next = (from: string): Json | undefined => own.find((row) => String(row['port_ids']?.[0]) === from);
    const start = String(own[0]?.['at_port_id']);
    const path: string[] = [];
    for (let row = next(start); row !== undefined && path.length < own.length; ) {
      path.push(String(row['port_ids']?.[1]));
      row = next(String(row['back_port_id']));
    }
    return path;
  };
  return [...one('sent'), ...(all.some((row) => String(row['at']) === 'delivered') ? ['|', ...one('delivered')] : [])];
}

test('a classifier leads what its port sends by each function of the path and back', async (t) => {
  const world = await startWorld(t);
  const { led } = world;
  const [first, second] = [await fn(world, 'firewall', 'h2'), await fn(world, 'cache', 'h3', 2)];
  const { chain } = await chainOf(world, [first, second]);
  const acl = `port=${led} proto=tcp dport=80`;
  const id = await idOf(world, 'classifiers', { name: 'web', acl, chain_id: chain });
  const path = `${id}/${led}/sent`;
  const [start, end] = [...wiresAt(world, 'h1')].sort((a) => (a.from.portId === led ? -1 : 1));
  const matches = [4, 6].map((ipVersion) => ({ ipVersion, protocol: 6, destinationPorts: [80, 80] }));
  const [f, [taking, giving]] = [first.ports[0], second.ports];
  assert.deepEqual(
    [start?.from.host, start?.from.at, start?.from.matches, start?.from.order, start?.from.path],
    ['h1', 'sent', matches, 0, undefined],
  );
  assert.deepEqual([start?.to.portId, start?.to.host, start?.to.as, start?.to.back], [f, 'h2', 'function', f]);
  const middle = wiresAt(world, 'h3').find((one) => one.from.portId === f);
  assert.deepEqual(
    [middle?.from.path, middle?.from.host, middle?.to.portId, middle?.to.back],
    [path, 'h2', taking, giving],
  );
  assert.deepEqual([end?.from.portId, end?.from.path, end?.to.portId], [giving, path, led]);
  assert.deepEqual([end?.to.as, end?.to.path, end?.to.at, start?.name], ['resume', path, 'sent', 'web 1']);
  assert.equal(new Set((await rows(world)).map((row) => String(row['vni']))).size, 3);
  await assertInvariants(world.server);
});

test('a symmetric chain leads what is delivered, too, by the functions in the other order and from their other side', async (t) => {
  const world = await startWorld(t);
  const { send, led } = world;
  const [first, second] = [await fn(world, 'firewall', 'h2', 2), await fn(world, 'cache', 'h3')];
  const { chain } = await chainOf(world, [first, second]);
  await made(world, 'classifiers', { acl: `port=${led} ip=4 proto=udp src=10.0.0.0/24 sport=53`, chain_id: chain });
  const there = [first.ports[0], second.ports[0], led];
  assert.deepEqual(await ways(world), there);
  await send('PUT', `/proton/${BASE}/chains/${chain}`, { symmetric: true }, MEMBER);
  assert.deepEqual(await ways(world), [...there, '|', second.ports[0], first.ports[1], led]);
  const back = wiresAt(world, 'h1').find(({ from }) => from.at === 'delivered' && from.portId === led);
  assert.deepEqual(back?.from.matches, [
    { ipVersion: 4, protocol: 17, destination: '10.0.0.0/24', destinationPorts: [53, 53] },
  ]);
});

test('a function with two ports and no transport takes frames as they are', async (t) => {
  const world = await startWorld(t);
  const { send, led } = world;
  const bridge = await fn(world, 'ips', 'h2', 2);
  const { chain } = await chainOf(world, [bridge]);
  await made(world, 'classifiers', { acl: `port=${led}`, chain_id: chain });
  const isTransparent = (): unknown => wiresAt(world, 'h1').find(({ from }) => from.portId === led)?.to.transparent;
  assert.equal(isTransparent(), undefined);
  for (const port of bridge.ports)
    await send('PUT', `/proton/${BASE}/sfdataplanelocators/${port}`, { transport: null }, MEMBER);
  assert.equal(isTransparent(), true);
});

test('what changes below a chain changes the ways of its classifiers, which keep their VNIs', async (t) => {
  const world = await startWorld(t);
  const { send, led } = world;
  const [one, two, three] = [await fn(world, 'a', 'h2'), await fn(world, 'b', 'h2'), await fn(world, 'c', 'h3')];
  const { chain, path, hops } = await chainOf(world, [one, two]);
  const id = await idOf(world, 'classifiers', { acl: `port=${led}`, chain_id: chain });
  const vni = async (): Promise<string> =>
    String((await rows(world)).find((row) => String(row['port_ids']?.[0]) === led)?.['vni']);
  const before = await vni();
  const more = await idOf(world, 'hops', { service_path_id: path, hop_number: 5, sf_id: three.id });
  assert.deepEqual(await ways(world), [three.ports[0], one.ports[0], two.ports[0], led]);
  await send('PUT', `/proton/${BASE}/hops/${more}`, { hop_number: 15 }, MEMBER);
  assert.deepEqual(await ways(world), [one.ports[0], three.ports[0], two.ports[0], led]);
  await send('DELETE', `/proton/${BASE}/hops/${hops[0]}`, undefined, MEMBER);
  assert.deepEqual(await ways(world), [three.ports[0], two.ports[0], led]);
  assert.equal(await vni(), before);
  const port = await idOf(world, 'ports', { ...PORT, mac_address: mac(), name: 'a' });
  await made(world, 'sfdataplanelocators', { interface_id: port, service_id: three.id });
  assert.deepEqual(await ways(world), [port, two.ports[0], led], 'the name of its interface comes first');
  const other = await guest(world, world.network, 'h2');
  await send('PUT', `/proton/${BASE}/classifiers/${id}`, { acl: `port=${other}` }, MEMBER);
  assert.deepEqual(await ways(world), [port, two.ports[0], other]);
  await assertInvariants(world.server);
  await send('DELETE', `/proton/${BASE}/classifiers/${id}`, undefined, MEMBER);
  assert.deepEqual(await rows(world), []);
});

test('of the paths of a chain that is in force which has a function of each type, and the lowest number', async (t) => {
  const world = await startWorld(t);
  const { send, led } = world;
  const [a, b, other] = [await fn(world, 'a', 'h2'), await fn(world, 'b', 'h2'), await fn(world, 'a', 'h3')];
  const { chain, path, hops } = await chainOf(world, [a], { sf_types: 'a, b' });
  const classifier = { acl: `port=${led}`, chain_id: chain };
  assert.match(
    await refusal(post(world, 'classifiers', classifier)),
    /^409 .*No path of chain .* has a function of each of a, b/,
  );
  const wrong = { service_path_id: path, hop_number: 1, sf_id: b.id };
  assert.match(
    await refusal(post(world, 'hops', wrong)),
    /^400 .*sf_id.*functions of b, a, and its chain those of a, b/,
  );
  await made(world, 'hops', { ...wrong, hop_number: 20 });
  await made(world, 'classifiers', classifier);
  assert.deepEqual(await ways(world), [a.ports[0], b.ports[0], led]);
  const lower = await idOf(world, 'paths', { chain_id: chain, path_id: 1 });
  await send('PUT', `/proton/${BASE}/paths/${path}`, { path_id: 9 }, MEMBER);
  await made(world, 'hops', { service_path_id: lower, hop_number: 1, sf_id: other.id });
  assert.deepEqual(await ways(world), [a.ports[0], b.ports[0], led], 'it has no function b');
  await made(world, 'hops', { service_path_id: lower, hop_number: 2, sf_id: b.id });
  assert.deepEqual(await ways(world), [other.ports[0], b.ports[0], led]);
  const drop = (hop: string) => send('DELETE', `/proton/${BASE}/hops/${hop}`, undefined, MEMBER);
  assert.equal((await drop(hops[0] ?? '')).status, 204);
  const [last] = (await send('GET', `/proton/${BASE}/paths/${lower}/hops`, undefined, ADMIN)).body['hops'] ?? [];
  assert.match(await refusal(drop(String(last?.['id']))), /^409 .*No path of chain/, 'no way becomes shorter');
  const types = (sf_types: string) => send('PUT', `/proton/${BASE}/chains/${chain}`, { sf_types }, MEMBER);
  assert.match(await refusal(types('b,a')), /^400 .*sf_types/);
  assert.match(await refusal(types('a,b,c')), /^409 .*No path of chain/);
  const retype = send('PUT', `/proton/${BASE}/servicefunctions/${other.id}`, { type: 'c' }, MEMBER);
  assert.match(await refusal(retype), /^400 .*type.*its chain those of a, b/);
});

test('what a path, a function and a locator cannot be is refused, and names the attribute', async (t) => {
  const world = await startWorld(t);
  const { send, led } = world;
  const one = await fn(world, 'firewall', 'h2');
  const { chain, path } = await chainOf(world, [one]);
  const again = (path: string, given: object) => refusal(post(world, path, given));
  assert.match(await again('servicefunctions', { type: 'x', nsh_aware: true }), /^400 .*nsh_aware/);
  assert.match(await again('servicefunctions', { type: 'NAT' }), /^400 .*type.*other addresses/);
  assert.match(await again('paths', { chain_id: chain, path_id: 2, starting_index: 255 }), /^400 .*starting_index/);
  assert.match(await again('hops', { service_path_id: path, hop_number: 7 }), /^400 .*sf_id/);
  assert.match(
    await again('hops', { service_path_id: path, hop_number: 7, sf_id: one.id }),
    /^409 .*passes the function/,
  );
  const two = await fn(world, 'b', 'h2');
  assert.match(await again('hops', { service_path_id: path, hop_number: 10, sf_id: two.id }), /^409 .*has a hop 10/);
  const bare = await idOf(world, 'servicefunctions', { type: 'x' });
  assert.match(await again('hops', { service_path_id: path, hop_number: 7, sf_id: bare }), /^409 .*has no locator/);
  const port = await idOf(world, 'ports', { ...PORT, mac_address: mac() });
  const locator = { interface_id: port, service_id: bare };
  const ofLocator = (more: object) => again('sfdataplanelocators', { ...locator, ...more });
  assert.match(await ofLocator({ transport: 'vxlan_gpe' }), /^400 .*transport/);
  assert.match(await ofLocator({ mac_address: 'fa:16:3e:ff:ff:ff' }), /^400 .*mac_address/);
  const tagged = { port_id: port, segmentation_type: 'vlan', segmentation_id: 5 };
  const part = await idOf(world, 'interfaces', { ...tagged, name: 't' });
  assert.match(await ofLocator({ interface_id: part }), /^400 .*interface_id.*has a tag/);
  const whole = { ...tagged, segmentation_type: 'none', segmentation_id: 0 };
  const second = await idOf(world, 'interfaces', { ...whole, port_id: one.ports[0], name: 's' });
  assert.match(await ofLocator({ interface_id: second }), /^409 .*leads to a function already/);
  await made(world, 'classifiers', { acl: `port=${led}`, chain_id: chain });
  const gone = await send('DELETE', `/proton/${BASE}/sfdataplanelocators/${one.ports[0]}`, undefined, MEMBER);
  assert.match(await refusal(Promise.resolve(gone)), /^409 .*would have no locator/);
  const full = await chainOf(world, []);
  for (let n = 1; n <= 16; n += 1) {
    const each = await fn(world, 'f', '');
    await made(world, 'hops', { service_path_id: full.path, hop_number: n, sf_id: each.id });
  }
  assert.match(
    await again('hops', { service_path_id: full.path, hop_number: 99, sf_id: two.id }),
    /^409 .*has 16 hops/,
  );
});

test('at which ports a classifier leads packets: of its own project, of Neutron’s or of protons, where a host knows how', async (t) => {
  const world = await startWorld(t);
  const { create, send, led } = world;
  const one = await fn(world, 'firewall', 'h2');
  const { chain } = await chainOf(world, [one]);
  const at = (acl: string, as = MEMBER) => refusal(post(world, 'classifiers', { acl, chain_id: chain }, as));
  assert.match(await at('port=web'), /^400 .*acl.*entry 1: port: web is no id of a port/);
  const nobody = '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b';
  const none = (id: string) => new RegExp(`^400 .*acl.*there is no port ${id} in the project`);
  assert.match(await at(`port=${nobody}`), none(nobody));
  const theirs = String((await create('network', {}, { ...MEMBER, 'x-project-id': OTHER }))['id']);
  const stranger = String((await create('port', { network_id: theirs }, { ...MEMBER, 'x-project-id': OTHER }))['id']);
  assert.match(await at(`port=${stranger}`), none(stranger));
  assert.match(await at(`port=${led}; port=${one.ports[0]}`), /^409 .*is a port of function/);
  assert.match(await refusal(post(world, 'classifiers', { acl: `port=${led}` })), /^400 .*chain_id/);
  assert.match(await refusal(post(world, 'classifiers', { chain_id: chain })), /^400 .*acl/);
  await host(world, 'h4', { features: [] });
  const old = await guest(world, world.network, 'h4');
  assert.match(await at(`port=${old}`), /^409 .*h4 knows of no pseudowires/);
  const router = String((await create('router', {}, MEMBER))['id']);
  const [subnet] = (await send('GET', `/v2.0/subnets?network_id=${world.network}`)).body['subnets'] ?? [];
  await send('PUT', `/v2.0/routers/${router}/add_router_interface`, { subnet_id: subnet?.['id'] }, MEMBER);
  const [leg] = (await send('GET', `/v2.0/ports?device_id=${router}`)).body['ports'] ?? [];
  assert.match(await at(`port=${String(leg?.['id'])}`), /^400 .*acl.*network:router_interface, which no host carries/);

  await installed(world, 'circuit');
  const line = (n: string) => make(world, 'circuit/v1.0/ports', { mac_address: mac(), name: n });
  const [a, z, c] = [await line('a'), await line('z'), await line('c')].map(({ id }) => String(id));
  await make(world, 'circuit/v1.0/lines', { a_port_id: a, z_port_id: z });
  assert.match(await at(`port=${a}`), /^400 .*acl.*an end of a line/);
  const other = await chainOf(world, [await fn(world, 'x', 'h2')]);
  const ofProton = await post(world, 'classifiers', { acl: `port=${c}`, chain_id: other.chain });
  assert.equal(ofProton.status, 201, JSON.stringify(ofProton.body));
  const ended = send(
    'POST',
    '/proton/circuit/v1.0/lines',
    { a_port_id: c, z_port_id: String((await line('y'))['id']) },
    MEMBER,
  );
  assert.match(await refusal(ended), /^409 .*has the classifier/);
  assert.equal((await send('DELETE', `/proton/circuit/v1.0/ports/${c}`, undefined, MEMBER)).status, 204);
  assert.deepEqual(await rows(world).then((all) => all.filter((row) => String(row['at_port_id']) === c)), []);
  await assertInvariants(world.server);
});

test('a port that is deleted takes its ways along, and the classifier stays for its other ports', async (t) => {
  const world = await startWorld(t);
  const { send, led, network } = world;
  const { chain, path } = await chainOf(world, [await fn(world, 'firewall', 'h2')]);
  const other = await guest(world, network, 'h3');
  await made(world, 'classifiers', { acl: `port=${led};port=${other}`, chain_id: chain });
  assert.equal((await rows(world)).length, 4);
  assert.equal((await send('DELETE', `/v2.0/ports/${led}`, undefined, ADMIN)).status, 204);
  const left = async () => (await rows(world)).map((row) => String(row['at_port_id']));
  assert.deepEqual(await left(), [other, other]);
  await made(world, 'hops', { service_path_id: path, hop_number: 99, sf_id: (await fn(world, 'b', 'h2')).id });
  assert.deepEqual(await left(), [other, other, other]);
});

test('a function takes packets of several networks only where their addresses differ', async (t) => {
  const world = await startWorld(t);
  const { led } = world;
  const { chain } = await chainOf(world, [await fn(world, 'firewall', 'h2')]);
  const [apart, alike] = [await networkOf(world, '10.1.0.0/24'), await networkOf(world, '10.0.0.0/16')];
  const [one, two] = [await guest(world, apart, 'h2'), await guest(world, alike, 'h2')];
  await made(world, 'classifiers', { acl: `port=${led};port=${one}`, chain_id: chain });
  const third = post(world, 'classifiers', { acl: `port=${two}`, chain_id: chain });
  assert.match(await refusal(third), /^409 .*could not be told apart/);
});

test('forwarders are hosts: a function that is passed at one is on it', async (t) => {
  const world = await startWorld(t);
  const { send } = world;
  const one = await fn(world, 'firewall', 'h2');
  const { path } = await chainOf(world, []);
  const nowhere = post(world, 'serviceforwarders', { service_node: 'h9' });
  assert.match(await refusal(nowhere), /^400 .*service_node.*no host h9/);
  const at = (service_node: string) => idOf(world, 'serviceforwarders', { service_node });
  const [right, wrong] = [await at('h2'), await at('h1')];
  const hop = { service_path_id: path, hop_number: 1, sf_id: one.id };
  assert.match(
    await refusal(post(world, 'hops', { ...hop, sff_id: wrong })),
    /^409 .*on host h2, and its forwarder is host h1/,
  );
  await made(world, 'hops', { ...hop, sff_id: right });
  assert.equal(await bind(world, one.ports[0] ?? '', 'h3'), 'binding_failed');
  assert.match(await reasonOf(world, one.ports[0] ?? ''), /forwarder of host h2/);
  assert.equal(await bind(world, one.ports[0] ?? '', 'h2'), 'tap');
  const moved = send('PUT', `/proton/${BASE}/serviceforwarders/${right}`, { service_node: 'h1' }, MEMBER);
  assert.match(await refusal(moved), /^409 .*on host h2/);
  assert.match(await refusal(post(world, 'sffsfbindings', { sff_id: wrong, sf_id: one.id })), /^409 .*on host h2/);
  assert.equal((await post(world, 'sffsfbindings', { sff_id: right, sf_id: one.id })).status, 201);
  const port = await idOf(world, 'ports', { ...PORT, mac_address: mac() });
  const reached = post(world, 'sffdataplanelocators', { interface_id: port, service_id: right });
  assert.match(await refusal(reached), /^400 .*service_id.*forwarders are hosts/);
  await host(world, 'h4', { features: [] });
  const two = await fn(world, 'x', '');
  assert.equal(await bind(world, two.ports[0] ?? '', 'h4'), 'binding_failed');
  assert.match(await reasonOf(world, two.ports[0] ?? ''), /h4 knows of no pseudowires/);
});

test('at most 64 classifiers lead packets of one port, the oldest first', async (t) => {
  const world = await startWorld(t);
  const { led } = world;
  const { chain } = await chainOf(world, [await fn(world, 'firewall', 'h2')]);
  for (let n = 0; n < 64; n += 1)
    await made(world, 'classifiers', { name: `c${n}`, acl: `port=${led}`, chain_id: chain });
  const more = post(world, 'classifiers', { acl: `port=${led}`, chain_id: chain });
  assert.match(await refusal(more), /^409 .*has 64 classifiers/);
  const orders = wiresAt(world, 'h1').flatMap(({ from }) => (from.path === undefined ? [from.order] : []));
  assert.deepEqual(
    [...orders].sort((a, b) => a - b),
    Array.from({ length: 64 }, (_, at) => at),
  );
});

test('a server that has not heard of a hop, a locator or a classifier leaves no way without it', async (t) => {
  const world = await startWorld(t);
  const { led, store, server, send } = world;
  const held = lateStore(store);
  const second = await startTestServer(held.store);
  t.after(() => second.stop());
  const other = harnessOf(store, second);
  const [a, b] = [await fn(world, 'a', 'h2'), await fn(world, 'b', 'h2')];
  const { chain, path } = await chainOf(world, [a]);
  const late = async (first: () => Promise<unknown>, then: () => Promise<Answer>): Promise<void> => {
    await second.tables.waitFor(server.tables.revision);
    const release = held.hold();
    await first();
    const answer = then();
    await held.asked();
    release();
    assert.ok((await answer).status < 300);
    await server.tables.waitFor(second.tables.revision);
  };
  const classifier = { acl: `port=${led}`, chain_id: chain };
  await late(
    () => made(world, 'hops', { service_path_id: path, hop_number: 99, sf_id: b.id }),
    () => post(other, 'classifiers', classifier),
  );
  assert.deepEqual(await ways(world), [a.ports[0], b.ports[0], led]);
  const [row] = (await send('GET', `/proton/${BASE}/classifiers`, undefined, ADMIN)).body['classifiers'] ?? [];
  await send('DELETE', `/proton/${BASE}/classifiers/${String(row?.['id'])}`, undefined, MEMBER);
  const c = await fn(world, 'c', 'h2');
  await late(
    () => made(world, 'classifiers', classifier),
    () => post(other, 'hops', { service_path_id: path, hop_number: 1, sf_id: c.id }),
  );
  assert.deepEqual(await ways(world), [c.ports[0], a.ports[0], b.ports[0], led]);
  await assertInvariants(server);
});

test('a proton that is removed with its chains leaves nothing of them', async (t) => {
  const world = await startWorld(t);
  const { send, led, store } = world;
  const { chain } = await chainOf(world, [await fn(world, 'a', 'h2'), await fn(world, 'b', 'h2', 2)], {
    sf_types: 'a,b',
  });
  await made(world, 'classifiers', { acl: `port=${led}`, chain_id: chain });
  const gone = await send('DELETE', '/cable/v1/protons/ietf-sfc?objects=true', undefined, ADMIN);
  assert.equal(gone.status, 204, JSON.stringify(gone.body));
  assert.deepEqual(
    (await keysLeft(store)).filter((key) => /proton|pseudowire|port_owner/.test(key)),
    [],
  );
  assert.deepEqual(wiresAt(world, 'h1'), []);
});
