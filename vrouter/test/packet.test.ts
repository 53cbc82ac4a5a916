import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  echo6,
  ICMP6,
  icmp6Error,
  listenerQuery,
  listenerReport,
  listenerReport2,
  MLD_RECORD,
  neighborAdvertisement,
  neighborSolicitation,
  redirect6,
  routerAdvertisement,
  routerSolicitation,
  solicitedNode,
} from './icmp6.ts';
import {
  checksum,
  crc32c,
  gre,
  ICMP,
  type Ipv4,
  type Ipv6,
  icmpError,
  ipBytes,
  multicastMac,
  SCTP_CHUNK,
  sctp,
  TCP,
  tcp,
  udp,
  vlan,
} from './packet.ts';
import { describe, ipText } from './packet-text.ts';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const MACS = `${A} > ${B}`;
const four: Ipv4 = { src: A, dst: B, from: '10.0.0.1', to: '10.0.0.2' };
const six: Ipv6 = { src: A, dst: B, from: 'fe80::1', to: '2001:db8::2' };
const ports = { sport: 1000, dport: 2000 };
const FOUR = `${MACS} ip 10.0.0.1 > 10.0.0.2 ttl 64`;
const SIX = `${MACS} ip6 fe80::1 > 2001:db8::2 hop limit 64`;

for (const [text, hex] of [
  ['10.0.0.255', '0a0000ff'],
  ['::', '0'.repeat(32)],
  ['::1', `${'0'.repeat(31)}1`],
  ['fe80::', `fe80${'0'.repeat(28)}`],
  ['2001:db8::1:0:0:1', '20010db8000000000001000000000001'],
  ['2001:db8:0:1:2:3:4:5', '20010db8000000010002000300040005'],
  ['ff02::1:ff00:b', 'ff0200000000000000000001ff00000b'],
] as const) {
  test(`the address ${text} is read and written`, () => {
    assert.equal(ipBytes(text).toString('hex'), hex);
    assert.equal(ipText(ipBytes(text)), text);
  });
}

test('the Castagnoli sum is that of RFC 3720, appendix B.4', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
});

test('the Internet sum is that of RFC 1071, section 3', () => {
  assert.equal(checksum(Buffer.from('0001f203f4f5f6f7', 'hex')), ~0xddf2 & 0xffff);
});

test('multicast goes to the MAC of its group', () => {
  assert.equal(multicastMac('224.0.0.251'), '01:00:5e:00:00:fb');
  assert.equal(multicastMac('239.255.1.2'), '01:00:5e:7f:01:02');
  assert.equal(solicitedNode('2001:db8::12:3456'), 'ff02::1:ff12:3456');
  assert.equal(multicastMac(solicitedNode('2001:db8::12:3456')), '33:33:ff:12:34:56');
});

for (const [frame, text] of [
  [udp(six, ports), `${SIX} udp 1000 > 2000`],
  [udp(six, { ...ports, payload: Buffer.from('odd') }), `${SIX} udp 1000 > 2000`],
  [tcp(six, { ...ports, flags: TCP.syn }), `${SIX} tcp 1000 > 2000`],
  [sctp(four, { ...ports, chunk: SCTP_CHUNK.init }), `${FOUR} sctp 1000 > 2000`],
  [sctp(six, { ...ports, tag: 7, payload: Buffer.from('odd') }), `${SIX} sctp 1000 > 2000`],
  [gre(four, { type: 0x0800 }), `${FOUR} gre 0x800`],
  [gre(four, { type: 0x0800, checksum: true, key: 0xffffffff, sequence: 3 }), `${FOUR} gre 0x800`],
  [gre(six, { type: 0x6558, key: 5 }), `${SIX} gre 0x6558`],
  [vlan(udp(four, ports), { id: 100 }), `${MACS} vlan 100 ${FOUR.slice(MACS.length + 1)} udp 1000 > 2000`],
  [
    vlan(vlan(udp(four, ports), { id: 100, priority: 7 }), { id: 4094, outer: true }),
    `${MACS} outer vlan 4094 vlan 100 ${FOUR.slice(MACS.length + 1)} udp 1000 > 2000`,
  ],
  [
    udp({ ...six, extensions: [{ protocol: 60, body: Buffer.alloc(20) }], fragment: { id: 9, more: true } }, ports),
    `${SIX} extension 60 fragmented udp 1000 > 2000`,
  ],
  [udp({ ...six, fragment: { id: 9, offset: 1480 } }, ports), `${SIX} fragmented fragment`],
  [echo6(six, { id: 5 }), `${SIX} icmp6 128/0`],
  [echo6(six, { id: 5, reply: true, payload: Buffer.from('odd') }), `${SIX} icmp6 129/0`],
] as const) {
  test(`a frame says of itself: ${text}`, () => assert.equal(describe(frame), text));
}

/** What an error quotes of the packet, from `at` on. */
const quoteIn = (frame: Buffer, at: number): Buffer => frame.subarray(at);

