/** Private subnets, through the API of a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Answer, type Json, refused, startHarness } from '../testing/harness.ts';

const MEMBER = { 'x-project-id': 'p', 'x-roles': 'member' };

test('a private subnet names prefixes of its own version of IP, as they are written', async (t) => {
  const harness = await startHarness(t);
  const { create, send } = harness;
  const network = await create('network', {}, MEMBER);
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 }, MEMBER);
  assert.deepEqual([subnet['cable:private'], subnet['cable:allow_subnets']], [false, []]);
  const put = (attributes: object, headers: Record<string, string> = MEMBER): Promise<Answer> =>
    send('PUT', `/v2.0/subnets/${subnet['id']}`, { subnet: attributes }, headers);
  const { status, body } = await put({ 'cable:private': true, 'cable:allow_subnets': ['10.1.0.9/16', '10.2.0.1'] });
  assert.equal(status, 200);
  const { 'cable:private': isPrivate, 'cable:allow_subnets': allowed } = body['subnet'] as Json;
  assert.deepEqual([isPrivate, allowed], [true, ['10.1.0.0/16', '10.2.0.1/32']]);
  await refused(put({ 'cable:allow_subnets': ['fd00::/64'] }), 400, 'InvalidInput');
  await refused(put({ 'cable:allow_subnets': ['everybody'] }), 400, 'InvalidInput');
  await refused(put({ 'cable:private': false }, { ...MEMBER, 'x-project-id': 'another' }), 404, 'SubnetNotFound');
  const { body: found } = await send('GET', '/v2.0/subnets?cable:private=true', undefined, MEMBER);
  assert.deepEqual(
    [...(found['subnets'] as Json)].map((one) => one['id']),
    [subnet['id']],
  );
});
