/** Network policies of Kubernetes through the API of a server. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { assertInvariants, type Json, startHarness } from '../testing/harness.ts';

type Headers = Record<string, string>;

const KUBE: Headers = { 'x-project-id': 'prod.', 'cable-cluster': 'prod', 'cable-epoch': '1' };
const ADMIN: Headers = { 'x-roles': 'admin' };
const MEMBER: Headers = { 'x-project-id': 'prod.', 'x-roles': 'member,reader' };

async function cluster(t: Parameters<typeof startHarness>[0]) {
  const harness = await startHarness(t);
  await harness.create('kubernetes_cluster', { name: 'prod' });
  const claim = { uid: randomUUID(), holder: 'a', epoch: 1 };
  await harness.send('PUT', '/cable/v1/kubernetes-clusters/prod/claim', claim, KUBE);
  const post = (path: string, name: string, fields: object, headers = KUBE) =>
    harness.send('POST', `/cable/v1/${path}`, { [name]: fields }, headers);
  const policy = (fields: object, headers = KUBE) =>
    post('network-policies', 'network_policy', { namespace: 'prod/shop', directions: ['ingress'], ...fields }, headers);
  return { ...harness, post, policy };
}

test('a policy is stored in the words that all policies have', async (t) => {
  const { policy, server } = await cluster(t);
  const rules = [
    { direction: 'ingress', peers: [{ pods: 'b in (y,x), a==1', namespaces: 'c notin (z)' }], ports: [{ port: 80 }] },
    { direction: 'ingress' },
    { direction: 'ingress', peers: [], ports: [] },
    { direction: 'egress', peers: [{ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }] },
  ];
  const made = await policy({ id: randomUUID(), pods: 'app in (db)', rules });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { pods, rules: stored } = made.body['network_policy'] as Json & { rules: Json[] };
  assert.equal(pods, 'app=db');
  assert.deepEqual(stored[0], {
    direction: 'ingress',
    peers: [{ pods: 'a=1,b in (x,y)', namespaces: 'c!=z', cidr: null, except: [] }],
    ports: [{ protocol: 'TCP', port: 80, end_port: null, port_name: null }],
  });
  // Everybody and nobody are two things.
  assert.deepEqual([stored[1]?.['peers'], stored[1]?.['ports']], [null, null]);
  assert.deepEqual([stored[2]?.['peers'], stored[2]?.['ports']], [[], []]);
  await assertInvariants(server);
});

test('what cannot be put in force is refused, with the place', async (t) => {
  const { policy } = await cluster(t);
  const rule = (more: object) => ({ rules: [{ direction: 'ingress', ...more }] });
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ pods: 'a b' }, /pods is "a b", which is no label selector/],
    [{ directions: [] }, /directions is empty/],
    [{ directions: ['ingress', 'ingress'] }, /directions.*Duplicate items/],
    [{ namespace: 'shop' }, /namespace is "shop", and the controller of prod asks/],
    [{ namespace: 'dev/shop' }, /namespace is "dev\/shop", and the controller of prod asks/],
    [{ namespace: 'prod/Shop' }, /namespace is "prod\/Shop": give the cluster and the namespace/],
    [rule({ peers: [{}] }), /rules\[0\]: peers\[0\]: give pods \(empty: all\) or cidr/],
    [rule({ peers: [{ pods: '', cidr: '10.0.0.0/8' }] }), /give pods, or cidr, not both/],
    [rule({ peers: [{ pods: '', namespaces: '=' }] }), /namespaces is "="/],
    [rule({ peers: [{ cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] }] }), /except has 11\.0\.0\.0\/16, which is not in/],
    [rule({ peers: [{ cidr: '10.0.0.0/8', except: ['0.0.0.0/0'] }] }), /except has 0\.0\.0\.0\/0/],
    [rule({ ports: [{ end_port: 90 }] }), /end_port needs port/],
    [rule({ ports: [{ port: 90, end_port: 80 }] }), /end_port is 80, less than port 90/],
    [rule({ ports: [{ port: 90, port_name: 'http' }] }), /give port_name, or port, not both/],
  ];
  for (const [fields, message] of cases) {
    const answer = await policy(fields);
    assert.equal(answer.status, 400, JSON.stringify(answer.body));
    assert.match(JSON.stringify(answer.body).replaceAll('\\"', '"'), message);
  }
});

test('only controllers write them, and say of ports whose pods they are', async (t) => {
  const { policy, post, create, send } = await cluster(t);
  assert.equal((await policy({}, MEMBER)).status, 403);
  assert.equal(
    (await post('kubernetes-namespaces', 'kubernetes_namespace', { name: 'prod/a', cluster: 'prod' }, MEMBER)).status,
    403,
  );
  const network = await create('network', {}, MEMBER);
  for (const more of [
    { 'cable:labels': ['app=db'] },
    { 'cable:namespace': 'prod/shop' },
    { 'cable:named_ports': [{ name: 'a', port: 1 }] },
  ]) {
    const answer = await send('POST', '/v2.0/ports', { port: { network_id: network['id'], ...more } }, MEMBER);
    assert.equal(answer.status, 403, JSON.stringify(answer.body));
  }
});

test('a namespace is there once, of its cluster', async (t) => {
  const { post } = await cluster(t);
  const make = (name: string, headers: Headers = KUBE) =>
    post('kubernetes-namespaces', 'kubernetes_namespace', { name, cluster: 'prod', labels: ['a=b'] }, headers);
  assert.equal((await make('prod/shop')).status, 201);
  assert.equal((await make('prod/shop')).status, 409);
  const others = [await make('dev/shop'), await make('dev/shop', ADMIN)];
  assert.deepEqual(
    others.map(({ status }) => status),
    [400, 400],
  );
  assert.match(JSON.stringify(others[0]?.body), /the controller of prod asks/);
  assert.match(JSON.stringify(others[1]?.body), /let it begin with it/);
});

test('policies of a cluster are stored in the same words, and refused with the place', async (t) => {
  const { post, policy, send, server } = await cluster(t);
  const make = (fields: object, headers = KUBE) =>
    post('cluster-network-policies', 'cluster_network_policy', { cluster: 'prod', priority: 1, ...fields }, headers);
  const rule = { direction: 'ingress', action: 'deny' } as const;
  const peers = [{ pods: 'a==1', namespaces: '' }, { cidr: '10.0.0.0/8' }];
  const id = randomUUID();
  const rules = [
    { ...rule, peers, ports: [{ port: 80 }] },
    { ...rule, action: 'pass' },
    { direction: 'egress', action: 'allow', peers: [{ domain: '*.Example.COM.' }] },
  ];
  const made = await make({ id, tier: 'admin', namespaces: 'b in (x)', domain_except: ['192.0.2.1/32'], rules });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const stored = made.body['cluster_network_policy'] as Json & { rules: Json[] };
  assert.deepEqual([stored['namespaces'], stored['pods'], stored['priority']], ['b=x', '', 1]);
  assert.deepEqual(stored.rules[0]?.['peers'], [
    { pods: 'a=1', namespaces: '', cidr: null, domain: null },
    { pods: null, namespaces: null, cidr: '10.0.0.0/8', domain: null },
  ]);
  assert.deepEqual(stored.rules[2]?.['peers'], [{ pods: null, namespaces: null, cidr: null, domain: '*.example.com' }]);
  assert.deepEqual(stored['domain_except'], ['192.0.2.1/32']);
  assert.deepEqual([stored.rules[1]?.['peers'], stored.rules[1]?.['ports']], [null, null]);
  await assertInvariants(server);
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ tier: 'other' }, /tier/],
    [{ tier: 'admin', priority: 1002 }, /priority/],
    [{ tier: 'admin', cluster: 'dev' }, /cluster is "dev\/", and the controller of prod asks/],
    [{ tier: 'admin', namespaces: '=' }, /namespaces is "="/],
    [{ tier: 'admin', pods: 'a b' }, /pods is "a b"/],
    [{ tier: 'admin', rules: [{ ...rule, action: 'log' }] }, /action/],
    [{ tier: 'admin', rules: [{ ...rule, peers: [{}] }] }, /rules\[0\]: peers\[0\]: give one of pods with namespaces/],
    [
      { tier: 'admin', rules: [{ ...rule, peers: [{ domain: 'a.example' }] }] },
      /rules\[0\]: peers\[0\]: domain goes with egress rules that allow/,
    ],
    [
      { tier: 'admin', rules: [{ direction: 'egress', action: 'deny', peers: [{ domain: 'a.example' }] }] },
      /domain goes with egress rules that allow/,
    ],
    [
      { tier: 'admin', rules: [{ direction: 'egress', action: 'allow', peers: [{ domain: '*.example' }] }] },
      /domain is "\*\.example": give a name of two labels or more/,
    ],
    [
      {
        tier: 'admin',
        rules: [{ direction: 'egress', action: 'allow', peers: [{ domain: 'a.b', cidr: '10.0.0.0/8' }] }],
      },
      /give one of pods with namespaces/,
    ],
    [{ tier: 'admin', domain_except: ['here'] }, /domain_except/],
    [
      { tier: 'admin', rules: [{ ...rule, peers: [{ pods: '' }] }] },
      /rules\[0\]: peers\[0\]: give pods and namespaces/,
    ],
    [{ tier: 'admin', rules: [{ ...rule, ports: [{ end_port: 9 }] }] }, /rules\[0\]: ports\[0\]: end_port needs port/],
  ];
  for (const [fields, message] of cases) {
    const answer = await make(fields);
    assert.equal(answer.status, 400, JSON.stringify([fields, answer.body]));
    assert.match(JSON.stringify(answer.body).replaceAll('\\"', '"'), message);
  }
  assert.equal((await make({ tier: 'admin' }, MEMBER)).status, 403);
  assert.equal((await policy({}, MEMBER)).status, 403);
  const changed = await send(
    'PUT',
    `/cable/v1/cluster-network-policies/${id}`,
    { cluster_network_policy: { pods: 'x=y' } },
    KUBE,
  );
  assert.equal(changed.status, 200);
});
