/** Address groups through the API, and what hosts are told of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, type Json, refused, startHarness } from '../testing/harness.ts';

const [OWNER, ANN] = ['owner', 'ann'].map((project) => ({ 'x-project-id': project, 'x-roles': 'member' }));

test('an address group has addresses as prefixes, some more and some less', async (t) => {
  const { create, send } = await startHarness(t);
  const group = await create(
    'address_group',
    { name: 'g', addresses: ['10.0.0.7/24', '2001:DB8::7/128', '10.1.1.1/32'] },
    OWNER,
  );
  assert.deepEqual(group['addresses'], ['10.0.0.0/24', '2001:db8::7/128', '10.1.1.1/32']);
  assert.deepEqual((await create('address_group', { addresses: null }, OWNER))['addresses'], []);
  const path = `/v2.0/address-groups/${group['id']}`;
  const change = (action: string, addresses: unknown, headers = OWNER): ReturnType<typeof send> =>
    send('PUT', `${path}/${action}`, { addresses }, headers);
  for (const bad of ['10.20.30.40', 'this is no address']) {
    await refused(
      send('POST', '/v2.0/address-groups', { address_group: { addresses: [bad] } }, OWNER),
      400,
      'HTTPBadRequest',
    );
  }
  await refused(change('add_addresses', ['this is no address']), 400, 'InvalidInput');
  await refused(change('remove_addresses', ['10.20.30.40']), 404, 'AddressesNotFound');
  const added = await change('add_addresses', ['10.2.0.0/16']);
  assert.deepEqual(added.body['address_group']?.['addresses']?.length, 4);
  assert.equal(added.body['address_group']?.['id'], group['id']);
  await refused(change('add_addresses', ['10.2.0.9/16']), 400, 'AddressesAlreadyExist');
  const removed = await change('remove_addresses', ['10.0.0.0/24', '10.1.1.1/32']);
  assert.deepEqual(removed.body['address_group']?.['addresses'], ['2001:db8::7/128', '10.2.0.0/16']);
  await refused(change('remove_addresses', ['10.0.0.0/24']), 404, 'AddressesNotFound');
  await refused(change('add_addresses', ['10.9.9.9/32'], ANN), 404, 'AddressGroupNotFound');
  await refused(send('PUT', path, { address_group: { addresses: [] } }, OWNER), 400, 'HTTPBadRequest');
  const many = Array.from({ length: 4096 }, (_, at) => `10.${64 + (at >> 8)}.${at & 255}.1/32`);
  await refused(change('add_addresses', many), 409, 'HTTPConflict');
  assert.equal((await change('add_addresses', many.slice(2))).body['address_group']?.['addresses']?.length, 4096);
});

test('a rule names an address group as its only remote, which stays meanwhile', async (t) => {
  const { create, send, server } = await startHarness(t);
  const group = await create('address_group', { addresses: ['10.0.0.0/24'] }, OWNER);
  const sg = await create('security_group', { name: 'web' }, OWNER);
  const given = { security_group_id: sg['id'], direction: 'ingress', remote_address_group_id: group['id'] };
  const post = (more: object): ReturnType<typeof send> =>
    send('POST', '/v2.0/security-group-rules', { security_group_rule: { ...given, ...more } }, OWNER);
  for (const other of [{ remote_ip_prefix: '10.0.0.0/8' }, { remote_group_id: sg['id'] }]) {
    await refused(post(other), 400, 'SecurityGroupMultipleRemoteEntites');
  }
  for (const id of [sg['id'], 'x', ''])
    await refused(post({ remote_address_group_id: id }), 404, 'AddressGroupNotFound');
  const rule = (await post({})).body['security_group_rule'] as Json;
  assert.equal(rule['remote_address_group_id'], group['id']);
  await refused(post({}), 409, 'SecurityGroupRuleExists');
  assert.equal((await post({ remote_address_group_id: null })).status, 201);
  assert.equal(
    await refused(send('DELETE', `/v2.0/address-groups/${group['id']}`, undefined, OWNER), 409, 'AddressGroupInUse'),
    `Address group ${group['id']} is in use on one or more security group rules.`,
  );
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/security-groups/${sg['id']}`, undefined, OWNER)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/address-groups/${group['id']}`, undefined, OWNER)).status, 204);
});

test('an address group is shared by policies, and not taken back from who names it in a rule', async (t) => {
  const { create, send, server } = await startHarness(t);
  const group = await create('address_group', { addresses: ['10.0.0.0/24'] }, OWNER);
  assert.equal(group['shared'], undefined);
  const sg = await create('security_group', { name: 'web' }, ANN);
  const rule = {
    security_group_rule: { security_group_id: sg['id'], direction: 'ingress', remote_address_group_id: group['id'] },
  };
  await refused(send('POST', '/v2.0/security-group-rules', rule, ANN), 404, 'AddressGroupNotFound');
  const share = {
    ...{ object_type: 'address_group', object_id: group['id'], action: 'access_as_shared', target_tenant: 'ann' },
  };
  const policy = await create('rbac_policy', share, OWNER);
  const made = (await send('POST', '/v2.0/security-group-rules', rule, ANN)).body['security_group_rule'];
  await refused(send('DELETE', `/v2.0/rbac-policies/${policy['id']}`, undefined, OWNER), 409, 'RbacPolicyInUse');
  const add = { addresses: ['10.9.0.0/16'] };
  await refused(send('PUT', `/v2.0/address-groups/${group['id']}/add_addresses`, add, ANN), 403, 'PolicyNotAuthorized');
  await assertInvariants(server);
  assert.equal((await send('DELETE', `/v2.0/security-group-rules/${made?.['id']}`, undefined, ANN)).status, 204);
  assert.equal((await send('DELETE', `/v2.0/rbac-policies/${policy['id']}`, undefined, OWNER)).status, 204);
});

test('the host of a port is told of what its rules’ address groups have, as it changes', async (t) => {
  const { create, send, server } = await startHarness(t);
  await server.plane.register('h1', { underlay: '192.0.2.1', agentVersion: '1' });
  const group = await create('address_group', { addresses: ['10.0.0.0/24'] });
  const sg = await create('security_group', { name: 'web' });
  const network = await create('network', {});
  await create('security_group_rule', {
    ...{ security_group_id: sg['id'], direction: 'ingress', remote_address_group_id: group['id'] },
  });
  await create('port', { network_id: network['id'], security_groups: [sg['id']], 'binding:host_id': 'h1' });
  const isTold = async (address: string): Promise<boolean> => {
    const contents = await server.plane.slices.contents(`group:${group['id']}`);
    return JSON.stringify(contents ?? null).includes(address);
  };
  await until(() => isTold('10.0.0.0/24'));
  await send('PUT', `/v2.0/address-groups/${group['id']}/add_addresses`, { addresses: ['203.0.113.9/32'] });
  await until(() => isTold('203.0.113.9/32'));
});

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, 'the host is not told of the address group');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
