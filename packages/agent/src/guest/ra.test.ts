import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ipv6Mode } from '@cable/model';
import type { RaNetwork, RaSubnet } from '../desired.ts';
import { raTemplate, solicitationFault } from './ra.ts';
import { fuzz } from './testing/fuzz.ts';
import { raNetwork, raSubnet } from './testing/ra-network.ts';

const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');

/** The options of an advertisement in hex, the header first. */
function parts(network: RaNetwork): readonly string[] {
  const bytes = raTemplate(network)?.bytes ?? new Uint8Array(0);
  const found = [hex(bytes.subarray(0, 16))];
  for (let at = 16; at < bytes.length; at += (bytes[at + 1] ?? 1) * 8)
    found.push(hex(bytes.subarray(at, at + (bytes[at + 1] ?? 1) * 8)));
  return found;
}

test('a whole advertisement, byte by byte', () => {
  const hostRoutes = [
    { destination: '2001:db8:1::/48', nexthop: '2001:db8::1' },
    { destination: '2001:db8:2::1/128', nexthop: '2001:db8::1' },
    { destination: '10.0.0.0/8', nexthop: '10.0.0.1' },
  ];
  const dnsNameservers = ['2001:db8::53', '10.0.0.53', '2001:DB8::53'];
  assert.deepEqual(parts(raNetwork({ subnets: [raSubnet({ hostRoutes, dnsNameservers })] })), [
    '86000000' + '4000' + '0708' + '00000000' + '00000000',
    '0101' + 'fa163ecab1e0',
    '0501' + '0000' + '000005aa',
    '0304' + '40c0' + '00015180' + '00003840' + '00000000' + '20010db8000000000000000000000000',
    '1903' + '0000' + '00000708' + '20010db8000000000000000000000053',
    '1802' + '3000' + '00000708' + '20010db800010000',
    '1803' + '8000' + '00000708' + '20010db8000200000000000000000001',
    '1f03' + '0000' + '00000708' + '076578616d706c65036f726700000000',
  ]);
});

for (const [raMode, flags, prefixFlags] of [
  ['slaac', '00', 'c0'],
  ['dhcpv6-stateless', '40', 'c0'],
  ['dhcpv6-stateful', 'c0', '80'],
] as const satisfies readonly (readonly [Ipv6Mode, string, string])[]) {
  test(`ipv6_ra_mode ${raMode}: flags ${flags}, of the prefix ${prefixFlags}`, () => {
    const [header = '', , , prefix = ''] = parts(raNetwork({ subnets: [raSubnet({ raMode })] }));
    assert.deepEqual([header.slice(10, 12), prefix.slice(6, 8)], [flags, prefixFlags]);
  });
}

test('a prefix that is not of 64 bits is on the link, and nobody makes addresses of it', () => {
  assert.equal(parts(raNetwork({ subnets: [raSubnet({ cidr: '2001:db8::/80' })] }))[3]?.slice(4, 8), '5080');
});

test('without a subnet that wants it there is no advertisement', () => {
  const none: readonly RaSubnet[] = [raSubnet({ raMode: null }), raSubnet({ cidr: '10.0.0.0/24' })];
  assert.equal(raTemplate(raNetwork({ subnets: none })), undefined);
  assert.equal(raTemplate(raNetwork({ subnets: [] })), undefined);
});

test('where the router leads nowhere, it is no default router', () => {
  assert.equal(parts(raNetwork({ isDefaultRouter: false }))[0]?.slice(12, 16), '0000');
});

test('an MTU that cannot carry IPv6 is not advertised', () => {
  assert.ok(!parts(raNetwork({ mtuBytes: 1279 })).some((part) => part.startsWith('05')));
});

test('a route by another next hop cannot be said, nor what has no room: both are named', () => {
  const hostRoutes = [
    { destination: '2001:db8:1::/48', nexthop: '2001:db8::9' },
    ...Array.from({ length: 74 }, (_, index) => ({ destination: `2001:db8:${index}0::/48`, nexthop: '2001:db8::1' })),
  ];
  const template = raTemplate(raNetwork({ subnets: [raSubnet({ hostRoutes })] }));
  assert.ok(template !== undefined && template.bytes.length <= 1240 && template.bytes.length > 1216);
  const [first = '', ...rest] = template.omitted;
  assert.match(first, /^route 2001:db8:1::\/48: its next hop 2001:db8::9 is not the gateway/);
  assert.deepEqual(rest, [
    'route 2001:db8:720::/48: no room',
    'route 2001:db8:730::/48: no room',
    'domain example.org: no room',
  ]);
});

const LINK = [1, 1, 0xfa, 0x16, 0x3e, 0, 0, 5];
const RS = [133, 0, 0, 0, 0, 0, 0, 0];
for (const [what, bytes, expected] of [
  ['a plain one', RS, undefined],
  ['one with a link-layer address', [...RS, ...LINK], undefined],
  ['one with an unknown option', [...RS, 99, 2, ...new Array(14).fill(0), ...LINK], undefined],
  ['one that is cut', RS.slice(0, 7), 'short'],
  ['another type', [134, ...RS.slice(1)], 'not-a-solicitation'],
  ['another code', [133, 1, ...RS.slice(2)], 'not-a-solicitation'],
  ['an option of no length', [...RS, 1, 0, 0, 0, 0, 0, 0, 0], 'bad-option'],
  ['an option over the end', [...RS, 1, 2, 0, 0, 0, 0, 0, 0], 'bad-option'],
  ['half an option', [...RS, 1], 'bad-option'],
] as const) {
  test(`solicitationFault: ${what}: ${expected}`, () => {
    assert.equal(solicitationFault(Uint8Array.from(bytes)), expected);
  });
}

test('fuzz: a solicitation is right or refused', () => {
  const judge = (bytes: Uint8Array): string => solicitationFault(bytes) ?? 'right';
  const corpus = [Uint8Array.from([...RS, ...LINK, 14, 1, 0, 0, 0, 0, 0, 0])];
  const outcomes = fuzz({ corpus, judge, rounds: 20_000, maxBytes: 1500 });
  for (const wanted of ['right', 'bad-option', 'short', 'not-a-solicitation'])
    assert.ok((outcomes.get(wanted) ?? 0) > 10, `${wanted} was reached`);
});
