import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExtraDhcpOption } from '@cable/model';
import type { GuestRecord } from '../desired.ts';
import { answerDhcp, MESSAGE } from './dhcp-answer.ts';
import { type DhcpMessage, decodeDhcpMessage, encodeDhcpMessage } from './dhcp-message.ts';
import { decodeClasslessRoutes, encodeClasslessRoutes, formatGuestRoute, guestRoutes, OPTION } from './dhcp-options.ts';
import { formatIpv4 } from './ipv4.ts';
import { type ClientFields, clientMessage, ip } from './testing/dhcp-client.ts';
import { fuzz } from './testing/fuzz.ts';
import { guestAddress, guestRecord } from './testing/guest-record.ts';

const ONE = guestRecord();
/** 10.0.0.5, 10.0.0.6 on one subnet, 10.1.0.5 on another, 10.2.0.5 on one without DHCP. */
const MANY = guestRecord({
  addresses: [
    guestAddress(),
    guestAddress({ ipAddress: '10.0.0.6' }),
    guestAddress({ ipAddress: '10.1.0.5', cidr: '10.1.0.0/16', gatewayIp: null, dhcpServer: '169.254.169.254' }),
    guestAddress({ ipAddress: '10.2.0.5', cidr: '10.2.0.0/24', enableDhcp: false, dhcpServer: '10.2.0.1' }),
  ],
});
const WITHOUT_DHCP = guestRecord({ addresses: [guestAddress({ enableDhcp: false })] });

/** The answer as one line: type, yiaddr, ciaddr, server; or the reason of the silence. */
function summary(guest: GuestRecord, type: number, fields: ClientFields): string {
  const outcome = answerDhcp(clientMessage(type, fields), guest, { leaseSeconds: 86_400, nameServer: null });
  if (outcome.kind === 'silence') return outcome.reason;
  const { yiaddr, ciaddr, options } = outcome.message;
  return `${outcome.type} ${formatIpv4(yiaddr)} ciaddr ${formatIpv4(ciaddr)} from ${dotted(options.get(54))}`;
}

function dotted(bytes: Uint8Array | undefined): string {
  return [...(bytes ?? [])].join('.');
}

function replyTo(
  guest: GuestRecord,
  message: DhcpMessage,
  leaseSeconds = 86_400,
  nameServer: string | null = null,
): DhcpMessage {
  const outcome = answerDhcp(message, guest, { leaseSeconds, nameServer });
  assert.equal(outcome.kind, 'reply');
  return outcome.kind === 'reply' ? outcome.message : message;
}

