import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

/** A network with one subnet 10.0.0.0/24. */
async function withSubnet({ create }: Harness): Promise<{ network: Json; subnet: Json }> {
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  return { network, subnet };
}

test('bodies are refused with Neutron’s words', async (t) => {
  const { send } = await startHarness(t);
  const post = (body: unknown): Promise<string> => refused(send('POST', '/v2.0/networks', body), 400, 'HTTPBadRequest');
  assert.equal(await post({ network: { nmae: 'x' } }), "Unrecognized attribute(s) 'nmae'");
  const odd = refused(send('POST', '/v2.0/networks', { network: { mtu: 'x' } }), 400, 'InvalidInput');
  assert.equal(await odd, "Invalid input for operation: 'x' is not an integer.");
  assert.equal(await post({ network: { status: 'ACTIVE' } }), "Attribute 'status' not allowed in POST");
  assert.equal(await post({ port: {} }), "Unable to find 'network' in request body");
  assert.equal(await post({}), 'Resource body required');
  assert.equal(await post(undefined), 'Resource body required');
  assert.equal(await post({ networks: [] }), 'Resources required');
  const subnet = refused(
    send('POST', '/v2.0/subnets', { subnet: { ip_version: 4, cidr: '10.0.0.0/8' } }),
    400,
    'HTTPBadRequest',
  );
  assert.equal(await subnet, "Failed to parse request. Required attribute 'network_id' not specified");
});

test('the edge answers in Neutron’s form for what no route takes', async (t) => {
  const { send } = await startHarness(t);
  await refused(send('GET', '/v2.0/nothing'), 404, 'HTTPNotFound');
  await refused(send('PATCH', '/v2.0/networks'), 405, 'HTTPMethodNotAllowed');
  await refused(
    send('POST', '/v2.0/networks', { network: { name: 'x'.repeat(5 << 20) } }),
    413,
    'HTTPRequestEntityTooLarge',
  );
  const deep = JSON.parse(`${'['.repeat(200)}${']'.repeat(200)}`) as unknown;
  const profile = { port: { 'binding:profile': { deep } } };
  assert.match(await refused(send('POST', '/v2.0/ports', profile), 400, 'HTTPBadRequest'), /nested deeper/);
  await refused(send('GET', '/v2.0/extensions/none'), 404, 'ExtensionNotFound');
  await refused(send('GET', '/v2.0/networks?colour=red'), 400, 'HTTPBadRequest');
});

test('networks: MTU and VNI are checked', async (t) => {
  const { send, create } = await startHarness(t);
  const big = send('POST', '/v2.0/networks', { network: { mtu: 1451 } });
  assert.match(await refused(big, 400, 'InvalidInput'), /maximum is 1450/);
  const network = await create('network', { 'provider:segmentation_id': 77 });
  assert.equal(network['provider:segmentation_id'], 77);
  const again = send('POST', '/v2.0/networks', { network: { 'provider:segmentation_id': 77 } });
  await refused(again, 409, 'TunnelIdInUse');
  await refused(send('POST', '/v2.0/networks', { network: { 'provider:network_type': 'gre' } }), 400, 'InvalidInput');
});

test('subnets: prefixes, gateways and pools are checked', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const { network } = await withSubnet(harness);
  const post = (attributes: object): ReturnType<typeof send> =>
    send('POST', '/v2.0/subnets', { subnet: { network_id: network['id'], ip_version: 4, ...attributes } });
  await refused(post({ cidr: '10.0.0.128/25' }), 400, 'InvalidInput');
  await refused(post({ cidr: '224.0.0.0/24' }), 400, 'InvalidInput');
  await refused(post({ cidr: '10.2.0.0/24', gateway_ip: '10.2.0.255' }), 400, 'InvalidInput');
  const pool = (start: string, end: string): object => ({ cidr: '10.2.0.0/24', allocation_pools: [{ start, end }] });
  await refused(post(pool('10.2.0.9', '10.2.0.5')), 400, 'InvalidAllocationPool');
  await refused(post(pool('10.2.0.9', '10.2.1.5')), 400, 'OutOfBoundsAllocationPool');
  await refused(post(pool('10.2.0.1', '10.2.0.5')), 409, 'GatewayConflictWithAllocationPools');
  const two = [
    { start: '10.2.0.5', end: '10.2.0.20' },
    { start: '10.2.0.20', end: '10.2.0.30' },
  ];
  await refused(post({ cidr: '10.2.0.0/24', allocation_pools: two }), 409, 'OverlappingAllocationPools');
  const { body } = await post({ cidr: '10.2.0.1/24', allocation_pools: [] });
  assert.deepEqual(
    [body['subnet']?.['cidr'], body['subnet']?.['allocation_pools']],
    ['10.2.0.0/24', [{ start: '10.2.0.2', end: '10.2.0.254' }]],
  );
  const missing = send('POST', '/v2.0/subnets', {
    subnet: { network_id: randomUUID(), ip_version: 4, cidr: '10.2.0.0/24' },
  });
  await refused(missing, 404, 'NetworkNotFound');
});

