/** How many prefixes rules may name, and whose room they take. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterPolicyRule, NetworkPolicyPeer, NetworkPolicyRule } from '@cable/model';
import { sortTieredRules } from './policy-selectors.ts';

const ISOLATION = { ingress: false, egress: true, nodePrefixes: [] };
const cidrs = (count: number): readonly NetworkPolicyPeer[] =>
  Array.from({ length: count }, (_, at) => ({ cidr: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}/32`, except: [] }));

function sorted(rules: readonly NetworkPolicyRule[], ofCluster: readonly ClusterPolicyRule[]) {
  const work = sortTieredRules(ISOLATION, rules, ofCluster, []);
  for (let step = work.next(); ; step = work.next()) if (step.done === true) return step.value;
}

const mine = (peers: readonly NetworkPolicyPeer[]): NetworkPolicyRule => ({
  ...{ policyId: '00000001', direction: 'egress', peers: [...peers] },
});
const ofAdmin = (action: 'allow' | 'deny', peers: readonly NetworkPolicyPeer[]): ClusterPolicyRule => ({
  ...{ policyId: '00000002', direction: 'egress', peers: [...peers], tier: 'admin', order: '0001', action },
});

test('regression: what NetworkPolicies name takes no room of what an administrator names', () => {
  const nodes = Array.from({ length: 5000 }, (_, at) => ({ cidr: `172.16.${at >> 8}.${at & 255}/32`, except: [] }));
  const [first] = nodes;
  assert(first !== undefined);
  const { any, selectors } = sorted([mine(cidrs(20_000))], [ofAdmin('deny', nodes), ofAdmin('allow', [first])]);
  assert.deepEqual(any, [], 'nothing is closed');
  assert.equal(selectors.size, 16_384 + 5000);
  assert.equal(selectors.get('prefix:172.16.0.0/32!')?.rules.length, 2);
});

test('regression: one prefix for which there is no room closes its own rule, and none that has room', () => {
  const split: NetworkPolicyPeer = {
    cidr: '0.0.0.0/0',
    except: cidrs(1000).map((one) => ('cidr' in one ? one.cidr : '')),
  };
  const { any, selectors } = sorted([mine([split]), mine(cidrs(2))], []);
  assert.deepEqual([any.length, selectors.size], [0, 2]);
});
