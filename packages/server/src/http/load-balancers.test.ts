import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { assertInvariants, type Harness, type Json, keysLeft, refused, startHarness } from '../testing/harness.ts';

const LBAAS = '/v2.0/lbaas';

type World = Harness & {
  readonly network: Json;
  readonly subnet: Json;
  /** Creates, and gives the object. `path`: below that of the API. */
  make(path: string, attributes: object, headers?: Record<string, string>): Promise<Json>;
  show(path: string): Promise<Json>;
};

const NAMES: Readonly<Record<string, string>> = {
  loadbalancers: 'loadbalancer',
  listeners: 'listener',
  pools: 'pool',
  members: 'member',
  healthmonitors: 'healthmonitor',
};

function nameIn(path: string): string {
  const parts = path.split('/').filter((one) => NAMES[one] !== undefined);
  return NAMES[parts.at(-1) ?? ''] ?? '';
}

async function startWorld(t: TestContext): Promise<World> {
  const harness = await startHarness(t);
  const network = await harness.create('network', {});
  const subnet = await harness.create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const make: World['make'] = async (path, attributes, headers) => {
    const name = nameIn(path);
    const answer = await harness.send('POST', `${LBAAS}/${path}`, { [name]: attributes }, headers);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body[name] as Json;
  };
  const show: World['show'] = async (path) =>
    (await harness.send('GET', `${LBAAS}/${path}`)).body[nameIn(path)] as Json;
  return { ...harness, network, subnet, make, show };
}

/** A test whose store holds together when it is over. */
function lbTest(name: string, body: (world: World) => Promise<void>): void {
  test(name, async (t) => {
    const world = await startWorld(t);
    await body(world);
    await assertInvariants(world.server);
  });
}

/** A load balancer with a listener of TCP 80 and its pool. */
async function withPool(world: World): Promise<{ readonly lb: Json; readonly listener: Json; readonly pool: Json }> {
  const lb = await world.make('loadbalancers', { vip_subnet_id: world.subnet['id'], vip_address: '10.0.0.100' });
  const listener = await world.make('listeners', {
    loadbalancer_id: lb['id'],
    protocol: 'TCP',
    protocol_port: 80,
  });
  const pool = await world.make('pools', {
    listener_id: listener['id'],
    protocol: 'TCP',
    lb_algorithm: 'SOURCE_IP_PORT',
  });
  return { lb, listener, pool };
}

lbTest(
  'a virtual address is at no part of a trunk, and may be under a floating IP, whichever comes first',
  async (world) => {
    const { create, send, network, subnet, make } = world;
    const port = (): Promise<Json> => create('port', { network_id: network['id'] });
    const [parent, sub, plain] = [await port(), await port(), await port()];
    const sub_ports = [{ port_id: sub['id'], segmentation_type: 'vlan', segmentation_id: 7 }];
    const trunk = await create('trunk', { port_id: parent['id'], sub_ports });
    const balance = (id: unknown) => send('POST', `${LBAAS}/loadbalancers`, { loadbalancer: { vip_port_id: id } });
    for (const part of [parent, sub]) {
      assert.match(await refused(balance(part['id']), 409, 'VIPInUse'), new RegExp(`part of trunk ${trunk['id']}`));
    }
    const { vip_port_id: vip } = await make('loadbalancers', { vip_port_id: plain['id'] });
    await refused(send('POST', '/v2.0/trunks', { trunk: { port_id: vip } }), 409, 'ParentPortInUse');
    const added = [{ port_id: vip, segmentation_type: 'vlan', segmentation_id: 8 }];
    const adding = send('PUT', `/v2.0/trunks/${trunk['id']}/add_subports`, { sub_ports: added });
    await refused(adding, 409, 'PortInUse');

    const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
    const external = await create('network', { 'router:external': true, ...flat });
    await create('subnet', { network_id: external['id'], cidr: '203.0.113.0/24', enable_dhcp: false });
    const router = await create('router', { external_gateway_info: { network_id: external['id'] } });
    await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, { subnet_id: subnet['id'] });
    const float = (id: unknown) =>
      send('POST', '/v2.0/floatingips', { floatingip: { floating_network_id: external['id'], port_id: id } });
    const reached = await port();
    const floating = [await float(vip), await float(reached['id'])];
    assert.deepEqual(
      floating.map(({ status, body }) => [status, body['floatingip']?.['router_id']]),
      [
        [201, router['id']],
        [201, router['id']],
      ],
    );
    const adopted = await balance(reached['id']);
    assert.equal(adopted.status, 201);
    const shown = await send('GET', `/v2.0/floatingips/${floating[0]?.body['floatingip']?.['id']}`);
    assert.equal(shown.body['floatingip']?.['status'], 'ACTIVE');
    // It goes with the port that was made for the virtual address.
    const own = (await send('GET', `/v2.0/floatingips?port_id=${vip}`)).body['floatingips'] as unknown as Json[];
    assert.equal(own.length, 1);
  },
);

