import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Turns } from '@cable/kit';
import { bucketOf } from '@cable/model';
import { fakeHash } from '../testing/fake-server.ts';
import { addHash, ownHash } from './digest.ts';
import { SliceState } from './slice-state.ts';
import type { ContentLine, Held } from './staged-lines.ts';
import { seededRandom } from './testing/random.ts';
import { endpoint, endpointsSlice, hostSlice, uuid } from './testing/sample-slices.ts';

/** Headers and items by slice, as plain JSON: what a state must be after its lines. Header under `''`. */
type Model = Map<string, Map<string, string>>;

const KEYS = ['host:h1', 'network:a', 'endpoints:a', 'policy:', 'moon:x', 'no-kind'];

function held(key: string, item: string | null, value: object): Held {
  return { hash: fakeHash(key, item, value), value };
}

/** What a line does to the model, word by word. */
function applyToModel(model: Model, line: ContentLine): void {
  if (line.type === 'drop' || line.type === 'reset') {
    model.delete(line.key);
    return;
  }
  const slice = model.get(line.key) ?? new Map<string, string>();
  if (line.type === 'reset-buckets') {
    const { of, numbers } = line.buckets;
    for (const item of [...slice.keys()]) if (item !== '' && numbers.has(bucketOf(item, of))) slice.delete(item);
  } else if (line.type === 'header') slice.set('', JSON.stringify(line.held.value));
  else if (line.type === 'put') slice.set(line.item, JSON.stringify(line.held.value));
  else slice.delete(line.item);
  if (slice.size > 0) model.set(line.key, slice);
  else model.delete(line.key);
}

function modelOf(state: SliceState): Model {
  const model: Model = new Map();
  for (const { key, item, held: one } of state.all()) {
    const slice = model.get(key) ?? new Map<string, string>();
    slice.set(item ?? '', JSON.stringify(one?.value));
    model.set(key, slice);
  }
  return model;
}

function copyOf(model: Model): Model {
  return new Map(Array.from(model, ([key, slice]) => [key, new Map(slice)]));
}

function digestOf(model: Model): number {
  let digest = 0;
  for (const [key, slice] of model) {
    for (const [item, text] of slice) {
      digest = (digest + fakeHash(key, item === '' ? null : item, JSON.parse(text) as object)) % 2 ** 48;
    }
  }
  return digest;
}

/** `key item` of all that differs, among kinds that are known. */
function differences(before: Model, after: Model): string[] {
  const found: string[] = [];
  for (const key of KEYS.slice(0, 4)) {
    const a = before.get(key) ?? new Map<string, string>();
    const b = after.get(key) ?? new Map<string, string>();
    for (const item of new Set([...a.keys(), ...b.keys()])) {
      if (a.get(item) !== b.get(item)) found.push(`${key} ${item}`);
    }
  }
  return found.sort();
}

function randomLine(random: () => number): ContentLine {
  const pick = (count: number): number => Math.floor(random() * count);
  const key = KEYS[pick(KEYS.length)] ?? '';
  const item = `i${pick(12)}`;
  const value = { v: pick(3) };
  const kind = random();
  if (kind < 0.5) return { type: 'put', key, item, held: held(key, item, value) };
  if (kind < 0.7) return { type: 'delete', key, item };
  if (kind < 0.85) return { type: 'header', key, held: held(key, null, value) };
  if (kind < 0.9) return { type: 'reset', key, deliberate: random() < 0.5 };
  if (kind < 0.95) {
    const of = 4;
    return { type: 'reset-buckets', key, buckets: { of, numbers: new Set([pick(of), pick(of)]) } };
  }
  return { type: 'drop', key };
}

