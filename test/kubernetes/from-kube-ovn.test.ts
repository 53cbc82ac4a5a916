/** Manifests that users of Kube-OVN have, by `cable kube convert` and a controller. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { customsOf } from './custom.ts';
import { NAMESPACES, startWorld, until } from './world.ts';

const LAUNCHER = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));

const MANIFESTS = `
apiVersion: kubeovn.io/v1
kind: Vpc
metadata: {name: vpc-1}
spec:
  namespaces: [team]
  vpcPeerings: [{remoteVpc: vpc-2, localConnectIP: 169.254.0.1/30}]
  staticRoutes: [{cidr: 172.31.0.0/16, nextHopIP: 169.254.0.2, policy: policyDst}]
  policyRoutes: [{action: drop, match: ip4.src==10.1.0.0/24 && tcp.dst == 25, priority: 11}]
---
apiVersion: kubeovn.io/v1
kind: Vpc
metadata: {name: vpc-2}
spec:
  vpcPeerings: [{remoteVpc: vpc-1, localConnectIP: 169.254.0.2/30}]
  staticRoutes: [{cidr: 10.1.0.0/16, nextHopIP: 169.254.0.1, policy: policyDst}]
---
apiVersion: kubeovn.io/v1
kind: Subnet
metadata: {name: net1}
spec: {vpc: vpc-1, namespaces: [team], cidrBlock: 10.1.0.0/24, excludeIps: [10.1.0.1..10.1.0.9], protocol: IPv4}
---
apiVersion: kubeovn.io/v1
kind: Subnet
metadata: {name: net2}
spec: {vpc: vpc-2, cidrBlock: 172.31.0.0/24, private: true, allowSubnets: [10.1.0.0/24], protocol: IPv4}
---
apiVersion: kubeovn.io/v1
kind: Subnet
metadata: {name: flat}
spec: {namespaces: [shop], cidrBlock: 10.7.0.0/24, natOutgoing: true}
---
apiVersion: kubeovn.io/v1
kind: SecurityGroup
metadata: {name: sg-web}
spec:
  ingressRules:
  - {ipVersion: ipv4, policy: allow, priority: 1, protocol: tcp, remoteType: address, remoteAddress: 10.1.0.0/24, portRangeMin: 80, portRangeMax: 80}
  egressRules: [{ipVersion: ipv4, policy: allow, priority: 1, protocol: all, remoteType: address, remoteAddress: 0.0.0.0/0}]
---
apiVersion: kubeovn.io/v1
kind: QoSPolicy
metadata: {name: slow}
spec: {bandwidthLimitRules: [{name: out, rateMax: "10", burstMax: "10", direction: egress}]}
`;

test('what is printed in their place is taken by the API server, and comes to hold', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), `cable-kube-ovn-${process.pid}-`));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'kube-ovn.yaml');
  writeFileSync(file, MANIFESTS);
  const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, 'kube', 'convert', file], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  const world = await startWorld(t, { hasRules: true });
  const { create, ready, get } = customsOf(world);
  world.control('a');
  await world.kube.create(NAMESPACES, { metadata: { name: 'team' } });
  await world.node('node-1');
  const objects = [...parseAllDocuments(stdout)].map((one) => one.toJS());
  for (const { kind, metadata, spec } of objects) await create(kind, metadata.name, spec, metadata.namespace);
  for (const { kind, metadata } of objects) await ready(kind, metadata.name, metadata.namespace);
  const annotations = {
    'ovn.kubernetes.io/ip_address': '10.1.0.20',
    'ovn.kubernetes.io/mac_address': '00:00:00:53:6B:B6',
    'ovn.kubernetes.io/security_groups': 'sg-web',
  };
  await world.pod('web', { node: 'node-1', namespace: 'team', annotations });
  await world.pod('plain', { node: 'node-1' });
  const ports = await world.ports((found) => found.has('web') && found.has('plain'));
  const web = ports.get('web');
  assert.deepEqual([web?.fixed_ips[0]?.ip_address, web?.mac_address], ['10.1.0.20', '00:00:00:53:6b:b6']);
  const group = await get('SecurityGroup', 'sg-web', 'team');
  assert.deepEqual(web?.security_groups, [group?.status?.id]);
  assert.match(ports.get('plain')?.fixed_ips[0]?.ip_address ?? '', /^10\.7\.0\./);
  await until(
    async () => (await get('Vpc', 'vpc-1', 'kube-system'))?.status?.['peerings'] as { readonly status: string }[],
    ([peering]) => peering?.status === 'ACTIVE',
  );
});
