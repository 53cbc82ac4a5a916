/** How many slices of pods a policy may bring, and which it needs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPolicyRule } from '@cable/model';
import type { NetworkPolicyRow } from '../compiler-tables.ts';
import { Reader } from '../reader.ts';
import { createTables, EMPTY_STATE, port, type State, withRow } from '../state.fixture.ts';
import { networkPoliciesKind } from './network-policies.ts';

type Rule = NetworkPolicyRow['rules'][number];
type Peer = NonNullable<Rule['peers']>[number];
type PodPort = { readonly labels: readonly string[]; readonly number: number };

const HTTP: NonNullable<Rule['ports']> = [{ protocol: 'TCP', port: null, end_port: null, port_name: 'http' }];
const pods = (namespaces: string | null, selector: string): Peer => ({
  pods: selector,
  namespaces,
  cidr: null,
  except: [],
});
const egress = (peers: readonly Peer[] | null, ports: Rule['ports'] = null): Rule => ({
  direction: 'egress',
  peers: peers === null ? null : [...peers],
  ports,
});

/** Namespaces `n0`, `n1` and so on, each with label `team=x`, and pods in them. */
function stateOf(namespaces: number, inThem: Readonly<Record<string, readonly PodPort[]>> = {}): State {
  let state = EMPTY_STATE;
  for (let n = 0; n < namespaces; n += 1)
    state = withRow(state, 'kubernetes_namespace', {
      ...{ id: `n${n}`, name: `prod/n${n}`, cluster: 'prod', labels: ['team=x'] },
    });
  for (const [namespace, all] of Object.entries(inThem)) {
    for (const [at, { labels, number }] of all.entries())
      state = withRow(
        state,
        'port',
        port(`${namespace}-${at}`, 'n', 'h1', {
          ...{ 'cable:cluster': 'prod', 'cable:namespace': `prod/${namespace}`, 'cable:labels': [...labels] },
          'cable:named_ports': [{ name: 'http', protocol: 'TCP', port: number }],
        }),
      );
  }
  return state;
}

function rulesOf(state: State, rules: readonly Rule[]): readonly NetworkPolicyRule[] {
  const policy: NetworkPolicyRow = {
    ...{ id: 'k', name: '', namespace: 'prod/n0', pods: '', directions: ['egress'], log: 'none', rules: [...rules] },
  };
  const { tables } = createTables(withRow(state, 'network_policy', policy));
  const compute = networkPoliciesKind.items?.compute as (
    reader: Reader,
    row: NetworkPolicyRow,
    id: string,
  ) => readonly { readonly value: NetworkPolicyRule }[];
  return compute(new Reader(tables), policy, 'prod/n0/-/k').map(({ value }) => value);
}

const podsOf = ({ peers = [] }: NetworkPolicyRule) => peers.flatMap((peer) => peer.pods ?? []);

test('regression: the same pods in several rules are one slice each, and what needs none is not closed', () => {
  const same = egress([pods('team=x', 'app=db')]);
  const cidr: Peer = { pods: null, namespaces: null, cidr: '192.0.2.0/24', except: [] };
  const others = [1, 2, 3].map((n) => egress([pods('team=x', `app=a${n}`)]));
  const rules = rulesOf(stateOf(1200), [same, same, same, same, ...others, egress([cidr]), egress([pods(null, '')])]);
  assert.deepEqual(
    rules.map((rule) => podsOf(rule).length),
    [1200, 1200, 1200, 1200, 1200, 1200, 0, 0, 1],
  );
  assert.deepEqual(rules[6]?.peers, [], 'there is no room for the last of many');
  assert.equal(rules[7]?.peers?.[0]?.cidr, '192.0.2.0/24');
});

test('regression: a named port is looked for at the pods that are meant, and where they are', () => {
  const db = { labels: ['app=db'], number: 8080 };
  const noise = Array.from({ length: 100 }, (_, at) => ({ labels: ['app=noise'], number: 9000 + at }));
  const state = stateOf(3, { n1: [db, ...noise], n2: noise });
  const rules = rulesOf(state, [egress([pods('team=x', 'app=db'), pods('', 'app=db')], HTTP)]);
  assert.deepEqual(
    rules.map((rule) => [podsOf(rule), rule.ports]),
    [
      [
        ['pods:prod/n1/http:TCP:8080/app=db', 'cluster_pods:prod/http:TCP:8080/app=db'],
        [{ protocol: 6, first: 8080, last: 8080 }],
      ],
    ],
  );
  assert.equal(rulesOf(state, [egress(null, HTTP)]).length, 101, 'everybody is all of them');
});
