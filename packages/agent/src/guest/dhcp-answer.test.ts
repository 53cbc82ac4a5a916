import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GuestRecord } from '../desired.ts';
import { answerDhcp, MESSAGE } from './dhcp-answer.ts';
import type { DhcpMessage } from './dhcp-message.ts';
import { encodeClasslessRoutes, formatGuestRoute, guestRoutes, OPTION } from './dhcp-options.ts';
import { formatIpv4 } from './ipv4.ts';
import { type ClientFields, clientMessage, ip } from './testing/dhcp-client.ts';
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
  const outcome = answerDhcp(clientMessage(type, fields), guest, { leaseSeconds: 86_400 });
  if (outcome.kind === 'silence') return outcome.reason;
  const { yiaddr, ciaddr, options } = outcome.message;
  return `${outcome.type} ${formatIpv4(yiaddr)} ciaddr ${formatIpv4(ciaddr)} from ${dotted(options.get(54))}`;
}

function dotted(bytes: Uint8Array | undefined): string {
  return [...(bytes ?? [])].join('.');
}

function replyTo(guest: GuestRecord, message: DhcpMessage, leaseSeconds = 86_400): DhcpMessage {
  const outcome = answerDhcp(message, guest, { leaseSeconds });
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
    [1, 3, 6, 12, 26, 28, 53, 54, 121],
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
