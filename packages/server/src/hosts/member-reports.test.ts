import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { MemberHealth } from '@cable/model';
import { HealthKeeper } from '../resources/health-keeper.ts';
import { type Harness, type Json, startHarness } from '../testing/harness.ts';
import { MemberReports } from './member-reports.ts';

const LBAAS = '/v2.0/lbaas';

type World = Harness & {
  readonly reports: MemberReports;
  /** Ids of the members with 10.0.0.5 (a port of h1) and 10.0.0.6 (one of h2). */
  readonly ids: readonly [string, string];
  readonly lb: Json;
  tell(host: string, ...members: readonly (readonly [id: string, state: MemberHealth['state']])[]): Promise<void>;
  /** Of the load balancer's tree: its own, its listener's, its pool's and its members' statuses. */
  statuses(): Promise<string>;
};

/** A load balancer of two members, each a port of a host. */
async function startWorld(t: TestContext): Promise<World> {
  const harness = await startHarness(t);
  const { server, store, create, send } = harness;
  for (const [n, host] of ['h1', 'h2'].entries()) {
    await server.plane.register(host, { underlay: `192.0.2.${n + 1}`, agentVersion: '1' });
  }
  const network = await create('network', {});
  const subnet = await create('subnet', { network_id: network['id'], cidr: '10.0.0.0/24', ip_version: 4 });
  const make = async (path: string, name: string, attributes: object): Promise<Json> => {
    const answer = await send('POST', `${LBAAS}/${path}`, { [name]: attributes });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body[name] as Json;
  };
  const vip = { vip_subnet_id: subnet['id'], vip_address: '10.0.0.100' };
  const lb = await make('loadbalancers', 'loadbalancer', vip);
  const listener = await make('listeners', 'listener', {
    loadbalancer_id: lb['id'],
    protocol: 'TCP',
    protocol_port: 80,
  });
  const pool = await make('pools', 'pool', {
    listener_id: listener['id'],
    protocol: 'TCP',
    lb_algorithm: 'SOURCE_IP_PORT',
  });
  const ids: string[] = [];
  for (const [n, host] of ['h1', 'h2'].entries()) {
    const ip_address = `10.0.0.${n + 5}`;
    const fixed_ips = [{ subnet_id: subnet['id'], ip_address }];
    await create('port', { network_id: network['id'], fixed_ips, 'binding:host_id': host });
    const member = { address: ip_address, protocol_port: 8080 };
    ids.push(String((await make(`pools/${pool['id']}/members`, 'member', member))['id']));
  }
  const probe = { pool_id: pool['id'], type: 'TCP', delay: 5, timeout: 5, max_retries: 1 };
  await make('healthmonitors', 'healthmonitor', probe);
  const reports = new MemberReports({
    store,
    tables: server.tables,
    registry: { hear: () => undefined, kept: async () => undefined },
    hasStream: () => true,
    log: silentLogger(),
  });
  const tell: World['tell'] = (host, ...members) =>
    reports.tell(host, 's', {
      full: false,
      members: members.map(([memberId, state]) => ({ memberId, state, reason: state === 'down' ? 'gone' : null })),
    });
  const statuses = async (): Promise<string> => {
    const tree = (await send('GET', `${LBAAS}/loadbalancers/${lb['id']}/status`)).body['statuses'] as unknown as {
      readonly loadbalancer: StatusTree;
    };
    return statusesOf(tree.loadbalancer).join(' ');
  };
  return { ...harness, reports, ids: [ids[0] ?? '', ids[1] ?? ''], lb, tell, statuses };
}

type StatusTree = Readonly<Record<string, unknown>> & { readonly operating_status: string };

/** From the root on; members by address. */
function statusesOf(tree: StatusTree): readonly string[] {
  const parts = ['listeners', 'pools', 'members'].flatMap((name) => (tree[name] ?? []) as readonly StatusTree[]);
  const sorted = [...parts].sort((a, b) => (String(a['address']) < String(b['address']) ? -1 : 1));
  return [tree.operating_status, ...sorted.flatMap(statusesOf)];
}

