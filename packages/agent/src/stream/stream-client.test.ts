import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect as connectTo, createServer as createListener, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { after, type TestContext, test } from 'node:test';
import { createClient } from '@cable/api';
import { httpTransport, type Logger, silentLogger, sleep } from '@cable/kit';
import { bucketOf, type VifStatus } from '@cable/model';
import {
  type FakeServer,
  type FakeServerOptions,
  type FakeSlice,
  fakeHash,
  startFakeServer,
} from '../testing/fake-server.ts';
import type { HostState } from './host-state.ts';
import type { StateUpdate } from './slice-reader.ts';
import { StreamClient } from './stream-client.ts';
import { memoryState } from './testing/memory-state.ts';
import { seededRandom } from './testing/random.ts';
import { endpoint, endpointsSlice, hostSlice, localPort, uuid } from './testing/sample-slices.ts';

const dir = mkdtempSync(join(tmpdir(), `cable-stream-${process.pid}-`));
const path = join(dir, 'server.sock');
after(() => rmSync(dir, { recursive: true }));

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `in vain: ${what}`);
    await sleep(5);
  }
}

async function serve(t: TestContext, options: FakeServerOptions = {}): Promise<FakeServer> {
  const server = await startFakeServer(path, options);
  t.after(() => server.stop().catch(() => undefined));
  return server;
}

type Said = { readonly level: 'warn' | 'error'; readonly fields: object; readonly message: string };

/** A client over a state in memory, which programs every update at once; `said` has what it logs as warnings and errors. */
function follow(
  t: TestContext,
  options: {
    readonly server?: string;
    readonly watchAddress?: (address: string, onLost: () => void) => () => void;
  } = {},
) {
  const stop = new AbortController();
  const said: Said[] = [];
  const note =
    (level: Said['level']) =>
    (fields: object, message: string): void => {
      said.push({ level, fields, message });
    };
  const log: Logger = { ...silentLogger(), warn: note('warn'), error: note('error') };
  const state = memoryState({ log });
  const updates: StateUpdate[] = [];
  const ports = new Map<string, VifStatus>();
  let programmed = state.position.revision;
  let seconds = 0;
  const transport = httpTransport(options.server ?? `unix:${path}`);
  const client = new StreamClient(
    { host: 'h1', underlay: '192.0.2.1', agentVersion: '0', session: 'session-1' },
    {
      client: createClient({ transport }),
      transport,
      state,
      source: { programmedRevision: () => programmed, ports: () => ports, refused: () => undefined },
      underlayMtuBytes: () => undefined,
      bridgeMappings: new Map(),
      bandwidth: {},
      availabilityZone: 'nova',
      cluster: undefined,
      features: [],
      ...(options.watchAddress === undefined ? {} : { watchAddress: options.watchAddress }),
      onUpdate: (update) => {
        updates.push(update);
        programmed = update.revision;
        client.programmed();
      },
      log,
      signal: stop.signal,
      date: () => new Date(1000 * seconds++),
    },
  );
  const done = client.run();
  const end = async (): Promise<void> => {
    stop.abort();
    await done;
    transport.close();
  };
  t.after(end);
  return { client, state, updates, ports, said, end };
}

/** Content of the state as the server has it. */
function shownBy(state: HostState): unknown {
  return Object.fromEntries(
    [...state.slices.keys()].sort().map((key) => [key, Object.fromEntries(state.slices.items(key))]),
  );
}

/** What a line says of a header or an item. */
function lineOf(key: string, item: string | null, value: object): { readonly hash: number; readonly value: object } {
  return { hash: fakeHash(key, item, value), value };
}

function digestOfSlices(slices: readonly FakeSlice[]): number {
  const hashes = slices.flatMap(({ key, header, items }) => [
    fakeHash(key, null, header),
    ...Array.from(items, ([item, value]) => fakeHash(key, item, value)),
  ]);
  return hashes.reduce((sum, hash) => (sum + hash) % 2 ** 48, 0);
}

