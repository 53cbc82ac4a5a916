import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '@cable/kube';
import { type HostPolicyObject, hostPolicyBody, hostPolicyFacts } from './host-policy-facts.ts';

const NONE = { cidr: null, except: [], pods: null, namespaces: null, address_group_id: null };

function facts(spec: object): ReturnType<typeof hostPolicyFacts> {
  return hostPolicyFacts({ metadata: { name: 'a', uid: 'u', generation: 2 }, spec } as unknown as HostPolicyObject);
}

function body(spec: object): ReturnType<typeof hostPolicyBody> {
  return hostPolicyBody(facts(spec), ['node-1'], (selector) => (selector === 'role=x' ? ['192.0.2.1', 'fd00::1'] : []));
}

test('rules are taken in the words that Cable has for them', () => {
  const from = [
    { ipBlock: { cidr: '10.0.0.5/8', except: ['10.1.0.0/16'] } },
    { podSelector: { matchLabels: { app: 'a' } } },
    { namespaceSelector: {} },
    { nodes: { matchLabels: { role: 'x' } } },
  ];
  const ports = [{ port: 80, endPort: 90 }, { protocol: 'UDP' }, { protocol: 'ICMP' }];
  const made = body({ nodeSelector: {}, ingress: [{ from, ports }, {}], egress: [{ to: [], ports: [] }] });
  assert.deepEqual(made.directions, ['ingress', 'egress']);
  assert.deepEqual(made.hosts, ['node-1']);
  const [first, ...others] = made.rules;
  assert.deepEqual(first?.peers, [
    { ...NONE, cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] },
    { ...NONE, pods: 'app=a', namespaces: '' },
    { ...NONE, pods: '', namespaces: '' },
    { ...NONE, cidr: '192.0.2.1/32' },
    { ...NONE, cidr: 'fd00::1/128' },
  ]);
  assert.deepEqual(first?.ports, [
    { protocol: 'TCP', port: 80, end_port: 90 },
    { protocol: 'UDP', port: null, end_port: null },
    { protocol: 'ICMP', port: null, end_port: null },
  ]);
  assert.deepEqual(others, [
    { direction: 'ingress', peers: null, ports: null },
    { direction: 'egress', peers: null, ports: null },
  ]);
});

test('directions are those that are said, or that have rules', () => {
  assert.deepEqual(facts({ nodeSelector: {} }).directions, ['ingress']);
  assert.deepEqual(facts({ nodeSelector: {}, policyTypes: ['Egress'] }).directions, ['egress']);
  assert.deepEqual(facts({ nodeSelector: {}, policyTypes: ['Egress'], ingress: [{}] }).rules, []);
});

test('what is not understood lets nothing through, and selects no node', () => {
  const cases: readonly (readonly [spec: object, problem: RegExp])[] = [
    [{ from: [{}] }, /ingress\[0\]: a peer/],
    [{ from: [{ ipBlock: { cidr: 'x' } }] }, /a peer/],
    [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['x'] } }] }, /a peer/],
    [{ from: [{ nodes: {}, podSelector: {} }] }, /a peer/],
    [{ from: [{ nodes: { matchExpressions: [{ key: 'a', operator: 'Like' }] } }] }, /a peer/],
    [{ ports: [{ protocol: 'GRE' }] }, /a port/],
    [{ ports: [{ protocol: 'ICMP', port: 8 }] }, /a port/],
  ];
  for (const [rule, problem] of cases) {
    const made = facts({ nodeSelector: {}, ingress: [rule] });
    assert.match(made.problems.join(), problem, JSON.stringify(rule));
    const [{ peers, ports } = { peers: null, ports: null }] = made.rules;
    assert.ok(peers?.length === 0 || ports?.length === 0, JSON.stringify(rule));
  }
  const unknown = facts({ nodeSelector: { matchExpressions: [{ key: 'a', operator: 'Like' }] } });
  assert.equal(unknown.nodes, undefined);
  assert.match(unknown.problems.join(), /it selects no node/);
  assert.equal(hostPolicyFacts({ metadata: { name: 'a' } } as KubeObject).nodes, undefined);
});
