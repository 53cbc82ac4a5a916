import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { LeaseUse, Port, SnatLease } from '@cable/model';
import { aliveKey, claimKey, objectKey } from '../keys.ts';
import type { CableServer } from '../server.ts';
import { assertInvariants, type Harness, type Json, startHarness, startTestServer } from '../testing/harness.ts';
import { outsideWorld } from '../testing/outside.ts';
import { SnatKeeper } from './snat-keeper.ts';
import type { SnatRecord } from './snat-log.ts';

/** A keeper that the test runs, beside the server's own; and a time that the test makes. */
function keeperOf(server: CableServer, clock: { ms: number }, stop: AbortController): SnatKeeper {
  return new SnatKeeper({
    ...server.deps,
    monotonicMs: () => clock.ms,
    now: nowOf(clock),
    log: silentLogger(),
    signal: stop.signal,
  });
}

/** The server's own keeper has it, too. */
function nowOf(clock: { ms: number }): () => Date {
  return () => new Date(Date.UTC(2026, 10, 27) + clock.ms);
}

const FEATURES = ['blocks', 'floats'];

async function world(harness: Harness) {
  const { server, send } = harness;
  const outside = await outsideWorld(harness);
  for (const [n, host] of ['h1', 'h2'].entries()) {
    const bridgeMappings = { physnet1: 'eth1' };
    const registration = { underlay: `192.0.2.${n + 1}`, agentVersion: '1', bridgeMappings, features: FEATURES };
    await server.plane.register(host, registration);
  }
  await server.plane.register('h3', {
    underlay: '192.0.2.3',
    agentVersion: '1',
    bridgeMappings: {},
    features: FEATURES,
  });
  const { network } = await outside.inside('10.0.0.0/24');
  const gateways = await send('GET', '/v2.0/ports?device_owner=network:router_gateway');
  const gateway = (gateways.body['ports'] as unknown as readonly Port[])[0];
  assert.ok(gateway);
  await send('PUT', `/v2.0/ports/${gateway.id}`, { port: { 'binding:host_id': 'h1' } });
  const leases = (): readonly SnatLease[] => [...server.tables.of('snat_lease').values()];
  const leaseOf = (port: Json): SnatLease | undefined => leases().find((one) => one.port_id === String(port['id']));
  const place = (id: unknown, host: string) => send('PUT', `/v2.0/ports/${id}`, { port: { 'binding:host_id': host } });
  const set = (snat: string) =>
    send('PUT', `/v2.0/routers/${outside.router['id']}`, { router: { 'cable:snat': snat } });
  const find = async (port: number, at?: string): Promise<readonly SnatRecord[]> => {
    const address = leases()[0]?.external_address ?? gateway.fixed_ips[0]?.ip_address;
    const body = { external_address: address, external_port: port, ...(at === undefined ? {} : { at }) };
    const answer = await send('POST', '/cable/v1/snat-leases/find', body);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return (answer.body['snat_records'] as unknown as { records: readonly SnatRecord[] }).records;
  };
  return { ...outside, network, gateway, leases, leaseOf, place, set, find };
}

