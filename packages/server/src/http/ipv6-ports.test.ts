/** Addresses of ports in IPv6 subnets: given out, asked for, and those that follow from the MAC. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eui64Ip, formatIp, parseCidr, parseMac } from '@cable/model';
import {
  type Answer,
  assertInvariants,
  type Harness,
  type Json,
  keysLeft,
  refused,
  startHarness,
} from '../testing/harness.ts';

type Cloud = Harness & {
  readonly network: Json;
  subnet(cidr: string, more?: object): Promise<Json>;
  port(more?: object): Promise<Json>;
  post(more: object): Promise<Answer>;
  put(port: Json, change: object): Promise<Answer>;
  shown(port: Json): Promise<Json>;
};

async function startCloud(t: Parameters<typeof startHarness>[0]): Promise<Cloud> {
  const harness = await startHarness(t);
  const network = await harness.create('network', {});
  const id = network['id'];
  return {
    ...harness,
    network,
    subnet: (cidr, more = {}) => harness.create('subnet', { network_id: id, cidr, ...more }),
    port: (more = {}) => harness.create('port', { network_id: id, ...more }),
    post: (more) => harness.send('POST', '/v2.0/ports', { port: { network_id: id, ...more } }),
    put: (port, change) => harness.send('PUT', `/v2.0/ports/${port['id']}`, { port: change }),
    shown: async (port) => (await harness.send('GET', `/v2.0/ports/${port['id']}`)).body['port'] as Json,
  };
}

const SLAAC = { ipv6_ra_mode: 'slaac', ipv6_address_mode: 'slaac' };
const STATELESS = { ipv6_ra_mode: 'dhcpv6-stateless', ipv6_address_mode: 'dhcpv6-stateless' };
const STATEFUL = { ipv6_ra_mode: 'dhcpv6-stateful', ipv6_address_mode: 'dhcpv6-stateful' };

function eui(subnet: Json, mac: unknown): string {
  const [prefix, parsed] = [parseCidr(String(subnet['cidr'])), parseMac(String(mac))];
  assert.ok(prefix !== undefined && parsed !== undefined);
  return formatIp(eui64Ip(prefix, parsed));
}

function addresses(port: Json | undefined): readonly string[] {
  return (port?.['fixed_ips'] ?? []).map((one) => String(one['ip_address']));
}

test('a new port has one address of each version, and all that follow from its MAC', async (t) => {
  const { server, subnet, port } = await startCloud(t);
  await subnet('10.0.0.0/24');
  await subnet('10.0.1.0/24');
  const [slaac, stateless] = [await subnet('2001:db8:1::/64', SLAAC), await subnet('2001:db8:2::/64', STATELESS)];
  await subnet('2001:db8:3::/64', STATEFUL);
  await subnet('2001:db8:4::/64');
  // What is said of advertisements alone counts, too.
  const half = await subnet('2001:db8:5::/64', { ipv6_ra_mode: 'slaac' });
  const other = await subnet('2001:db8:6::/64', { ipv6_address_mode: 'dhcpv6-stateless' });
  const made = await port({ mac_address: '02:42:AC:11:00:02' });
  const [v4, v6, ...automatic] = addresses(made);
  assert.match(`${v4} ${v6}`, /^10\.0\.[01]\.2 2001:db8:[34]::2$/);
  assert.deepEqual([...automatic].sort(), [
    '2001:db8:1:0:42:acff:fe11:2',
    '2001:db8:2:0:42:acff:fe11:2',
    '2001:db8:5:0:42:acff:fe11:2',
    '2001:db8:6:0:42:acff:fe11:2',
  ]);
  const second = await port();
  for (const one of [slaac, stateless, half, other]) {
    assert.ok(addresses(second).includes(eui(one, second['mac_address'])));
  }
  await assertInvariants(server);
});

test('addresses are given out of a /64 and a /48 as of a /24: in turn, none twice, none of the gateway', {
  // Who looks through all of them never ends.
  timeout: 60_000,
}, async (t) => {
  const { server, subnet, send, network } = await startCloud(t);
  for (const cidr of ['2001:db8::/64', '2001:db8:1::/48']) {
    const made = await subnet(cidr);
    const count = 200;
    const port = { network_id: network['id'], fixed_ips: [{ subnet_id: made['id'] }] };
    const answer = await send('POST', '/v2.0/ports', { ports: Array(count).fill(port) });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    const found = (answer.body['ports'] ?? []).flatMap((one) => addresses(one));
    assert.equal(new Set(found).size, count);
    const base = cidr.split('/')[0] ?? '';
    assert.deepEqual(
      found,
      Array.from({ length: count }, (_, at) => `${base}${(at + 2).toString(16)}`),
    );
  }
  const small = await subnet('2001:db8:ffff::/126');
  const one = { network_id: network['id'], fixed_ips: [{ subnet_id: small['id'] }] };
  assert.equal((await send('POST', '/v2.0/ports', { ports: [one, one] })).status, 201);
  await refused(send('POST', '/v2.0/ports', { port: one }), 409, 'IpAddressGenerationFailure');
  await assertInvariants(server);
});

test('the ends of a large pool are given out, and an address below, between and above pools is taken when asked for', async (t) => {
  const { subnet, port } = await startCloud(t);
  const pools = [
    { start: '2001:db8::ffff:ffff:ffff:fffe', end: '2001:db8::ffff:ffff:ffff:ffff' },
    { start: '2001:db8::100', end: '2001:db8::100' },
  ];
  const made = await subnet('2001:db8::/64', { allocation_pools: pools });
  const given = [];
  for (let n = 0; n < 3; n += 1) given.push(...addresses(await port()));
  assert.deepEqual(given.sort(), ['2001:db8::100', '2001:db8::ffff:ffff:ffff:fffe', '2001:db8::ffff:ffff:ffff:ffff']);
  const asked = await port({ fixed_ips: [{ subnet_id: made['id'], ip_address: '2001:DB8::0.0.0.2' }] });
  assert.deepEqual(addresses(asked), ['2001:db8::2']);
});

test('addresses asked for: hostile forms are refused, and one address has one name', async (t) => {
  const { server, subnet, port, post } = await startCloud(t);
  const made = await subnet('2001:db8::/64');
  await port({ fixed_ips: [{ ip_address: '2001:db8::5' }] });
  for (const again of ['2001:DB8::5', '2001:0db8:0000:0000:0000:0000:0000:0005', '2001:db8::0.0.0.5']) {
    await refused(post({ fixed_ips: [{ ip_address: again }] }), 409, 'IpAddressAlreadyAllocated');
    await refused(
      post({ fixed_ips: [{ subnet_id: made['id'], ip_address: again }] }),
      409,
      'IpAddressAlreadyAllocated',
    );
  }
  const twice = [{ ip_address: '2001:db8::6' }, { ip_address: '2001:DB8:0::6' }];
  await refused(post({ fixed_ips: twice }), 400, 'HTTPBadRequest');
  for (const bad of [
    '2001:db8::5%eth0',
    'fe80::1%1',
    '[2001:db8::7]',
    '2001:db8::7/64',
    '2001:db8:::7',
    '::ffff:10.0.0.1',
    `${'0'.repeat(100_000)}1::`,
    '2001:db8::７',
    '',
    null,
    7,
    {},
  ]) {
    await refused(post({ fixed_ips: [{ ip_address: bad }] }), 400, 'HTTPBadRequest');
  }
  for (const outside of ['2001:db8:0:1::5', 'fe80::1', '::1', 'ff02::1', '10.0.0.5']) {
    await refused(post({ fixed_ips: [{ ip_address: outside }] }), 400, 'InvalidIpForNetwork');
    await refused(post({ fixed_ips: [{ subnet_id: made['id'], ip_address: outside }] }), 400, 'InvalidIpForSubnet');
  }
  // Every router on the link answers to the first address of the prefix.
  await refused(post({ fixed_ips: [{ ip_address: '2001:db8::' }] }), 400, 'InvalidIpForNetwork');
  await assertInvariants(server);
});

test('in a subnet of SLAAC no other address than that of the MAC is taken', async (t) => {
  const { server, subnet, port, post, put, shown } = await startCloud(t);
  const [v4, slaac] = [await subnet('10.0.0.0/24'), await subnet('2001:db8::/64', SLAAC)];
  const mac = 'fa:16:3e:00:00:01';
  const own = '2001:db8::f816:3eff:fe00:1';
  for (const fixed of [{ ip_address: '2001:db8::5' }, { subnet_id: slaac['id'], ip_address: '2001:db8::5' }]) {
    const message = await refused(post({ mac_address: mac, fixed_ips: [fixed] }), 400, 'AllocationOnAutoAddressSubnet');
    assert.match(message, /IPv6 address 2001:db8::5 cannot be directly assigned to a port on subnet/);
  }
  const both = [{ subnet_id: slaac['id'], ip_address: '2001:DB8::F816:3EFF:FE00:1' }, { ip_address: own }];
  await refused(post({ mac_address: mac, fixed_ips: both }), 400, 'HTTPBadRequest');
  const made = await port({ mac_address: mac, fixed_ips: [{ ip_address: own }, { subnet_id: v4['id'] }] });
  assert.deepEqual(addresses(made), ['10.0.0.2', own]);
  // Named or not, asked for or not, it is there.
  assert.deepEqual(addresses(await port({ mac_address: 'fa:16:3e:00:00:02', fixed_ips: [] })), [
    '2001:db8::f816:3eff:fe00:2',
  ]);
  const named = await port({ mac_address: 'fa:16:3e:00:00:03', fixed_ips: [{ subnet_id: slaac['id'] }] });
  assert.deepEqual(addresses(named), ['2001:db8::f816:3eff:fe00:3']);
  assert.deepEqual(addresses((await put(made, { fixed_ips: [] })).body['port']), [own]);
  assert.deepEqual(addresses((await put(made, { fixed_ips: [{ ip_address: '10.0.0.9' }] })).body['port']), [
    '10.0.0.9',
    own,
  ]);
  await refused(put(made, { fixed_ips: [{ ip_address: '2001:db8::9' }] }), 400, 'AllocationOnAutoAddressSubnet');
  const before = await shown(made);
  const same = (await put(made, { fixed_ips: before['fixed_ips'] })).body['port'] as Json;
  assert.deepEqual(same['fixed_ips'], before['fixed_ips']);
  assert.equal(Number(same['revision_number']), Number(before['revision_number']));
  await assertInvariants(server);
});

test('addresses follow the MAC when it changes, and no other does', async (t) => {
  const { server, subnet, port, put } = await startCloud(t);
  await subnet('10.0.0.0/24');
  await subnet('2001:db8:1::/64', SLAAC);
  await subnet('2001:db8:2::/64', STATEFUL);
  const made = await port({ mac_address: 'fa:16:3e:00:00:01' });
  const before = ['10.0.0.2', '2001:db8:2::2', '2001:db8:1:0:f816:3eff:fe00:1'];
  assert.deepEqual(addresses(made), before);
  const changed = (await put(made, { mac_address: '02:00:00:00:00:01' })).body['port'] as Json;
  assert.deepEqual(addresses(changed), [...before.slice(0, 2), '2001:db8:1::ff:fe00:1']);
  // What was shown before may be sent back with another MAC.
  const back = { mac_address: 'fa:16:3e:00:00:09', fixed_ips: changed['fixed_ips'] };
  const again = (await put(made, back)).body['port'] as Json;
  assert.deepEqual(addresses(again), [...before.slice(0, 2), '2001:db8:1:0:f816:3eff:fe00:9']);
  // The address that is free again is another port's now.
  const other = await port({ mac_address: 'fa:16:3e:00:00:01' });
  assert.ok(addresses(other).includes('2001:db8:1:0:f816:3eff:fe00:1'));
  await assertInvariants(server);
});

test('a subnet of SLAAC gives addresses to ports that are there, and takes them when it goes', async (t) => {
  const { server, store, send, create, subnet, port, shown, network } = await startCloud(t);
  await subnet('10.0.0.0/24');
  const ports = [await port(), await port({ fixed_ips: [] }), await port({ device_owner: 'network:dhcp' })];
  const router = await create('router', {});
  const gateway = await subnet('10.1.0.0/24');
  const path = `/v2.0/routers/${router['id']}`;
  const leg = (await send('PUT', `${path}/add_router_interface`, { subnet_id: gateway['id'] })).body['port_id'];
  const slaac = await subnet('2001:db8::/64', SLAAC);
  for (const one of ports) {
    const now = await shown(one);
    assert.deepEqual(addresses(now), [...addresses(one), eui(slaac, one['mac_address'])]);
    assert.equal(Number(now['revision_number']), Number(one['revision_number']) + 1);
  }
  assert.deepEqual(addresses((await send('GET', `/v2.0/ports/${leg}`)).body['port']), ['10.1.0.1']);
  await assertInvariants(server);
  // Another version of IP, and one whose addresses are given out, change no port.
  await subnet('2001:db8:1::/64', STATEFUL);
  assert.equal(Number((await shown(ports[0] as Json))['revision_number']), Number(ports[0]?.['revision_number']) + 1);

  await send('PUT', `${path}/add_router_interface`, { subnet_id: slaac['id'] });
  await refused(send('DELETE', `/v2.0/subnets/${slaac['id']}`), 409, 'SubnetInUse');
  await send('PUT', `${path}/remove_router_interface`, { subnet_id: slaac['id'] });
  assert.equal((await send('DELETE', `/v2.0/subnets/${slaac['id']}`)).status, 204);
  for (const one of ports) assert.deepEqual(addresses(await shown(one)), addresses(one));
  assert.ok(!(await keysLeft(store)).some((key) => key.includes(String(slaac['id']))));
  await assertInvariants(server);
  assert.ok((await send('GET', `/v2.0/networks/${network['id']}`)).body['network']);
});

test('a port has no more addresses than a port may have', async (t) => {
  const { server, subnet, port, post, network, send } = await startCloud(t);
  for (let n = 0; n < 15; n += 1) await subnet(`2001:db8:${n}::/64`, SLAAC);
  const last = { subnet_id: (await subnet('10.0.0.0/24'))['id'] };
  const made = await port();
  assert.equal(addresses(made).length, 16);
  assert.match(
    await refused(post({ fixed_ips: [last, last] }), 400, 'InvalidInput'),
    /would have 17 addresses, more than 16/,
  );
  const one = { network_id: network['id'], cidr: '2001:db8:f::/64', ...SLAAC };
  await refused(send('POST', '/v2.0/subnets', { subnet: one }), 400, 'InvalidInput');
  await assertInvariants(server);
});

test('pairs of allowed addresses are of either version, and each once', async (t) => {
  const { subnet, port, post } = await startCloud(t);
  await subnet('2001:db8::/64');
  const made = await port({
    allowed_address_pairs: [
      { ip_address: '2001:DB8:0::A' },
      { ip_address: '2001:DB8:1::5/64' },
      { ip_address: 'FE80::1' },
    ],
  });
  assert.deepEqual(
    made['allowed_address_pairs']?.map((one) => one['ip_address']),
    ['2001:db8::a', '2001:db8:1::5/64', 'fe80::1'].map((one) => one as unknown as Json),
  );
  const twice = [{ ip_address: '2001:db8::a' }, { ip_address: '2001:DB8:0:0::A' }];
  await refused(post({ allowed_address_pairs: twice }), 400, 'DuplicateAddressPairInRequest');
  for (const bad of ['fe80::1%eth0', '::ffff:10.0.0.1', '2001:db8::/129', 'x']) {
    await refused(post({ allowed_address_pairs: [{ ip_address: bad }] }), 400, 'HTTPBadRequest');
  }
});
