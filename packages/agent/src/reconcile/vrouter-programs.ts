/**
 * The vrouter's programs and maps, loaded over what is pinned below the host's directory: `maps/<map>`, and `progs/<dispatcher>`. A dispatcher
 * is loaded once and stays, whatever builds come after; the others are loaded anew each time, into the spare bank of cb_enter_1.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@cable/kit';
import { CB_MAX_FLOW } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { type BpfMap, fdById, openPinnedMap } from '../bpf/map.ts';
import { type LoadedObject, loadObject } from '../bpf/object.ts';
import { openPin, removePins } from '../bpf/pin.ts';
import { BpfProgram } from '../bpf/program.ts';
import type { RodataValue } from '../bpf/rodata.ts';
import { BPF_CMD } from '../bpf/syscall.ts';
import { absentOn, BpfError, errnoName } from '../ffi/errno.ts';
import { type FlowStep, openFlowStep } from '../migrate/flows-1-to-2.ts';
import {
  ENTRY,
  ENTRY_NAMES,
  type EntryName,
  enterBank,
  fillBank,
  programsInForce,
  spareBank,
} from './program-slots.ts';

export type VrouterSource = {
  /** Path of the compiled object. */
  readonly object: string;
  /** This host's directory in bpffs. */
  readonly pinDir: string;
  /** Values of config.h, without the bank. Default: none is set. */
  readonly config?: Readonly<Record<string, RodataValue>>;
};

export type VrouterPrograms = {
  readonly maps: ReadonlyMap<string, BpfMap>;
  /** Slots of cb_enter_1. */
  readonly slots: BpfMap;
  /** To be put on devices, by kind. */
  readonly dispatchers: Readonly<Record<EntryName, BpfProgram>>;
  /** For both sides of the fragmenter's own device, in its namespace. */
  readonly fragmenter: { readonly in: BpfProgram; readonly out: BpfProgram };
  /** Makes the loaded programs those of all devices of these kinds (default: every kind) that have a dispatcher. */
  enter(names?: readonly EntryName[]): void;
  /** What the dispatchers go on in now: nothing, programs over the maps that are loaded, or others'. */
  inForce(): 'nothing' | 'ours' | 'others';
  /** Ends all flows that name the number; says how many. */
  purge(kind: 'vif' | 'network', id: number): number;
  /** The step by which connections of a build of the first layouts go on; undefined: there is none of such a build. */
  openFlowStep(log: Logger): FlowStep | undefined;
  /**
   * Nothing of another build is in force any more: what it pinned goes, and its word that it has filled its maps. Programs that still run over them
   * keep them.
   */
  disownOthers(): void;
  /** Closes the handles; what is pinned or attached lives on. */
  close(): void;
};

const SLOTS = 'cb_enter_1';
const VIFS = 'cb_vif_2';
/** Where builds of the first layouts say that their maps are filled: pinned beside ours, so that ours see when one is in force again. */
const FORMER_PROGRAMMED = 'cb_prog_1';
/** Each load has its own, of its own layout. */
const UNPINNED = ['cb_work_1', 'cb_scratch_2', 'cb_trace_3'] as const;
/** Programs of loads that only trace. */
const TRACES = ['trace_vif', 'trace_overlay', 'trace_uplink'] as const;

/** Loads the programs into the spare bank. No packet meets them before `enter`. Throws as `loadObject`. */
export function loadVrouterPrograms({ object: path, pinDir, config }: VrouterSource): VrouterPrograms {
  const pinnedMaps = join(pinDir, 'maps');
  const pinned = openPinnedMap(join(pinnedMaps, SLOTS));
  const handles: { close(): void }[] = [];
  const close = (): void => {
    for (const handle of handles.splice(0)) handle.close();
  };
  try {
    const bank = pinned === undefined ? 0 : spareBank(pinned);
    const found = openDispatchers(join(pinDir, 'progs'), pinned?.info.id);
    handles.push(...found.values());
    const loaded = loadObject({
      path,
      pinnedMaps,
      rodata: { ...config, cfg_bank: bank },
      unpinned: UNPINNED,
      skip: [...found.keys(), ...TRACES],
    });
    handles.push(loaded);
    const slots = loaded.maps.get(SLOTS);
    if (slots === undefined) throw new Error(`${path} has no map ${SLOTS}`);
    fillBank(slots, bank, loaded.programs);
    const dispatchers = pinDispatchers(join(pinDir, 'progs'), found, loaded);
    startCollection(loaded);
    return {
      maps: loaded.maps,
      slots,
      dispatchers,
      fragmenter: { in: required(loaded.programs, 'frag_in'), out: required(loaded.programs, 'frag_out') },
      enter: (names) => enterBank(slots, bank, names),
      inForce: () => inForce(slots, loaded),
      purge: (kind, id) => purge(loaded, kind, id),
      openFlowStep: (log) => openFlowStep({ object: path, pinnedMaps, flows: CB_MAX_FLOW }, log),
      disownOthers: () => disownOthers(pinnedMaps, loaded),
      close,
    };
  } catch (err) {
    close();
    throw err;
  } finally {
    pinned?.close();
  }
}

