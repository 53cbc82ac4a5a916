import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '@cable/api';
import { httpTransport, silentLogger } from '@cable/kit';
import { createKubeApi, type KubeObject } from '@cable/kube';
import { startFakeApiServer } from '@cable/kube/testing';
import type { CableAccess } from './cable-access.ts';
import { ClusterPolicies, ClusterPolicyLists } from './cluster-policies.ts';
import {
  CLUSTER_POLICY_KINDS,
  type ClusterPolicyFacts,
  type ClusterPolicyObject,
  closedBody,
  clusterPolicyBody,
  clusterPolicyFacts,
} from './cluster-policy-facts.ts';
import { ObjectEvents } from './object-events.ts';

function factsOf(kind: string, spec: object): ClusterPolicyFacts {
  const known = CLUSTER_POLICY_KINDS.find((one) => one.kind === kind);
  assert(known !== undefined);
  return clusterPolicyFacts(known, { metadata: { name: 'a', uid: 'u' }, spec } as ClusterPolicyObject);
}

const bodyOf = (kind: string, spec: object) =>
  clusterPolicyBody(factsOf(kind, spec), () => ['192.0.2.1', '2001:db8::1'], ['192.0.2.9']);

const ALL = { namespaces: {} };
const EVERY_POD = { namespaces: '', pods: '', cidr: null, domain: null };

async function listsAt(t: { after(undo: () => unknown): void }, kinds: readonly string[]) {
  const there = CLUSTER_POLICY_KINDS.filter(({ kind }) => kinds.includes(kind));
  const fake = await startFakeApiServer(there.map(({ kind, api }) => ({ ...api, kind, isCustom: true })));
  const transport = httpTransport(fake.url);
  const stop = new AbortController();
  const api = createKubeApi({ transport });
  t.after(async () => {
    stop.abort();
    transport.close();
    await fake.close();
  });
  return { api, lists: new ClusterPolicyLists({ api, log: silentLogger(), signal: stop.signal }) };
}

type Body = Partial<ReturnType<typeof bodyOf>>;

/** Those of one name each, written to a Cable that refuses what `isRefused` says. */
function written(
  t: { after(undo: () => unknown): void },
  all: Readonly<Record<string, ClusterPolicyFacts>>,
  isRefused: (body: Body) => boolean,
) {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const told: string[] = [];
  const objects: Body[] = [];
  const own = {
    list: async () => [],
    create: async (_type: string, body: Body) => {
      if (isRefused(body)) throw new ApiError(400, 'HTTPBadRequest', 'it is too large', '');
      objects.push(body);
      return body;
    },
  } as unknown as CableAccess['own'];
  const kube = {
    create: async (_kind: unknown, event: { readonly reason: string }) => void told.push(event.reason),
  } as unknown as ConstructorParameters<typeof ObjectEvents>[0];
  const policies = new ClusterPolicies({
    cable: { own },
    kube: { get: async () => ({}) as never },
    lists: { get: (key) => all[key], isSynced: () => true, keys: keysOf(all), follow: () => {} },
    nodes: { values: () => [] },
    namespaces: new Map(),
    clusterCidrs: [],
    portAddresses: () => [],
    apiServers: () => [],
    ...{ cluster: 'prod', clusterUid: 'c', events: new ObjectEvents(kube, silentLogger()) },
    guarded: (work) => work,
    log: silentLogger(),
    signal: stop.signal,
  });
  return { policies, told, objects };
}

const keysOf = (all: object) =>
  function* (): Generator<string> {
    yield* Object.keys(all);
  };

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!holds() && performance.now() < endMs) await new Promise((resolve) => setImmediate(resolve));
}

test('regression: one that cannot be written keeps no pod waiting but those that it selects, and says so', async (t) => {
  const subject = { namespaces: { matchLabels: { team: 'blue' } } };
  const deny = { tier: 'Admin', egress: [{ action: 'Deny', to: [ALL] }] };
  const all = {
    'ClusterNetworkPolicy/a': factsOf('ClusterNetworkPolicy', { ...deny, priority: 1, subject }),
    'AdminNetworkPolicy/a': factsOf('AdminNetworkPolicy', { ...deny, priority: 2, subject: ALL }),
  };
  const { policies, told, objects } = written(t, all, ({ priority }) => priority === 1);
  assert.equal(policies.areSettled(['team=red'], []), false);
  policies.open();
  await until(() => objects.length === 1 && told.length > 0);
  assert.deepEqual(told, ['NotInForce']);
  assert.equal(policies.areSettled(['team=red'], []), true);
  assert.equal(policies.areSettled(['team=blue'], []), false);
});

