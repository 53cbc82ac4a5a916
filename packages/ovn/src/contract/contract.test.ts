/** The contract as a server speaks it, over HTTP, with real databases of OVN behind. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { type HttpTransport, httpTransport, silentLogger } from '@cable/kit';
import { startBackEnd } from '../back-end.ts';
import { parseRemotes } from '../ovsdb/remote.ts';
import {
  aNetwork,
  aPort,
  aRule,
  aSecurityGroup,
  aSubnet,
  idOf,
  SCHEMAS,
  startOvsdbServer,
  type TestServer,
  until,
} from '../testing/index.ts';
import { RESOURCES } from '../translate/neutron.ts';

type Body = Readonly<Record<string, unknown>>;

let northbound: TestServer;
let southbound: TestServer;
const directory = mkdtempSync(join(tmpdir(), 'cable-contract-'));
const running: (() => Promise<void>)[] = [];

before(async () => {
  northbound = await startOvsdbServer({ schema: SCHEMAS.northbound });
  southbound = await startOvsdbServer({ schema: SCHEMAS.southbound });
});
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
  northbound.ctl(
    '--all',
    'destroy',
    'Logical_Switch',
    '--',
    '--all',
    'destroy',
    'DHCP_Options',
    '--',
    '--all',
    'destroy',
    'Port_Group',
  );
  northbound.ctl('--all', 'destroy', 'Address_Set', '--', '--all', 'destroy', 'Logical_Router');
});
after(async () => {
  await northbound?.close();
  await southbound?.close();
  rmSync(directory, { recursive: true, force: true });
});

const AUTHORIZED = { authorization: 'Bearer secret' };

/** One that runs, and how it is asked. */
async function start(name = 'a', { byTcp = false } = {}) {
  const stop = new AbortController();
  const path = join(directory, `${name}.sock`);
  const place = byTcp ? ({ kind: 'tcp', host: '127.0.0.1', port: 0 } as const) : ({ kind: 'unix', path } as const);
  const options = {
    ...{ listen: place, token: 'secret', listenTls: undefined, ovnTls: undefined },
    northbound: parseRemotes(northbound.remote) ?? [],
    southbound: parseRemotes(southbound.remote) ?? [],
  };
  const backEnd = await startBackEnd(options, { log: silentLogger(), signal: stop.signal });
  const transport = httpTransport(byTcp ? `http://127.0.0.1:${backEnd.port}` : `unix:${path}`);
  const end = async (): Promise<void> => {
    stop.abort();
    transport.close();
    await backEnd.done;
  };
  running.push(end);
  const ask = (verb: string, body: Body = {}): Promise<Body> => askBy(transport, verb, body);
  const syncNothing = async (): Promise<void> => {
    for (const resource of RESOURCES) await ask('sync', { resource, objects: [] });
  };
  const settled = () => until(async () => (await ask('health'))['pending'] === 0, 20);
  return { transport, path, ask, end, syncNothing, settled };
}