lbTest(
  'a load balancer has a port of its own for its virtual address, which comes and goes with it',
  async ({ make, send, subnet, network }) => {
    const lb = await make('loadbalancers', { name: 'web', vip_subnet_id: subnet['id'] });
    assert.equal(lb['vip_network_id'], network['id']);
    assert.equal(lb['provider'], 'cable');
    assert.equal(lb['provisioning_status'], 'ACTIVE');
    assert.equal(lb['operating_status'], 'ONLINE');
    const path = `/v2.0/ports/${lb['vip_port_id']}`;
    const port = (await send('GET', path)).body['port'] as Json;
    assert.deepEqual(port['fixed_ips'], [{ subnet_id: subnet['id'], ip_address: lb['vip_address'] }]);
    assert.equal(port['device_owner'], 'Octavia');
    assert.equal(port['device_id'], `lb-${lb['id']}`);
    assert.deepEqual(port['security_groups'], []);
    assert.equal((await send('GET', `/v2/lbaas/loadbalancers/${lb['id']}`)).body['loadbalancer']?.['name'], 'web');
    await refused(send('DELETE', path), 409, 'PortInUse');
    await refused(send('PUT', path, { port: { fixed_ips: [] } }), 409, 'ServicePortInUse');
    await refused(send('PUT', path, { port: { device_owner: '' } }), 409, 'ServicePortInUse');
    assert.equal((await send('PUT', path, { port: { name: 'vip of web' } })).status, 200);
    await refused(send('DELETE', `/v2.0/subnets/${subnet['id']}`), 409, 'SubnetInUse');
    assert.equal((await send('DELETE', `${LBAAS}/loadbalancers/${lb['id']}`)).status, 204);
    await refused(send('GET', path), 404, 'PortNotFound');
  },
);

lbTest('a port that is given is kept when its load balancer goes', async ({ make, create, send, network }) => {
  const port = await create('port', { network_id: network['id'] });
  const used = await create('port', { network_id: network['id'], device_id: 'vm' });
  const post = (attributes: object) => send('POST', `${LBAAS}/loadbalancers`, { loadbalancer: attributes });
  await refused(post({ vip_port_id: used['id'] }), 409, 'VIPInUse');
  await refused(post({ vip_port_id: port['id'], vip_address: '10.0.0.77' }), 400, 'InvalidInput');
  const lb = await make('loadbalancers', { vip_port_id: port['id'] });
  assert.equal(lb['vip_address'], port['fixed_ips']?.[0]?.['ip_address']);
  await refused(post({ vip_port_id: port['id'] }), 409, 'VIPInUse');
  assert.equal((await send('DELETE', `${LBAAS}/loadbalancers/${lb['id']}`)).status, 204);
  const shown = (await send('GET', `/v2.0/ports/${port['id']}`)).body['port'];
  assert.equal(`${shown?.['device_id']}${shown?.['device_owner']}`, '');
  assert.equal((await send('PUT', `/v2.0/ports/${port['id']}`, { port: { device_id: 'vm' } })).status, 200);
});

