import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHarness } from '../testing/harness.ts';
import { gluonPath } from './gluon-path.ts';

test('a path that does not begin with /proton is below it, and the root is a document', async (t) => {
  const paths: readonly (readonly [string, string])[] = [
    ['/', '/proton/-'],
    ['', '/proton/-'],
    ['/?x=1', '/proton/-?x=1'],
    ['/proton/', '/proton/'],
    ['/proton?x', '/proton?x'],
    ['/net-l3vpn/v1.0/ports', '/proton/net-l3vpn/v1.0/ports'],
    ['/protonic', '/proton/protonic'],
    ['/v2.0/ports', '/proton/v2.0/ports'],
  ];
  for (const [given, meant] of paths) assert.equal(gluonPath(given), meant);
  const { send } = await startHarness(t);
  const { body, status } = await send('GET', gluonPath('/'));
  assert.equal(status, 200);
  assert.deepEqual([body['versions']?.[0]?.['id'], body['default_version']?.['status']], ['proton', 'CURRENT']);
});
