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