function contentOf(slices: readonly FakeSlice[]): unknown {
  const sorted = [...slices].sort((a, b) => (a.key < b.key ? -1 : 1));
  return Object.fromEntries(sorted.map(({ key, items }) => [key, Object.fromEntries(items)]));
}

test('the status says since when the server is connected, and since when not', async (t) => {
  const server = await serve(t);
  server.set([hostSlice(1)]);
  const { client, updates } = follow(t);
  const since = (): number => Date.parse(client.status.since) / 1000;
  assert.deepEqual([client.status.connected, since()], [false, 0]);
  await until('first sync', () => client.status.connected);
  server.set([hostSlice(2)]);
  await until('bookmark', () => updates.length === 2);
  assert.equal(since(), 1);
  await server.stop();
  await until('it is noticed', () => !client.status.connected);
  assert.equal(since(), 2);
});

test('changes come whole; a lost connection is resumed with revision, history and digests, and nothing comes twice', async (t) => {
  const history = { cluster: 'c1', mark: '1-a' };
  const first = await serve(t, { history });
  first.set([hostSlice(2), endpointsSlice(1, 3)]);
  const { state, updates, client } = follow(t);
  await until('first sync', () => updates.length === 1);
  assert.deepEqual(
    first.registrations.map((one) => [one.agentId, one.session, one.previousSession, one.protocol]),
    [['agent-1', 'session-1', 'session-0', 2]],
  );
  assert.deepEqual([first.registrations[0]?.since, first.registrations[0]?.history], [0, null]);
  assert.deepEqual([updates[0]?.revision, updates[0]?.synced, updates[0]?.changes.length], [2, true, 7]);
  assert.deepEqual(client.status.history, history);
  first.set([hostSlice(2), endpointsSlice(1, 4)]);
  await until('bookmark', () => updates.length === 2);
  assert.deepEqual(updates[1]?.changes, [{ key: `endpoints:${uuid(1)}`, item: uuid(100_003) }]);
  await first.stop();
  await until('it is noticed', () => !client.status.connected);
  const second = await serve(t, { history, revision: 9 });
  second.set([hostSlice(2), endpointsSlice(1, 4)]);
  await until('second sync', () => updates.length >= 3);
  const [resume] = second.resumes;
  assert.deepEqual([resume?.since, resume?.history, resume?.session], [3, history, 'session-1']);
  assert.deepEqual(resume?.slices, state.digests());
  const registration = second.registrations.at(-1);
  assert.deepEqual([registration?.since, registration?.history], [3, history], 'said before it is followed');
  assert.deepEqual(updates.at(-1)?.changes, []);
  assert.deepEqual([client.status.connected, client.status.protocol, client.status.reason], [true, 2, null]);
});

test('with random changes, cuts, repeats and lines of newer servers the state ends as the server’s', {
  timeout: 60_000,
}, async (t) => {
  const server = await serve(t);
  const random = seededRandom(11);
  const { state, updates, said } = follow(t);
  await until('connected', () => updates.length === 1);
  let slices: FakeSlice[] = [hostSlice(3)];
  for (let round = 0; round < 80; round += 1) {
    const n = 1 + Math.floor(random() * 4);
    const count = Math.floor(random() * 30);
    const key = `endpoints:${uuid(n)}` as const;
    const items = Array.from({ length: count }, (_, i) => endpoint(i, random() < 0.5 ? 'h1' : 'h2'));
    slices = slices.filter((slice) => slice.key !== key);
    if (random() < 0.8) {
      slices.push({ key, header: { networkId: uuid(n) }, items: new Map(items.map((one) => [one.portId, one])) });
    }
    const revision = server.set(slices);
    if (random() < 0.3) server.say({ type: 'rumour', revision, of: 'a newer server' });
    if (random() < 0.3) server.say({ type: 'bookmark', revision });
    if (random() < 0.15) {
      server.cut();
      const resumed = server.resumes.length;
      if (random() < 0.7) await until('resumed', () => server.resumes.length > resumed);
    } else if (random() < 0.5) await sleep(random() * 4);
  }
  const last = server.set(slices);
  await until('the last revision', () => state.position.revision === last);
  assert.deepEqual(shownBy(state), contentOf(slices));
  assert.ok(server.resumes.length > 5, 'there were cuts');
  assert.deepEqual(
    said.filter((one) => one.level === 'error'),
    [],
  );
  const revisions = updates.map((update) => update.revision);
  assert.deepEqual(
    revisions,
    [...revisions].sort((a, b) => a - b),
  );
});