test('ports: addresses and MACs are checked', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const { network, subnet } = await withSubnet(harness);
  const post = (attributes: object): ReturnType<typeof send> =>
    send('POST', '/v2.0/ports', { port: { network_id: network['id'], ...attributes } });
  const port = await create('port', { network_id: network['id'], fixed_ips: [{ ip_address: '10.0.0.7' }] });
  await refused(post({ fixed_ips: [{ ip_address: '10.0.0.7' }] }), 409, 'IpAddressAlreadyAllocated');
  await refused(post({ fixed_ips: [{ ip_address: '10.9.0.7' }] }), 400, 'InvalidIpForNetwork');
  const wrong = [{ ip_address: '10.9.0.7', subnet_id: subnet['id'] }];
  await refused(post({ fixed_ips: wrong }), 400, 'InvalidIpForSubnet');
  await refused(post({ fixed_ips: [{ ip_address: '10.0.0.255' }] }), 400, 'InvalidIpForNetwork');
  await refused(post({ mac_address: port['mac_address'] }), 409, 'MacAddressInUse');
  await refused(post({ mac_address: 'fa:16:3e:ca:b1:e0' }), 400, 'InvalidInput');
  await refused(post({ mac_address: '01:00:5e:00:00:01' }), 400, 'InvalidInput');
  await refused(post({ security_groups: [randomUUID()] }), 404, 'SecurityGroupNotFound');
  await refused(post({ network_id: randomUUID() }), 404, 'NetworkNotFound');
  await refused(post({ fixed_ips: [{ subnet_id: randomUUID() }] }), 404, 'SubnetNotFound');
  await refused(post({ device_owner: 'network:router_interface' }), 400, 'BadRequest');
  await refused(send('GET', `/v2.0/ports/${randomUUID()}`), 404, 'PortNotFound');
  await assertInvariants(server);
});

test('ports: port security, groups and pairs belong together', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const { network } = await withSubnet(harness);
  const pair = { ip_address: '10.0.0.0/24' };
  const off = { network_id: network['id'], port_security_enabled: false };
  const open = await create('port', off);
  assert.deepEqual(open['security_groups'], []);
  await refused(
    send('POST', '/v2.0/ports', { port: { ...off, allowed_address_pairs: [pair] } }),
    409,
    'AddressPairAndPortSecurityRequired',
  );
  const port = await create('port', { network_id: network['id'], allowed_address_pairs: [pair] });
  assert.deepEqual(port['allowed_address_pairs'], [{ mac_address: port['mac_address'], ...pair }]);
  const path = `/v2.0/ports/${port['id']}`;
  const turnOff = (more: object): ReturnType<typeof send> =>
    send('PUT', path, { port: { port_security_enabled: false, ...more } });
  await refused(turnOff({}), 409, 'AddressPairAndPortSecurityRequired');
  await refused(turnOff({ allowed_address_pairs: [] }), 409, 'PortSecurityPortHasSecurityGroup');
  const both = { port_security_enabled: false, security_groups: [], allowed_address_pairs: [] };
  assert.equal((await send('PUT', path, { port: both })).status, 200);
  const twice = { network_id: network['id'], allowed_address_pairs: [pair, pair] };
  await refused(send('POST', '/v2.0/ports', { port: twice }), 400, 'DuplicateAddressPairInRequest');
});

