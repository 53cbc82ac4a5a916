/** Neutron's default security group rules: what new security groups begin with. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, harnessOf, type Json, refused, startHarness, startTestServer } from '../testing/harness.ts';
import { lateStore } from '../testing/late-store.ts';

const PATH = '/v2.0/default-security-group-rules';
const TYPE = 'default_security_group_rule';
const PING = { direction: 'ingress', protocol: 'icmp' };

/** A rule as one line. */
function line(rule: Json): string {
  const { direction, ethertype, protocol, port_range_min: min, remote_group_id: remote } = rule;
  const uses = [rule['used_in_default_sg'] && 'default', rule['used_in_non_default_sg'] && 'other'];
  return [direction, ethertype, protocol ?? 'any', min ?? '-', remote ?? '-', ...uses.filter(Boolean)].join(' ');
}

/** A group's rules, itself as `self`. */
function linesOf(group: Json): readonly string[] {
  const rules = (group['security_group_rules'] ?? []) as readonly Json[];
  return rules.map((rule) => line(rule).replace(String(group['id']), 'self')).sort();
}

test('a cloud begins with Neutron’s four, which whoever reads may see and nobody but an administrator may change', async (t) => {
  const { send, create } = await startHarness(t);
  const list = async (query = '', headers?: Record<string, string>): Promise<readonly string[]> =>
    ((await send('GET', `${PATH}${query}`, undefined, headers)).body['default_security_group_rules'] ?? [])
      .map(line)
      .sort();
  const four = [
    'egress IPv4 any - - default other',
    'egress IPv6 any - - default other',
    'ingress IPv4 any - PARENT default',
    'ingress IPv6 any - PARENT default',
  ];
  assert.deepEqual(await list(), four);
  assert.deepEqual(await list('?used_in_non_default_sg=True'), four.slice(0, 2));
  assert.deepEqual(await list('?remote_group_id=PARENT&ethertype=IPv6'), four.slice(3));
  const reader = { 'x-project-id': 'p', 'x-roles': 'reader' };
  const member = { 'x-project-id': 'p', 'x-roles': 'member' };
  assert.deepEqual(await list('', reader), four);
  await refused(send('POST', PATH, { [TYPE]: PING }, member), 403, 'PolicyNotAuthorized');
  const { id } = await create(TYPE, PING);
  assert.equal((await send('GET', `${PATH}/${id}`, undefined, reader)).status, 200);
  await refused(send('DELETE', `${PATH}/${id}`, undefined, member), 403, 'PolicyNotAuthorized');
  await refused(send('PUT', `${PATH}/${id}`, { [TYPE]: { protocol: 'tcp' } }), 405, 'HTTPMethodNotAllowed');
  assert.equal((await send('DELETE', `${PATH}/${id}`)).status, 204);
  await refused(send('GET', `${PATH}/${id}`), 404, 'DefaultSecurityGroupRuleNotFound');
});

test('new groups begin with what the rules say, and groups that are there keep what they have', async (t) => {
  const { send, create } = await startHarness(t);
  const before = await create('security_group', { name: 'before' });
  const peer = await create('security_group', { name: 'peer' });
  const addresses = await create('address_group', { addresses: ['198.51.100.0/24'] });
  await create(TYPE, { ...PING, used_in_default_sg: true, used_in_non_default_sg: false });
  await create(TYPE, { direction: 'ingress', protocol: 'TCP', port_range_min: 22, port_range_max: 22 });
  await create(TYPE, { direction: 'ingress', ethertype: 'IPv6', remote_group_id: 'PARENT' });
  await create(TYPE, { direction: 'ingress', protocol: 'udp', remote_group_id: peer['id'] });
  await create(TYPE, { direction: 'ingress', protocol: 'sctp', remote_address_group_id: addresses['id'] });
  await create(TYPE, { direction: 'egress', protocol: 'vrrp', used_in_non_default_sg: false });
  const all = await send('GET', PATH);
  for (const rule of (all.body['default_security_group_rules'] ?? []).filter(
    (one) => line(one) === 'egress IPv6 any - - default other',
  ))
    assert.equal((await send('DELETE', `${PATH}/${rule['id']}`)).status, 204);
  const group = await create('security_group', { name: 'after' });
  assert.deepEqual(linesOf(group), [
    'egress IPv4 any - -',
    'ingress IPv4 sctp - -',
    'ingress IPv4 tcp 22 -',
    `ingress IPv4 udp - ${peer['id']}`,
    'ingress IPv6 any - self',
  ]);
  const groups = await send('GET', '/v2.0/security-groups?project_id=p9');
  assert.deepEqual(linesOf(groups.body['security_groups']?.[0] as Json), [
    'egress IPv4 any - -',
    'ingress IPv4 any - self',
    'ingress IPv4 icmp - -',
    'ingress IPv6 any - self',
  ]);
  const shown = await send('GET', `/v2.0/security-groups/${before['id']}`);
  assert.deepEqual(linesOf(shown.body['security_group'] as Json), ['egress IPv4 any - -', 'egress IPv6 any - -']);
  await refused(send('DELETE', `/v2.0/security-groups/${peer['id']}`), 409, 'SecurityGroupInUse');
  await refused(send('DELETE', `/v2.0/address-groups/${addresses['id']}`), 409, 'AddressGroupInUse');
});

