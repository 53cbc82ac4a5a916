import assert from 'node:assert/strict';
import { test } from 'node:test';
import { portRoutes } from './port-routes.ts';

const OWN = {
  cidr: '10.0.0.0/24',
  gatewayIp: '10.0.0.1',
  hostRoutes: [{ destination: '172.16.5.9/12', nexthop: '10.0.0.9' }],
};
const SECOND = {
  cidr: '10.0.1.0/24',
  gatewayIp: '10.0.1.1',
  hostRoutes: [{ destination: '172.16.0.0/12', nexthop: '10.0.1.9' }],
};
const GUEST = { byDefault: true, metadata: true, ipv6: false };

const shown = (routes: ReturnType<typeof portRoutes>): readonly string[] =>
  routes.map(({ destination, nexthop }) => `${destination} ${nexthop ?? 'on link'}`);

test('host routes come first and win, then metadata, then the default route of the first gateway', () => {
  assert.deepEqual(shown(portRoutes([OWN, SECOND], GUEST)), [
    '172.16.0.0/12 10.0.0.9',
    '169.254.169.254/32 10.0.0.1',
    '0.0.0.0/0 10.0.0.1',
  ]);
  const own = {
    cidr: '10.0.0.0/24',
    gatewayIp: '10.0.0.1',
    hostRoutes: [{ destination: '0.0.0.0/0', nexthop: '10.0.0.7' }],
  };
  assert.deepEqual(shown(portRoutes([own], { ...GUEST, metadata: false })), ['0.0.0.0/0 10.0.0.7']);
});

test('without a gateway metadata is on the link and there is no default route', () => {
  assert.deepEqual(shown(portRoutes([{ cidr: '10.0.0.0/24', gatewayIp: null, hostRoutes: [] }], GUEST)), [
    '169.254.169.254/32 on link',
  ]);
});

test('a gateway that is not in its subnet is reached by a route on the link, which comes first', () => {
  const away = { cidr: '10.0.0.0/24', gatewayIp: '203.0.113.1', hostRoutes: [] };
  assert.deepEqual(shown(portRoutes([away], GUEST)), [
    '203.0.113.1/32 on link',
    '169.254.169.254/32 203.0.113.1',
    '0.0.0.0/0 203.0.113.1',
  ]);
});

test('what is malformed or of the other family is left out; IPv6 only where it is wanted', () => {
  const hostRoutes = [
    { destination: 'x', nexthop: '10.0.0.9' },
    { destination: '10.1.0.0/16', nexthop: 'y' },
    { destination: '10.2.0.0/16', nexthop: 'fe80::1' },
    { destination: '2001:db8::/32', nexthop: 'fe80::1' },
  ];
  const kinds = { byDefault: false, metadata: false, ipv6: true };
  const subnets = [{ cidr: '2001:db8::/64', gatewayIp: '2001:db8::1', hostRoutes }];
  assert.deepEqual(shown(portRoutes(subnets, kinds)), ['2001:db8::/32 fe80::1']);
  assert.deepEqual(shown(portRoutes(subnets, { ...kinds, byDefault: true })), [
    '2001:db8::/32 fe80::1',
    '::/0 2001:db8::1',
  ]);
  assert.deepEqual(portRoutes(subnets, { ...kinds, byDefault: true, ipv6: false }), []);
});
