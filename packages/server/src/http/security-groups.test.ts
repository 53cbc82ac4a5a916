import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Json, refused, startHarness } from '../testing/harness.ts';

const P1 = { 'x-project-id': 'p1' };

test('the default group appears on the first list, with Neutron’s rules', async (t) => {
  const { send } = await startHarness(t);
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => send('GET', '/v2.0/security-groups', undefined, P1)),
  );
  for (const { body } of answers) assert.equal(body['security_groups']?.length, 1);
  const group = answers[0]?.body['security_groups']?.[0];
  assert.equal(group?.['name'], 'default');
  assert.equal(group?.['project_id'], 'p1');
  const rules = (group?.['security_group_rules'] ?? []) as readonly Json[];
  assert.deepEqual(
    rules
      .map((rule) => `${rule['direction']} ${rule['ethertype']} ${rule['remote_group_id'] === group?.['id']}`)
      .sort(),
    ['egress IPv4 false', 'egress IPv6 false', 'ingress IPv4 true', 'ingress IPv6 true'],
  );
  assert.ok(rules.every((rule) => rule['belongs_to_default_sg']));
  const count = async (query: string): Promise<number | undefined> =>
    (await send('GET', `/v2.0/security-group-rules?belongs_to_default_sg=${query}`, undefined, P1)).body[
      'security_group_rules'
    ]?.length;
  assert.deepEqual([await count('True'), await count('False')], [4, 0]);
});

test('the default group of a project appears to an administrator who lists that project’s groups', async (t) => {
  const { send } = await startHarness(t);
  const list = async (query: string, headers?: Record<string, string>): Promise<number | undefined> =>
    (await send('GET', `/v2.0/security-groups?${query}`, undefined, headers)).body['security_groups']?.length;
  assert.equal(await list('project_id=p2', { 'x-project-id': 'p1', 'x-roles': 'member' }), 0);
  assert.equal(await list('tenant_id=p2&name=default'), 1);
  assert.equal(await list('project_id=p2', { 'x-project-id': 'p2', 'x-roles': 'member' }), 1);
});

test('the rules of a default group appear with it, also where rules alone are listed', async (t) => {
  const { send } = await startHarness(t);
  const rules = await send('GET', '/v2.0/security-group-rules?project_id=p2');
  assert.equal(rules.body['security_group_rules']?.length, 4);
  const own = await send('GET', '/v2.0/security-group-rules', undefined, { 'x-project-id': 'p3', 'x-roles': 'member' });
  assert.equal(own.body['security_group_rules']?.length, 4);
});

test('the default group keeps its name; only an admin deletes it, and then it comes back', async (t) => {
  const { send, create } = await startHarness(t);
  const list = await send('GET', '/v2.0/security-groups', undefined, P1);
  const path = `/v2.0/security-groups/${list.body['security_groups']?.[0]?.['id']}`;
  const member = { ...P1, 'x-roles': 'member' };
  await refused(send('PUT', path, { security_group: { name: 'x' } }, P1), 409, 'SecurityGroupCannotUpdateDefault');
  await refused(send('DELETE', path, undefined, member), 409, 'SecurityGroupCannotRemoveDefault');
  await refused(
    send('POST', '/v2.0/security-groups', { security_group: { name: 'Default' } }, P1),
    409,
    'SecurityGroupDefaultAlreadyExists',
  );
  assert.equal((await send('DELETE', path, undefined, P1)).status, 204);
  const network = await create('network', {}, P1);
  const port = await create('port', { network_id: network['id'] }, P1);
  assert.equal(port['security_groups']?.length, 1);
});

