import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatOwner, isPluggedBy, type LinkOwner, markOf, ownerOf, parseOwner } from './link-owner.ts';
import { parseCniRequest } from './request.ts';

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

test('a link whose routes follow says in which namespace it is, where there is room for that', () => {
  const headers = {
    'cni-command': 'ADD',
    'cni-containerid': 'c1',
    'cni-netns': '/run/netns/pod',
    'cni-ifname': 'eth0',
  };
  const conf = JSON.stringify({ cniVersion: '1.0.0', name: 'pods', type: 'cable-cni', cluster: 'k1' });
  const args = 'K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c';
  const request = parseCniRequest({ ...headers, 'cni-args': args }, conf);
  const owner = ownerOf(request, PORT_ID, true);
  assert.equal(owner.plugged?.netns, '/run/netns/pod');
  assert.deepEqual(parseOwner(formatOwner(owner)), owner);
  for (const netns of [`/run/netns/${'n'.repeat(200)}`, '/run/netns/a b'])
    assert.equal(ownerOf({ ...request, netns }, PORT_ID, true).plugged?.netns, undefined);
  assert.equal(ownerOf(request, PORT_ID).plugged?.netns, undefined);
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
