import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PortPrefix, portPrefixes } from './port-ranges.ts';

const covers = (prefix: PortPrefix, port: number): boolean =>
  port >> (16 - prefix.length) === prefix.value >> (16 - prefix.length);

test('portPrefixes covers exactly the range', () => {
  for (const [first, last] of [
    [0, 65535],
    [1, 65534],
    [80, 80],
    [1024, 2047],
    [65535, 65535],
    [0, 0],
    [3, 4],
    [30000, 32767],
    [443, 8443],
  ] as const) {
    const prefixes = portPrefixes(first, last);
    for (let port = 0; port <= 65535; port += 1) {
      const hits = prefixes.filter((prefix) => covers(prefix, port)).length;
      assert.equal(hits, port >= first && port <= last ? 1 : 0, `port ${port} in ${first}-${last}`);
    }
  }
});

test('portPrefixes needs one prefix for an aligned block, and no more than 30 for any range', () => {
  assert.deepEqual(portPrefixes(0, 65535), [{ value: 0, length: 0 }]);
  assert.deepEqual(portPrefixes(1024, 2047), [{ value: 1024, length: 6 }]);
  assert.equal(portPrefixes(1, 65534).length, 30);
  assert.deepEqual(portPrefixes(10, 9), []);
});