test('a rule is there once for groups of a kind, whatever words it is said in', async (t) => {
  const { send, create } = await startHarness(t);
  const ssh = { direction: 'ingress', protocol: 'tcp', port_range_min: 22, port_range_max: 22 };
  const { id } = await create(TYPE, { ...ssh, used_in_default_sg: true });
  for (const other of [
    { used_in_default_sg: true, used_in_non_default_sg: false },
    { used_in_default_sg: false },
    { protocol: 6, remote_ip_prefix: '0.0.0.0/0' },
    { description: 'another text' },
  ]) {
    const message = await refused(
      send('POST', PATH, { [TYPE]: { ...ssh, ...other } }),
      409,
      'DefaultSecurityGroupRuleExists',
    );
    assert.ok(message.includes(String(id)), message);
  }
  const web = { ...ssh, port_range_min: 80, port_range_max: 80 };
  await create(TYPE, { ...web, used_in_default_sg: true, used_in_non_default_sg: false });
  await create(TYPE, { ...web, used_in_default_sg: false, used_in_non_default_sg: true });
  const many = { [`${TYPE}s`]: [PING, { ...PING, protocol: 1 }] };
  await refused(send('POST', PATH, many), 409, 'DefaultSecurityGroupRuleExists');
});

test('what no rule of a group may say is refused', async (t) => {
  const { send } = await startHarness(t);
  const id = '11111111-2222-4333-8444-555555555555';
  const tcp = { direction: 'ingress', protocol: 'tcp' };
  const cases: readonly (readonly [object, number, string])[] = [
    [{ protocol: 'tcp' }, 400, 'HTTPBadRequest'],
    [{ ...tcp, ethertype: 2 }, 400, 'SecurityGroupRuleInvalidEtherType'],
    [{ direction: 'ingress', protocol: 'ipv6-frag' }, 400, 'SecurityGroupEthertypeConflictWithProtocol'],
    [{ ...tcp, remote_ip_prefix: '172.30./24' }, 400, 'InvalidCIDR'],
    [{ ...tcp, remote_ip_prefix: '192.168.1.1/24', ethertype: 'IPv6' }, 400, 'SecurityGroupRuleParameterConflict'],
    [{ ...tcp, port_range_min: 70 }, 400, 'SecurityGroupInvalidPortRange'],
    [{ direction: 'ingress', port_range_min: 7, port_range_max: 8 }, 400, 'SecurityGroupProtocolRequiredWithPorts'],
    [{ ...tcp, remote_ip_prefix: '10.0.0.0/8', remote_group_id: 'PARENT' }, 400, 'SecurityGroupMultipleRemoteEntites'],
    [{ ...tcp, remote_group_id: id }, 404, 'SecurityGroupNotFound'],
    [{ ...tcp, remote_group_id: 'parent' }, 404, 'SecurityGroupNotFound'],
    [{ ...tcp, remote_address_group_id: id }, 404, 'AddressGroupNotFound'],
  ];
  for (const [rule, status, type] of cases) await refused(send('POST', PATH, { [TYPE]: rule }), status, type);
});

test('what an administrator deletes stays away after a start, and two servers make the first rules once', async (t) => {
  const { store, server, send } = await startHarness(t);
  const [first] = (await send('GET', PATH)).body['default_security_group_rules'] ?? [];
  assert.equal((await send('DELETE', `${PATH}/${first?.['id']}`)).status, 204);
  const others = await Promise.all([startTestServer(store), startTestServer(store)]);
  t.after(() => Promise.all(others.map((one) => one.stop())));
  for (const one of others) {
    const { body } = await harnessOf(store, one).send('GET', PATH);
    assert.equal(body['default_security_group_rules']?.length, 3);
  }
  await assertInvariants(server);
});

test('a group has the rules of the moment when it is made, also through a server that has not heard of them', async (t) => {
  const { store, server, create, send } = await startHarness(t);
  const held = lateStore(store);
  const other = await startTestServer(held.store);
  t.after(() => other.stop());
  const late = harnessOf(held.store, other);
  const groupAfter = async (change: () => Promise<unknown>): Promise<readonly string[]> => {
    await other.tables.waitFor(server.tables.revision);
    const release = held.hold();
    await change();
    const made = late.create('security_group', { name: 'g' });
    await held.asked();
    release();
    return linesOf(await made);
  };
  let id: unknown;
  const added = await groupAfter(async () => {
    id = (await create(TYPE, PING))['id'];
  });
  assert.deepEqual(added, ['egress IPv4 any - -', 'egress IPv6 any - -', 'ingress IPv4 icmp - -']);
  const removed = await groupAfter(() => send('DELETE', `${PATH}/${id}`));
  assert.deepEqual(removed, ['egress IPv4 any - -', 'egress IPv6 any - -']);
});
