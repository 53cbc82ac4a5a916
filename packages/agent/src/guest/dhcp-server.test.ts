import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { MESSAGE } from './dhcp-answer.ts';
import { decodeDhcpMessage, encodeDhcpMessage } from './dhcp-message.ts';
import { numberOption, OPTION } from './dhcp-options.ts';
import { answerDatagram } from './dhcp-server.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { type ClientFields, clientMessage, ip } from './testing/dhcp-client.ts';
import { guestAddress, guestRecord } from './testing/guest-record.ts';

const FREE: RateLimit = { take: () => true };

function fixture(guest: GuestRecord, limit: RateLimit = FREE) {
  const counters: Record<string, number> = {};
  const logged: string[] = [];
  const note = (_fields: object, message: string): void => {
    logged.push(message);
  };
  const options = {
    guests: () => new Map([[guest.slot, guest]]),
    leaseSeconds: 86_400,
    count: (name: string) => {
      counters[name] = (counters[name] ?? 0) + 1;
    },
    log: { ...silentLogger(), info: note, warn: note, error: note },
  };
  const answer = (bytes: Uint8Array, from = '198.18.0.2') => answerDatagram(options, limit, bytes, from);
  return { counters, logged, answer };
}

function bytesOf(type: number, fields: ClientFields = {}): Uint8Array {
  return encodeDhcpMessage(clientMessage(type, fields), 548).bytes;
}

test('a known guest is answered, and counted', () => {
  const { answer, counters } = fixture(guestRecord());
  assert.ok(answer(bytesOf(MESSAGE.discover)));
  assert.deepEqual(counters, { dhcp_offer: 1 });
});

for (const from of ['198.18.0.3', '198.18.0.1', '198.18.0.0', '10.0.0.5', '198.20.0.2', '::1', '']) {
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

const MANY_ROUTES = Array.from({ length: 60 }, (_, index) => ({
  destination: `10.100.${index}.0/24`,
  nexthop: '10.0.0.1',
}));
const BIG = guestRecord({ addresses: [guestAddress({ hostRoutes: MANY_ROUTES })] });

test('an answer stays within 576 bytes unless the client takes more (option 57)', () => {
  const small = fixture(BIG).answer(bytesOf(MESSAGE.discover));
  assert.ok(small !== undefined && small.length <= 548);
  const size: readonly [number, Uint8Array] = [OPTION.maxMessageSize, Uint8Array.of(5, 220)];
  const { answer, counters } = fixture(BIG);
  const large = answer(bytesOf(MESSAGE.discover, { options: [size] }));
  assert.ok(large !== undefined && large.length > 548 && large.length <= 1472);
  const decoded = decodeDhcpMessage(large);
  assert.ok(decoded.ok);
  assert.equal(decoded.message.options.get(OPTION.classlessRoutes)?.length, 60 * 8 + 9 + 5);
  assert.deepEqual(counters, { dhcp_offer: 1 });
});

/** Deterministic numbers (xorshift32): a failure can be run again. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function mutate(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const changed = bytes.slice(0, random(8) === 0 ? random(bytes.length + 1) : bytes.length);
  for (let i = random(6); i > 0 && changed.length > 0; i -= 1) {
    const at = random(3) === 0 ? random(changed.length) : Math.min(changed.length - 1, 236 + random(60));
    changed[at] = random(256);
  }
  return changed;
}

test('fuzz: whatever comes, an answer is right or there is none', () => {
  const random = randomFrom(0x0cab1e01);
  const { answer, counters } = fixture(guestRecord());
  const seeds = [
    bytesOf(MESSAGE.discover, { requested: '10.0.0.5', options: [[55, Uint8Array.of(1, 3, 6, 121)]] }),
    bytesOf(MESSAGE.request, { requested: '10.0.0.5', server: '10.0.0.1' }),
    bytesOf(MESSAGE.request, { ciaddr: ip('10.0.0.5') }),
    bytesOf(MESSAGE.inform, { ciaddr: ip('10.0.0.5') }),
    bytesOf(MESSAGE.discover, {
      options: [
        [52, Uint8Array.of(3)],
        [57, Uint8Array.of(2, 64)],
      ],
    }),
  ];
  for (let round = 0; round < 40_000; round += 1) {
    const seed = seeds[random(seeds.length)] ?? new Uint8Array(0);
    const sent = random(5) === 0 ? Uint8Array.from({ length: random(700) }, () => random(256)) : mutate(seed, random);
    const reply = answer(sent);
    if (reply !== undefined) checkReply(sent, reply);
  }
  for (const name of ['dhcp_offer', 'dhcp_ack', 'dhcp_nak', 'dhcp_ignored_bad_option', 'dhcp_ignored_foreign_mac']) {
    assert.ok((counters[name] ?? 0) > 10, `${name} was reached`);
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
