import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parseCpuCount, possibleCpus } from './cpus.ts';
import { type BpfMap, createMap, MAP_TYPE, openPinnedMap } from './map.ts';
import { createScratch, type Scratch } from './testing.ts';

let scratch: Scratch;
const open: BpfMap[] = [];

before(() => {
  scratch = createScratch('map');
});

after(() => {
  for (const map of open) map.close();
  scratch.remove();
});

function make(type: number, maxEntries: number, sizes: { key: number; value: number } = { key: 4, value: 8 }): BpfMap {
  const flags = type === MAP_TYPE.lpmTrie ? 1 : 0;
  const map = createMap({ name: 'cb_test_1', type, keySize: sizes.key, valueSize: sizes.value, maxEntries, flags });
  open.push(map);
  return map;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function filled(size: number, value: number): Uint8Array {
  return new Uint8Array(size).fill(value);
}

test('a hash map gives back what was written, and nothing after the delete', () => {
  const map = make(MAP_TYPE.hash, 8);
  map.update(u32(7), filled(8, 3));
  assert.deepEqual(map.lookup(u32(7)), filled(8, 3));
  assert.equal(map.lookup(u32(8)), undefined);
  assert.equal(map.delete(u32(7)), true);
  assert.equal(map.delete(u32(7)), false);
  assert.equal(map.lookup(u32(7)), undefined);
});

test('a value looked up is a copy', () => {
  const map = make(MAP_TYPE.hash, 8);
  map.update(u32(1), filled(8, 1));
  const first = map.lookup(u32(1));
  map.update(u32(1), filled(8, 2));
  assert.deepEqual(first, filled(8, 1));
  assert.deepEqual(map.lookup(u32(1)), filled(8, 2));
});

test('update modes are enforced and errors name the map', () => {
  const map = make(MAP_TYPE.hash, 1);
  assert.throws(() => map.update(u32(1), filled(8, 1), 'replace'), { code: 'ENOENT', message: /cb_test_1/ });
  map.update(u32(1), filled(8, 1), 'create');
  assert.throws(() => map.update(u32(1), filled(8, 1), 'create'), { code: 'EEXIST' });
  assert.throws(() => map.update(u32(2), filled(8, 1)), { code: 'E2BIG', message: /full at 1 entries/ });
});

test('a key or a value of the wrong size is refused before the kernel sees it', () => {
  const map = make(MAP_TYPE.hash, 1);
  assert.throws(() => map.lookup(filled(5, 0)), /a key has 4 bytes, got 5/);
  assert.throws(() => map.update(u32(1), filled(7, 0)), /a value has 8 bytes, got 7/);
});

for (const [name, type] of [
  ['hash', MAP_TYPE.hash],
  ['LRU hash', MAP_TYPE.lruHash],
] as const) {
  test(`entries of a ${name} lists each of 5000 entries once`, () => {
    const map = make(type, 20_000);
    for (let i = 0; i < 5000; i++) map.update(u32(i), filled(8, i & 0xff));
    const entries = map.entries();
    assert.equal(entries.length, 5000);
    assert.equal(new Set(entries.map((e) => Buffer.from(e.key).readUInt32LE())).size, 5000);
    for (const { key, value } of entries) assert.equal(value[0], Buffer.from(key).readUInt32LE() & 0xff);
    map.clear();
    assert.deepEqual(map.entries(), []);
  });
}

test('entries of an LPM trie lists every prefix, and a lookup finds the longest', () => {
  const map = make(MAP_TYPE.lpmTrie, 4096, { key: 8, value: 4 });
  const key = (length: number, address: number): Uint8Array => {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, length, true);
    view.setUint32(4, address, false);
    return bytes;
  };
  map.update(key(0, 0), u32(1));
  for (let i = 0; i < 2000; i++) map.update(key(24, (0x0a00_0000 + i * 256) >>> 0), u32(100 + i));
  assert.equal(map.entries().length, 2001);
  assert.deepEqual(map.lookup(key(32, 0x0a00_0305)), u32(103));
  assert.deepEqual(map.lookup(key(32, 0xc000_0001)), u32(1));
  map.clear();
  assert.deepEqual(map.entries(), []);
});

test('a per-CPU map keeps one value for each possible CPU', () => {
  const map = make(MAP_TYPE.perCpuHash, 8, { key: 4, value: 12 });
  map.update(u32(1), filled(12, 9));
  const values = map.lookupPerCpu(u32(1));
  assert.equal(values?.length, possibleCpus());
  for (const value of values ?? []) assert.deepEqual(value, filled(12, 9));
  const [entry] = map.entries();
  assert.ok(entry !== undefined);
  assert.deepEqual(map.splitPerCpu(entry.value), values);
});

test('an array has all its entries from the start', () => {
  const map = make(MAP_TYPE.array, 3);
  map.update(u32(2), filled(8, 5));
  assert.deepEqual(
    map.entries().map((e) => e.value[0]),
    [0, 0, 5],
  );
});

test('a pinned map is found again with its entries', () => {
  const map = make(MAP_TYPE.hash, 8);
  map.update(u32(1), filled(8, 4));
  const path = `${scratch.pins}/maps/cb_test_1`;
  assert.equal(openPinnedMap(path), undefined);
  map.pin(path);
  const again = openPinnedMap(path);
  assert.ok(again !== undefined);
  open.push(again);
  assert.equal(again.info.id, map.info.id);
  assert.deepEqual(again.lookup(u32(1)), filled(8, 4));
});

test('CPU lists are counted', () => {
  assert.equal(parseCpuCount('0\n'), 1);
  assert.equal(parseCpuCount('0-3,8-11'), 8);
  assert.throws(() => parseCpuCount('all'), /not a CPU list/);
});

test('batches give a large map piece by piece, each entry once', () => {
  const map = make(MAP_TYPE.hash, 10_000);
  for (let i = 0; i < 3000; i++) map.update(u32(i), filled(8, 1));
  const batches = [...map.batches(256)];
  assert.ok(batches.length > 3, `${batches.length} batches`);
  assert.equal(new Set(batches.flat().map((e) => Buffer.from(e.key).readUInt32LE())).size, 3000);
  assert.deepEqual([...make(MAP_TYPE.hash, 4).batches()], []);
});

test('batches too small for a bucket grow', () => {
  const map = make(MAP_TYPE.hash, 10_000);
  for (let i = 0; i < 2000; i++) map.update(u32(i), filled(8, 1));
  assert.equal([...map.batches(1)].flat().length, 2000);
});