test('a slice is compared by buckets: the server is told what is held, and what it sends of some replaces them alone', async (t) => {
  const server = await serve(t);
  const before = endpointsSlice(1, 300);
  server.set([hostSlice(2), before]);
  const { state, updates, said } = follow(t);
  await until('it is taken', () => updates.length === 1);
  server.cut();
  await until('it is resumed', () => updates.length === 2);
  assert.equal(server.resumes[1]?.compares, true);
  const { key, header } = before;
  const of = 16;
  const items = new Map(before.items);
  items.delete(uuid(100_001));
  items.set(uuid(100_002), endpoint(100_002, 'h9'));
  items.set(uuid(7), endpoint(7));
  const digests = (some: FakeSlice['items']): number[] =>
    Array.from({ length: of }, (_, bucket) =>
      Array.from(some, ([item, value]) => (bucketOf(item, of) === bucket ? fakeHash(key, item, value) : 0)).reduce(
        (sum, hash) => (sum + hash) % 2 ** 48,
      ),
    );
  server.say({ type: 'compare', key, of });
  const answered = () => server.lines.find((line) => line.type === 'buckets');
  await until('the answer', () => answered() !== undefined);
  const held = digests(before.items);
  assert.deepEqual(answered(), { type: 'buckets', key, digests: held });
  const buckets = digests(items).flatMap((digest, bucket) => (digest === held[bucket] ? [] : [bucket]));
  assert.ok(buckets.length > 0 && buckets.length <= 3);
  const after: FakeSlice = { key, header, items };
  const revision = 3;
  server.say({ type: 'reset-buckets', key, revision, of, buckets });
  server.say({ type: 'header', key, revision, ...lineOf(key, null, header) });
  for (const [item, value] of items) {
    if (buckets.includes(bucketOf(item, of)))
      server.say({ type: 'put', key, item, revision, ...lineOf(key, item, value) });
  }
  server.say({ type: 'bookmark', revision, digest: digestOfSlices([hostSlice(2), after]) });
  await until('it is taken', () => updates.length === 3);
  assert.deepEqual(shownBy(state), contentOf([hostSlice(2), after]));
  assert.deepEqual(
    updates[2]?.changes.map(({ item }) => item),
    [uuid(100_002), uuid(7), uuid(100_001)],
  );
  for (const asked of [key, 'endpoints:x']) {
    const resumed = server.resumes.length;
    server.say({ type: 'compare', key: asked, of });
    await until('asked twice, or of what it does not hold, it goes', () => server.resumes.length > resumed);
    server.say({ type: 'compare', key, of });
    await until('it answers again', () => server.lines.filter((line) => line.type === 'buckets').length > 1);
  }
  assert.ok(said.every(({ level }) => level === 'warn'));
});

test('reports: all ports at first, full once the sync is programmed, then changes at once and what is asked for', async (t) => {
  const server = await serve(t);
  server.set([hostSlice(2)]);
  const { client, ports, updates } = follow(t);
  ports.set(uuid(0), { portId: uuid(0), state: 'up', reason: null });
  await until('sync', () => updates.length === 1);
  await until('the sync is acknowledged', () => server.status.revision === 2);
  assert.ok(server.lines.some((line) => line.type === 'status' && line.full));
  assert.deepEqual([...server.status.vifs.keys()], [uuid(0)]);
  ports.set(uuid(1), { portId: uuid(1), state: 'error', reason: 'no room' });
  client.portsChanged([uuid(1)]);
  await until('the change is told', () => server.status.vifs.get(uuid(1))?.reason === 'no room');
  const before = server.lines.length;
  const revision = server.set([hostSlice(2), endpointsSlice(1, 1)]);
  await until('the bookmark is acknowledged', () => server.status.revision === revision);
  assert.equal(server.lines.length, before + 1);
});