test('each port behind a router has a block of its own, at its own host, and who had it is known', async (t) => {
  const clock = { ms: 0 };
  const harness = await startHarness(t, { now: nowOf(clock) });
  const { server, send } = harness;
  const { network, portIn, leases, leaseOf, place, set, find, router } = await world(harness);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = keeperOf(server, clock, stop);
  const [a, b, c] = [await portIn(network), await portIn(network), await portIn(network)];
  for (const [port, host] of [
    [a, 'h1'],
    [b, 'h2'],
    [c, 'h3'],
  ] as const)
    await place(port['id'], host);
  await keeper.round();
  assert.deepEqual(leases(), [], 'ports are shared by default');
  const refused = await send(
    'PUT',
    `/v2.0/routers/${router['id']}`,
    { router: { 'cable:snat': 'leased' } },
    { 'x-project-id': 'p1', 'x-roles': 'member' },
  );
  assert.equal(refused.status, 403, 'only an admin says so');
  assert.equal((await set('distributed')).status, 200);
  await keeper.round();
  assert.deepEqual(
    [a, b, c].map((port) => leaseOf(port)?.host_id),
    ['h1', 'h2', 'h1'],
    'h3 is not on the physical network',
  );
  const blocks = leases().flatMap((lease) => lease.first_ports);
  assert.equal(new Set(blocks).size, 12, 'four each, while there are many');
  assert.ok(blocks.every((first) => first >= 1024 && first % 64 === 0));
  const first = leaseOf(b)?.first_ports[0] ?? 0;
  const [record, ...more] = await find(first + 63, '2026-11-27T00:00:30Z');
  assert.deepEqual(more, []);
  assert.deepEqual(
    [record?.port_id, record?.host_id, record?.first_port, record?.last_port, record?.to],
    [b['id'], 'h2', first, first + 63, null],
  );
  assert.deepEqual(
    record?.fixed_ips,
    (b as unknown as Port).fixed_ips.map((fixed) => fixed.ip_address),
  );
  assert.deepEqual(await find(first, '2026-11-26T23:00:00Z'), [], 'nobody before');
  clock.ms += 60_000;
  await place(b['id'], 'h1');
  await keeper.round();
  assert.equal(leaseOf(b)?.host_id, 'h1', 'the block goes with the port');
  assert.equal(leaseOf(b)?.first_ports[0], first);
  for (const [at, host] of [
    ['00:00:59', 'h2'],
    ['00:01:01', 'h1'],
  ] as const) {
    const records = await find(first, `2026-11-27T${at}Z`);
    assert.deepEqual(
      records.map((one) => [one.port_id, one.host_id]),
      [[b['id'], host]],
      at,
    );
  }
  assert.equal((await send('POST', '/cable/v1/snat-leases/find', { external_address: '203.0.113.10' })).status, 400);
  const member = { 'x-project-id': 'p1', 'x-roles': 'member' };
  assert.equal(
    (await send('POST', '/cable/v1/snat-leases/find', { external_address: '203.0.113.10', external_port: 1 }, member))
      .status,
    403,
  );
  await set('leased');
  await keeper.round();
  assert.deepEqual(
    [a, b, c].map((port) => leaseOf(port)?.host_id),
    ['h1', 'h1', 'h1'],
  );
  stop.abort();
  await keeper.done;
  await assertInvariants(server);
});

test('a block is nobody else’s before it has rested and its host has forgotten it', async (t) => {
  const clock = { ms: 0 };
  const harness = await startHarness(t, { now: nowOf(clock) });
  const { server, send, store } = harness;
  const { network, portIn, leases, leaseOf, place, set, find, external } = await world(harness);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = keeperOf(server, clock, stop);
  const b = await portIn(network);
  await place(b['id'], 'h2');
  await set('distributed');
  await keeper.round();
  const lease = leaseOf(b);
  const first = lease?.first_ports[0] ?? 0;
  const claim = claimKey('snat_block', `${external['id']}/${lease?.external_address}/${first}`);
  assert.equal((await store.get(claim))?.value, lease?.id);
  assert.equal((await send('DELETE', `/v2.0/ports/${b['id']}`)).status, 204);
  await keeper.round();
  assert.deepEqual(leaseOf(b)?.first_ports, []);
  assert.equal(leaseOf(b)?.resting[0]?.first_port, first);
  clock.ms += 121_000;
  await keeper.round();
  assert.equal((await store.get(claim))?.value, lease?.id, 'its host has not said that it has it no more');
  assert.deepEqual(
    (await find(first, '2026-11-27T00:02:00Z')).map((one) => one.port_id),
    [b['id']],
    'and may use it',
  );
  const { revision } = await store.txn([], [{ kind: 'delete', key: aliveKey('h2') }]);
  await server.tables.waitFor(revision);
  await keeper.round();
  assert.equal((await store.get(claim))?.value, lease?.id, 'a host that is silent may go on');
  clock.ms += 3_600_000;
  await keeper.round();
  assert.equal((await store.get(claim))?.value, lease?.id, 'nor has that of the gateway said so');
  const keys = [objectKey('host', 'h1'), claimKey('underlay', '192.0.2.1')];
  const gone = await store.txn(
    [],
    keys.map((key) => ({ kind: 'delete', key })),
  );
  await server.tables.waitFor(gone.revision);
  await keeper.round();
  assert.deepEqual(leases(), [], 'a host that is silent for so long is dead');
  assert.equal(await store.get(claim), undefined);
  const [over] = await find(first);
  assert.equal(over?.to, new Date(Date.UTC(2026, 10, 27) + clock.ms).toISOString());
  assert.deepEqual(await find(first, '2026-11-27T02:00:00Z'), []);
  stop.abort();
  await keeper.done;
  await assertInvariants(server);
});

