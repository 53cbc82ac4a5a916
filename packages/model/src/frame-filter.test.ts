import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_FRAME, parseFrameFilter } from './frame-filter.ts';

test('conditions are those of tcpdump', () => {
  for (const [text, more] of [
    ['', {}],
    ['arp', { etherType: 0x0806 }],
    ['icmp6', { etherType: 0x86dd, protocol: 58 }],
    ['ip and icmp and ip', { etherType: 0x0800, protocol: 1 }],
    ['tcp and host 2001:db8:0::2', { protocol: 6, hosts: ['2001:db8::2'] }],
    [' udp  and   port 53 and port 53 ', { protocol: 17, ports: [53] }],
    ['host 10.0.0.1 and port 1 and host 10.0.0.2 and port 0', { hosts: ['10.0.0.1', '10.0.0.2'], ports: [1, 0] }],
  ] as const)
    assert.deepEqual(parseFrameFilter(text), { ...ANY_FRAME, ...more }, text);
});

test('what is no condition, or what no packet can be, is refused in words', () => {
  for (const [text, said] of [
    ['foo', /'foo' is not known; there are arp, ip, ip6/],
    ['tcp udp', /'udp' is none/],
    ['tcp and', /'' is not known/],
    ['host', /host: give an address/],
    ['host ten', /host: give an address/],
    ['port', /port: give a number/],
    ['port 65536', /port: give a number/],
    ['constructor', /is not known/],
    ['x'.repeat(600), /more than 512/],
    ['tcp and udp', /no packet is all of it: leave out 'udp'/],
    ['ip6 and icmp', /no packet is all of it/],
    ['host 10.0.0.1 and host 10.0.0.2 and host 10.0.0.3', /no packet is all of it/],
  ] as const) {
    const found = parseFrameFilter(text);
    assert.ok(typeof found === 'string', text);
    assert.match(found, said);
  }
});