/** Those that are pinned, by program name. Of an array that is not there any more: they are of no use, and go. */
function openDispatchers(directory: string, slotsId: number | undefined): Map<string, BpfProgram> {
  const found = new Map<string, BpfProgram>();
  for (const { dispatcher } of Object.values(ENTRY)) {
    const path = join(directory, dispatcher);
    const fd = openPin(path);
    if (fd === undefined) continue;
    const program = new BpfProgram(fd);
    if (slotsId !== undefined && program.mapIds().includes(slotsId)) {
      found.set(dispatcher, program);
      continue;
    }
    program.close();
    removePins(path);
  }
  return found;
}

function pinDispatchers(
  directory: string,
  found: ReadonlyMap<string, BpfProgram>,
  { programs }: LoadedObject,
): Readonly<Record<EntryName, BpfProgram>> {
  const pairs = ENTRY_NAMES.map((name) => {
    const { dispatcher } = ENTRY[name];
    const program = found.get(dispatcher) ?? programs.get(dispatcher);
    if (program === undefined) throw new Error(`the vrouter object has no program ${dispatcher}`);
    if (!found.has(dispatcher)) program.pin(join(directory, dispatcher));
    return [name, program] as const;
  });
  return Object.fromEntries(pairs) as Record<EntryName, BpfProgram>;
}

/** The timer that ends flows whose time is over: from now on it runs this load's callback, with or without an agent. */
function startCollection({ programs }: LoadedObject): void {
  const result = required(programs, 'start_collection').call();
  if (result !== 0) throw new BpfError('start the collection of flows', errnoName(-result));
}

/** `struct purge` of the vrouter's collect.h: kind, number, and how many flows were ended. */
const PURGE_KIND = { vif: 1, network: 2 } as const;

function purge({ programs }: LoadedObject, kind: keyof typeof PURGE_KIND, id: number): number {
  const context = new Uint32Array([PURGE_KIND[kind], id, 0]);
  required(programs, 'purge_flows').call(new Uint8Array(context.buffer));
  return context[2] ?? 0;
}

/** Programs are told apart by the maps that they use. */
function inForce(slots: BpfMap, { maps }: LoadedObject): 'nothing' | 'ours' | 'others' {
  const ids = programsInForce(slots);
  if (ids.length === 0) return 'nothing';
  const vifs = maps.get(VIFS)?.info.id;
  return ids.every((id) => vifs !== undefined && usesMap(id, vifs)) ? 'ours' : 'others';
}

/** Whether the program, which may just have gone, uses the map. */
function usesMap(programId: number, mapId: number): boolean {
  const fd = absentOn(['ENOENT'], () => fdById(BPF_CMD.progFdById, programId, `open program ${programId}`));
  if (fd === undefined) return false;
  const program = new BpfProgram(fd);
  try {
    return program.mapIds().includes(mapId);
  } finally {
    program.close();
  }
}

function disownOthers(directory: string, { maps }: LoadedObject): void {
  const former = maps.get(FORMER_PROGRAMMED);
  former?.update(arrayIndex.encode(0), new Uint8Array(former.info.valueSize));
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) if (!maps.has(name)) removePins(join(directory, name));
}

function required(programs: ReadonlyMap<string, BpfProgram>, name: string): BpfProgram {
  const program = programs.get(name);
  if (program === undefined) throw new Error(`the vrouter object has no program ${name}`);
  return program;
}
