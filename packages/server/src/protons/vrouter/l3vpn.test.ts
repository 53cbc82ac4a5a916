/** VPNs of `net-l3vpn` on the vrouter: requests in, what hosts are told out; and what is refused. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { KINDS, type NodeKey, Reader, sourceKeysOf, splitKey } from '@cable/compiler';
import { compilerTables } from '../../slices/compiled-view.ts';
import {
  type Answer,
  assertInvariants,
  type Harness,
  type Json,
  keysLeft,
  startHarness,
  type TestServerOptions,
} from '../../testing/harness.ts';
import { ADMIN, AS, install, model, OTHER, PORT, TENANT } from '../protons.fixture.ts';

const SERVICE = { 'x-roles': 'service', 'x-project-id': 'services' };
const AS_OTHER = { 'x-roles': 'member', 'x-project-id': OTHER };

type Form = '1.0' | '1.1';

type World = Harness & {
  readonly form: Form;
  send: Harness['send'];
  /** A request below the version's path. */
  ask(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<Answer>;
  vpn(given?: object, headers?: Record<string, string>): Promise<Json>;
  /** A port on a host, if one is named. */
  port(n: number, host?: string, headers?: Record<string, string>): Promise<Json>;
  bind(port: Json, vpn: Json, address: string, more?: object, headers?: Record<string, string>): Promise<Answer>;
};

/** A server with the model in one of its forms, and two hosts. */
async function startWorld(t: TestContext, form: Form, options: TestServerOptions = {}): Promise<World> {
  const harness = await startHarness(t, options);
  const { send } = harness;
  const files = model(form === '1.0' ? 'net-l3vpn' : 'net-l3vpn-v1.1');
  const done = await install(harness, files, form === '1.0' ? { backend: 'vrouter-l3vpn' } : {});
  assert.equal(done.status, 200, JSON.stringify(done.body));
  for (const [host, underlay] of [
    ['h1', '192.0.2.1'],
    ['h2', '192.0.2.2'],
  ] as const) {
    const registration = { underlay, agentVersion: 'test' };
    assert.equal((await send('PUT', `/cable/v1/hosts/${host}`, registration, ADMIN)).status, 204);
  }
  const ask: World['ask'] = (method, path, body, headers = AS) =>
    send(method, `/proton/net-l3vpn/v${form}/${path}`, body, headers);
  const made = async (path: string, body: object, headers: Record<string, string>): Promise<Json> => {
    const answer = await ask('POST', path, body, headers);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body;
  };
  const projectOf = (headers: Record<string, string>): string => String(headers['x-project-id']);
  return {
    ...harness,
    ...{ form, ask },
    vpn: (given = {}, headers = AS) =>
      made('vpns', { name: 'blue', tenant_id: headers === ADMIN ? TENANT : projectOf(headers), ...given }, headers),
    port: async (n, host, headers = AS) => {
      const own = { ...PORT, name: `p${n}`, mac_address: `fa:16:3e:00:00:0${n}`, tenant_id: projectOf(headers) };
      const { status: _status, ...spec } = own as Record<string, unknown>;
      const port = await made('ports', form === '1.0' ? own : spec, headers);
      if (host === undefined) return port;
      const bound = await send('PUT', `/v2.0/ports/${port['id']}`, { port: { 'binding:host_id': host } }, SERVICE);
      assert.equal(bound.status, 200, JSON.stringify(bound.body));
      return port;
    },
    bind: (port, vpn, address, more = {}, headers = AS) => {
      const [ip = '', prefix = '24'] = address.split('/');
      const gateway = `${ip.split('.').slice(0, 3).join('.')}.254`;
      const own =
        form === '1.0'
          ? { ipaddress: ip, subnet_prefix: Number(prefix), gateway }
          : { addresses: [ip], subnet_prefix: Number(prefix), gateways: [gateway] };
      const refs = { tenant_id: projectOf(headers), interface_id: port['id'], service_id: vpn['id'] };
      return ask('POST', 'vpnbindings', { ...refs, ...own, ...more }, headers);
    },
  };
}

