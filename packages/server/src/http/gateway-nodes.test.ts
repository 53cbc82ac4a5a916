/** Who says by which nodes a subnet leaves, and what follows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, assertInvariants, refused, startHarness } from '../testing/harness.ts';

const UID = '0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21';
const as = (project: string): Record<string, string> => ({
  ...{ 'x-project-id': project, 'cable-cluster': 'prod', 'cable-epoch': '1' },
});
const named = (...nodes: readonly string[]): object => ({ 'cable:gateway_nodes': nodes });

test('administrators, and a cluster as a whole, say by which of its nodes a subnet leaves', async (t) => {
  const { create, send, server } = await startHarness(t);
  for (const name of ['prod', 'other']) await create('kubernetes_cluster', { name });
  const claim = { uid: UID, holder: 'a', epoch: 1 };
  assert.equal((await send('PUT', '/cable/v1/kubernetes-clusters/prod/claim', claim, as('prod.'))).status, 200);
  const hosts = { n1: ['prod'], n2: ['prod'], n3: ['other'], plain: [] } as const;
  for (const [n, [name, [cluster]]] of Object.entries(hosts).entries()) {
    const of = cluster === undefined ? {} : { cluster };
    await server.plane.register(name, { underlay: `192.0.2.${n + 1}`, agentVersion: '1', ...of });
  }
  const made = async (more: object, headers: Record<string, string> = {}, origin: object = {}): Promise<Answer> => {
    const network = await create('network', origin, headers);
    const subnet = { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4, ...origin, ...more };
    return send('POST', '/v2.0/subnets', { subnet }, headers);
  };
  const put = (answer: Answer, attributes: object, headers?: Record<string, string>): Promise<Answer> =>
    send('PUT', `/v2.0/subnets/${answer.body['subnet']?.['id']}`, { subnet: attributes }, headers);
  const said = ({ body }: Answer): unknown =>
    ['nodes', 'node', 'cluster'].map((one) => body['subnet']?.[`cable:gateway_${one}`]);

  const member = { 'x-project-id': 'p', 'x-roles': 'member' };
  await refused(made(named('n1'), member), 403, 'PolicyNotAuthorized');
  const theirs = await made({}, member);
  assert.deepEqual(said(theirs), [[], null, null]);
  await refused(put(theirs, named('n1'), member), 403, 'PolicyNotAuthorized');
  await refused(put(theirs, { 'cable:gateway_node': 'n1' }), 400, 'HTTPBadRequest');

  for (const [nodes, why] of [
    [['n1', 'n1'], /Duplicate items/],
    [['n1', 'plain'], /plain is no node of a Kubernetes cluster/],
    [['nobody'], /nobody is no node/],
    [['n1', 'n3'], /nodes of several clusters/],
  ] as const) {
    const answer = await put(theirs, named(...nodes));
    assert.equal(answer.status, 400);
    assert.match(JSON.stringify(answer.body), why);
  }
  assert.deepEqual(said(await put(theirs, named('n2', 'n1'))), [['n2', 'n1'], 'n2', 'prod'], 'an administrator');
  assert.deepEqual(said(await put(theirs, { name: 'x' })), [['n2', 'n1'], 'n2', 'prod']);
  assert.deepEqual(said(await put(theirs, named('n1', 'n2'))), [['n1', 'n2'], 'n1', 'prod'], 'begins with its first');
  assert.deepEqual(said(await put(theirs, named())), [[], null, null]);

  const origin = (text: string): object => ({ 'cable:cluster': 'prod', 'cable:origin': text });
  await refused(made(named('n1'), as('prod.shop'), origin('Subnet/shop/a/u')), 403, 'PolicyNotAuthorized');
  const own = await made(named('n1'), as('prod.'), origin('Subnet/kube-system/a/u'));
  assert.deepEqual(said(own), [['n1'], 'n1', 'prod']);
  await refused(put(own, named()), 409, 'ManagedByKubernetes');
  const pods = await made({}, as('prod.'), origin('Subnet/pods-ipv4'));
  assert.deepEqual(said(await put(pods, named('n1'))), [['n1'], 'n1', 'prod'], 'of the cluster’s own pods');
  await assertInvariants(server);
});
