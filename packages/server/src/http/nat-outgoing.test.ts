/** Who says with which addresses a subnet leaves by nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, refused, startHarness } from '../testing/harness.ts';

const UID = '0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21';
const as = (project: string): Record<string, string> => ({
  ...{ 'x-project-id': project, 'cable-cluster': 'prod', 'cable-epoch': '1' },
});

test('administrators, and a cluster as a whole, let a subnet keep its address; no namespace and no tenant does', async (t) => {
  const { create, send } = await startHarness(t);
  await create('kubernetes_cluster', { name: 'prod' });
  const claim = { uid: UID, holder: 'a', epoch: 1 };
  assert.equal((await send('PUT', '/cable/v1/kubernetes-clusters/prod/claim', claim, as('prod.'))).status, 200);
  const made = async (headers: Record<string, string>, origin: object, more: object = {}): Promise<Answer> => {
    const network = await create('network', origin, headers);
    const subnet = { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4, ...origin, ...more };
    return send('POST', '/v2.0/subnets', { subnet }, headers);
  };
  const put = (answer: Answer, attributes: object, headers?: Record<string, string>): Promise<Answer> =>
    send('PUT', `/v2.0/subnets/${answer.body['subnet']?.['id']}`, { subnet: attributes }, headers);
  const origin = (text: string) => ({ 'cable:cluster': 'prod', 'cable:origin': text });
  const keeps = { 'cable:nat_outgoing': false };

  const member = { 'x-project-id': 'p', 'x-roles': 'member' };
  await refused(made(member, {}, keeps), 403, 'PolicyNotAuthorized');
  const theirs = await made(member, {});
  assert.equal(theirs.body['subnet']?.['cable:nat_outgoing'], true);
  await refused(put(theirs, keeps, member), 403, 'PolicyNotAuthorized');
  assert.equal((await put(theirs, keeps)).body['subnet']?.['cable:nat_outgoing'], false, 'an administrator');

  await refused(made(as('prod.shop'), origin('Subnet/shop/a/u'), keeps), 403, 'PolicyNotAuthorized');
  const own = await made(as('prod.'), origin('Subnet/kube-system/a/u'), keeps);
  assert.equal(own.body['subnet']?.['cable:nat_outgoing'], false);
  await refused(put(own, { 'cable:nat_outgoing': true }), 409, 'ManagedByKubernetes');

  // Of the cluster’s own network of pods no custom resource says it.
  const pods = await made(as('prod.'), origin('Subnet/pods-ipv4'));
  assert.equal((await put(pods, keeps)).body['subnet']?.['cable:nat_outgoing'], false);
  await refused(put(pods, { ...keeps, name: 'x' }), 409, 'ManagedByKubernetes');
  const joins = await made(as('prod.'), origin('Subnet/nodes-ipv4'));
  await refused(put(joins, keeps), 409, 'ManagedByKubernetes');
});
