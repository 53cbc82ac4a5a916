import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSentByIpsec } from './ipsec.ts';
import { createNetns } from './testing.ts';

const HERE = '192.0.2.10';
const TEMPLATE = ['tmpl', 'proto', 'esp', 'mode', 'transport'];

const cases: readonly (readonly [boolean, string, readonly string[]])[] = [
  [true, 'everything that this host sends', ['src', HERE, 'dst', '0.0.0.0/0', 'dir', 'out', ...TEMPLATE]],
  [true, 'its network', ['src', '192.0.2.0/25', 'dst', '198.51.100.0/24', 'dir', 'out', ...TEMPLATE]],
  [true, 'UDP', ['src', '0.0.0.0/0', 'dst', '0.0.0.0/0', 'proto', 'udp', 'dir', 'out', ...TEMPLATE]],
  [false, 'TCP', ['src', HERE, 'dst', '0.0.0.0/0', 'proto', 'tcp', 'dir', 'out', ...TEMPLATE]],
  [false, 'another network', ['src', '192.0.2.128/25', 'dst', '0.0.0.0/0', 'dir', 'out', ...TEMPLATE]],
  [false, 'what comes in', ['src', '0.0.0.0/0', 'dst', HERE, 'dir', 'in', ...TEMPLATE]],
  [false, 'what passes as it is', ['src', HERE, 'dst', '0.0.0.0/0', 'dir', 'out']],
  [false, 'IPv6', ['src', '::/0', 'dst', '::/0', 'dir', 'out', ...TEMPLATE]],
];

for (const [expected, name, words] of cases) {
  test(`an IPsec policy for ${name} ${expected ? 'is' : 'is not'} about tunnelled packets`, () => {
    const host = createNetns();
    try {
      assert.equal(isSentByIpsec(HERE, host.path), false, 'without a policy');
      host.ip('xfrm', 'policy', 'add', ...words);
      assert.equal(isSentByIpsec(HERE, host.path), expected);
    } finally {
      host.remove();
    }
  });
}
