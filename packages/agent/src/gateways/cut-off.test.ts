import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouterGateway } from '@cable/model';
import { CutOff } from './cut-off.ts';

test('a router whose ports are leased is cut off without a carrier, and for some seconds after that', () => {
  let ms = 0;
  let hasCarrier = true;
  const cutOff = new CutOff({
    slices: { header: ((key: string) => (key === 'network:x' ? { wire: { physicalNetwork: 'p' } } : {})) as never },
    hasCarrier: (physical) => physical === 'p' && hasCarrier,
    now: () => ms,
  });
  const gateway = (networkId: string, leased: boolean): RouterGateway => ({ networkId, leased }) as never;
  cutOff.take('one', gateway('x', true));
  cutOff.take('shared', gateway('x', false));
  cutOff.take('tunnelled', gateway('y', true));
  assert.deepEqual(cutOff.look(), []);
  hasCarrier = false;
  assert.deepEqual(cutOff.look(), ['one']);
  assert.deepEqual(
    ['one', 'shared', 'tunnelled'].map((id) => cutOff.has(id)),
    [true, false, false],
  );
  assert.deepEqual(cutOff.look(), []);
  hasCarrier = true;
  ms = 4999;
  assert.deepEqual(cutOff.look(), []);
  ms = 5000;
  assert.deepEqual(cutOff.look(), ['one']);
  assert.ok(!cutOff.has('one'));
  hasCarrier = false;
  assert.deepEqual(cutOff.look(), ['one']);
  cutOff.take('one', undefined);
  assert.deepEqual(cutOff.look(), ['one']);
  assert.ok(!cutOff.has('one'));
});
