/** Whoever asks for an announced address of IPv6 by its group is let through to the host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { requireLink, setLink } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { createNetns } from '../net/testing.ts';
import { ensureVeth } from '../net/veth.ts';
import { groupOf, isSolicitedGroup, kernelGroups, leaveAllGroups, SolicitedGroups } from './solicited-groups.ts';

test('an address has the group of its last 24 bits', () => {
  assert.equal(groupOf('2001:db8::1234:5678'), 'ff02::1:ff34:5678');
  assert.equal(groupOf('192.0.2.1'), undefined);
  assert.equal(isSolicitedGroup('ff02::1:ff34:5678'), true);
  for (const other of ['ff02::1', 'ff02::2:ff34:5678', '2001:db8::1', '192.0.2.1', ''])
    assert.equal(isSolicitedGroup(other), false, other);
});

test('the host is in the groups of what it announces, also when its agent is gone, and leaves them with the address', (t) => {
  const host = createNetns();
  t.after(() => host.remove());
  using socket = new NetlinkSocket({ netns: host.path });
  setLink(socket, 'lo', { up: true });
  const { link } = ensureVeth(socket, { name: 'up0', peer: { name: 'up1', netns: host.path } });
  setLink(socket, 'up1', { up: true });
  const { ifindex } = requireLink(socket, link.name);
  const joined = (): readonly string[] => {
    const groups = host.ip('-6', 'maddr', 'show', 'dev', 'up0').matchAll(/inet6 (ff02::1:ff[0-9a-f:]+)/g);
    return [...groups]
      .map(([, group = '']) => group)
      .filter((group) => /:ff(34:5678|00:9)$/.test(group))
      .sort();
  };
  const filtered = (): string => host.ip('maddr', 'show', 'dev', 'up0');
  let ms = 0;
  const groups = (): SolicitedGroups =>
    new SolicitedGroups(kernelGroups(socket), { log: silentLogger(), now: () => ms });
  const [a, b, same] = ['2001:db8::1234:5678', '2001:db8::9', 'fd00::34:5678'].map((address) => ({ ifindex, address }));
  assert.ok(a && b && same);
  const first = groups();
  first.take([a, b, same, { ifindex, address: '192.0.2.9' }], true);
  assert.deepEqual(joined(), ['ff02::1:ff00:9', 'ff02::1:ff34:5678']);
  assert.match(filtered(), /33:33:ff:34:56:78/);
  // Another agent knows what is there; what it does not know yet stays.
  const second = groups();
  second.take([a], false);
  assert.equal(joined().length, 2);
  second.take([same], true);
  assert.deepEqual(joined(), ['ff02::1:ff34:5678']);
  host.ip('address', 'delete', 'ff02::1:ff34:5678/128', 'dev', 'up0');
  second.take([same], true);
  assert.deepEqual(joined(), []);
  ms += 60_000;
  second.take([same], true);
  assert.deepEqual(joined(), ['ff02::1:ff34:5678']);
  // A device that is gone is no trouble.
  second.take([same, { ifindex: 9999, address: '2001:db8::9' }], true);
  assert.equal(leaveAllGroups(kernelGroups(socket)), true);
  assert.deepEqual(joined(), []);
  assert.doesNotMatch(filtered(), /33:33:ff:34:56:78/);
  assert.equal(leaveAllGroups(kernelGroups(socket)), false);
});
