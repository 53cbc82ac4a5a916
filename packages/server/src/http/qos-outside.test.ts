/** QoS policies of floating IPs and of gateways of routers, through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Harness, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const OTHER = { 'x-project-id': 'q', 'x-roles': 'member' };
const POLICIES = '/v2.0/qos/policies';
const NONE = '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b';

type Fields = Readonly<Record<string, unknown>>;
type Cloud = { readonly external: string; readonly policy: string; readonly shared: string; readonly foreign: string };

async function makeCloud({ create }: Harness): Promise<Cloud> {
  const external = await create('network', {
    'router:external': true,
    'provider:network_type': 'flat',
    'provider:physical_network': 'physnet1',
  });
  await create('subnet', { network_id: external['id'], cidr: '203.0.113.0/24', enable_dhcp: false });
  const policy = async (fields: Fields): Promise<string> => String((await create('qos_policy', fields))['id']);
  return {
    external: String(external['id']),
    policy: await policy({ project_id: 'p' }),
    shared: await policy({ project_id: 'q', shared: true }),
    foreign: await policy({ project_id: 'q' }),
  };
}

async function gatewayOf({ send }: Harness, id: unknown): Promise<Fields> {
  return (await send('GET', `/v2.0/routers/${id}`)).body['router']?.['external_gateway_info'] as unknown as Fields;
}

test('a floating IP has a policy, which is not deleted meanwhile', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { external, policy, shared, foreign } = await makeCloud(harness);
  const floating = await create('floatingip', { floating_network_id: external }, MEMBER);
  assert.equal(floating['qos_policy_id'], null);
  const path = `/v2.0/floatingips/${floating['id']}`;
  const give = (id: string | null, headers?: Record<string, string>) =>
    send('PUT', path, { floatingip: { qos_policy_id: id } }, headers);
  assert.equal((await give(policy, MEMBER)).body['floatingip']?.['qos_policy_id'], policy);
  await refused(send('DELETE', `${POLICIES}/${policy}`), 409, 'QosPolicyInUse');
  await refused(give(foreign, MEMBER), 404, 'QosPolicyNotFound');
  await refused(give(NONE), 404, 'QosPolicyNotFound');
  const listed = (await send('GET', `/v2.0/floatingips?qos_policy_id=${policy}`, undefined, MEMBER)).body;
  assert.equal((listed['floatingips'] as unknown as Fields[]).length, 1);
  assert.equal((await give(shared, MEMBER)).status, 200);
  assert.equal((await send('DELETE', `${POLICIES}/${policy}`)).status, 204);
  await refused(send('PUT', `${POLICIES}/${shared}`, { policy: { shared: false } }), 409, 'RbacPolicyInUse');
  assert.equal((await give(null, MEMBER)).status, 200);
  assert.equal((await send('PUT', `${POLICIES}/${shared}`, { policy: { shared: false } })).status, 200);
  const another = { floatingip: { floating_network_id: external, qos_policy_id: foreign } };
  assert.equal(
    (await send('POST', '/v2.0/floatingips', another, OTHER)).body['floatingip']?.['qos_policy_id'],
    foreign,
  );
  await assertInvariants(harness.server);
});

test('a router’s gateway has a policy, keeps it when it is not named, and lets it go with the gateway', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { external, policy, shared, foreign } = await makeCloud(harness);
  const gateway = { network_id: external };
  const router = await create('router', { external_gateway_info: { ...gateway, qos_policy_id: policy } }, MEMBER);
  const change = (info: Fields, headers?: Record<string, string>) =>
    send('PUT', `/v2.0/routers/${router['id']}`, { router: { external_gateway_info: info } }, headers);
  assert.equal((router['external_gateway_info'] as Fields)['qos_policy_id'], policy);
  await refused(send('DELETE', `${POLICIES}/${policy}`), 409, 'QosPolicyInUse');
  assert.equal((await change(gateway, MEMBER)).status, 200);
  assert.equal((await gatewayOf(harness, router['id']))['qos_policy_id'], policy);
  await refused(change({ ...gateway, qos_policy_id: foreign }, MEMBER), 404, 'QosPolicyNotFound');
  assert.equal((await change({ ...gateway, qos_policy_id: null }, MEMBER)).status, 200);
  assert.equal((await gatewayOf(harness, router['id']))['qos_policy_id'], null);
  assert.equal((await change({ ...gateway, qos_policy_id: shared }, MEMBER)).status, 200);
  await refused(send('PUT', `${POLICIES}/${shared}`, { policy: { shared: false } }), 409, 'RbacPolicyInUse');
  assert.equal((await change({}, MEMBER)).status, 200);
  assert.equal(await gatewayOf(harness, router['id']), null);
  for (const id of [policy, shared]) assert.equal((await send('DELETE', `${POLICIES}/${id}`)).status, 204);
  assert.equal((await change(gateway, MEMBER)).status, 200);
  assert.equal((await gatewayOf(harness, router['id']))['qos_policy_id'], null, 'a new gateway has none');
  await assertInvariants(harness.server);
});

test('un-sharing a policy, and a gateway or floating IP that takes it at the same moment: one of the two is refused', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const { external } = await makeCloud(harness);
  const router = await create('router', { external_gateway_info: { network_id: external } }, MEMBER);
  const floating = await create('floatingip', { floating_network_id: external }, MEMBER);
  for (let n = 0; n < 8; n += 1) {
    const { id } = await create('qos_policy', { project_id: 'q', shared: true });
    const info = { network_id: external, qos_policy_id: id };
    const [taken, unshared] = await Promise.all([
      n % 2 === 0
        ? send('PUT', `/v2.0/routers/${router['id']}`, { router: { external_gateway_info: info } }, MEMBER)
        : send('PUT', `/v2.0/floatingips/${floating['id']}`, { floatingip: { qos_policy_id: id } }, MEMBER),
      send('PUT', `${POLICIES}/${id}`, { policy: { shared: false } }),
    ]);
    assert.notEqual(taken.status === 200, unshared.status === 200, `${taken.status} and ${unshared.status}`);
  }
  await assertInvariants(harness.server);
});