/** A slice as a host would be told it, computed from all rows. */
function sliceOf({ server }: Harness, key: NodeKey): { readonly header: Json; readonly items: Record<string, Json> } {
  const tables = compilerTables(server.tables);
  const reader = new Reader(tables);
  const { kind, id } = splitKey(key);
  const { header, items } = KINDS[kind];
  const head = header(reader, id);
  const rows = sourceKeysOf(KINDS[kind], id, head).flatMap((one) => [
    ...(tables[items?.table ?? 'port'].by as (index: string, key: string) => readonly { id: string }[])(
      items?.index ?? '',
      one,
    ),
  ]);
  const made = rows.flatMap((row) => [...(items?.compute(reader, row as never, id) ?? [])]);
  return {
    header: head?.value as Json,
    items: Object.fromEntries(made.map((one) => [one.key, one.value as Json])),
  };
}

async function networkOf(world: World, name: string): Promise<Json> {
  const { body } = await world.send('GET', '/cable/v1/proton-networks', undefined, ADMIN);
  const found = [...(body['proton_networks'] ?? [])].find((one) => String(one['name']) === name);
  assert.ok(found, `no network of the VPN ${name}`);
  return found;
}

function reason({ status, body }: Answer): string {
  return `${status} ${String(body?.['detail'] ?? body?.['NeutronError']?.['message'] ?? JSON.stringify(body))}`;
}

