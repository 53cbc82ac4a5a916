/** The notifier over a real store and tables, and Nova as its API reference has it. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { until } from '../hosts/fakes.fixture.ts';
import { NOVA_SINCE, NOVA_TELLER, objectKey, vifKey } from '../keys.ts';
import { type Harness, startHarness } from '../testing/harness.ts';
import { NovaNotifier } from './nova-notifier.ts';
import { FakeNova } from './testing/fake-nova.ts';

type World = Harness & {
  readonly nova: FakeNova;
  readonly network: string;
  readonly clock: { ms: number };
  start(server?: string, tryAgainMs?: readonly number[]): { readonly notifier: NovaNotifier; stop(): Promise<void> };
  /** A port of a new Nova server, bound to h1. */
  machine(): Promise<{ readonly port: string; readonly server: string }>;
  /** The host says so of the port's device, and the port gets the status. */
  device(port: string, state: 'up' | 'down', host?: string): Promise<void>;
};

async function world(t: TestContext): Promise<World> {
  const harness = await startHarness(t);
  const { server, store, create } = harness;
  const nova = new FakeNova();
  const clock = { ms: 0 };
  const network = String((await create('network', {}))['id']);
  await create('subnet', { network_id: network, cidr: '10.0.0.0/24', ip_version: 4 });
  const start = (
    id: string = randomUUID(),
    tryAgainMs: readonly number[] = [2000],
  ): { notifier: NovaNotifier; stop: () => Promise<void> } => {
    const abort = new AbortController();
    const { tables } = server;
    const monotonicMs = (): number => performance.now() + clock.ms;
    const deps = { store, tables, server: id, post: nova.post, monotonicMs, log: silentLogger(), signal: abort.signal };
    const notifier = new NovaNotifier({ ...deps, tryAgainMs });
    const stop = (): Promise<void> => {
      abort.abort();
      return notifier.done;
    };
    t.after(stop);
    return { notifier, stop };
  };
  const machine = async (): Promise<{ port: string; server: string }> => {
    const id = randomUUID();
    nova.servers.add(id);
    const bound = { device_owner: 'compute:nova', device_id: id, 'binding:host_id': 'h1' };
    return { port: String((await create('port', { network_id: network, ...bound }))['id']), server: id };
  };
  const device = async (port: string, state: 'up' | 'down', host = 'h1'): Promise<void> => {
    const put = await store.txn(
      [],
      [{ kind: 'put', key: vifKey(host, port), value: JSON.stringify({ state, reason: null }) }],
    );
    await server.tables.waitFor(put.revision);
    const row = server.tables.of('port').get(port);
    if (row?.['binding:host_id'] !== host) return;
    const value = JSON.stringify({ ...row, status: state === 'up' ? 'ACTIVE' : 'DOWN' });
    const { revision } = await store.txn([], [{ kind: 'put', key: objectKey('port', port), value }]);
    await server.tables.waitFor(revision);
  };
  return { ...harness, nova, network, clock, start, machine, device };
}

const word = (name: string, port: string): string => `${name} ${port}`;

async function isIdle({ notifier }: ReturnType<World['start']>): Promise<void> {
  await until(() => notifier.counts.isTeller && notifier.counts.pending === 0, 'nothing is pending');
}

test('Nova is told what is new, also what came while it was away, and nothing twice', async (t) => {
  const { nova, start, machine, device, send } = await world(t);
  const teller = start();
  await isIdle(teller);
  const { port } = await machine();
  await device(port, 'up');
  await until(() => nova.words.includes(word('plugged', port)), 'plugged');
  nova.isDown = true;
  await send('PUT', `/v2.0/ports/${port}`, { port: { security_groups: [] } });
  await until(() => teller.notifier.counts.problem !== null, 'Nova is away');
  const other = await machine();
  await device(other.port, 'up');
  assert.equal((await send('DELETE', `/v2.0/ports/${port}`)).status, 204);
  nova.isDown = false;
  await until(() => nova.words.includes(word('deleted', port)), 'the delete');
  await until(() => nova.words.includes(word('plugged', other.port)), 'the other machine');
  await isIdle(teller);
  assert.deepEqual([...nova.words].sort(), [
    ...[word('deleted', port), word('plugged', port), word('plugged', other.port)].sort(),
  ]);
  assert.equal(teller.notifier.counts.problem, null);
  await send('PUT', `/v2.0/ports/${other.port}`, { port: { name: 'no matter of Nova’s' } });
  await isIdle(teller);
  assert.equal(nova.taken.length, 3);
});

