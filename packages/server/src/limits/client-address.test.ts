import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type IpPrefix, parseIpOrCidr } from '@cable/model';
import { clientAddress, countedAs, type ProxyHeader } from './client-address.ts';

function prefixes(...texts: readonly string[]): readonly IpPrefix[] {
  return texts.map((text) => {
    const prefix = parseIpOrCidr(text);
    assert.ok(prefix, text);
    return prefix;
  });
}

function counted(
  remoteAddress: string | undefined,
  header: ProxyHeader,
  value: string | undefined,
  proxies: readonly IpPrefix[],
): string | undefined {
  const headers = value === undefined ? {} : { [header]: value };
  const address = clientAddress({ headers, socket: { remoteAddress } as never }, { proxies, header });
  return address === undefined ? undefined : countedAs(address);
}

test('a request counts for the right-most address that no trusted proxy has', () => {
  const trusted = prefixes('192.0.2.0/24', '2001:db8:f::/48');
  for (const [from, said, right] of [
    ['203.0.113.7', undefined, '203.0.113.7'],
    // A stranger may say what it likes.
    ['203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['192.0.2.1', undefined, '192.0.2.1'],
    ['192.0.2.1', '198.51.100.1', '198.51.100.1'],
    ['192.0.2.1', '8.8.8.8, 198.51.100.1', '198.51.100.1'],
    ['192.0.2.1', '198.51.100.1, 192.0.2.9', '198.51.100.1'],
    ['192.0.2.1', '8.8.8.8,198.51.100.1 ,192.0.2.9', '198.51.100.1'],
    ['192.0.2.1', '192.0.2.8, 192.0.2.9', '192.0.2.8'],
    ['::ffff:192.0.2.1', '198.51.100.1:4711', '198.51.100.1'],
    ['2001:db8:f::1', '[2001:db8:1:2:3::4]:4711', '2001:db8:1:2::/64'],
    ['2001:db8:f::1', '2001:db8:1:2:3::4', '2001:db8:1:2::/64'],
    ['192.0.2.1', '::ffff:198.51.100.1', '198.51.100.1'],
    ['192.0.2.1', '8.8.8.8, unknown', '192.0.2.1'],
    ['192.0.2.1', '8.8.8.8, unknown, 192.0.2.9', '192.0.2.9'],
    ['192.0.2.1', '', '192.0.2.1'],
    ['192.0.2.1', ',,,', '192.0.2.1'],
    ['fe80::1%eth0', undefined, 'fe80::/64'],
    [undefined, '198.51.100.1', undefined],
  ] as const) {
    assert.equal(counted(from, 'x-forwarded-for', said, trusted), right, `${from} says ${said}`);
  }
});

test('the header Forwarded says the same, and is not looked at when the other one was chosen', () => {
  const trusted = prefixes('192.0.2.1');
  for (const [said, right] of [
    ['for=198.51.100.1', '198.51.100.1'],
    ['for=8.8.8.8, for=198.51.100.1;proto=https;by=192.0.2.1', '198.51.100.1'],
    ['proto=https; For="[2001:db8:1:2::9]:4711"', '2001:db8:1:2::/64'],
    ['for="198.51.100.1:80"', '198.51.100.1'],
    ['for=_hidden', '192.0.2.1'],
    ['by=198.51.100.1', '192.0.2.1'],
    ['xfor=198.51.100.1', '192.0.2.1'],
  ] as const) {
    assert.equal(counted('192.0.2.1', 'forwarded', said, trusted), right, said);
  }
  const both = { forwarded: 'for=198.51.100.1', 'x-forwarded-for': '198.51.100.2' };
  const address = clientAddress(
    { headers: both, socket: { remoteAddress: '192.0.2.1' } as never },
    { proxies: trusted, header: 'x-forwarded-for' },
  );
  assert.equal(address && countedAs(address), '198.51.100.2');
});

test('addresses of one /64 count together, and those of IPv4 each for itself', () => {
  const none = prefixes();
  const of = (from: string): string | undefined => counted(from, 'forwarded', undefined, none);
  assert.equal(of('2001:db8:1:2::1'), of('2001:db8:1:2:ffff:ffff:ffff:ffff'));
  assert.notEqual(of('2001:db8:1:2::1'), of('2001:db8:1:3::1'));
  assert.notEqual(of('198.51.100.1'), of('198.51.100.2'));
});