test('a digest that differs: everything is asked for anew, then a connection starts from nothing, and what came counts', async (t) => {
  const server = await serve(t, { digest: (digest) => (digest + 1) % 2 ** 48 });
  server.set([hostSlice(2), endpointsSlice(1, 3)]);
  const { state, updates, said } = follow(t);
  await until('it is taken', () => updates.length === 1);
  assert.deepEqual(shownBy(state), contentOf([hostSlice(2), endpointsSlice(1, 3)]));
  assert.equal(server.lines.filter((line) => line.type === 'refresh').length, 1);
  assert.deepEqual(
    server.resumes.map((one) => Object.keys(one.slices).length),
    [0, 0],
  );
  assert.equal(said.filter((one) => one.level === 'error').length, 2);
  server.set([endpointsSlice(1, 4)]);
  await until('changes go on', () => updates.length === 2);
  assert.equal(state.slices.size('host:h1'), 0);
});

test('one refresh mends a digest that differs once, on the same connection', async (t) => {
  let syncs = 0;
  const digest = (right: number): number => {
    syncs += 1;
    return syncs === 1 ? (right + 1) % 2 ** 48 : right;
  };
  const server = await serve(t, { digest });
  server.set([hostSlice(2), endpointsSlice(1, 3)]);
  const { state, updates, said } = follow(t);
  await until('sync', () => updates.length === 1);
  assert.deepEqual(shownBy(state), contentOf([hostSlice(2), endpointsSlice(1, 3)]));
  assert.equal(server.lines.filter((line) => line.type === 'refresh').length, 1);
  assert.deepEqual([server.resumes.length, said.length, updates.length], [1, 1, 1]);
});

test('a bookmark’s digest that differs is mended by a refresh; if the next differs again, by starting from nothing', async (t) => {
  let wrong = false;
  const server = await serve(t, { digest: (right) => (wrong ? (right + 1) % 2 ** 48 : right) });
  server.set([hostSlice(2)]);
  const { state, updates, said } = follow(t);
  await until('sync', () => updates.length === 1);
  const differ = (slices: readonly FakeSlice[]): void => {
    wrong = true;
    server.set(slices);
    wrong = false;
  };
  const refreshes = (): number => server.lines.filter((line) => line.type === 'refresh').length;
  differ([hostSlice(3)]);
  await until('a refresh', () => refreshes() === 1);
  await until('all came anew', () => state.slices.size('host:h1') === 3);
  server.set([hostSlice(4)]);
  await until('it goes on', () => state.slices.size('host:h1') === 4);
  differ([hostSlice(5)]);
  await until('a second refresh', () => refreshes() === 2 && state.slices.size('host:h1') === 5);
  assert.equal(server.resumes.length, 1, 'in between a digest was right');
  differ([hostSlice(6)]);
  await until('from nothing', () => server.resumes.length === 2 && state.slices.size('host:h1') === 6);
  assert.deepEqual(server.resumes[1]?.slices, {});
  assert.deepEqual([server.registrations[1]?.since, server.registrations[1]?.history?.mark], [0, '1-x']);
  assert.equal(said.filter((one) => one.level === 'error').length, 2);
});

test('the mark of a sync or bookmark is stored with its revision, and presented with it', async (t) => {
  const server = await serve(t, { history: { cluster: 'c1', mark: '3-c' } });
  server.set([hostSlice(2)]);
  const { state, updates, client } = follow(t);
  await until('sync', () => updates.length === 1);
  assert.deepEqual(state.position, { revision: 2, history: { cluster: 'c1', mark: '3-c' } });
  server.say({ type: 'bookmark', revision: 5, mark: '4-d' });
  await until('bookmark', () => state.position.revision === 5);
  server.say({ type: 'bookmark', revision: 6 });
  await until('another', () => state.position.revision === 6);
  assert.deepEqual(client.status.history, { cluster: 'c1', mark: '4-d' });
  server.cut();
  await until('resumed', () => server.resumes.length === 2);
  assert.deepEqual(
    [server.registrations[1]?.since, server.registrations[1]?.history, server.resumes[1]?.history],
    [6, { cluster: 'c1', mark: '4-d' }, { cluster: 'c1', mark: '4-d' }],
  );
});

