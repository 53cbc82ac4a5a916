import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeAddresses, reachedAt } from './host-endpoints.ts';
import type { EndpointFacts } from './service-facts.ts';

function endpoint(address: string, host = ''): EndpointFacts {
  const conditions = { ready: true, serving: true, terminating: false };
  return { address, hostname: '', pod: '', host_id: host, ...conditions, zone_hints: [], host_hints: [] };
}

test('an endpoint that is a node is reached by the node’s port, of its version of IP', () => {
  const nodes = new NodeAddresses();
  nodes.put('n1', ['192.0.2.1', '2001:db8::1', '203.0.113.1']);
  nodes.put('n2', ['192.0.2.2']);
  const ports: Readonly<Record<string, readonly string[]>> = { n1: ['100.64.0.3', 'fd64::3'] };
  const deps = { nodes, portAddresses: (node: string) => ports[node] ?? [] };
  const at = (...given: readonly EndpointFacts[]): readonly string[] =>
    reachedAt(given, deps).map(({ address, host_id }) => `${address} ${host_id}`);
  assert.deepEqual(at(endpoint('192.0.2.1'), endpoint('10.244.0.3', 'n2')), ['100.64.0.3 n1', '10.244.0.3 n2']);
  assert.deepEqual(at(endpoint('2001:db8::1', 'n1')), ['fd64::3 n1']);
  assert.deepEqual(at(endpoint('192.0.2.1'), endpoint('203.0.113.1')), ['100.64.0.3 n1'], 'they are one');
  assert.deepEqual(at(endpoint('192.0.2.2', 'n2')), ['192.0.2.2 n2'], 'which has no port yet');
  nodes.put('n2', ['192.0.2.1']);
  nodes.put('n1', []);
  assert.equal(nodes.nodeOf('192.0.2.1'), 'n2', 'an address that went over to another node');
  assert.equal(nodes.nodeOf('203.0.113.1'), undefined);
});
