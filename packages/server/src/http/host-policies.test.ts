/** Policies for hosts themselves through the API of a server. */
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
  const policy = (fields: object, headers = ADMIN) =>
    harness.send(
      'POST',
      '/cable/v1/host-policies',
      { host_policy: { hosts: ['node-1'], directions: ['ingress'], ...fields } },
      headers,
    );
  const show = async (id: unknown, headers = ADMIN): Promise<Json> =>
    (await harness.send('GET', `/cable/v1/host-policies/${id}`, undefined, headers)).body['host_policy'] as Json;
  return { ...harness, policy, show };
}

test('a policy for hosts is stored in the words that all have, and changed', async (t) => {
  const { policy, send, server } = await cluster(t);
  const rules = [
    {
      direction: 'ingress',
      peers: [{ pods: 'a==1', namespaces: 'b in (x)' }, { cidr: '10.0.0.0/8' }],
      ports: [{ port: 80 }],
    },
    { direction: 'egress' },
    { direction: 'egress', peers: [], ports: [{ protocol: 'ICMP' }] },
  ];
  const made = await policy({ cluster: 'prod', rules });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const { rules: stored, id } = made.body['host_policy'] as Json & { rules: Json[] };
  const none = { pods: null, namespaces: null, address_group_id: null, cidr: null, except: [] };
  assert.deepEqual(stored, [
    {
      direction: 'ingress',
      peers: [
        { ...none, pods: 'a=1', namespaces: 'b=x' },
        { ...none, cidr: '10.0.0.0/8' },
      ],
      ports: [{ protocol: 'TCP', port: 80, end_port: null }],
    },
    { direction: 'egress', peers: null, ports: null },
    { direction: 'egress', peers: [], ports: [{ protocol: 'ICMP', port: null, end_port: null }] },
  ]);
  const changed = await send('PUT', `/cable/v1/host-policies/${id}`, { host_policy: { hosts: ['*'] } }, ADMIN);
  assert.deepEqual([changed.status, changed.body['host_policy']?.['hosts']], [200, ['*']]);
  await assertInvariants(server);
});

test('what cannot be put in force is refused, with the place', async (t) => {
  const { policy } = await cluster(t);
  const rule = (more: object) => ({ cluster: 'prod', rules: [{ direction: 'ingress', ...more }] });
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ directions: [] }, /directions is empty/],
    [{ directions: ['both'] }, /directions/],
    [rule({ peers: [{}] }), /rules\[0\]: peers\[0\]: give one of cidr, pods with namespaces/],
    [rule({ peers: [{ pods: '', namespaces: '', cidr: '10.0.0.0/8' }] }), /give one of cidr/],
    [rule({ peers: [{ pods: '' }] }), /give pods and namespaces/],
    [rule({ peers: [{ pods: 'a b', namespaces: '' }] }), /pods is "a b", which is no label selector/],
    [rule({ peers: [{ pods: '', namespaces: '', except: ['10.0.0.0/8'] }] }), /except goes with cidr/],
    [rule({ peers: [{ cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] }] }), /except has 11\.0\.0\.0\/16, which is not in/],
    [{ ...rule({ peers: [{ pods: '', namespaces: '' }] }), cluster: null }, /pods are those of a cluster/],
    [rule({ ports: [{ port: 90, end_port: 80 }] }), /rules\[0\]: ports\[0\]: end_port is 80, less than port 90/],
    [rule({ ports: [{ protocol: 'ICMP', port: 8 }] }), /ICMP has no ports/],
  ];
  for (const [fields, message] of cases) {
    const answer = await policy(fields);
    assert.equal(answer.status, 400, JSON.stringify(answer.body));
    assert.match(JSON.stringify(answer.body).replaceAll('\\"', '"'), message);
  }
});

test('administrators write them, and the controller of a cluster for its own', async (t) => {
  const { policy } = await cluster(t);
  assert.equal((await policy({}, MEMBER)).status, 403);
  assert.equal((await policy({ cluster: 'prod' }, KUBE)).status, 201);
  for (const fields of [{}, { cluster: 'dev' }]) {
    const answer = await policy(fields, KUBE);
    assert.equal(answer.status, 400, JSON.stringify(answer.body));
    assert.match(JSON.stringify(answer.body), /the controller of prod asks/);
  }
});

test('it says on how many hosts it is in force, and why not on others', async (t) => {
  const { policy, send, show } = await cluster(t);
  const register = async (host: string, at: number, more: object) => {
    const answer = await send('PUT', `/cable/v1/hosts/${host}`, {
      underlay: `192.0.2.${at}`,
      agentVersion: '1',
      ...more,
    });
    assert.ok(answer.status < 300, JSON.stringify(answer.body));
  };
  await register('node-1', 1, { features: ['host-policies'], cluster: 'prod' });
  await register('node-2', 2, { cluster: 'prod' });
  await register('node-3', 3, { features: ['host-policies'], cluster: 'dev' });
  const made = await policy({ hosts: ['node-1', 'node-2', 'node-3', 'node-4'], cluster: 'prod' });
  const { id } = made.body['host_policy'] as Json;
  const before = await show(id);
  assert.deepEqual([before['selected_hosts'], before['hosts_in_force']], [2, 0]);
  assert.deepEqual(
    (before['not_in_force'] as Json & Json[]).map(({ host_id, reason }) => `${host_id}: ${reason}`.slice(0, 40)),
    ['node-1: its agent has not said yet that ', 'node-2: its agent is older and knows no '],
  );
  const every = await policy({ hosts: ['*'] });
  assert.equal((await show(every.body['host_policy']?.['id']))['selected_hosts'], 3);
});
