import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Repeats, silentLogger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { MESSAGE } from './dhcp-answer.ts';
import { decodeDhcpMessage, encodeDhcpMessage } from './dhcp-message.ts';
import { decodeClasslessRoutes, formatGuestRoute, numberOption, OPTION } from './dhcp-options.ts';
import { answerDatagram } from './dhcp-server.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { type ClientFields, clientMessage, ip } from './testing/dhcp-client.ts';
import { fuzz } from './testing/fuzz.ts';
import { guestAddress, guestRecord } from './testing/guest-record.ts';

const FREE: RateLimit = { take: () => true };

function fixture(guest: GuestRecord, limit: RateLimit = FREE) {
  const counters: Record<string, number> = {};
  const logged: string[] = [];
  const omitted: unknown[] = [];
  const note = (fields: object, message: string): void => {
    logged.push(message);
    if ('omitted' in fields) omitted.push(fields.omitted);
  };
  const options = {
    guests: () => new Map([[guest.vif, guest]]),
    leaseSeconds: 86_400,
    nameServer: null,
    count: (name: string) => {
      counters[name] = (counters[name] ?? 0) + 1;
    },
    log: { ...silentLogger(), info: note, warn: note, error: note },
  };
  const memory = { limit, told: new Repeats(() => 0) };
  const answer = (bytes: Uint8Array, from = '198.18.0.32') => answerDatagram(options, memory, bytes, from);
  return { counters, logged, omitted, answer };
}

function bytesOf(type: number, fields: ClientFields = {}): Uint8Array {
  return encodeDhcpMessage(clientMessage(type, fields), 548).bytes;
}

test('a known guest is answered, and counted', () => {
  const { answer, counters } = fixture(guestRecord());
  assert.ok(answer(bytesOf(MESSAGE.discover)));
  assert.deepEqual(counters, { dhcp_offer: 1 });
});

for (const from of ['198.18.0.48', '198.18.0.34', '198.18.0.1', '198.18.0.0', '10.0.0.5', '198.20.0.2', '::1', '']) {
  test(`nobody is at ${from || 'an empty address'}: silence`, () => {
    const { answer, counters } = fixture(guestRecord());
    assert.equal(answer(bytesOf(MESSAGE.discover), from), undefined);
    assert.deepEqual(counters, { dhcp_ignored_unknown_guest: 1 });
  });
}

test('what guests send is counted, never logged: a guest could fill the disk', () => {
  const { answer, counters, logged } = fixture(guestRecord());
  const fields: ClientFields = { requested: '10.0.0.5', server: '10.0.0.1' };
  for (const type of Object.values(MESSAGE)) answer(bytesOf(type, fields));
  assert.equal(counters['dhcp_ignored_decline'], 1);
  assert.equal(answer(Uint8Array.of(1, 2, 3)), undefined);
  assert.deepEqual(logged, []);
});

test('a flood of one guest leaves the other its answers', () => {
  const limit = createRateLimit({ burst: 3, perSecond: 1, now: () => 0 });
  const { answer, counters } = fixture(guestRecord(), limit);
  for (let i = 0; i < 10; i += 1) answer(bytesOf(MESSAGE.discover));
  assert.deepEqual(counters, { dhcp_offer: 3, dhcp_ignored_rate_limited: 7 });
  assert.equal(limit.take(3), true);
});

test('the rate limit gives back one answer after its time', () => {
  let now = 0;
  const limit = createRateLimit({ burst: 1, perSecond: 2, now: () => now });
  assert.deepEqual([limit.take(2), limit.take(2)], [true, false]);
  now = 499;
  assert.equal(limit.take(2), false);
  now = 500;
  assert.equal(limit.take(2), true);
});

/** So many /24 behind the gateway, as host routes of the subnet. */
function manyRoutes(count: number): GuestRecord {
  const hostRoutes = Array.from({ length: count }, (_, index) => ({
    destination: `10.100.${index}.0/24`,
    nexthop: '10.0.0.1',
  }));
  return guestRecord({ addresses: [guestAddress({ hostRoutes })] });
}

const maxMessageSize = (bytes: number): readonly [number, Uint8Array] => [
  OPTION.maxMessageSize,
  Uint8Array.of(bytes >> 8, bytes & 255),
];

/** The option of an answer, and the routes in it as text. */
function routesIn(answer: Uint8Array | undefined, code: number): readonly string[] {
  const decoded = decodeDhcpMessage(answer ?? new Uint8Array(0));
  assert.ok(decoded.ok);
  const value = decoded.message.options.get(code);
  return value === undefined ? [] : (decodeClasslessRoutes(value) ?? []).map(formatGuestRoute);
}

test('40 host routes fit the smallest answer: file and sname are used too', () => {
  const { answer, counters } = fixture(manyRoutes(40));
  const reply = answer(bytesOf(MESSAGE.discover));
  assert.ok(reply !== undefined && reply.length <= 548);
  const routes = routesIn(reply, OPTION.classlessRoutes);
  assert.deepEqual(routes.slice(0, 3), [
    '169.254.169.254/32 via 10.0.0.1',
    '0.0.0.0/0 via 10.0.0.1',
    '10.100.0.0/24 via 10.0.0.1',
  ]);
  assert.equal(routes.length, 42);
  assert.deepEqual(counters, { dhcp_offer: 1 });
});

