/** Objects that go from Neutron's door to a Kubernetes cluster, and back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const as = (project: string, cluster = 'prod'): Record<string, string> => ({
  'x-project-id': project,
  'cable-cluster': cluster,
  'cable-epoch': '1',
});
const member = (project: string): Record<string, string> => ({ 'x-project-id': project, 'x-roles': 'member,reader' });
const CLUSTER = '/cable/v1/kubernetes-clusters/prod';
const GROUP = 'SecurityGroup/shop/web/u1';

async function clusters({ create, send }: Harness): Promise<void> {
  for (const name of ['prod', 'dev']) {
    const project = { uid: `ns of ${name}`, project_id: 'tenant' };
    await create('kubernetes_cluster', { name, namespace_projects: [project] });
    const claim = { uid: name, holder: 'a', epoch: 1 };
    assert.equal(
      (await send('PUT', `/cable/v1/kubernetes-clusters/${name}/claim`, claim, as(`${name}.`, name))).status,
      200,
    );
  }
}

const ownerOf = ({ 'cable:cluster': cluster, 'cable:origin': origin }: Json) => [cluster, origin];

test('a cluster’s controller takes over what its project has and nobody else, and lets go of it again', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  await clusters(harness);
  const group = await create('security_group', { name: 'db' }, member('tenant'));
  const path = `/v2.0/security-groups/${group['id']}`;
  const shown = async (): Promise<Json> => (await send('GET', path)).body['security_group'] as Json;
  const adopt = (origin: string, headers = as('tenant'), cluster = 'prod') =>
    send('PUT', `/cable/v1/kubernetes-clusters/${cluster}/adopt`, { object_id: group['id'], origin }, headers);
  const release = (origin: string, headers?: Record<string, string>) =>
    send('PUT', `${CLUSTER}/release`, { origin }, headers);
  for (const headers of [as('prod.shop'), as('prod.')])
    await refused(adopt(GROUP, headers), 404, 'SecurityGroupNotFound');
  await refused(adopt(GROUP, member('tenant')), 404, 'KubernetesClusterNotFound');
  await refused(adopt(GROUP, {}), 403, 'PolicyNotAuthorized');
  for (const odd of [
    'Pod/shop/web/u1',
    'SecurityGroup/shop/web',
    'SecurityGroup',
    'constructor/a/b/c',
    'SecurityGroup//web/u1',
  ])
    await refused(adopt(odd), 400, 'InvalidInput');
  await refused(adopt('Vpc/shop/web/u1'), 404, 'RouterNotFound');
  assert.equal((await adopt(GROUP)).status, 200);
  assert.deepEqual(ownerOf(await shown()), ['prod', GROUP]);
  const revision = (await shown())['revision_number'];
  assert.equal((await adopt(GROUP)).status, 200, 'again, as after an answer that was lost');
  assert.equal((await shown())['revision_number'], revision);
  await refused(adopt('SecurityGroup/shop/other/u2'), 409, 'ManagedByKubernetes');
  await refused(adopt(GROUP, as('tenant', 'dev'), 'dev'), 409, 'ManagedByKubernetes');
  const change = () => send('PUT', path, { security_group: { name: 'x' } }, member('tenant'));
  const { body } = await change();
  assert.match(
    String(body['NeutronError']?.['detail']),
    /cable\.io\/deletion-policy=retain.*cable kubernetes cluster release prod --origin SecurityGroup\/shop\/web\/u1/,
  );
  await refused(release(GROUP, member('tenant')), 404, 'KubernetesClusterNotFound');
  await refused(release('Pod/shop/web/u1'), 400, 'InvalidInput');
  assert.equal((await release(GROUP)).status, 200, 'by an administrator');
  assert.equal((await release(GROUP, as('prod.'))).status, 200, 'again, by its controller');
  assert.deepEqual(ownerOf(await shown()), [null, GROUP], 'what it was can be seen');
  assert.equal((await change()).status, 200);
  assert.equal((await adopt('SecurityGroup/shop/other/u2')).status, 200);
  assert.equal((await send('DELETE', CLUSTER)).status, 204);
  assert.equal((await adopt(GROUP, as('tenant', 'dev'), 'dev')).status, 200, 'of a cluster that is gone');
  assert.deepEqual(ownerOf(await shown()), ['dev', GROUP]);
  await assertInvariants(server);
});

test('a network goes with its subnets, a tap flow with its service, and a port that something has not at all', async (t) => {
  const harness = await startHarness(t);
  const { create, send, server } = harness;
  await clusters(harness);
  const mine = member('tenant');
  const adopt = (id: unknown, origin: string) =>
    send('PUT', `${CLUSTER}/adopt`, { object_id: id, origin }, as('tenant'));
  const release = (origin: string) => send('PUT', `${CLUSTER}/release`, { origin }, as('prod.'));
  const network = await create('network', {}, mine);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24' }, mine);
  const owner = async (path: string, name: string) => ownerOf((await send('GET', path)).body[name] as Json)[0];
  const subnetPath = `/v2.0/subnets/${subnet['id']}`;
  assert.equal((await adopt(network['id'], 'Subnet/shop/front/u1')).status, 200);
  assert.equal(await owner(subnetPath, 'subnet'), 'prod');
  await refused(send('PUT', subnetPath, { subnet: { name: 'x' } }, mine), 409, 'ManagedByKubernetes');
  assert.equal((await release('Subnet/shop/front/u1')).status, 200);
  assert.equal(await owner(subnetPath, 'subnet'), null);
  const theirs = await create('subnet', { network_id: network['id'], cidr: '10.0.1.0/24', project_id: 'other' });
  await refused(adopt(network['id'], 'Subnet/shop/front/u1'), 409, 'HTTPConflict');
  assert.equal(await owner(subnetPath, 'subnet'), null, 'all of it or nothing');
  assert.equal((await send('DELETE', `/v2.0/subnets/${theirs['id']}`)).status, 204);

  const [a, b, c] = [
    await create('port', { network_id: network['id'] }, mine),
    await create('port', { network_id: network['id'] }, mine),
    await create('port', { network_id: network['id'], device_id: 'vm-1', device_owner: 'compute:nova' }, mine),
  ];
  await refused(adopt(c['id'], 'Port/shop/vm/u1'), 409, 'PortInUse');
  assert.equal((await adopt(a['id'], 'Port/shop/free/u1')).status, 200);
  assert.equal((await release('Port/shop/free/u1')).status, 200);

  const service = await create('tap_service', { port_id: a['id'] }, mine);
  const flowOf = (port: Json) =>
    create('tap_flow', { tap_service_id: service['id'], source_port: port['id'], direction: 'BOTH' }, mine);
  const flow = await flowOf(b);
  assert.equal((await adopt(flow['id'], 'Mirror/shop/copy/u1')).status, 200);
  assert.equal(await owner(`/v2.0/taas/tap_services/${service['id']}`, 'tap_service'), 'prod');
  assert.equal((await release('Mirror/shop/copy/u1')).status, 200);
  await flowOf(c);
  await refused(adopt(flow['id'], 'Mirror/shop/copy/u1'), 409, 'HTTPConflict');
  await assertInvariants(server);
});