test('a new group may send everything, and a rule is not made twice', async (t) => {
  const { send, create } = await startHarness(t);
  const group = await create('security_group', { name: 'web' });
  assert.equal(group['security_group_rules']?.length, 2);
  const base = { security_group_id: group['id'], direction: 'ingress' };
  const web = { ...base, protocol: 'TCP', port_range_min: 80, port_range_max: 90, remote_ip_prefix: '10.0.0.9/24' };
  const rule = await create('security_group_rule', web);
  assert.equal(rule['protocol'], 'tcp');
  assert.deepEqual([rule['remote_ip_prefix'], rule['normalized_cidr']], ['10.0.0.9/24', '10.0.0.0/24']);
  const same = { ...web, protocol: '6', remote_ip_prefix: '10.0.0.0/24' };
  const message = await refused(
    send('POST', '/v2.0/security-group-rules', { security_group_rule: same }),
    409,
    'SecurityGroupRuleExists',
  );
  assert.equal(message, `Security group rule already exists. Rule id is ${rule['id']}.`);
  const other = { ...base, protocol: 'udp' };
  await refused(
    send('POST', '/v2.0/security-group-rules', { security_group_rules: [other, other] }),
    409,
    'SecurityGroupRuleExists',
  );
  const shown = await send('GET', `/v2.0/security-groups/${group['id']}`);
  assert.equal(shown.body['security_group']?.['security_group_rules']?.length, 3);
});

test('rules of IPv6: ICMP has Neutron’s name, a prefix one form, and what means the same is the same', async (t) => {
  const { create, send } = await startHarness(t);
  const group = await create('security_group', { name: 'g' });
  const post = (rule: object): ReturnType<typeof send> => {
    const attributes = { security_group_id: group['id'], direction: 'ingress', ethertype: 'IPv6', ...rule };
    return send('POST', '/v2.0/security-group-rules', { security_group_rule: attributes });
  };
  const protocols: readonly (readonly [string | number, number, string])[] = [
    ['icmp', 1, 'ipv6-icmp'],
    ['ICMPv6', 2, 'ipv6-icmp'],
    ['ipv6-icmp', 3, 'ipv6-icmp'],
    [1, 4, '58'],
    ['58', 5, '58'],
    ['ipv6-frag', 0, 'ipv6-frag'],
    ['TCP', 0, 'tcp'],
  ];
  for (const [protocol, type, stored] of protocols) {
    const answer = await post({ protocol, ...(type === 0 ? {} : { port_range_min: type }) });
    assert.equal(String(answer.body['security_group_rule']?.['protocol']), stored, JSON.stringify(answer.body));
  }
  for (const protocol of ['icmp', 'icmpv6', 'ipv6-icmp', '1', '58']) {
    await refused(post({ protocol, port_range_min: 1 }), 409, 'SecurityGroupRuleExists');
  }
  const prefixes: readonly (readonly [string, string])[] = [
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:DB8:0::5/64', '2001:db8::5/64'],
    ['FE80::1', 'fe80::1/128'],
    ['2001:db8::10.0.0.1', '2001:db8::a00:1/128'],
  ];
  for (const [given, stored] of prefixes) {
    const answer = await post({ remote_ip_prefix: given });
    assert.equal(String(answer.body['security_group_rule']?.['remote_ip_prefix']), stored, JSON.stringify(answer.body));
    await refused(post({ remote_ip_prefix: stored.toUpperCase() }), 409, 'SecurityGroupRuleExists');
  }
  const list = await send('GET', '/v2.0/security-group-rules?ethertype=IPv6&remote_ip_prefix=2001:DB8:0:0::5/64');
  assert.equal(list.body['security_group_rules']?.length, 1);
});

test('what says the same is one rule: any prefix and none, all ports and none', async (t) => {
  const { send, create } = await startHarness(t);
  const group = await create('security_group', { name: 'g' });
  const base = { security_group_id: group['id'], direction: 'ingress' };
  const post = (more: object): ReturnType<typeof send> =>
    send('POST', '/v2.0/security-group-rules', { security_group_rule: { ...base, ...more } });
  const ssh = { protocol: 'tcp', port_range_min: 22, port_range_max: 22 };
  assert.equal((await post(ssh)).status, 201);
  await refused(post({ ...ssh, remote_ip_prefix: '0.0.0.0/0' }), 409, 'SecurityGroupRuleExists');
  await refused(post({ ...ssh, protocol: 6 }), 409, 'SecurityGroupRuleExists');
  const all = await post({ protocol: 'udp', port_range_min: 1, port_range_max: 65535, remote_ip_prefix: '0.0.0.0/0' });
  const { port_range_min: min, port_range_max: max, ...rule } = all.body['security_group_rule'] as Json;
  assert.deepEqual(
    [min, max, rule['remote_ip_prefix'], rule['normalized_cidr']],
    [null, null, '0.0.0.0/0', '0.0.0.0/0'],
  );
  await refused(post({ protocol: 'udp' }), 409, 'SecurityGroupRuleExists');
  const six = { ethertype: 'IPv6', protocol: 'icmpv6' };
  assert.equal((await post(six)).body['security_group_rule']?.['protocol'], 'ipv6-icmp');
  await refused(post({ ...six, protocol: 'icmp', remote_ip_prefix: '::/0' }), 409, 'SecurityGroupRuleExists');
});

