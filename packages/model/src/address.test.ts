import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cidrContains,
  cidrsOverlap,
  eui64Ip,
  formatCidr,
  formatIp,
  ipFromBytes,
  ipToBytes,
  isMappedIp,
  isMulticastMac,
  isUuid,
  lastIp,
  macToBytes,
  mappedPrefixLength,
  parseCidr,
  parseIp,
  parseIpOrCidr,
  parseMac,
} from './address.ts';

function prefix(text: string): NonNullable<ReturnType<typeof parseCidr>> {
  const parsed = parseCidr(text);
  assert.ok(parsed, text);
  return parsed;
}

function ip(text: string): NonNullable<ReturnType<typeof parseIp>> {
  const parsed = parseIp(text);
  assert.ok(parsed, text);
  return parsed;
}

test('addresses are written in canonical form', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80:0:0:0:0:0:0:1', 'fe80::1'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ];
  for (const [text, canonical] of cases) assert.equal(formatIp(ip(text)), canonical, text);
});

test('what is not exactly an address is refused', () => {
  const bad = [
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '-1.2.3.4',
    '1.2.3.4/24',
    '0x1.2.3.4',
  ];
  const bad6 = [
    ':',
    ':::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '12345::',
    'g::',
    '::1%eth0',
    ':1::2',
    '1:2:3:4:5:6:7:8::',
    '1.2.3.4::',
    '::1.2.3.4:5',
    `${'1:'.repeat(40)}1`,
  ];
  for (const text of [...bad, ...bad6]) assert.equal(parseIp(text), undefined, text);
});

test('prefixes have no host bits', () => {
  assert.equal(formatCidr(prefix('10.0.0.0/8')), '10.0.0.0/8');
  assert.equal(parseCidr('10.0.0.1/8'), undefined);
  assert.equal(parseCidr('10.0.0.0/33'), undefined);
  assert.equal(parseCidr('10.0.0.0'), undefined);
  assert.equal(parseCidr('2001:db8::/129'), undefined);
  const lenient = parseCidr('10.1.2.3/16', true);
  assert.equal(lenient && formatCidr(lenient), '10.1.0.0/16');
  const single = parseIpOrCidr('10.1.2.3');
  assert.equal(single && formatCidr(single), '10.1.2.3/32');
  assert.equal(formatIp(lastIp(prefix('10.1.0.0/16'))), '10.1.255.255');
  assert.equal(formatIp(lastIp(prefix('2001:db8::/126'))), '2001:db8::3');
});

test('containment and overlap keep to one version of IP', () => {
  assert.ok(cidrContains(prefix('10.0.0.0/8'), ip('10.255.0.1')));
  assert.ok(!cidrContains(prefix('10.0.0.0/8'), ip('11.0.0.1')));
  assert.ok(cidrContains(prefix('0.0.0.0/0'), ip('11.0.0.1')));
  assert.ok(!cidrContains(prefix('::/0'), ip('11.0.0.1')));
  assert.ok(cidrsOverlap(prefix('10.0.0.0/8'), prefix('10.9.0.0/16')));
  assert.ok(cidrsOverlap(prefix('10.9.0.0/16'), prefix('10.0.0.0/8')));
  assert.ok(!cidrsOverlap(prefix('10.8.0.0/16'), prefix('10.9.0.0/16')));
  assert.ok(!cidrsOverlap(prefix('0.0.0.0/0'), prefix('::/0')));
});

test('bytes are 16 in network order, IPv4 mapped', () => {
  assert.equal(Buffer.from(ipToBytes(ip('10.0.0.1'))).toString('hex'), '00000000000000000000ffff0a000001');
  for (const text of ['10.0.0.1', '::', '2001:db8::1', '255.255.255.255', '0.0.0.0']) {
    const back = ipFromBytes(ipToBytes(ip(text)));
    assert.equal(back && formatIp(back), text);
  }
  assert.equal(ipFromBytes(new Uint8Array(4)), undefined);
  assert.equal(mappedPrefixLength(prefix('10.0.0.0/8')), 104);
  assert.equal(mappedPrefixLength(prefix('2001:db8::/32')), 32);
});

test('MAC addresses and UUIDs', () => {
  assert.equal(parseMac('FA-16-3E-00-00-01'), 'fa:16:3e:00:00:01');
  for (const bad of ['fa:16:3e:00:00', 'fa:16:3e:00:00:0g', 'fa:16:3e:00-00:01', 'fa163e00000', 'fa16:3e00:0001']) {
    assert.equal(parseMac(bad), undefined, bad);
  }
  const mac = parseMac('01:00:5e:00:00:fb');
  assert.ok(mac && isMulticastMac(mac));
  assert.deepEqual([...macToBytes(mac)], [1, 0, 0x5e, 0, 0, 0xfb]);
  assert.ok(isUuid('00000000-0000-4000-8000-000000000000'));
  assert.ok(!isUuid('00000000-0000-4000-8000-00000000000'));
});

test('the address of a MAC in a prefix is EUI-64', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['2001:db8::/64', '00:00:00:00:00:00', '2001:db8::200:ff:fe00:0'],
    ['2001:db8::/64', 'fa:16:3e:00:00:01', '2001:db8::f816:3eff:fe00:1'],
    ['2001:db8:1:2::/64', '02:42:ac:11:00:02', '2001:db8:1:2:42:acff:fe11:2'],
    ['fe80::/64', 'ff:ff:ff:ff:ff:ff', 'fe80::fdff:ffff:feff:ffff'],
  ];
  for (const [cidr, text, address] of cases) {
    const mac = parseMac(text);
    assert.equal(mac && formatIp(eui64Ip(prefix(cidr), mac)), address);
  }
});

test('property: of each MAC another address, in the prefix, from which the MAC follows', () => {
  let state = 7;
  const digit = (): string => {
    state = (state * 48_271) % 2_147_483_647;
    return (state % 16).toString(16);
  };
  const hex = (digits: number): string => Array.from({ length: digits }, digit).join('');
  for (let round = 0; round < 2000; round += 1) {
    const mac = parseMac(`${hex(2)}:${hex(2)}:${hex(2)}:${hex(2)}:${hex(2)}:${hex(2)}`);
    const network = parseCidr(`2${hex(3)}:${hex(4)}:${hex(4)}:${hex(4)}::/64`);
    assert.ok(mac && network);
    const made = eui64Ip(network, mac);
    assert.ok(cidrContains(network, made));
    const back = parseIp(formatIp(made));
    assert.deepEqual(back, made);
    const bytes = ipToBytes(made);
    assert.equal((bytes[11] ?? 0) * 256 + (bytes[12] ?? 0), 0xfffe);
    const octets = [(bytes[8] ?? 0) ^ 2, bytes[9], bytes[10], bytes[13], bytes[14], bytes[15]];
    assert.deepEqual([...macToBytes(mac)], octets);
  }
});

test('IPv4 in IPv6 form is known', () => {
  for (const text of ['::ffff:10.0.0.1', '::FFFF:a00:1', '0:0:0:0:0:ffff:0:0']) assert.ok(isMappedIp(ip(text)), text);
  for (const text of ['10.0.0.1', '::10.0.0.1', '64:ff9b::10.0.0.1', '::fffe:10.0.0.1', '::1:ffff:10.0.0.1']) {
    assert.ok(!isMappedIp(ip(text)), text);
  }
});
