import assert from 'node:assert/strict';
import { test } from 'node:test';
import { outermost } from './nft-elements.ts';

test('of prefixes those stay that are in no other, as ranges without a common address', () => {
  const ranges = outermost([
    '10.0.1.0/24',
    '10.0.0.0/16',
    '10.0.0.0/24',
    '9.9.9.9/32',
    '10.0.0.0/16',
    '10.1.0.0/32',
    'nothing',
  ]);
  const text = (bytes: Uint8Array): string => bytes.join('.');
  assert.deepEqual(
    ranges.map(({ first, last }) => `${text(first)}-${text(last)}`),
    ['9.9.9.9-9.9.9.9', '10.0.0.0-10.0.255.255', '10.1.0.0-10.1.0.0'],
  );
  const [six] = outermost(['fd00::/16']);
  assert.equal(Buffer.from(six?.last ?? []).toString('hex'), `fd00${'f'.repeat(28)}`);
});
