/** For the tests of kernel facts: loading their objects and running their programs. */
import { fileURLToPath } from 'node:url';
import { type LoadedObject, type LoadOptions, loadObject } from '../../packages/agent/src/bpf/object.ts';
import type { BpfProgram, TestRunOutput } from '../../packages/agent/src/bpf/program.ts';
import { BPF_CMD, BpfAttr, bpf } from '../../packages/agent/src/bpf/syscall.ts';
import { type AsideCall, libc } from '../../packages/agent/src/ffi/libc.ts';
import { macBytes } from './packet.ts';

/** enum result of facts.bpf.c, in its order. */
const RESULTS = [
  'entered',
  'leaf0',
  'leaf1',
  'missed',
  'fired0',
  'fired1',
  'firedInside',
  'firedOutside',
  'made',
  'present',
  'refused',
  'ns',
  'swept',
] as const;

export type Results = Readonly<Record<(typeof RESULTS)[number], number>>;

/** An IPv4 frame of 128 bytes to 02:00:00:00:00:02. */
export const FRAME: Uint8Array = Buffer.concat([
  macBytes('02:00:00:00:00:02'),
  macBytes('02:00:00:00:00:01'),
  Buffer.from('08004500007200004000401100000a0000010a000002', 'hex'),
  Buffer.alloc(94, 0x5a),
]);

const BPF_SYSCALL = process.arch === 'arm64' ? 280 : 321;
const ATTR_BYTES = 128;

export function factObject(name: 'facts' | 'facts-cost'): string {
  return fileURLToPath(new URL(`../../build/vrouter/${name}.bpf.o`, import.meta.url));
}

export function loadFacts(options: Omit<LoadOptions, 'path'> = {}): LoadedObject {
  return loadObject({ ...options, path: factObject('facts') });
}

export function program(object: LoadedObject, name: string): BpfProgram {
  const found = object.programs.get(name);
  if (found === undefined) throw new Error(`the object has no program ${name}`);
  return found;
}

/** A test run of a tc program: `cb` is what it is given. */
export function run(object: LoadedObject, name: string, cb: readonly number[] = [], repeat = 1): TestRunOutput {
  return program(object, name).testRun({ data: FRAME, context: { cb }, repeat });
}

/** A run of a `syscall` program with one word as its context; returns what it returned. */
export function runSyscall(object: LoadedObject, name: string, word = 0): number {
  const context = new Uint8Array(Uint32Array.of(word, 0).buffer);
  const attr = new BpfAttr().u32(0, program(object, name).fd).u32(40, context.length).pointer(48, context);
  bpf(BPF_CMD.progTestRun, attr, `run program ${name}`);
  return attr.readU32(4) | 0;
}

/** As `run`, in a thread of its own. Rejects when the kernel refuses. */
export async function runAside(
  object: LoadedObject,
  name: string,
  cb: readonly number[],
  repeat: number,
): Promise<void> {
  const context = new Uint8Array(192);
  for (const [i, word] of cb.entries()) new DataView(context.buffer).setUint32(48 + 4 * i, word, true);
  const data = Uint8Array.from(FRAME);
  const attr = new BpfAttr().u32(0, program(object, name).fd).u32(8, data.length).pointer(16, data).u32(32, repeat);
  attr.u32(40, context.length).pointer(48, context);
  // Each function of the FFI can run aside; production needs it of others only.
  const syscall = libc().syscall as unknown as AsideCall;
  const result = await new Promise<unknown>((resolve, reject) => {
    syscall.async(BPF_SYSCALL, BPF_CMD.progTestRun, attr.bytes, ATTR_BYTES, (err, value) =>
      err === null || err === undefined ? resolve(value) : reject(err),
    );
  });
  if (result !== 0) throw new Error(`run ${name} aside: ${String(result)}`);
}

/** What the programs have counted since the last call. */
export function takeResults(object: LoadedObject): Results {
  const map = object.maps.get('fact_result');
  if (map === undefined) throw new Error('the object has no fact_result');
  const zero = new Uint8Array(8);
  const pairs = RESULTS.map((name, i) => {
    const key = new Uint8Array(Uint32Array.of(i).buffer);
    const value = map.lookup(key) ?? zero;
    map.update(key, zero);
    return [name, Number(new DataView(value.buffer).getBigUint64(0, true))] as const;
  });
  return Object.fromEntries(pairs) as Results;
}

export function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** The middle of an odd number of figures. */
export function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN;
}
