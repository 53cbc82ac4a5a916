import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeAddresses, reachedAt } from './host-endpoints.ts';
import type { EndpointFacts } from './service-facts.ts';

function endpoint(address: string, host = ''): EndpointFacts {
  const conditions = { ready: true, serving: true, terminating: false };
  return { address, hostname: '', pod: '', host_id: host, ...conditions, zone_hints: [], host_hints: [] };
}

const CONTROL_PLANE = ['kubernetes.io/os=linux', 'node-role.kubernetes.io/control-plane='];

test('an endpoint that is a node is reached by the node’s port, of its version of IP', () => {
  const nodes = new NodeAddresses();
  nodes.put('n1', { addresses: ['192.0.2.1', '2001:db8::1', '203.0.113.1'], labels: CONTROL_PLANE });
  nodes.put('n2', { addresses: ['192.0.2.2'] });
  const ports: Readonly<Record<string, readonly string[]>> = { n1: ['100.64.0.3', 'fd64::3'] };
  const deps = { nodes, portAddresses: (node: string) => ports[node] ?? [] };
  const at = (...given: readonly EndpointFacts[]): readonly string[] =>
    reachedAt(given, deps).map(({ address, host_id, host_address: own = '' }) => `${address} ${host_id} ${own}`.trim());
  assert.deepEqual(at(endpoint('192.0.2.1'), endpoint('10.244.0.3', 'n2')), [
    '100.64.0.3 n1 192.0.2.1',
    '10.244.0.3 n2',
  ]);
  assert.deepEqual(at(endpoint('2001:db8::1', 'n1')), ['fd64::3 n1 2001:db8::1']);
  assert.deepEqual(at(endpoint('192.0.2.1'), endpoint('203.0.113.1')), ['100.64.0.3 n1 192.0.2.1'], 'they are one');
  assert.deepEqual(at(endpoint('192.0.2.2', 'n2')), ['192.0.2.2 n2'], 'which has no port yet');
  nodes.put('n2', { addresses: ['192.0.2.1'], labels: CONTROL_PLANE });
  nodes.put('n1', { addresses: [] });
  assert.equal(nodes.nodeOf('192.0.2.1'), 'n2', 'an address that went over to another node');
  assert.equal(nodes.nodeOf('203.0.113.1'), undefined);
});

test('without a word of the endpoint about its node, an address is that of who shows it: by his underlay, or as one of the control plane', () => {
  const nodes = new NodeAddresses();
  const all = ['192.0.2.1', '192.0.2.2', '2001:db8::1', '198.51.100.9'];
  nodes.put('evil', { addresses: all, madeAt: '2026-01-01T00:00:00Z', labels: ['node-role.kubernetes.io/worker='] });
  nodes.put('api', { addresses: ['192.0.2.1', '2001:db8::1'], madeAt: '2026-11-02T00:00:00Z', labels: CONTROL_PLANE });
  nodes.put('n2', { addresses: ['192.0.2.2'], madeAt: '2026-11-02T00:00:00Z' });
  nodes.takeHosts([{ id: 'n2', underlay: '192.0.2.2' }]);
  nodes.putHost({ id: 'evil', underlay: '192.0.2.66' });
  const told = all.map((address) => nodes.nodeOf(address));
  assert.deepEqual(told, ['api', 'n2', 'api', undefined], 'a database outside stays what it is');
  assert.deepEqual(
    nodes.ofOthers('evil').map(({ address, node }) => `${address} ${node}`),
    ['192.0.2.1 api', '192.0.2.2 n2', '2001:db8::1 api'],
  );
  assert.deepEqual([nodes.ofOthers('api'), nodes.ofOthers('n2')], [[], []]);
  const portAddresses = (node: string): readonly string[] => (node === 'evil' ? ['100.64.0.66', 'fd64::66'] : []);
  const given = all.map((address) => endpoint(address));
  assert.deepEqual(reachedAt(given, { nodes, portAddresses }), given, 'nothing leads to who only says so');
  nodes.takeHosts([]);
  assert.equal(nodes.nodeOf('192.0.2.2'), undefined);
});

test('an endpoint of a node is at that node, whoever else says its address', () => {
  const nodes = new NodeAddresses();
  nodes.put('evil', { addresses: ['192.0.2.2', '2001:db8::2'], madeAt: '2026-01-01T00:00:00Z', labels: CONTROL_PLANE });
  nodes.put('n2', { addresses: ['192.0.2.2', '2001:db8::2'], madeAt: '2026-11-02T00:00:00Z' });
  for (const address of ['192.0.2.2', '2001:db8::2']) {
    assert.equal(nodes.nodeOf(address, 'n2'), 'n2', 'of each version, without another word');
    assert.equal(nodes.nodeOf(address, 'evil'), 'evil');
    assert.equal(nodes.nodeOf(address, 'n3'), undefined, 'which does not say so');
  }
});

test('what is of the cluster itself no node has, whatever it says', () => {
  const nodes = new NodeAddresses(['10.244.0.0/16', 'fd00:10:96::/112']);
  nodes.put('evil', { addresses: ['192.0.2.9', '10.244.3.7', 'fd00:10:96::a'], labels: CONTROL_PLANE });
  assert.deepEqual(nodes.of('evil'), ['192.0.2.9']);
  for (const host of ['', 'evil']) assert.equal(nodes.nodeOf('10.244.3.7', host), undefined);
});
