/**
 * The vrouter's programs and maps, loaded over what is pinned below the host's directory: `maps/<map>`, and `progs/<dispatcher>`. A dispatcher
 * is loaded once and stays, whatever builds come after; the others are loaded anew each time, into the spare bank of cb_enter_1.
 */
import { join } from 'node:path';
import { type BpfMap, openPinnedMap } from '../bpf/map.ts';
import { type LoadedObject, loadObject } from '../bpf/object.ts';
import { openPin, removePins } from '../bpf/pin.ts';
import { BpfProgram } from '../bpf/program.ts';
import type { RodataValue } from '../bpf/rodata.ts';
import { ENTRY, ENTRY_NAMES, type EntryName, enterBank, fillBank, spareBank } from './program-slots.ts';

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
  /** Makes the loaded programs those of all devices of these kinds (default: every kind) that have a dispatcher. */
  enter(names?: readonly EntryName[]): void;
  /** Closes the handles; what is pinned or attached lives on. */
  close(): void;
};

const SLOTS = 'cb_enter_1';
/** Each load has its own, of its own layout. */
const UNPINNED = ['cb_work_1'] as const;

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
      skip: [...found.keys()],
    });
    handles.push(loaded);
    const slots = loaded.maps.get(SLOTS);
    if (slots === undefined) throw new Error(`${path} has no map ${SLOTS}`);
    fillBank(slots, bank, loaded.programs);
    const dispatchers = pinDispatchers(join(pinDir, 'progs'), found, loaded);
    return { maps: loaded.maps, slots, dispatchers, enter: (names) => enterBank(slots, bank, names), close };
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
