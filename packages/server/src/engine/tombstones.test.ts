/** Deletes with very many parts: one transaction, whoever dies when. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '@cable/kit';
import { openStore, type Store } from '@cable/store';
import { objectPrefix, TOMBSTONE_KEYS } from '../keys.ts';
import { TOMBSTONES } from '../rows.ts';
import type { CableServer } from '../server.ts';
import {
  assertInvariants,
  type Harness,
  harnessOf,
  keysLeft,
  refused,
  startTestServer,
  type TestServerOptions,
} from '../testing/harness.ts';
import { Sweeper } from './tombstones.ts';

/** More than a transaction takes. */
const MANY = 6000;
/** Of the default group. */
const DEFAULT_RULES = 4;

async function openTestStore(t: TestContext): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), `cable-tombstones-${process.pid}-`));
  const store = await openStore(`lmdb:${directory}`, { log: silentLogger() });
  t.after(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  return store;
}

async function start(t: TestContext, store: Store, options: TestServerOptions = {}): Promise<Harness> {
  const server = await startTestServer(store, undefined, options);
  t.after(() => server.stop());
  return harnessOf(store, server);
}

/** A group with so many rules, a fifth of which name the group itself. */
async function makeGroup({ create, send }: Harness, count: number, headers?: Record<string, string>): Promise<string> {
  const group = String((await create('security_group', { name: 'large' }, headers))['id']);
  for (let at = 0; at < count; at += 1000) {
    const rules = Array.from({ length: Math.min(1000, count - at) }, (_, place) => ({
      security_group_id: group,
      direction: 'ingress',
      protocol: 'tcp',
      port_range_min: at + place + 1,
      port_range_max: at + place + 1,
      ...(place % 5 === 0 ? { remote_group_id: group } : {}),
    }));
    const { status, body } = await send('POST', '/v2.0/security-group-rules', { security_group_rules: rules });
    assert.equal(status, 201, JSON.stringify(body));
  }
  return group;
}

async function rulesStored(store: Store): Promise<number> {
  return (await store.list(objectPrefix('security_group_rule'))).kvs.length;
}

async function swept(store: Store, server: CableServer): Promise<void> {
  const endMs = Date.now() + 60_000;
  while ((await store.list(TOMBSTONE_KEYS)).kvs.length > 0 || server.tables.any(TOMBSTONES).size > 0) {
    assert.ok(Date.now() < endMs, 'a tombstone is there still');
    await sleep(20);
  }
}

/** Lets so many transactions with a delete through, after the tombstone was laid; the rest fail as if the process had died. */
function dieWhileSweeping(store: Store, letThrough: number): { isDead: boolean; live(): void } {
  const { txn } = store;
  let left = letThrough;
  const live = (): void => {
    store.txn = txn;
  };
  const state = { isDead: false, live };
  store.txn = (compares, ops, options) => {
    const isSweep = compares.some((one) => 'key' in one && one.key.startsWith(TOMBSTONE_KEYS));
    if (isSweep && left === 0) {
      state.isDead = true;
      return Promise.reject(new Error('the server died'));
    }
    if (isSweep) left -= 1;
    return txn.call(store, compares, ops, options);
  };
  return state;
}

test('a group with more rules than a transaction takes goes at once, for every server, and its keys after it', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const other = await start(t, store);
  await one.create('security_group', {});
  const before = (await keysLeft(store)).length;
  const rules = one.server.tables.any('security_group_rule').size;
  const group = await makeGroup(one, MANY);
  const states = new Set<number>();
  await other.server.tables.waitFor(one.server.tables.revision);
  const all = one.server.tables.any('security_group_rule').size;
  const stop = other.server.tables.onChange(() => states.add(other.server.tables.any('security_group_rule').size));
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 204);
  assert.equal(one.server.tables.any('security_group_rule').size, rules);
  await assertInvariants(one.server);
  await swept(store, other.server);
  stop();
  // What else the store tells of meanwhile finds all of them there, or none.
  assert.deepEqual(
    [...states].filter((size) => size !== all),
    [rules],
  );
  await assertInvariants(other.server);
  assert.equal((await keysLeft(store)).length, before);
});

test('many groups that are deleted together are swept in a few passes, not in one each', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const groups: string[] = [];
  for (let n = 0; n < 12; n += 1) groups.push(await makeGroup(one, 600));
  const { listPages } = store;
  let passes = 0;
  store.listPages = (prefix, ...more) => {
    if (prefix === objectPrefix('security_group_rule')) passes += 1;
    return listPages.call(store, prefix, ...more);
  };
  const deleted = await Promise.all(groups.map((id) => one.send('DELETE', `/v2.0/security-groups/${id}`)));
  assert.deepEqual(new Set(deleted.map(({ status }) => status)), new Set([204]));
  await swept(store, one.server);
  assert.ok(passes <= 6, `${passes} passes`);
  assert.equal(await rulesStored(store), DEFAULT_RULES);
  await assertInvariants(one.server);
});

test('a server that dies between is followed by one that never shows the parts, and sweeps them', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const group = await makeGroup(one, MANY);
  const death = dieWhileSweeping(store, 3);
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 204);
  while (!death.isDead) await sleep(5);
  await one.server.stop();
  death.live();
  assert.ok((await rulesStored(store)) > MANY / 2);
  let aheadMs = 0;
  const options = { monotonicMs: () => performance.now() + aheadMs };
  const next = await start(t, store, options);
  assert.equal(next.server.tables.any('security_group_rule').size, DEFAULT_RULES);
  await assertInvariants(next.server);
  aheadMs = 20_000;
  await swept(store, next.server);
  assert.equal(await rulesStored(store), DEFAULT_RULES);
  await assertInvariants(next.server);
});

