import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants } from '../testing/harness.ts';
import {
  ADMIN,
  DASHED_PROJECT,
  type Door,
  MEMBER,
  OTHER_PROJECT,
  PROJECT,
  STRANGER,
  startDoor,
} from './testing/door.fixture.ts';
import type { UserAnswer, UserContext, Value } from './testing/plugin.ts';

async function done(answer: Promise<UserAnswer>, status: number): Promise<Value> {
  const given = await answer;
  assert.deepEqual(given.faults, []);
  assert.equal(given.status, status, JSON.stringify(given.body));
  return given.body;
}

async function refused(answer: Promise<UserAnswer>, status: number, exception: string): Promise<Value> {
  const given = await answer;
  assert.deepEqual(given.faults, []);
  assert.equal(`${given.status} ${given.exception}`, `${status} ${exception}`, JSON.stringify(given.body));
  return given.body;
}

/** As neutron-server gives a network to the plug-in. */
function networkOf(name: string, more: object = {}): object {
  return {
    ...{ name, tenant_id: PROJECT, project_id: PROJECT, admin_state_up: true, shared: false },
    ...{ 'router:external': false, port_security_enabled: true, description: '', mtu: 0 },
    ...{ policys: '', 'vpc:route_table': '', availability_zone_hints: [] },
    ...more,
  };
}

function subnetOf(network: Value, cidr: string, more: object = {}): object {
  return {
    ...{ network_id: network['id'], cidr, ip_version: cidr.includes(':') ? 6 : 4, name: '', tenant_id: PROJECT },
    ...{ enable_dhcp: true, dns_nameservers: [], host_routes: [], ipam_fq_name: '', description: '' },
    ...more,
  };
}

function portOf(network: Value, more: object = {}): object {
  return {
    ...{ network_id: network['id'], name: '', tenant_id: PROJECT, admin_state_up: true, device_id: '' },
    ...{ device_owner: '', 'binding:vnic_type': 'normal', extra_dhcp_opts: null, description: '' },
    ...more,
  };
}

async function withSubnet({ plugin }: Door, context: UserContext = MEMBER): Promise<{ network: Value; subnet: Value }> {
  const network = await done(plugin.create('network', context, networkOf('blue')), 201);
  const subnet = await done(plugin.create('subnet', context, subnetOf(network, '10.0.0.0/24')), 201);
  return { network, subnet };
}