test('another server goes on where the one that told stops, and only one tells', async (t) => {
  const { nova, start, machine, device, server } = await world(t);
  const [first, second] = [start('s1'), start('s2')];
  await until(() => server.tables.of('teller').get('nova') !== undefined, 'one of them tells');
  const isFirst = server.tables.of('teller').get('nova')?.server === 's1';
  const [teller, other] = isFirst ? [first, second] : [second, first];
  await isIdle(teller);
  const one = await machine();
  await device(one.port, 'up');
  await until(() => nova.taken.length === 1, 'it is told');
  assert.equal(other.notifier.counts.isTeller, false);
  await isIdle(teller);
  // Stops in the middle: Nova has taken the events, and what was told is not written.
  const { port } = await machine();
  let isAsked = (): void => {};
  const asked = new Promise<void>((resolve) => {
    isAsked = resolve;
  });
  nova.before = async () => isAsked();
  await device(port, 'up');
  await asked;
  nova.before = () => Promise.resolve();
  await teller.stop();
  await isIdle(other);
  assert.equal(server.tables.of('nova').get(port)?.active, 'h1');
  assert.equal(nova.words.filter((said) => said === word('plugged', one.port)).length, 1);
  assert.ok(nova.words.includes(word('plugged', port)));
  await device(one.port, 'down');
  await until(() => nova.words.includes(word('unplugged', one.port)), 'the other tells');
});

test('what Nova will not take, does not know, or cannot bear holds up nothing else', async (t) => {
  const { nova, start, machine, device } = await world(t);
  const teller = start('s1', Array(8).fill(500));
  await isIdle(teller);
  const machines = await Promise.all(Array.from({ length: 6 }, machine));
  const [odd, unknown, late, broken, ...good] = machines;
  if (odd === undefined || unknown === undefined || late === undefined || broken === undefined) return assert.fail();
  nova.odd.add(odd.port);
  nova.broken.add(broken.server);
  for (const one of [unknown, late]) nova.servers.delete(one.server);
  nova.unscheduled.add(late.server);
  for (const { port } of machines) await device(port, 'up');
  for (const { port } of good) await until(() => nova.words.includes(word('plugged', port)), 'a good one');
  nova.servers.add(late.server);
  await until(() => nova.words.includes(word('plugged', late.port)), 'the one that was on no host yet');
  assert.equal(nova.words.includes(word('plugged', broken.port)), false);
  nova.broken.clear();
  await until(() => nova.words.includes(word('plugged', broken.port)), 'the one at which Nova had a fault');
  await isIdle(teller);
  const { events } = teller.notifier.counts;
  assert.equal(events.get('network-vif-plugged refused'), 1);
  assert.equal((events.get('network-vif-plugged unknown') ?? 0) >= 5, true);
  assert.equal(nova.taken.length, 4);
});

test('what there was before Nova was told anything is not told, and who began to say so is gone on with', async (t) => {
  const { nova, start, machine, device, store, server } = await world(t);
  const machines = await Promise.all(Array.from({ length: 60 }, machine));
  for (const { port } of machines.slice(0, 3)) await device(port, 'up');
  const teller = start();
  await until(() => server.tables.of('nova').size === 60, 'all stands beside the ports');
  await isIdle(teller);
  assert.equal(nova.requests, 0);
  assert.notEqual(await store.get(NOVA_SINCE), undefined);
  await device(String(machines[0]?.port), 'down');
  await until(() => nova.words.length === 1, 'it is told');
  assert.deepEqual(nova.words, [word('unplugged', String(machines[0]?.port))]);
});

test('a server whose lease may have ended tells nothing, and writes nothing that another has', async (t) => {
  const { nova, start, machine, device, store, clock } = await world(t);
  const teller = start('s1');
  await isIdle(teller);
  const { port } = await machine();
  await isIdle(teller);
  let asked = 0;
  nova.before = async () => {
    asked += 1;
    // While Nova takes its time, another server has become the one.
    if (asked === 1) await store.txn([], [{ kind: 'put', key: NOVA_TELLER, value: '{"server":"s2"}' }]);
  };
  await device(port, 'up');
  await until(() => asked > 0 && !teller.notifier.counts.isTeller, 'it sees that it is the one no more');
  assert.equal(nova.taken.length, 1);
  clock.ms += 60_000;
  await device(port, 'down');
  assert.equal(teller.notifier.counts.isTeller, false);
  assert.equal(asked, 1);
});