test('bad rules are refused', async (t) => {
  const { send, create } = await startHarness(t);
  const group = await create('security_group', { name: 'g' });
  const cases: readonly (readonly [object, number, string])[] = [
    [{ protocol: 'tcp', port_range_min: 9, port_range_max: 5 }, 400, 'SecurityGroupInvalidPortRange'],
    [{ protocol: 'tcp', port_range_min: 9 }, 400, 'SecurityGroupInvalidPortRange'],
    [{ protocol: 'tcp', port_range_min: 0, port_range_max: 5 }, 400, 'SecurityGroupInvalidPortValue'],
    [{ protocol: 'tcp', port_range_min: 0 }, 400, 'SecurityGroupInvalidPortValue'],
    [{ protocol: 'udp', port_range_max: 0 }, 400, 'SecurityGroupInvalidPortValue'],
    [{ protocol: 'tcp', port_range_min: 9, port_range_max: 0 }, 400, 'SecurityGroupInvalidPortValue'],
    [{ port_range_min: 5, port_range_max: 5 }, 400, 'SecurityGroupProtocolRequiredWithPorts'],
    [{ protocol: 'esp', port_range_min: 5, port_range_max: 5 }, 400, 'SecurityGroupInvalidProtocolForPort'],
    [{ protocol: 'icmp', port_range_max: 5 }, 400, 'SecurityGroupMissingIcmpType'],
    [{ protocol: 'icmp', port_range_min: 256 }, 400, 'SecurityGroupInvalidIcmpValue'],
    ...['smoke', 'any', ''].map((protocol) => [{ protocol }, 400, 'SecurityGroupRuleInvalidProtocol'] as const),
    [{ protocol: '41', port_range_min: 1, port_range_max: 2 }, 400, 'SecurityGroupInvalidProtocolForPort'],
    [{ protocol: '256' }, 400, 'SecurityGroupRuleInvalidProtocol'],
    ...[
      'icmpv6',
      'ipv6-icmp',
      '58',
      58,
      'ipv6-encap',
      41,
      'ipv6-route',
      'ipv6-frag',
      'ipv6-nonxt',
      'ipv6-opts',
      60,
    ].map((protocol) => [{ protocol }, 400, 'SecurityGroupEthertypeConflictWithProtocol'] as const),
    [{ ethertype: 'IPv6', remote_ip_prefix: '10.0.0.0/8' }, 400, 'SecurityGroupRuleParameterConflict'],
    [{ ethertype: 'IPv4', remote_ip_prefix: '2001:db8::/32' }, 400, 'SecurityGroupRuleParameterConflict'],
    [{ ethertype: 'IPv6', remote_ip_prefix: '::ffff:10.0.0.0/104' }, 400, 'InvalidCIDR'],
    [{ ethertype: 'IPv6', remote_ip_prefix: 'fe80::1%eth0' }, 400, 'InvalidCIDR'],
    [{ ethertype: 'IPv6', remote_ip_prefix: `${'2001:'.repeat(50_000)}:/64` }, 400, 'InvalidCIDR'],
    [{ ethertype: 'IPv6', protocol: 'icmp', port_range_min: 256 }, 400, 'SecurityGroupInvalidIcmpValue'],
    [{ remote_ip_prefix: '::/0' }, 400, 'SecurityGroupRuleParameterConflict'],
    [{ remote_ip_prefix: '10.0.0.0/8', remote_group_id: group['id'] }, 400, 'SecurityGroupMultipleRemoteEntites'],
    [{ remote_group_id: '00000000-0000-4000-8000-000000000000' }, 404, 'SecurityGroupNotFound'],
    [{ direction: 'sideways' }, 400, 'HTTPBadRequest'],
    [{ protocol: 'tcp', port_range_min: 70000 }, 400, 'SecurityGroupInvalidPortValue'],
    [{ protocol: 'tcp', port_range_max: 'x' }, 400, 'SecurityGroupInvalidPortValue'],
    [{ ethertype: 'IPX' }, 400, 'SecurityGroupRuleInvalidEtherType'],
    [{ protocol: {} }, 400, 'SecurityGroupRuleInvalidProtocol'],
  ];
  for (const [attributes, status, type] of cases) {
    const rule = { security_group_id: group['id'], direction: 'ingress', ...attributes };
    await refused(send('POST', '/v2.0/security-group-rules', { security_group_rule: rule }), status, type);
  }
});

