import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CableError } from '@cable/model';
import { EXTENSION_TOOLS } from './extension.ts';

test('an extension’s error has a code of the table; another is told where it is made', () => {
  const error = new EXTENSION_TOOLS.CableError('HTTPConflict', 'It is there.', { detail: 'Take another.' });
  assert.ok(error instanceof CableError);
  assert.deepEqual([error.name, error.status, error.detail], ['CableError', 409, 'Take another.']);
  for (const code of ['NoSuchCode', 'toString', undefined, '']) {
    const make = (): CableError => new EXTENSION_TOOLS.CableError(code as 'NotFound', 'x');
    assert.throws(make, {
      name: 'TypeError',
      message: new RegExp(`there is no code ${code}\\. The codes are .*errors\\.ts`),
    });
  }
});