test('a clock that goes to and fro neither shortens nor lengthens the rest of a block, nor loses who had it', async (t) => {
  const clock = { ms: 0 };
  const wall = { ms: 0 };
  const harness = await startHarness(t, { now: nowOf(wall) });
  const { server, send, store } = harness;
  const { network, portIn, leases, leaseOf, place, set, find } = await world(harness);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = new SnatKeeper({
    ...server.deps,
    ...{ monotonicMs: () => clock.ms, now: nowOf(wall), log: silentLogger(), signal: stop.signal },
  });
  const pass = async (ms: number): Promise<void> => {
    clock.ms += ms;
    wall.ms += ms;
    await keeper.round();
  };
  const b = await portIn(network);
  await place(b['id'], 'h2');
  await set('distributed');
  await pass(0);
  const first = leaseOf(b)?.first_ports[0] ?? 0;
  wall.ms -= 7_200_000;
  assert.equal((await send('DELETE', `/v2.0/ports/${b['id']}`)).status, 204);
  await pass(0);
  // A host that is gone has forgotten it.
  for (const host of ['h1', 'h2']) {
    const { revision } = await store.txn([], [{ kind: 'delete', key: objectKey('host', host) }]);
    await server.tables.waitFor(revision);
  }
  await pass(0);
  wall.ms += 86_400_000;
  await pass(119_000);
  assert.equal(leases().length, 1, 'it has not rested');
  wall.ms -= 2 * 86_400_000;
  await pass(1000);
  assert.deepEqual(leases(), [], 'it has');
  const [record] = await find(first);
  assert.ok(record?.to && record.to >= record.from, JSON.stringify(record));
  await keeper.round();
});

test('keepers of two servers that lease at once never give one block to two ports', async (t) => {
  const clock = { ms: 0 };
  const harness = await startHarness(t, { now: nowOf(clock) });
  const other = await startTestServer(harness.store);
  t.after(() => other.stop());
  const { network, portIn, leases, place, set } = await world(harness);
  const ports = [];
  for (let n = 0; n < 40; n += 1) ports.push(await portIn(network));
  for (const [n, port] of ports.entries()) await place(port['id'], n % 2 === 0 ? 'h1' : 'h2');
  const stop = new AbortController();
  t.after(() => stop.abort());
  // Both choose the same blocks, as often as they can.
  const keepers = [harness.server, other].map((server) => {
    const deps = { ...server.deps, random: () => 0, monotonicMs: () => clock.ms };
    return new SnatKeeper({ ...deps, log: silentLogger(), signal: stop.signal });
  });
  await set('distributed');
  await Promise.all(keepers.map((keeper) => keeper.round()));
  for (let n = 0; leases().length < 40 && n < 20; n += 1) {
    clock.ms += 31_000;
    await Promise.all(keepers.map((keeper) => keeper.round()));
  }
  const blocks = leases().flatMap((lease) => lease.first_ports);
  assert.equal(leases().length, 40);
  assert.equal(new Set(blocks).size, blocks.length, 'each block is one port’s');
  assert.equal(new Set(leases().map((lease) => lease.port_id)).size, 40, 'each port has one lease');
  stop.abort();
  await Promise.all(keepers.map((keeper) => keeper.done));
  await assertInvariants(harness.server);
});

