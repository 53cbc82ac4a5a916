/** bpf(2): its commands, and a builder for `union bpf_attr` (linux/bpf.h). */
import { BpfError, errnoName } from '../ffi/errno.ts';
import { addressOf, lastErrno, libc } from '../ffi/libc.ts';

/** enum bpf_cmd, those in use. */
export const BPF_CMD = {
  mapCreate: 0,
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  mapNextKey: 4,
  objPin: 6,
  objGet: 7,
  progAttach: 8,
  progDetach: 9,
  progTestRun: 10,
  progFdById: 13,
  mapFdById: 14,
  objInfo: 15,
  progQuery: 16,
  mapLookupBatch: 24,
} as const;

export type BpfCommand = (typeof BPF_CMD)[keyof typeof BPF_CMD];

const ATTR_SIZE = 128;

const BPF_SYSCALL: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };

/** One `union bpf_attr`, zero at first. Keeps the buffers it points to alive. */
export class BpfAttr {
  readonly bytes: Uint8Array = new Uint8Array(ATTR_SIZE);
  readonly #view: DataView = new DataView(this.bytes.buffer);
  readonly #kept: Uint8Array[] = [];

  u32(offset: number, value: number): this {
    this.#view.setUint32(offset, value, true);
    return this;
  }

  u64(offset: number, value: bigint): this {
    this.#view.setBigUint64(offset, value, true);
    return this;
  }

  pointer(offset: number, buffer: Uint8Array): this {
    this.#kept.push(buffer);
    return this.u64(offset, addressOf(buffer));
  }

  readU32(offset: number): number {
    return this.#view.getUint32(offset, true);
  }
}

/** Runs a command; returns its result (often a new fd), or the errno's name as a value. */
export function tryBpf(command: BpfCommand, attr: BpfAttr): number | string {
  const number = BPF_SYSCALL[process.arch];
  if (number === undefined) throw new Error(`bpf: no system call number for ${process.arch}`);
  const result = libc().syscall(number, command, attr.bytes, ATTR_SIZE);
  return result >= 0 ? result : errnoName(lastErrno());
}

/** Runs a command; throws BpfError. `tried`: what is attempted, with names, for the message. */
export function bpf(command: BpfCommand, attr: BpfAttr, tried: string): number {
  const result = tryBpf(command, attr);
  if (typeof result === 'string') throw new BpfError(tried, result);
  return result;
}

/** BPF_OBJ_GET_INFO_BY_FD: `size` bytes of the struct bpf_*_info that fits the object; `ask` writes into it what it is to point to. */
export function objectInfo(fd: number, size: number, tried: string, ask?: (info: DataView) => void): DataView {
  const info = new Uint8Array(size);
  ask?.(new DataView(info.buffer));
  const attr = new BpfAttr().u32(0, fd).u32(4, size).pointer(8, info);
  bpf(BPF_CMD.objInfo, attr, tried);
  return new DataView(info.buffer);
}

/** A NUL-terminated name inside a struct. */
export function nameAt(view: DataView, offset: number, size: number): string {
  const bytes = new Uint8Array(view.buffer, offset, size);
  const end = bytes.indexOf(0);
  return Buffer.from(bytes.subarray(0, end < 0 ? size : end)).toString('latin1');
}
