import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertInvariants, refused, startHarness } from '../testing/harness.ts';
import { MEMBER } from '../testing/outside.ts';

test('ports carry to Nova what it places their machines by', async (t) => {
  const { send, create, server } = await startHarness(t);
  const network = await create('network', {}, MEMBER);
  const given = { network_id: network['id'] };
  const bare = await create('port', given, MEMBER);
  assert.deepEqual([bare['numa_affinity_policy'], bare['device_profile']], [null, null]);
  const port = await create('port', { ...given, numa_affinity_policy: 'required', device_profile: 'fpga-1' }, MEMBER);
  assert.deepEqual([port['numa_affinity_policy'], port['device_profile']], ['required', 'fpga-1']);
  const post = (attributes: object) => send('POST', '/v2.0/ports', { port: { ...given, ...attributes } }, MEMBER);
  const put = (attributes: object) => send('PUT', `/v2.0/ports/${port['id']}`, { port: attributes }, MEMBER);
  for (const policy of ['preferred', 'legacy', null]) {
    assert.equal((await put({ numa_affinity_policy: policy })).body['port']?.['numa_affinity_policy'], policy);
  }
  await refused(put({ numa_affinity_policy: 'near' }), 400, 'HTTPBadRequest');
  await refused(put({ device_profile: 'other' }), 400, 'HTTPBadRequest');
  await refused(post({ numa_affinity_policy: '' }), 400, 'HTTPBadRequest');
  await refused(post({ device_profile: 7 }), 400, 'HTTPBadRequest');
  await refused(post({ device_profile: 'x'.repeat(256) }), 400, 'HTTPBadRequest');
  const listed = await send('GET', '/v2.0/ports?device_profile=fpga-1&fields=id', undefined, MEMBER);
  assert.deepEqual(listed.body['ports'], [{ id: port['id'] }]);
  await assertInvariants(server);
});
