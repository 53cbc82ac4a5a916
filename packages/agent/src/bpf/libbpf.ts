/** The part of libbpf that loads objects, by FFI, with what it prints caught. Pointers are bigints; null: none. */
import koffi from 'koffi';
import { BpfError, errnoName } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';

/** An opaque C pointer. */
export type Handle = bigint;

export type Libbpf = {
  readonly open: (path: string, options: null) => Handle | null;
  readonly load: (object: Handle) => number;
  readonly close: (object: Handle) => void;
  readonly btf: (object: Handle) => Handle | null;
  readonly nextMap: (object: Handle, after: Handle | null) => Handle | null;
  readonly nextProgram: (object: Handle, after: Handle | null) => Handle | null;
  readonly mapName: (map: Handle) => string;
  readonly mapFd: (map: Handle) => number;
  readonly mapType: (map: Handle) => number;
  readonly mapKeySize: (map: Handle) => number;
  readonly mapValueSize: (map: Handle) => number;
  readonly mapMaxEntries: (map: Handle) => number;
  readonly mapFlags: (map: Handle) => number;
  readonly mapIsInternal: (map: Handle) => boolean;
  readonly mapSetMaxEntries: (map: Handle, count: number) => number;
  readonly mapReuseFd: (map: Handle, fd: number) => number;
  readonly mapSetPinPath: (map: Handle, path: null) => number;
  readonly mapInitialValue: (map: Handle, size: BigUint64Array) => Handle | null;
  readonly programName: (program: Handle) => string;
  readonly programFd: (program: Handle) => number;
  readonly programSetAutoload: (program: Handle, load: boolean) => number;
  readonly programSetLogLevel: (program: Handle, level: number) => number;
  readonly btfFind: (btf: Handle, name: string, kind: number) => number;
  readonly btfType: (btf: Handle, id: number) => Handle | null;
  readonly btfName: (btf: Handle, offset: number) => string;
  readonly setPrint: (callback: Handle | null) => Handle | null;
};

let loaded: Libbpf | undefined;

/** The functions, bound at first use. ENOENT: libbpf1 is not installed. */
export function libbpf(): Libbpf {
  loaded ??= bind(openLibrary());
  return loaded;
}

function openLibrary(): ReturnType<typeof koffi.load> {
  try {
    return koffi.load('libbpf.so.1');
  } catch (err) {
    const detail = `install the Debian package libbpf1 (${err instanceof Error ? err.message : String(err)})`;
    throw new BpfError('load libbpf.so.1', 'ENOENT', detail);
  }
}

function bind(lib: ReturnType<typeof koffi.load>): Libbpf {
  return {
    open: lib.func('void *bpf_object__open_file(const char *path, void *options)'),
    load: lib.func('int bpf_object__load(void *object)'),
    close: lib.func('void bpf_object__close(void *object)'),
    btf: lib.func('void *bpf_object__btf(void *object)'),
    nextMap: lib.func('void *bpf_object__next_map(void *object, void *after)'),
    nextProgram: lib.func('void *bpf_object__next_program(void *object, void *after)'),
    mapName: lib.func('const char *bpf_map__name(void *map)'),
    mapFd: lib.func('int bpf_map__fd(void *map)'),
    mapType: lib.func('int bpf_map__type(void *map)'),
    mapKeySize: lib.func('uint bpf_map__key_size(void *map)'),
    mapValueSize: lib.func('uint bpf_map__value_size(void *map)'),
    mapMaxEntries: lib.func('uint bpf_map__max_entries(void *map)'),
    mapFlags: lib.func('uint bpf_map__map_flags(void *map)'),
    mapIsInternal: lib.func('bool bpf_map__is_internal(void *map)'),
    mapSetMaxEntries: lib.func('int bpf_map__set_max_entries(void *map, uint count)'),
    mapReuseFd: lib.func('int bpf_map__reuse_fd(void *map, int fd)'),
    mapSetPinPath: lib.func('int bpf_map__set_pin_path(void *map, const char *path)'),
    mapInitialValue: lib.func('void *bpf_map__initial_value(void *map, void *size)'),
    programName: lib.func('const char *bpf_program__name(void *program)'),
    programFd: lib.func('int bpf_program__fd(void *program)'),
    programSetAutoload: lib.func('int bpf_program__set_autoload(void *program, bool load)'),
    programSetLogLevel: lib.func('int bpf_program__set_log_level(void *program, uint level)'),
    btfFind: lib.func('int btf__find_by_name_kind(void *btf, const char *name, uint kind)'),
    btfType: lib.func('void *btf__type_by_id(void *btf, uint id)'),
    btfName: lib.func('const char *btf__name_by_offset(void *btf, uint offset)'),
    setPrint: lib.func('void *libbpf_set_print(void *callback)'),
  };
}

const PRINT_DEBUG = 2;
/** How libbpf begins to print, at its lowest level, what the verifier said of a program that it let pass. */
const VERIFIED = /^libbpf: prog '[^']*': -- BEGIN PROG LOAD LOG --/;
const LINE_BYTES = 1 << 20;

/** Runs `call` with libbpf's warnings, the verifier's logs among them, collected in `log` and not on standard error. */
export function withPrintCaught<T>(log: string[], call: () => T): T {
  const buffer = new Uint8Array(LINE_BYTES);
  const print = (level: number, format: bigint, args: bigint): number => {
    if (level > PRINT_DEBUG) return 0;
    const size = libc().vsnprintf(buffer, buffer.length, format, args);
    const line = Buffer.from(buffer.subarray(0, Math.min(size, buffer.length - 1))).toString();
    if (level < PRINT_DEBUG || VERIFIED.test(line)) log.push(line);
    return 0;
  };
  const callback = koffi.register(print, koffi.pointer(koffi.proto('int (int level, void *format, void *args)')));
  const before = libbpf().setPrint(callback);
  try {
    return call();
  } finally {
    libbpf().setPrint(before);
    koffi.unregister(callback);
  }
}

/** Throws BpfError with the last lines of `log` when a libbpf call returned an error. */
export function checkLibbpf(result: number, tried: string, log: readonly string[]): void {
  if (result >= 0) return;
  throw new BpfError(tried, errnoName(-result), logTail(log));
}

/** As checkLibbpf, of calls that return a pointer and set errno. */
export function checkPointer(result: Handle | null, tried: string, log: readonly string[]): Handle {
  if (result === null) throw new BpfError(tried, errnoName(lastErrno()), logTail(log));
  return result;
}

const LOG_TAIL = 16_384;

/** The end of a verifier log says what was wrong; the rest may be megabytes. */
function logTail(log: readonly string[]): string {
  return log.join('').trim().slice(-LOG_TAIL);
}
