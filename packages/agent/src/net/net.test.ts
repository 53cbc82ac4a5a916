import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { addAddress, deleteAddress, listAddresses, setAddresses } from './address.ts';
import { deleteLinksAside, getLink, listLinks, readLinks, requireLink, setLink } from './link.ts';
import { inNetns, netnsId, openNetns, ownNetnsId } from './netns.ts';
import { deleteRoute, ensureRoute, listRoutes, ROUTE_PROTOCOL } from './route.ts';
import { NetlinkSocket } from './socket.ts';
import { writeSysctl } from './sysctl.ts';
import { createNetns, type TestNetns } from './testing.ts';
import { createVeth, ensureVeth } from './veth.ts';
import { ensureVxlan } from './vxlan.ts';

let host: TestNetns;
let guest: TestNetns;
let hostSocket: NetlinkSocket;
let guestSocket: NetlinkSocket;

before(() => {
  host = createNetns();
  guest = createNetns();
  hostSocket = new NetlinkSocket({ netns: host.path });
  guestSocket = new NetlinkSocket({ netns: guest.path });
  setLink(hostSocket, 'lo', { up: true });
  setLink(guestSocket, 'lo', { up: true });
});

after(() => {
  hostSocket?.close();
  guestSocket?.close();
  host?.remove();
  guest?.remove();
});

test('a call inside a namespace comes home, also when it throws', () => {
  const home = ownNetnsId();
  assert.equal(netnsId('/proc/self/ns/net'), home);
  assert.equal(inNetns(guest.path, ownNetnsId), netnsId(guest.path));
  assert.notEqual(netnsId(guest.path), home);
  assert.equal(ownNetnsId(), home);
  assert.throws(
    () =>
      inNetns(guest.path, () => {
        throw new Error('inside');
      }),
    /inside/,
  );
  assert.equal(ownNetnsId(), home);
  assert.throws(() => inNetns('/run/netns/cbt-none', ownNetnsId), { code: 'ENOENT', message: /cbt-none/ });
  assert.equal(netnsId('/run/netns/cbt-none'), undefined);
});

test('a veth into a namespace with address and route carries a ping', () => {
  const { link, peer, created } = ensureVeth(hostSocket, {
    name: 'cv0',
    mtuBytes: 1450,
    peer: { name: 'eth0', netns: guest.path, mac: 'fa:16:3e:00:00:05', mtuBytes: 1450 },
  });
  assert.equal(created, true);
  assert.deepEqual([link.name, link.kind, link.mtuBytes, link.up], ['cv0', 'veth', 1450, true]);
  assert.deepEqual([peer.name, peer.mac, peer.mtuBytes, peer.up], ['eth0', 'fa:16:3e:00:00:05', 1450, true]);
  addAddress(hostSocket, link.ifindex, '10.9.0.1/24');
  addAddress(guestSocket, peer.ifindex, '10.9.0.5/24');
  addAddress(guestSocket, peer.ifindex, '10.9.0.5/24');
  addAddress(hostSocket, requireLink(hostSocket, 'lo').ifindex, '10.8.0.1/32');
  ensureRoute(guestSocket, { destination: '0.0.0.0/0', gateway: '10.9.0.1', ifindex: peer.ifindex });
  assert.match(guest.run('ping', '-c', '1', '-W', '2', '10.8.0.1'), /1 received/);
});

test('a pair that is there is adopted untouched, and changed only where it differs', () => {
  const spec = { name: 'cv1', peer: { name: 'eth1', netns: guest.path, mac: 'fa:16:3e:00:00:06' } };
  const first = ensureVeth(hostSocket, spec);
  const again = ensureVeth(hostSocket, spec);
  assert.equal(again.created, false);
  assert.deepEqual([again.link.ifindex, again.peer.ifindex], [first.link.ifindex, first.peer.ifindex]);
  const changed = ensureVeth(hostSocket, { ...spec, mtuBytes: 1400, peer: { ...spec.peer, mac: 'FA:16:3E:00:00:07' } });
  assert.deepEqual(
    [changed.link.ifindex, changed.link.mtuBytes, changed.peer.mac],
    [first.link.ifindex, 1400, 'fa:16:3e:00:00:07'],
  );
});

test('a pair in one namespace is made and adopted', () => {
  const spec = { name: 'cbl0', peer: { name: 'cbl1' } };
  assert.equal(ensureVeth(hostSocket, spec).created, true);
  assert.equal(ensureVeth(hostSocket, spec).created, false);
});

test('a device that is not the wanted pair is not adopted', () => {
  ensureVeth(hostSocket, { name: 'cv2', peer: { name: 'eth2', netns: guest.path } });
  const refused = { name: 'NetlinkError', code: 'EEXIST' };
  assert.throws(() => ensureVeth(hostSocket, { name: 'cv2', peer: { name: 'other', netns: guest.path } }), refused);
  assert.throws(() => ensureVeth(hostSocket, { name: 'cv2', peer: { name: 'eth2' } }), refused);
  assert.throws(() => ensureVeth(hostSocket, { name: 'lo', peer: { name: 'eth3' } }), refused);
});