test('any sequence of lines, with cuts and repeats, gives the state that the lines say, and tells just what differs', async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = seededRandom(seed);
    const state = new SliceState();
    let model: Model = new Map();
    for (let round = 0; round < 25; round += 1) {
      const staged = copyOf(model);
      const count = Math.floor(random() * 20);
      for (let i = 0; i < count; i += 1) {
        const line = randomLine(random);
        const repeats = random() < 0.2 ? 2 : 1;
        for (let times = 0; times < repeats; times += 1) {
          state.stage(line);
          applyToModel(staged, line);
        }
      }
      if (random() < 0.2) {
        state.discard();
        continue;
      }
      const prepared = await state.prepare('remove');
      assert.deepEqual(modelOf(state), model, `seed ${seed}: nothing counts before it is applied`);
      state.apply(prepared);
      assert.deepEqual(modelOf(state), staged, `seed ${seed} round ${round}`);
      assert.equal(state.digest, digestOf(staged));
      const sum = Object.values(state.digests()).reduce((a, b) => (a + b) % 2 ** 48, 0);
      assert.equal(sum, state.digest);
      const told = prepared.changes.map(({ key, item }) => `${key} ${item ?? ''}`).sort();
      assert.deepEqual(told, differences(model, staged), `seed ${seed} round ${round}`);
      model = staged;
    }
  }
});

test('what is written, line after line, is what a disk must hold', async () => {
  const random = seededRandom(7);
  const state = new SliceState();
  const disk = new Map<string, string>();
  for (let round = 0; round < 200; round += 1) {
    for (let i = 0; i < 8; i += 1) state.stage(randomLine(random));
    const prepared = await state.prepare('remove');
    state.apply(prepared);
    for (const { key, item, held: one } of prepared.writes) {
      const name = JSON.stringify([key, item]);
      if (one === null) disk.delete(name);
      else disk.set(name, JSON.stringify(one));
    }
    const all = new Map<string, string>();
    for (const { key, item, held: one } of state.all()) all.set(JSON.stringify([key, item]), JSON.stringify(one));
    assert.deepEqual(disk, all);
    const goneKeys = prepared.writes.filter((write) => write.gone).map((write) => write.key);
    const kept = new Set(state.givenKeys());
    for (const key of goneKeys) assert.ok(!kept.has(key));
  }
});

test('a reset that brings the same content is no change, also with other hashes, and the values stay the same objects', async () => {
  const state = new SliceState();
  const stage = (hash: (key: string, item: string | null, value: object) => number): void => {
    const { key, header, items } = endpointsSlice(1, 50);
    state.stage({ type: 'reset', key, deliberate: false });
    state.stage({ type: 'header', key, held: { hash: hash(key, null, header), value: header } });
    for (const [item, value] of items)
      state.stage({ type: 'put', key, item, held: { hash: hash(key, item, value), value } });
  };
  stage(fakeHash);
  state.apply(await state.prepare('remove'));
  const before = state.item(`endpoints:${uuid(1)}`, uuid(100_003));
  stage(fakeHash);
  const same = await state.prepare('remove');
  assert.deepEqual([same.changes, same.writes], [[], []]);
  state.apply(same);
  stage((_key, _item, value) => ownHash(value));
  const rehashed = await state.prepare('remove');
  assert.equal(rehashed.changes.length, 0);
  assert.equal(rehashed.writes.length, 51, 'the disk gets the new hashes');
  state.apply(rehashed);
  assert.equal(state.item(`endpoints:${uuid(1)}`, uuid(100_003)), before);
});

test('slices of unknown kinds are counted and kept, and shown to nobody', async () => {
  const state = new SliceState();
  state.stage({ type: 'header', key: 'moon:x', held: { hash: 5, value: { phase: 'full' } } });
  state.stage({ type: 'put', key: 'moon:x', item: 'a', held: { hash: 2 ** 48 - 1, value: {} } });
  const prepared = await state.prepare('remove');
  state.apply(prepared);
  assert.deepEqual(prepared.changes, []);
  assert.deepEqual(
    prepared.writes.map(({ key, item }) => [key, item]),
    [
      ['moon:x', null],
      ['moon:x', 'a'],
    ],
  );
  assert.deepEqual(state.digests(), { 'moon:x': 4 });
  assert.deepEqual([...state.keys()], []);
});

