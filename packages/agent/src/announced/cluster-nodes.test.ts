/** The nodes of a cluster are another list only when they are others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NODE_OWNER } from '../plan/node-port.ts';
import type { SliceReader } from '../stream/slice-reader.ts';
import { ClusterNodes } from './cluster-nodes.ts';

test('pods that come and go on the node leave the list as it is; nodes that come change it', () => {
  const items = new Map<string, [string, object][]>([
    ['host:a', [['p0', { deviceOwner: NODE_OWNER, networkId: 'n' }]]],
    [
      'endpoints:n',
      [
        ['p0', { host: 'a', underlay: '192.0.2.1' }],
        ['p1', { host: 'b', underlay: '192.0.2.2' }],
      ],
    ],
  ]);
  let looks = 0;
  const slices = {
    items: (key: string) => {
      if (key.startsWith('endpoints:')) looks += 1;
      return items.get(key) ?? [];
    },
  } as unknown as Pick<SliceReader, 'items'>;
  const nodes = new ClusterNodes('a', slices);
  const changed = (key: string): void =>
    nodes.take({ changes: [{ key }] } as unknown as Parameters<ClusterNodes['take']>[0]);
  const first = nodes.now;
  assert.deepEqual(
    first.map(({ host }) => host),
    ['a', 'b'],
  );
  items.get('host:a')?.push(['p9', { deviceOwner: 'kubernetes:pod', networkId: 'm' }]);
  changed('host:a');
  assert.equal(nodes.now, first);
  assert.equal(looks, 1);
  // A row that says the same.
  changed('endpoints:n');
  assert.equal(nodes.now, first);
  items.get('endpoints:n')?.push(['p2', { host: 'c', underlay: '192.0.2.3' }]);
  changed('endpoints:n');
  assert.deepEqual(
    nodes.now.map(({ host }) => host),
    ['a', 'b', 'c'],
  );
  items.get('endpoints:n')?.splice(1, 1, ['p1', { host: 'b', underlay: '192.0.2.2', announces: false }]);
  changed('endpoints:n');
  assert.deepEqual(
    nodes.now.map(({ announces }) => announces !== false),
    [true, false, true],
  );
  items.set('host:a', []);
  changed('host:a');
  assert.deepEqual(nodes.now, []);
});