lbTest('the virtual address is where it was asked for', async ({ make, create, send, network, subnet }) => {
  const ipv6 = await create('subnet', { network_id: network['id'], cidr: 'fd00::/64', ip_version: 6 });
  const other = await create('network', {});
  const post = (attributes: object) => send('POST', `${LBAAS}/loadbalancers`, { loadbalancer: attributes });
  await refused(post({}), 400, 'InvalidInput');
  await refused(post({ vip_network_id: other['id'] }), 400, 'InvalidInput');
  await refused(post({ vip_network_id: other['id'], vip_subnet_id: subnet['id'] }), 400, 'InvalidInput');
  await refused(post({ vip_subnet_id: subnet['id'], vip_address: '192.0.2.1' }), 400, 'InvalidIpForSubnet');
  const plain = await make('loadbalancers', { vip_network_id: network['id'] });
  assert.equal(plain['vip_subnet_id'], subnet['id']);
  const six = await make('loadbalancers', { vip_network_id: network['id'], vip_address: 'fd00::100' });
  assert.equal(six['vip_subnet_id'], ipv6['id']);
  await refused(post({ vip_subnet_id: ipv6['id'], vip_address: 'fd00::100' }), 409, 'IpAddressAlreadyAllocated');
});

lbTest(
  'a tenant has virtual addresses only where it may have such ports, and sees its own load balancers only',
  async ({ make, create, send }) => {
    const mine = { 'x-project-id': 'p1', 'x-roles': 'member' };
    const theirs = { 'x-project-id': 'p2', 'x-roles': 'member' };
    const network = await create('network', { shared: true, project_id: 'p1' });
    const subnet = await create('subnet', { network_id: network['id'], cidr: '10.9.0.0/24', ip_version: 4 });
    const body = { loadbalancer: { vip_subnet_id: subnet['id'], vip_address: '10.9.0.50' } };
    await refused(send('POST', `${LBAAS}/loadbalancers`, body, theirs), 403, 'PolicyNotAuthorized');
    const lb = await make('loadbalancers', { vip_subnet_id: subnet['id'] }, theirs);
    assert.equal(lb['project_id'], 'p2');
    const path = `${LBAAS}/loadbalancers/${lb['id']}`;
    await refused(send('GET', path, undefined, mine), 404, 'LoadBalancerNotFound');
    const listener = { loadbalancer_id: lb['id'], protocol: 'TCP', protocol_port: 80 };
    await refused(send('POST', `${LBAAS}/listeners`, { listener }, mine), 404, 'LoadBalancerNotFound');
    const made = await make('listeners', listener);
    assert.equal(made['project_id'], 'p2', 'what an admin adds is of the load balancer’s project');
  },
);

