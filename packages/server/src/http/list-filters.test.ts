/** Filters that Neutron has, and what they find. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Harness, type Json, refused, startHarness } from '../testing/harness.ts';

const ANN = { 'x-project-id': 'ann', 'x-roles': 'member' };
const BOB = { 'x-project-id': 'bob', 'x-roles': 'member' };
const EVE = { 'x-project-id': 'eve', 'x-roles': 'member' };

/** Names of what a list has, in order. */
async function names({ send }: Harness, path: string, headers?: Record<string, string>): Promise<readonly string[]> {
  const { status, body } = await send('GET', `/v2.0/${path}`, undefined, headers);
  assert.equal(status, 200, JSON.stringify(body));
  return (Object.values(body)[0] as Json).map(({ name }) => String(name)).sort();
}

test('subnets are filtered by whether their network is shared with who asks, and are seen as before', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  for (const [name, shared] of [
    ['own', false],
    ['all', true],
    ['bobs', false],
  ] as const) {
    const network = await create('network', { name, project_id: 'ann', ...(shared ? { shared } : {}) });
    const cidr = `10.0.${name.length}.0/24`;
    await create('subnet', { name, network_id: network['id'], cidr, ip_version: 4, project_id: 'ann' });
    if (name !== 'bobs') continue;
    const policy = { object_type: 'network', object_id: network['id'], action: 'access_as_shared' };
    await create('rbac_policy', { ...policy, target_tenant: 'bob', project_id: 'ann' });
  }
  const every = ['all', 'bobs', 'own'];
  const cases: readonly (readonly [Record<string, string> | undefined, string, readonly string[]])[] = [
    [undefined, '', every],
    [undefined, '?shared=True', ['all']],
    [undefined, '?shared=False', ['bobs', 'own']],
    [undefined, '?shared=True&shared=False', every],
    [ANN, '', every],
    [ANN, '?shared=True', ['all']],
    [ANN, '?shared=False&name=own', ['own']],
    [BOB, '', ['all', 'bobs']],
    [BOB, '?shared=True', ['all', 'bobs']],
    [BOB, '?shared=False', []],
    [EVE, '', ['all']],
    [EVE, '?shared=1', ['all']],
    [EVE, '?shared=False', []],
  ];
  for (const [headers, query, expected] of cases)
    assert.deepEqual(
      await names(harness, `subnets${query}`, headers),
      expected,
      `${headers?.['x-project-id']} ${query}`,
    );
  await refused(send('GET', '/v2.0/subnets?shared=perhaps'), 400, 'InvalidInput');
  const shown = (await send('GET', '/v2.0/subnets?name=all')).body['subnets']?.[0];
  assert.ok(!('shared' in (shown ?? {})), 'Neutron shows it of networks alone');
  const given = { network_id: shown?.['network_id'], cidr: '10.77.0.0/24', ip_version: 4, shared: true };
  assert.match(await refused(send('POST', '/v2.0/subnets', { subnet: given }), 400, 'HTTPBadRequest'), /'shared'/);
});

test('rules are filtered and sorted by their prefix, ports sorted by ip_allocation', async (t) => {
  const { create, send } = await startHarness(t);
  const rules = await create('security_group', { name: 'g' });
  for (const prefix of ['10.9.0.7/16', '10.1.0.0/16']) {
    const rule = { security_group_id: rules['id'], direction: 'ingress', remote_ip_prefix: prefix };
    await create('security_group_rule', rule);
  }
  const prefixes = async (query: string): Promise<readonly string[]> =>
    ((await send('GET', `/v2.0/security-group-rules?${query}`)).body['security_group_rules'] ?? []).map(
      ({ remote_ip_prefix: prefix }) => String(prefix),
    );
  assert.deepEqual(await prefixes('normalized_cidr=10.9.0.0/16'), ['10.9.0.7/16']);
  assert.deepEqual((await prefixes('direction=ingress&sort_key=normalized_cidr&sort_dir=desc')).slice(0, 2), [
    '10.9.0.7/16',
    '10.1.0.0/16',
  ]);
  const network = await create('network', {});
  await create('port', { name: 'bare', network_id: network['id'], fixed_ips: [] });
  await create('port', { name: 'plain', network_id: network['id'] });
  const ports = (await send('GET', '/v2.0/ports?sort_key=ip_allocation&sort_dir=desc')).body['ports'] ?? [];
  assert.deepEqual(
    ports.map((port) => String(port['name'])),
    ['bare', 'plain'],
  );
});

test('VLAN transparency is refused as by a Neutron without it: the attribute is not known', async (t) => {
  const { send } = await startHarness(t);
  const message = await refused(
    send('POST', '/v2.0/networks', { network: { vlan_transparent: true } }),
    400,
    'HTTPBadRequest',
  );
  assert.equal(message, "Unrecognized attribute(s) 'vlan_transparent'");
  await refused(send('GET', '/v2.0/networks?vlan_transparent=True'), 400, 'HTTPBadRequest');
  await refused(send('GET', '/v2.0/extensions/vlan-transparent'), 404, 'ExtensionNotFound');
});
