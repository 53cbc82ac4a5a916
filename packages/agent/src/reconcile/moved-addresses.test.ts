import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CB_ENDPOINT_NAT, CB_ENDPOINT_REMOTE, CB_ENDPOINT_VIF, MAPS } from '../bpf/abi.gen.ts';
import type { ByteText } from '../bpf/codec.ts';
import { formatAddress, formatMac, parseAddress, parseMac } from '../plan/address.ts';
import { endpointOf } from '../plan/endpoint-entries.ts';
import { sampleMac } from '../plan/testing/sample.ts';
import { MovedAddresses } from './moved-addresses.ts';

function keyOf(net: number, address: string): ByteText {
  const addr = parseAddress(address);
  assert.ok(addr);
  return MAPS.cb_ep_2.key.text({ net, addr });
}

/** An endpoint on the host, or on another one. */
function at(mac: number, where: { readonly vif?: number; readonly tunnel?: number } = {}): ByteText {
  const bytes = parseMac(sampleMac(mac));
  assert.ok(bytes);
  const { vif, tunnel = 2 } = where;
  return MAPS.cb_ep_2.value.text(
    vif === undefined
      ? endpointOf({ kind: CB_ENDPOINT_REMOTE, mac: bytes, tunnel })
      : endpointOf({ kind: CB_ENDPOINT_VIF, mac: bytes, vif }),
  );
}

function told(moved: MovedAddresses): string[] {
  return moved.take().map(({ net, address, mac, vif }) => `${net} ${formatAddress(address)} ${formatMac(mac)} ${vif}`);
}

const KEY = keyOf(101, '10.0.0.6');

test('an address has moved when another MAC replaces its own, and when one comes to it that had another before', () => {
  const moved = new MovedAddresses();
  moved.put(KEY, undefined, at(6));
  assert.deepEqual(told(moved), [], 'nobody knew it');
  moved.put(KEY, at(6), at(7));
  assert.deepEqual(told(moved), [`101 10.0.0.6 ${sampleMac(7)} 0`]);
  moved.delete(KEY, at(7));
  assert.deepEqual(told(moved), [], 'nobody has it');
  moved.put(KEY, undefined, at(8, { vif: 50 }));
  assert.deepEqual(told(moved), [`101 10.0.0.6 ${sampleMac(8)} 50`]);
});

test('an address that is outside is told whenever it comes here, for nobody here knows who has it outside', () => {
  const moved = new MovedAddresses();
  const mac = parseMac(sampleMac(6));
  assert.ok(mac);
  const outside = MAPS.cb_ep_2.value.text(endpointOf({ kind: CB_ENDPOINT_NAT, mac, vif: 3, vrf: 1 }));
  moved.put(KEY, undefined, outside);
  assert.deepEqual(
    moved.take().map(({ isHere }) => isHere),
    [true],
  );
  moved.put(KEY, outside, outside);
  assert.deepEqual(moved.take(), [], 'it was here');
});

test('an address that keeps its MAC has not moved, wherever it is, nor has the same address of another network', () => {
  const moved = new MovedAddresses();
  moved.put(KEY, at(6), at(6, { tunnel: 3 }));
  moved.delete(KEY, at(6));
  moved.put(KEY, undefined, at(6, { vif: 50 }));
  moved.put(keyOf(102, '10.0.0.6'), undefined, at(7));
  assert.deepEqual(told(moved), []);
});

test('of several moves before it is asked the last is told, and none when nobody has the address in the end', () => {
  const moved = new MovedAddresses();
  moved.put(KEY, at(6), at(7));
  moved.put(KEY, at(7), at(8));
  assert.deepEqual(told(moved), [`101 10.0.0.6 ${sampleMac(8)} 0`]);
  moved.put(KEY, at(8), at(9));
  moved.delete(KEY, at(9));
  assert.deepEqual(told(moved), []);
});

test('of very many addresses that are gone the oldest are forgotten', () => {
  const moved = new MovedAddresses();
  for (let n = 0; n < 17_000; n += 1) moved.delete(keyOf(n, '10.0.0.6'), at(6));
  moved.put(keyOf(0, '10.0.0.6'), undefined, at(7));
  assert.deepEqual(told(moved), []);
  moved.put(keyOf(16_999, '10.0.0.6'), undefined, at(7));
  assert.equal(told(moved).length, 1);
});
