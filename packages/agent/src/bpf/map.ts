/** A BPF map by file descriptor: look up, write, delete, walk. Keys and values are bytes; codecs are the caller's. */
import { closeSync } from 'node:fs';
import { BpfError } from '../ffi/errno.ts';
import type { ByteText } from './codec.ts';
import { possibleCpus } from './cpus.ts';
import { openPin, pinFd } from './pin.ts';
import { BPF_CMD, BpfAttr, type BpfCommand, bpf, nameAt, objectInfo, tryBpf } from './syscall.ts';

/** enum bpf_map_type, those in use. */
export const MAP_TYPE = {
  hash: 1,
  array: 2,
  perCpuHash: 5,
  perCpuArray: 6,
  lruHash: 9,
  lruPerCpuHash: 10,
  lpmTrie: 11,
} as const;

const PER_CPU: ReadonlySet<number> = new Set([MAP_TYPE.perCpuHash, MAP_TYPE.perCpuArray, MAP_TYPE.lruPerCpuHash]);

export type MapInfo = {
  readonly id: number;
  /** At most 15 characters. */
  readonly name: string;
  /** enum bpf_map_type. */
  readonly type: number;
  readonly keySize: number;
  /** Of one CPU's value. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
};

/** One entry as byte text. */
export type MapEntryText = { readonly key: ByteText; readonly value: ByteText };

export type MapEntryBytes = { readonly key: Uint8Array; readonly value: Uint8Array };

/** A key or a value: bytes, or byte text. */
export type MapBytes = Uint8Array | ByteText;

type BatchRoom = { readonly size: number; readonly keys: Buffer; readonly values: Buffer };

type Batch = Omit<BatchRoom, 'size'> & { readonly count: number };

/** `any`: insert or replace; `create`: EEXIST if there; `replace`: ENOENT if not. */
export type UpdateMode = 'any' | 'create' | 'replace';

const UPDATE_FLAGS: Readonly<Record<UpdateMode, number>> = { any: 0, create: 1, replace: 2 };
const BATCH_MIN = 1024;
const BATCH_MAX = 65_536;
/** This kernel or map type has no batch lookup. */
const NO_BATCHES: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUPP', 'EOPNOTSUPP']);

export class BpfMap {
  readonly fd: number;
  readonly info: MapInfo;
  /** True: a value is one for each possible CPU, one after the other, each rounded up to 8 bytes. */
  readonly perCpu: boolean;
  /** Bytes of a raw value: `valueSize`, or those of all CPUs. */
  readonly rawValueSize: number;
  readonly #key: Buffer;
  readonly #value: Buffer;
  readonly #attr: BpfAttr;
  readonly #deleteAttr: BpfAttr;

  /** Takes over the fd. */
  constructor(fd: number) {
    this.fd = fd;
    this.info = readMapInfo(fd);
    this.perCpu = PER_CPU.has(this.info.type);
    this.rawValueSize = this.perCpu ? roundUp8(this.info.valueSize) * possibleCpus() : this.info.valueSize;
    this.#key = Buffer.alloc(this.info.keySize);
    this.#value = Buffer.alloc(this.rawValueSize);
    this.#attr = new BpfAttr().u32(0, fd).pointer(8, this.#key).pointer(16, this.#value);
    this.#deleteAttr = new BpfAttr().u32(0, fd).pointer(8, this.#key);
  }

  /** A copy of the raw value; undefined when the key is absent. */
  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#setKey(key);
    const result = tryBpf(BPF_CMD.mapLookup, this.#attr.u64(24, 0n));
    if (result === 'ENOENT') return undefined;
    if (typeof result === 'string') throw this.#error('look up in', result);
    return new Uint8Array(this.#value);
  }

  /** Each possible CPU's value; undefined when the key is absent. */
  lookupPerCpu(key: Uint8Array): Uint8Array[] | undefined {
    const raw = this.lookup(key);
    return raw === undefined ? undefined : this.splitPerCpu(raw);
  }

  /** Cuts a raw per-CPU value, of this map, in one value for each possible CPU. */
  splitPerCpu(raw: Uint8Array): Uint8Array[] {
    const step = this.perCpu ? roundUp8(this.info.valueSize) : this.info.valueSize;
    return Array.from({ length: raw.length / step }, (_, i) => raw.slice(i * step, i * step + this.info.valueSize));
  }

  /** On a per-CPU map `value` may be one CPU's: every CPU then gets it. E2BIG: the map is full. */
  update(key: MapBytes, value: MapBytes, mode: UpdateMode = 'any'): void {
    this.#setKey(key);
    this.#setValue(value);
    const result = tryBpf(BPF_CMD.mapUpdate, this.#attr.u64(24, BigInt(UPDATE_FLAGS[mode])));
    if (typeof result === 'number') return;
    throw this.#error('write to', result, result === 'E2BIG' ? `full at ${this.info.maxEntries} entries` : undefined);
  }

  /** False when the key was absent. */
  delete(key: MapBytes): boolean {
    this.#setKey(key);
    const result = tryBpf(BPF_CMD.mapDelete, this.#deleteAttr);
    if (result === 'ENOENT') return false;
    if (typeof result === 'string') throw this.#error('delete from', result);
    return true;
  }

  /**
   * Every entry, raw values. Entries that others add or delete meanwhile may or may not be among them; an entry that stays is
   * there, though perhaps twice when entries are deleted meanwhile.
   */
  entries(): MapEntryBytes[] {
    return [...this.batches()].flat();
  }

  /** As `entries`, about `size` (default 1024) at a time, so that a caller can do other work between. */
  *batches(size?: number): Generator<MapEntryBytes[]> {
    for (const { keys, values, count } of this.#read(size)) {
      yield Array.from({ length: count }, (_, i) => ({
        key: new Uint8Array(this.#keyIn(keys, i)),
        value: new Uint8Array(this.#valueIn(values, i)),
      }));
    }
  }

  /** As `batches`, in the form in which many are compared and kept. */
  *texts(size?: number): Generator<MapEntryText[]> {
    const { keySize } = this.info;
    const valueSize = this.rawValueSize;
    for (const { keys, values, count } of this.#read(size)) {
      const batch: MapEntryText[] = [];
      for (let i = 0; i < count; i += 1) {
        batch.push({
          key: keys.toString('latin1', i * keySize, (i + 1) * keySize),
          value: values.toString('latin1', i * valueSize, (i + 1) * valueSize),
        });
      }
      yield batch;
    }
  }

  /** Values of rows of an array that follow each other, in one call. */
  rows(first: number, count: number): Uint8Array[] {
    const room = this.#room(count);
    const cursor = new Uint8Array(8);
    new DataView(cursor.buffer).setUint32(0, Math.max(first - 1, 0), true);
    const { code, count: found } = this.#readBatch(cursor, room, first === 0);
    if (code !== undefined && code !== 'ENOENT') throw this.#error('read', code);
    return Array.from({ length: found }, (_, i) => new Uint8Array(this.#valueIn(room.values, i)));
  }

  /** Deletes every entry (an array's stay: they cannot be deleted). */
  clear(): void {
    if (this.info.type === MAP_TYPE.array || this.info.type === MAP_TYPE.perCpuArray) return;
    for (const { key } of this.entries()) this.delete(key);
  }

  pin(path: string): void {
    pinFd(this.fd, path);
  }

  close(): void {
    closeSync(this.fd);
  }

  /** The memory of a batch is used again for the next one. */
  *#read(size = BATCH_MIN): Generator<Batch> {
    const cursor = new Uint8Array(Math.max(this.info.keySize, 8));
    let room = this.#room(Math.min(size, this.info.maxEntries));
    for (let first = true; ; ) {
      const { code, count } = this.#readBatch(cursor, room, first);
      if (code === 'ENOSPC' && room.size < BATCH_MAX) {
        // One bucket of the hash holds more than there is room for.
        room = this.#room(room.size * 2);
        continue;
      }
      if (first && code !== undefined && NO_BATCHES.has(code)) {
        yield this.#walk();
        return;
      }
      if (code !== undefined && code !== 'ENOENT') throw this.#error('read', code);
      if (count > 0) yield { ...room, count };
      if (code === 'ENOENT') return;
      first = false;
    }
  }

  #room(size: number): BatchRoom {
    return { size, keys: Buffer.alloc(size * this.info.keySize), values: Buffer.alloc(size * this.rawValueSize) };
  }

  #readBatch(
    cursor: Uint8Array,
    { size, keys, values }: BatchRoom,
    first: boolean,
  ): { readonly code: string | undefined; readonly count: number } {
    const attr = new BpfAttr().pointer(8, cursor).pointer(16, keys).pointer(24, values).u32(32, size).u32(36, this.fd);
    if (!first) attr.pointer(0, cursor);
    const result = tryBpf(BPF_CMD.mapLookupBatch, attr);
    const count = typeof result === 'number' || result === 'ENOENT' ? attr.readU32(32) : 0;
    return { code: typeof result === 'string' ? result : undefined, count };
  }

  #keyIn(keys: Buffer, i: number): Uint8Array {
    return keys.subarray(i * this.info.keySize, (i + 1) * this.info.keySize);
  }

  #valueIn(values: Buffer, i: number): Uint8Array {
    return values.subarray(i * this.rawValueSize, (i + 1) * this.rawValueSize);
  }

  #walk(): Batch {
    const next = new Uint8Array(this.info.keySize);
    const found = new Map<string, MapEntryBytes>();
    let at: Uint8Array | undefined;
    while (this.#nextKey(at, next)) {
      at = next.slice();
      const value = this.lookup(at);
      if (value !== undefined) found.set(Buffer.from(at).toString('latin1'), { key: at, value });
      if (found.size > this.info.maxEntries) break;
    }
    const entries = [...found.values()];
    const keys = Buffer.concat(entries.map(({ key }) => key));
    return { keys, values: Buffer.concat(entries.map(({ value }) => value)), count: entries.length };
  }

  #nextKey(after: Uint8Array | undefined, next: Uint8Array): boolean {
    const attr = new BpfAttr().u32(0, this.fd).pointer(16, next);
    if (after !== undefined) attr.pointer(8, after);
    const result = tryBpf(BPF_CMD.mapNextKey, attr);
    if (result === 'ENOENT') return false;
    if (typeof result === 'string') throw this.#error('walk', result);
    return true;
  }

  #setKey(key: MapBytes): void {
    if (key.length !== this.info.keySize)
      throw new RangeError(`${this.info.name}: a key has ${this.info.keySize} bytes, got ${key.length}`);
    setBytes(this.#key, key, 0);
  }

  #setValue(value: MapBytes): void {
    if (this.perCpu && value.length === this.info.valueSize) {
      const step = roundUp8(this.info.valueSize);
      for (let at = 0; at < this.rawValueSize; at += step) setBytes(this.#value, value, at);
      return;
    }
    if (value.length !== this.rawValueSize) {
      throw new RangeError(`${this.info.name}: a value has ${this.info.valueSize} bytes, got ${value.length}`);
    }
    setBytes(this.#value, value, 0);
  }

  #error(verb: string, code: string, detail?: string): BpfError {
    return new BpfError(`${verb} map ${this.info.name}`, code, detail);
  }
}

/** What a map is made of. `flags`: BPF_F_*, e.g. 1 (BPF_F_NO_PREALLOC), which an LPM trie needs. */
export type MapShape = Omit<MapInfo, 'id'>;

export function createMap(shape: MapShape): BpfMap {
  const attr = new BpfAttr();
  const fields = [shape.type, shape.keySize, shape.valueSize, shape.maxEntries, shape.flags];
  for (const [i, value] of fields.entries()) attr.u32(i * 4, value);
  attr.bytes.set(Buffer.from(shape.name.slice(0, 15), 'latin1'), 28);
  return new BpfMap(bpf(BPF_CMD.mapCreate, attr, `create map ${shape.name}`));
}

/** The map pinned at the path; undefined when nothing is there. */
export function openPinnedMap(path: string): BpfMap | undefined {
  const fd = openPin(path);
  return fd === undefined ? undefined : new BpfMap(fd);
}

/** A new, independent handle of the object with this id. */
export function fdById(command: Extract<BpfCommand, 13 | 14>, id: number, tried: string): number {
  return bpf(command, new BpfAttr().u32(0, id), tried);
}

export function readMapInfo(fd: number): MapInfo {
  const info = objectInfo(fd, 80, `read the info of map fd ${fd}`);
  const u32 = (offset: number): number => info.getUint32(offset, true);
  const name = nameAt(info, 24, 16);
  return { type: u32(0), id: u32(4), keySize: u32(8), valueSize: u32(12), maxEntries: u32(16), flags: u32(20), name };
}

function setBytes(to: Buffer, bytes: MapBytes, at: number): void {
  if (typeof bytes === 'string') to.write(bytes, at, 'latin1');
  else to.set(bytes, at);
}

function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}
