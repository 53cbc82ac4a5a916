import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Repeats, silentLogger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { MESSAGE6 } from './dhcp6-answer.ts';
import { decodeDhcp6Message, encodeDhcp6Message } from './dhcp6-message.ts';
import { OPTION6 } from './dhcp6-options.ts';
import { answerGuest6 } from './dhcp6-server.ts';
import { createRateLimit, type RateLimit } from './rate-limit.ts';
import { linkLocalServiceAddress } from './service-address.ts';
import { client6Message, guest6Address, iaOption, requestedOption } from './testing/dhcp6-client.ts';
import { guestAddress, guestRecord } from './testing/guest-record.ts';

const FREE: RateLimit = { take: () => true };
const GUEST = linkLocalServiceAddress(2);
const SOLICIT = bytesOf(MESSAGE6.solicit);

function bytesOf(type: number): Uint8Array {
  return encodeDhcp6Message(client6Message(type, { options: [iaOption(1)] }), 1232).bytes;
}

function address6(changes: Partial<ReturnType<typeof guestAddress>> = {}): ReturnType<typeof guestAddress> {
  return guestAddress({ ...guest6Address(), ipVersion: 6, gatewayIp: '2001:db8::1', ...changes });
}

/** A server that knows one guest, with an IPv4 address beside that of IPv6. */
function fixture(changes: Partial<GuestRecord> = {}, limit: RateLimit = FREE) {
  const counters: Record<string, number> = {};
  const logged: unknown[] = [];
  const note = (fields: object): void => {
    logged.push(fields);
  };
  const guest = guestRecord({ addresses: [guestAddress(), address6()], ...changes });
  const options = {
    guests: () => new Map([[guest.vif, guest]]),
    leaseSeconds: 86_400,
    count: (name: string) => {
      counters[name] = (counters[name] ?? 0) + 1;
    },
    log: { ...silentLogger(), info: note, warn: note, error: note },
  };
  const memory = { limit, told: new Repeats(() => 0) };
  const answer = (bytes: Uint8Array, from = GUEST) => answerGuest6(options, memory, bytes, from);
  return { counters, logged, answer };
}

test('a known guest is offered its IPv6 address alone, and counted', () => {
  const { answer, counters } = fixture();
  const decoded = decodeDhcp6Message(answer(SOLICIT) ?? new Uint8Array(0));
  assert.ok(decoded.ok);
  assert.equal(decoded.message.type, MESSAGE6.advertise);
  const ia = decoded.message.options.find(({ code }) => code === OPTION6.iaNa)?.value;
  assert.match(Buffer.from(ia ?? []).toString('hex'), /^.{24}0005001820010db8000000000000000000000005/);
  assert.deepEqual(counters, { dhcp6_advertise: 1 });
});

for (const [what, from] of [
  ['the agent', 'fdca:b1e0::1'],
  ['another VIF', linkLocalServiceAddress(3)],
  ['an address of the VIF that it does not ask from', 'fdca:b1e0::21'],
  ['a link-local address', 'fe80::1'],
  ['nowhere', ''],
] as const) {
  test(`silence for ${what}`, () => {
    const { answer, counters } = fixture();
    assert.equal(answer(SOLICIT, from), undefined);
    assert.deepEqual(counters, { dhcp6_ignored_unknown_guest: 1 });
  });
}

test('a guest without a subnet with DHCPv6 hears nothing', () => {
  const { answer, counters } = fixture({ addresses: [guestAddress(), address6({ addressMode: 'slaac' })] });
  assert.equal(answer(SOLICIT), undefined);
  assert.deepEqual(counters, { dhcp6_ignored_no_dhcp_subnet: 1 });
});

test('what guests send is counted, never logged: a guest could fill the disk', () => {
  const { answer, counters, logged } = fixture();
  for (const type of Object.values(MESSAGE6)) answer(bytesOf(type));
  assert.equal(answer(Uint8Array.of(1, 2)), undefined);
  assert.equal(counters['dhcp6_ignored_short'], 1);
  assert.deepEqual(logged, []);
});

test('a flood of one guest leaves the other its answers', () => {
  const limit = createRateLimit({ burst: 3, perSecond: 1, now: () => 0 });
  const { answer, counters } = fixture({}, limit);
  for (let i = 0; i < 10; i += 1) answer(SOLICIT);
  assert.deepEqual(counters, { dhcp6_advertise: 3, dhcp6_ignored_rate_limited: 7 });
  assert.equal(limit.take(3), true);
});

test('what the answer has no room for is counted each time, and logged once', () => {
  const extraDhcp6Options = [{ code: 200, value: new Uint8Array(1300), client: 'any' }] as const;
  const { answer, counters, logged } = fixture({ extraDhcp6Options });
  const asks = client6Message(MESSAGE6.solicit, { options: [iaOption(1), requestedOption(200)] });
  for (let i = 0; i < 2; i += 1) assert.ok(answer(encodeDhcp6Message(asks, 1232).bytes));
  assert.deepEqual(counters, { dhcp6_advertise: 2, dhcp6_options_omitted: 2 });
  assert.deepEqual(logged, [{ port: guestRecord().portId, omitted: [200] }]);
});
