import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { assertInvariants, startHarness } from '../testing/harness.ts';
import { outsideWorld } from '../testing/outside.ts';
import { GatewayKeeper } from './gateway-keeper.ts';

test('a gateway gets a host when there is one, stays there, and leaves one that is silent or off the network', async (t) => {
  const harness = await startHarness(t);
  const { server, send } = harness;
  const { router } = await outsideWorld(harness);
  const stop = new AbortController();
  const clock = { ms: 0 };
  const alive = new Set<string>();
  // Hosts are alive as the test says.
  const tables = new Proxy(server.tables, {
    get: (target, name) => {
      if (name !== 'of') return Reflect.get(target, name, target).bind?.(target) ?? Reflect.get(target, name, target);
      return (type: string) =>
        type === 'alive' ? { get: (id: string) => (alive.has(id) ? { id } : undefined) } : target.of(type as 'host');
    },
  });
  const deps = { ...server.deps, tables, monotonicMs: () => clock.ms, log: silentLogger(), signal: stop.signal };
  const keeper = new GatewayKeeper(deps);
  const hostOf = async (): Promise<unknown> => {
    await keeper.round();
    const ports = await send('GET', `/v2.0/ports?device_owner=network:router_gateway&device_id=${router['id']}`);
    return ports.body['ports']?.[0]?.['binding:host_id'];
  };
  const register = async (host: string, last: number, bridgeMappings: Record<string, string>): Promise<void> => {
    await server.plane.register(host, { underlay: `192.0.2.${last}`, agentVersion: '1', bridgeMappings });
    alive.add(host);
  };
  assert.equal(await hostOf(), '');
  await register('h1', 1, {});
  assert.equal(await hostOf(), '', 'it is not on the physical network');
  await register('h2', 2, { physnet1: 'eth1' });
  assert.equal(await hostOf(), 'h2');
  await register('h3', 3, { physnet1: 'eth1' });
  assert.equal(await hostOf(), 'h2', 'another host is no reason to move');
  alive.delete('h2');
  assert.equal(await hostOf(), 'h2');
  clock.ms += 29_000;
  assert.equal(await hostOf(), 'h2', 'its agent may be starting');
  alive.delete('h3');
  clock.ms += 2000;
  assert.equal(await hostOf(), 'h2', 'nobody is better');
  alive.add('h3');
  assert.equal(await hostOf(), 'h3');
  alive.add('h2');
  assert.equal(await hostOf(), 'h3', 'it does not go back');
  await register('h3', 3, {});
  assert.equal(await hostOf(), 'h2');
  stop.abort();
  await keeper.done;
  await assertInvariants(server);
});
