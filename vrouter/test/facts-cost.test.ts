/** Prints what look-ups, insertions and tail calls cost here; docs/design/kernel-facts.md says what follows. Asserts only that they were done. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LoadedObject, loadObject } from '../../packages/agent/src/bpf/object.ts';
import { factObject, loadFacts, median, program, run, takeResults, word } from './facts.ts';

const RUNS = 9;
const LOOKUPS = 1 << 16;
const KINDS = ['hash_12', 'hash_16', 'hash_20', 'hash_40', 'hash_40_ready', 'lru_44', 'trie'] as const;
const DELETABLE: ReadonlySet<string> = new Set(KINDS.filter((kind) => kind !== 'trie'));

/** ns of one of `times` things that the program does, each of which must have succeeded. */
function nsEach(object: LoadedObject, name: string, entries: number, times: number): number {
  const { verdict, durationNs } = run(object, name, [entries, times]);
  assert.equal(verdict, times, `${name}: all were done`);
  return durationNs / times;
}

function nsMedian(object: LoadedObject, name: string, entries: number): number {
  return median(Array.from({ length: RUNS }, () => nsEach(object, name, entries, LOOKUPS)));
}

test('what look-ups and insertions cost', (t) => {
  const object = loadObject({ path: factObject('facts-cost') });
  try {
    const loop = nsMedian(object, 'get_key', 1024);
    t.diagnostic(`loop and key: ${loop.toFixed(1)} ns, taken off the others`);
    for (const kind of KINDS) {
      const row: string[] = [];
      for (const entries of [1024, 131_072]) {
        const put = nsEach(object, `put_${kind}`, entries, entries) - loop;
        const get = nsMedian(object, `get_${kind}`, entries) - loop;
        row.push(`${entries} entries: insert ${put.toFixed(0)} ns, look up ${get.toFixed(1)} ns`);
        if (!DELETABLE.has(kind)) continue;
        row.push(`delete ${(nsEach(object, `drop_${kind}`, entries, entries) - loop).toFixed(0)} ns`);
      }
      t.diagnostic(`${kind}: ${row.join('; ')}`);
    }
    for (const [kind, entries] of [
      ['rows', 8192],
      ['counters', 8192],
      ['records', 131_072],
    ] as const) {
      const [few, many] = [1024, entries].map((size) => nsMedian(object, `get_${kind}`, size) - loop);
      t.diagnostic(`${kind}: of 1024 ${few?.toFixed(1)} ns, of ${entries} ${many?.toFixed(1)} ns`);
    }
  } finally {
    object.close();
  }
});

test('what a tail call costs', (t) => {
  const calls = 33;
  const object = loadFacts();
  try {
    object.maps.get('fact_slot')?.update(word(1), word(program(object, 'chain').fd));
    object.maps.get('fact_slot')?.update(word(2), word(program(object, 'chain_variable').fd));
    const ns = (name: string, cb: readonly number[]): number =>
      median(Array.from({ length: RUNS }, () => run(object, name, cb, 100_000).durationNs));
    const empty = ns('nothing', []);
    t.diagnostic(`an empty program: ${empty} ns a run`);
    t.diagnostic(`by a constant index: ${((ns('chain', []) - empty) / calls).toFixed(2)} ns a call`);
    t.diagnostic(`by a variable index: ${((ns('chain_variable', [2]) - empty) / calls).toFixed(2)} ns a call`);
  } finally {
    object.close();
  }
});

test('what a slice of a collection costs', (t) => {
  const object = loadFacts();
  try {
    const slice = 2622;
    const ns = median(Array.from({ length: RUNS }, (_, i) => run(object, 'sweep', [i * slice, slice]).durationNs));
    assert.equal(takeResults(object).swept, 0);
    t.diagnostic(`${slice} records of an array looked at: ${ns} ns, ${(ns / slice).toFixed(1)} ns each`);
  } finally {
    object.close();
  }
});
