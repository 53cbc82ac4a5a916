/**
 * Loads a compiled BPF object: its constants set, its maps those that a previous run pinned. Pinned maps are ours by their
 * directory; one whose layout differs is refused, never silently replaced, since the running programs still use it.
 */
import { join } from 'node:path';
import { BpfError } from '../ffi/errno.ts';
import { checkLibbpf, checkPointer, type Handle, libbpf, withPrintCaught } from './libbpf.ts';
import { BpfMap, fdById, type MapInfo, type MapShape, openPinnedMap, readMapInfo } from './map.ts';
import { BpfProgram } from './program.ts';
import { type RodataValue, setRodata } from './rodata.ts';
import { BPF_CMD, objectInfo } from './syscall.ts';

export type LoadOptions = {
  readonly path: string;
  /** Values of `const volatile` variables, by name. */
  readonly rodata?: Readonly<Record<string, RodataValue>>;
  /** Other sizes than the object's, by map name. */
  readonly maxEntries?: Readonly<Record<string, number>>;
  /** Directory in bpffs: a map pinned there under its name is used, the others are pinned there. Default: no pins. */
  readonly pinnedMaps?: string;
  /** Maps that are this load's own: neither taken from `pinnedMaps` nor pinned there. */
  readonly unpinned?: readonly string[];
  /** Programs of the object that are not to be loaded. */
  readonly skip?: readonly string[];
  /** Is given what the verifier needed for each program. Default: nobody asks. */
  readonly onVerified?: (name: string, effort: VerifierEffort) => void;
};

/** What the verifier says of a program that it let pass. */
export type VerifierEffort = {
  /** Instructions that it looked at, one that it looked at twice counted twice; at most 1,000,000. */
  readonly instructions: number;
  /** Bytes of stack of each function, the program's own first. */
  readonly stackBytes: readonly number[];
};

export type LoadedObject = {
  /** The maps that the object defines, by name, without those of its data sections. */
  readonly maps: ReadonlyMap<string, BpfMap>;
  /** By the name of the C function. */
  readonly programs: ReadonlyMap<string, BpfProgram>;
  /** Closes the handles; what is pinned or attached lives on. */
  close(): void;
};

/**
 * Throws BpfError: with the verifier's log when a program is refused, EEXIST naming the map when a pinned one has another
 * layout.
 */
export function loadObject(options: LoadOptions): LoadedObject {
  const log: string[] = [];
  return withPrintCaught(log, () => {
    const lib = libbpf();
    const object = checkPointer(lib.open(options.path, null), `open ${options.path}`, log);
    try {
      setRodata(object, options.path, options.rodata ?? {});
      const reused = prepareMaps(object, options, log);
      skipPrograms(object, options.skip ?? [], log);
      if (options.onVerified !== undefined) askForEffort(object, log);
      checkLibbpf(lib.load(object), `load ${options.path}`, log);
      if (options.onVerified !== undefined) tellEffort(log, options.onVerified);
      return collect(object, options, reused);
    } finally {
      lib.close(object);
    }
  });
}

function* programsOf(object: Handle): Generator<readonly [string, Handle]> {
  const lib = libbpf();
  for (let p = lib.nextProgram(object, null); p !== null; p = lib.nextProgram(object, p)) yield [lib.programName(p), p];
}

function skipPrograms(object: Handle, names: readonly string[], log: readonly string[]): void {
  for (const [name, program] of programsOf(object)) {
    if (names.includes(name)) checkLibbpf(libbpf().programSetAutoload(program, false), `skip program ${name}`, log);
  }
}

/** BPF_LOG_STATS: figures alone. */
const LOG_STATS = 4;

function askForEffort(object: Handle, log: readonly string[]): void {
  for (const [name, program] of programsOf(object)) {
    checkLibbpf(libbpf().programSetLogLevel(program, LOG_STATS), `set the log level of program ${name}`, log);
  }
}

function tellEffort(log: readonly string[], tell: NonNullable<LoadOptions['onVerified']>): void {
  for (const text of log) {
    const name = /^libbpf: prog '([^']*)'/.exec(text)?.[1];
    const stack = /^stack depth ([\d+]+)/m.exec(text)?.[1];
    const instructions = /^processed (\d+) insns/m.exec(text)?.[1];
    if (name === undefined || stack === undefined || instructions === undefined) continue;
    tell(name, { instructions: Number(instructions), stackBytes: stack.split('+').map(Number) });
  }
}