lbTest('listener, pool, members and monitor show one another', async (world) => {
  const { make, show, send } = world;
  const { lb, listener, pool } = await withPool(world);
  const member = await make(`pools/${pool['id']}/members`, { address: '10.0.0.5', protocol_port: 8080 });
  assert.equal(member['operating_status'], 'NO_MONITOR');
  const monitor = await make('healthmonitors', {
    pool_id: pool['id'],
    type: 'HTTP',
    delay: 5,
    timeout: 3,
    max_retries: 2,
  });
  assert.equal(`${monitor['http_method']} ${monitor['url_path']} ${monitor['expected_codes']}`, 'GET / 200');
  assert.deepEqual((await show(`listeners/${listener['id']}`))['default_pool_id'], pool['id']);
  const shown = await show(`pools/${pool['id']}`);
  assert.deepEqual(shown['listeners'], [{ id: listener['id'] }]);
  assert.deepEqual(shown['loadbalancers'], [{ id: lb['id'] }]);
  assert.deepEqual(shown['members'], [{ id: member['id'] }]);
  assert.equal(shown['healthmonitor_id'], monitor['id']);
  assert.deepEqual((await show(`loadbalancers/${lb['id']}`))['listeners'], [{ id: listener['id'] }]);
  const { statuses } = (await send('GET', `${LBAAS}/loadbalancers/${lb['id']}/status`)).body as Record<string, Json>;
  const tree = statuses?.['loadbalancer']?.['listeners']?.[0]?.['pools']?.[0];
  assert.equal(tree?.['members']?.[0]?.['address'], '10.0.0.5');
  assert.equal(tree?.['health_monitor']?.['type'], 'HTTP');
  assert.equal((await send('DELETE', `${LBAAS}/pools/${pool['id']}`)).status, 204);
  assert.equal((await show(`listeners/${listener['id']}`))['default_pool_id'], null);
});

lbTest('statuses tell what is off, drained or not probed yet', async (world) => {
  const { make, show, send } = world;
  const { lb, listener, pool } = await withPool(world);
  const status = async (path: string) => String((await show(path))['operating_status']);
  assert.equal(await status(`pools/${pool['id']}`), 'OFFLINE', 'without members');
  const members = `pools/${pool['id']}/members`;
  const one = await make(members, { address: '10.0.0.5', protocol_port: 80, weight: 0 });
  assert.equal(await status(`${members}/${one['id']}`), 'DRAINING');
  await send('PUT', `${LBAAS}/${members}/${one['id']}`, { member: { weight: 256 } });
  assert.equal(await status(`listeners/${listener['id']}`), 'ONLINE');
  await make('healthmonitors', { pool_id: pool['id'], type: 'TCP', delay: 5, timeout: 5, max_retries: 1 });
  assert.equal(await status(`${members}/${one['id']}`), 'NO_MONITOR', 'no host could probe it');
  const fixed_ips = [{ subnet_id: world.subnet['id'], ip_address: '10.0.0.5' }];
  const port = await world.create('port', { network_id: world.network['id'], fixed_ips });
  assert.equal(await status(`${members}/${one['id']}`), 'NO_MONITOR', 'it is on no host');
  await send('PUT', `/v2.0/ports/${port['id']}`, { port: { 'binding:host_id': 'h1' } });
  assert.equal(await status(`${members}/${one['id']}`), 'OFFLINE');
  await send('PUT', `${LBAAS}/loadbalancers/${lb['id']}`, { loadbalancer: { admin_state_up: false } });
  assert.equal(await status(`loadbalancers/${lb['id']}`), 'OFFLINE');
});