test('a host that is refused already when it registers opens no stream, and asks again with what it follows', async (t) => {
  const first = await serve(t, { history: { cluster: 'c1', mark: '3-c' } });
  first.set([hostSlice(2)]);
  const { updates, client } = follow(t);
  await until('sync', () => updates.length === 1);
  await first.stop();
  const refuse = { status: 409, type: 'OtherHistory', message: 'the store does not know mark 3-c' };
  const second = await serve(t, { history: { cluster: 'c1', mark: '9-z' }, refuse });
  await until('refused', () => client.status.refused?.code === 'OtherHistory');
  assert.deepEqual(second.refused[0]?.history, { cluster: 'c1', mark: '3-c' });
  assert.equal(second.resumes.length, 0);
  assert.equal((await client.adoptStore()).changed, true);
  await until('asked again', () => second.refused.length === 2);
  assert.deepEqual([second.refused[1]?.since, second.refused[1]?.history], [0, null]);
});

test('another cluster is refused, traffic stays, until an operator takes it over; then only what differs changes', async (t) => {
  const first = await serve(t, { history: { cluster: 'old', mark: '5-a' }, revision: 900 });
  first.set([hostSlice(2), endpointsSlice(1, 3)]);
  const { client, state, updates, said } = follow(t);
  await until('sync', () => updates.length === 1);
  assert.deepEqual(await client.adoptStore(), {
    changed: false,
    message: 'No other store is refused: there is nothing to take over.',
  });
  await first.stop();
  const second = await serve(t, { history: { cluster: 'new', mark: '1-b' }, revision: 10 });
  second.set([hostSlice(2), endpointsSlice(1, 5)]);
  await until('it is refused', () => client.status.refused !== null);
  assert.equal(client.status.refused?.code, 'OtherHistory');
  assert.match(client.status.refused?.remedy ?? '', /Another store/);
  assert.deepEqual([updates.length, second.resumes.length, state.slices.size(`endpoints:${uuid(1)}`)], [1, 0, 3]);
  assert.equal(said.filter((one) => one.level === 'error').length, 1);
  assert.equal((await client.adoptStore()).changed, true);
  assert.equal((await client.adoptStore()).changed, false, 'again: nothing is left to do');
  await until('the new store is followed', () => updates.length === 2);
  assert.deepEqual([second.resumes[0]?.since, second.resumes[0]?.history], [0, null]);
  assert.deepEqual(
    updates[1]?.changes.map(({ item }) => item),
    [uuid(100_003), uuid(100_004)],
  );
  assert.deepEqual(updates[1]?.history, { cluster: 'new', mark: '1-b' });
  assert.equal(client.status.refused, null);
  const statuses = second.lines.flatMap((line) => (line.type === 'status' ? [line.revision] : []));
  assert.ok(!statuses.includes(901), 'a revision of the old store is not told to the new one');
});

test('a refusal by the server is an error in log and status, said once', async (t) => {
  await serve(t, { refuse: { status: 409, type: 'HostNameInUse', message: 'h1 is alive at 192.0.2.9' } });
  const { client, said } = follow(t);
  await until('refused', () => client.status.refused !== null);
  assert.deepEqual(
    [client.status.refused?.code, client.status.refused?.message, client.status.connected],
    ['HostNameInUse', 'h1 is alive at 192.0.2.9', false],
  );
  assert.match(client.status.refused?.remedy ?? '', /another with --host/);
  assert.deepEqual(
    said.map((one) => one.level),
    ['error'],
  );
});