function ownMaps(object: Handle): readonly (readonly [string, Handle])[] {
  const lib = libbpf();
  const found: (readonly [string, Handle])[] = [];
  for (let map = lib.nextMap(object, null); map !== null; map = lib.nextMap(object, map)) {
    if (!lib.mapIsInternal(map)) found.push([lib.mapName(map), map]);
  }
  return found;
}

/** Sets sizes and hands over the pinned maps; returns the names of these. */
function prepareMaps(object: Handle, options: LoadOptions, log: readonly string[]): ReadonlySet<string> {
  const lib = libbpf();
  const reused = new Set<string>();
  const maps = ownMaps(object);
  for (const name of Object.keys(options.maxEntries ?? {})) {
    if (!maps.some(([known]) => known === name)) throw new BpfError(`size map ${name} of ${options.path}`, 'ENOENT');
  }
  for (const [name, map] of maps) {
    const size = options.maxEntries?.[name];
    if (size !== undefined) checkLibbpf(lib.mapSetMaxEntries(map, size), `size map ${name}`, log);
    // A LIBBPF_PIN_BY_NAME in the object must not pin at a place that we did not choose.
    checkLibbpf(lib.mapSetPinPath(map, null), `unset the pin path of map ${name}`, log);
    const path = pinPath(name, options);
    if (path !== undefined && reusePinned(name, map, path, log)) reused.add(name);
  }
  return reused;
}

/** Undefined: it is not pinned. */
function pinPath(name: string, { pinnedMaps, unpinned }: LoadOptions): string | undefined {
  return pinnedMaps === undefined || unpinned?.includes(name) ? undefined : join(pinnedMaps, name);
}

function reusePinned(name: string, map: Handle, path: string, log: readonly string[]): boolean {
  const pinned = openPinnedMap(path);
  if (pinned === undefined) return false;
  try {
    refuseOtherLayout(name, path, pinned.info, shapeOf(name, map));
    checkLibbpf(libbpf().mapReuseFd(map, pinned.fd), `reuse map ${name}`, log);
    return true;
  } finally {
    pinned.close();
  }
}

function shapeOf(name: string, map: Handle): MapShape {
  const lib = libbpf();
  return {
    name,
    type: lib.mapType(map),
    keySize: lib.mapKeySize(map),
    valueSize: lib.mapValueSize(map),
    maxEntries: lib.mapMaxEntries(map),
    flags: lib.mapFlags(map),
  };
}

const COMPARED = ['type', 'keySize', 'valueSize', 'maxEntries', 'flags'] as const;

function refuseOtherLayout(name: string, path: string, pinned: MapInfo, wanted: MapShape): void {
  const differences = COMPARED.filter((field) => pinned[field] !== wanted[field]).map(
    (field) => `${field} is ${pinned[field]}, the program needs ${wanted[field]}`,
  );
  if (differences.length === 0) return;
  const remedy = 'a changed layout needs a new map name; to start over, tear the host down';
  throw new BpfError(`reuse map ${name} pinned at ${path}`, 'EEXIST', `${differences.join('; ')} (${remedy})`);
}

/** Takes handles of our own, so that the libbpf object can be closed, and pins the new maps. */
function collect(object: Handle, options: LoadOptions, reused: ReadonlySet<string>): LoadedObject {
  const lib = libbpf();
  const maps = new Map<string, BpfMap>();
  const programs = new Map<string, BpfProgram>();
  const close = (): void => {
    for (const handle of [...maps.values(), ...programs.values()]) handle.close();
    maps.clear();
    programs.clear();
  };
  try {
    for (const [name, map] of ownMaps(object)) {
      maps.set(name, new BpfMap(fdById(BPF_CMD.mapFdById, readMapInfo(lib.mapFd(map)).id, `open map ${name}`)));
      const path = pinPath(name, options);
      if (path !== undefined && !reused.has(name)) maps.get(name)?.pin(path);
    }
    for (const [name, program] of programsOf(object)) {
      if (options.skip?.includes(name)) continue;
      const id = objectInfo(lib.programFd(program), 16, `read the info of program ${name}`).getUint32(4, true);
      programs.set(name, new BpfProgram(fdById(BPF_CMD.progFdById, id, `open program ${name}`)));
    }
  } catch (err) {
    close();
    throw err;
  }
  return { maps, programs, close };
}
