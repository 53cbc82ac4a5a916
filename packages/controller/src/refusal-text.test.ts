import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import { onlyOne, Unfit } from './pod-place.ts';
import { refusalText } from './refusal-text.ts';

const STORE = { namespace: 'shop', name: 'store', interfaceName: 'net1' };

function thrown(run: () => unknown): Error {
  try {
    run();
  } catch (err) {
    if (err instanceof Error) return err;
  }
  return assert.fail('nothing was thrown');
}

const missing = (type: string): Error => thrown(() => onlyOne([], type, 'nowhere'));
const refused = (type: string, message: string): Error => new ApiError(409, type, message, '');

test('what is not there, or is refused, is told with the annotation that asks for it', () => {
  const taken = refused('IpAddressAlreadyAllocated', 'IP address 10.0.0.5 already allocated in subnet s');
  const cases: readonly (readonly [err: Error, annotation: string])[] = [
    [missing('network'), 'cable.io/network'],
    [missing('subnet'), 'ovn.kubernetes.io/logical_switch'],
    [missing('security_group'), 'cable.io/security-groups'],
    [missing('tap_service'), 'cable.io/mirror'],
    [missing('address or port'), 'ovn.kubernetes.io/aaps'],
    [taken, 'cable.io/ip-address'],
    [taken, 'ovn.kubernetes.io/ip_pool'],
    [refused('InvalidIpForNetwork', 'IP address 10.9.9.9 is not a valid IP'), 'cable.io/ip-pool'],
    [refused('HTTPBadRequest', "Invalid input for fixed_ips. Reason: '::ffff:10.0.0.5'"), 'cable.io/ip-address'],
    [refused('HTTPBadRequest', "Invalid input for mac_address. Reason: 'ff:ff:ff:ff:ff:ff'"), 'cable.io/mac-address'],
    [refused('HTTPBadRequest', 'a port cannot have the MAC address 01:00:5e:00:00:01'), 'cable.io/mac-address'],
    [refused('MacAddressInUse', 'Unable to complete operation'), 'ovn.kubernetes.io/mac_address'],
    [refused('HTTPBadRequest', 'Invalid input for allowed_address_pairs.'), 'cable.io/allowed-address-pairs'],
  ];
  for (const [err, annotation] of cases)
    assert.equal(refusalText(err, { annotations: { [annotation]: 'x' } }), `annotation ${annotation}: ${err.message}`);
});

test('of a further interface it is the annotation of that one; what no annotation asks for names none', () => {
  const own = 'store.shop.cable.io/subnet';
  const annotations = { 'cable.io/subnet': 'front', [own]: 'nowhere' };
  assert.match(
    refusalText(missing('subnet'), { annotations }, STORE),
    /^annotation store\.shop\.cable\.io\/subnet: there/,
  );
  assert.match(refusalText(missing('subnet'), { annotations: {} }, STORE), /^there is no subnet nowhere/);
  assert.equal(refusalText(new Unfit('its subnet overlaps'), { annotations }), 'its subnet overlaps');
  const quota = new ApiError(409, 'OverQuota', 'Quota exceeded for resources: port.', 'Ask for more.');
  assert.equal(refusalText(quota, { annotations }), 'Quota exceeded for resources: port. Ask for more.');
});