const { discover, request, inform, decline, release } = MESSAGE;
const CASES: readonly (readonly [string, GuestRecord, number, ClientFields, string])[] = [
  ['DISCOVER', ONE, discover, {}, 'offer 10.0.0.5 ciaddr 0.0.0.0 from 10.0.0.1'],
  [
    'DISCOVER for its second address',
    MANY,
    discover,
    { requested: '10.0.0.6' },
    'offer 10.0.0.6 ciaddr 0.0.0.0 from 10.0.0.1',
  ],
  [
    'DISCOVER for an address on its other subnet',
    MANY,
    discover,
    { requested: '10.1.0.5' },
    'offer 10.1.0.5 ciaddr 0.0.0.0 from 169.254.169.254',
  ],
  [
    "DISCOVER for a stranger's address",
    MANY,
    discover,
    { requested: '10.0.0.9' },
    'offer 10.0.0.5 ciaddr 0.0.0.0 from 10.0.0.1',
  ],
  [
    'DISCOVER for its address without DHCP',
    MANY,
    discover,
    { requested: '10.2.0.5' },
    'offer 10.0.0.5 ciaddr 0.0.0.0 from 10.0.0.1',
  ],
  ['DISCOVER with a ciaddr', ONE, discover, { ciaddr: ip('10.0.0.9') }, 'offer 10.0.0.5 ciaddr 0.0.0.0 from 10.0.0.1'],
  [
    'SELECTING',
    ONE,
    request,
    { requested: '10.0.0.5', server: '10.0.0.1' },
    'ack 10.0.0.5 ciaddr 0.0.0.0 from 10.0.0.1',
  ],
  ['SELECTING another server', ONE, request, { requested: '10.0.0.5', server: '10.0.0.2' }, 'other-server'],
  [
    "SELECTING a stranger's address",
    ONE,
    request,
    { requested: '10.0.0.9', server: '10.0.0.1' },
    'nak 0.0.0.0 ciaddr 0.0.0.0 from 10.0.0.1',
  ],
  [
    "SELECTING its address from the other subnet's server",
    MANY,
    request,
    { requested: '10.0.0.5', server: '169.254.169.254' },
    'nak 0.0.0.0 ciaddr 0.0.0.0 from 169.254.169.254',
  ],
  ['SELECTING no address', ONE, request, { server: '10.0.0.1' }, 'malformed'],
  ['INIT-REBOOT', ONE, request, { requested: '10.0.0.5' }, 'ack 10.0.0.5 ciaddr 0.0.0.0 from 10.0.0.1'],
  [
    'INIT-REBOOT on a wrong network',
    ONE,
    request,
    { requested: '192.168.1.7' },
    'nak 0.0.0.0 ciaddr 0.0.0.0 from 10.0.0.1',
  ],
  ['RENEWING or REBINDING', ONE, request, { ciaddr: ip('10.0.0.5') }, 'ack 10.0.0.5 ciaddr 10.0.0.5 from 10.0.0.1'],
  [
    'RENEWING its second address',
    MANY,
    request,
    { ciaddr: ip('10.0.0.6') },
    'ack 10.0.0.6 ciaddr 10.0.0.6 from 10.0.0.1',
  ],
  ['RENEWING an address it lost', ONE, request, { ciaddr: ip('10.0.0.7') }, 'nak 0.0.0.0 ciaddr 0.0.0.0 from 10.0.0.1'],
  [
    'REQUEST with two different addresses',
    ONE,
    request,
    { ciaddr: ip('10.0.0.5'), requested: '10.0.0.6' },
    'malformed',
  ],
  [
    'REQUEST with an address of three bytes',
    ONE,
    request,
    { ciaddr: ip('10.0.0.5'), options: [[50, Uint8Array.of(10, 0, 0)]] },
    'malformed',
  ],
  ['REQUEST of nothing', ONE, request, {}, 'malformed'],
  ['INFORM', ONE, inform, { ciaddr: ip('10.0.0.5') }, 'ack 0.0.0.0 ciaddr 10.0.0.5 from 10.0.0.1'],
  ['INFORM from an address not its own', ONE, inform, { ciaddr: ip('10.0.0.9') }, 'foreign-address'],
  ['DECLINE', ONE, decline, { requested: '10.0.0.5', server: '10.0.0.1' }, 'decline'],
  ['RELEASE', ONE, release, { ciaddr: ip('10.0.0.5'), server: '10.0.0.1' }, 'release'],
  ['OFFER from a guest', ONE, MESSAGE.offer, {}, 'not-a-request'],
  ['an unknown type', ONE, 77, {}, 'not-a-request'],
  ['a reply as a request', ONE, discover, { op: 2 }, 'not-a-request'],
  ['DISCOVER of another MAC', ONE, discover, { chaddr: Uint8Array.of(2, 0, 0, 0, 0, 9) }, 'foreign-mac'],
  ['DISCOVER through a relay', ONE, discover, { giaddr: ip('10.0.0.9') }, 'relayed'],
  ['DISCOVER without DHCP', WITHOUT_DHCP, discover, {}, 'no-dhcp-subnet'],
];

for (const [name, guest, type, fields, expected] of CASES) {
  test(`${name} gets: ${expected}`, () => {
    assert.equal(summary(guest, type, fields), expected);
  });
}