test('what hosts tell of members is shown up the tree', async (t) => {
  const { ids, tell, statuses } = await startWorld(t);
  const [one, two] = ids;
  assert.equal(await statuses(), 'OFFLINE OFFLINE OFFLINE OFFLINE OFFLINE');
  await tell('h1', [one, 'up']);
  await tell('h2', [two, 'up']);
  assert.equal(await statuses(), 'ONLINE ONLINE ONLINE ONLINE ONLINE');
  await tell('h2', [two, 'down']);
  assert.equal(await statuses(), 'DEGRADED DEGRADED DEGRADED ONLINE ERROR');
  await tell('h1', [one, 'down']);
  assert.equal(await statuses(), 'ERROR ERROR ERROR ERROR ERROR');
  await tell('h1', [one, 'unknown']);
  assert.equal(await statuses(), 'ERROR ERROR ERROR ERROR ERROR', 'an agent that has just begun says nothing new');
  await tell('h1', [one, 'gone']);
  assert.equal(await statuses(), 'DEGRADED DEGRADED DEGRADED OFFLINE ERROR');
});

test('a host is believed about its own ports alone, and forgets what it told, not what others did', async (t) => {
  const { ids, tell, reports, statuses } = await startWorld(t);
  const [one, two] = ids;
  await tell('h1', [one, 'up'], [two, 'down'], ['00000000-0000-4000-8000-000000000000', 'down']);
  await tell('h2', [two, 'up']);
  assert.equal(await statuses(), 'ONLINE ONLINE ONLINE ONLINE ONLINE');
  await tell('h1', [two, 'gone']);
  await reports.tell('h1', 's', { full: true, members: [] });
  assert.equal(await statuses(), 'ONLINE ONLINE ONLINE OFFLINE ONLINE');
});

test('members of a host that is silent for half a minute are in ERROR, and what was told of a member goes with it', async (t) => {
  const { ids, tell, statuses, server, store, send, lb } = await startWorld(t);
  const [one, two] = ids;
  await tell('h1', [one, 'up']);
  await tell('h2', [two, 'up']);
  const stop = new AbortController();
  const alive = new Set(['h1', 'h2']);
  const clock = { ms: 0 };
  // Hosts are alive as the test says; the store knows of none, so a compare cannot fail.
  const tables = {
    of: (type: 'alive') =>
      type === 'alive'
        ? { get: (id: string) => (alive.has(id) ? { id } : undefined) }
        : server.tables.of(type as unknown as 'health'),
    has: (type: string) => server.tables.has(type),
    modRevision: (type: string, id: string) => server.tables.modRevision(type, id),
    waitFor: (revision: number) => server.tables.waitFor(revision),
  } as unknown as typeof server.tables;
  const keeper = new HealthKeeper({
    store: {
      txn: (compares, ops) =>
        store.txn(
          compares.filter(({ kind }) => kind !== 'absent'),
          ops,
        ),
    },
    tables,
    monotonicMs: () => clock.ms,
    signal: stop.signal,
    log: silentLogger(),
  });
  t.after(async () => {
    stop.abort();
    await keeper.done;
  });
  const healthy = 'ONLINE ONLINE ONLINE ONLINE ONLINE';
  await keeper.round();
  assert.equal(await statuses(), healthy);
  alive.delete('h2');
  await keeper.round();
  clock.ms += 29_000;
  await keeper.round();
  assert.equal(await statuses(), healthy, 'its agent may be starting');
  clock.ms += 2000;
  await keeper.round();
  assert.equal(await statuses(), 'DEGRADED DEGRADED DEGRADED ONLINE ERROR');
  assert.equal(server.tables.of('health').get(two)?.state, 'silent');
  alive.add('h2');
  await tell('h2', [two, 'up']);
  await keeper.round();
  assert.equal(await statuses(), healthy);
  await send('DELETE', `${LBAAS}/loadbalancers/${lb['id']}?cascade=true`);
  await keeper.round();
  assert.equal([...server.tables.of('health').values()].length, 0);
});