lbTest('layer 7 and what the data plane has not is refused by name, in Octavia’s form of errors', async (world) => {
  const { send, make, subnet } = world;
  const { lb, listener } = await withPool(world);
  const code = 'ProviderUnsupportedOptionError';
  const post = (path: string, attributes: object) =>
    send('POST', `${LBAAS}/${path}`, { [path === 'l7policies' ? 'l7policy' : nameIn(path)]: attributes });
  const base = { loadbalancer_id: lb['id'], protocol_port: 81 };
  for (const protocol of ['HTTP', 'HTTPS', 'TERMINATED_HTTPS', 'PROMETHEUS']) {
    assert.match(
      await refused(post('listeners', { ...base, protocol }), 501, code),
      new RegExp(`protocol ${protocol}$`),
    );
  }
  const tcp = { ...base, protocol: 'TCP' };
  for (const [name, value] of Object.entries({
    connection_limit: 10,
    allowed_cidrs: ['10.0.0.0/8'],
    insert_headers: { 'X-Forwarded-For': 'true' },
  })) {
    assert.match(await refused(post('listeners', { ...tcp, [name]: value }), 501, code), new RegExp(`${name}$`));
  }
  await refused(send('PUT', `${LBAAS}/listeners/${listener['id']}`, { listener: { connection_limit: 5 } }), 501, code);
  const vip = { vip_subnet_id: subnet['id'] };
  await refused(post('loadbalancers', { ...vip, provider: 'amphora' }), 501, code);
  await refused(post('loadbalancers', { ...vip, availability_zone: 'a' }), 501, code);
  await refused(post('loadbalancers', { ...vip, additional_vips: [{ subnet_id: subnet['id'] }] }), 501, code);
  const pool = { loadbalancer_id: lb['id'], protocol: 'TCP', lb_algorithm: 'SOURCE_IP' };
  for (const lb_algorithm of ['ROUND_ROBIN', 'LEAST_CONNECTIONS']) {
    await refused(post('pools', { ...pool, lb_algorithm }), 501, code);
  }
  await refused(post('pools', { ...pool, session_persistence: { type: 'HTTP_COOKIE' } }), 501, code);
  const timed = { type: 'SOURCE_IP', persistence_timeout: 60 };
  assert.match(await refused(post('pools', { ...pool, session_persistence: timed }), 501, code), /persistence_timeout/);
  const made = await make('pools', { ...pool, session_persistence: { type: 'SOURCE_IP' } });
  const member = { address: '10.0.0.5', protocol_port: 80 };
  await refused(post(`pools/${made['id']}/members`, { ...member, backup: true }), 501, code);
  const probe = { pool_id: made['id'], delay: 5, timeout: 5, max_retries: 1 };
  await refused(post('healthmonitors', { ...probe, type: 'TLS-HELLO' }), 501, code);
  const policy = { listener_id: listener['id'], action: 'REJECT' };
  const answer = await post('l7policies', policy);
  assert.equal(answer.status, 501);
  assert.equal(answer.body['faultcode'], 'Client');
  assert.match(String(answer.body['faultstring']), /^Provider 'cable' does not support .*l7policies\. /);
  assert.deepEqual((await send('GET', `${LBAAS}/l7policies`)).body, { l7policies: [] });
  assert.deepEqual(
    (await send('GET', `${LBAAS}/providers`)).body['providers']?.map((one) => one['name']),
    ['cable'],
  );
});

lbTest('what contradicts itself is refused', async (world) => {
  const { send, make, create, network } = world;
  const { lb, listener, pool } = await withPool(world);
  const post = (path: string, attributes: object) => send('POST', `${LBAAS}/${path}`, { [nameIn(path)]: attributes });
  const same = { loadbalancer_id: lb['id'], protocol: 'TCP', protocol_port: 80 };
  await refused(post('listeners', same), 409, 'DuplicateListenerEntry');
  await make('listeners', { ...same, protocol: 'UDP' });
  const udp = await make('pools', { loadbalancer_id: lb['id'], protocol: 'UDP', lb_algorithm: 'SOURCE_IP' });
  await refused(post('pools', { protocol: 'TCP', lb_algorithm: 'SOURCE_IP' }), 400, 'InvalidInput');
  const second = { listener_id: listener['id'], protocol: 'TCP', lb_algorithm: 'SOURCE_IP' };
  await refused(post('pools', second), 409, 'DuplicatePoolEntry');
  const change = (default_pool_id: unknown) =>
    send('PUT', `${LBAAS}/listeners/${listener['id']}`, { listener: { default_pool_id } });
  await refused(change(udp['id']), 400, 'InvalidInput');
  const members = `pools/${pool['id']}/members`;
  await make(members, { address: '10.0.0.5', protocol_port: 80 });
  await refused(post(members, { address: '10.0.0.5', protocol_port: 80 }), 409, 'DuplicateMemberEntry');
  await make(members, { address: '10.0.0.5', protocol_port: 81 });
  assert.match(
    await refused(post(members, { address: '192.0.2.1', protocol_port: 80 }), 400, 'InvalidInput'),
    /give subnet_id/,
  );
  await refused(post(members, { address: '10.0.0.100', protocol_port: 80 }), 400, 'InvalidInput');
  const six = await create('subnet', { network_id: network['id'], cidr: 'fd00::/64', ip_version: 6 });
  const mixed = { address: 'fd00::5', protocol_port: 80, subnet_id: six['id'] };
  assert.match(await refused(post(members, mixed), 400, 'InvalidInput'), /versions of IP/);
  const probe = { pool_id: pool['id'], type: 'TCP', delay: 5, timeout: 5, max_retries: 1 };
  await refused(post('healthmonitors', { ...probe, timeout: 6 }), 400, 'InvalidInput');
  await refused(post('healthmonitors', { ...probe, url_path: '/' }), 400, 'InvalidInput');
  await refused(post('healthmonitors', { ...probe, type: 'UDP-CONNECT' }), 400, 'InvalidInput');
  await refused(post('healthmonitors', { ...probe, type: 'HTTP', url_path: '/\r\nX: y' }), 400, 'InvalidInput');
  await refused(post('healthmonitors', { ...probe, type: 'HTTP', expected_codes: '2xx' }), 400, 'InvalidInput');
  await refused(post('healthmonitors', { ...probe, type: 'HTTP', domain_name: 'a\nb' }), 400, 'InvalidInput');
  await make('healthmonitors', { ...probe, type: 'HTTP', url_path: '/up', expected_codes: '200-204,301' });
  await refused(post('healthmonitors', probe), 409, 'DuplicateHealthMonitor');
});

