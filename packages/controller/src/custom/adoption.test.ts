/** What becomes of an object that a custom resource takes over, or gives back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deletionOf, isAdopting } from './adoption.ts';

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
