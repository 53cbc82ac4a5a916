/** Subnets of IPv6: prefixes, gateways, pools, modes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

type Post = (attributes: object) => Promise<Answer>;

/** Posts subnets to one network. */
async function poster({ create, send }: Harness, network: object = {}): Promise<{ network: Json; post: Post }> {
  const made = await create('network', network);
  const post: Post = (attributes) =>
    send('POST', '/v2.0/subnets', { subnet: { network_id: made['id'], ip_version: 6, ...attributes } });
  return { network: made, post };
}

function subnetOf({ status, body }: Answer): Json {
  assert.equal(status, 201, JSON.stringify(body));
  return body['subnet'] as Json;
}

test('an IPv6 subnet of any size has a gateway and a pool', async (t) => {
  const harness = await startHarness(t);
  const { post } = await poster(harness);
  const cases: readonly (readonly [string, string | null, readonly (readonly [string, string])[]])[] = [
    ['2001:db8::/64', '2001:db8::1', [['2001:db8::2', '2001:db8::ffff:ffff:ffff:ffff']]],
    ['2001:db8:1::/48', '2001:db8:1::1', [['2001:db8:1::2', '2001:db8:1:ffff:ffff:ffff:ffff:ffff']]],
    ['fd00::/8', 'fd00::1', [['fd00::2', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']]],
    ['2001:db8:2::10/126', '2001:db8:2::11', [['2001:db8:2::12', '2001:db8:2::13']]],
  ];
  for (const [cidr, gateway, pools] of cases) {
    const subnet = subnetOf(await post({ cidr }));
    assert.equal(subnet['ip_version'], 6);
    assert.equal(subnet['gateway_ip'], gateway, cidr);
    assert.deepEqual(
      subnet['allocation_pools'],
      pools.map(([start, end]) => ({ start, end })),
    );
    assert.deepEqual([subnet['ipv6_ra_mode'], subnet['ipv6_address_mode']], [null, null]);
  }
  const pair = subnetOf(await post({ cidr: '2001:db8:3::/127', enable_dhcp: false }));
  assert.equal(pair['gateway_ip'], '2001:db8:3::1');
  assert.deepEqual(pair['allocation_pools'], [{ start: '2001:db8:3::', end: '2001:db8:3::' }]);
  const single = subnetOf(await post({ cidr: '2001:db8:4::1/128', enable_dhcp: false }));
  assert.equal(single['gateway_ip'], null);
  assert.deepEqual(single['allocation_pools'], [{ start: '2001:db8:4::1', end: '2001:db8:4::1' }]);
  assert.match(await refused(post({ cidr: '2001:db8:5::/127' }), 400, 'InvalidInput'), /incompatible with DHCP/);
  await assertInvariants(harness.server);
});

test('the version is that of the prefix', async (t) => {
  const { create, send } = await startHarness(t);
  const network = await create('network', {});
  const subnet = { network_id: network['id'], cidr: '2001:db8::/64' };
  assert.equal((await create('subnet', subnet))['ip_version'], 6);
  assert.equal((await create('subnet', { ...subnet, cidr: '10.0.0.0/24' }))['ip_version'], 4);
  const wrong = { ...subnet, cidr: '10.1.0.0/24', ip_version: 6 };
  const message = await refused(send('POST', '/v2.0/subnets', { subnet: wrong }), 400, 'InvalidInput');
  assert.match(message, /cidr '10.1.0.0\/24' does not match the ip_version '6'/);
  await refused(send('POST', '/v2.0/subnets', { subnet: { ...subnet, ip_version: 5 } }), 400, 'HTTPBadRequest');
  await refused(send('PUT', `/v2.0/subnets/${network['id']}`, { subnet: { ip_version: 4 } }), 400, 'HTTPBadRequest');
});

test('prefixes that machines cannot have addresses of are refused, each with its reason', async (t) => {
  const { post } = await poster(await startHarness(t));
  const cases: readonly (readonly [string, RegExp])[] = [
    ['ff02::/16', /overlaps ff00::\/8, which are addresses of groups/],
    ['ff00::/8', /overlaps ff00::\/8/],
    [
      'fe80::/64',
      /overlaps fe80::\/10, of which each port has an address anyway, and the metadata service fe80::a9fe:a9fe/,
    ],
    ['fe80::/10', /overlaps fe80::\/10/],
    ['febf:ffff::/64', /overlaps fe80::\/10/],
    ['fe00::/8', /overlaps fe80::\/10/],
    ['::/64', /overlaps ::\/128, which is no machine’s address/],
    ['::/128', /overlaps ::\/128/],
    ['::/0', /overlaps ::\/128/],
    ['::1/128', /overlaps ::1\/128, which is every machine’s own/],
    ['::fffe:0:0/95', /overlaps ::ffff:0:0\/96/],
    ['8000::/1', /overlaps fe80::\/10/],
  ];
  for (const [cidr, reason] of cases) {
    assert.match(await refused(post({ cidr, enable_dhcp: false }), 400, 'InvalidInput'), reason, cidr);
  }
  for (const cidr of ['::ffff:10.0.0.0/120', '::FFFF:0:0/96']) {
    assert.match(await refused(post({ cidr }), 400, 'HTTPBadRequest'), /is IPv4 in IPv6 form/, cidr);
  }
});

test('texts that are no prefix are refused, and those that are get the form of RFC 5952', async (t) => {
  const { post } = await poster(await startHarness(t));
  const bad = [
    '2001:db8::/64/64',
    '2001:db8::/129',
    '2001:db8::/-1',
    '2001:db8::%eth0/64',
    'fe80::%1/64',
    '[2001:db8::]/64',
    '2001:db8:::/64',
    '2001:db8::1::/64',
    '2001:db8:0:0:0:0:0:0:0/64',
    '2001:db8::g/64',
    '2001:0db80::/64',
    ' 2001:db8::/64',
    '2001:db8::/64 ',
    '2001:db8::10.0.0.256/128',
    '2001:db8::10.0.0.1:1/128',
    '2001:db8::/６４',
    '2001:db8::/64\u0000',
    '',
    7,
    ['2001:db8::/64'],
    { cidr: '2001:db8::/64' },
    `${'2001:'.repeat(100_000)}:/64`,
  ];
  for (const cidr of bad) {
    const { status, body } = await post({ cidr });
    assert.equal(status, 400, String(cidr).slice(0, 100));
    const message = String(body['NeutronError']?.['message']);
    assert.ok(message.length < 1000, `${message.length} characters`);
  }
  const good: readonly (readonly [string, string])[] = [
    ['2001:DB8:0:0::1/64', '2001:db8::/64'],
    ['2001:0db8:0001:0000:0000:0000:0000:0000/64', '2001:db8:1::/64'],
    ['2001:db8:2::0.0.0.0/112', '2001:db8:2::/112'],
    ['2001:DB8:3:0:ABCD::/80', '2001:db8:3:0:abcd::/80'],
  ];
  for (const [given, canonical] of good) assert.equal(subnetOf(await post({ cidr: given }))['cidr'], canonical);
});

test('a gateway may be link-local or outside of the prefix; one that no machine can have is refused', async (t) => {
  const harness = await startHarness(t);
  const { post } = await poster(harness);
  let n = 0;
  const next = (): string => {
    n += 1;
    return `2001:db8:${n.toString(16)}::`;
  };
  for (const gateway of ['fe80::1', 'FE80:0::F816:3EFF:FE00:1', '2001:db8:ffff::1', 'fd00::1']) {
    const cidr = `${next()}/64`;
    const subnet = subnetOf(await post({ cidr, gateway_ip: gateway }));
    assert.equal(subnet['gateway_ip'], gateway.toLowerCase().replace('fe80:0:', 'fe80:'));
    // The pool is the whole prefix: nothing of it is the gateway's.
    const start = `2001:db8:${n.toString(16)}::1`;
    const end = `2001:db8:${n.toString(16)}:0:ffff:ffff:ffff:ffff`;
    assert.deepEqual(subnet['allocation_pools'], [{ start, end }]);
  }
  const network = next();
  assert.equal(subnetOf(await post({ cidr: `${network}/64`, gateway_ip: network }))['gateway_ip'], network);
  const last = next();
  assert.equal(subnetOf(await post({ cidr: `${last}/120`, gateway_ip: `${last}ff` }))['gateway_ip'], `${last}ff`);
  const none = subnetOf(await post({ cidr: `${next()}/64`, gateway_ip: null }));
  assert.equal(none['gateway_ip'], null);
  const cidr = `${next()}/64`;
  for (const gateway of ['::', '::1', 'ff02::1', 'fe80::a9fe:a9fe']) {
    await refused(post({ cidr, gateway_ip: gateway }), 400, 'InvalidInput');
  }
  for (const gateway of ['fe80::1%eth0', '::ffff:10.0.0.1', '2001:db8::1/64', 'x', '']) {
    await refused(post({ cidr, gateway_ip: gateway }), 400, 'HTTPBadRequest');
  }
  const wrong = await refused(post({ cidr, gateway_ip: '10.0.0.1' }), 400, 'InvalidInput');
  assert.match(wrong, /gateway_ip '10.0.0.1' does not match the ip_version '6'/);
  const path = `/v2.0/subnets/${none['id']}`;
  const put = (gateway: string | null): Promise<Answer> =>
    harness.send('PUT', path, { subnet: { gateway_ip: gateway, allocation_pools: [] } });
  assert.equal((await put('fe80::2')).body['subnet']?.['gateway_ip'], 'fe80::2');
  await refused(put('ff02::1'), 400, 'InvalidInput');
  await refused(put('10.0.0.1'), 400, 'InvalidInput');
});

test('pools, routes and name servers are of the subnet’s version, and pools lie within it', async (t) => {
  const { post } = await poster(await startHarness(t));
  const cidr = '2001:db8::/64';
  const pool = (start: string, end: string): object => ({ cidr, allocation_pools: [{ start, end }] });
  await refused(post(pool('2001:db8::9', '2001:db8::5')), 400, 'InvalidAllocationPool');
  await refused(post(pool('2001:db8::9', '10.0.0.9')), 400, 'InvalidAllocationPool');
  await refused(post(pool('10.0.0.2', '10.0.0.9')), 400, 'InvalidAllocationPool');
  await refused(post(pool('2001:db8::', '2001:db8::5')), 400, 'OutOfBoundsAllocationPool');
  await refused(post(pool('2001:db8::9', '2001:db8:0:1::')), 400, 'OutOfBoundsAllocationPool');
  await refused(post(pool('2001:db8::1', '2001:db8::5')), 409, 'GatewayConflictWithAllocationPools');
  await refused(post({ cidr, dns_nameservers: ['10.0.0.53'] }), 400, 'InvalidInput');
  await refused(
    post({ cidr, host_routes: [{ destination: '10.0.0.0/8', nexthop: '2001:db8::9' }] }),
    400,
    'InvalidInput',
  );
  await refused(post({ cidr, host_routes: [{ destination: 'fd00::/8', nexthop: '10.0.0.9' }] }), 400, 'InvalidInput');
  const subnet = subnetOf(
    await post({
      cidr,
      allocation_pools: [{ start: '2001:DB8::A', end: '2001:db8::0.0.0.255' }],
      dns_nameservers: ['2001:4860:4860:0:0:0:0:8888'],
      host_routes: [{ destination: 'FD00:0::/8', nexthop: 'FE80::9' }],
    }),
  );
  assert.deepEqual(subnet['allocation_pools'], [{ start: '2001:db8::a', end: '2001:db8::ff' }]);
  assert.deepEqual(subnet['dns_nameservers'], ['2001:4860:4860::8888']);
  assert.deepEqual(subnet['host_routes'], [{ destination: 'fd00::/8', nexthop: 'fe80::9' }]);
  await refused(post({ cidr: '2001:db8::/96' }), 400, 'InvalidInput');
});

const MODES = [null, 'slaac', 'dhcpv6-stateless', 'dhcpv6-stateful'] as const;

test('ipv6_ra_mode and ipv6_address_mode: each alone, or both equal', async (t) => {
  const harness = await startHarness(t);
  for (const ra of MODES) {
    for (const address of MODES) {
      const { post } = await poster(harness);
      const asked = { cidr: '2001:db8::/64', ipv6_ra_mode: ra, ipv6_address_mode: address };
      if (ra !== null && address !== null && ra !== address) {
        const message = await refused(post(asked), 400, 'InvalidInput');
        assert.match(message, /If both attributes are set, they must be the same value/);
        continue;
      }
      const subnet = subnetOf(await post(asked));
      assert.deepEqual([subnet['ipv6_ra_mode'], subnet['ipv6_address_mode']], [ra, address]);
      const list = `/v2.0/subnets?ip_version=6&ipv6_ra_mode=${ra ?? ''}&ipv6_address_mode=${address ?? ''}`;
      const ids = (await harness.send('GET', list)).body['subnets']?.map((one) => one['id']);
      assert.ok(ids?.includes(subnet['id'] as Json));
    }
  }
  assert.equal((await harness.send('GET', '/v2.0/subnets?ip_version=4')).body['subnets']?.length, 0);
});

test('modes go with IPv6, with DHCP, with the prefix that they need, and stay', async (t) => {
  const harness = await startHarness(t);
  const { post } = await poster(harness);
  for (const name of ['ipv6_ra_mode', 'ipv6_address_mode']) {
    const message = await refused(post({ cidr: '10.0.0.0/24', ip_version: 4, [name]: 'slaac' }), 400, 'InvalidInput');
    assert.match(message, new RegExp(`${name} is not valid when ip_version is 4`));
    await refused(post({ cidr: '2001:db8::/64', [name]: 'dhcp' }), 400, 'HTTPBadRequest');
    for (const mode of MODES.slice(1)) {
      const off = await refused(post({ cidr: '2001:db8::/64', enable_dhcp: false, [name]: mode }), 400, 'InvalidInput');
      assert.match(off, /cannot be set when enable_dhcp is set to False/);
      if (mode === 'dhcpv6-stateful') continue;
      for (const length of [48, 63, 65, 80]) {
        const message = await refused(post({ cidr: `2001:db8::/${length}`, [name]: mode }), 400, 'InvalidInput');
        assert.match(message, /requires the prefix to be \/64/);
      }
    }
  }
  const stateful = subnetOf(await post({ cidr: '2001:db8::/80', ipv6_address_mode: 'dhcpv6-stateful' }));
  const path = `/v2.0/subnets/${stateful['id']}`;
  for (const change of [{ ipv6_ra_mode: 'dhcpv6-stateful' }, { ipv6_address_mode: null }, { cidr: '2001:db8::/64' }]) {
    await refused(harness.send('PUT', path, { subnet: change }), 400, 'HTTPBadRequest');
  }
  const off = await refused(harness.send('PUT', path, { subnet: { enable_dhcp: false } }), 400, 'InvalidInput');
  assert.match(off, /Cannot disable enable_dhcp with ipv6 attributes set/);
  const plain = subnetOf(await post({ cidr: '2001:db8:1::/64' }));
  const change = await harness.send('PUT', `/v2.0/subnets/${plain['id']}`, { subnet: { enable_dhcp: false } });
  assert.equal(change.body['subnet']?.['enable_dhcp'], false);
});

test('a network with IPv6 has an MTU of 1280 or more', async (t) => {
  const harness = await startHarness(t);
  const small = await poster(harness, { mtu: 1279 });
  await refused(small.post({ cidr: '2001:db8::/64' }), 409, 'NetworkMTUSubnetConflict');
  subnetOf(await small.post({ cidr: '10.0.0.0/24', ip_version: 4 }));
  const { network, post } = await poster(harness, { mtu: 1280 });
  subnetOf(await post({ cidr: '2001:db8::/64' }));
  const put = (mtu: number): Promise<Answer> =>
    harness.send('PUT', `/v2.0/networks/${network['id']}`, { network: { mtu } });
  await refused(put(1279), 409, 'NetworkMTUSubnetConflict');
  assert.equal((await put(1400)).status, 200);
});

test('lists of subnets and ports are filtered by any form of an address', async (t) => {
  const harness = await startHarness(t);
  const { network, post } = await poster(harness);
  const subnet = subnetOf(await post({ cidr: '2001:db8::/64' }));
  const fixed = [{ ip_address: '2001:DB8:0::ABCD' }];
  const port = await harness.create('port', { network_id: network['id'], fixed_ips: fixed });
  assert.deepEqual(port['fixed_ips'], [{ subnet_id: subnet['id'], ip_address: '2001:db8::abcd' }]);
  for (const filter of [
    'fixed_ips=ip_address=2001:0DB8:0:0:0:0:0:abcd',
    'fixed_ips=ip_address=2001:db8::0.0.171.205',
    'fixed_ips=ip_address_substr=::ABC',
  ]) {
    const found = await harness.send('GET', `/v2.0/ports?${filter}`);
    assert.deepEqual(
      found.body['ports']?.map((one) => one['id']),
      [port['id']],
      filter,
    );
  }
  for (const filter of ['cidr=2001:DB8:0::/64', 'gateway_ip=2001:db8:0::1']) {
    const found = await harness.send('GET', `/v2.0/subnets?${filter}`);
    assert.deepEqual(
      found.body['subnets']?.map((one) => one['id']),
      [subnet['id']],
      filter,
    );
  }
});