test('networks: as the plug-in sends them and reads them', async (t) => {
  const { plugin, edge } = await startDoor(t);
  const made = await done(plugin.create('network', MEMBER, networkOf('blue')), 201);
  assert.deepEqual(
    [made['name'], made['tenant_id'], made['project_id'], made['status'], made['shared'], made['router:external']],
    ['blue', PROJECT, PROJECT, 'ACTIVE', false, false],
  );
  assert.equal(made['mtu'], 1450);
  assert.match(String(made['created_at']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  const id = String(made['id']);
  const down = await done(plugin.update('network', MEMBER, id, { admin_state_up: false, name: 'red' }), 200);
  assert.deepEqual([down['status'], down['name']], ['DOWN', 'red']);
  assert.deepEqual(await done(plugin.get('network', MEMBER, id, ['name']), 200), { name: 'red' });
  await refused(plugin.create('network', MEMBER, networkOf('x', { policys: [['a', 'b', 'c']] })), 400, 'BadRequest');
  await refused(plugin.create('network', MEMBER, networkOf('x', { shared: true })), 403, 'NotAuthorized');
  assert.equal(await plugin.count('network', MEMBER, { tenant_id: [PROJECT] }), 1);
  await done(plugin.delete('network', MEMBER, id), 204);
  await refused(plugin.get('network', MEMBER, id), 404, 'NetworkNotFound');
  await done(plugin.delete('network', MEMBER, id), 204);
  await assertInvariants(edge.server);
});

test('project ids are taken with dashes and without, and given without', async (t) => {
  const { plugin } = await startDoor(t);
  const dashed = { ...MEMBER, tenant_id: DASHED_PROJECT };
  const made = await done(plugin.create('network', dashed, networkOf('a', { tenant_id: DASHED_PROJECT })), 201);
  assert.equal(made['tenant_id'], PROJECT);
  const found = await done(plugin.list('network', MEMBER, { tenant_id: [DASHED_PROJECT] }), 200);
  assert.deepEqual(
    found.map((one) => one['id']),
    [made['id']],
  );
  const two = { context: { ...MEMBER, tenant: OTHER_PROJECT, operation: 'READALL', type: 'network' }, data: {} };
  assert.equal((await plugin.post('network', two)).status, 400);
});

test('subnets: no gateway arrives as 0.0.0.0 and is read as null', async (t) => {
  const door = await startDoor(t);
  const { plugin } = door;
  const { network, subnet } = await withSubnet(door);
  assert.equal(subnet['gateway_ip'], '10.0.0.1');
  assert.equal(subnet['shared'], false);
  const none = subnetOf(network, '10.1.0.0/24', { gateway_ip: '0.0.0.0', dns_nameservers: ['10.1.0.53'] });
  const bare = await done(plugin.create('subnet', MEMBER, none), 201);
  assert.deepEqual([bare['gateway_ip'], bare['dns_nameservers']], [null, ['10.1.0.53']]);
  const six = subnetOf(network, 'fd00::/64', { gateway_ip: '::', ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' });
  const made = await done(plugin.create('subnet', MEMBER, six), 201);
  assert.deepEqual([made['gateway_ip'], made['ipv6_ra_mode']], [null, 'slaac']);
  await refused(plugin.create('subnet', MEMBER, subnetOf(network, '10.0.0.128/25')), 400, 'InvalidInput');
  await refused(
    plugin.create('subnet', MEMBER, subnetOf(network, '10.9.0.0/24', { ipam_fq_name: ['d', 'p', 'mine'] })),
    400,
    'BadRequest',
  );
  const path = String(bare['id']);
  await refused(
    plugin.update('subnet', MEMBER, path, { gateway_ip: '10.1.0.1' }),
    409,
    'GatewayConflictWithAllocationPools',
  );
  const pools = { gateway_ip: '10.1.0.1', allocation_pools: [{ start: '10.1.0.9', end: '10.1.0.99' }] };
  assert.equal((await done(plugin.update('subnet', MEMBER, path, pools), 200))['gateway_ip'], '10.1.0.1');
  const both = await done(plugin.get('network', MEMBER, network['id']), 200);
  assert.equal(both['subnets']?.length, 3);
});

test('ports: addresses, groups, bindings, and the way an update keeps what is there', async (t) => {
  const door = await startDoor(t);
  const { plugin, edge } = door;
  const { network, subnet } = await withSubnet(door);
  const made = await done(plugin.create('port', MEMBER, portOf(network)), 201);
  assert.equal(made['fixed_ips']?.length, 1);
  assert.equal(made['security_groups']?.length, 1);
  const seen = await done(plugin.get('port', ADMIN, made['id']), 200);
  assert.deepEqual([seen['binding:host_id'], seen['binding:vif_type'], seen['status']], [null, 'unbound', 'DOWN']);
  const [first] = made['fixed_ips'] as unknown as readonly Value[];
  const more = { fixed_ips: [{ ip_address: first?.['ip_address'] }, { subnet_id: subnet['id'] }] };
  const moved = await done(plugin.updatePort(MEMBER, String(made['id']), more), 200);
  assert.equal(moved['fixed_ips']?.length, 2);
  assert.deepEqual(moved['fixed_ips']?.[0], first);
  const bare = await done(plugin.create('port', MEMBER, portOf(network, { security_groups: [] })), 201);
  assert.deepEqual(bare['security_groups'], []);
  const taken = portOf(network, { fixed_ips: [{ ip_address: first?.['ip_address'] }] });
  const body = await refused(plugin.create('port', MEMBER, taken), 409, 'IpAddressInUse');
  assert.equal(body['ip_address'], first?.['ip_address']);
  await refused(plugin.delete('network', MEMBER, String(network['id'])), 409, 'NetworkInUse');
  await refused(plugin.delete('subnet', MEMBER, String(subnet['id'])), 409, 'SubnetInUse');
  await refused(
    plugin.create('port', MEMBER, portOf({ id: randomUUID() } as unknown as Value)),
    404,
    'NetworkNotFound',
  );
  await done(plugin.delete('port', MEMBER, String(made['id'])), 204);
  await refused(plugin.delete('port', MEMBER, String(made['id'])), 404, 'PortNotFound');
  assert.deepEqual(await done(plugin.list('port', MEMBER, { device_owner: ['network:dhcp'] }), 200), []);
  await assertInvariants(edge.server);
});

test('routers: interfaces, gateways, floating IPs', async (t) => {
  const door = await startDoor(t);
  const { plugin, edge } = door;
  const { network, subnet } = await withSubnet(door);
  const outside = await done(plugin.create('network', ADMIN, networkOf('out', { 'router:external': true })), 201);
  await done(plugin.create('subnet', ADMIN, subnetOf(outside, '203.0.113.0/24')), 201);
  const given = { name: 'r', tenant_id: PROJECT, admin_state_up: true, external_gateway_info: null };
  const router = await done(plugin.create('router', MEMBER, given), 201);
  assert.deepEqual([router['external_gateway_info'], router['gw_port_id'], router['shared']], [null, null, false]);
  const id = String(router['id']);
  const added = await done(plugin.addInterface(MEMBER, id, { subnet_id: subnet['id'] }), 200);
  assert.deepEqual([added['id'], added['subnet_id'], added['tenant_id']], [id, subnet['id'], PROJECT]);
  await refused(plugin.addInterface(MEMBER, id, { subnet_id: subnet['id'] }), 400, 'BadRequest');
  await refused(plugin.delete('router', MEMBER, id), 409, 'RouterInUse');
  await refused(plugin.delete('port', MEMBER, String(added['port_id'])), 409, 'ServicePortInUse');
  const opened = await done(
    plugin.update('router', MEMBER, id, { external_gateway_info: { network_id: outside['id'] } }),
    200,
  );
  assert.equal(opened['external_gateway_info']?.['network_id'], outside['id']);
  const gateways = await done(plugin.list('port', ADMIN, { device_owner: ['network:router_gateway'] }), 200);
  assert.deepEqual(
    gateways.map((one) => [one['tenant_id'], one['device_id']]),
    [['', id]],
  );
  assert.equal(await plugin.count('port', ADMIN, { tenant_id: [PROJECT] }), 1);
  assert.equal((await done(plugin.list('port', ADMIN, { tenant_id: [PROJECT] }), 200)).length, 1);
  const port = await done(plugin.create('port', MEMBER, portOf(network)), 201);
  const floating = await done(
    plugin.create('floatingip', MEMBER, {
      ...{ floating_network_id: outside['id'], tenant_id: PROJECT, port_id: null, fixed_ip_address: null },
      ...{ floating_ip_address: null, subnet_id: null },
    }),
    201,
  );
  assert.equal(floating['status'], 'DOWN');
  const bound = await done(plugin.update('floatingip', MEMBER, String(floating['id']), { port_id: port['id'] }), 200);
  assert.deepEqual([bound['port_id'], bound['router_id'], bound['status']], [port['id'], id, 'ACTIVE']);
  await refused(
    plugin.update('router', MEMBER, id, { external_gateway_info: {} }),
    409,
    'RouterExternalGatewayInUseByFloatingIp',
  );
  await refused(
    plugin.removeInterface(MEMBER, id, { subnet_id: subnet['id'] }),
    409,
    'RouterInterfaceInUseByFloatingIP',
  );
  const free = await done(plugin.update('floatingip', MEMBER, String(floating['id']), {}), 200);
  assert.equal(free['port_id'], null);
  await done(plugin.update('router', MEMBER, id, { external_gateway_info: {} }), 200);
  await done(plugin.removeInterface(MEMBER, id, { subnet_id: subnet['id'] }), 200);
  await refused(
    plugin.removeInterface(MEMBER, id, { subnet_id: subnet['id'] }),
    404,
    'RouterInterfaceNotFoundForSubnet',
  );
  await done(plugin.delete('floatingip', MEMBER, String(floating['id'])), 204);
  await refused(plugin.get('floatingip', MEMBER, floating['id']), 404, 'FloatingIPNotFound');
  await done(plugin.delete('router', MEMBER, id), 204);
  await refused(plugin.get('router', MEMBER, id), 404, 'RouterNotFound');
  await assertInvariants(edge.server);
});

test('security groups: the default one is made for who lists', async (t) => {
  const { plugin } = await startDoor(t);
  const [own] = (await done(plugin.list('security_group', MEMBER, {}), 200)) as unknown as readonly Value[];
  assert.deepEqual([own?.['name'], own?.['tenant_id'], own?.['security_group_rules']?.length], ['default', PROJECT, 4]);
  const given = { name: 'web', description: '', tenant_id: PROJECT };
  const web = await done(plugin.create('security_group', MEMBER, given), 201);
  assert.equal(web['security_group_rules']?.length, 2);
  await refused(
    plugin.create('security_group', MEMBER, { ...given, name: 'default' }),
    409,
    'SecurityGroupDefaultAlreadyExists',
  );
  const rule = {
    ...{ security_group_id: web['id'], direction: 'ingress', ethertype: 'IPv4', protocol: 'tcp', tenant_id: PROJECT },
    ...{ port_range_min: 22, port_range_max: 22, remote_ip_prefix: null, remote_group_id: null, description: '' },
  };
  const made = await done(plugin.create('security_group_rule', MEMBER, rule), 201);
  assert.equal(made['port_range_min'], 22);
  const again = await refused(plugin.create('security_group_rule', MEMBER, rule), 409, 'SecurityGroupRuleExists');
  assert.equal(again['rule_id'], made['id']);
  const any = await done(
    plugin.create('security_group_rule', MEMBER, {
      ...rule,
      protocol: null,
      port_range_min: null,
      port_range_max: null,
    }),
    201,
  );
  assert.deepEqual([any['protocol'], any['port_range_min'], any['port_range_max']], [null, null, null]);
  const wrong = { ...rule, port_range_min: 30 };
  await refused(plugin.create('security_group_rule', MEMBER, wrong), 400, 'SecurityGroupInvalidPortRange');
  await refused(plugin.create('security_group_rule', MEMBER, { ...rule, protocol: 'nonsense' }), 400, 'BadRequest');
  await done(plugin.delete('security_group_rule', MEMBER, String(made['id'])), 204);
  await refused(plugin.get('security_group_rule', MEMBER, made['id']), 404, 'SecurityGroupRuleNotFound');
  await refused(
    plugin.update('security_group', MEMBER, String(own?.['id']), { name: 'x' }),
    409,
    'SecurityGroupCannotUpdateDefault',
  );
  await done(plugin.delete('security_group', MEMBER, String(web['id'])), 204);
});

test('trunks: sub-ports, and an update that comes wrapped', async (t) => {
  const door = await startDoor(t);
  const { plugin } = door;
  const { network } = await withSubnet(door);
  const [parent, sub] = await Promise.all([1, 2].map(() => done(plugin.create('port', MEMBER, portOf(network)), 201)));
  const given = { name: 't', port_id: parent?.['id'], admin_state_up: true, sub_ports: [], tenant_id: PROJECT };
  const trunk = await done(plugin.create('trunk', MEMBER, given), 201);
  const id = String(trunk['id']);
  const subPort = { port_id: sub?.['id'], segmentation_type: 'vlan', segmentation_id: 7 };
  const added = await done(plugin.addSubPorts(MEMBER, id, { sub_ports: [subPort] }), 200);
  assert.deepEqual([added['id'], added['sub_ports'], added['project_id']], [id, [subPort], PROJECT]);
  const named = await done(plugin.updateTrunk(MEMBER, id, { name: 'u' }), 200);
  assert.equal(named['name'], 'u');
  const removed = await done(plugin.removeSubPorts(MEMBER, id, { sub_ports: [{ port_id: sub?.['id'] }] }), 200);
  assert.deepEqual(removed['sub_ports'], []);
  await refused(plugin.removeSubPorts(MEMBER, id, { sub_ports: [{ port_id: sub?.['id'] }] }), 404, 'SubPortNotFound');
  await done(plugin.delete('trunk', MEMBER, id), 204);
  await refused(plugin.get('trunk', MEMBER, id), 404, 'TrunkNotFound');
});

test('filters: all names must fit, any value of a name does', async (t) => {
  const door = await startDoor(t);
  const { plugin } = door;
  const { network, subnet } = await withSubnet(door);
  const names = ['a', 'b', 'c'];
  for (const name of names) await done(plugin.create('port', MEMBER, portOf(network, { name, device_id: name })), 201);
  const all = (await done(plugin.list('port', MEMBER), 200)) as unknown as readonly Value[];
  assert.equal(all.length, 3);
  const found = async (filters: object): Promise<string> => {
    const ports = await done(plugin.list('port', MEMBER, filters, ['name']), 200);
    return ports
      .map((one) => String(one['name']))
      .sort()
      .join('');
  };
  const address = all.find((one) => String(one['name']) === 'b')?.['fixed_ips']?.[0]?.['ip_address'];
  assert.equal(await found({ name: ['a', 'c'] }), 'ac');
  assert.equal(await found({ name: ['a', 'c'], device_id: ['c', 'x'] }), 'c');
  assert.equal(await found({ fixed_ips: { ip_address: [address] } }), 'b');
  assert.equal(await found({ fixed_ips: { subnet_id: [subnet['id']] }, name: ['a'] }), 'a');
  assert.equal(await found({ status: ['DOWN'] }), 'abc');
  assert.equal(await found({ status: ['ACTIVE'] }), '');
  assert.equal(await found({ admin_state_up: [true], device_owner: [''] }), 'abc');
  assert.equal(await found({ admin_state_up: [false] }), '');
  assert.equal(await found({ description: [null] }), 'abc');
  assert.equal(await found({ nothing_of_the_kind: ['x'] }), '');
  assert.equal(await found({ nothing_of_the_kind: [null] }), 'abc');
  assert.equal(await found({ id: [] }), '');
  assert.equal(await found({ tenant_id: PROJECT }), 'abc');
  assert.equal(await found({ _request: [''], transit_vni: [''] }), 'abc');
  assert.equal(await plugin.count('port', MEMBER, { name: ['a', 'b'] }), 2);
  const shared = (await done(plugin.list('subnet', MEMBER, { shared: [false], 'router:external': [false] }), 200))
    .length;
  assert.equal(shared, 1);
  assert.deepEqual(await done(plugin.list('subnet', MEMBER, { 'router:external': [true] }), 200), []);
  assert.equal((await done(plugin.list('network', MEMBER, { status: ['ACTIVE'], shared: [false] }), 200)).length, 1);
});

test('who is no administrator reads what is his, shared or external, and nothing else', async (t) => {
  const door = await startDoor(t);
  const { plugin } = door;
  const { network, subnet } = await withSubnet(door);
  const port = await done(plugin.create('port', MEMBER, portOf(network)), 201);
  await refused(plugin.get('network', STRANGER, network['id']), 404, 'NetworkNotFound');
  await refused(plugin.get('subnet', STRANGER, subnet['id']), 404, 'SubnetNotFound');
  await refused(plugin.get('port', STRANGER, port['id']), 404, 'PortNotFound');
  await refused(plugin.update('port', STRANGER, String(port['id']), { name: 'x' }), 404, 'PortNotFound');
  await refused(plugin.delete('port', STRANGER, String(port['id'])), 404, 'PortNotFound');
  assert.deepEqual(await done(plugin.list('network', STRANGER), 200), []);
  assert.deepEqual(await done(plugin.list('port', STRANGER, { id: [port['id']] }), 200), []);
  assert.equal(await plugin.count('network', STRANGER, { tenant_id: [PROJECT] }), 0);
  await done(plugin.update('network', ADMIN, String(network['id']), { shared: true }), 200);
  assert.equal((await done(plugin.get('network', STRANGER, network['id']), 200))['shared'], true);
  assert.equal((await done(plugin.get('subnet', STRANGER, subnet['id']), 200))['shared'], true);
  await refused(plugin.get('port', STRANGER, port['id']), 404, 'PortNotFound');
  // The role alone makes no administrator: neutron-server has asked its own rules.
  await refused(plugin.get('port', { ...STRANGER, roles: ['admin'] }, port['id']), 404, 'PortNotFound');
  await done(plugin.get('port', { tenant_id: null, is_admin: true }, port['id']), 200);
});

test('types that are not here say so; unknown operations and types too', async (t) => {
  const { plugin } = await startDoor(t);
  for (const type of ['ipam', 'policy', 'route_table', 'nat_instance', 'firewall_group']) {
    assert.deepEqual(await done(plugin.list(type, MEMBER, { tenant_id: PROJECT }), 200), []);
    assert.equal(await plugin.count(type, MEMBER, {}), 0);
    const body = await refused(plugin.create(type, MEMBER, { name: 'x' }), 400, 'BadRequest');
    assert.equal(body['resource'], type);
  }
  await refused(plugin.get('policy', MEMBER, randomUUID()), 404, 'ObjectNotFound');
  await refused(plugin.get('firewall_group', MEMBER, randomUUID()), 404, 'FirewallGroupNotFound');
  await refused(plugin.get('virtual_router', ADMIN, ['default-global-system-config', 'h1']), 404, 'ObjectNotFound');
  await refused(plugin.list('wormhole', MEMBER), 400, 'BadRequest');
  const odd = { context: { ...MEMBER, operation: 'EXPLODE', type: 'port' }, data: {} };
  const { status, info } = await plugin.post('port', odd);
  assert.deepEqual([status, info['exception']], [400, 'BadRequest']);
});

test('tags: of any object, by its id; a create replaces them all', async (t) => {
  const door = await startDoor(t);
  const { plugin } = door;
  const { network, subnet } = await withSubnet(door);
  const parent_id = network['id'];
  const make = (tags: readonly string[]): ReturnType<typeof plugin.tags> =>
    plugin.tags(MEMBER, 'CREATE', { resource: { resource: { parent_id, tags } }, filters: null, fields: null });
  assert.deepEqual(await make(['a', 'b']), { status: 200, info: ['a', 'b'] });
  assert.deepEqual(await make(['b', 'c']), { status: 200, info: ['b', 'c'] });
  const all = (id: unknown): ReturnType<typeof plugin.tags> =>
    plugin.tags(MEMBER, 'READALL', { filters: { parent_id: id }, fields: null });
  assert.deepEqual((await all(parent_id)).info, ['b', 'c']);
  assert.deepEqual((await all(subnet['id'])).info, []);
  assert.equal((await plugin.tags(MEMBER, 'READ', { filters: { parent_id, tag: 'c' } })).status, 200);
  const none = await plugin.tags(MEMBER, 'READ', { filters: { parent_id, tag: 'x' } });
  assert.deepEqual([none.status, none.info['exception'], none.info['id']], [400, 'ObjectNotFound', 'x']);
  const found = await done(plugin.list('network', MEMBER, { 'tags-any': ['c', 'z'] }), 200);
  assert.deepEqual(
    found.map((one) => one['tags']),
    [['b', 'c']],
  );
  assert.deepEqual(await done(plugin.list('network', MEMBER, { tags: 'b,z' }), 200), []);
  const foreign = await plugin.tags(STRANGER, 'DELETEALL', { resource: { parent_id } });
  assert.deepEqual([foreign.status, foreign.info['exception']], [400, 'ObjectNotFound']);
  assert.deepEqual(await plugin.tags(MEMBER, 'DELETE', { resource: { parent_id, tag: 'b' } }), {
    status: 200,
    info: {},
  });
  assert.deepEqual((await all(parent_id)).info, ['c']);
  assert.deepEqual(await plugin.tags(MEMBER, 'DELETEALL', { resource: { parent_id } }), { status: 200, info: {} });
  assert.deepEqual((await all(parent_id)).info, []);
  for (const [operation, data] of [
    ['CREATE', { resource: { resource: { parent_id, tags: 'x' } } }],
    ['CREATE', { resource: { resource: { parent_id: [], tags: [] } } }],
    ['DELETE', { resource: { parent_id } }],
    ['UPDATE', { resource: { parent_id } }],
  ] as const) {
    assert.equal((await plugin.tags(MEMBER, operation, data)).status, 400, operation);
  }
});
