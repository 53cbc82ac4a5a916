/** Addresses that several Services have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Announced } from '../plan/entrances.ts';
import { merged } from './merged.ts';

const address = '203.0.113.7';

function hostsOf(...all: readonly (readonly string[] | undefined)[]): readonly string[] | undefined {
  const services = all.map((hosts, n): Announced => ({ address, service: String(n), hosts }));
  return merged(services).get(address)?.hosts;
}

test('an address is where all its Services have endpoints, else where the first has', () => {
  assert.equal(hostsOf(undefined, undefined), undefined);
  assert.deepEqual(hostsOf(['a', 'b'], ['b', 'c']), ['b']);
  assert.deepEqual(hostsOf(['a'], ['c']), ['a']);
  assert.deepEqual(hostsOf(undefined, ['c']), ['c']);
});

test('a Service without endpoints takes the address from no other, whichever is the first', () => {
  assert.deepEqual(hostsOf([], ['b']), ['b']);
  assert.equal(hostsOf([], undefined), undefined);
  assert.deepEqual(hostsOf(['b'], []), ['b']);
  assert.deepEqual(hostsOf([], []), []);
});
