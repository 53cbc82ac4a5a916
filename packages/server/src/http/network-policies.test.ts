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
