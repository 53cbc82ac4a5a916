import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exhausted, PoolTurns, parsePool, placesFor } from './ip-pool.ts';

const named = (text: string) => parsePool({ name: 'cable.io/ip-pool', text });

test('a pool is addresses and ranges; those of both versions of IP go together', () => {
  const cases: Readonly<Record<string, readonly (readonly string[])[]>> = {
    '10.0.0.5, 10.0.0.9': [['10.0.0.5'], ['10.0.0.9']],
    '10.0.0.5..10.0.0.7': [['10.0.0.5'], ['10.0.0.6'], ['10.0.0.7']],
    'FD00::5,10.0.0.5': [['fd00::5', '10.0.0.5']],
    '10.0.0.5..10.0.0.6,fd00::5,fd00::8': [
      ['10.0.0.5', 'fd00::5'],
      ['10.0.0.6', 'fd00::8'],
    ],
    '10.0.0.5,fd00::5;10.0.0.6,fd00::6;': [
      ['10.0.0.5', 'fd00::5'],
      ['10.0.0.6', 'fd00::6'],
    ],
    '10.0.0.5;10.0.0.6': [['10.0.0.5'], ['10.0.0.6']],
  };
  for (const [text, places] of Object.entries(cases)) assert.deepEqual(named(text).places, places, text);
});

test('what is no pool is told by its annotation and the part that is wrong', () => {
  const cases: Readonly<Record<string, RegExp>> = {
    blue: /cable\.io\/ip-pool: "blue" is no address/,
    '10.0.0.0/24': /"10\.0\.0\.0\/24" is no address/,
    '10.0.0.5..10.0.0.3': /is no range/,
    '10.0.0.5..fd00::5': /is no range/,
    '10.0.0.1..10.0.0.2..10.0.0.3': /is no address/,
    '10.0.0.0..10.1.0.0': /more than 1024/,
    '::..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff': /more than 1024/,
    '10.0.0.0..10.0.2.255,10.0.4.0..10.0.6.255': /1536 addresses are more than 1024/,
    '10.0.0.5,10.0.0.6,fd00::5': /2 addresses of one version of IP and 1 of the other/,
    '10.0.0.5,10.0.0.6;10.0.0.7': /two addresses of one version/,
    '10.0.0.5,10.0.0.4..10.0.0.6': /10\.0\.0\.5 is there twice/,
  };
  for (const [text, message] of Object.entries(cases)) assert.throws(() => named(text), { message }, text);
});

test('a StatefulSet’s pod has the place of its ordinal, others have any', () => {
  const pool = named('10.0.0.5,10.0.0.6');
  assert.deepEqual(placesFor(pool, undefined), [['10.0.0.5'], ['10.0.0.6']]);
  assert.deepEqual(placesFor(pool, 1), [['10.0.0.6']]);
  assert.deepEqual(placesFor(pool, 2), []);
});

test('who is in the way is named, but not to other namespaces', () => {
  const pool = named('10.0.0.5..10.0.0.7');
  const turns = new PoolTurns();
  assert.equal(turns.enter('n', ['10.0.0.7'], 'shop/c'), true);
  assert.equal(turns.enter('n', ['10.0.0.7', 'fd00::7'], 'shop/d'), false);
  const keys: Readonly<Record<string, string>> = { '10.0.0.5': 'shop/a', '10.0.0.6': 'bank/b' };
  const holder = (_: string, address: string) => {
    const key = keys[address];
    return key === undefined ? undefined : ({ origin: { kind: 'Pod', key, uid: 'u' } } as never);
  };
  const what = { pool, networkId: 'n', places: pool.places, ordinal: undefined };
  const say = (namespace: string) =>
    exhausted({ ...what, namespace }, { book: { holder }, turns, isThere: () => false });
  assert.equal(
    say('shop'),
    'pool cable.io/ip-pool (10.0.0.5..10.0.0.7) is exhausted: 10.0.0.5 is pod shop/a’s, which is gone, and has not let go of it yet, ' +
      '10.0.0.6 is another namespace’s, 10.0.0.7 is pod shop/c’s',
  );
  assert.doesNotMatch(say('bank'), /shop/);
});

test('what a pool has is counted before it is written out', () => {
  const range = '10.0.0.0..10.0.3.255';
  const text = Array(3000).fill(range).join(',');
  const before = process.cpuUsage();
  assert.throws(() => named(text), { message: /more than 1024/ });
  assert.throws(() => named(Array(2000).fill(range).join(';')), { message: /2048000 addresses are more than 1024/ });
  assert.throws(() => named('::,'.repeat(80_000)), { message: /80000 addresses and ranges/ });
  const { user } = process.cpuUsage(before);
  assert.ok(user < 1_000_000, `took ${user} µs`);
  assert.equal(named('10.0.0.0..10.0.3.255,fd00::..fd00::3ff').places.length, 1024);
  assert.ok((messageOf(() => named('x'.repeat(60_000))) ?? '').length < 300);
});

function messageOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (err) {
    return err instanceof Error ? err.message : undefined;
  }
}
