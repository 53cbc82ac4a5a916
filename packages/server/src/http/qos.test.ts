/** Neutron's QoS policies through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Harness, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };
const OTHER = { 'x-project-id': 'q', 'x-roles': 'member' };
const POLICIES = '/v2.0/qos/policies';

type Send = Harness['send'];
type Fields = Readonly<Record<string, unknown>>;

async function policy(send: Send, fields: Fields = {}): Promise<string> {
  const { status, body } = await send('POST', POLICIES, { policy: { name: 'gold', project_id: 'p', ...fields } });
  assert.equal(status, 201, JSON.stringify(body));
  return String(body['policy']?.['id']);
}

async function made(send: Send, path: string, name: string, fields: Fields, headers?: Fields): Promise<Fields> {
  const { status, body } = await send('POST', path, { [name]: fields }, headers as never);
  assert.equal(status, 201, JSON.stringify(body));
  return body[name] as unknown as Fields;
}

test('a policy has rules of each kind, and shows them', async (t) => {
  const { send } = await startHarness(t);
  const id = await policy(send);
  const limit = await made(send, `${POLICIES}/${id}/bandwidth_limit_rules`, 'bandwidth_limit_rule', {
    max_kbps: 20000,
  });
  assert.deepEqual(
    [limit['max_kbps'], limit['max_burst_kbps'], limit['direction'], limit['qos_policy_id']],
    [20000, 0, 'egress', id],
  );
  await made(send, `${POLICIES}/${id}/bandwidth_limit_rules`, 'bandwidth_limit_rule', {
    ...{ max_kbps: 10000, max_burst_kbps: 8000, direction: 'ingress' },
  });
  await made(send, `${POLICIES}/${id}/packet_rate_limit_rules`, 'packet_rate_limit_rule', { max_kpps: 50 });
  const mark = await made(send, `${POLICIES}/${id}/dscp_marking_rules`, 'dscp_marking_rule', { dscp_mark: 46 });
  const { body } = await send('GET', `${POLICIES}/${id}`);
  const rules = (body['policy']?.['rules'] ?? []) as unknown as Fields[];
  assert.deepEqual(
    rules.map((rule) => `${rule['type']} ${rule['direction'] ?? 'both'} ${rule['qos_policy_id']}`).sort(),
    [
      `bandwidth_limit egress ${id}`,
      `bandwidth_limit ingress ${id}`,
      `dscp_marking both ${id}`,
      `packet_rate_limit egress ${id}`,
    ],
  );
  const path = `${POLICIES}/${id}/dscp_marking_rules/${mark['id']}`;
  assert.equal((await send('PUT', path, { dscp_marking_rule: { dscp_mark: 10 } })).status, 200);
  assert.equal((await send('GET', path)).body['dscp_marking_rule']?.['dscp_mark'], 10);
  assert.equal((await send('DELETE', path)).status, 204);
  await refused(send('GET', path), 404, 'QosRuleNotFound');
  assert.equal((await send('DELETE', `${POLICIES}/${id}`)).status, 204, 'its rules go with it');
  assert.deepEqual((await send('GET', POLICIES)).body['policies'], []);
});

test('rules are refused that no host could hold to', async (t) => {
  const { send } = await startHarness(t);
  const id = await policy(send);
  const limits = `${POLICIES}/${id}/bandwidth_limit_rules`;
  for (const fields of [
    {},
    { max_kbps: -1 },
    { max_kbps: 2147483648 },
    { max_kbps: 1, direction: 'both' },
    { max_kbps: 1, max_burst_kbps: -1 },
    { max_kbps: 1, dscp_mark: 0 },
  ]) {
    await refused(send('POST', limits, { bandwidth_limit_rule: fields }), 400, 'HTTPBadRequest');
  }
  for (const max of [1.5, null]) {
    await refused(send('POST', limits, { bandwidth_limit_rule: { max_kbps: max } }), 400, 'InvalidInput');
  }
  for (const dscp of [1, 9, 42, 57, 64, -8]) {
    const body = { dscp_marking_rule: { dscp_mark: dscp } };
    await refused(send('POST', `${POLICIES}/${id}/dscp_marking_rules`, body), 400, 'HTTPBadRequest');
  }
  const none = '7d3f5b21-0a9c-4e8d-b6f7-1c2d3e4f5a6b';
  const body = { bandwidth_limit_rule: { max_kbps: 1 } };
  await refused(send('POST', `${POLICIES}/${none}/bandwidth_limit_rules`, body), 404, 'QosPolicyNotFound');
});

test('a policy has one rule of a kind and direction, whoever asks at the same moment', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const id = await policy(send);
  const limits = `${POLICIES}/${id}/bandwidth_limit_rules`;
  const body = { bandwidth_limit_rule: { max_kbps: 1000 } };
  const answers = await Promise.all([1, 2, 3, 4].map(() => send('POST', limits, body)));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409, 409]);
  await refused(send('POST', limits, body), 409, 'QoSRulesConflict');
  const ingress = await made(send, limits, 'bandwidth_limit_rule', { max_kbps: 1000, direction: 'ingress' });
  const turned = { bandwidth_limit_rule: { direction: 'egress' } };
  await refused(send('PUT', `${limits}/${ingress['id']}`, turned), 409, 'QoSRulesConflict');
  const [egress] = (await send('GET', `${limits}?direction=egress`)).body[
    'bandwidth_limit_rules'
  ] as unknown as Fields[];
  assert.equal((await send('DELETE', `${limits}/${egress?.['id']}`)).status, 204);
  assert.equal((await send('PUT', `${limits}/${ingress['id']}`, turned)).status, 200);
  await made(send, `${POLICIES}/${id}/dscp_marking_rules`, 'dscp_marking_rule', { dscp_mark: 8 });
  const again = { dscp_marking_rule: { dscp_mark: 10 } };
  await refused(send('POST', `${POLICIES}/${id}/dscp_marking_rules`, again), 409, 'QoSRulesConflict');
  await assertInvariants(harness.server);
});

test('a rule is found below its own policy only, and by its ID alone', async (t) => {
  const { send } = await startHarness(t);
  const [id, other] = [await policy(send), await policy(send)];
  const rule = await made(send, `${POLICIES}/${id}/bandwidth_limit_rules`, 'bandwidth_limit_rule', { max_kbps: 7 });
  await refused(send('GET', `${POLICIES}/${other}/bandwidth_limit_rules/${rule['id']}`), 404, 'QosRuleNotFound');
  const alias = `/v2.0/qos/alias_bandwidth_limit_rules/${rule['id']}`;
  assert.equal((await send('GET', alias)).body['alias_bandwidth_limit_rule']?.['max_kbps'], 7);
  assert.equal((await send('GET', alias.replaceAll('_', '-'))).status, 200, 'as Neutron’s path is written');
  const changed = await send('PUT', alias, { alias_bandwidth_limit_rule: { max_kbps: 8 } });
  assert.equal(changed.body['alias_bandwidth_limit_rule']?.['max_kbps'], 8);
  assert.equal((await send('DELETE', alias)).status, 204);
  await refused(send('GET', alias), 404, 'QosRuleNotFound');
});

test('a policy in use is not deleted', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const id = await policy(send);
  const network = await made(send, '/v2.0/networks', 'network', { project_id: 'p', qos_policy_id: id });
  await refused(send('DELETE', `${POLICIES}/${id}`), 409, 'QosPolicyInUse');
  const port = await made(send, '/v2.0/ports', 'port', { network_id: network['id'], project_id: 'p' });
  assert.deepEqual([port['qos_policy_id'], port['qos_network_policy_id']], [null, id]);
  const own = await policy(send);
  await send('PUT', `/v2.0/ports/${port['id']}`, { port: { qos_policy_id: own } });
  await send('PUT', `/v2.0/networks/${network['id']}`, { network: { qos_policy_id: null } });
  assert.equal((await send('DELETE', `${POLICIES}/${id}`)).status, 204);
  await refused(send('DELETE', `${POLICIES}/${own}`), 409, 'QosPolicyInUse');
  const none = { port: { qos_policy_id: id } };
  await refused(send('PUT', `/v2.0/ports/${port['id']}`, none), 404, 'QosPolicyNotFound');
  await assertInvariants(harness.server);
});

test('a project has one default policy, which its new networks have unless they are given another or none', async (t) => {
  const { send } = await startHarness(t);
  const id = await policy(send, { is_default: true });
  const more = { policy: { project_id: 'p', is_default: true } };
  await refused(send('POST', POLICIES, more), 409, 'QoSPolicyDefaultAlreadyExists');
  const other = await policy(send);
  const turned = { policy: { is_default: true } };
  await refused(send('PUT', `${POLICIES}/${other}`, turned), 409, 'QoSPolicyDefaultAlreadyExists');
  const given = async (fields: Fields): Promise<unknown> =>
    (await made(send, '/v2.0/networks', 'network', fields))['qos_policy_id'];
  assert.equal(await given({ project_id: 'p' }), id);
  assert.equal(await given({ project_id: 'p', qos_policy_id: other }), other);
  assert.equal(await given({ project_id: 'p', qos_policy_id: null }), null);
  assert.equal(await given({ project_id: 'q' }), null);
  assert.equal((await send('PUT', `${POLICIES}/${id}`, { policy: { is_default: false } })).status, 200);
  assert.equal(await given({ project_id: 'p' }), null);
  assert.equal((await send('PUT', `${POLICIES}/${other}`, turned)).status, 200);
});

test('a member sees the policies of its project and shared ones, has them, and changes none', async (t) => {
  const { send } = await startHarness(t);
  const own = await policy(send);
  const shared = await policy(send, { project_id: 'q', shared: true });
  const foreign = await policy(send, { project_id: 'q' });
  for (const id of [own, shared, foreign]) {
    await made(send, `${POLICIES}/${id}/bandwidth_limit_rules`, 'bandwidth_limit_rule', { max_kbps: 5 });
  }
  const seen = (await send('GET', POLICIES, undefined, MEMBER)).body['policies'] as unknown as Fields[];
  assert.deepEqual(seen.map((one) => one['id']).sort(), [own, shared].sort());
  for (const id of [own, shared]) {
    const { body } = await send('GET', `${POLICIES}/${id}/bandwidth_limit_rules`, undefined, MEMBER);
    assert.equal((body['bandwidth_limit_rules'] as unknown as Fields[]).length, 1);
    await refused(send('DELETE', `${POLICIES}/${id}`, undefined, MEMBER), 403, 'PolicyNotAuthorized');
    const rule = { bandwidth_limit_rule: { max_kbps: 9, direction: 'ingress' } };
    await refused(send('POST', `${POLICIES}/${id}/bandwidth_limit_rules`, rule, MEMBER), 403, 'PolicyNotAuthorized');
  }
  await refused(send('GET', `${POLICIES}/${foreign}`, undefined, MEMBER), 404, 'QosPolicyNotFound');
  const nowhere = `${POLICIES}/nothing/bandwidth_limit_rules`;
  const limit = { bandwidth_limit_rule: { max_kbps: 1 } };
  await refused(send('POST', nowhere, limit, MEMBER), 403, 'PolicyNotAuthorized');
  await refused(send('POST', nowhere, limit), 404, 'QosPolicyNotFound');
  await refused(send('POST', POLICIES, { policy: {} }, MEMBER), 403, 'PolicyNotAuthorized');
  const network = await made(send, '/v2.0/networks', 'network', { qos_policy_id: shared }, MEMBER);
  const port = { network_id: network['id'] };
  await made(send, '/v2.0/ports', 'port', { ...port, qos_policy_id: own }, MEMBER);
  const body = { port: { ...port, qos_policy_id: foreign } };
  await refused(send('POST', '/v2.0/ports', body, MEMBER), 404, 'QosPolicyNotFound');
});

test('a policy that others have is not un-shared', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const id = await policy(send, { shared: true });
  const network = await made(send, '/v2.0/networks', 'network', {}, OTHER);
  const port = await made(send, '/v2.0/ports', 'port', { network_id: network['id'], qos_policy_id: id }, OTHER);
  const unshared = { policy: { shared: false } };
  await refused(send('PUT', `${POLICIES}/${id}`, unshared), 409, 'RbacPolicyInUse');
  await send('PUT', `/v2.0/ports/${port['id']}`, { port: { qos_policy_id: null } }, OTHER);
  assert.equal((await send('PUT', `${POLICIES}/${id}`, unshared)).status, 200);
  await assertInvariants(harness.server);
});

test('un-sharing and use by another project at the same moment: one of the two is refused', async (t) => {
  const harness = await startHarness(t);
  const { send } = harness;
  const network = await made(send, '/v2.0/networks', 'network', {}, OTHER);
  for (let n = 0; n < 8; n += 1) {
    const id = await policy(send, { shared: true });
    const [port, unshared] = await Promise.all([
      send('POST', '/v2.0/ports', { port: { network_id: network['id'], qos_policy_id: id } }, OTHER),
      send('PUT', `${POLICIES}/${id}`, { policy: { shared: false } }),
    ]);
    assert.notEqual(port.status === 201, unshared.status === 200, `${port.status} and ${unshared.status}`);
  }
  await assertInvariants(harness.server);
});

test('kinds of rules are listed, with what they may say for an admin', async (t) => {
  const { send } = await startHarness(t);
  const { body } = await send('GET', '/v2.0/qos/rule-types', undefined, MEMBER);
  assert.deepEqual(body, {
    rule_types: [
      { type: 'bandwidth_limit' },
      { type: 'packet_rate_limit' },
      { type: 'dscp_marking' },
      { type: 'minimum_bandwidth' },
      { type: 'minimum_packet_rate' },
    ],
  });
  const shown = (await send('GET', '/v2.0/qos/rule-types/dscp_marking')).body['rule_type'];
  const [driver] = (shown?.['drivers'] ?? []) as unknown as { name: string; supported_parameters: Fields[] }[];
  assert.equal(driver?.name, 'cable');
  assert.deepEqual(
    driver?.supported_parameters.map((one) => [one['parameter_name'], one['parameter_type']]),
    [['dscp_mark', 'choices']],
  );
  await refused(send('GET', '/v2.0/qos/rule-types/maximum_delay'), 404, 'QosRuleTypeNotFound');
});
