import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkLocalServiceAddress, SERVICE_ADDRESS6, vifOf } from './service-address.ts';

for (const [address, vif] of [
  ['198.18.0.32', 2],
  ['198.18.0.33', 2],
  ['198.18.0.34', undefined],
  ['198.18.0.1', undefined],
  ['fdca:b1e0::10', 1],
  ['fdca:b1e0::1f', 1],
  ['fdca:b1e0::1:fff0', 8191],
  ['fdca:b1e0::1:ffff', 8191],
  ['fdca:b1e0::2:0', undefined],
  ['fdca:b1e0::11', undefined],
  ['fdca:b1e0::1', undefined],
  ['fdca:b1e0::f', undefined],
  ['fdca:b1e0::', undefined],
  ['fdca:b1e0:0:1::10', undefined],
  ['fdca:b1e0::1:0:10', undefined],
  ['fdca:b1e1::10', undefined],
  ['::ffff:198.18.0.32', undefined],
  ['fe80::10%eth0', undefined],
  [':', undefined],
] as const) {
  test(`vifOf: ${address}: ${vif}`, () => {
    assert.equal(vifOf(address), vif);
  });
}

test('addresses of the agent, and of guests', () => {
  assert.equal(SERVICE_ADDRESS6, 'fdca:b1e0::1');
  assert.equal(linkLocalServiceAddress(1), 'fdca:b1e0::1f');
  assert.equal(linkLocalServiceAddress(8191), 'fdca:b1e0::1:ffff');
});
