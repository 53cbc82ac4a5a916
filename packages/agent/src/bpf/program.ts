/** A loaded BPF program by file descriptor: what it is, and test runs on packets in memory. */
import { closeSync } from 'node:fs';
import { addressOf } from '../ffi/libc.ts';
import { pinFd } from './pin.ts';
import { decodeSkb, encodeSkb, SKB_SIZE, type SkbContext } from './skb.ts';
import { BPF_CMD, BpfAttr, bpf, nameAt, objectInfo, tryBpf } from './syscall.ts';

export type ProgramInfo = { readonly id: number; readonly name: string; readonly tag: string };

export type TestRunInput = {
  /** An Ethernet frame, at least 14 bytes. */
  readonly data: Uint8Array;
  readonly context?: SkbContext;
  /** How often to run; default 1. The packet is not reset between runs. */
  readonly repeat?: number;
};

export type TestRunOutput = {
  /** What the program returned, e.g. TC_ACT_*. */
  readonly verdict: number;
  /** The packet as the program left it. */
  readonly data: Uint8Array;
  readonly context: SkbContext;
  /** Mean of one run. */
  readonly durationNs: number;
};

/** A program may grow the packet (encapsulation) by so much in a test run. */
const GROWTH_BYTES = 4096;
/** The kernel's bound for one program. */
const MAPS_MAX = 64;

export class BpfProgram {
  readonly fd: number;
  readonly info: ProgramInfo;

  /** Takes over the fd. */
  constructor(fd: number) {
    this.fd = fd;
    this.info = readProgramInfo(fd);
  }

  /** BPF_PROG_TEST_RUN of a tc program. */
  testRun(input: TestRunInput): TestRunOutput {
    const data = Uint8Array.from(input.data);
    const out = new Uint8Array(data.length + GROWTH_BYTES);
    const contextIn = encodeSkb(input.context ?? {});
    const contextOut = new Uint8Array(SKB_SIZE);
    const attr = new BpfAttr()
      .u32(0, this.fd)
      .u32(8, data.length)
      .u32(12, out.length)
      .pointer(16, data)
      .pointer(24, out)
      .u32(32, input.repeat ?? 1)
      .u32(40, SKB_SIZE)
      .u32(44, SKB_SIZE)
      .pointer(48, contextIn)
      .pointer(56, contextOut);
    bpf(BPF_CMD.progTestRun, attr, `test-run program ${this.info.name}`);
    return {
      verdict: attr.readU32(4) | 0,
      data: out.slice(0, attr.readU32(12)),
      context: decodeSkb(contextOut),
      durationNs: attr.readU32(36),
    };
  }

  /** Runs a `syscall` program. `context`: its struct, which it may change. Returns what the program returned. */
  call(context: Uint8Array = new Uint8Array(0)): number {
    const attr = new BpfAttr().u32(0, this.fd).u32(40, context.length).pointer(48, context);
    bpf(BPF_CMD.progTestRun, attr, `run program ${this.info.name}`);
    return attr.readU32(4) | 0;
  }

  /** Ids of the maps that it uses. */
  mapIds(): readonly number[] {
    const ids = new Uint8Array(4 * MAPS_MAX);
    const info = objectInfo(this.fd, 64, `read the maps of program ${this.info.name}`, (view) => {
      view.setUint32(52, MAPS_MAX, true);
      view.setBigUint64(56, addressOf(ids), true);
    });
    const count = Math.min(info.getUint32(52, true), MAPS_MAX);
    return Array.from({ length: count }, (_, i) => new DataView(ids.buffer).getUint32(4 * i, true));
  }

  pin(path: string): void {
    pinFd(this.fd, path);
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Name of a loaded program; undefined: it is not there any more. */
export function programName(id: number): string | undefined {
  const fd = tryBpf(BPF_CMD.progFdById, new BpfAttr().u32(0, id));
  if (typeof fd === 'string') return undefined;
  try {
    return readProgramInfo(fd).name;
  } finally {
    closeSync(fd);
  }
}

function readProgramInfo(fd: number): ProgramInfo {
  const info = objectInfo(fd, 80, `read the info of program fd ${fd}`);
  const tag = Buffer.from(new Uint8Array(info.buffer, 8, 8)).toString('hex');
  return { id: info.getUint32(4, true), name: nameAt(info, 64, 16), tag };
}
