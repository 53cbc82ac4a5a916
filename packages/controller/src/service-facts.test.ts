import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Service, serviceFacts, sliceFacts } from './service-facts.ts';

function body(spec: Service['spec'], status?: Service['status']) {
  const service = {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: 'shop' } },
    spec: { clusterIP: '10.96.0.10', ports: [{ port: 80 }], ...spec },
    ...(status === undefined ? {} : { status }),
  };
  return serviceFacts(service as Service).body;
}

test('what a Service says of the outside is taken, and what it does not say is as Kubernetes has it', () => {
  const nothing = body({});
  assert.deepEqual(nothing?.ports, [{ name: '', protocol: 'TCP', port: 80, node_port: null }]);
  assert.equal(nothing?.external_traffic_policy, 'Cluster');
  assert.deepEqual([nothing?.load_balancer_ips, nothing?.health_check_node_port], [[], null]);
  const all = body(
    { ports: [{ port: 80, nodePort: 30_080 }], externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 },
    {
      loadBalancer: {
        ingress: [
          { ip: '198.51.100.20' },
          { ip: '198.51.100.20', ipMode: 'VIP' },
          { ip: '198.51.100.21', ipMode: 'Proxy' },
          {},
        ],
      },
    },
  );
  assert.deepEqual(all?.ports[0]?.node_port, 30_080);
  assert.deepEqual([all?.external_traffic_policy, all?.health_check_node_port], ['Local', 32_000]);
  assert.deepEqual(all?.load_balancer_ips, ['198.51.100.20']);
});

test('what another proxy serves is a name alone', () => {
  const service = (labels: Readonly<Record<string, string>>) =>
    serviceFacts({
      metadata: { name: 'web', namespace: 'shop', labels },
      spec: {
        ...{
          type: 'LoadBalancer',
          clusterIP: '10.96.0.10',
          externalIPs: ['198.51.100.9'],
          healthCheckNodePort: 32_000,
        },
        ...{ ports: [{ port: 80, nodePort: 30_080 }], loadBalancerClass: 'cable.io/load-balancer' },
      },
      status: { loadBalancer: { ingress: [{ ip: '198.51.100.20' }] } },
    } as Service);
  const own = service({ 'service.kubernetes.io/other': '' });
  assert.deepEqual([own.isOthers, own.balancer.isOurs, own.body?.ports[0]?.node_port], [false, true, 30_080]);
  for (const label of ['service.kubernetes.io/service-proxy-name', 'service.kubernetes.io/headless']) {
    const { body: others, balancer, isOthers } = service({ [label]: '' });
    assert.equal(isOthers, true);
    assert.deepEqual(others?.cluster_ips, ['10.96.0.10']);
    assert.deepEqual([others?.external_ips, others?.load_balancer_ips], [[], []]);
    assert.deepEqual([others?.ports[0]?.node_port, others?.health_check_node_port], [null, null]);
    // The address that it was given goes back.
    assert.deepEqual([balancer.isOurs, balancer.isNone, balancer.has], [false, true, ['198.51.100.20']]);
    const slice = { metadata: { name: 'web-1', namespace: 'shop', labels: { [label]: '' } }, addressType: 'IPv4' };
    assert.equal(sliceFacts(slice).isUnserved, true);
  }
});

test('source ranges lose the bits of hosts; what is none is not left out, for that would let others in', () => {
  const ranges = (given: readonly string[]) => body({ loadBalancerSourceRanges: given })?.load_balancer_source_ranges;
  assert.deepEqual(ranges([' 192.0.2.7/24', '192.0.2.0/24', '2001:DB8::1/32', '0.0.0.0/0']), [
    '192.0.2.0/24',
    '2001:db8::/32',
    '0.0.0.0/0',
  ]);
  assert.deepEqual(ranges(['192.0.2.7', '10.0.0.0/33', 'x/8']), ['192.0.2.7', '10.0.0.0/33', 'x/8']);
});

test('a slice of a Service without pods is empty: kube-controller-manager writes null for both of its lists', () => {
  const metadata = { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } };
  const { service, endpoints, ports } = sliceFacts({ metadata, addressType: 'IPv4', endpoints: null, ports: null });
  assert.deepEqual([service, endpoints, ports], ['shop/web', [], []]);
});
