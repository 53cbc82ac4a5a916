/** What becomes of manifests that users of Kube-OVN have. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { convert } from './conversion.ts';

const documentsOf = (text: string): readonly unknown[] => [...parseAllDocuments(text)].map((one) => one.toJS());
const OPTIONS = { namespace: 'kube-system' };

type Made = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: object;
};
function converted(text: string, options: Partial<Parameters<typeof convert>[1]> = {}) {
  const { objects, notes } = convert(documentsOf(text), { ...OPTIONS, ...options });
  const said = notes.map(({ subject, field, isRefusal }) => `${isRefusal ? '!' : ''}${subject} ${field}`.trim());
  return { objects: objects as readonly Made[], notes, said };
}

test('a Subnet that namespaces are bound to: what is off there by default stays off', () => {
  const { objects, said } = converted(`
apiVersion: kubeovn.io/v1
kind: Subnet
metadata: {name: subnet1, labels: {team: a}, resourceVersion: "7"}
spec:
  protocol: Dual
  default: false
  namespaces: [ns1, ns2]
  cidrBlock: 10.66.0.0/16,fd00::/112
  gateway: 10.66.0.1,fd00::1
  excludeIps: [10.66.0.1..10.66.0.10]
  private: true
  allowSubnets: [10.16.0.0/16]
  gatewayType: centralized
  gatewayNode: "node1, node2"
  mtu: 1300
  vips: []
status: {v4usingIPs: 3}
`);
  assert.deepEqual(objects, [
    {
      apiVersion: 'cable.io/v1',
      kind: 'Subnet',
      metadata: { name: 'subnet1', namespace: 'kube-system', labels: { team: 'a' } },
      spec: {
        cidrBlock: '10.66.0.0/16,fd00::/112',
        gateway: '10.66.0.1,fd00::1',
        excludeIps: ['10.66.0.1..10.66.0.10'],
        namespaces: ['ns1', 'ns2'],
        private: true,
        allowSubnets: ['10.16.0.0/16'],
        natOutgoing: false,
        gatewayType: 'centralized',
        gatewayNodes: ['node1', 'node2'],
        enableDHCP: false,
      },
    },
  ]);
  assert.deepEqual(said, ['Subnet/subnet1 spec.mtu']);
});

test('the subnets that Kube-OVN makes of its own options are refused with ours', () => {
  const { objects, notes } = converted(`
{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: ovn-default}, spec: {default: true, cidrBlock: 10.16.0.0/16}}
---
{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: join}, spec: {cidrBlock: 100.64.0.0/16}}
---
{apiVersion: kubeovn.io/v1, kind: Vpc, metadata: {name: ovn-cluster}, spec: {}}
`);
  assert.deepEqual(objects, []);
  assert.match(
    notes.map(({ text }) => text).join('\n'),
    /--pod-cidr 10\.16\.0\.0\/16\n.*--join-cidr 100\.64\.0\.0\/16/,
  );
});

test('Vpcs that are peers, their routes, and Subnets in them', () => {
  const { objects, said } = converted(`
apiVersion: v1
kind: List
items:
- apiVersion: kubeovn.io/v1
  kind: Subnet
  metadata: {name: net1}
  spec: {vpc: vpc-1, cidrBlock: 10.0.0.0/16, protocol: IPv4, natOutgoing: false}
- apiVersion: kubeovn.io/v1
  kind: Vpc
  metadata: {name: vpc-1}
  spec:
    namespaces: [ns1]
    vpcPeerings: [{remoteVpc: vpc-2, localConnectIP: 169.254.0.1/30}]
    staticRoutes:
    - {cidr: 172.31.0.0/16, nextHopIP: 169.254.0.2, policy: policyDst}
    - {cidr: 0.0.0.0/0, nextHopIP: 10.0.0.254, policy: policyDst}
    - {cidr: 10.0.1.5, nextHopIP: 10.0.0.253, policy: policySrc}
    policyRoutes:
    - {action: drop, match: "ip4.src==10.0.1.0/24 && ip4.dst==10.0.1.250", priority: 11}
    - {action: reroute, match: ip4.src==10.0.1.0/24, nextHopIP: 10.0.0.252, priority: 10}
    - {action: allow, match: "ip4 && tcp.dst == 80", priority: 9}
    - {action: drop, match: "inport == \\"lsp\\"", priority: 8}
`);
  assert.deepEqual(
    objects.map(({ kind }) => kind),
    ['Vpc', 'Subnet'],
  );
  assert.deepEqual(objects[0]?.spec, {
    staticRoutes: [{ cidr: '0.0.0.0/0', nextHop: '10.0.0.254' }],
    policyRoutes: [
      { priority: 11, action: 'drop', source: '10.0.1.0/24', destination: '10.0.1.250/32' },
      { priority: 10, action: 'reroute', source: '10.0.1.0/24', nextHop: '10.0.0.252' },
      { priority: 9, action: 'allow', protocol: 'tcp', portRangeMin: 80, portRangeMax: 80 },
      { priority: 1000, action: 'reroute', source: '10.0.1.5/32', nextHop: '10.0.0.253' },
    ],
    peerings: [{ name: 'vpc-2', vpc: { name: 'vpc-2' }, subnets: ['net1'] }],
  });
  assert.deepEqual(objects[1]?.spec, { cidrBlock: '10.0.0.0/16', vpc: 'vpc-1', enableDHCP: false });
  assert.deepEqual(said, ['Vpc/vpc-1 spec.staticRoutes', '!Vpc/vpc-1 spec.policyRoutes', 'Vpc/vpc-1 spec.namespaces']);
});

const GROUP = (rules: string): string => `
apiVersion: kubeovn.io/v1
kind: SecurityGroup
metadata: {name: sg-example}
spec:
  allowSameGroupTraffic: true
  ingressRules: [${rules}]
`;

test('a SecurityGroup allows no more than it did, in each namespace', () => {
  const rule =
    '{ipVersion: ipv4, policy: allow, priority: 2, protocol: tcp, remoteType: address, remoteAddress: 10.16.0.0/16, portRangeMin: 22, portRangeMax: 80}';
  const { objects } = converted(
    GROUP(
      `${rule}, {policy: allow, priority: 1, protocol: icmp, remoteType: securityGroup, remoteSecurityGroup: sg-other}, {policy: deny, priority: 9, protocol: all}`,
    ),
    { namespaces: ['a', 'b'] },
  );
  assert.deepEqual(
    objects.map(({ metadata }) => metadata.namespace),
    ['a', 'b'],
  );
  assert.deepEqual(objects[0]?.spec, {
    ingressRules: [
      { protocol: 'icmp', remoteSecurityGroup: 'sg-other' },
      { ipVersion: 'ipv4', protocol: 'tcp', portRangeMin: 22, portRangeMax: 80, remoteAddress: '10.16.0.0/16' },
    ],
    egressRules: [],
    allowSameGroupTraffic: true,
  });
  const denied = converted(GROUP(`{policy: deny, priority: 1, protocol: tcp}, ${rule}`));
  assert.deepEqual([denied.objects, denied.said], [[], ['!SecurityGroup/sg-example spec.ingressRules']]);
  const narrow = converted(GROUP(`${rule.replace('22, portRangeMax', '22, sourcePortRangeMin: 1024, portRangeMax')}`));
  assert.deepEqual(
    [narrow.objects[0]?.spec, narrow.said.length],
    [{ egressRules: [], allowSameGroupTraffic: true }, 1],
  );
});

test('VLANs, limits, addresses that are kept, floating addresses, pools of pods', () => {
  const { objects, said } = converted(
    `
{apiVersion: kubeovn.io/v1, kind: Vlan, metadata: {name: v120}, spec: {id: 120, provider: physnet1}}
---
{apiVersion: kubeovn.io/v1, kind: ProviderNetwork, metadata: {name: physnet1}, spec: {defaultInterface: eth1}}
---
{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: under}, spec: {cidrBlock: 198.51.100.0/24, vlan: v120, namespaces: [shop]}}
---
{apiVersion: kubeovn.io/v1, kind: Subnet, metadata: {name: lost}, spec: {cidrBlock: 198.51.101.0/24, vlan: v9}}
---
{apiVersion: kubeovn.io/v1, kind: QoSPolicy, metadata: {name: q}, spec: {bandwidthLimitRules: [{name: a, rateMax: "1.5", burstMax: "2", direction: egress}]}}
---
{apiVersion: kubeovn.io/v1, kind: Vip, metadata: {name: keep}, spec: {subnet: under, v4ip: 198.51.100.9}}
---
{apiVersion: kubeovn.io/v1, kind: OvnFip, metadata: {name: out}, spec: {ovnEip: e, ipName: web.shop}}
---
{apiVersion: kubeovn.io/v1, kind: IPPool, metadata: {name: pool-1}, spec: {subnet: under, ips: [198.51.100.20..198.51.100.29, 198.51.100.40]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 2, template: {metadata: {annotations: {ovn.kubernetes.io/ip_pool: pool-1}}}}
`,
    { externalNetwork: 'outside' },
  );
  assert.deepEqual(
    objects.map(({ kind, metadata: { name, namespace }, spec }) => ({ at: `${kind} ${namespace}/${name}`, spec })),
    [
      {
        at: 'Subnet kube-system/under',
        spec: {
          ...{ cidrBlock: '198.51.100.0/24', provider: { physicalNetwork: 'physnet1', vlan: 120 } },
          ...{ namespaces: ['shop'], enableDHCP: false },
        },
      },
      {
        at: 'QosPolicy shop/q',
        spec: { bandwidthLimits: [{ direction: 'egress', maxKbps: 1500, maxBurstKbps: 2000 }] },
      },
      { at: 'Port kube-system/keep', spec: { subnet: 'under', ipAddresses: ['198.51.100.9'] } },
      { at: 'FloatingIP shop/out', spec: { externalNetwork: 'outside', target: { pod: 'web' } } },
      {
        at: 'Deployment shop/web',
        spec: {
          replicas: 2,
          template: {
            metadata: { annotations: { 'ovn.kubernetes.io/ip_pool': '198.51.100.20..198.51.100.29,198.51.100.40' } },
          },
        },
      },
    ],
  );
  assert.deepEqual(said, [
    '!ProviderNetwork/physnet1',
    '!Subnet/lost spec.vlan',
    'Vip/keep spec.namespace',
    'OvnFip/out spec.ovnEip',
  ]);
});