lbTest('with SCTP a member serves at the port of its listener, whichever comes first', async (world) => {
  const { send, make } = world;
  const { lb } = await withPool(world);
  const post = (path: string, attributes: object) => send('POST', `${LBAAS}/${path}`, { [nameIn(path)]: attributes });
  const listener = await make('listeners', { loadbalancer_id: lb['id'], protocol: 'SCTP', protocol_port: 36412 });
  const pool = { protocol: 'SCTP', lb_algorithm: 'SOURCE_IP' };
  const first = await make('pools', { ...pool, listener_id: listener['id'] });
  const members = `pools/${first['id']}/members`;
  const other = { address: '10.0.0.5', protocol_port: 36422 };
  assert.match(await refused(post(members, other), 400, 'InvalidInput'), /protocol_port 36412/);
  await make(members, { ...other, protocol_port: 36412 });
  const second = await make('pools', { ...pool, loadbalancer_id: lb['id'] });
  await make(`pools/${second['id']}/members`, other);
  const change = { listener: { default_pool_id: second['id'] } };
  await refused(send('PUT', `${LBAAS}/listeners/${listener['id']}`, change), 400, 'InvalidInput');
  const late = { loadbalancer_id: lb['id'], protocol: 'SCTP', default_pool_id: second['id'] };
  await refused(post('listeners', { ...late, protocol_port: 36400 }), 400, 'InvalidInput');
  await make('listeners', { ...late, protocol_port: 36422 });
});

lbTest('all members of a pool are given at once', async (world) => {
  const { make, send } = world;
  const { pool } = await withPool(world);
  const path = `pools/${pool['id']}/members`;
  const kept = await make(path, { address: '10.0.0.5', protocol_port: 80, name: 'five' });
  await make(path, { address: '10.0.0.6', protocol_port: 80 });
  const put = (members: readonly object[], query = '') => send('PUT', `${LBAAS}/${path}${query}`, { members });
  const answer = await put([
    { address: '10.0.0.5', protocol_port: 80, weight: 7 },
    { address: '10.0.0.7', protocol_port: 80 },
  ]);
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  const list = async (): Promise<readonly string[]> =>
    ((await send('GET', `${LBAAS}/${path}?sort_key=address`)).body['members'] ?? []).map(
      (one) => `${one['id'] === kept['id']} ${one['name']} ${one['address']} ${one['weight']}`,
    );
  assert.deepEqual(await list(), ['true five 10.0.0.5 7', 'false  10.0.0.7 1']);
  await put([{ address: '10.0.0.8', protocol_port: 80 }], '?additive_only=True');
  assert.deepEqual((await list()).length, 3);
  await refused(put([{ address: '192.0.2.9', protocol_port: 80 }]), 400, 'InvalidInput');
  assert.deepEqual((await list()).length, 3, 'all or nothing');
  const twice = { address: '10.0.0.9', protocol_port: 80 };
  await refused(put([twice, twice]), 409, 'DuplicateMemberEntry');
  assert.equal((await put([])).status, 202);
  assert.deepEqual(await list(), []);
});

