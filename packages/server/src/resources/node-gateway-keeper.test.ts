import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { assertInvariants, startHarness } from '../testing/harness.ts';
import { NodeGatewayKeeper } from './node-gateway-keeper.ts';

test('a subnet leaves by the node that took the place, or by one whose agent reports, and stays with it', async (t) => {
  const { server, create, send } = await startHarness(t);
  const stop = new AbortController();
  const clock = { ms: 0 };
  const alive = new Set(['n1', 'n2', 'n3']);
  // Hosts are alive as the test says.
  const tables = new Proxy(server.tables, {
    get: (target, name) => {
      if (name !== 'of') return Reflect.get(target, name, target).bind?.(target) ?? Reflect.get(target, name, target);
      return (type: string) =>
        type === 'alive' ? { get: (id: string) => (alive.has(id) ? { id } : undefined) } : target.of(type as 'host');
    },
  });
  const deps = { ...server.deps, tables, monotonicMs: () => clock.ms, log: silentLogger(), signal: stop.signal };
  await create('kubernetes_cluster', { name: 'prod' });
  for (const [n, name] of ['n1', 'n2', 'n3'].entries())
    await server.plane.register(name, { underlay: `192.0.2.${n + 1}`, agentVersion: '1', cluster: 'prod' });
  const network = await create('network', {});
  const subnet = { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4, 'cable:gateway_nodes': ['n1', 'n2'] };
  const id = String((await create('subnet', subnet))['id']);
  const keeper = new NodeGatewayKeeper(deps);
  const active = async (): Promise<unknown> => {
    await keeper.round();
    return (await send('GET', `/v2.0/subnets/${id}`)).body['subnet']?.['cable:gateway_node'];
  };
  assert.equal(await active(), 'n1');
  keeper.take('n3', [id, 'another']);
  assert.equal(await active(), 'n1', 'who is not named takes nothing');
  keeper.take('n2', [id]);
  assert.equal(await active(), 'n2');
  alive.delete('n2');
  assert.equal(await active(), 'n2', 'its agent may be starting');
  clock.ms += 31_000;
  assert.equal(await active(), 'n1');
  alive.add('n2');
  assert.equal(await active(), 'n1', 'it does not go back');
  alive.clear();
  clock.ms += 31_000;
  await active();
  clock.ms += 31_000;
  assert.equal(await active(), 'n1', 'nobody is better');
  alive.add('n2');
  await server.plane.register('n1', { underlay: '192.0.2.1', agentVersion: '1', cluster: 'other' });
  assert.equal(await active(), 'n2', 'it is no node any more');
  stop.abort();
  await keeper.done;
  await assertInvariants(server);
});
