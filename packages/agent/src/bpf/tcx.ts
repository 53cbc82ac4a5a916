/**
 * Programs on what devices of the host itself receive, or send, at the kernel's tcx hooks. They belong to the device: they outlive the agent and go with
 * the device. Our mark is the program's name. Devices are those of the network namespace that this process is in.
 *
 * Unlike a filter it needs no qdisc: to add or take away one stops the device's queues, which loses packets of the host's own. And what it
 * leaves goes on to others' programs and filters. In exchange an attach waits for an RCU grace period (ADR 0012), and nobody is told of changes.
 */
import { BpfError } from '../ffi/errno.ts';
import { fdById } from './map.ts';
import { BpfProgram } from './program.ts';
import { BPF_CMD, BpfAttr, tryBpf } from './syscall.ts';

/** Of what a device receives, or sends: enum bpf_attach_type. */
const HOOK = { ingress: 46, egress: 47 } as const;

export type TcxHook = keyof typeof HOOK;

const BPF_F_REPLACE = 1 << 2;
/** The kernel takes no more of them on one device (BPF_MPROG_MAX). */
const MAX_PROGRAMS = 64;
/** A device that is not there, or goes just now. */
const GONE: ReadonlySet<string> = new Set(['ENODEV', 'ENXIO', 'EINVAL']);

/** Ids of the tcx programs on what a device of this namespace receives, in their order. None where the kernel has no tcx, or the device is gone. */
export function tcxIngressPrograms(ifindex: number): readonly number[] {
  return programsAt(ifindex, 'ingress');
}

function programsAt(ifindex: number, hook: TcxHook): readonly number[] {
  const ids = new Uint8Array(MAX_PROGRAMS * 4);
  const attr = new BpfAttr().u32(0, ifindex).u32(4, HOOK[hook]).pointer(16, ids).u32(24, MAX_PROGRAMS);
  if (typeof tryBpf(BPF_CMD.progQuery, attr) === 'string') return [];
  return Array.from(new Uint32Array(ids.buffer, 0, Math.min(attr.readU32(24), MAX_PROGRAMS)));
}

/** Ids of programs of that name on what the device receives, or sends. Empty: none, or no such device. */
export function tcxProgramIds(ifindex: number, name: string, hook: TcxHook = 'ingress'): readonly number[] {
  return withPrograms({ ifindex, hook }, name, (programs) => programs.map(({ info }) => info.id));
}

/** Makes the packets that the device receives, or sends, pass the program, after those of others, in place of one of its name. Idempotent. False: the device is not there. */
export function ensureTcxProgram(
  ifindex: number,
  program: Pick<BpfProgram, 'fd' | 'info'>,
  hook: TcxHook = 'ingress',
): boolean {
  const { id, name } = program.info;
  const at = { ifindex, hook };
  return withPrograms(at, name, ([old, ...others]) => {
    for (const { fd } of others) detach(at, fd, name);
    if (old?.info.id === id) return true;
    const attr = hookOf(at, program.fd);
    if (old !== undefined) attr.u32(12, BPF_F_REPLACE).u32(16, old.fd);
    const result = tryBpf(BPF_CMD.progAttach, attr);
    if (typeof result === 'number') return true;
    if (result === 'ENODEV') return false;
    throw new BpfError(`attach ${name} to what device ${ifindex} ${VERB[hook]}`, result);
  });
}

/** Takes programs of that name off what the device receives, or sends. False: there was none. */
export function removeTcxProgram(ifindex: number, name: string, hook: TcxHook = 'ingress'): boolean {
  const at = { ifindex, hook };
  return withPrograms(at, name, (programs) => {
    for (const { fd } of programs) detach(at, fd, name);
    return programs.length > 0;
  });
}

const VERB: Readonly<Record<TcxHook, string>> = { ingress: 'receives', egress: 'sends' };

type Place = { readonly ifindex: number; readonly hook: TcxHook };

function detach(at: Place, fd: number, name: string): void {
  const result = tryBpf(BPF_CMD.progDetach, hookOf(at, fd));
  if (typeof result === 'number' || result === 'ENOENT' || GONE.has(result)) return;
  throw new BpfError(`take ${name} off device ${at.ifindex}`, result);
}

function hookOf({ ifindex, hook }: Place, fd: number): BpfAttr {
  return new BpfAttr().u32(0, ifindex).u32(4, fd).u32(8, HOOK[hook]);
}

function withPrograms<T>({ ifindex, hook }: Place, name: string, use: (programs: readonly BpfProgram[]) => T): T {
  const programs: BpfProgram[] = [];
  try {
    for (const id of programsAt(ifindex, hook)) programs.push(...openProgram(id));
    return use(programs.filter(({ info }) => info.name === name));
  } finally {
    for (const program of programs) program.close();
  }
}

/** None: it went just now. */
function openProgram(id: number): readonly BpfProgram[] {
  try {
    return [new BpfProgram(fdById(BPF_CMD.progFdById, id, `open program ${id}`))];
  } catch (err) {
    if (err instanceof BpfError && err.code === 'ENOENT') return [];
    throw err;
  }
}