test('what is not swept yet keeps nobody from making it anew', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const key = { 'idempotency-key': 'the-group' };
  const group = await makeGroup(one, 1500, key);
  const death = dieWhileSweeping(store, 0);
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 204);
  while (!death.isDead) await sleep(5);
  // Its first rules are like some that are not swept.
  const again = one.create('security_group', { name: 'large' }, key);
  await sleep(50);
  death.live();
  assert.equal((await again)['id'], group);
  const rule = { security_group_id: group, direction: 'ingress', protocol: 'tcp' };
  const { id } = await one.create('security_group_rule', rule);
  await swept(store, one.server);
  assert.equal((await one.send('GET', `/v2.0/security-group-rules/${id}`)).status, 200);
  assert.equal(await rulesStored(store), DEFAULT_RULES + 3);
  await assertInvariants(one.server);
});

test('a port in the group keeps all of it there', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const group = await makeGroup(one, 1000);
  const network = await one.create('network', {});
  await one.create('port', { network_id: network['id'], security_groups: [group] });
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 409);
  assert.equal((await store.list(TOMBSTONE_KEYS)).kvs.length, 0);
  assert.ok(one.server.tables.any('security_group_rule').size >= 1000);
  await assertInvariants(one.server);
});

test('another history, in which the group is there, shows its rules again', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const group = await makeGroup(one, 1000);
  const was = await store.list('/cable/');
  const death = dieWhileSweeping(store, 0);
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 204);
  while (!death.isDead) await sleep(5);
  const rules = was.kvs.filter(({ key }) => key.startsWith(objectPrefix('security_group_rule')));
  const { server } = one;
  // As a snapshot that was taken before: the rules as they were, the group, no tombstone.
  const kept = was.kvs.find(({ key }) => key.endsWith(group));
  assert.ok(kept !== undefined && rules.length >= 1000);
  // Those by which the group names itself are few: they went with it.
  const gone = rules.filter(({ value }) => value.includes(`"remote_group_id":"${group}"`));
  await store.txn(
    [],
    [
      ...[kept, ...gone].map(({ key, value }) => ({ kind: 'put', key, value }) as const),
      { kind: 'deletePrefix', prefix: TOMBSTONE_KEYS },
    ],
  );
  await server.tables.relist();
  death.live();
  assert.equal(server.tables.any('security_group_rule').size, rules.length);
});

test('who needs what a dead server has not swept waits for little, and asks little of the store', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const other = await start(t, store);
  const key = { 'idempotency-key': 'the-group' };
  const group = await makeGroup(one, 2000, key);
  const death = dieWhileSweeping(store, 0);
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 204);
  while (!death.isDead) await sleep(5);
  await one.server.stop();
  death.live();
  let transactions = 0;
  const { txn } = store;
  store.txn = (...args) => {
    transactions += 1;
    return txn.apply(store, args);
  };
  const { sweeper } = other.server.deps;
  const { wait } = sweeper;
  let waits = 0;
  Object.assign(sweeper, {
    wait: (signal: AbortSignal) => {
      waits += 1;
      return wait.call(sweeper, signal);
    },
  });
  // Its first rules mean what some of the rules do that are not swept.
  assert.equal((await other.create('security_group', { name: 'large' }, key))['id'], group);
  assert.ok(waits > 0, 'the sweeper knows that somebody waits');
  assert.ok(transactions < 100, `${transactions} transactions`);
  await swept(store, other.server);
  await assertInvariants(other.server);
});

test('what another server has laid is swept sooner when somebody waits for it', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  // Its own sweeper leaves alone what is another's, for ever.
  const other = await start(t, store, { monotonicMs: () => 0 });
  const group = await makeGroup(one, 1000);
  const death = dieWhileSweeping(store, 0);
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 204);
  while (!death.isDead) await sleep(5);
  await one.server.stop();
  death.live();
  let looks = 0;
  const clock = { now: 0 };
  const stop = new AbortController();
  const monotonicMs = (): number => {
    looks += 1;
    return clock.now;
  };
  const sweeper = new Sweeper({ ...other.server.deps, log: silentLogger(), signal: stop.signal, monotonicMs });
  t.after(async () => {
    stop.abort();
    await sweeper.done;
  });
  while (looks < 2) await sleep(5);
  // Far from what it leaves to others when nobody waits.
  clock.now = 2000;
  await sweeper.wait(stop.signal);
  await swept(store, other.server);
  assert.equal(await rulesStored(store), DEFAULT_RULES);
});

test('who runs out of time meanwhile is told that nothing was written', async (t) => {
  const store = await openTestStore(t);
  const one = await start(t, store);
  const key = { 'idempotency-key': 'the-group' };
  const group = await makeGroup(one, 2000, key);
  const death = dieWhileSweeping(store, 0);
  assert.equal((await one.send('DELETE', `/v2.0/security-groups/${group}`)).status, 204);
  while (!death.isDead) await sleep(5);
  const hurried = { ...key, 'request-timeout': '1' };
  const again = one.send('POST', '/v2.0/security-groups', { security_group: { name: 'large' } }, hurried);
  await refused(again, 503, 'ServiceUnavailable');
  death.live();
  await swept(store, one.server);
  assert.equal(one.server.tables.any('security_group').get(group), undefined);
  await assertInvariants(one.server);
});
