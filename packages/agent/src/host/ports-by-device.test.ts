import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LocalPort } from '@cable/model';
import { samplePort } from '../plan/testing/sample.ts';
import { PortsByDevice } from './ports-by-device.ts';

test('a port is found by the device_id it has now', () => {
  const items = new Map<string, LocalPort>();
  const ports = new PortsByDevice('h1', { item: (_key, item) => items.get(item) as never });
  const [a, b] = [samplePort(1, { deviceId: 'x:eth0' }), samplePort(2, { deviceId: 'x:eth0' })];
  const change = (port: LocalPort, key: 'host:h1' | 'host:h2' = 'host:h1'): void => {
    items.set(port.id, port);
    ports.take({ changes: [{ key, item: port.id }] });
  };
  change(a);
  change(b);
  assert.deepEqual(new Set(ports.get('x:eth0')), new Set([a, b]));
  change({ ...a, deviceId: 'y:eth0' });
  change({ ...b, deviceId: '' });
  assert.deepEqual(ports.get('x:eth0'), []);
  assert.equal(ports.get('y:eth0')[0]?.id, a.id);
  items.delete(a.id);
  ports.take({
    changes: [
      { key: 'host:h1', item: a.id },
      { key: 'host:h1', item: null },
    ],
  });
  assert.deepEqual(ports.get('y:eth0'), []);
});

test('whoever watches a device_id is told of ports that come, change and go, once an update', () => {
  const items = new Map<string, LocalPort>();
  const ports = new PortsByDevice('h1', { item: (_key, item) => items.get(item) as never });
  const told: number[] = [];
  const take = (...changed: readonly LocalPort[]): void => {
    for (const port of changed) items.set(port.id, port);
    ports.take({ changes: changed.map(({ id }) => ({ key: 'host:h1', item: id })) });
  };
  const stop = ports.watch('x:eth0', () => told.push(ports.get('x:eth0').length));
  const other = samplePort(3, { deviceId: 'x:net1' });
  const [a, b] = [samplePort(1, { deviceId: 'x:eth0' }), samplePort(2, { deviceId: 'x:eth0' })];
  take(other);
  assert.deepEqual(told, []);
  take(a, b, other);
  assert.deepEqual(told, [2]);
  take({ ...a, name: 'other' });
  take({ ...a, deviceId: 'y:eth0' });
  items.delete(b.id);
  ports.take({ changes: [{ key: 'host:h1', item: b.id }] });
  assert.deepEqual(told, [2, 2, 1, 0]);
  stop();
  take(b);
  assert.equal(told.length, 4);
});

test('of ports that come or have left those of pods are found too, by what plugs them here', () => {
  const items = new Map<string, LocalPort>();
  const ports = new PortsByDevice('h1', { item: (key, item) => items.get(`${key} ${item}`) as never });
  const [moved, nova] = [{ deviceOwner: 'kubernetes:pod' }, { deviceOwner: 'compute:nova' }].map((more, at) =>
    samplePort(at + 1, { deviceId: 'target:eth0', ...more }),
  ) as [LocalPort, LocalPort];
  const take = (key: 'host:h1' | 'standby:h1', port: LocalPort, isThere = true): void => {
    if (isThere) items.set(`${key} ${port.id}`, port);
    else items.delete(`${key} ${port.id}`);
    ports.take({ changes: [{ key, item: port.id }] });
  };
  const told: number[] = [];
  ports.watch('target:eth0', () => told.push(ports.get('target:eth0').length));
  take('standby:h1', moved);
  take('standby:h1', nova);
  assert.deepEqual(ports.get('target:eth0'), [moved]);
  // It is activated: one slice has it no more, the other does.
  items.set(`host:h1 ${moved.id}`, moved);
  take('standby:h1', moved, false);
  assert.deepEqual(ports.get('target:eth0'), [moved]);
  take('host:h1', moved, false);
  assert.deepEqual(ports.get('target:eth0'), []);
  assert.deepEqual(told, [1, 1, 0]);
});
