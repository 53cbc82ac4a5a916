import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BalancerFacts, BalancerPool } from './balancer-pool.ts';

function facts(more: Partial<BalancerFacts> = {}): BalancerFacts {
  return { isOurs: true, isNone: false, wish: '', versions: [4], has: [], ...more };
}

test('a Service keeps what it has, gets what it wishes for, and else the first that is free', () => {
  const pool = new BalancerPool(['198.51.100.0/29', 'fd00:5::/64']);
  pool.load([
    ['shop/b', facts({ has: ['198.51.100.1', '203.0.113.9'] })],
    ['shop/a', facts({ has: ['198.51.100.1'] })],
    ['shop/other', facts({ isOurs: false, has: ['198.51.100.2'] })],
  ]);
  assert.deepEqual(pool.give('shop/a', facts({ has: ['198.51.100.1'] })).addresses, ['198.51.100.1']);
  assert.deepEqual(
    pool.give('shop/b', facts({ has: ['198.51.100.1'] })).addresses,
    ['198.51.100.2'],
    'it is another’s',
  );
  assert.deepEqual(pool.give('shop/c', facts({ wish: '198.51.100.5' })).addresses, ['198.51.100.5']);
  assert.deepEqual(pool.give('shop/c', facts({ wish: '198.51.100.5' })).addresses, ['198.51.100.5'], 'as before');
  assert.deepEqual(pool.give('shop/d', facts({ versions: [6, 4] })).addresses, ['fd00:5::1', '198.51.100.3']);
  const taken = pool.give('shop/e', facts({ wish: '198.51.100.5' }));
  assert.deepEqual(taken, { addresses: [], lack: 'it cannot have 198.51.100.5: Service shop/c has it' });
  const outside = pool.give('shop/e', facts({ wish: '192.0.2.1' }));
  assert.deepEqual(outside, { addresses: [], lack: 'it cannot have 192.0.2.1: it is in no --load-balancer-cidr' });
  pool.release('shop/c');
  assert.deepEqual(pool.give('shop/e', facts({ wish: '198.51.100.5' })).addresses, ['198.51.100.5']);
  assert.deepEqual(pool.give('shop/f', facts()).addresses, ['198.51.100.4']);
  assert.deepEqual(pool.give('shop/g', facts()).addresses, ['198.51.100.6']);
  const full = pool.give('shop/h', facts());
  assert.deepEqual(full, { addresses: [], lack: 'no address of IPv4 is free in the --load-balancer-cidr' });
});

test('a version of IP without a prefix is not given, and a prefix of one address is that', () => {
  const pool = new BalancerPool(['198.51.100.7/32']);
  assert.deepEqual(pool.give('shop/a', facts({ versions: [4, 6] })), { addresses: ['198.51.100.7'], lack: undefined });
});