async function askBy(transport: HttpTransport, verb: string, body: Body): Promise<Body> {
  const headers = { ...AUTHORIZED, 'content-type': 'application/json' };
  const answer = await transport.request({ method: 'POST', path: `/v1/${verb}`, headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, `${verb}: ${answer.body}`);
  return JSON.parse(answer.body) as Body;
}

const portNames = (): readonly string[] =>
  northbound
    .ctl('--bare', '--columns=name', 'list', 'Logical_Switch_Port')
    .split('\n')
    .filter((one) => one !== '');

test('it says what it can, and whose socket it is', async () => {
  const { ask, path } = await start();
  const told = await ask('capabilities');
  assert.deepEqual([told['name'], told['contract'], told['vif_types']], ['ovn', 1, ['ovs']]);
  assert.deepEqual(Object.keys(told['resources'] as Body), RESOURCES);
  assert.deepEqual((await ask('limits'))['limits'], told['limits']);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('what OVN cannot do is refused before it is written, by the attribute', async () => {
  const { ask } = await start();
  const cases: readonly (readonly [string, Body, RegExp | undefined])[] = [
    ['network', aNetwork(1), undefined],
    ['network', aNetwork(1, { 'provider:network_type': 'vxlan' }), /^provider:network_type: vxlan/],
    ['network', aNetwork(1, { 'provider:network_type': 'vlan' }), /^provider:physical_network/],
    ['network', aNetwork(1, { qos_policy_id: idOf('rule', 1) }), /^qos_policy_id/],
    ['port', aPort(1), undefined],
    ['port', aPort(1, { 'binding:vnic_type': 'direct' }), /^binding:vnic_type: direct/],
    [
      'port',
      aPort(1, { extra_dhcp_opts: [{ ip_version: 4, opt_name: 'posix-timezone', opt_value: 'x' }] }),
      /^extra_dhcp_opts: opt_name: posix-timezone: OVN has no such option/,
    ],
    ['port', aPort(1, { mac_address: 'x' }), /^mac_address/],
    ['security_group', aSecurityGroup(1), undefined],
    ['security_group', aSecurityGroup(1, [aRule(1, { protocol: 'nonesuch' })]), /^protocol: nonesuch/],
  ];
  for (const [resource, object, reason] of cases) {
    const answer = await ask('verify', { verb: 'create', resource, object });
    assert.equal(answer['ok'], reason === undefined, JSON.stringify(answer));
    if (reason !== undefined) assert.match(String(answer['reason']), reason);
  }
  assert.deepEqual(await ask('verify', { verb: 'delete', resource: 'port', object: aPort(1) }), { ok: true });
});

test('each verb may come twice, and late: the newest counts', async () => {
  const { ask, syncNothing, settled } = await start();
  await syncNothing();
  const tell = (verb: string, object: Body, revision: number): Promise<Body> =>
    ask(verb, { resource: 'port', object, revision });
  await ask('create', { resource: 'network', object: aNetwork(1), revision: 1 });
  const bound = (host: string): Body => aPort(1, { 'binding:host_id': host });
  for (const [verb, host, revision] of [
    ['create', 'h1', 1],
    ['create', 'h1', 1],
    ['update', 'h3', 3],
    ['update', 'h2', 2],
    ['update', 'h3', 3],
  ] as const)
    assert.deepEqual(await tell(verb, bound(host), revision), {});
  await settled();
  assert.equal(northbound.ctl('get', 'Logical_Switch_Port', idOf('port', 1), 'options:requested-chassis'), 'h3');
  await tell('delete', bound('h3'), 4);
  await tell('delete', bound('h3'), 4);
  await tell('update', bound('h3'), 3);
  await settled();
  assert.deepEqual(portNames(), []);
  assert.deepEqual((await ask('usage'))['used'], {
    network: 1,
    subnet: 0,
    port: 0,
    router: 0,
    security_group: 0,
    address_group: 0,
    floatingip: 0,
    hosts: 0,
  });
});

test('one that has just started is told what it lacks, and leaves all as it is until it has it', async () => {
  const first = await start();
  await first.syncNothing();
  const objects = [
    ['network', aNetwork(1)],
    ['subnet', aSubnet(1)],
    ['port', aPort(1)],
    ['port', aPort(2)],
  ] as const;
  for (const [resource, object] of objects) await first.ask('create', { resource, object, revision: 1 });
  await first.settled();
  await first.end();

  const second = await start('b');
  const listed = { id: idOf('port', 1), revision: 1 };
  for (const resource of RESOURCES) {
    const own = objects.filter(([name, { id }]) => name === resource && id !== idOf('port', 2));
    const { missing, stale, unknown } = await second.ask('sync', {
      resource,
      objects: own.map(([, { id }]) => ({ id, revision: 1 })),
    });
    assert.deepEqual([missing, stale, unknown], [own.map(([, { id }]) => id), [], []]);
  }
  await second.ask('create', { resource: 'network', object: aNetwork(1), revision: 1 });
  assert.match(
    String((await second.ask('health'))['reason']),
    /2 objects are to come|another back end writes|has not connected/,
  );
  assert.deepEqual([...portNames()].sort(), [idOf('port', 1), idOf('port', 2)]);
  await second.ask('create', { resource: 'subnet', object: aSubnet(1), revision: 1 });
  await second.ask('create', { resource: 'port', object: aPort(1), revision: 1 });
  await until(async () => (await second.ask('health'))['ok'] === true);
  await second.settled();
  assert.deepEqual(portNames(), [idOf('port', 1)]);
  const again = await second.ask('sync', {
    resource: 'port',
    objects: [
      { ...listed, revision: 5 },
      { id: idOf('port', 3), revision: 1 },
    ],
  });
  assert.deepEqual(again, { missing: [idOf('port', 3)], stale: [idOf('port', 1)], unknown: [] });
  assert.deepEqual(await second.ask('sync', { resource: 'port', objects: [] }), {
    missing: [],
    stale: [],
    unknown: [idOf('port', 1)],
  });
});

test('a server whose store was put back to before is believed', async () => {
  const { ask, syncNothing, settled } = await start();
  await syncNothing();
  await ask('create', { resource: 'network', object: aNetwork(1), revision: 1 });
  await ask('create', { resource: 'port', object: aPort(1, { 'binding:host_id': 'new' }), revision: 90 });
  const listed = { resource: 'port', objects: [{ id: idOf('port', 1), revision: 40 }] };
  assert.deepEqual(await ask('sync', listed), { missing: [], stale: [idOf('port', 1)], unknown: [] });
  await ask('update', { resource: 'port', object: aPort(1, { 'binding:host_id': 'old' }), revision: 40 });
  await settled();
  assert.equal(northbound.ctl('get', 'Logical_Switch_Port', idOf('port', 1), 'options:requested-chassis'), 'old');
  assert.deepEqual(await ask('sync', listed), { missing: [], stale: [], unknown: [] });
});

test('what became of objects is told to who waits for it, and all of it to who asks anew', async () => {
  const { ask, syncNothing } = await start();
  await syncNothing();
  const waiting = ask('reports', { since: 0, wait_seconds: 20 });
  await ask('create', { resource: 'network', object: aNetwork(1), revision: 7 });
  const { next, reports } = await waiting;
  assert.deepEqual(reports, [{ resource: 'network', id: idOf('network', 1), realised_revision: 7 }]);
  await ask('create', { resource: 'port', object: aPort(1), revision: 1 });
  await until(async () =>
    ((await ask('reports', { since: next }))['reports'] as readonly Body[]).some(({ status }) => status === 'DOWN'),
  );
  northbound.ctl('set', 'Logical_Switch_Port', idOf('port', 1), 'up=true');
  await until(async () =>
    ((await ask('reports', { since: next }))['reports'] as readonly Body[]).some(({ status }) => status === 'ACTIVE'),
  );
  assert.equal(((await ask('reports', { since: 0 }))['reports'] as readonly Body[]).length, 2);
  await ask('delete', { resource: 'port', object: aPort(1), revision: 2 });
  await until(async () => ((await ask('reports', { since: 0 }))['reports'] as readonly Body[]).length === 1);
});

test('an object that lacks another is not told to be there until that has come', async () => {
  const { ask, syncNothing, settled } = await start();
  await syncNothing();
  const said = async (): Promise<Body | undefined> =>
    ((await ask('reports', { since: 0 }))['reports'] as readonly Body[]).find(({ resource }) => resource === 'port');
  await ask('create', { resource: 'port', object: aPort(1), revision: 3 });
  await settled();
  assert.deepEqual(await said(), {
    resource: 'port',
    id: idOf('port', 1),
    error: `network ${idOf('network', 1)} was not told`,
  });
  await ask('create', { resource: 'subnet', object: aSubnet(1), revision: 1 });
  await ask('create', { resource: 'network', object: aNetwork(1), revision: 1 });
  await until(async () => (await said())?.['realised_revision'] === 3);
  assert.equal((await said())?.['error'], undefined);
});

test('of two one writes; the other has all the same been told, and goes on when that one is gone', async () => {
  const first = await start('a');
  await first.syncNothing();
  await until(async () => (await first.ask('health'))['ok'] === true);
  const second = await start('b');
  await second.syncNothing();
  await until(async () => /stands by/.test(String((await second.ask('health'))['reason'])));
  const tell = (to: typeof first, n: number): Promise<Body> =>
    to.ask('create', { resource: 'network', object: aNetwork(n), revision: 1 });
  for (const to of [first, second]) await tell(to, 1);
  await first.settled();
  await first.end();
  await tell(second, 2);
  await until(async () => (await second.ask('health'))['ok'] === true);
  await second.settled();
  assert.equal(
    northbound
      .ctl('--bare', '--columns=name', 'list', 'Logical_Switch')
      .split('\n')
      .filter((one) => one !== '').length,
    2,
  );
});

test('a host that OVN does not know is refused; one that it knows is told how to plug', async () => {
  const { ask } = await start();
  southbound.ctl(
    'chassis-add',
    'c1',
    'geneve',
    '192.0.2.1',
    '--',
    'set',
    'Chassis',
    'c1',
    'hostname=compute1',
    'other_config:datapath-type=netdev',
  );
  await until(async () => (await ask('usage').then(({ used }) => (used as Body)['hosts'])) === 1);
  const details = { port_filter: true, connectivity: 'l2', bridge_name: 'br-int', datapath_type: 'netdev' };
  for (const host of ['compute1', 'c1'])
    assert.deepEqual(await ask('bind', { port: aPort(1), host }), { vif_type: 'ovs', vif_details: details });
  assert.match(
    String((await ask('bind', { port: idOf('port', 1), host: 'elsewhere' }))['refused']),
    /knows no chassis elsewhere/,
  );
  assert.deepEqual(await ask('unbind', { port: aPort(1) }), {});
  southbound.ctl('chassis-del', 'c1');
});

test('what is wrong is answered by a problem, and changes nothing', async () => {
  const { transport, ask } = await start();
  const json = { 'content-type': 'application/json' };
  const cases: readonly (readonly [number, string, string, string | undefined, Readonly<Record<string, string>>])[] = [
    [404, 'POST', '/v1/nonesuch', '{}', json],
    [404, 'POST', '/v1/constructor', '{}', json],
    [404, 'POST', '/v2/health', '{}', json],
    [405, 'GET', '/v1/health', undefined, {}],
    [415, 'POST', '/v1/health', '{}', { 'content-type': 'text/plain' }],
    [400, 'POST', '/v1/health', '{', json],
    [400, 'POST', '/v1/health', '[]', json],
    [400, 'POST', '/v1/create', '{"resource":"nonesuch"}', json],
    [400, 'POST', '/v1/create', '{"resource":"port","object":{"id":"x"}}', json],
    [400, 'POST', '/v1/create', `{"resource":"network","object":{"id":"${idOf('network', 1)}"},"revision":-1}`, json],
    [400, 'POST', '/v1/delete', '{"resource":"port"}', json],
    [400, 'POST', '/v1/sync', '{"resource":"port","objects":[{"id":7}]}', json],
    [400, 'POST', '/v1/bind', '{"port":"x","host":"h"}', json],
  ];
  for (const [status, method, path, body, headers] of cases) {
    const answer = await transport.request({
      method,
      path,
      headers: { ...AUTHORIZED, ...headers },
      ...(body === undefined ? {} : { body }),
    });
    assert.equal(answer.status, status, `${method} ${path} ${body}: ${answer.body}`);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    const problem = JSON.parse(answer.body) as Body;
    assert.deepEqual([problem['status'], typeof problem['detail']], [status, 'string']);
  }
  assert.equal(((await ask('usage'))['used'] as Body)['network'], 0);
});

for (const byTcp of [false, true])
  test(`by ${byTcp ? 'TCP' : 'a socket'} nobody is let in without the token`, async () => {
    const { transport } = await start('door', { byTcp });
    const ask = (headers: Readonly<Record<string, string>>) =>
      transport.request({
        method: 'POST',
        path: '/v1/health',
        headers: { 'content-type': 'application/json', ...headers },
        body: '{}',
      });
    const statuses = [
      await ask({}),
      await ask({ authorization: 'Bearer wrong' }),
      await ask({ authorization: 'Bearer secret' }),
    ];
    assert.deepEqual(
      statuses.map(({ status }) => status),
      [401, 401, 200],
    );
  });