test('a rule is of its group’s project, and of another that an administrator names', async (t) => {
  const { create } = await startHarness(t);
  const group = await create('security_group', { name: 'g' }, { ...P1, 'x-roles': 'member' });
  const rule = { security_group_id: group['id'], direction: 'ingress' };
  const ofGroup = await create('security_group_rule', { ...rule, protocol: 'tcp' });
  const named = await create('security_group_rule', { ...rule, protocol: 'udp', project_id: 'p2' });
  assert.deepEqual([ofGroup['project_id'], named['project_id']], ['p1', 'p2']);
});

test('deleting a group deletes the rules that name it', async (t) => {
  const { send, create } = await startHarness(t);
  const [a, b] = [await create('security_group', { name: 'a' }), await create('security_group', { name: 'b' })];
  const rule = await create('security_group_rule', {
    security_group_id: a['id'],
    direction: 'ingress',
    remote_group_id: b['id'],
  });
  assert.equal((await send('DELETE', `/v2.0/security-groups/${b['id']}`)).status, 204);
  await refused(send('GET', `/v2.0/security-group-rules/${rule['id']}`), 404, 'SecurityGroupRuleNotFound');
  assert.equal((await send('GET', `/v2.0/security-groups/${a['id']}`)).status, 200);
});

test('a group may be stateless, until a port has it; a port has groups of one kind', async (t) => {
  const { send, create } = await startHarness(t);
  const [web, more, stateful] = [
    await create('security_group', { name: 'web', stateful: false }),
    await create('security_group', { name: 'more' }),
    await create('security_group', { name: 'stateful' }),
  ];
  assert.deepEqual([web['stateful'], more['stateful']], [false, true]);
  const path = `/v2.0/security-groups/${more['id']}`;
  const { body } = await send('PUT', path, { security_group: { stateful: false } });
  assert.equal(body['security_group']?.['stateful'], false);
  const network = await create('network', {});
  const both = { network_id: network['id'], security_groups: [web['id'], more['id']] };
  const port = await create('port', both);
  assert.equal(
    await refused(send('PUT', path, { security_group: { stateful: true } }), 409, 'SecurityGroupInUse'),
    `Security Group ${more['id']} in use.`,
  );
  const mixed = { security_groups: [web['id'], stateful['id']] };
  const refusal =
    'security_groups: some of these groups are stateful and some are stateless; a port has groups of one kind.';
  const asked = [
    send('POST', '/v2.0/ports', { port: { ...both, ...mixed } }),
    send('PUT', `/v2.0/ports/${port['id']}`, { port: mixed }),
  ];
  for (const answer of asked) assert.equal(await refused(answer, 409, 'SecurityGroupConflict'), refusal);
  await send('PUT', `/v2.0/ports/${port['id']}`, { port: { security_groups: [stateful['id']] } });
  assert.equal((await send('PUT', path, { security_group: { stateful: true, name: 'renamed' } })).status, 200);
  const found = await send('GET', '/v2.0/security-groups?stateful=false&fields=name');
  assert.deepEqual(found.body['security_groups'], [{ name: 'web' }]);
  assert.equal((await send('GET', '/v2.0/extensions/stateful-security-group')).status, 200);
});
