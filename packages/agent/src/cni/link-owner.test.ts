import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatOwner, isPluggedBy, type LinkOwner, markOf, parseOwner } from './link-owner.ts';

const PORT_ID = 'aaaaaaa0-bbbb-4ccc-8ddd-000000000000';
const OWNER: LinkOwner = {
  portId: PORT_ID,
  plugged: {
    containerId: 'c.1_-',
    interfaceName: 'eth0',
    networkMark: markOf('pods'),
    limits: { egress: { maxKbps: 10_000, burstKbits: 0 } },
  },
};

test('whose a link is fits into its alias, and is read from it again', () => {
  const alias = formatOwner(OWNER);
  assert.deepEqual(parseOwner(alias), OWNER);
  const limit = { maxKbps: 2 ** 31 - 1, burstKbits: 2 ** 31 - 1 };
  const longest = {
    containerId: 'c'.repeat(128),
    interfaceName: 'i'.repeat(15),
    networkMark: markOf('x'.repeat(255)),
    limits: { ingress: limit, egress: limit },
  };
  const owner = { portId: PORT_ID, plugged: longest };
  assert.ok(formatOwner(owner).length <= 255, String(formatOwner(owner).length));
  assert.deepEqual(parseOwner(formatOwner(owner)), owner);
});

test('a link of an older agent tells its port alone, and is nobody’s by its container', () => {
  const owner = parseOwner(PORT_ID);
  assert.deepEqual(owner, { portId: PORT_ID });
  assert.equal(isPluggedBy({ portId: PORT_ID }, { containerId: '', interfaceName: '' }), false);
});

for (const alias of ['', 'uplink to rack 7', `x${PORT_ID}`]) {
  test(`the alias ${JSON.stringify(alias)} is somebody else's`, () => {
    assert.equal(parseOwner(alias), undefined);
  });
}

test('container and interface must both be the same', () => {
  assert.ok(isPluggedBy(OWNER, { containerId: 'c.1_-', interfaceName: 'eth0' }));
  assert.ok(!isPluggedBy(OWNER, { containerId: 'c.1_-', interfaceName: 'net1' }));
  assert.ok(!isPluggedBy(OWNER, { containerId: 'c2', interfaceName: 'eth0' }));
});
