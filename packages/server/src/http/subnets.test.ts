/** What Neutron 21 answers to creates and updates of subnets, asked of one; where Cable answers otherwise the row says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, assertInvariants, type Harness, type Json, startHarness } from '../testing/harness.ts';

/** What of the subnet matters, or the status and the fault's name. */
type Row = readonly [given: object, expected: object | string];

const POOL = [{ start: '10.0.0.2', end: '10.0.0.254' }];
const route = (destination: string, nexthop: string): object => ({ host_routes: [{ destination, nexthop }] });
const pools = (...ranges: readonly string[]): object => ({
  allocation_pools: ranges.map((range) => {
    const [start, end] = range.split('-');
    return { start: `10.0.0.${start}`, end: `10.0.0.${end}` };
  }),
});
const four = { cidr: '10.0.0.0/24', ip_version: 4 };
const six = { cidr: 'fd00::/64', ip_version: 6 };
const fixed = { enable_dhcp: false };

const CREATES: readonly Row[] = [
  [four, { cidr: '10.0.0.0/24', gateway_ip: '10.0.0.1', allocation_pools: POOL, enable_dhcp: true }],
  [
    { ...four, cidr: '10.0.0.5/24' },
    { cidr: '10.0.0.0/24', gateway_ip: '10.0.0.1' },
  ],
  [{ ...four, cidr: '10.0.0.0' }, '400 InvalidInput'],
  [{ ip_version: 4 }, '400 BadRequest'],
  [{ ...four, cidr: '10.0.0.0/31' }, '400 InvalidInput'],
  // Neutron: 409, for the gateway that it would take itself.
  [{ ...four, ...fixed, cidr: '10.0.0.0/31' }, { gateway_ip: '10.0.0.0' }],
  [{ ...four, ...fixed, cidr: '10.0.0.1/32', gateway_ip: null }, { gateway_ip: null }],
  [{ ...four, cidr: '224.0.0.0/24' }, '400 InvalidInput'],
  [{ ...four, cidr: '127.0.0.0/24' }, '400 InvalidInput'],
  [{ ...four, cidr: '0.0.0.0/24' }, '400 InvalidInput'],
  [{ ...four, ip_version: 6 }, '400 InvalidInput'],
  [{ ...four, ip_version: 5 }, '400 HTTPBadRequest'],
  [{ ...four, ip_version: '4' }, { ip_version: 4 }],
  [
    { ...four, gateway_ip: null },
    { gateway_ip: null, allocation_pools: [{ start: '10.0.0.1', end: '10.0.0.254' }] },
  ],
  [
    { ...four, gateway_ip: '10.0.0.254' },
    { gateway_ip: '10.0.0.254', allocation_pools: [{ start: '10.0.0.1', end: '10.0.0.253' }] },
  ],
  [{ ...four, gateway_ip: '10.0.0.0' }, '400 InvalidInput'],
  [{ ...four, gateway_ip: '10.0.0.255' }, '400 InvalidInput'],
  [
    { ...four, gateway_ip: '10.0.1.1' },
    { gateway_ip: '10.0.1.1', allocation_pools: [{ start: '10.0.0.1', end: '10.0.0.254' }] },
  ],
  [{ ...four, gateway_ip: '169.254.169.254' }, '400 InvalidInput'],
  [{ ...four, gateway_ip: '127.0.0.1' }, '400 InvalidInput'],
  [{ ...four, gateway_ip: '224.0.0.1' }, '400 InvalidInput'],
  [{ ...four, gateway_ip: 'fe80::1' }, '400 InvalidInput'],
  [{ ...four, gateway_ip: '' }, '400 HTTPBadRequest'],
  [{ ...four, gateway_ip: 'x' }, '400 HTTPBadRequest'],
  [{ ...four, gateway_ip: '010.0.0.1' }, '400 HTTPBadRequest'],
  [{ ...four, allocation_pools: [] }, { allocation_pools: POOL }],
  [{ ...four, allocation_pools: null }, '400 HTTPBadRequest'],
  [{ ...four, ...pools('9-5') }, '400 InvalidAllocationPool'],
  [{ ...four, allocation_pools: [{ start: '10.0.0.9', end: '10.0.1.5' }] }, '400 OutOfBoundsAllocationPool'],
  [{ ...four, ...pools('0-5') }, '400 OutOfBoundsAllocationPool'],
  [{ ...four, ...pools('1-5') }, '409 GatewayConflictWithAllocationPools'],
  [{ ...four, ...pools('5-20', '20-30') }, '409 OverlappingAllocationPools'],
  [{ ...four, ...pools('5-6', '5-6') }, '409 OverlappingAllocationPools'],
  [{ ...four, ...pools('5-20', '21-30') }, pools('5-20', '21-30')],
  [{ ...four, allocation_pools: [{ start: 'fd00::2', end: 'fd00::3' }] }, '400 InvalidAllocationPool'],
  [{ ...four, allocation_pools: [{ start: '10.0.0.5' }] }, '400 HTTPBadRequest'],
  [{ ...four, allocation_pools: [{ start: '10.0.0.5', end: 'x' }] }, '400 HTTPBadRequest'],
  [{ ...four, allocation_pools: [{ start: '10.0.0.5', end: '10.0.0.6', x: 1 }] }, '400 HTTPBadRequest'],
  [{ ...four, allocation_pools: { start: '10.0.0.5', end: '10.0.0.6' } }, '400 HTTPBadRequest'],
  [{ ...four, dns_nameservers: ['8.8.8.8', '8.8.4.4'] }, { dns_nameservers: ['8.8.8.8', '8.8.4.4'] }],
  [{ ...four, dns_nameservers: ['8.8.8.8', '8.8.8.8'] }, '400 HTTPBadRequest'],
  [{ ...four, dns_nameservers: ['x'] }, '400 HTTPBadRequest'],
  [{ ...four, dns_nameservers: ['fd00::1'] }, '400 InvalidInput'],
  [{ ...four, dns_nameservers: null }, { dns_nameservers: [] }],
  [{ ...four, dns_nameservers: '8.8.8.8' }, '400 HTTPBadRequest'],
  [{ ...four, dns_nameservers: ['0.0.0.0'] }, { dns_nameservers: ['0.0.0.0'] }],
  // Neutron's limit is an option, 5 and 20 by default.
  [{ ...four, dns_nameservers: Array.from({ length: 21 }, (_, at) => `1.0.0.${at}`) }, '400 DNSNameServersExhausted'],
  [
    {
      ...four,
      host_routes: Array.from({ length: 65 }, (_, at) => ({ destination: `1.2.${at}.0/24`, nexthop: '10.0.0.9' })),
    },
    '400 HostRoutesExhausted',
  ],
  [{ ...four, ...route('1.2.3.0/24', '10.0.0.9') }, route('1.2.3.0/24', '10.0.0.9')],
  [{ ...four, ...route('1.2.3.4/24', '10.0.0.9') }, '400 HTTPBadRequest'],
  [{ ...four, ...route('1.2.3.4', '10.0.0.9') }, '400 HTTPBadRequest'],
  [{ ...four, ...route('0.0.0.0/0', '10.0.0.9') }, route('0.0.0.0/0', '10.0.0.9')],
  [{ ...four, ...route('fd00::/64', 'fd00::9') }, '400 InvalidInput'],
  [{ ...four, ...route('1.2.3.0/24', '99.0.0.9') }, route('1.2.3.0/24', '99.0.0.9')],
  [{ ...four, ...route('1.2.3.0/24', 'x') }, '400 HTTPBadRequest'],
  [{ ...four, host_routes: [{ destination: '1.2.3.0/24' }] }, '400 HTTPBadRequest'],
  [{ ...four, host_routes: null }, { host_routes: [] }],
  [{ ...four, ipv6_ra_mode: 'slaac' }, '400 InvalidInput'],
  [{ ...four, prefixlen: 24 }, '400 BadRequest'],
  [{ ...four, enable_dhcp: 'False' }, { enable_dhcp: false }],
  [{ ...four, name: null }, '400 HTTPBadRequest'],
  // Neutron: fd00::, which every router on the link answers to.
  [six, { gateway_ip: 'fd00::1' }],
  [{ ...six, gateway_ip: 'fe80::1' }, { gateway_ip: 'fe80::1' }],
  [{ ...six, gateway_ip: 'fd01::1' }, { gateway_ip: 'fd01::1' }],
  [{ ...six, cidr: 'fd00::/127' }, '400 InvalidInput'],
];

