import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CB_BANK_SLOTS, CB_BANKS, CB_ENTRIES } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { type BpfMap, createMap } from '../bpf/map.ts';
import { type LoadedObject, loadObject } from '../bpf/object.ts';
import { ENTRY, ENTRY_NAMES, type EntryName, enterBank, enterProgram, fillBank, spareBank } from './program-slots.ts';

const OBJECT = fileURLToPath(new URL('../../../../build/vrouter/vrouter.bpf.o', import.meta.url));
const PROG_ARRAY = 3;

const loads: LoadedObject[] = [];
let slots: BpfMap;

before(() => {
  for (let i = 0; i < 3; i++) loads.push(loadObject({ path: OBJECT }));
});

beforeEach(() => {
  slots?.close();
  const maxEntries = CB_ENTRIES + CB_BANKS * CB_BANK_SLOTS;
  slots = createMap({ name: 'cb_enter_1', type: PROG_ARRAY, keySize: 4, valueSize: 4, maxEntries, flags: 0 });
});

after(() => {
  slots.close();
  for (const loaded of loads) loaded.close();
});

function load(n: number): LoadedObject {
  const loaded = loads[n];
  assert.ok(loaded !== undefined);
  return loaded;
}

/** Which load's programs the entries hold, in the order of ENTRY_NAMES; undefined: none of them. */
function entries(): readonly (number | undefined)[] {
  return ENTRY_NAMES.map((name) => {
    const value = slots.lookup(arrayIndex.encode(ENTRY[name].slot));
    if (value === undefined) return undefined;
    const id = arrayIndex.decode(value);
    const at = loads.findIndex(({ programs }) => programs.get(ENTRY[name].program)?.info.id === id);
    return at < 0 ? undefined : at;
  });
}

/** The array as an agent sees it that is killed after so many writes. */
function dyingAfter(writes: number): Pick<BpfMap, 'lookup' | 'update' | 'delete'> {
  let left = writes;
  return {
    lookup: (key) => slots.lookup(key),
    update: (...args) => {
      if (left === 0) throw new Error('killed');
      left -= 1;
      slots.update(...args);
    },
    delete: (key) => slots.delete(key),
  };
}

test('a load takes the bank that no entry is of', () => {
  assert.equal(spareBank(slots), 0);
  for (const [n, bank] of [0, 1, 0].entries()) {
    assert.equal(spareBank(slots), bank);
    fillBank(slots, bank, load(n).programs);
    assert.deepEqual(
      entries(),
      ENTRY_NAMES.map(() => (n === 0 ? undefined : n - 1)),
      'not met before it is entered',
    );
    enterBank(slots, bank);
    assert.deepEqual(
      entries(),
      ENTRY_NAMES.map(() => n),
    );
  }
});

test('a bank that is not filled is not entered', () => {
  assert.throws(() => enterBank(slots, 1), /bank 1 of cb_enter_1 has no from_service/);
  assert.deepEqual(entries(), [undefined, undefined, undefined, undefined, undefined]);
});

for (const writes of [1, 2, 3, 4]) {
  test(`an agent killed after ${writes} of the entries: the next completes it, and loads into the bank that is free then`, () => {
    fillBank(slots, 0, load(0).programs);
    enterBank(slots, 0);
    fillBank(slots, 1, load(1).programs);
    assert.throws(() => enterBank(dyingAfter(writes), 1), /killed/);
    assert.deepEqual(entries(), [1, writes > 1 ? 1 : 0, writes > 2 ? 1 : 0, writes > 3 ? 1 : 0, 0]);
    assert.equal(spareBank(slots), 0);
    assert.deepEqual(
      entries(),
      [1, 1, undefined, undefined, 1],
      'the fragmenter and the uplink wait for the next load',
    );
  });
}

/** Entries that the first builds with dispatchers had not. */
const LATER: readonly EntryName[] = ['frag', 'uplink'];
const LATER_SLOTS: readonly number[] = LATER.map((name) => ENTRY[name].slot);

/** The array as those builds write it. */
const withoutLater: Pick<BpfMap, 'lookup' | 'update' | 'delete'> = {
  lookup: (key) => slots.lookup(key),
  update: (key, value) => {
    const slot = arrayIndex.decode(key as Uint8Array);
    if (!LATER_SLOTS.includes((slot - CB_ENTRIES) % CB_BANK_SLOTS) && !LATER_SLOTS.includes(slot))
      slots.update(key, value);
  },
  delete: (key) => slots.delete(key),
};

/** As such a build goes over to a load. */
function enterWithoutLater(bank: number, n: number): void {
  fillBank(withoutLater, bank, load(n).programs);
  for (const name of ENTRY_NAMES) {
    const program = load(n).programs.get(ENTRY[name].program);
    assert.ok(program !== undefined);
    if (!LATER.includes(name)) enterProgram(slots, name, program.info.id);
  }
}

test('a build from before those was killed among its entries: the next completes it all the same', () => {
  enterWithoutLater(0, 0);
  fillBank(withoutLater, 1, load(1).programs);
  const { from_service: first } = Object.fromEntries(load(1).programs);
  enterProgram(slots, 'service', first?.info.id ?? 0);
  assert.deepEqual(entries(), [1, 0, undefined, undefined, 0]);
  assert.equal(spareBank(slots), 0);
  assert.deepEqual(entries(), [1, 1, undefined, undefined, 1]);
});

test('a build from before those came between: what it left of the load before is taken out of the entry, and no longer called', () => {
  fillBank(slots, 0, load(0).programs);
  enterBank(slots, 0);
  enterWithoutLater(1, 1);
  assert.deepEqual(entries(), [1, 1, 0, 0, 1]);
  assert.equal(spareBank(slots), 0);
  assert.deepEqual(entries(), [1, 1, undefined, undefined, 1]);
  fillBank(slots, 0, load(2).programs);
  enterBank(slots, 0);
  assert.deepEqual(entries(), [2, 2, 2, 2, 2]);
});

test('an agent killed while it fills a bank leaves the entries as they were, and the next fills it anew', () => {
  fillBank(slots, 0, load(0).programs);
  enterBank(slots, 0);
  for (let writes = 0; writes < 9; writes++) {
    assert.throws(() => fillBank(dyingAfter(writes), 1, load(1).programs), /killed/);
    assert.deepEqual(entries(), [0, 0, 0, 0, 0]);
    assert.equal(spareBank(slots), 1);
  }
  fillBank(slots, 1, load(2).programs);
  enterBank(slots, 1);
  assert.deepEqual(entries(), [2, 2, 2, 2, 2]);
});

test('a program of no bank is kept in its entry until a bank is entered', () => {
  const id = load(2).programs.get('from_vif')?.info.id ?? 0;
  enterProgram(slots, 'vif', id);
  assert.deepEqual(entries(), [undefined, undefined, undefined, undefined, 2]);
  assert.equal(spareBank(slots), 0);
  fillBank(slots, 0, load(0).programs);
  assert.deepEqual(entries(), [undefined, undefined, undefined, undefined, 2]);
  enterBank(slots, 0);
  enterProgram(slots, 'vif', id);
  assert.deepEqual(entries(), [0, 0, 0, 0, 2]);
  assert.equal(spareBank(slots), 1);
});

test('a program that is gone is not put anywhere', () => {
  assert.throws(() => enterProgram(slots, 'vif', 2 ** 31 - 1), { code: 'ENOENT' });
});