test('a refused line ends the connection: for good when only an operator can help, else for a moment', async (t) => {
  const server = await serve(t);
  const { client, updates } = follow(t);
  await until('sync', () => updates.length === 1);
  server.say({ type: 'refused', code: 'ServiceUnavailable', message: 'the server stops', retry: true });
  await until('it is back', () => server.resumes.length === 2);
  assert.equal(client.status.refused, null);
  await until('sync again', () => updates.length === 2);
  server.say({ type: 'refused', code: 'OtherHistory', message: 'the store was restored', retry: false });
  await until('refused', () => client.status.refused?.code === 'OtherHistory');
  assert.equal((await client.adoptStore()).changed, true);
  await until('taken over', () => updates.length === 3);
  assert.equal(server.resumes[2]?.history, null);
});

test('most ports gone at once are kept over reconnects, everything else goes on, until they are there again', async (t) => {
  const history = { cluster: 'c1', mark: '1-a' };
  const first = await serve(t, { history });
  first.set([hostSlice(20), endpointsSlice(1, 3)]);
  const { client, state, updates, said } = follow(t);
  await until('sync', () => updates.length === 1);
  const digest = digestOfSlices([hostSlice(2)]);
  first.say({ type: 'reset', key: 'host:h1', revision: 3 });
  first.say({ type: 'header', key: 'host:h1', revision: 3, ...lineOf('host:h1', null, { host: 'h1' }) });
  for (let n = 0; n < 2; n += 1) {
    const item = uuid(n);
    first.say({ type: 'put', key: 'host:h1', item, revision: 3, ...lineOf('host:h1', item, localPort(n)) });
  }
  first.say({ type: 'drop', key: `endpoints:${uuid(1)}`, revision: 3 });
  first.say({ type: 'bookmark', revision: 3, digest, ackWithinMs: 0 });
  await until('it is acknowledged', () => first.status.revision === 3);
  assert.deepEqual([client.status.heldRemoval?.absent, client.status.heldRemoval?.before], [18, 20]);
  assert.deepEqual([state.slices.size('host:h1'), state.slices.size(`endpoints:${uuid(1)}`)], [20, 3]);
  await first.stop();
  const server = await serve(t, { history, revision: 3 });
  server.set([hostSlice(2)]);
  await until('connected again', () => server.resumes.length === 1 && client.status.connected);
  assert.deepEqual(Object.keys(server.resumes[0]?.slices ?? {}), ['host:h1'], 'what is kept is not told');
  server.set([hostSlice(2), endpointsSlice(2, 4)]);
  await until('new slices come', () => state.slices.size(`endpoints:${uuid(2)}`) === 4);
  assert.equal(client.status.heldRemoval?.absent, 18);
  server.set([hostSlice(9), endpointsSlice(2, 4)]);
  await until('some are there again', () => client.status.heldRemoval?.absent === 11);
  server.set([hostSlice(10), endpointsSlice(2, 4)]);
  await until('half is not more than half', () => client.status.heldRemoval === null);
  assert.deepEqual(shownBy(state), contentOf([hostSlice(10), endpointsSlice(2, 4)]));
  assert.equal((await client.confirmRemoval()).changed, false);
  assert.deepEqual(
    said.map((one) => one.message.slice(0, 24)).filter((text) => text.startsWith('the server')),
    ['the server leaves out mo'],
  );
});

test('a confirmed removal goes at once, also without a server', async (t) => {
  const history = { cluster: 'c1', mark: '1-a' };
  const first = await serve(t, { history });
  first.set([hostSlice(20)]);
  const { client, state, updates } = follow(t);
  await until('sync', () => updates.length === 1);
  await first.stop();
  const second = await serve(t, { history, revision: 9 });
  await until('kept', () => client.status.heldRemoval?.absent === 20);
  await second.stop();
  await until('it is noticed', () => !client.status.connected);
  const before = updates.length;
  assert.deepEqual(await client.confirmRemoval(), {
    changed: true,
    message: '20 of 20 ports are removed, and what was kept with them.',
  });
  assert.deepEqual([state.slices.size('host:h1'), client.status.heldRemoval], [0, null]);
  assert.deepEqual([updates.length, updates.at(-1)?.changes.length], [before + 1, 21]);
  assert.equal((await client.confirmRemoval()).changed, false);
});