test('absence counts what a reset or drop leaves out, not what is deleted', async () => {
  const state = new SliceState();
  for (const [item, value] of hostSlice(4).items) state.load('host:h1', item, { hash: 1, value });
  const reset = (deliberate: boolean): void => state.stage({ type: 'reset', key: 'host:h1', deliberate });
  const absent = (): number => state.absence('host:h1').absent;
  assert.deepEqual(state.absence('host:h1'), { live: 4, absent: 0, kept: 0, deleted: 0 });
  state.stage({ type: 'delete', key: 'host:h1', item: uuid(0) });
  assert.equal(absent(), 0);
  reset(false);
  assert.equal(absent(), 3, 'what was deleted before stays deleted');
  state.stage({ type: 'put', key: 'host:h1', item: uuid(1), held: { hash: 1, value: {} } });
  state.stage({ type: 'delete', key: 'host:h1', item: uuid(2) });
  assert.equal(absent(), 1);
  reset(true);
  assert.equal(absent(), 2, 'a later deliberate word does not excuse an earlier absence');
  state.discard();
  reset(true);
  assert.equal(absent(), 0);
  state.stageNothing();
  assert.equal(absent(), 4);
  state.stage({ type: 'put', key: 'host:h1', item: uuid(1), held: { hash: 1, value: {} } });
  state.apply(await state.prepare('keep'));
  state.stage({ type: 'put', key: 'host:h1', item: uuid(2), held: { hash: 1, value: {} } });
  state.stage({ type: 'delete', key: 'host:h1', item: uuid(3) });
  assert.deepEqual(state.absence('host:h1'), { live: 1, absent: 0, kept: 1, deleted: 1 });
});

test('what is kept gives way to what the server knows at its place, then and later; rules that it leaves out go at once', async () => {
  const state = new SliceState();
  const at = (n: number) => ({ portId: uuid(n), macAddress: `02::${n}`, ipAddresses: [`10.0.0.${n}`] });
  const member = (n: number) => ({ portId: uuid(n), networkId: 'a', addresses: [`10.0.0.${n}`] });
  const local = (n: number) => ({
    id: uuid(n),
    networkId: 'a',
    macAddress: `02::${n}`,
    fixedIps: [{ ipAddress: `10.0.0.${n}` }],
  });
  const put = (key: string, item: string, value: object): void =>
    state.stage({ type: 'put', key, item, held: held(key, item, value) });
  for (const n of [1, 2, 3, 4]) {
    put('endpoints:a', uuid(n), at(n));
    put('group:g', uuid(n), member(n));
    put('host:h1', uuid(n), local(n));
    put('policy:p', `rule ${n}`, {});
  }
  state.apply(await state.prepare('remove'));
  for (const key of ['endpoints:a', 'group:g', 'host:h1', 'policy:p'])
    state.stage({ type: 'reset', key, deliberate: false });
  put('endpoints:a', uuid(9), { ...at(9), ipAddresses: ['10.0.0.1'] });
  put('endpoints:a', uuid(2), at(2));
  put('policy:p', 'rule 1', {});
  const change = await state.prepare('keep');
  assert.equal(change.gaveWay, 2);
  state.apply(change);
  const items = (key: 'endpoints:a' | 'group:g' | 'host:h1' | 'policy:p'): string[] => [...state.itemKeys(key)].sort();
  assert.deepEqual(items('endpoints:a'), [uuid(2), uuid(3), uuid(4), uuid(9)], 'the address of 1 is that of 9');
  assert.deepEqual(items('group:g'), [uuid(3), uuid(4)], '2 is there, and no member');
  assert.deepEqual(items('host:h1'), [uuid(3), uuid(4)], '2 is elsewhere');
  assert.deepEqual(items('policy:p'), ['rule 1']);
  put('endpoints:a', uuid(8), { ...at(8), macAddress: '02::3' });
  const later = await state.prepare('keep-dropped');
  assert.deepEqual(
    later.writes.map(({ key, item, held: one }) => [key, item, one === null]),
    [
      ['endpoints:a', uuid(8), false],
      ['endpoints:a', uuid(3), true],
      ['host:h1', uuid(3), true],
    ],
  );
  state.apply(later);
  assert.deepEqual(items('group:g'), [uuid(3), uuid(4)], 'a MAC is no member’s');
  assert.equal(state.keptItems('host:h1'), 1);
  state.apply(await state.prepareRelease());
  assert.deepEqual([items('endpoints:a'), items('host:h1')], [[uuid(2), uuid(8), uuid(9)], []]);
});