lbTest('a load balancer with parts goes only when they are to go with it, and leaves nothing', async (world) => {
  const { make, send, store, subnet, network } = world;
  const { lb, pool } = await withPool(world);
  await make(`pools/${pool['id']}/members`, { address: '10.0.0.5', protocol_port: 80, subnet_id: subnet['id'] });
  await make('healthmonitors', { pool_id: pool['id'], type: 'TCP', delay: 5, timeout: 5, max_retries: 1 });
  await make('pools', { loadbalancer_id: lb['id'], protocol: 'SCTP', lb_algorithm: 'SOURCE_IP' });
  const path = `${LBAAS}/loadbalancers/${lb['id']}`;
  assert.match(await refused(send('DELETE', path), 409, 'LoadBalancerInUse'), /listeners or pools/);
  assert.equal((await send('DELETE', `${path}?cascade=true`)).status, 204);
  for (const plural of ['listeners', 'pools', 'healthmonitors']) {
    assert.deepEqual((await send('GET', `${LBAAS}/${plural}`)).body[plural], []);
  }
  await send('DELETE', `/v2.0/subnets/${subnet['id']}`);
  await send('DELETE', `/v2.0/networks/${network['id']}`);
  for (const group of (await send('GET', '/v2.0/security-groups')).body['security_groups'] ?? []) {
    await send('DELETE', `/v2.0/security-groups/${group['id']}`);
  }
  assert.deepEqual(await keysLeft(store), []);
});

lbTest('of two that want the same at once one has it', async (world) => {
  const { send, create, network } = world;
  const { lb, listener } = await withPool(world);
  const statuses = async (calls: readonly Promise<{ readonly status: number }>[]) =>
    (await Promise.all(calls)).map((one) => one.status).sort();
  const port = await create('port', { network_id: network['id'] });
  const vip = { loadbalancer: { vip_port_id: port['id'] } };
  assert.deepEqual(await statuses([1, 2].map(() => send('POST', `${LBAAS}/loadbalancers`, vip))), [201, 409]);
  const same = { listener: { loadbalancer_id: lb['id'], protocol: 'TCP', protocol_port: 443 } };
  assert.deepEqual(await statuses([1, 2].map(() => send('POST', `${LBAAS}/listeners`, same))), [201, 409]);
  const cascade = send('DELETE', `${LBAAS}/loadbalancers/${lb['id']}?cascade=true`);
  const part = send('POST', `${LBAAS}/pools`, {
    pool: { loadbalancer_id: lb['id'], protocol: 'TCP', lb_algorithm: 'SOURCE_IP' },
  });
  assert.equal((await cascade).status, 204);
  assert.ok([201, 404].includes((await part).status));
  await refused(send('GET', `${LBAAS}/listeners/${listener['id']}`), 404, 'ListenerNotFound');
  assert.deepEqual((await send('GET', `${LBAAS}/pools`)).body, { pools: [] });
});