test('ports that are deleted one by one are no absence', async (t) => {
  const server = await serve(t);
  server.set([hostSlice(30)]);
  const { client, state, updates } = follow(t);
  await until('sync', () => updates.length === 1);
  server.set([hostSlice(2)]);
  await until('deleted', () => state.slices.size('host:h1') === 2);
  assert.equal(client.status.heldRemoval, null);
});

test('a server of protocol 1 is followed by whole slices and posted reports', async (t) => {
  const host = { kind: 'host', host: 'h1', ports: [localPort(1)] };
  const posts: { readonly revision: number; readonly vifs: readonly VifStatus[] }[] = [];
  const asked: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      if (request.url?.includes('/watch')) {
        asked.push(request.url);
        for (const line of [
          { type: 'put', key: 'host:h1', revision: 5, slice: host },
          { type: 'sync', revision: 6, keys: ['host:h1'] },
        ]) {
          response.write(`${JSON.stringify(line)}\n`);
        }
        return;
      }
      if (request.method === 'POST') posts.push(JSON.parse(body) as (typeof posts)[0]);
      response.writeHead(204).end();
    });
  });
  server.listen(path);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { client, state, ports, updates } = follow(t);
  ports.set(uuid(1), { portId: uuid(1), state: 'up', reason: null });
  await until('sync', () => updates.length === 1);
  assert.deepEqual([client.status.protocol, state.position.revision, state.slices.size('host:h1')], [1, 6, 1]);
  client.portsChanged([uuid(1)]);
  await until('a report', () => posts.some((post) => post.revision === 6 && post.vifs.length === 1));
  server.closeAllConnections();
  await until('it comes back with its revision', () => asked.length === 2);
  assert.deepEqual(asked, ['/cable/v1/hosts/h1/watch', '/cable/v1/hosts/h1/watch?since=6']);
});

test('a server that stays away is said once, and one that sends nonsense is named with it', async (t) => {
  const { said, client } = follow(t);
  await until('it is said', () => said.length === 1);
  await sleep(700);
  assert.equal(said.length, 1);
  const server = await serve(t);
  await until('sync', () => client.status.connected);
  server.say(['nonsense']);
  await until('it is said', () => said.length === 2);
  assert.match(JSON.stringify(said[1]?.fields), /not understood: .*nonsense/);
});

test('a connection from an address that the host has no more is given up at once', async (t) => {
  const server = await serve(t);
  server.set([hostSlice(1)]);
  const passed = new Set<Socket>();
  const listener = createListener((socket) => {
    const onward = connectTo(path);
    passed.add(socket);
    socket.on('close', () => passed.delete(socket));
    pipeline(socket, onward, socket, () => undefined);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  t.after(() => listener.close());
  const watched: { readonly address: string; readonly lost: () => void; ended: boolean }[] = [];
  const { client, end } = follow(t, {
    server: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    watchAddress: (address, lost) => {
      const watch = { address, lost, ended: false };
      watched.push(watch);
      return () => {
        watch.ended = true;
      };
    },
  });
  await until('sync', () => client.status.connected);
  assert.deepEqual(
    watched.map(({ address, ended }) => ({ address, ended })),
    [{ address: '127.0.0.1', ended: false }],
  );
  const before = [...passed];
  assert.ok(before.length > 0);
  watched[0]?.lost();
  await until('it is noticed', () => !client.status.connected);
  assert.match(client.status.reason ?? '', /no longer the address 127\.0\.0\.1/);
  await until('all that came from it is closed', () => before.every((socket) => !passed.has(socket)));
  await until('it connects anew', () => client.status.connected);
  assert.deepEqual(
    watched.map(({ ended }) => ended),
    [true, false],
  );
  await end();
  assert.equal(watched[1]?.ended, true);
});