test('what is kept is shown as the same object, counted in no digest, and its end costs no look at other slices', async () => {
  const state = new SliceState();
  const { key, header, items } = endpointsSlice(1, 3);
  state.stage({ type: 'header', key, held: held(key, null, header) });
  for (const [item, value] of items) state.stage({ type: 'put', key, item, held: held(key, item, value) });
  state.stage({ type: 'header', key: 'network:a', held: held('network:a', null, {}) });
  state.apply(await state.prepare('remove'));
  const before = state.item(key, uuid(100_000));
  state.stage({ type: 'drop', key });
  const kept = await state.prepare('keep');
  assert.deepEqual([kept.changes.length, kept.writes.length], [0, 4], 'only the disk learns of it');
  state.apply(kept);
  assert.deepEqual(Object.keys(state.digests()), ['network:a']);
  assert.equal(state.digest, fakeHash('network:a', null, {}));
  assert.equal(state.item(key, uuid(100_000)), before);
  state.stage({ type: 'header', key: 'network:a', held: held('network:a', null, { new: true }) });
  const release = await state.prepareRelease();
  assert.deepEqual([[...release.slices.keys()], release.changes.length], [[key], 4]);
  state.apply(release);
  assert.deepEqual([...state.keys()], ['network:a']);
  assert.equal((await state.prepare('remove')).changes.length, 1, 'what was staged meanwhile is staged still');
});

test('a large change is prepared in turns, and a large edit gives the same as many small ones', {
  timeout: 60_000,
}, async () => {
  let turns = 0;
  const startTurns = (): Turns => {
    let calls = 0;
    const due = (): boolean => {
      calls += 1;
      return calls % 100 === 0;
    };
    const next = async (): Promise<void> => {
      turns += 1;
      await new Promise(setImmediate);
    };
    return { due, next };
  };
  const state = new SliceState(startTurns);
  const { key } = endpointsSlice(1, 0);
  const put = (n: number, host: string): void => {
    const value = endpoint(n, host);
    state.stage({ type: 'put', key, item: value.portId, held: held(key, value.portId, value) });
  };
  for (let n = 0; n < 20_000; n += 1) put(n, 'h1');
  state.apply(await state.prepare('remove'));
  // A turn for each hundred items.
  assert.ok(turns >= 200, `${turns} turns`);
  turns = 0;
  for (let n = 0; n < 20_000; n += 2) put(n, 'h2');
  for (let n = 0; n < 20_000; n += 5) state.stage({ type: 'delete', key, item: uuid(n) });
  const prepared = await state.prepare('remove');
  assert.ok(turns >= 120, `${turns} turns`);
  state.apply(prepared);
  assert.equal(state.size(endpointsSlice(1, 0).key), 16_000);
  let moved = 0;
  for (const [, value] of state.items(`endpoints:${uuid(1)}`)) if (value.host === 'h2') moved += 1;
  assert.equal(moved, 8_000);
  assert.equal(prepared.changes.length, 12_000);
});

test('digests by bucket are of what is held and not only kept, header apart, and add up to the digest of the slice', async () => {
  const state = new SliceState();
  const key = 'endpoints:a';
  const items = Array.from({ length: 100 }, (_, n) => `i${n}`);
  state.load(key, null, held(key, null, { v: 1 }));
  for (const item of items) state.load(key, item, held(key, item, { item }));
  state.load(key, 'kept', { ...held(key, 'kept', {}), kept: true });
  const digests = await state.bucketDigests(key, 7);
  for (let bucket = 0; bucket < 7; bucket += 1) {
    const sum = items
      .filter((item) => bucketOf(item, 7) === bucket)
      .reduce((digest, item) => addHash(digest, fakeHash(key, item, { item })), 0);
    assert.equal(digests[bucket], sum);
  }
  const all = digests.reduce(addHash, fakeHash(key, null, { v: 1 }));
  assert.deepEqual(state.digests(), { [key]: all });
  assert.deepEqual(await state.bucketDigests('endpoints:b', 3), [0, 0, 0]);
});

test('buckets of another division void all that is held of the slice: what a digest tells then', async () => {
  const state = new SliceState();
  const key = 'endpoints:a';
  for (const item of ['i1', 'i2', 'i3']) state.load(key, item, held(key, item, { item }));
  state.stage({ type: 'reset-buckets', key, buckets: { of: 4, numbers: new Set([bucketOf('i1', 4)]) } });
  state.stage({ type: 'put', key, item: 'i1', held: held(key, 'i1', { item: 'new' }) });
  state.stage({ type: 'reset-buckets', key, buckets: { of: 8, numbers: new Set([0]) } });
  state.apply(await state.prepare('remove'));
  assert.equal(state.size(key), 0);
});