test('of 60 host routes all that fit are sent, with every other option; the log names the others, once', () => {
  const { answer, counters, logged, omitted } = fixture(manyRoutes(60));
  const reply = answer(bytesOf(MESSAGE.discover));
  assert.ok(reply !== undefined && reply.length <= 548);
  const routes = routesIn(reply, OPTION.classlessRoutes);
  assert.equal(routes.length, 50);
  const decoded = decodeDhcpMessage(reply);
  assert.ok(decoded.ok);
  const codes = [...decoded.message.options.keys()].sort((a, b) => a - b);
  assert.deepEqual(codes, [1, 3, 6, 12, 15, 26, 28, 51, 52, 53, 54, 58, 59, 121]);
  assert.ok(answer(bytesOf(MESSAGE.discover)));
  assert.deepEqual(counters, { dhcp_offer: 2, dhcp_options_omitted: 2 });
  assert.equal(logged.length, 1);
  const left = Array.from({ length: 12 }, (_, index) => `10.100.${48 + index}.0/24 via 10.0.0.1`);
  assert.deepEqual(omitted, [[`option 121: ${left.join(', ')}`]]);
});

test('a client that takes more (option 57) gets all of 60 routes, without overload', () => {
  const { answer, counters } = fixture(manyRoutes(60));
  const large = answer(bytesOf(MESSAGE.discover, { options: [maxMessageSize(1500)] }));
  assert.ok(large !== undefined && large.length > 548 && large.length <= 1472);
  assert.equal(routesIn(large, OPTION.classlessRoutes).length, 62);
  assert.deepEqual(large.subarray(44, 236), new Uint8Array(192));
  assert.deepEqual(counters, { dhcp_offer: 1 });
});

test('option 249 says what 121 says to who asks for it, and gives way to 121 where there is no room', () => {
  const list = (...codes: number[]): ClientFields => ({ options: [[OPTION.parameterList, Uint8Array.from(codes)]] });
  const old = fixture(manyRoutes(3)).answer(bytesOf(MESSAGE.discover, list(1, 249)));
  assert.deepEqual([routesIn(old, 121).length, routesIn(old, 249).length], [0, 5]);
  const both = fixture(manyRoutes(3)).answer(bytesOf(MESSAGE.discover, list(1, 249, 121)));
  assert.deepEqual(routesIn(both, 249), routesIn(both, 121));
  const { answer, counters } = fixture(manyRoutes(40));
  const full = answer(bytesOf(MESSAGE.discover, list(1, 249, 121)));
  assert.deepEqual([routesIn(full, 121).length, routesIn(full, 249).length], [42, 0]);
  assert.deepEqual(counters, { dhcp_offer: 1 });
});

test('fuzz: whatever comes, an answer is right or there is none', () => {
  const { answer, counters } = fixture(manyRoutes(45));
  const corpus = [
    bytesOf(MESSAGE.discover, { requested: '10.0.0.5', options: [[55, Uint8Array.of(1, 3, 6, 121, 249)]] }),
    bytesOf(MESSAGE.request, { requested: '10.0.0.5', server: '10.0.0.1' }),
    bytesOf(MESSAGE.request, { ciaddr: ip('10.0.0.5') }),
    bytesOf(MESSAGE.request, { ciaddr: ip('10.0.0.4') }),
    bytesOf(MESSAGE.inform, { ciaddr: ip('10.0.0.5') }),
    bytesOf(MESSAGE.discover, { options: [[52, Uint8Array.of(3)], maxMessageSize(700)] }),
  ];
  const judge = (sent: Uint8Array): string => {
    const before = new Map(Object.entries(counters));
    const reply = answer(sent);
    if (reply !== undefined) checkReply(sent, reply);
    const raised = Object.keys(counters).filter((name) => counters[name] !== before.get(name));
    return raised.join(' ');
  };
  const outcomes = fuzz({ corpus, judge, rounds: 15_000, maxBytes: 5000 });
  for (const wanted of ['dhcp_offer', 'dhcp_ack', 'dhcp_nak', 'dhcp_ignored_bad_option', 'dhcp_ignored_foreign_mac']) {
    const times = [...outcomes].filter(([name]) => name.split(' ').includes(wanted)).map(([, count]) => count);
    assert.ok(times.reduce((sum, count) => sum + count, 0) > 10, `${wanted} was reached`);
  }
});

function checkReply(sent: Uint8Array, reply: Uint8Array): void {
  const decoded = decodeDhcpMessage(reply);
  assert.ok(decoded.ok);
  const { message } = decoded;
  assert.equal(message.op, 2);
  assert.deepEqual(reply.subarray(4, 8), sent.subarray(4, 8));
  assert.deepEqual(message.chaddr, Uint8Array.of(0xfa, 0x16, 0x3e, 0, 0, 5));
  assert.ok(message.yiaddr === 0 || message.yiaddr === ip('10.0.0.5'));
  assert.ok(message.ciaddr === 0 || message.ciaddr === ip('10.0.0.5'));
  assert.equal(message.giaddr, 0);
  const type = numberOption(message.options, OPTION.messageType, 1);
  assert.ok(type === MESSAGE.offer || type === MESSAGE.ack || type === MESSAGE.nak);
  assert.equal(numberOption(message.options, OPTION.serverIdentifier, 4), ip('10.0.0.1'));
  assert.ok(reply.length >= 300 && reply.length <= 1472);
}
