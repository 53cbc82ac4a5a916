import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AgentWays, DEFAULT_OPEN_PORTS, merged, openPortsOf, parseOpenPorts } from './open-ports.ts';

const NOTHING: AgentWays = {
  server: 'unix:/run/s',
  admission: null,
  novaMetadata: null,
  flowCollector: null,
  dns: null,
};

test('ports that are never closed are read by direction, protocol and range', () => {
  assert.deepEqual(parseOpenPorts('in:tcp:22, out:udp:53-54'), {
    ingress: [{ protocol: 6, first: 22, last: 22 }],
    egress: [{ protocol: 17, first: 53, last: 54 }],
  });
  assert.deepEqual(parseOpenPorts('none'), { ingress: [], egress: [] });
  for (const text of ['', 'tcp:22', 'in:tcp:0', 'in:tcp:9-8', 'in:tcp:65536', 'in:icmp:1', 'in:tcp:22,'])
    assert.match(String(parseOpenPorts(text)), /^Give at most 64/, text);
});

test('whatever is chosen, the overlay, leases and what the agent was told to use stay open', () => {
  const none = parseOpenPorts('none');
  assert.ok(typeof none !== 'string');
  const { ingress, egress } = openPortsOf(none, {
    server: 'https://10.0.0.1:9697',
    admission: { url: 'https://admission.example' },
    novaMetadata: { url: 'http://10.0.0.2:8775' },
    flowCollector: { port: 4739 },
    dns: { upstreams: [{ port: 5353 }] },
  });
  const texts = (all: typeof ingress): readonly string[] =>
    all.map(({ protocol, first, last }) => `${protocol} ${first}-${last}`);
  assert.deepEqual(texts(ingress), [
    '6 4789-4789',
    '6 9697-9697',
    '17 68-68',
    '17 500-500',
    '17 546-546',
    '17 4500-4500',
    '17 4789-4789',
    '17 14789-14789',
  ]);
  assert.deepEqual(texts(egress), [
    ...['6 443-443', '6 4789-4789', '6 5353-5353', '6 8775-8775', '6 9697-9697'],
    ...[
      '17 67-67',
      '17 500-500',
      '17 547-547',
      '17 4500-4500',
      '17 4739-4739',
      '17 4789-4789',
      '17 5353-5353',
      '17 14789-14789',
    ],
  ]);
});

test('by default ssh, etcd, API servers, kubelets and the resolver are not closed', () => {
  const chosen = parseOpenPorts(DEFAULT_OPEN_PORTS);
  assert.ok(typeof chosen !== 'string');
  const has = (
    all: readonly { readonly protocol: number; readonly first: number; readonly last: number }[],
    port: number,
  ) => all.some(({ protocol, first, last }) => protocol === 6 && first <= port && port <= last);
  const { ingress, egress } = openPortsOf(chosen, NOTHING);
  assert.ok([22, 2379, 2380, 6443, 10_250].every((port) => has(ingress, port)));
  assert.ok([53, 2379, 2380, 6443, 10_250].every((port) => has(egress, port)));
  assert.ok(!has(egress, 22) && !has(ingress, 53));
});

test('ranges that have a port in common become one', () => {
  const of = (first: number, last: number) => ({ protocol: 6, first, last });
  assert.deepEqual(merged([of(90, 95), of(80, 91), of(100, 100), of(81, 82)]), [of(80, 95), of(100, 100)]);
});