test('the reply keeps xid, broadcast flag, hardware address and client identifier', () => {
  const identifier = Uint8Array.of(255, 1, 2, 3);
  const asked = clientMessage(discover, {
    flags: 0xffff,
    xid: 0xdeadbeef,
    options: [[OPTION.clientIdentifier, identifier]],
  });
  const reply = replyTo(ONE, asked);
  assert.equal(reply.op, 2);
  assert.equal(reply.xid, 0xdeadbeef);
  assert.equal(reply.flags, 0x8000);
  assert.deepEqual(reply.chaddr, asked.chaddr);
  assert.deepEqual(reply.options.get(OPTION.clientIdentifier), identifier);
});

test('a NAK is broadcast and carries no configuration', () => {
  const reply = replyTo(ONE, clientMessage(request, { requested: '10.0.0.9' }));
  assert.equal(reply.flags, 0x8000);
  assert.deepEqual([...reply.options.keys()], [53, 54, 56]);
});

test('a full answer without a parameter list', () => {
  const { options } = replyTo(ONE, clientMessage(discover));
  const shown = Object.fromEntries([...options].map(([code, value]) => [code, dotted(value)]));
  assert.deepEqual(shown, {
    1: '255.255.255.0',
    3: '10.0.0.1',
    6: '10.0.0.53',
    12: '119.101.98.45.49',
    15: '101.120.97.109.112.108.101.46.111.114.103',
    26: '5.170',
    28: '10.0.0.255',
    51: '0.1.81.128',
    53: '2',
    54: '10.0.0.1',
    58: '0.0.168.192',
    59: '0.1.39.80',
    121: '32.169.254.169.254.10.0.0.1.0.10.0.0.1',
  });
});

test('the order of the parameter list is kept, unknown codes are passed over, netmask comes first', () => {
  const list = Uint8Array.of(121, 252, 6, 3, 1, 53, 54, 12);
  const { options } = replyTo(ONE, clientMessage(discover, { options: [[OPTION.parameterList, list]] }));
  assert.deepEqual([...options.keys()], [53, 54, 51, 58, 59, 1, 121, 6, 3, 12, 26]);
});

test('an INFORM gets configuration without lease times', () => {
  const { options } = replyTo(ONE, clientMessage(inform, { ciaddr: ip('10.0.0.5') }));
  assert.deepEqual(
    [...options.keys()].sort((a, b) => a - b),
    [1, 3, 6, 12, 15, 26, 28, 53, 54, 121],
  );
});

for (const [asked, given] of [
  [600, 600],
  [5, 60],
  [0xffffffff, 86_400],
] as const) {
  test(`a lease of ${asked} s asked for is ${given} s given`, () => {
    const seconds = new Uint8Array(4);
    new DataView(seconds.buffer).setUint32(0, asked);
    const { options } = replyTo(ONE, clientMessage(discover, { options: [[OPTION.leaseSeconds, seconds]] }));
    const value = options.get(OPTION.leaseSeconds) ?? new Uint8Array(4);
    assert.equal(new DataView(value.buffer, value.byteOffset).getUint32(0), given);
  });
}

test('routes: host routes first, then metadata, then the default', () => {
  const address = guestAddress({ hostRoutes: [{ destination: '10.9.0.0/16', nexthop: '10.0.0.254' }] });
  assert.deepEqual(guestRoutes(address).map(formatGuestRoute), [
    '10.9.0.0/16 via 10.0.0.254',
    '169.254.169.254/32 via 10.0.0.1',
    '0.0.0.0/0 via 10.0.0.1',
  ]);
});