test('ports of what serves the network have no port security and no groups, whatever is asked for', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const { network } = await withSubnet(harness);
  const group = await create('security_group', {});
  for (const device_owner of ['network:dhcp', 'network:other', 'network:']) {
    const given = { network_id: network['id'], device_owner };
    for (const more of [{}, { port_security_enabled: true }, { security_groups: [] }]) {
      const port = await create('port', { ...given, ...more });
      assert.deepEqual([port['port_security_enabled'], port['security_groups']], [false, []], device_owner);
    }
    const asked = send('POST', '/v2.0/ports', { port: { ...given, security_groups: [group['id']] } });
    await refused(asked, 400, 'PortSecurityAndIPRequiredForSecurityGroups');
    const pairs = { allowed_address_pairs: [{ ip_address: '10.0.0.9' }] };
    await refused(
      send('POST', '/v2.0/ports', { port: { ...given, ...pairs } }),
      409,
      'AddressPairAndPortSecurityRequired',
    );
  }
  const port = await create('port', { network_id: network['id'], device_owner: 'network:dhcp' });
  const put = await send('PUT', `/v2.0/ports/${port['id']}`, { port: { port_security_enabled: true } });
  assert.equal(put.body['port']?.['port_security_enabled'], true, 'a change is obeyed');
});

test('ports: a pair has a MAC that a port may have', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const { network } = await withSubnet(harness);
  const port = await create('port', { network_id: network['id'] });
  for (const mac of ['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00', 'fa:16:3e:ca:b1:e0']) {
    const pairs = { allowed_address_pairs: [{ ip_address: '10.0.0.9', mac_address: mac }] };
    const reason = `Invalid input for allowed_address_pairs. Reason: a port cannot have the MAC address ${mac}.`;
    const created = send('POST', '/v2.0/ports', { port: { network_id: network['id'], ...pairs } });
    assert.equal(await refused(created, 400, 'HTTPBadRequest'), reason);
    const updated = send('PUT', `/v2.0/ports/${port['id']}`, { port: pairs });
    assert.equal(await refused(updated, 400, 'HTTPBadRequest'), reason);
  }
});

test('ports: pairs with the port’s MAC follow it, unless they are given', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const { network } = await withSubnet(harness);
  const [first, second, third] = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'] as const;
  const port = await create('port', {
    network_id: network['id'],
    mac_address: first,
    allowed_address_pairs: [
      { ip_address: '10.0.0.9' },
      { ip_address: '10.0.0.9', mac_address: second },
      { ip_address: '10.0.0.10', mac_address: third },
    ],
  });
  const put = async (change: object): Promise<unknown> =>
    (await send('PUT', `/v2.0/ports/${port['id']}`, { port: change })).body['port']?.['allowed_address_pairs'];
  assert.deepEqual(await put({ mac_address: second }), [
    { mac_address: second, ip_address: '10.0.0.9' },
    { mac_address: third, ip_address: '10.0.0.10' },
  ]);
  const given = [
    { mac_address: first, ip_address: '10.0.0.9' },
    { mac_address: second, ip_address: '10.0.0.11' },
  ];
  assert.deepEqual(await put({ mac_address: first, allowed_address_pairs: given }), given);
});

test('ports: a pair’s prefix is shown with the host bits that it was given', async (t) => {
  const harness = await startHarness(t);
  const { network } = await withSubnet(harness);
  const given = ['10.0.0.200/24', '10.0.0.0/24', '2001:db8::5/64', '10.0.0.200', '10.0.0.201/32'];
  const pairs = given.map((ip) => ({ ip_address: ip }));
  const port = await harness.create('port', { network_id: network['id'], allowed_address_pairs: pairs });
  assert.deepEqual(
    port['allowed_address_pairs']?.map((pair) => pair['ip_address']),
    given,
  );
});

test('nothing that is in use is deleted', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const { network, subnet } = await withSubnet(harness);
  const group = await create('security_group', { name: 'g' });
  const port = await create('port', { network_id: network['id'], security_groups: [group['id']] });
  const message = await refused(send('DELETE', `/v2.0/networks/${network['id']}`), 409, 'NetworkInUse');
  assert.match(message, /There are one or more ports still in use on the network/);
  await refused(send('DELETE', `/v2.0/subnets/${subnet['id']}`), 409, 'SubnetInUse');
  await refused(send('DELETE', `/v2.0/security-groups/${group['id']}`), 409, 'SecurityGroupInUse');
  assert.equal((await send('DELETE', `/v2.0/ports/${port['id']}`)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/security-groups/${group['id']}`)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/networks/${network['id']}`)).status, 204);
  await refused(send('GET', `/v2.0/subnets/${subnet['id']}`), 404, 'SubnetNotFound');
});

