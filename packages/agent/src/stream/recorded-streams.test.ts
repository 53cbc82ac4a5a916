/**
 * Streams as servers of each protocol sent them, of one history of one small world. `v1-stream.ndjson` was written by a server of protocol 1 (2026-11-20),
 * `v2-*.ndjson` by one of protocol 2: the server's tests check that it still writes just that (`hosts/recorded-stream.test.ts`). `v2-resumption` is what
 * an agent that has all of `v2-stream` but the last two lines is sent when it comes back, after what it says itself; `v2-anew` what one is sent that
 * holds nothing.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { HttpUpgrade } from '@cable/kit';
import { silentLogger } from '@cable/kit';
import type { ConnectionDeps } from './connection.ts';
import { ConnectionV1 } from './connection-v1.ts';
import { ConnectionV2 } from './connection-v2.ts';
import { addHash } from './digest.ts';
import type { HostState } from './host-state.ts';
import { MemberReports } from './member-reports.ts';
import type { StateUpdate } from './slice-reader.ts';
import { StatusReports } from './status-reports.ts';
import { memoryState } from './testing/memory-state.ts';
import { hostSlice } from './testing/sample-slices.ts';

function recorded(name: string): readonly string[] {
  return readFileSync(new URL(`testing/${name}.ndjson`, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n');
}

type Line = Readonly<Record<string, unknown>> & { readonly type: string };

/** A slice of a kind that is not known here, with a hash. */
const MOON: Line = { type: 'header', key: 'moon:x', revision: 11, hash: 89134210892172, value: { phase: 'full' } };

/** The stream as a newer server might write it: with a kind, types of lines and fields that are not known here, all counted in the digests. */
function asNewerServer(lines: readonly string[]): readonly string[] {
  const parsed = lines.map((text) => JSON.parse(text) as Line);
  const synced = parsed.findIndex((line) => line.type === 'sync');
  const told = parsed.map((line) => {
    const digest = line['digest'];
    return {
      ...line,
      load: 0.3,
      ...(typeof digest === 'number' ? { digest: addHash(digest, Number(MOON['hash'])) } : {}),
    };
  });
  const unknown: Line = { type: 'weather', revision: 11, sun: true };
  return [unknown, ...told.slice(0, synced), MOON, unknown, ...told.slice(synced), unknown].map((line) =>
    JSON.stringify(line),
  );
}

async function* linesOf(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines;
}

function depsOf(state: HostState): ConnectionDeps & { readonly updates: StateUpdate[] } {
  const updates: StateUpdate[] = [];
  state.follow((update) => updates.push(update));
  return {
    updates,
    host: 'h1',
    state,
    reports: new StatusReports({ programmedRevision: () => 0, ports: () => new Map(), refused: () => undefined }),
    members: new MemberReports({ members: [], healthOf: (memberId) => ({ memberId, state: 'gone', reason: null }) }),
    programmed: () => 0,
    heard: () => undefined,
    onSync: () => undefined,
    log: silentLogger(),
    signal: new AbortController().signal,
    now: () => 0,
    random: () => 0,
  };
}

async function replayV1(lines: readonly string[], state = memoryState()) {
  const deps = depsOf(state);
  const ending = await new ConnectionV1(linesOf(lines), { request: async () => undefined }, deps).run();
  return { state, updates: deps.updates, reason: ending.reason };
}

async function replayV2(lines: readonly string[], state = memoryState()) {
  const deps = depsOf(state);
  const sent: { readonly type: string }[] = [];
  const upgrade: HttpUpgrade = {
    status: 101,
    localAddress: undefined,
    headers: {},
    lines: linesOf(lines),
    send: (line) => sent.push(JSON.parse(line) as { readonly type: string }),
    close: () => undefined,
  };
  const options = { session: 's', history: { cluster: '3f1c', mark: '7-a1b2' }, anew: false };
  const ending = await new ConnectionV2(upgrade, options, deps).run();
  return { state, updates: deps.updates, sent, reason: ending.reason };
}

/** Everything that the planner sees, without the hashes. */
function shownBy(state: HostState): Record<string, unknown> {
  const keys = [...state.slices.keys()].sort();
  return Object.fromEntries(
    keys.map((key) => [key, { header: state.slices.header(key), items: Object.fromEntries(state.slices.items(key)) }]),
  );
}

/** Names of ports came after protocol 1. */
const isOfProtocol1 = ({ key }: { readonly key: string }): boolean => !key.startsWith('names:');

function withoutNames(shown: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(shown).filter(([key]) => isOfProtocol1({ key })));
}

test('both protocols bring the same state, at the same revisions, by the same changes', async () => {
  const v1 = await replayV1(recorded('v1-stream'));
  const v2 = await replayV2(recorded('v2-stream'));
  assert.equal(v1.reason, 'the server ended the stream');
  assert.equal(v2.reason, 'the server ended the stream');
  assert.deepEqual(shownBy(v1.state), withoutNames(shownBy(v2.state)));
  const told = (update: StateUpdate) => [
    update.revision,
    update.changes
      .filter(isOfProtocol1)
      .map(({ key, item }) => `${key} ${item}`)
      .sort(),
  ];
  assert.deepEqual(v1.updates.map(told), v2.updates.map(told));
  assert.deepEqual(
    v1.updates.map((update) => [update.revision, update.changes.length]),
    [
      [11, 13],
      [12, 1],
      [14, 2],
      [16, 1],
      [17, 2],
      [18, 2],
    ],
  );
});

