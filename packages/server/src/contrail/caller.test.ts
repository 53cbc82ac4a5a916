import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CableError } from '@cable/model';
import type { EngineDeps } from '../engine/context.ts';
import type { UserCaller } from '../http/auth.ts';
import { credentialsOf, NOBODYS_PROJECT } from '../policy/credentials.ts';
import { createCallers } from './caller.ts';

const CONTEXT = { userId: 'u', projectId: 'other', isAdmin: true, roles: [], requestId: null };

/** Nobody is an administrator by the rules. */
const deps = { permission: { policy: { for: () => ({ isAdmin: false }) } } } as unknown as Pick<
  EngineDeps,
  'permission'
>;

test('a context of no project is of none, not of that which ports of the outside have', () => {
  const credentials = { ...credentialsOf({ projectId: 'own', roles: ['service'] }), isAdmin: false };
  const sender: UserCaller = { kind: 'user', credentials, projectGiven: true };
  const caller = createCallers(deps)(sender, { ...CONTEXT, projectId: null, isAdmin: false });
  assert.deepEqual([caller.credentials.projectId, caller.projectGiven], [NOBODYS_PROJECT, false]);
});

test('a service of Keystone’s is believed, and a certificate with the role service is not', () => {
  const callerOf = createCallers(deps);
  const credentials = {
    ...credentialsOf({ projectId: 'own', roles: ['member', 'reader', 'service'] }),
    isAdmin: false,
  };
  const byToken: UserCaller = { kind: 'user', credentials, projectGiven: true };
  assert.equal(callerOf(byToken, CONTEXT).credentials.isAdmin, true);
  assert.throws(
    () => callerOf({ ...byToken, byCertificate: true }, CONTEXT),
    (err) => err instanceof CableError && err.code === 'PolicyNotAuthorized',
  );
  const own = { ...CONTEXT, projectId: 'own' };
  assert.equal(callerOf({ ...byToken, byCertificate: true }, own).credentials, credentials);
});
