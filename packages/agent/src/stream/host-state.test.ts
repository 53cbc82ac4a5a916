import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WatchLine } from '@cable/model';
import { sampleEndpoint, sampleGroup, sampleNetwork, samplePort, sliceKey, slicesOf } from '../plan/sample.ts';
import { collectStates, type HostState, NO_STATE } from './host-state.ts';
import { parseWatchLine } from './watch-line.ts';

const NET = sampleNetwork(1, { endpoints: [sampleEndpoint(samplePort(5), 'h1', null)] });
const GROUP = sampleGroup('g', []);
const put = (slice: typeof NET | typeof GROUP, revision: number): WatchLine => ({
  type: 'put',
  key: sliceKey(slice),
  revision,
  slice,
});
const sync = (revision: number, ...slices: (typeof NET | typeof GROUP)[]): WatchLine => ({
  type: 'sync',
  revision,
  keys: slices.map(sliceKey),
});

function collect(base: HostState, ...lines: WatchLine[]): HostState[] {
  const collector = collectStates(base);
  return lines.flatMap((line) => collector.take(line) ?? []);
}

test('a snapshot is one state, complete at its sync', () => {
  const states = collect(NO_STATE, put(NET, 3), put(GROUP, 2), sync(7, NET, GROUP));
  assert.equal(states.length, 1);
  assert.deepEqual(states[0], {
    revision: 7,
    slices: slicesOf(NET, GROUP),
    synced: true,
  });
});

test('changes count at the bookmark, and an earlier state is not touched by them', () => {
  const [first, second] = collect(
    NO_STATE,
    put(NET, 3),
    sync(7, NET),
    put(GROUP, 8),
    { type: 'delete', key: sliceKey(NET), revision: 8 },
    { type: 'bookmark', revision: 8 },
  );
  assert.deepEqual([...(first?.slices.keys() ?? [])], [sliceKey(NET)]);
  assert.deepEqual([...(second?.slices.keys() ?? [])], [sliceKey(GROUP)]);
  assert.equal(second?.revision, 8);
});

test('a resumed connection drops at its sync what the server no longer lists, and says nothing before', () => {
  const base: HostState = {
    revision: 7,
    slices: slicesOf(NET, GROUP),
    synced: false,
  };
  assert.deepEqual(collect(base, { type: 'bookmark', revision: 8 }), []);
  const [state] = collect(base, sync(9, NET));
  assert.deepEqual([...(state?.slices.keys() ?? [])], [sliceKey(NET)]);
});

test('a repeated put is the same object as before', () => {
  const again: WatchLine = JSON.parse(JSON.stringify(put(NET, 9)));
  const [first, second] = collect(NO_STATE, put(NET, 3), sync(7, NET), again, { type: 'bookmark', revision: 9 });
  assert.equal(second?.slices.get(sliceKey(NET)), first?.slices.get(sliceKey(NET)));
});

test('parseWatchLine takes the four kinds of line and nothing else', () => {
  for (const line of [
    put(NET, 3),
    sync(7, NET),
    { type: 'bookmark', revision: 1 },
    { type: 'delete', key: 'group:g', revision: 2 },
  ]) {
    assert.deepEqual(parseWatchLine(JSON.stringify(line)), line);
  }
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '{"type":"bookmark"}',
    '{"type":"bookmark","revision":-1}',
    '{"type":"else","revision":1}',
  ]) {
    assert.equal(parseWatchLine(text), undefined, text);
  }
  assert.equal(parseWatchLine('{"type":"put","revision":1,"key":"moon:1","slice":{"kind":"moon"}}'), undefined);
  assert.equal(parseWatchLine('{"type":"put","revision":1,"key":"group:g","slice":7}'), undefined);
});
