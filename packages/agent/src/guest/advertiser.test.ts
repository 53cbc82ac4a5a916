import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { Advertiser } from './advertiser.ts';
import { linkLocalServiceAddress } from './service-address.ts';
import { guestRecord } from './testing/guest-record.ts';
import { raNetwork, raSubnet } from './testing/ra-network.ts';

const RS = Uint8Array.of(133, 0, 0, 0, 0, 0, 0, 0);

/** An advertiser with its clock, which looks every 250 ms; `sent`: seconds and VIF of what went out. */
function bed(count: number) {
  const clock = { ms: 0 };
  const guests = new Map<number, GuestRecord>();
  const sent: { readonly ms: number; readonly vif: number; readonly bytes: Uint8Array }[] = [];
  const counters: string[] = [];
  let seed = 7;
  const put = (vif: number, changes: Partial<GuestRecord> = {}): void => {
    guests.set(vif, guestRecord({ vif, portId: `port-${vif}`, advertisement: raNetwork(), ...changes }));
  };
  for (let vif = 1; vif <= count; vif += 1) put(vif);
  const advertiser = new Advertiser({
    guests: () => guests,
    count: (counter) => counters.push(counter),
    log: silentLogger(),
    send: (bytes, vif) => sent.push({ ms: clock.ms, vif, bytes }) > 0,
    now: () => clock.ms,
    random: () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed / 2 ** 31;
    },
  });
  const pass = (seconds: number): void => {
    for (const end = clock.ms + seconds * 1_000; clock.ms < end; clock.ms += 250) advertiser.look();
  };
  return { clock, guests, put, sent, counters, advertiser, pass };
}

test('1,000 guests hear their first one within a minute, not together, and the next after 200 to 600 seconds', () => {
  const { pass, sent } = bed(1_000);
  pass(60.25);
  assert.deepEqual([sent.length, new Set(sent.map(({ vif }) => vif)).size], [1_000, 1_000]);
  const perSecond = new Map<number, number>();
  for (const { ms } of sent) perSecond.set(Math.floor(ms / 1_000), (perSecond.get(Math.floor(ms / 1_000)) ?? 0) + 1);
  assert.ok(Math.max(...perSecond.values()) <= 50, `${Math.max(...perSecond.values())} in one second`);
  pass(1_300);
  const times = sent.filter(({ vif }) => vif === 1).map(({ ms }) => ms);
  assert.ok(times.length >= 3);
  for (const [i, ms] of times.slice(1).entries()) {
    const interval = ms - (times[i] ?? 0);
    assert.ok(interval >= 200_000 && interval <= 600_250, `${interval} ms`);
  }
});

test('a new guest, and one whose subnets change, is told at once and twice again; all guests at most 200 a second', () => {
  const { pass, put, sent, clock } = bed(1_000);
  pass(61);
  sent.length = 0;
  const start = clock.ms;
  const advertisement = raNetwork({ subnets: [raSubnet({ raMode: 'dhcpv6-stateful' })] });
  for (let vif = 1; vif <= 1_000; vif += 1) put(vif, { advertisement });
  put(1_001);
  pass(50);
  const after = (vif: number) => sent.filter((one) => one.vif === vif).map(({ ms }) => ms - start);
  assert.deepEqual(after(1), [0, 16_000, 32_000]);
  assert.equal(after(1_001).length, 3);
  assert.equal(sent.find(({ vif }) => vif === 1)?.bytes[5], 0xc0);
  assert.ok(sent.filter(({ ms }) => ms < start + 1_000).length <= 200);
});

test('the same said anew is no change; a number that is another port now is', () => {
  const { pass, put, sent } = bed(1);
  pass(61);
  sent.length = 0;
  put(1);
  pass(60);
  assert.equal(sent.length, 0);
  put(1, { portId: 'another' });
  pass(1);
  assert.equal(sent.length, 1);
});

test('a prefix that is gone is called so for two hours, unless it comes back', () => {
  const { pass, put, sent } = bed(1);
  const [kept, gone] = [raSubnet(), raSubnet({ cidr: '2001:db8:9::/64' })];
  /** Flags and both lifetimes of the prefix that goes, as last told. */
  const told = (): string | undefined => {
    const hex = Buffer.from(sent.at(-1)?.bytes ?? []).toString('hex');
    return /0304(40..)(.{8})(.{8})0{8}20010db80009/.exec(hex)?.slice(1).join(' ');
  };
  put(1, { advertisement: raNetwork({ subnets: [kept, gone] }) });
  pass(61);
  assert.equal(told(), '40c0 00015180 00003840');
  put(1, { advertisement: raNetwork({ subnets: [kept] }) });
  pass(7_000);
  assert.equal(told(), '4040 00000000 00000000');
  pass(900);
  assert.equal(told(), undefined);
  put(1, { advertisement: raNetwork({ subnets: [kept, gone] }) });
  put(1, { advertisement: raNetwork({ subnets: [kept] }) });
  pass(1);
  put(1, { advertisement: raNetwork({ subnets: [kept, gone] }) });
  pass(1);
  assert.equal(told(), '40c0 00015180 00003840');
});

test('a guest without a router, and one that is gone, hears nothing', () => {
  const { pass, put, sent, guests } = bed(2);
  pass(61);
  sent.length = 0;
  put(1, { advertisement: null });
  guests.delete(2);
  pass(1_300);
  assert.equal(sent.length, 0);
});

test('a solicitation is answered at once, to its sender, ten in a row and then one a second', () => {
  const { advertiser, sent, counters, clock } = bed(2);
  for (let i = 0; i < 12; i += 1) advertiser.hear(RS, linkLocalServiceAddress(2));
  clock.ms += 1_000;
  advertiser.hear(RS, linkLocalServiceAddress(2));
  advertiser.hear(RS, linkLocalServiceAddress(1));
  assert.deepEqual(
    sent.map(({ vif }) => vif),
    [...new Array(11).fill(2), 1],
  );
  assert.equal(counters.filter((one) => one === 'ra_ignored_rate_limited').length, 2);
});

for (const [what, bytes, sender, counter] of [
  ['a stranger', RS, 'fdca:b1e0::1', 'ra_ignored_unknown_guest'],
  ['an unknown guest', RS, linkLocalServiceAddress(9), 'ra_ignored_unknown_guest'],
  ['half a solicitation', RS.slice(0, 4), linkLocalServiceAddress(1), 'ra_ignored_short'],
] as const) {
  test(`silence for ${what}`, () => {
    const { advertiser, sent, counters } = bed(1);
    advertiser.hear(bytes, sender);
    assert.deepEqual([sent.length, counters], [0, [counter]]);
  });
}
