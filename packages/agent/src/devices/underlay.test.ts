import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enterOwnNamespace, ip } from '../guest/testing/own-namespace.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { type Underlay, UnderlayWatch } from './underlay.ts';

let socket: NetlinkSocket;

before(() => {
  enterOwnNamespace();
  socket = new NetlinkSocket();
  ip('link add eth0 type veth peer name eth1');
  ip('link set eth0 mtu 1400');
});

after(() => socket.close());

const find = (address: string): Underlay | undefined => new UnderlayWatch(address, socket).now;

test('the device that has the address is found, with its MTU', () => {
  ip('address add 192.0.2.1/24 dev eth0');
  ip('address add 192.0.2.11/32 dev eth0');
  assert.deepEqual(find('192.0.2.1'), { devices: ['eth0'], mtuBytes: 1400 });
  assert.deepEqual(find('192.0.2.11'), { devices: ['eth0'], mtuBytes: 1400 });
  assert.equal(find('192.0.2.2'), undefined, 'an address that only begins so, or is not there');
});

test('two devices with the address carry what both take', () => {
  ip('address add 192.0.2.1/24 dev eth1');
  assert.deepEqual(find('192.0.2.1'), { devices: ['eth0', 'eth1'], mtuBytes: 1400 });
  ip('address delete 192.0.2.1/24 dev eth1');
});

test('an address on loopback says nothing about devices', () => {
  ip('address add 198.51.100.1/32 dev lo');
  assert.equal(find('198.51.100.1'), undefined);
});
