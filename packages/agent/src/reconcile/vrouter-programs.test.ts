import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { after, afterEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { removePins } from '../bpf/pin.ts';
import { ENTRY_NAMES } from './program-slots.ts';
import { loadVrouterPrograms, type VrouterPrograms } from './vrouter-programs.ts';

const OBJECT = fileURLToPath(new URL('../../../../build/vrouter/vrouter.bpf.o', import.meta.url));
const PINS = `/sys/fs/bpf/cable-test-${process.pid}-programs`;
const FRAME = new Uint8Array(64);

let open: VrouterPrograms[] = [];

afterEach(() => {
  for (const programs of open) programs.close();
  open = [];
  removePins(PINS);
});
after(() => removePins(PINS));

function load(config: Readonly<Record<string, number>> = {}): VrouterPrograms {
  const programs = loadVrouterPrograms({ object: OBJECT, pinDir: PINS, config });
  open.push(programs);
  return programs;
}

const idsOf = ({ dispatchers }: VrouterPrograms): readonly number[] =>
  ENTRY_NAMES.map((name) => dispatchers[name].info.id);

/** Whether what is on VIFs drops by a program of ours, which says the reason in the packet's context; false: there is none. */
function isServed({ dispatchers }: VrouterPrograms): boolean {
  const { verdict, context } = dispatchers.vif.testRun({ data: FRAME });
  assert.equal(verdict, 2);
  return context.cb?.[4] !== 0;
}

test('dispatchers are loaded once; a load is met when it is entered, and stays in force without a process', () => {
  const first = load();
  assert.equal(isServed(first), false);
  first.enter();
  assert.equal(isServed(first), true);
  first.close();
  const second = load();
  assert.deepEqual(idsOf(second), idsOf(first));
  assert.equal(isServed(second), true, 'by the first');
  assert.deepEqual(readdirSync(`${PINS}/progs`).sort(), [
    'enter_frag',
    'enter_overlay',
    'enter_service',
    'enter_uplink',
    'enter_vif',
  ]);
});

test('records of the packet in work and of a trace are of each load alone, every other map is shared', () => {
  const own = ['cb_work_1', 'cb_scratch_2', 'cb_trace_3'];
  const [first, second] = [load(), load()];
  for (const [name, map] of first.maps) {
    const same = map.info.id === second.maps.get(name)?.info.id;
    assert.equal(same, !own.includes(name), name);
  }
  for (const name of own) assert.ok(!readdirSync(`${PINS}/maps`).includes(name));
});

test('dispatchers whose array is not pinned any more give way to others', () => {
  const first = load();
  first.enter();
  rmSync(`${PINS}/maps/cb_enter_1`);
  const second = load();
  assert.equal(isServed(second), false, 'of the new array');
  second.enter();
  assert.equal(isServed(second), true);
  assert.ok(idsOf(second).every((id, at) => id !== idsOf(first)[at]));
  assert.deepEqual(idsOf(load()), idsOf(second));
});

test('a load that fails changes nothing, and leaves no handle', () => {
  load().enter();
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 3; i++) assert.throws(() => load({ cfg_unknown: 1 }), { code: 'ENOENT', message: /cfg_unknown/ });
  assert.equal(readdirSync('/proc/self/fd').length, before);
  assert.equal(isServed(load()), true);
});
