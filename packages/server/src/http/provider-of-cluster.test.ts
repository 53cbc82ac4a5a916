/** VLANs of physical networks that a Kubernetes cluster may make networks of, through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, refused, startHarness } from '../testing/harness.ts';

const as = (project: string): Record<string, string> => ({
  ...{ 'x-project-id': project, 'cable-cluster': 'prod', 'cable-epoch': '1' },
});
const vlan = (id: number, physical = 'physnet1') => ({
  ...{ 'provider:network_type': 'vlan', 'provider:physical_network': physical, 'provider:segmentation_id': id },
});

test('a controller makes networks of the VLANs that its cluster was given, as the project that they were given to', async (t) => {
  const { create, send } = await startHarness(t);
  await create('kubernetes_cluster', { name: 'prod' });
  const claim = { uid: '0b0e4c1e-55b0-4bd2-9b5e-3a1c6f0d7e21', holder: 'a', epoch: 1 };
  assert.equal((await send('PUT', '/cable/v1/kubernetes-clusters/prod/claim', claim, as('prod.'))).status, 200);
  const give = (...networks: readonly object[]): Promise<Answer> =>
    send('PUT', '/cable/v1/kubernetes-clusters/prod', { kubernetes_cluster: { provider_networks: networks } });
  const range = { physical_network: 'physnet1', minimum: 100, maximum: 102 };
  let made = 0;
  const make = (attributes: object, project = 'prod.'): Promise<Answer> => {
    made += 1;
    const origin = { 'cable:cluster': 'prod', 'cable:origin': `Subnet/x/a/u${made}` };
    return send('POST', '/v2.0/networks', { network: { ...origin, ...attributes } }, as(project));
  };
  await refused(make(vlan(100)), 403, 'ProviderNetworkNotAllowed');
  await refused(give({ ...range, minimum: 103 }), 400, 'InvalidInput');
  await refused(give({ ...range, maximum: 4095 }), 400, 'HTTPBadRequest');
  assert.equal((await give(range, { ...range, minimum: 7, maximum: 7, project_id: 'prod.shop' })).status, 200);
  const { status, body } = await make(vlan(100));
  assert.deepEqual([status, body['network']?.['provider:segmentation_id']], [201, 100]);
  await refused(make(vlan(100)), 409, 'VlanIdInUse');
  assert.equal((await make(vlan(7), 'prod.shop')).status, 201);
  for (const [attributes, project] of [
    [vlan(99), 'prod.'],
    [vlan(103), 'prod.'],
    [vlan(101, 'physnet2'), 'prod.'],
    [vlan(7), 'prod.'],
    [vlan(101), 'prod.shop'],
    [{ 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' }, 'prod.'],
    [{ 'provider:network_type': 'vlan', 'provider:physical_network': 'physnet1' }, 'prod.'],
    [{ 'provider:segmentation_id': 101 }, 'prod.'],
    [{ 'provider:physical_network': 'physnet1' }, 'prod.'],
  ] as const)
    await refused(make(attributes, project), 403, 'ProviderNetworkNotAllowed');
  assert.equal((await make({ 'provider:network_type': 'vxlan' })).status, 201, 'what it has anyway');
  const segments = [vlan(102)];
  await refused(make({ segments }), 403, 'PolicyNotAuthorized');
  // Members name none, whatever their cluster may.
  const member = { 'x-project-id': 'prod.shop', 'x-roles': 'member' };
  await refused(send('POST', '/v2.0/networks', { network: vlan(102) }, member), 403, 'PolicyNotAuthorized');
  // The cluster as a whole sees how its networks are carried, a namespace does not.
  const seen = async (project: string) =>
    (await send('GET', `/v2.0/networks/${body['network']?.['id']}`, undefined, as(project))).body['network'];
  assert.equal((await seen('prod.'))?.['provider:physical_network'], 'physnet1');
  const own = (await make({}, 'prod.shop')).body['network'];
  assert.equal(own?.['provider:network_type'], undefined);
});
