import assert from 'node:assert/strict';
import { test } from 'node:test';
import { excludedOf, familiesOf, type RangesSpec } from './subnet-ranges.ts';

test('prefixes, gateways and what is left out are ranges for each version of IP', () => {
  const cases: readonly (readonly [RangesSpec, readonly string[]])[] = [
    [{ cidrBlock: '10.0.0.0/29' }, ['10.0.0.0/29 10.0.0.1 10.0.0.2-10.0.0.6']],
    [{ cidrBlock: '10.0.0.0/29', gateway: '10.0.0.6' }, ['10.0.0.0/29 10.0.0.6 10.0.0.1-10.0.0.5']],
    [
      { cidrBlock: 'fd00::/64, 10.0.0.0/29', excludeIps: ['10.0.0.3..10.0.0.4', 'fd00::2'] },
      [
        'fd00::/64 fd00::1 fd00::3-fd00::ffff:ffff:ffff:ffff',
        '10.0.0.0/29 10.0.0.1 10.0.0.2-10.0.0.2 10.0.0.5-10.0.0.6',
      ],
    ],
    [{ cidrBlock: '10.0.0.0/29', excludeIps: ['10.0.0.0..10.0.0.3'] }, ['10.0.0.0/29 10.0.0.1 10.0.0.4-10.0.0.6']],
    [{ cidrBlock: '10.0.0.0/31' }, ['10.0.0.0/31 10.0.0.1 10.0.0.0-10.0.0.0']],
  ];
  for (const [spec, expected] of cases) {
    const texts = familiesOf(spec).map(({ cidr, gateway, pools }) =>
      [cidr, gateway, ...pools.map(({ start, end }) => `${start}-${end}`)].join(' '),
    );
    assert.deepEqual(texts, expected);
  }
});

test('what cannot be is refused with the name of the field', () => {
  const cases: readonly (readonly [RangesSpec, RegExp])[] = [
    [{}, /cidrBlock: give a prefix/],
    [{ cidrBlock: '10.0.0.0' }, /cidrBlock: 10\.0\.0\.0 is no prefix/],
    [{ cidrBlock: '10.0.0.0/24,10.1.0.0/24' }, /cidrBlock: give one prefix of each version/],
    [{ cidrBlock: '10.0.0.0/24', gateway: 'fd00::1' }, /no prefix of IPv6/],
    [{ cidrBlock: '10.0.0.0/24', gateway: 'x' }, /gateway: x is no IP address/],
    [{ cidrBlock: '10.0.0.0/24', gateway: '10.0.0.1,10.0.0.2' }, /gateway: give one address/],
    [{ cidrBlock: '10.0.0.0/24', excludeIps: ['10.0.0.9..10.0.0.1'] }, /excludeIps: .* is no range/],
    [{ cidrBlock: '10.0.0.0/24', excludeIps: ['10.0.0.1..10.0.0.2..10.0.0.3'] }, /excludeIps: .* is no range/],
    [{ cidrBlock: '10.0.0.0/29', excludeIps: ['10.0.0.1..10.0.0.6'] }, /excludeIps leave no address/],
  ];
  for (const [spec, expected] of cases) assert.throws(() => familiesOf(spec), expected, JSON.stringify(spec));
});

test('what pools leave out is what they were made of', () => {
  const cases: readonly RangesSpec[] = [
    { cidrBlock: '10.0.0.0/29' },
    { cidrBlock: '10.0.0.0/28', excludeIps: ['10.0.0.3..10.0.0.5', '10.0.0.14'] },
    { cidrBlock: '10.0.0.0/28', gateway: '10.0.0.14', excludeIps: ['10.0.0.1'] },
    { cidrBlock: 'fd00::/64', excludeIps: ['fd00::10..fd00::ffff'] },
    { cidrBlock: '10.0.0.0/31' },
  ];
  for (const spec of cases) {
    const [{ cidr, gateway, pools }] = familiesOf(spec) as [ReturnType<typeof familiesOf>[0] & object];
    assert.deepEqual(
      excludedOf({ cidr, gateway_ip: gateway, allocation_pools: pools }),
      spec.excludeIps ?? [],
      JSON.stringify(spec),
    );
  }
  const pools = [{ start: '10.0.0.4', end: '10.0.0.5' }];
  assert.deepEqual(
    excludedOf({ cidr: '10.0.0.0/29', gateway_ip: null, allocation_pools: pools }),
    ['10.0.0.1..10.0.0.3', '10.0.0.6'],
    'without a gateway',
  );
});