test('a port keeps, changes and frees its addresses', async (t) => {
  const harness = await startHarness(t);
  const { send, create, server } = harness;
  const { network, subnet } = await withSubnet(harness);
  const port = await create('port', { network_id: network['id'] });
  const path = `/v2.0/ports/${port['id']}`;
  const put = async (fixedIps: object[]): Promise<unknown> =>
    (await send('PUT', path, { port: { fixed_ips: fixedIps } })).body['port']?.['fixed_ips'];
  const first = port['fixed_ips']?.[0];
  assert.deepEqual(await put([{ subnet_id: subnet['id'] }]), [first]);
  const two = [first, { subnet_id: subnet['id'], ip_address: '10.0.0.99' }];
  assert.deepEqual(await put([{ subnet_id: subnet['id'] }, { ip_address: '10.0.0.99' }]), two);
  assert.deepEqual(await put([{ ip_address: '10.0.0.99' }]), two.slice(1));
  const freed = await create('port', { network_id: network['id'], fixed_ips: [{ ip_address: first?.['ip_address'] }] });
  assert.deepEqual(freed['fixed_ips'], [first]);
  assert.deepEqual(await put([]), []);
  await assertInvariants(server);
});

test('a bound port keeps its MAC until it is unbound', async (t) => {
  const harness = await startHarness(t);
  const { send, create } = harness;
  const { network } = await withSubnet(harness);
  const port = await create('port', { network_id: network['id'], 'binding:host_id': 'h1' });
  assert.equal(port['binding:vif_type'], 'binding_failed');
  const path = `/v2.0/ports/${port['id']}`;
  const change = { mac_address: '02:00:00:00:00:01' };
  await refused(send('PUT', path, { port: change }), 409, 'PortBound');
  const unbound = await send('PUT', path, { port: { 'binding:host_id': null, 'binding:profile': null, ...change } });
  assert.equal(unbound.body['port']?.['binding:vif_type'], 'unbound');
  assert.equal(unbound.body['port']?.['binding:host_id'], '');
  assert.equal(unbound.body['port']?.['mac_address'], '02:00:00:00:00:01');
  assert.deepEqual(unbound.body['port']?.['binding:profile'], {});
});

test('a subnet’s prefix is of its ip_version', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const subnet = { network_id: network['id'], ip_version: 4, cidr: 'fd00::/64' };
  const message = await refused(send('POST', '/v2.0/subnets', { subnet }), 400, 'InvalidInput');
  assert.match(message, /cidr 'fd00::\/64' does not match the ip_version '4'/);
});

test('a path that cannot be decoded is refused in Neutron’s form', async (t) => {
  const { send } = await startHarness(t);
  await refused(send('GET', '/v2.0/networks/%ff'), 400, 'HTTPBadRequest');
});

test('405 says what the path takes', async (t) => {
  const { server } = await startHarness(t);
  const cases: readonly (readonly [string, string, string])[] = [
    ['PATCH', '/v2.0/networks', 'GET, HEAD, POST'],
    ['DELETE', '/v2.0/networks', 'GET, HEAD, POST'],
    ['POST', `/v2.0/networks/${randomUUID()}`, 'GET, HEAD, PUT, DELETE'],
    ['PATCH', `/v2.0/networks/${randomUUID()}.json?x=1`, 'GET, HEAD, PUT, DELETE'],
    ['OPTIONS', '/v2.0/networks', 'GET, HEAD, POST'],
    ['GET', `/v2.0/routers/${randomUUID()}/add_router_interface`, 'PUT'],
    ['POST', '/cable/v1/check', 'GET, HEAD'],
    ['GET', '/cable/v1/hosts/h/status', 'POST'],
  ];
  for (const [method, url, allow] of cases) {
    const { statusCode, headers } = await server.app.inject({ method: method as 'GET', url });
    assert.deepEqual([statusCode, headers['allow']], [405, allow], `${method} ${url}`);
  }
  assert.equal((await server.app.inject({ method: 'GET', url: '/v2.0/nothing' })).headers['allow'], undefined);
});

