import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExtraDhcpOption } from './dhcp-options.ts';

const CASES: readonly (readonly [4 | 6, string, string, string])[] = [
  [4, 'bootfile-name', 'pxelinux.0', '67: 7078656c696e75782e30'],
  [4, '67', 'pxelinux.0', '67: 7078656c696e75782e30'],
  [4, 'option:tftp-server', '10.0.0.9', '66: 31302e302e302e39'],
  [4, 'server-ip-address', '10.0.0.9', '255: 0a000009'],
  [4, '255', '10.0.0.9', '255: 0a000009'],
  [4, 'tftp-server-address', '10.0.0.9,10.0.0.8', '150: 0a0000090a000008'],
  [4, 'tag:!ipxe,67', 'undionly.kpxe', 'not-ipxe 67: 756e64696f6e6c792e6b707865'],
  [4, '!175,67', 'undionly.kpxe', 'not-ipxe 67: 756e64696f6e6c792e6b707865'],
  [4, '!175,bootfile-name', 'a', 'not-ipxe 67: 61'],
  [4, '175,67', 'a', 'opt_name: 175,67: no such option'],
  [4, '61', 'ff:00', 'opt_name: 61: the DHCP server alone sets this option'],
  [4, 'tag:ipxe,bootfile-name', 'http://a/b', 'ipxe 67: 687474703a2f2f612f62'],
  [4, 'ntp-server', '10.0.0.1, 10.0.0.2', '42: 0a0000010a000002'],
  [4, 'ntp-server', 'time.example', 'opt_value: ntp-server wants addresses'],
  [4, 'mtu', '9000', '26: 2328'],
  [4, 'mtu', '65536', 'opt_value: mtu wants a number up to 65535'],
  [4, 'time-offset', '-3600', '2: fffff1f0'],
  [4, 'ip-forward-enable', '1', '19: 01'],
  [4, 'ip-forward-enable', 'yes', 'opt_value: ip-forward-enable wants 0 or 1'],
  [4, 'domain-search', 'a.example,b', '119: 0161076578616d706c65000162' + '00'],
  [4, 'domain-search', 'a..b', 'opt_value: domain-search wants domain names'],
  [4, 'sip-server', '10.0.0.1', '120: 010a000001'],
  [4, 'sip-server', 'sip.a', '120: 000373697001' + '6100'],
  [4, 'static-route', '10.1.0.1,10.0.0.1', '33: 0a0100010a000001'],
  [4, 'static-route', '10.1.0.1', 'opt_value: static-route wants pairs of addresses'],
  [4, 'classless-static-route', '10.1.0.0/16,10.0.0.1,0.0.0.0/0,10.0.0.2', '121: 100a010a000001000a000002'],
  [4, '249', '10.1.0.0/16,10.0.0.1', '249: 100a010a000001'],
  [4, 'classless-static-route', '10.1.0.0/16', 'opt_value: classless-static-route wants prefixes'],
  [4, 'classless-static-route', '', '121: '],
  [4, 'router', '', '3: '],
  [4, 'bootfile-name', '', 'opt_value: bootfile-name wants text'],
  [4, 'vendor-encap', '06:01:08', '43: 060108'],
  [4, '210', '/tftpboot/', '210: 2f746674' + '70626f6f742f'],
  [4, '200', '7', '200: 07'],
  [4, '200', '300', '200: 012c'],
  [4, '200', '70000', '200: 00011170'],
  [4, '200', '10.0.0.1,10.0.0.2', '200: 0a0000010a000002'],
  [4, '200', '5000000000', '200: 3530303030303030' + '3030'],
  [
    4,
    'option-that-is-none',
    'x',
    'opt_name: option-that-is-none: no such option of DHCPv4: give a number, or one of netmask',
  ],
  [4, 'constructor', 'x', 'opt_name: constructor: no such option'],
  [4, '51', '60', 'opt_name: 51: the DHCP server alone sets this option'],
  [4, '82', 'x', 'opt_name: 82: the DHCP server alone sets this option'],
  [4, '256', 'x', 'opt_name: 256: the number is too large'],
  [4, '200', 'a\nb', 'opt_value: 200 wants text on one line'],
  [6, 'dns-server', '2001:db8::1,2001:db8::2', '23: 20010db800000000000000000000000120010db8000000000000000000000002'],
  [6, 'option6:dns-server', '[2001:db8::1]', '23: 20010db8000000000000000000000001'],
  [6, '23', '2001:db8::1', '23: 20010db8000000000000000000000001'],
  [6, 'domain-search', 'a.example, b.example.', '24: 0161076578616d706c650001620765' + '78616d706c6500'],
  [6, 'ntp-server', '2001:db8::7', '56: 0001001020010db8000000000000000000000007'],
  [6, 'ntp-server', 'ff05::101', '56: 00020010ff050000000000000000000000000101'],
  [6, 'ntp-server', 'time.example', '56: 0003000e0474696d65076578616d706c6500'],
  [6, 'bootfile-url', 'tftp://[2001:db8::9]/a', '59: 746674703a2f2f5b323030313a6462383a3a395d2f61'],
  [6, 'tag:!ipxe6,59', 'a', 'not-ipxe 59: 61'],
  [6, 'bootfile-param', 'a,bc', '60: 00016100026263'],
  [6, 'information-refresh-time', '3600', '32: 00000e10'],
  [6, '200', '01:ff', '200: 01ff'],
  [6, '200', 'text', '200: 74657874'],
  [6, '200', '[2001:db8::1]', '200: 20010db8000000000000000000000001'],
  [6, 'server-ip-address', '10.0.0.1', 'opt_name: server-ip-address: no such option'],
  [6, '1', 'x', 'opt_name: 1: the DHCP server alone sets this option'],
  [6, '70000', 'x', 'opt_name: 70000: the number is too large'],
  [6, 'dns-server', '10.0.0.1', 'opt_value: dns-server wants addresses'],
  [6, 'domain-search', '', 'opt_value: domain-search wants domain names'],
  [6, 'bootfile-url', '', 'opt_value: bootfile-url wants text'],
  [6, 'bootfile-url', 'x'.repeat(1025), 'opt_value: bootfile-url has more than 1024 bytes'],
];

for (const [version, name, value, expected] of CASES) {
  test(`extra_dhcp_opts ${name} = ${value.slice(0, 40)} of DHCPv${version}: ${expected.slice(0, 60)}`, () => {
    const parsed = parseExtraDhcpOption(version, name, value);
    if (!parsed.ok) return assert.ok(parsed.reason.startsWith(expected), parsed.reason);
    const { client, code, value: bytes } = parsed.option;
    const hex = Buffer.from(bytes).toString('hex');
    return assert.equal(`${client === 'any' ? '' : `${client} `}${code}: ${hex}`, expected);
  });
}
