/** What becomes of an object that a custom resource takes over, or gives back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deletionOf, isAdopting } from './adoption.ts';
import { rangesLeft } from './subnet-ranges.ts';

const ID = '6a1d2f3b-5c4e-4d7f-8a9b-0c1d2e3f4a5b';
const of = (annotations: Readonly<Record<string, string>>) => ({ metadata: { name: 'web', annotations } });

test('what was not wholly taken over is never deleted; else the policy says what becomes of it', () => {
  const policies = (more: Readonly<Record<string, string>>) =>
    [undefined, 'delete', 'retain', 'Retain'].map((said) =>
      deletionOf(of({ ...more, ...(said === undefined ? {} : { 'cable.io/deletion-policy': said }) })),
    );
  assert.deepEqual(policies({}), ['delete', 'delete', 'retain', undefined]);
  assert.deepEqual(policies({ 'cable.io/adopt': ID }), ['retain', 'retain', 'retain', 'retain']);
  const taken = { 'cable.io/adopt': ID, 'cable.io/adopted': ID };
  assert.deepEqual(policies(taken), ['delete', 'delete', 'retain', undefined]);
  assert.equal(isAdopting(of({ ...taken, 'cable.io/adopted': 'another' })), true);
  assert.equal(isAdopting(of({ 'cable.io/adopted': ID })), false);
});

test('ranges that a subnet has in no pool are what excludeIps says of it', () => {
  const left = (cidr: string, gateway: string, ...pools: readonly (readonly [start: string, end: string])[]) =>
    rangesLeft({ cidr, gateway_ip: gateway, allocation_pools: pools.map(([start, end]) => ({ start, end })) });
  assert.deepEqual(left('10.0.0.0/24', '10.0.0.1', ['10.0.0.2', '10.0.0.254']), []);
  assert.deepEqual(left('10.0.0.0/24', '10.0.0.9', ['10.0.0.10', '10.0.0.20'], ['10.0.0.22', '10.0.0.254']), [
    '10.0.0.1..10.0.0.8',
    '10.0.0.21',
  ]);
  assert.deepEqual(left('fd00::/64', 'fd00::1', ['fd00::2', 'fd00::ffff:ffff:ffff:ffff']), []);
  assert.deepEqual(left('10.0.0.0/30', '10.0.0.1'), ['10.0.0.2']);
});
