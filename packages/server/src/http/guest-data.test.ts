import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused, startHarness } from '../testing/harness.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA ann@example.org';

test('a port keeps the keys and vendor data of its guest', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const keys = [{ name: 'ann', public_key: KEY }];
  const vendor = { 'cloud-init': '#cloud-config' };
  const fields = { 'cable:public_keys': keys, 'cable:vendor_data': vendor };
  const port = await create('port', { network_id: network['id'], ...fields });
  assert.deepEqual([port['cable:public_keys'], port['cable:vendor_data']], [keys, vendor]);
  const none = { port: { 'cable:public_keys': [], 'cable:vendor_data': null } };
  const { body } = await send('PUT', `/v2.0/ports/${port['id']}`, none);
  assert.deepEqual([body['port']?.['cable:public_keys'], body['port']?.['cable:vendor_data']], [[], null]);
});

test('what is no key, has no name or has one twice is refused', async (t) => {
  const { send, create } = await startHarness(t);
  const network = await create('network', {});
  const cases: readonly (readonly [readonly object[], RegExp])[] = [
    [[{ name: 'ann', public_key: 'not a key' }], /public_key of ann: give one line as OpenSSH writes it/],
    [[{ name: 'ann', public_key: `${KEY}\nssh-rsa AAAA` }], /give one line/],
    [[{ name: 'a\nb', public_key: KEY }], /a name has a control character/],
    [[{ name: '', public_key: KEY }], /is shorter than 1/],
    [
      [
        { name: 'ann', public_key: KEY },
        { name: 'ann', public_key: KEY },
      ],
      /the name ann is there twice/,
    ],
  ];
  for (const [keys, wanted] of cases) {
    const body = { port: { network_id: network['id'], 'cable:public_keys': keys } };
    assert.match(await refused(send('POST', '/v2.0/ports', body), 400, 'HTTPBadRequest'), wanted);
  }
});