test('routes: a gateway outside of the subnet is reached on the link, which is told before what needs it', () => {
  const hostRoutes = [{ destination: '10.9.0.0/16', nexthop: '10.0.0.254' }];
  const address = guestAddress({ gatewayIp: '203.0.113.1', dhcpServer: '203.0.113.1', hostRoutes });
  const { options } = replyTo(guestRecord({ addresses: [address] }), clientMessage(discover));
  const routes = decodeClasslessRoutes(options.get(OPTION.classlessRoutes) ?? new Uint8Array(0)) ?? [];
  assert.deepEqual(routes.map(formatGuestRoute), [
    '203.0.113.1/32 on link',
    '169.254.169.254/32 via 203.0.113.1',
    '0.0.0.0/0 via 203.0.113.1',
    '10.9.0.0/16 via 10.0.0.254',
  ]);
  assert.equal(dotted(options.get(OPTION.router)), '203.0.113.1');
});

test('routes: other subnets of the network are on the link, unless a host route leads there', () => {
  const hostRoutes = [{ destination: '10.2.0.0/24', nexthop: '10.0.0.254' }];
  const address = guestAddress({ hostRoutes, linkCidrs: ['10.0.0.0/24', '10.1.0.0/24', '10.2.0.0/24'] });
  assert.deepEqual(guestRoutes(address).map(formatGuestRoute), [
    '10.2.0.0/24 via 10.0.0.254',
    '169.254.169.254/32 via 10.0.0.1',
    '0.0.0.0/0 via 10.0.0.1',
    '10.1.0.0/24 on link',
  ]);
});

test('routes: metadata is on the link in a subnet without a gateway, and there is no router option', () => {
  const address = guestAddress({ gatewayIp: null, dhcpServer: '169.254.169.254' });
  assert.deepEqual(guestRoutes(address).map(formatGuestRoute), ['169.254.169.254/32 on link']);
  const { options } = replyTo(guestRecord({ addresses: [address] }), clientMessage(discover));
  assert.equal(options.has(OPTION.router), false);
});

test('routes: host routes win over the metadata and default routes, and become the router option', () => {
  const address = guestAddress({
    hostRoutes: [
      { destination: '0.0.0.0/0', nexthop: '10.0.0.254' },
      { destination: '169.254.169.254/32', nexthop: '10.0.0.2' },
    ],
  });
  assert.deepEqual(guestRoutes(address).map(formatGuestRoute), [
    '0.0.0.0/0 via 10.0.0.254',
    '169.254.169.254/32 via 10.0.0.2',
  ]);
  const { options } = replyTo(guestRecord({ addresses: [address] }), clientMessage(discover));
  assert.equal(dotted(options.get(OPTION.router)), '10.0.0.254');
});

test('RFC 3442: only the significant octets of a destination are sent', () => {
  const route = { destination: ip('10.229.0.128'), prefixLength: 25, nexthop: ip('10.0.0.1') };
  assert.deepEqual([...encodeClasslessRoutes([route])], [25, 10, 229, 0, 128, 10, 0, 0, 1]);
  assert.deepEqual([...encodeClasslessRoutes([{ ...route, prefixLength: 17 }])].slice(0, 4), [17, 10, 229, 0]);
});

/** A guest with these `extra_dhcp_opts` of DHCPv4. */
function withOptions(options: Readonly<Record<string, string>>): GuestRecord {
  const extraDhcpOptions = Object.entries(options).map(([name, value]) => {
    const parsed = parseExtraDhcpOption(4, name, value);
    assert.ok(parsed.ok, name);
    return parsed.option;
  });
  return guestRecord({ extraDhcpOptions });
}

