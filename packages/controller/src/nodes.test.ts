/** What nodes say of their addresses, and what is believed of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { believed, type NodeFacts, nodeFacts } from './nodes.ts';

const node = (name: string, madeAt: string, ...addresses: readonly string[]): NodeFacts => ({
  ...{ name, uid: name, addresses, madeAt, labels: [], zone: '', announces: true },
});

test('a node has no address of the cluster by its own word, nor one that an older node has', () => {
  const nodes = [
    node('b', '2026-02', '192.0.2.1', '10.244.0.7', '10.96.0.1', '100.64.0.9', 'fd00:8::7', '192.0.2.2'),
    node('a', '2026-01', '192.0.2.1', '2001:db8::1'),
    node('c', '2026-02', '192.0.2.2'),
  ];
  const cidrs = ['10.244.0.0/16', 'fd00:8::/64', '100.64.0.0/16', '10.96.0.0/12'];
  assert.deepEqual(
    [...believed(nodes, cidrs)],
    [
      ['a', ['192.0.2.1', '2001:db8::1']],
      ['b', ['192.0.2.2']],
      ['c', []],
    ],
  );
});

test('regression: of a node that says thousands of addresses no more than some count, each once', () => {
  const addresses = Array.from({ length: 10_000 }, (_, at) => ({
    type: 'InternalIP',
    address: `198.51.${(at >> 1) & 255}.${at >> 9}`,
  }));
  const { addresses: kept } = nodeFacts({ metadata: { name: 'a' }, status: { addresses } });
  assert.equal(kept.length, 16);
  assert.deepEqual(kept.slice(0, 2), ['198.51.0.0', '198.51.1.0']);
});
