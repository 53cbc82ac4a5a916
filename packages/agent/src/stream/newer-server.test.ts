/** An agent at a server that is newer than it, over a real socket and with its state on disk. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createClient } from '@cable/api';
import { httpTransport, type Logger, silentLogger, sleep } from '@cable/kit';
import { HOST_PROTOCOL, type SliceKey } from '@cable/model';
import { type FakeServerOptions, type FakeSlice, startFakeServer } from '../testing/fake-server.ts';
import { openHostState } from './open-state.ts';
import type { StateUpdate } from './slice-reader.ts';
import { StreamClient } from './stream-client.ts';
import { endpointsSlice, hostSlice, localPort, uuid } from './testing/sample-slices.ts';

const HISTORY = { cluster: 'c1', mark: '1-a' };
/** More than this server speaks. */
const NEXT = HOST_PROTOCOL + 1;

/** Of a kind, and with fields, that this agent does not know. */
const MOON: FakeSlice = {
  key: 'moon:x' as SliceKey,
  header: { phase: 'full' } as unknown as FakeSlice['header'],
  items: new Map([['crater', { wide: true } as unknown as ReturnType<typeof localPort>]]),
};

function newerHostSlice(): FakeSlice {
  const port = { ...localPort(0), turbo: { level: 11 } };
  return { key: 'host:h1', header: { host: 'h1', rack: 7 } as FakeSlice['header'], items: new Map([[port.id, port]]) };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `in vain: ${what}`);
    await sleep(5);
  }
}

/** A server, and agents that run one after another on one state directory. `warned`: what they say is wrong. */
async function startWorld(t: TestContext, options: FakeServerOptions = {}) {
  const dir = mkdtempSync(join(tmpdir(), `cable-newer-${process.pid}-`));
  const path = join(dir, 'server.sock');
  const server = await startFakeServer(path, { history: HISTORY, ...options });
  const ends: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const end of ends) await end();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const warned: string[] = [];
  const note = (_: object, message: string): void => void warned.push(message);
  const log: Logger = { ...silentLogger(), warn: note, error: note };
  const follow = async () => {
    const stop = new AbortController();
    const { signal } = stop;
    const { state, disk } = await openHostState({ host: 'h1', stateDir: join(dir, 'state') }, { log, signal });
    const transport = httpTransport(`unix:${path}`);
    const updates: StateUpdate[] = [];
    const client = new StreamClient(
      { host: 'h1', underlay: '192.0.2.1', agentVersion: '0', session: uuid(ends.length) },
      {
        ...{ client: createClient({ transport }), transport, state, log, signal },
        source: { programmedRevision: () => state.position.revision, ports: () => new Map(), refused: () => undefined },
        underlayMtuBytes: () => undefined,
        bridgeMappings: new Map(),
        bandwidth: {},
        availabilityZone: 'nova',
        cluster: undefined,
        features: [],
        onUpdate: (update) => updates.push(update),
      },
    );
    const done = client.run();
    let ended: Promise<void> | undefined;
    const end = (): Promise<void> => {
      ended ??= (async () => {
        stop.abort();
        await done;
        transport.close();
        await disk.close();
      })();
      return ended;
    };
    ends.push(end);
    return { state, updates, client, end };
  };
  return { server, warned, follow };
}

test('a slice of an unknown kind is counted and kept, also over a restart, and changes of it are followed', async (t) => {
  const { server, warned, follow } = await startWorld(t);
  server.set([hostSlice(2), MOON]);
  const first = await follow();
  await until('sync', () => first.updates.length === 1);
  server.set([hostSlice(3), { ...MOON, items: new Map([...MOON.items, ['sea', { dry: true } as never]]) }]);
  await until('the change', () => first.state.slices.size('host:h1') === 3);
  assert.deepEqual([...first.state.slices.keys()], ['host:h1']);
  assert.deepEqual(
    first.updates[1]?.changes.map(({ key }) => key),
    ['host:h1'],
    'of what is not understood nobody is told',
  );
  const digests = first.state.digests();
  assert.notEqual(digests['moon:x'], undefined);
  await first.end();

  const second = await follow();
  assert.deepEqual(second.state.digests(), digests);
  await until('sync again', () => second.updates.length === 1);
  assert.deepEqual(server.resumes.at(-1)?.slices, digests);
  assert.deepEqual(second.updates[0]?.changes, [], 'nothing was sent twice');
  server.set([hostSlice(3)]);
  await until('it is gone', () => second.state.digests()['moon:x'] === undefined);
  assert.deepEqual([warned, server.lines.filter((line) => line.type === 'refresh')], [[], []]);
});

test('unknown fields of headers and items are kept as they are, also over a restart', async (t) => {
  const { server, warned, follow } = await startWorld(t);
  server.set([newerHostSlice(), endpointsSlice(1, 2)]);
  const first = await follow();
  await until('sync', () => first.updates.length === 1);
  await first.end();
  const second = await follow();
  await until('sync again', () => second.updates.length === 1);
  for (const { state } of [first, second]) {
    assert.deepEqual(state.slices.header('host:h1'), newerHostSlice().header);
    assert.deepEqual(new Map(state.slices.items('host:h1')), newerHostSlice().items);
  }
  assert.deepEqual(second.updates[0]?.changes, []);
  assert.deepEqual(warned, []);
});

test('lines of unknown types and unknown members of known ones are passed over', async (t) => {
  const { server, warned, follow } = await startWorld(t);
  server.set([hostSlice(2)]);
  const { updates, state } = await follow();
  await until('sync', () => updates.length === 1);
  server.say({ type: 'weather', sun: true, key: 'host:h1', revision: -1 });
  server.say({ type: 'rename', of: ['host:h1', 'host:h2'] });
  server.say({ type: 'drop', key: 'moon:y', revision: 5, because: 'it never was' });
  server.say({ type: 'bookmark', revision: 5, mood: 'fine', ackWithinMs: 'soon' });
  await until('the bookmark', () => state.position.revision === 5);
  server.set([hostSlice(3)]);
  await until('it goes on', () => state.slices.size('host:h1') === 3);
  assert.deepEqual([server.resumes.length, warned], [1, []]);
});

test(`a server that welcomes with protocol ${NEXT} is followed in protocol ${HOST_PROTOCOL}, which the agent asked for`, async (t) => {
  const { server, warned, follow } = await startWorld(t, { welcome: { protocol: NEXT, region: 'moon' } });
  server.set([hostSlice(2)]);
  const { updates, client } = await follow();
  await until('sync', () => updates.length === 1);
  assert.equal(server.registrations[0]?.protocol, HOST_PROTOCOL);
  assert.deepEqual([client.status.connected, client.status.protocol, warned], [true, HOST_PROTOCOL, []]);
});