for (const form of ['1.0', '1.1'] as const) {
  test(`${form}: a VPN is a network, a router with its gateways and its places, and a host with a port of it is told of all`, async (t) => {
    const world = await startWorld(t, form);
    const vpn = await world.vpn();
    const [a, b] = [await world.port(1, 'h1'), await world.port(2)];
    assert.equal((await world.bind(a, vpn, '10.0.0.1/24')).status, 201);
    assert.equal((await world.bind(b, vpn, '10.0.0.2/24')).status, 201);
    const network = await networkOf(world, 'blue');
    const id = String(network['id']);
    // The host of the second is named when it is in the VPN already.
    await world.send('PUT', `/v2.0/ports/${b['id']}`, { port: { 'binding:host_id': 'h2' } }, SERVICE);

    const { header, items } = sliceOf(world, `vpn:${id}`);
    assert.equal(Number(header['label']), Number(network['label']));
    assert.deepEqual(header['importTargets'], header['exportTargets']);
    assert.deepEqual(items[String(b['id'])] as unknown, {
      ...{ host: 'h2', underlay: '192.0.2.2', prefixes: ['10.0.0.2/32'], macAddress: 'fa:16:3e:00:00:02' },
    });
    const net = sliceOf(world, `network:${id}`).header as unknown as Record<string, unknown>;
    assert.deepEqual(net['wire'], { physicalNetwork: 'cable:vpn', segmentationId: Number(network['segmentation_id']) });
    assert.deepEqual([net['mtuBytes'], (net['subnets'] as Json)[0]?.['cidr']], [1450, '10.0.0.0/24']);
    const [leg] = Object.values(sliceOf(world, `router:${header['routerId']}`).items);
    assert.equal(String(leg?.['ipAddress']), '10.0.0.254');
    const host = sliceOf(world, 'host:h1').items[String(a['id'])] as unknown as Record<string, unknown>;
    assert.deepEqual(
      [host['networkId'], host['policy'], host['portSecurityEnabled'], (host['fixedIps'] as Json)[0]?.['ipAddress']],
      [id, null, true, '10.0.0.1'],
    );
    const { plane } = world.server;
    const until = Date.now() + 5000;
    while (!['h1', 'h2'].every((one) => plane.slices.reaches(one, `vpn:${id}`)) && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(
      ['h1', 'h2'].flatMap((one) =>
        ['vpn', 'network', 'endpoints'].map((kind) => plane.slices.reaches(one, `${kind}:${id}` as NodeKey)),
      ),
      [true, true, true, true, true, true],
    );
    await assertInvariants(world.server);

    await world.send('PUT', `/v2.0/ports/${a['id']}`, { port: { 'binding:host_id': '' } }, SERVICE);
    for (const port of [a, b]) {
      assert.equal((await world.ask('DELETE', `vpnbindings/${port['id']}`)).status, 204);
    }
    assert.deepEqual((await networkOf(world, 'blue'))['subnets'], []);
    assert.equal(sliceOf(world, 'host:h2').items[String(b['id'])]?.['policy'] as unknown, 'policy:');
    for (const port of [a, b]) assert.equal((await world.ask('DELETE', `ports/${port['id']}`)).status, 204);
    assert.equal((await world.ask('DELETE', `vpns/${vpn['id']}`)).status, 204);
    assert.equal((await world.send('DELETE', '/cable/v1/protons/net-l3vpn', undefined, ADMIN)).status, 204);
    assert.deepEqual(
      (await keysLeft(world.store)).filter((key) => /proton|vpn|vni/.test(key)),
      [],
    );
  });

  test(`${form}: what a VPN cannot have is refused, and the attribute is named`, async (t) => {
    const world = await startWorld(t, form);
    const [addresses, gateways] = form === '1.0' ? ['ipaddress', 'gateway'] : ['addresses', 'gateways'];
    const some = (one: string): unknown => (form === '1.0' ? one : [one]);
    const vpn = await world.vpn();
    const [a, b, c] = [await world.port(1), await world.port(2), await world.port(3)];
    assert.match(
      reason(await world.bind(a, vpn, '10.0.0.1/24', { [gateways]: form === '1.0' ? null : [] })),
      new RegExp(`^400 .*${gateways}.*no gateway in 10.0.0.0/24 yet`),
    );
    assert.match(
      reason(await world.bind(a, vpn, '10.0.0.0/24')),
      new RegExp(`^400 .*${addresses}.*cannot be a machine`),
    );
    assert.match(
      reason(await world.bind(a, vpn, '10.0.0.1/24', { [gateways]: some('10.9.0.1') })),
      new RegExp(`^400 .*${gateways}.*in no subnet`),
    );
    assert.equal((await world.bind(a, vpn, '10.0.0.1/24')).status, 201);
    assert.match(reason(await world.bind(b, vpn, '10.0.0.1/24')), /^409 .*10\.0\.0\.1 is taken/);
    assert.match(
      reason(await world.bind(b, vpn, '10.0.0.254/24', { [gateways]: form === '1.0' ? null : [] })),
      /^409 .*10\.0\.0\.254 is taken/,
    );
    assert.match(
      reason(await world.bind(b, vpn, '10.0.0.2/25', { [gateways]: some('10.0.0.126') })),
      /^409 .*subnet_prefix.*10\.0\.0\.0\/25 overlaps 10\.0\.0\.0\/24/,
    );
    assert.match(
      reason(await world.bind(b, vpn, '10.0.0.2/24', { [gateways]: some('10.0.0.253') })),
      new RegExp(`^409 .*${gateways}.*gateway of 10.0.0.0/24 in the VPN is 10.0.0.254`),
    );
    const equal = await world.port(4);
    await world.ask('DELETE', `ports/${equal['id']}`);
    // The gateway of another subnet that is an address already.
    assert.equal((await world.bind(b, vpn, '10.0.1.2/24', { [gateways]: some('10.0.1.9') })).status, 201);
    assert.match(reason(await world.bind(c, vpn, '10.0.1.9/24', { [gateways]: form === '1.0' ? null : [] })), /^409 /);

    const tagged = await world.ask('POST', 'interfaces', {
      ...{ port_id: c['id'], name: 'vlan', segmentation_type: 'vlan', segmentation_id: 7, tenant_id: TENANT },
    });
    assert.equal(tagged.status, 201, JSON.stringify(tagged.body));
    assert.match(reason(await world.bind(tagged.body, vpn, '10.0.0.3/24')), /^400 .*interface_id.*segmentation_type/);
    const second = await world.ask('POST', 'interfaces', {
      ...{ port_id: a['id'], name: 'second', segmentation_type: 'none', segmentation_id: 0, tenant_id: TENANT },
    });
    assert.match(
      reason(await world.bind(second.body, vpn, '10.0.0.4/24')),
      /^400 .*interface_id.*bound to a VPN already/,
    );

    const mac = { ...PORT, mac_address: '01:16:3e:00:00:01' } as Record<string, unknown>;
    if (form === '1.1') delete mac['status'];
    assert.match(reason(await world.ask('POST', 'ports', mac)), /^400 .*mac_address/);
    mac['mac_address'] = 'fa:16:3e:00:00:01';
    const twin = await world.ask('POST', 'ports', mac);
    assert.equal(twin.status, 201, JSON.stringify(twin.body));
    assert.match(reason(await world.bind(twin.body, vpn, '10.0.0.9/24')), /^409 .*fa:16:3e:00:00:01 is taken/);
    await assertInvariants(world.server);
  });

  test(`${form}: whom a VPN meets administrators alone say`, async (t) => {
    const world = await startWorld(t, form, { bgpAs: 65000 });
    const four = form === '1.0' ? 'ipv4_family' : 'ipv4_route_targets';
    const six = form === '1.0' ? 'ipv6_family' : 'ipv6_route_targets';
    const some = (...all: readonly string[]): unknown => (form === '1.0' ? all.join(',') : all);
    const blue = await world.vpn();
    const body = { name: 'x', tenant_id: TENANT };
    assert.match(reason(await world.ask('POST', 'vpns', { ...body, [four]: some('65000:1') })), /^403 .*administrator/);
    assert.match(reason(await world.ask('POST', 'vpns', { ...body, route_distinguishers: some('65000:1') })), /^403 /);
    const change = { [four]: some(String((await networkOf(world, 'blue'))['targets']?.[0])) };
    assert.match(reason(await world.ask('PUT', `vpns/${blue['id']}`, change)), /^403 /);
    assert.equal((await world.ask('PUT', `vpns/${blue['id']}`, { name: 'navy' })).status, 200);
    assert.equal(sliceOf(world, `vpn:${(await networkOf(world, 'navy'))['id']}`).header['name'] as unknown, 'navy');

    assert.match(
      reason(await world.ask('POST', 'vpns', { ...body, [four]: some('65536:65536') }, ADMIN)),
      new RegExp(`^400 .*${four}`),
    );
    const unlike = { ...body, [four]: some('65000:1'), [six]: some('65000:2') };
    assert.match(reason(await world.ask('POST', 'vpns', unlike, ADMIN)), new RegExp(`^400 .*${six}`));
    const red = await world.vpn(
      { name: 'red', [four]: some('65000:1', '65000:2'), route_distinguishers: some('65000:9') },
      ADMIN,
    );
    assert.equal(String((await networkOf(world, 'red'))['route_distinguisher']), '65000:9');
    const again = { ...body, route_distinguishers: some('65000:9') };
    assert.match(reason(await world.ask('POST', 'vpns', again, ADMIN)), /^409 .*65000:9/);

    // Another VPN that imports of it, and is not imported of.
    await world.vpn({ name: 'shared', [four]: some('65000:2', '65000:3') }, ADMIN);
    const rows = { vrf_rt_value: '65000:2', vrf_rt_type: 'both' };
    assert.match(reason(await world.ask('POST', 'vpnafconfigs', rows)), /^403 /);
    assert.match(
      reason(await world.ask('POST', 'vpnafconfigs', { ...rows, import_route_policy: 'x' }, ADMIN)),
      /^400 .*import_route_policy/,
    );
    assert.equal((await world.ask('POST', 'vpnafconfigs', rows, ADMIN)).status, 201);
    assert.match(reason(await world.ask('DELETE', 'vpnafconfigs/65000:2')), /^40[34] /);
    const port = await world.port(1, 'h1', ADMIN);
    const bound = await world.bind(port, red, '10.0.0.1/24', {}, ADMIN);
    assert.equal(bound.status, 201, JSON.stringify(bound.body));
    const [redId, sharedId] = [(await networkOf(world, 'red'))['id'], (await networkOf(world, 'shared'))['id']];
    const place = `${redId}/${port['id']}`;
    const label = Number((await networkOf(world, 'red'))['label']);
    assert.deepEqual(sliceOf(world, `vpn:${sharedId}`).items[place] as unknown, {
      ...{ host: 'h1', underlay: '192.0.2.1', prefixes: ['10.0.0.1/32'], label },
    });
    assert.equal(
      (await world.ask('PUT', 'vpnafconfigs/65000:2', { vrf_rt_type: 'import_extcommunity' }, ADMIN)).status,
      200,
    );
    const { header, items } = sliceOf(world, `vpn:${redId}`);
    assert.deepEqual([header['importTargets'], header['exportTargets']] as unknown, [
      ['65000:1', '65000:2'],
      ['65000:1'],
    ]);
    assert.deepEqual(
      [Object.keys(items), Object.keys(sliceOf(world, `vpn:${sharedId}`).items)],
      [[String(port['id'])], []],
    );

    const peering = {
      tenant_id: TENANT,
      name: 'pe',
      local_ip_address: '0.0.0.0',
      peer_ip_address: '192.0.2.99',
      as_number: 65001,
    };
    assert.match(reason(await world.ask('POST', 'bgppeerings', peering)), /^403 /);
    assert.equal((await world.ask('POST', 'bgppeerings', peering, ADMIN)).status, 201);
    assert.match(reason(await world.ask('POST', 'bgppeerings', peering, ADMIN)), /^409 .*all hosts with 192\.0\.2\.99/);
    const one = await world.ask(
      'POST',
      'bgppeerings',
      { ...peering, local_ip_address: '192.0.2.1', peer_ip_address: '192.0.2.98' },
      ADMIN,
    );
    assert.equal(one.status, 201, JSON.stringify(one.body));
    const bgp = sliceOf(world, `vpn:${redId}`).header['bgp'] as unknown as {
      localAs: number;
      neighbors: readonly Json[];
    };
    assert.deepEqual(
      [
        bgp.localAs,
        [...bgp.neighbors].sort((x, y) => (String(x['address']) < String(y['address']) ? -1 : 1)),
      ] as unknown,
      [
        65000,
        [
          { address: '192.0.2.98', as: 65001, localAddress: '192.0.2.1' },
          { address: '192.0.2.99', as: 65001 },
        ],
      ],
    );
    assert.equal((await world.ask('DELETE', `bgppeerings/${one.body['id']}`, undefined, ADMIN)).status, 204);
    const tunnel = {
      tenant_id: TENANT,
      name: 't',
      local_tunnel_endpoint: '192.0.2.1',
      remote_tunnel_endpoint: '192.0.2.2',
    };
    assert.match(reason(await world.ask('POST', 'dataplanetunnels', tunnel)), /^403 /);
    await assertInvariants(world.server);
  });
}

test('a peering needs to know as which autonomous system hosts speak', async (t) => {
  const world = await startWorld(t, '1.0');
  const peering = {
    tenant_id: TENANT,
    name: 'pe',
    local_ip_address: '0.0.0.0',
    peer_ip_address: '192.0.2.99',
    as_number: 65001,
  };
  assert.match(reason(await world.ask('POST', 'bgppeerings', peering, ADMIN)), /^409 .*autonomous system/);
});

test('addresses of two VPNs are equal and never in the way of each other, and both versions of IP go', async (t) => {
  const world = await startWorld(t, '1.1');
  const [blue, red] = [await world.vpn(), await world.vpn({ name: 'red' }, AS_OTHER)];
  const [a, b] = [await world.port(1, 'h1'), await world.port(1, 'h1', AS_OTHER)];
  const both = { addresses: ['10.0.0.1', '2001:db8::1'], gateways: ['10.0.0.254', '2001:db8::fe'] };
  for (const [port, vpn, as] of [
    [a, blue, AS],
    [b, red, AS_OTHER],
  ] as const) {
    const bound = await world.bind(port, vpn, '10.0.0.1/24', both, as);
    assert.equal(bound.status, 201, JSON.stringify(bound.body));
  }
  const [one, other] = [await networkOf(world, 'blue'), await networkOf(world, 'red')];
  for (const name of ['vni', 'label', 'segmentation_id', 'route_distinguisher', 'router_id'])
    assert.notEqual(String(one[name]), String(other[name]));
  const places = [one, other].map((each) => Object.keys(sliceOf(world, `vpn:${each['id']}`).items));
  assert.deepEqual(places, [[String(a['id'])], [String(b['id'])]]);
  assert.deepEqual(
    one['subnets']?.map((each) => String(each['cidr'])),
    ['10.0.0.0/24', '2001:db8::/64'],
  );
  await assertInvariants(world.server);
});

test('VPNs of a project end at its quota, and nobody else’s network gets the tag or the number of one', async (t) => {
  const world = await startWorld(t, '1.1');
  const { send } = world;
  const quotas = (await send('GET', '/cable/v1/protons/net-l3vpn', undefined, ADMIN)).body['proton']?.['quotas'];
  assert.deepEqual(quotas as unknown, { 'proton.net-l3vpn.vpn_service': 100 });
  await world.vpn();
  const { vni, segmentation_id: tag } = (await networkOf(world, 'blue')) as unknown as Record<string, number>;
  const network = { 'provider:network_type': 'vlan', 'provider:physical_network': 'cable:vpn' };
  const taken = { ...network, name: 'x', 'provider:segmentation_id': tag };
  assert.equal((await send('POST', '/v2.0/networks', { network: taken }, ADMIN)).status, 409);
  const equal = { name: 'x', 'provider:network_type': 'vxlan', 'provider:segmentation_id': vni };
  assert.equal((await send('POST', '/v2.0/networks', { network: equal }, ADMIN)).status, 409);
});

test('a proton goes with all its VPNs', async (t) => {
  const world = await startWorld(t, '1.0');
  const vpn = await world.vpn();
  for (const n of [1, 2, 3]) {
    const bound = await world.bind(await world.port(n, 'h1'), vpn, `10.0.0.${n}/24`);
    assert.equal(bound.status, 201, JSON.stringify(bound.body));
  }
  const gone = await world.send('DELETE', '/cable/v1/protons/net-l3vpn?objects=true', undefined, ADMIN);
  assert.equal(gone.status, 204, JSON.stringify(gone.body));
  assert.deepEqual(
    (await keysLeft(world.store)).filter((key) => /proton|vpn|vni/.test(key)),
    [],
  );
});

test('joins and leaves at once leave one VPN with the subnets of those that are in it', async (t) => {
  const world = await startWorld(t, '1.0');
  const vpn = await world.vpn();
  const ports = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => world.port(n)));
  const bound = await Promise.all(ports.map((port, n) => world.bind(port, vpn, `10.0.${n % 2}.${n + 1}/24`)));
  assert.deepEqual(
    bound.map(({ status }) => status),
    [201, 201, 201, 201, 201, 201],
  );
  await Promise.all(ports.map((port, n) => (n === 0 ? undefined : world.ask('DELETE', `vpnbindings/${port['id']}`))));
  assert.deepEqual(
    (await networkOf(world, 'blue'))['subnets']?.map((one) => String(one['cidr'])),
    ['10.0.0.0/24'],
  );
  await assertInvariants(world.server);
  // The port goes with its binding's interface, and with it what it had in the VPN.
  const [first] = ports;
  await world.ask('DELETE', `vpnbindings/${first?.['id']}`);
  assert.deepEqual((await networkOf(world, 'blue'))['subnets'], []);
});