lbTest('quotas count load balancers and their parts', async (world) => {
  const { send, subnet } = world;
  const headers = { 'x-project-id': 'p9' };
  await send('PUT', '/v2.0/quotas/p9', { quota: { loadbalancer: 1 } });
  const body = { loadbalancer: { vip_subnet_id: subnet['id'] } };
  assert.equal((await send('POST', `${LBAAS}/loadbalancers`, body, headers)).status, 201);
  await refused(send('POST', `${LBAAS}/loadbalancers`, body, headers), 403, 'OverQuota');
});

lbTest('quotas are also at Octavia’s place, in its words, and are Neutron’s', async ({ send, subnet }) => {
  const none = { load_balancer: -1, loadbalancer: -1, listener: -1, pool: -1, member: -1 };
  const unset = { ...none, healthmonitor: -1, health_monitor: -1 };
  for (const prefix of ['/v2.0/lbaas', '/v2/lbaas']) {
    assert.deepEqual((await send('GET', `${prefix}/quotas/p9`)).body, { quota: unset });
    assert.equal((await send('GET', `${prefix}/quotas/defaults`)).body['quota']?.['load_balancer'], -1);
    assert.deepEqual((await send('GET', `${prefix}/quotas`)).body, { quotas: [] });
  }
  const path = `${LBAAS}/quotas/p9`;
  const set = await send('PUT', path, { quota: { load_balancer: 1, health_monitor: 4 } });
  assert.equal(set.status, 202);
  assert.deepEqual(set.body, {
    quota: { ...unset, load_balancer: 1, loadbalancer: 1, healthmonitor: 4, health_monitor: 4 },
  });
  await send('PUT', '/v2.0/quotas/p9', { quota: { network: 3 } });
  assert.equal((await send('GET', '/v2.0/quotas/p9')).body['quota']?.['loadbalancer'], 1);
  const headers = { 'x-project-id': 'p9' };
  const body = { loadbalancer: { vip_subnet_id: subnet['id'] } };
  const statuses = await Promise.all([1, 2, 3].map(() => send('POST', `${LBAAS}/loadbalancers`, body, headers)));
  assert.deepEqual(statuses.map(({ status }) => status).sort(), [201, 403, 403]);
  const freed = await send('PUT', path, { quota: { load_balancer: null } });
  assert.equal(freed.body['quota']?.['loadbalancer'], -1);
  assert.equal((await send('DELETE', path)).status, 202);
  await refused(send('DELETE', path), 404, 'TenantQuotaNotFound');
  const left = (await send('GET', '/v2.0/quotas/p9')).body['quota'];
  assert.deepEqual([left?.['network'], left?.['healthmonitor']], [3, -1]);
  assert.deepEqual((await send('GET', `${LBAAS}/quotas`)).body, { quotas: [] });
});

lbTest('limits of other types, of nobody and of other projects are none of Octavia’s quotas', async ({ send }) => {
  const put = (id: string, quota: object, headers?: Record<string, string>) =>
    send('PUT', `${LBAAS}/quotas/${id}`, { quota }, headers);
  const member = { 'x-project-id': 'p1', 'x-roles': 'member' };
  await refused(put('p1', { network: 1 }), 400, 'HTTPBadRequest');
  await refused(put('p1', { l7policy: 1 }), 400, 'HTTPBadRequest');
  await refused(put('p1', { listener: -2 }), 400, 'HTTPBadRequest');
  await refused(put('p1', { load_balancer: 1, loadbalancer: 2 }), 400, 'HTTPBadRequest');
  await refused(put('defaults', { listener: 1 }), 400, 'HTTPBadRequest');
  await refused(put('p1', { listener: 1 }, member), 403, 'PolicyNotAuthorized');
  await refused(send('GET', `${LBAAS}/quotas/p2`, undefined, member), 403, 'PolicyNotAuthorized');
  assert.equal((await send('GET', `${LBAAS}/quotas/p1`, undefined, member)).status, 200);
  await refused(send('GET', `${LBAAS}/quotas/p1/details`), 404, 'HTTPNotFound');
});