test('a guest that runs short gets as many blocks again, to a bound, and gives back what nothing uses; each has its record', async (t) => {
  const clock = { ms: 0 };
  const harness = await startHarness(t, { now: nowOf(clock) });
  const { server } = harness;
  const { network, portIn, leaseOf, place, set, find } = await world(harness);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = keeperOf(server, clock, stop);
  const a = await portIn(network);
  await place(a['id'], 'h2');
  await set('distributed');
  await keeper.round();
  const held = (): readonly number[] => (leaseOf(a)?.first_ports ?? []).map(Number);
  const say = async (over: Partial<LeaseUse>, host = 'h2'): Promise<void> => {
    const use = { leaseId: leaseOf(a)?.id ?? '', blocks: held().length, wanted: false, idle: [], ...over };
    keeper.takeUses(host, [use]);
    await keeper.round();
  };
  const first = held();
  assert.equal(first.length, 4);
  await say({ wanted: true }, 'h1');
  await say({ wanted: true, blocks: 3 });
  assert.deepEqual(held(), first, 'another host, and one that speaks of before, say nothing');
  clock.ms += 60_000;
  for (const count of [8, 16, 32, 32]) {
    await say({ wanted: true });
    assert.equal(held().length, count);
  }
  assert.deepEqual(held().slice(0, 4), first);
  const later = held()[20] ?? 0;
  assert.deepEqual(
    (await find(later)).map((one) => [one.port_id, one.from, one.to]),
    [[a['id'], '2026-11-27T00:01:00.000Z', null]],
  );
  assert.deepEqual(await find(later, '2026-11-27T00:00:30Z'), [], 'nobody had it before');
  await say({ idle: [...first, later, 9] });
  assert.equal(held().length, 28);
  assert.deepEqual([held()[0], held().includes(later)], [first[0], false], 'the first is kept');
  assert.equal(leaseOf(a)?.resting.length, 4);
  await say({ idle: held() });
  assert.equal(held().length, 4, 'and as many as everybody gets');
  await say({ idle: held() });
  assert.equal(held().length, 4);
  const all = server.tables.of('snat_lease');
  assert.equal(new Set([...all.values()].flatMap((one) => [...one.first_ports])).size, 4);
  stop.abort();
  await keeper.done;
  await assertInvariants(server);
});

test('of an address that is nearly all leased nobody gets more', async (t) => {
  const clock = { ms: 0 };
  const harness = await startHarness(t, { now: nowOf(clock) });
  const { server } = harness;
  const { network, portIn, leaseOf, place, set } = await world(harness);
  const stop = new AbortController();
  t.after(() => stop.abort());
  const keeper = keeperOf(server, clock, stop);
  const ports: Json[] = [];
  for (let n = 0; n < 32; n += 1) ports.push(await portIn(network));
  for (const port of ports) await place(port['id'], 'h2');
  await set('distributed');
  await keeper.round();
  const held = (port: Json): number => leaseOf(port)?.first_ports.length ?? 0;
  const want = async (): Promise<number> => {
    const uses = ports.map((port) => ({
      leaseId: leaseOf(port)?.id ?? '',
      blocks: held(port),
      wanted: true,
      idle: [],
    }));
    keeper.takeUses('h2', uses);
    await keeper.round();
    return ports.reduce((sum, port) => sum + held(port), 0);
  };
  const totals: number[] = [];
  for (let n = 0; n < 6; n += 1) totals.push(await want());
  const last = totals.at(-1) ?? 0;
  assert.ok(last > 1008 / 2 && last <= 1008 * 0.75, String(totals));
  for (let n = 0; n < 40; n += 1) await want();
  const most = await want();
  assert.ok(most <= 1008 * 0.75, String(most));
  stop.abort();
  await keeper.done;
  await assertInvariants(server);
});
