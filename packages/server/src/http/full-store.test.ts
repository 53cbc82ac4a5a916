import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { openStore } from '@cable/store';
import { harnessOf, refused, startTestServer } from '../testing/harness.ts';
import { mountSmall } from '../testing/small-disk.ts';

const MIB = 1 << 20;

test('a full disk: what adds is refused and says that it has changed nothing, and what is there can be deleted', async (t) => {
  const { path, leave } = mountSmall(t);
  const store = await openStore(`lmdb:${path}/store`, { log: silentLogger() });
  t.after(() => store.close());
  const server = await startTestServer(store);
  t.after(() => server.stop());
  const { send, create } = harnessOf(store, server);
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const group = await create('security_group', { name: 'g' });
  const rule = await create('security_group_rule', { security_group_id: group['id'], direction: 'ingress' });
  const port = await create('port', { network_id: network['id'], security_groups: [group['id']] });
  const router = await create('router', {});
  const leg = { subnet_id: subnet['id'] };
  await send('PUT', `/v2.0/routers/${router['id']}/add_router_interface`, leg);

  leave(5 * MIB);
  const asked = send('POST', '/v2.0/networks', { network: { name: 'more' } });
  assert.match(await refused(asked, 503, 'StoreFull'), /has changed nothing/);
  assert.match(String((await asked).body['NeutronError']?.['detail']), /^Make room where the store keeps its data/);
  assert.equal((await send('GET', '/v2.0/networks')).body['networks']?.length, 1);
  const removed = await send('PUT', `/v2.0/routers/${router['id']}/remove_router_interface`, leg);
  const answers = [removed.status];
  for (const one of [
    `ports/${port['id']}`,
    `security-group-rules/${rule['id']}`,
    `routers/${router['id']}`,
    `subnets/${subnet['id']}`,
    `security-groups/${group['id']}`,
    `networks/${network['id']}`,
  ]) {
    answers.push((await send('DELETE', `/v2.0/${one}`)).status);
  }
  assert.deepEqual(answers, [200, 204, 204, 204, 204, 204, 204]);

  leave(20 * MIB);
  const last = await create('network', {});
  leave(0);
  await refused(send('DELETE', `/v2.0/networks/${last['id']}`), 503, 'StoreFull');
});