const UPDATES: readonly Row[] = [
  [{ gateway_ip: '10.0.0.2' }, '409 GatewayConflictWithAllocationPools'],
  [{ gateway_ip: null }, { gateway_ip: null }],
  [pools('100-120'), pools('100-120')],
  [pools('1-120'), '409 GatewayConflictWithAllocationPools'],
  [
    { gateway_ip: '10.0.0.7', ...pools('8-120') },
    { gateway_ip: '10.0.0.7', ...pools('8-120') },
  ],
  [
    { ...fixed, dns_nameservers: ['9.9.9.9'] },
    { enable_dhcp: false, dns_nameservers: ['9.9.9.9'] },
  ],
  [{ dns_nameservers: null }, { dns_nameservers: [] }],
  [{ host_routes: null }, { host_routes: [] }],
  ...['cidr', 'ip_version', 'network_id', 'ipv6_ra_mode', 'subnetpool_id', 'prefixlen'].map(
    (name): Row => [{ [name]: null }, '400 HTTPBadRequest'],
  ),
];

function shownOf({ status, body }: Answer, expected: object | string): unknown {
  const subnet = body['subnet'];
  if (subnet === undefined) return `${status} ${body['NeutronError']?.['type']}`;
  return typeof expected === 'string'
    ? JSON.stringify(body)
    : Object.fromEntries(Object.keys(expected).map((name) => [name, subnet[name]]));
}

async function networkOf({ create }: Harness): Promise<Json> {
  return create('network', {});
}

test('subnets are made, and refused, as Neutron does it', async (t) => {
  const harness = await startHarness(t);
  for (const [given, expected] of CREATES) {
    const network = await networkOf(harness);
    const answer = await harness.send('POST', '/v2.0/subnets', { subnet: { network_id: network['id'], ...given } });
    assert.deepEqual(shownOf(answer, expected), expected, JSON.stringify(given).slice(0, 200));
  }
  await assertInvariants(harness.server);
});

test('subnets are changed, and not changed, as Neutron does it', async (t) => {
  const harness = await startHarness(t);
  for (const [change, expected] of UPDATES) {
    const network = await networkOf(harness);
    const subnet = await harness.create('subnet', { network_id: network['id'], ...four });
    const answer = await harness.send('PUT', `/v2.0/subnets/${subnet['id']}`, { subnet: change });
    assert.deepEqual(shownOf(answer, expected), expected, JSON.stringify(change));
  }
  await assertInvariants(harness.server);
});