test('a device is renamed, moved, and deleted with its pair', async () => {
  const { link, peer } = ensureVeth(hostSocket, { name: 'mv0', up: false, peer: { name: 'mv1', up: false } });
  setLink(hostSocket, 'mv1', { name: 'mv2', mtuBytes: 1300 });
  assert.equal(getLink(hostSocket, peer.ifindex)?.name, 'mv2');
  setLink(hostSocket, peer.ifindex, { netns: guest.path });
  assert.equal(getLink(hostSocket, 'mv2'), undefined);
  assert.equal(getLink(guestSocket, 'mv2')?.mtuBytes, 1300);
  assert.equal(getLink(hostSocket, link.ifindex)?.peerNetnsid !== undefined, true);
  await deleteLinksAside(hostSocket, [link.ifindex]);
  assert.equal(getLink(hostSocket, 'mv0'), undefined);
  assert.equal(getLink(guestSocket, 'mv2'), undefined);
});

test('addresses are brought to the wanted set without touching the right ones', () => {
  const { link } = ensureVeth(hostSocket, { name: 'ad0', peer: { name: 'ad1' } });
  const cidrs = (): string[] =>
    listAddresses(hostSocket, link.ifindex)
      .filter((a) => !a.linkLocal)
      .map((a) => a.cidr)
      .sort();
  setAddresses(hostSocket, link.ifindex, ['10.1.0.1/24', '10.1.0.2/24', 'fd00::1/64']);
  assert.deepEqual(cidrs(), ['10.1.0.1/24', '10.1.0.2/24', 'fd00::1/64']);
  setAddresses(hostSocket, link.ifindex, ['10.1.0.2/24', '10.1.0.3/24']);
  assert.deepEqual(cidrs(), ['10.1.0.2/24', '10.1.0.3/24']);
  assert.equal(deleteAddress(hostSocket, link.ifindex, '10.1.0.3/24'), true);
  assert.equal(deleteAddress(hostSocket, link.ifindex, '10.1.0.3/24'), false);
  assert.throws(() => addAddress(hostSocket, link.ifindex, '10.1.0.4'), { code: 'EINVAL', message: /10\.1\.0\.4/ });
});

test("routes carry our number, are replaced when ours, and another's is left alone", () => {
  const { link } = ensureVeth(hostSocket, { name: 'rt0', peer: { name: 'rt1' } });
  addAddress(hostSocket, link.ifindex, '10.2.0.1/24');
  addAddress(hostSocket, link.ifindex, 'fd02::1/64');
  const own = (): string[] =>
    listRoutes(hostSocket, { protocol: ROUTE_PROTOCOL })
      .map((r) => `${r.destination} via ${r.gateway}`)
      .sort();
  const route = { destination: '10.3.0.0/16', gateway: '10.2.0.9', ifindex: link.ifindex };
  ensureRoute(hostSocket, route);
  ensureRoute(hostSocket, route);
  ensureRoute(hostSocket, { ...route, gateway: '10.2.0.10' });
  ensureRoute(hostSocket, { destination: 'fd03::/64', gateway: 'fd02::2', ifindex: link.ifindex });
  assert.deepEqual(own(), ['10.3.0.0/16 via 10.2.0.10', 'fd03::/64 via fd02::2']);
  assert.match(host.ip('route', 'show', 'proto', '67'), /10\.3\.0\.0\/16 via 10\.2\.0\.10 dev rt0/);

  host.ip('route', 'add', '10.4.0.0/16', 'via', '10.2.0.7');
  assert.throws(() => ensureRoute(hostSocket, { ...route, destination: '10.4.0.0/16' }), { code: 'EEXIST' });
  assert.equal(deleteRoute(hostSocket, { destination: '10.4.0.0/16', ifindex: link.ifindex }), false);
  assert.match(host.ip('route', 'show', '10.4.0.0/16'), /10\.2\.0\.7/);

  assert.equal(deleteRoute(hostSocket, route), true);
  assert.equal(deleteRoute(hostSocket, route), false);
  assert.equal(deleteRoute(hostSocket, { destination: 'fd03::/64', ifindex: link.ifindex }), true);
  assert.deepEqual(own(), []);
});

test("the kernel's own words come with an error", () => {
  const lo = requireLink(hostSocket, 'lo').ifindex;
  const route = { destination: '10.5.0.0/16', gateway: '203.0.113.1', ifindex: lo };
  assert.throws(() => ensureRoute(hostSocket, route), { code: 'ENETUNREACH', message: /invalid gateway/ });
});