test('an ICMP error quotes the header and as much as it is told, and has its fields', () => {
  const about = udp({ ...four, options: 4 }, { ...ports, payload: Buffer.alloc(100, 7) });
  for (const [error, word, bytes] of [
    [{ type: ICMP.unreachable, code: 4, mtu: 1400 }, 1400, 24 + 8],
    [{ type: ICMP.redirect, code: 1, gateway: '10.0.0.9' }, 0x0a000009, 24 + 8],
    [{ type: ICMP.parameterProblem, pointer: 9 }, 0x09000000, 24 + 8],
    [{ type: ICMP.timeExceeded, quoted: 50 }, 0, 24 + 50],
  ] as const) {
    const frame = icmpError(four, error, about);
    assert.match(
      describe(frame),
      new RegExp(`^${FOUR} icmp ${error.type}/${'code' in error ? error.code : 0} id \\d+$`),
    );
    assert.equal(frame.readUInt32BE(38), word);
    assert.deepEqual(quoteIn(frame, 42), about.subarray(14, 14 + bytes));
  }
});

test('an ICMPv6 error quotes as much as fits into the least MTU', () => {
  const about = udp(six, { ...ports, payload: Buffer.alloc(2000) });
  const frame = icmp6Error(six, { type: ICMP6.tooBig, word: 1400 }, about);
  assert.equal(describe(frame), `${SIX} icmp6 2/0`);
  assert.equal(frame.length, 14 + 1280);
  assert.equal(frame.readUInt32BE(58), 1400);
  assert.deepEqual(quoteIn(frame, 62), about.subarray(14, 14 + 1232));
  assert.equal(icmp6Error(six, { type: ICMP6.timeExceeded, quoted: 48 }, about).length, 62 + 48);
});

const group: Ipv6 = { ...six, to: 'ff02::1', dst: multicastMac('ff02::1') };

for (const [name, frame, type, options] of [
  ['a neighbour solicitation', neighborSolicitation(six, { target: 'fe80::2', mac: A }), 135, '010102000000000a'],
  ['a probe for a duplicate', neighborSolicitation({ ...six, from: '::' }, { target: 'fe80::2' }), 135, ''],
  [
    'a neighbour advertisement',
    neighborAdvertisement(six, { target: 'fe80::2', mac: B, solicited: true, override: true }),
    136,
    '020102000000000b',
  ],
  ['a router solicitation', routerSolicitation(group, { mac: A }), 133, '010102000000000a'],
  [
    'a router advertisement',
    routerAdvertisement(group, { managed: true, mac: A, mtu: 1450, prefixes: [{ prefix: '2001:db8::', length: 64 }] }),
    134,
    '010102000000000a',
  ],
  ['a redirect', redirect6(six, { target: 'fe80::9', destination: '2001:db8::9', mac: B }), 137, '020102000000000b'],
] as const) {
  test(`${name} has hop limit 255, a right checksum and its options`, () => {
    assert.match(describe(frame), new RegExp(` hop limit 255 icmp6 ${type}/0$`));
    assert.ok(frame.toString('hex').includes(options));
    assert.equal((frame.length - 14) % 8, 0, 'options are whole eights of bytes');
  });
}

test('a router advertisement says what it was told', () => {
  const what = {
    hopLimit: 9,
    other: true,
    lifetimeSeconds: 0,
    mtu: 1450,
    prefixes: [{ prefix: 'fd00::', length: 64 }],
  };
  const message = routerAdvertisement(group, what).subarray(54);
  assert.equal(message.toString('hex', 4, 8), '09400000');
  assert.equal(message.toString('hex', 16, 24), '05010000000005aa');
  assert.equal(message.toString('hex', 24, 36), '030440c00001518000003840');
  assert.equal(message.toString('hex', 40, 56), `fd00${'0'.repeat(28)}`);
});

for (const [name, frame, type] of [
  ['a query of version 1', listenerQuery(group, { group: 'ff05::5' }), 130],
  ['a query of version 2', listenerQuery(group, { sources: ['fe80::7'] }), 130],
  ['a report of version 1', listenerReport(group, { group: 'ff05::5' }), 131],
  ['a done', listenerReport(group, { group: 'ff05::5', done: true }), 132],
  ['a report of version 2', listenerReport2(six, [{ type: MLD_RECORD.toExclude, group: 'ff05::5' }]), 143],
] as const) {
  test(`${name} of listeners has hop limit 1, a router alert and a right checksum`, () => {
    assert.match(describe(frame), new RegExp(` hop limit 1 extension 0 icmp6 ${type}/0$`));
    assert.equal(frame.toString('hex', 54, 62), '3a00050200000100');
  });
}

test('a wrong checksum is named', () => {
  for (const [frame, at] of [
    [udp(six, ports), 69],
    [sctp(four, ports), 50],
    [gre(four, { type: 0x800, checksum: true }), 44],
    [echo6(six, { id: 1 }), 60],
  ] as const) {
    const wrong = Buffer.from(frame);
    wrong[at] = (wrong[at] ?? 0) ^ 1;
    assert.match(describe(wrong), / BAD CHECKSUM$/);
  }
});
