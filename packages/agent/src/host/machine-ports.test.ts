import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort, NetworkHeader } from '@cable/model';
import { guestPort } from '../plan/guests.ts';
import { portSubnets } from '../plan/port-subnets.ts';
import { sampleId, sampleNetwork, samplePort } from '../plan/testing/sample.ts';
import { machinePorts } from './machine-ports.ts';

const header = sampleNetwork(1)[0]?.header as NetworkHeader;

function portsOf(asking: LocalPort, all: readonly LocalPort[]): readonly string[] {
  const guest = {
    ...guestPort(asking, header, portSubnets(asking, header)),
    advertisement: null,
    vif: 2,
    isHere: true,
  };
  const slices = { header: (key: string) => (key === `network:${header.id}` ? header : undefined) as never };
  const get = (deviceId: string) => all.filter((one) => one.deviceId === deviceId);
  return machinePorts(guest, { get }, slices).map(({ portId, addresses }) => `${portId} ${addresses[0]?.ipAddress}`);
}

const first = samplePort(5, { deviceId: 'machine' });
const second = samplePort(6, { deviceId: 'machine' });
const both = [`${first.id} 10.0.0.5`, `${second.id} 10.0.0.6`];

test('all ports of a device, whichever asks, in one order', () => {
  assert.deepEqual(portsOf(first, [second, first]), both);
  assert.deepEqual(portsOf(second, [second, first]), both);
});

test('not those of another project that says the same device_id, nor those of no device', () => {
  const stranger = samplePort(7, { deviceId: 'machine', projectId: 'other' });
  assert.deepEqual(portsOf(first, [first, second, stranger]), both);
  assert.deepEqual(portsOf(stranger, [first, second, stranger]), [`${stranger.id} 10.0.0.7`]);
  const [alone, other] = [samplePort(8), samplePort(9)];
  assert.deepEqual(portsOf(alone, [alone, other]), [`${alone.id} 10.0.0.8`]);
});

test('as many as a document has room for, the asking one always', () => {
  const many = Array.from({ length: 300 }, (_, n) => samplePort(1_000 + n, { deviceId: 'machine' }));
  const last = many.at(-1);
  assert.ok(last);
  const found = portsOf(last, many);
  assert.equal(found.length, 128);
  assert.ok(found.some((one) => one.startsWith(last.id)));
});

test('a port whose network has not come yet is left out', () => {
  const away = samplePort(8, { deviceId: 'machine', networkId: sampleId('net', 9) });
  assert.deepEqual(portsOf(first, [first, away]), [`${first.id} 10.0.0.5`]);
});