test('regression: what is left of one that cannot be put in force says no names, and so no addresses either', () => {
  const egress = [{ action: 'Accept', to: [{ domainNames: ['a.example'] }] }];
  const facts = factsOf('ClusterNetworkPolicy', { tier: 'Admin', priority: 1, subject: ALL, egress });
  const many = Array.from({ length: 10_001 }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
  assert.deepEqual(closedBody(clusterPolicyBody(facts, () => many, [])).domain_except, []);
});

test('definitions that are not there keep nobody waiting, and what is in Cable of their kinds stays', async (t) => {
  const { lists } = await listsAt(t, []);
  await lists.known;
  assert.deepEqual([...lists.keys()], []);
  assert.equal(lists.isSynced('AdminNetworkPolicy/a'), false);
});

test('of kinds that are there all is known before anything is judged by it', async (t) => {
  const { api, lists } = await listsAt(t, ['AdminNetworkPolicy']);
  const kind = CLUSTER_POLICY_KINDS.find((one) => one.kind === 'AdminNetworkPolicy');
  assert(kind !== undefined);
  await lists.known;
  assert.equal(lists.isSynced('AdminNetworkPolicy/a'), true);
  const told = new Promise<string>((resolve) => lists.follow(resolve));
  await api.create(kind.api, { metadata: { name: 'a' }, spec: { priority: 3, subject: ALL } } as unknown as KubeObject);
  assert.equal(await told, 'AdminNetworkPolicy/a');
  assert.equal(lists.get('AdminNetworkPolicy/a')?.body.priority, 3);
});

test('a baseline policy without a priority is the last of its tier', () => {
  const { tier, priority } = bodyOf('BaselineAdminNetworkPolicy', { subject: ALL });
  assert.deepEqual([tier, priority], ['baseline', 1001]);
  const other = bodyOf('ClusterNetworkPolicy', { tier: 'Baseline', priority: 7, subject: ALL });
  assert.deepEqual([other.tier, other.priority], ['baseline', 7]);
});

test('what is not understood of a rule allows nothing, and denies everything that it could mean', () => {
  const cases: readonly (readonly [rule: object, action: string, peers: unknown, ports: unknown])[] = [
    [{ action: 'Accept', to: [{}, ALL] }, 'allow', [], null],
    [{ action: 'Deny', to: [{ newer: {} }] }, 'deny', null, null],
    [{ action: 'Pass', to: [{}] }, 'deny', null, null],
    [{ action: 'Deny' }, 'deny', null, null],
    [{ action: 'Log', to: [ALL] }, 'deny', null, null],
    [{ action: 'Deny', to: [ALL], protocols: [{ quic: {} }] }, 'deny', [EVERY_POD], null],
    [{ action: 'Accept', to: [ALL], protocols: [{ tcp: { destinationPort: {} } }] }, 'allow', [], null],
    [{ action: 'Pass', to: [ALL], protocols: [{}] }, 'deny', [EVERY_POD], null],
    [{ action: 'Accept', to: [ALL, { domainNames: ['a.example', '*.example'] }] }, 'allow', [], null],
    [{ action: 'Deny', to: [{ domainNames: ['a.example'] }] }, 'deny', null, null],
    [{ action: 'Pass', to: [{ domainNames: ['a.example'] }] }, 'deny', null, null],
    [
      { action: 'Accept', to: [{ namespaces: { matchExpressions: [{ key: 'a', operator: 'Gt' }] } }] },
      'allow',
      [],
      null,
    ],
  ];
  for (const [rule, action, peers, ports] of cases) {
    const facts = factsOf('ClusterNetworkPolicy', { tier: 'Admin', priority: 1, subject: ALL, egress: [rule] });
    const [made] = clusterPolicyBody(facts, () => [], []).rules;
    assert.deepEqual([made?.action, made?.peers, made?.ports], [action, peers, ports], JSON.stringify(rule));
    assert.equal(facts.problems.length, 1, JSON.stringify(rule));
  }
});

test('regression: pods without a namespaceSelector are those of all namespaces, where the version says so', () => {
  const pods = { podSelector: { matchLabels: { app: 'db' } } };
  const egress = [{ action: 'Accept', to: [{ pods }] }];
  const made = bodyOf('ClusterNetworkPolicy', { tier: 'Admin', priority: 1, subject: { pods }, egress });
  assert.deepEqual([made.namespaces, made.pods], ['', 'app=db']);
  assert.deepEqual(made.rules[0]?.peers, [{ ...EVERY_POD, pods: 'app=db' }]);
  const other = { ...pods, sameLabels: ['team'] };
  const unknown = factsOf('ClusterNetworkPolicy', { tier: 'Admin', priority: 1, subject: { pods: other }, egress });
  assert.equal(unknown.problems.length, 1, 'what it says besides is not known');
  const before = factsOf('AdminNetworkPolicy', { priority: 1, subject: { pods } });
  assert.equal(before.problems.length, 1, 'v1alpha1 demands both');
});

test('regression: an empty list of ports is all ports, and of protocols, which cannot be, what is not understood', () => {
  for (const action of ['Allow', 'Deny', 'Pass']) {
    const rule = { action, to: [ALL], ports: [] };
    const old = factsOf('AdminNetworkPolicy', { priority: 1, subject: ALL, egress: [rule] });
    assert.deepEqual([old.rules[0]?.ports, old.problems], [null, []], action);
  }
  const egress = ['Deny', 'Accept'].map((action) => ({ action, to: [ALL], protocols: [] }));
  const { rules } = bodyOf('ClusterNetworkPolicy', { tier: 'Admin', priority: 1, subject: ALL, egress });
  assert.deepEqual(
    rules.map(({ action, peers, ports }) => [action, peers?.length, ports]),
    [
      ['deny', 1, null],
      ['allow', 0, null],
    ],
  );
});

test('a policy of nobody knows whom denies for all pods, and allows none', () => {
  const ingress = [
    { action: 'Allow', from: [ALL] },
    { action: 'Pass', from: [ALL] },
  ];
  const { namespaces, pods, rules } = bodyOf('AdminNetworkPolicy', { priority: 1, subject: {}, ingress });
  assert.deepEqual([namespaces, pods, rules.map(({ action }) => action)], ['', '', ['deny']]);
});

test('nodes are the addresses that they have now, and what is refused is denied', () => {
  const to = [{ nodes: { matchLabels: { zone: 'a' } } }, { networks: ['10.0.0.0/8'] }];
  const egress = [
    { action: 'Deny', to },
    { action: 'Accept', to: [ALL] },
  ];
  const body = bodyOf('ClusterNetworkPolicy', { tier: 'Admin', priority: 1, subject: ALL, egress });
  const cidrs = body.rules[0]?.peers?.map(({ cidr }) => cidr);
  assert.deepEqual(cidrs, ['192.0.2.1/32', '2001:db8::1/128', '10.0.0.0/8']);
  assert.deepEqual(closedBody(body).rules, [
    { name: '', direction: 'egress', action: 'deny', peers: null, ports: null },
  ]);
});

test('names of a rule that accepts are kept, with what is never meant by them: nodes and API servers', () => {
  const egress = [{ action: 'Accept', to: [{ domainNames: ['Kubernetes.io.', '*.example.com'] }, ALL] }];
  const spec = { tier: 'Admin', priority: 1, subject: ALL, egress };
  const { rules, domain_except } = bodyOf('ClusterNetworkPolicy', spec);
  const named = (domain: string) => ({ pods: null, namespaces: null, cidr: null, domain });
  assert.deepEqual(rules[0]?.peers, [named('kubernetes.io'), named('*.example.com'), EVERY_POD]);
  assert.deepEqual(domain_except, ['192.0.2.1/32', '192.0.2.9/32', '2001:db8::1/128']);
  const { problems, hasNames } = factsOf('ClusterNetworkPolicy', spec);
  assert.deepEqual([problems, hasNames], [[], true]);
  const without = bodyOf('ClusterNetworkPolicy', { ...spec, egress: [{ action: 'Accept', to: [ALL] }] });
  assert.deepEqual(without.domain_except, [], 'nobody needs it');
});