test('a filter that is no value of a boolean or of an integer is refused by its name, whatever the type', async (t) => {
  const { send, server, create } = await startHarness(t);
  const network = await create('network', { mtu: 1400, shared: true });
  const subnet = await create('subnet', {
    network_id: network['id'],
    cidr: '10.0.0.0/24',
    ip_version: 4,
  });
  const balancer = await create('loadbalancer', { vip_subnet_id: subnet['id'] });
  const pool = await create('pool', { loadbalancer_id: balancer['id'], protocol: 'TCP', lb_algorithm: 'SOURCE_IP' });
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' };
  const external = await create('network', { ...flat, 'router:external': true });
  await create('subnet', { network_id: external['id'], cidr: '203.0.113.0/24', ip_version: 4 });
  const floating = await create('floatingip', { floating_network_id: external['id'] });
  const parents = {
    ...{ policy_id: (await create('qos_policy', {}))['id'], pool_id: pool['id'] },
    ...{ floatingip_id: floating['id'], router_id: (await create('router', {}))['id'] },
  };
  for (const { stored, collection, attributes, verbs } of server.deps.resources.all) {
    if (!stored || !verbs.includes('list')) continue;
    const path = Object.entries(parents).reduce((url, [name, id]) => url.replace(`{${name}}`, String(id)), collection);
    for (const [name, { type, filter }] of Object.entries(attributes)) {
      if (filter === false || (type !== 'boolean' && type !== 'integer')) continue;
      const text = type === 'boolean' ? 'maybe' : '12abc';
      const { status, body } = await send('GET', `${path}?${name}=${text}`);
      const fault = body['NeutronError'];
      const told = [status, fault?.['type'], fault?.['detail']];
      assert.deepEqual(told, [400, 'InvalidInput', `It was given for ${name}.`]);
      assert.match(
        String(fault?.['message']),
        new RegExp(`^Invalid input for operation: '${text}' (is not|cannot be) `),
      );
      const fine = type === 'boolean' ? ['true', 'False', '0', ''] : ['7', '-1', ''];
      for (const one of fine) assert.equal((await send('GET', `${path}?${name}=${one}`)).status, 200);
    }
  }
  const idsBy = async (query: string): Promise<unknown> =>
    (await send('GET', `/v2.0/networks?${query}&fields=id`)).body['networks']?.map(({ id }) => id);
  assert.deepEqual(await idsBy('mtu=01400'), [network['id']]);
  assert.deepEqual(await idsBy('shared=1&shared=0&router:external=0'), [network['id']]);
  const mixed = send('GET', '/v2.0/networks?shared=true&shared=maybe');
  assert.match(await refused(mixed, 400, 'InvalidInput'), /maybe/);
});

test('what is wrong in a bulk is located, whether it is found in the body or in the plan', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const port = { network_id: network['id'] };
  const detail = async (bad: unknown, type: string, path = 'ports'): Promise<string> => {
    const { body } = await send('POST', `/v2.0/${path}`, { [path]: [port, port, bad, port] });
    assert.equal(body['NeutronError']?.['type'], type, JSON.stringify(body));
    return String(body['NeutronError']?.['detail']);
  };
  const elsewhere = await create('port', { ...port, mac_address: 'fa:16:3e:00:00:07' });
  assert.match(await detail({ ...port, admin_state_up: 'maybe' }, 'InvalidInput'), /^ports\[2\]: .*admin_state_up/);
  assert.match(await detail({ ...port, name: 5 }, 'HTTPBadRequest'), /^ports\[2\]: Correct the attr/);
  assert.match(await detail({ ...port, nmae: '' }, 'HTTPBadRequest'), /^ports\[2\]: /);
  assert.match(await detail('x', 'HTTPBadRequest'), /^ports\[2\]: /);
  assert.match(await detail({ ...port, project_id: '' }, 'HTTPBadRequest'), /^ports\[2\]: /);
  assert.match(await detail({ network_id: randomUUID() }, 'NetworkNotFound'), /^ports\[2\]: Check the ID/);
  const mac = { ...port, mac_address: elsewhere['mac_address'] };
  assert.match(await detail(mac, 'MacAddressInUse'), /^ports\[2\]: Choose another MAC/);
  const address = { ...port, fixed_ips: [{ ip_address: '10.0.0.9' }] };
  assert.match(await detail(address, 'InvalidIpForNetwork'), /^ports\[2\]: /);
  const other = await send(
    'POST',
    '/v2.0/ports',
    { ports: [port, { ...port, project_id: 'b' }] },
    { 'x-roles': 'member', 'x-project-id': 'a' },
  );
  assert.match(String(other.body['NeutronError']?.['detail']), /^ports\[\d\]: /);
  const single = await send('POST', '/v2.0/ports', { port: mac });
  assert.equal(single.body['NeutronError']?.['detail'], 'Choose another MAC address, or leave it out.');
});

test('a project without a name is refused by the name that the client gave it', async (t) => {
  const { send } = await startHarness(t);
  for (const name of ['tenant_id', 'project_id']) {
    const message = await refused(send('POST', '/v2.0/networks', { network: { [name]: '' } }), 400, 'HTTPBadRequest');
    assert.equal(message, `Invalid input for ${name}. Reason: '' is shorter than 1.`);
  }
});