test('an external VXLAN device is made, adopted, and refused on another port', () => {
  const { link, created } = ensureVxlan(hostSocket, { name: 'cablevx', port: 4789 });
  assert.equal(created, true);
  assert.equal(link.kind, 'vxlan');
  assert.equal(link.up, true);
  assert.match(
    host.ip('-d', 'link', 'show', 'cablevx'),
    /vxlan external .*nolearning.*dstport 4789|vxlan external .*dstport 4789.*nolearning/s,
  );
  const again = ensureVxlan(hostSocket, { name: 'cablevx', port: 4789, mtuBytes: 1400 });
  assert.deepEqual([again.created, again.link.ifindex, again.link.mtuBytes], [false, link.ifindex, 1400]);
  assert.throws(() => ensureVxlan(hostSocket, { name: 'cablevx', port: 4790 }), { code: 'EEXIST' });
  assert.throws(() => ensureVxlan(hostSocket, { name: 'lo', port: 4789 }), { code: 'EEXIST' });
});

test('a list holds every device with what is known of it', () => {
  const names = listLinks(guestSocket).map((link) => link.name);
  assert.ok(names.includes('lo') && names.includes('eth0'));
  const eth0 = listLinks(guestSocket).find((link) => link.name === 'eth0');
  assert.deepEqual([eth0?.operState, eth0?.carrier, eth0?.kind], ['up', true, 'veth']);
});

test('hundreds of devices fit in one list', () => {
  const many = createNetns();
  try {
    const socket = new NetlinkSocket({ netns: many.path });
    for (let i = 0; i < 150; i++) ensureVeth(socket, { name: `a${i}`, peer: { name: `b${i}` } });
    assert.equal(listLinks(socket).length, 301);
    socket.close();
  } finally {
    many.remove();
  }
});

test('a device that is not there is undefined, or an error that names it', () => {
  assert.equal(getLink(hostSocket, 'none0'), undefined);
  assert.equal(getLink(hostSocket, 99_999), undefined);
  assert.throws(() => setLink(hostSocket, 'none0', { up: true }), { code: 'ENODEV', message: /none0/ });
  assert.throws(() => getLink(hostSocket, 'a-name-too-long-for-it'), { code: 'EINVAL' });
});

test('a sysctl is set in the namespace entered, and only there', () => {
  const path = ['net', 'ipv4', 'conf', 'all', 'forwarding'];
  inNetns(guest.path, () => writeSysctl(path, 1));
  inNetns(host.path, () => writeSysctl(path, 0));
  assert.equal(guest.run('cat', `/proc/sys/${path.join('/')}`).trim(), '1');
  assert.equal(host.run('cat', `/proc/sys/${path.join('/')}`).trim(), '0');
  assert.throws(() => writeSysctl(['net', '..', 'kernel'], 1), { code: 'EINVAL' });
  assert.throws(() => writeSysctl(['net', 'nothing'], 1), { code: 'ENOENT' });
});

test('nothing stays open', () => {
  const count = (): number => readdirSync('/proc/self/fd').length;
  const before = count();
  const socket = new NetlinkSocket({ netns: guest.path });
  ensureVeth(socket, { name: 'fd0', peer: { name: 'fd1', netns: host.path } });
  socket.close();
  assert.equal(count(), before);
});

test('devices are deleted aside, many at once; absent ones are no error', async () => {
  for (const name of ['cbd1', 'cbd2', 'cbd3']) ensureVeth(hostSocket, { name, peer: { name: `${name}p` } });
  await deleteLinksAside(hostSocket, ['cbd1', 'cbd-none', 'cbd2']);
  const left = listLinks(hostSocket).filter(({ name }) => name.startsWith('cbd'));
  assert.deepEqual(left.map(({ name }) => name).sort(), ['cbd3', 'cbd3p']);
  await deleteLinksAside(hostSocket, ['cbd1']);
  await deleteLinksAside(hostSocket, ['cbd3']);
  assert.equal(getLink(hostSocket, 'cbd3p'), undefined);
});

test('a list that was not read to its end does not stand in the way of the next', async () => {
  const many = createNetns();
  const socket = new NetlinkSocket({ netns: many.path });
  try {
    for (let i = 0; i < 100; i++) createVeth(socket, { name: `a${i}`, peer: { name: `b${i}` } });
    const stop = (): never => {
      throw new Error('enough');
    };
    await assert.rejects(readLinks(socket, stop), /enough/);
    assert.equal(listLinks(socket).length, 201);
    await assert.rejects(readLinks(socket, stop), /enough/);
    assert.equal(getLink(socket, 'b99')?.name, 'b99');
    const names = new Set<string>();
    assert.equal(await readLinks(socket, ({ name }) => names.add(name)), true);
    assert.equal(names.size, 201);
  } finally {
    socket.close();
    many.remove();
  }
});

test('a namespace that is held open stays the same one when its name goes', () => {
  const passing = createNetns();
  const held = openNetns(passing.path);
  try {
    assert.equal(held.id, netnsId(passing.path));
    passing.remove();
    assert.equal(inNetns(held, ownNetnsId), held.id);
  } finally {
    held.close();
  }
  assert.throws(() => openNetns(passing.path), { code: 'ENOENT' });
  assert.throws(() => openNetns('/etc/hostname'), { code: 'EINVAL', message: /it is no namespace/ });
});