test('a network of protocol 1 is a network that is up and its endpoints; a host’s ports are as they came', async () => {
  const { state } = await replayV1(recorded('v1-stream'));
  const id = '00000000-0000-4000-8000-000000000001';
  assert.deepEqual(state.slices.header(`network:${id}`), {
    id,
    name: 'net1',
    projectId: 'p',
    adminStateUp: true,
    vni: 1,
    mtuBytes: 1450,
    subnets: state.slices.header(`network:${id}`)?.subnets,
  });
  assert.equal(state.slices.size(`endpoints:${id}`), 3);
  assert.equal(state.slices.size('host:h1'), 2);
  assert.deepEqual(state.position, { revision: 18, history: null });
});

test('an agent that comes back says what it holds, and with what it is then sent holds what a new one is sent', async () => {
  const before = recorded('v2-stream').slice(0, -2);
  const [said = '', ...lines] = recorded('v2-resumption');
  const { since, slices } = JSON.parse(said) as { readonly since: number; readonly slices: object };
  const anew = await replayV2(recorded('v2-anew'));
  const { state } = await replayV2(before);
  const resumed = await replayV2(lines, state);
  const { session: _, ...resume } = resumed.sent[0] as (typeof resumed.sent)[0] & { readonly session: string };
  const history = { cluster: '3f1c', mark: '8-c3d4' };
  assert.deepEqual(
    resume,
    { type: 'resume', since, slices, history, compares: true },
    'what the server was told at the recording',
  );
  assert.deepEqual(shownBy(state), shownBy(anew.state));
  assert.deepEqual(state.digests(), anew.state.digests());
  assert.deepEqual(state.position, { revision: 88, history: { cluster: '3f1c', mark: '9-e5f6' } });
  assert.ok(!resumed.sent.some(({ type }) => type === 'refresh'), 'the digest was right');
  assert.equal(state.heldRemoval, null);
  const types = new Set(lines.map((line) => (JSON.parse(line) as Line).type));
  for (const type of ['put', 'delete', 'reset', 'drop']) assert.ok(types.has(type), type);
});

test('a resumption that is cut after any line and begins again from the start ends with the same state', async () => {
  const lines = recorded('v2-resumption').slice(1);
  const whole = await replayV2(recorded('v2-anew'));
  for (let cut = 1; cut < lines.length; cut += 1) {
    const { state } = await replayV2(recorded('v2-stream').slice(0, -2));
    const held = state.digests();
    await replayV2(lines.slice(0, cut), state);
    assert.deepEqual(state.digests(), held, `nothing of it counts yet, ${cut} lines`);
    await replayV2(lines, state);
    assert.deepEqual(state.digests(), whole.state.digests(), `cut after ${cut} lines`);
    assert.deepEqual(shownBy(state), shownBy(whole.state));
  }
});

test('what a newer server says is counted and passed over, and the mark is followed', async () => {
  const known = await replayV2(recorded('v2-stream'));
  const { state, sent, updates } = await replayV2(asNewerServer(recorded('v2-stream')));
  assert.deepEqual(shownBy(state), shownBy(known.state));
  assert.equal(updates.length, known.updates.length);
  assert.deepEqual(state.position, { revision: 18, history: { cluster: '3f1c', mark: '8-c3d4' } });
  assert.deepEqual(
    sent.map((line) => line.type).filter((type) => type === 'refresh'),
    [],
    'the digest was right',
  );
  assert.notEqual(state.digests()['moon:x'], undefined);
});

test('a stream that is cut after any line and begins again ends with the same state', async () => {
  const lines = asNewerServer(recorded('v2-stream'));
  const whole = await replayV2(lines);
  for (let cut = 1; cut < lines.length; cut += 1) {
    const first = await replayV2(lines.slice(0, cut));
    const second = await replayV2(lines, first.state);
    assert.deepEqual(second.state.digests(), whole.state.digests(), `cut after ${cut} lines`);
    assert.deepEqual(shownBy(second.state), shownBy(whole.state));
  }
});

test('in protocol 1, ports that a host slice drops in the stream are deleted; those it lacks in a new snapshot are absent', async () => {
  const snapshot = (count: number, revision: number) => [
    {
      type: 'put',
      key: 'host:h1',
      revision,
      slice: { kind: 'host', host: 'h1', ports: [...hostSlice(count).items.values()] },
    },
    { type: 'sync', revision, keys: ['host:h1'] },
  ];
  const [fewer] = snapshot(2, 6);
  const text = (lines: readonly unknown[]): readonly string[] => lines.map((line) => JSON.stringify(line));
  const deleted = await replayV1(text([...snapshot(20, 5), fewer, { type: 'bookmark', revision: 6 }]));
  assert.deepEqual([deleted.state.slices.size('host:h1'), deleted.state.heldRemoval], [2, null]);
  const first = await replayV1(text(snapshot(20, 5)));
  const absent = await replayV1(text(snapshot(2, 6)), first.state);
  assert.deepEqual([absent.state.slices.size('host:h1'), absent.state.heldRemoval?.absent], [20, 18]);
});

test('a line that is no line of any protocol ends the connection with its text', async () => {
  for (const text of [
    'nonsense',
    '[]',
    '{"no":"type"}',
    '{"type":"put","key":"host:h1"}',
    '{"type":"sync","revision":-1}',
  ]) {
    assert.match((await replayV2([text])).reason, /not understood/, text);
    assert.match((await replayV1([text])).reason, /not understood/, text);
  }
});
