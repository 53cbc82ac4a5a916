import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { Port } from '@cable/model';
import { assertInvariants, refused, startHarness } from '../testing/harness.ts';
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
  const setStatus = async (status: string): Promise<void> => {
    const port = server.tables.of('port').by('device_id', String(router['id']))[0];
    const key = `/cable/o/port/${port?.id}`;
    const { revision } = await harness.store.txn(
      [],
      [{ kind: 'put', key, value: JSON.stringify({ ...port, status }) }],
    );
    await server.tables.waitFor(revision);
  };
  const status = (): unknown => server.tables.of('port').by('device_id', String(router['id']))[0]?.status;
  const standbys = (): unknown => server.tables.of('port').by('device_id', String(router['id']))[0]?.standby_hosts;
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
  assert.deepEqual(standbys(), ['h3']);
  await setStatus('ACTIVE');
  alive.delete('h2');
  assert.equal(await hostOf(), 'h2');
  clock.ms += 29_000;
  assert.equal(await hostOf(), 'h2', 'its agent may be starting');
  assert.equal(status(), 'ACTIVE');
  alive.delete('h3');
  clock.ms += 2000;
  assert.equal(await hostOf(), 'h2', 'nobody is better');
  assert.equal(status(), 'DOWN', 'nobody has it');
  await setStatus('ACTIVE');
  alive.add('h3');
  assert.equal(await hostOf(), 'h3');
  assert.equal(status(), 'DOWN', 'its new host has not said yet that it has it');
  assert.deepEqual(standbys(), [], 'the silent one is none');
  alive.add('h2');
  assert.equal(await hostOf(), 'h3', 'it does not go back');
  assert.deepEqual(standbys(), ['h2']);
  await register('h3', 3, {});
  assert.equal(await hostOf(), 'h2');
  stop.abort();
  await keeper.done;
  await assertInvariants(server);
});

test('gateways and their standbys are spread over the hosts, and one that moves has the host that it left as its first standby', async (t) => {
  const harness = await startHarness(t);
  const { server, create, send } = harness;
  for (const last of [1, 2, 3, 4]) {
    const bridgeMappings = { physnet1: 'eth1' };
    await server.plane.register(`h${last}`, { underlay: `192.0.2.${last}`, agentVersion: '1', bridgeMappings });
  }
  const { external } = await outsideWorld(harness);
  for (let n = 0; n < 7; n += 1) await create('router', { external_gateway_info: { network_id: external['id'] } });
  const ports = (): readonly Port[] => [...server.tables.any('router_gateway').values()] as unknown as readonly Port[];
  const hosts = ports().map((port) => port['binding:host_id']);
  assert.deepEqual([...new Set(hosts)].sort(), ['h1', 'h2', 'h3', 'h4']);
  for (const host of ['h1', 'h2', 'h3', 'h4']) {
    assert.equal(hosts.filter((one) => one === host).length, 2, `${host} has two of eight`);
    const standing = ports().filter((port) => port.standby_hosts.includes(host));
    assert.ok(standing.length >= 3 && standing.length <= 5, `${host} is the standby of ${standing.length}`);
  }
  const kept = await send('PUT', '/cable/v1/hosts/h1/set_gateway', { gateway: false });
  assert.equal(kept.status, 200, JSON.stringify(kept.body));
  const stop = new AbortController();
  const keeper = new GatewayKeeper({ ...server.deps, log: silentLogger(), signal: stop.signal });
  await keeper.round();
  stop.abort();
  await keeper.done;
  assert.ok(ports().every((one) => ![one['binding:host_id'], ...one.standby_hosts].includes('h1')));
  const again = { underlay: '192.0.2.1', agentVersion: '2', bridgeMappings: { physnet1: 'eth1' } };
  await server.plane.register('h1', again);
  assert.equal(server.tables.of('host').get('h1')?.gateway, false, 'its agent does not undo that');
  const [port] = ports();
  assert.ok(port);
  const [first, second] = port.standby_hosts;
  const moved = await send('PUT', `/v2.0/ports/${port.id}`, { port: { 'binding:host_id': first } });
  assert.equal(moved.status, 200, JSON.stringify(moved.body));
  assert.deepEqual(server.tables.of('port').get(port.id)?.standby_hosts, [port['binding:host_id'], second]);
  await assertInvariants(server);
});

test('what a host says that is no standby of a gateway counts nothing, and takes nothing from what its standby says', async (t) => {
  const harness = await startHarness(t);
  const { server } = harness;
  for (const last of [1, 2, 3]) {
    const bridgeMappings = last === 3 ? {} : { physnet1: 'eth1' };
    await server.plane.register(`h${last}`, { underlay: `192.0.2.${last}`, agentVersion: '1', bridgeMappings });
  }
  const { router } = await outsideWorld(harness);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = new GatewayKeeper({ ...server.deps, log: silentLogger(), signal: stop.signal });
  await keeper.round();
  const port = (): Port | undefined => server.tables.of('port').by('device_id', String(router['id']))[0];
  const before = port();
  const [standby = ''] = before?.standby_hosts ?? [];
  assert.match(standby, /^h[12]$/);
  keeper.take('h3', [before?.id ?? '']);
  await keeper.round();
  assert.equal(port()?.['binding:host_id'], before?.['binding:host_id']);
  keeper.take(standby, [before?.id ?? '']);
  keeper.take('h3', [before?.id ?? '']);
  await keeper.round();
  assert.equal(port()?.['binding:host_id'], standby);
  await assertInvariants(server);
});

test('a gateway of a router without ha has no standbys, and that is changed while the router is down', async (t) => {
  const harness = await startHarness(t);
  const { server, create, send } = harness;
  for (const last of [1, 2, 3]) {
    const bridgeMappings = { physnet1: 'eth1' };
    await server.plane.register(`h${last}`, { underlay: `192.0.2.${last}`, agentVersion: '1', bridgeMappings });
  }
  const { external, router } = await outsideWorld(harness);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = new GatewayKeeper({ ...server.deps, log: silentLogger(), signal: stop.signal });
  const standbys = async (id: unknown): Promise<number | undefined> => {
    await keeper.round();
    return server.tables.of('port').by('device_id', String(id))[0]?.standby_hosts.length;
  };
  assert.equal(await standbys(router['id']), 2);
  const gateway = { external_gateway_info: { network_id: external['id'] } };
  const alone = await create('router', { ...gateway, ha: false });
  assert.deepEqual([alone['ha'], await standbys(alone['id'])], [false, 0]);
  assert.equal((await create('router', { ha: null }))['ha'], true);
  const put = (changes: object, headers = {}) =>
    send('PUT', `/v2.0/routers/${alone['id']}`, { router: changes }, headers);
  await refused(put({ ha: true }), 400, 'BadRequest');
  assert.equal((await put({ ha: false, name: 'same' })).status, 200);
  const up = await put({ ha: true, admin_state_up: false });
  assert.deepEqual([up.status, up.body['router']?.['ha'], await standbys(alone['id'])], [200, true, 2]);
  const down = await put({ ha: false });
  assert.deepEqual([down.status, await standbys(alone['id'])], [200, 0]);
  const member = { 'x-project-id': 'p1', 'x-roles': 'member' };
  await refused(send('POST', '/v2.0/routers', { router: { ha: false } }, member), 403, 'PolicyNotAuthorized');
  const own = await create('router', {}, member);
  assert.equal(own['ha'], undefined, 'an administrator’s matter');
  await assertInvariants(server);
});