function wants(...codes: readonly number[]): ClientFields {
  return { options: [[OPTION.parameterList, Uint8Array.from(codes)]] };
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

test('a port’s extra options win over its subnet’s, and are sent to who asks for them', () => {
  const guest = withOptions({ 'dns-server': '10.0.0.99', mtu: '1400', 'ntp-server': '10.0.0.7', '210': '/boot/' });
  const asked = replyTo(guest, clientMessage(discover, wants(6, 42, 210))).options;
  assert.deepEqual(
    [6, 26, 42].map((code) => dotted(asked.get(code))),
    ['10.0.0.99', '5.120', '10.0.0.7'],
  );
  assert.equal(textOf(asked.get(210)), '/boot/');
  const notAsked = replyTo(guest, clientMessage(discover, wants(3))).options;
  assert.deepEqual(
    [6, 42, 210].map((code) => notAsked.has(code)),
    [false, false, false],
  );
  assert.ok(replyTo(guest, clientMessage(discover)).options.has(42), 'who has no list gets all');
});

test('PXE: the next server, and server name and file in their old fields for who does not ask for the options', () => {
  const guest = withOptions({
    'server-ip-address': '10.0.0.9',
    'tftp-server': '10.0.0.9',
    'bootfile-name': 'pxelinux.0',
  });
  const plain = replyTo(guest, clientMessage(discover, wants(1, 3)));
  assert.deepEqual(
    [formatIpv4(plain.siaddr), textOf(plain.sname), textOf(plain.file)],
    ['10.0.0.9', '10.0.0.9', 'pxelinux.0'],
  );
  assert.deepEqual([plain.options.has(66), plain.options.has(67), plain.options.has(255)], [false, false, false]);
  const asking = replyTo(guest, clientMessage(discover, wants(66, 67)));
  assert.deepEqual([textOf(asking.sname), textOf(asking.file)], ['', '']);
  assert.deepEqual([textOf(asking.options.get(66)), textOf(asking.options.get(67))], ['10.0.0.9', 'pxelinux.0']);
  assert.equal(replyTo(guest, clientMessage(request, { requested: '10.0.0.9' })).siaddr, 0, 'not in a NAK');
});

test('PXE: a file name that is too long for the field is sent as option', () => {
  const name = `http://boot.example/${'a'.repeat(120)}`;
  const answer = replyTo(withOptions({ 'bootfile-name': name }), clientMessage(discover, wants(1)));
  assert.equal(textOf(answer.options.get(67)), name);
  assert.equal(answer.file.length, 0);
});

test('iPXE gets its own file by Ironic’s tags, whether it says so by option 175 or by its user class', () => {
  const guest = withOptions({ 'tag:!ipxe,67': 'undionly.kpxe', 'tag:ipxe,67': 'http://boot/script' });
  const file = (...options: readonly (readonly [number, Uint8Array])[]): string | undefined =>
    textOf(replyTo(guest, clientMessage(discover, { options: [[55, Uint8Array.of(67)], ...options] })).options.get(67));
  assert.equal(file(), 'undionly.kpxe');
  assert.equal(file([175, Uint8Array.of(1, 1, 1)]), 'http://boot/script');
  assert.equal(file([77, Buffer.from('iPXE')]), 'http://boot/script');
});

test('a router of the port’s own is the default route in option 121 too; an empty one is none', () => {
  const routes = (value: string): readonly string[] => {
    const { options } = replyTo(withOptions({ router: value }), clientMessage(discover));
    const decoded = decodeClasslessRoutes(options.get(OPTION.classlessRoutes) ?? new Uint8Array(0)) ?? [];
    return [dotted(options.get(OPTION.router)), ...decoded.map(formatGuestRoute)];
  };
  assert.deepEqual(routes('10.0.0.2'), ['10.0.0.2', '169.254.169.254/32 via 10.0.0.1', '0.0.0.0/0 via 10.0.0.2']);
  assert.deepEqual(routes(''), ['', '169.254.169.254/32 via 10.0.0.1']);
});

test('classless routes of the port’s own take the place of all others; empty, there are none', () => {
  const asked = (value: string) => {
    const guest = withOptions({ 'classless-static-route': value });
    return replyTo(guest, clientMessage(discover, wants(3, 121, 249))).options;
  };
  const own = asked('10.9.0.0/16,10.0.0.3');
  assert.deepEqual(
    [121, 249].map((code) => dotted(own.get(code))),
    ['16.10.9.10.0.0.3', '16.10.9.10.0.0.3'],
  );
  assert.deepEqual([...asked('').keys()], [53, 54, 51, 58, 59, 1, 3, 26]);
});

test('the domain is told, and its search list to who asks for it; 0.0.0.0 as name server stands for none', () => {
  const guest = guestRecord({ addresses: [guestAddress({ dnsNameservers: ['0.0.0.0'] })] });
  const { options } = replyTo(guest, clientMessage(discover, wants(6, 15, 119)));
  assert.equal(textOf(options.get(15)), 'example.org');
  assert.equal(Buffer.from(options.get(119) ?? []).toString('hex'), '076578616d706c65036f726700');
  assert.equal(options.has(6), false);
});

test('the host’s own name server is told where the subnet names none, and only there', () => {
  const servers = (dnsNameservers: readonly string[]): string => {
    const guest = guestRecord({ addresses: [guestAddress({ dnsNameservers })] });
    return dotted(replyTo(guest, clientMessage(discover), 86_400, '169.254.169.254').options.get(6));
  };
  assert.equal(servers([]), '169.254.169.254');
  assert.equal(servers(['10.0.0.53']), '10.0.0.53');
  assert.equal(servers(['0.0.0.0']), '');
});

test('fields of the next boot stage are not used for options', () => {
  const hostRoutes = Array.from({ length: 64 }, (_, n) => ({ destination: `10.${n}.0.0/16`, nexthop: '10.0.0.254' }));
  const { extraDhcpOptions } = withOptions({ 'bootfile-name': 'pxelinux.0' });
  const guest = guestRecord({ extraDhcpOptions, addresses: [guestAddress({ hostRoutes })] });
  const { bytes, omitted } = encodeDhcpMessage(replyTo(guest, clientMessage(discover, wants(121))), 548);
  assert.equal(Buffer.from(bytes.subarray(108, 119)).toString('latin1'), 'pxelinux.0\0');
  const decoded = decodeDhcpMessage(bytes);
  assert.ok(decoded.ok);
  const sent = decodeClasslessRoutes(decoded.message.options.get(121) ?? new Uint8Array(0))?.length ?? 0;
  const left = decodeClasslessRoutes(omitted[0]?.value ?? new Uint8Array(0))?.length ?? 0;
  assert.equal(sent + left, 66);
  assert.ok(sent > 40 && left > 0, `${sent} sent, ${left} left out`);
  assert.deepEqual([...(decoded.message.options.get(52) ?? [])], [2], 'only sname holds options');
});

test('fuzz: whatever a tenant writes as name and value of an option, it is refused or bytes within bounds', () => {
  const pair = (name: string, value: string): Uint8Array => Buffer.from(`${name}\0${value}`, 'latin1');
  const corpus = [
    pair('bootfile-name', 'pxelinux.0'),
    pair('tag:!ipxe,67', 'a'),
    pair('classless-static-route', '10.1.0.0/16,10.0.0.1,0.0.0.0/0,10.0.0.2'),
    pair('domain-search', 'a.example,b'),
    pair('sip-server', '10.0.0.1'),
    pair('time-offset', '-3600'),
    pair('200', '01:ff:00'),
    pair('option6:ntp-server', '2001:db8::7,ff05::101,time.example'),
    pair('bootfile-param', 'a,bc'),
  ];
  const judge = (bytes: Uint8Array): string => {
    const [name = '', ...value] = Buffer.from(bytes).toString('latin1').split('\0');
    return ([4, 6] as const)
      .map((version) => {
        const parsed = parseExtraDhcpOption(version, name, value.join('\0'));
        if (!parsed.ok) return parsed.reason.slice(0, 8);
        const { code, value: encoded } = parsed.option;
        assert.ok(code > 0 && code <= (version === 4 ? 255 : 65_535) && encoded.length <= 1024);
        assert.ok(encoded.length > 0 || [3, 121].includes(code));
        return `option ${code < 150 ? code : 'other'}`;
      })
      .join(' ');
  };
  const outcomes = fuzz({ corpus, judge, rounds: 20_000, maxBytes: 320 });
  assert.ok(outcomes.size > 20, [...outcomes.keys()].join('; '));
});
