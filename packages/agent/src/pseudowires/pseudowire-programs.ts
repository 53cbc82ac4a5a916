/** The programs of vrouter/pseudowires.bpf.c and their maps, which are pinned apart from the vrouter's: they are there only while a pseudowire is. */
import { closeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CB_PW_MAX, type CbPwUse, cbPwcount, cbPwUse, cbPwuseKey } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { loadObject } from '../bpf/object.ts';
import { openPin, removePins } from '../bpf/pin.ts';
import type { BpfProgram } from '../bpf/program.ts';
import type { RodataValue } from '../bpf/rodata.ts';
import type { PseudowireEntries } from './pseudowire-entries.ts';

/** Names of the programs: by them a restarted agent knows them. */
export const WIRE_PROGRAMS = { sent: 'pw_sent', delivered: 'pw_delivered', came: 'pw_came', due: 'pw_due' } as const;

export type PseudowirePrograms = {
  /** On what ports' devices receive and send, on what the tunnels' device receives, and on what comes out of the queue. */
  readonly programs: Readonly<Record<keyof typeof WIRE_PROGRAMS, BpfProgram>>;
  readonly maps: Readonly<Record<keyof PseudowireEntries, BpfMap>>;
  /** Frames by `CB_PW_*`. */
  counts(): readonly number[];
  /** What entered the wire with that number since it was counted. */
  useOf(number: number): { readonly frames: number; readonly bytes: number };
  /** These begin here: they are counted, others no more. */
  countOnly(numbers: ReadonlySet<number>): void;
  /** Closes the handles; what is pinned or attached lives on. */
  close(): void;
};

const OBJECT = 'pseudowires.bpf.o';
const MAP_NAMES: Readonly<Record<keyof PseudowireEntries, string>> = {
  wires: 'cb_pw_1',
  fits: 'cb_pwfits_1',
  ports: 'cb_pwport_1',
  nexts: 'cb_pwnext_1',
  ends: 'cb_pwend_1',
};

/** Where these maps are pinned. */
function pinsIn(pinDir: string): string {
  return join(pinDir, 'pseudowires');
}

/** Whether an agent has left any. */
export function hasPseudowireMaps(pinDir: string): boolean {
  const fd = openPin(join(pinsIn(pinDir), MAP_NAMES.wires));
  if (fd === undefined) return false;
  closeSync(fd);
  return true;
}

/** Without the pins the maps go with the last program that uses them. */
export function removePseudowireMaps(pinDir: string): void {
  removePins(pinsIn(pinDir));
}

/** Loads them over the maps that are there. Throws as `loadObject`. `object`: path of the vrouter's. */
export function loadPseudowirePrograms(where: {
  readonly object: string;
  readonly pinDir: string;
  readonly config: Readonly<Record<string, RodataValue>>;
}): PseudowirePrograms {
  const { object, pinDir, config } = where;
  const loaded = loadObject({
    path: join(dirname(object), OBJECT),
    pinnedMaps: pinsIn(pinDir),
    rodata: config,
  });
  const programOf = (name: string): BpfProgram => required(loaded.programs.get(name), name);
  const mapOf = (name: string): BpfMap => required(loaded.maps.get(name), name);
  try {
    const [counts, uses] = [mapOf('cb_pwcount_1'), mapOf('cb_pwuse_1')];
    return {
      programs: byKey(WIRE_PROGRAMS, programOf),
      maps: byKey(MAP_NAMES, mapOf),
      counts: () => Array.from({ length: CB_PW_MAX }, (_, kind) => framesOf(counts, kind)),
      useOf: (number) => useOf(uses, number),
      countOnly: (numbers) => countOnly(uses, numbers),
      close: () => loaded.close(),
    };
  } catch (err) {
    loaded.close();
    throw err;
  }
}

function required<T>(found: T | undefined, name: string): T {
  if (found === undefined) throw new Error(`${OBJECT} has no ${name}`);
  return found;
}

function byKey<K extends string, T>(names: Readonly<Record<K, string>>, of: (name: string) => T): Record<K, T> {
  return Object.fromEntries(Object.entries<string>(names).map(([key, name]) => [key, of(name)])) as Record<K, T>;
}

function framesOf(counts: BpfMap, kind: number): number {
  const each = counts.lookupPerCpu(arrayIndex.encode(kind)) ?? [];
  return Number(each.reduce((sum, one) => sum + cbPwcount.decode(one).frames, 0n));
}

function useOf(uses: BpfMap, number: number): { readonly frames: number; readonly bytes: number } {
  const each = (uses.lookupPerCpu(cbPwuseKey.encode({ number })) ?? []).map((one) => cbPwUse.decode(one));
  const sumOf = (field: keyof CbPwUse): number => Number(each.reduce((sum, one) => sum + one[field], 0n));
  return { frames: sumOf('frames'), bytes: sumOf('bytes') };
}

function countOnly(uses: BpfMap, numbers: ReadonlySet<number>): void {
  const known = new Set(uses.entries().map(({ key }) => cbPwuseKey.decode(key).number));
  for (const number of known) if (!numbers.has(number)) uses.delete(cbPwuseKey.encode({ number }));
  const none = cbPwUse.encode({ frames: 0n, bytes: 0n });
  for (const number of numbers) if (!known.has(number)) uses.update(cbPwuseKey.encode({ number }), none);
}
