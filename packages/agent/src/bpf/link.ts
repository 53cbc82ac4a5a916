/**
 * tcx links: a program on a device's ingress or egress. Pinned, a link outlives the agent: packets keep passing the program
 * while no agent runs, and a new agent replaces the program in place, without a gap. The pin directory is the mark of ownership.
 */
import { closeSync } from 'node:fs';
import { openPin, pinFd, removePin } from './pin.ts';
import type { BpfProgram } from './program.ts';
import { BPF_CMD, BpfAttr, bpf, objectInfo } from './syscall.ts';

export type TcxDirection = 'ingress' | 'egress';

/** enum bpf_attach_type. */
const ATTACH_TYPE: Readonly<Record<TcxDirection, number>> = { ingress: 46, egress: 47 };
const LINK_TYPE_TCX = 11;

/** `ifindex` 0: the device is gone and the link is dead. `direction` undefined: no tcx link. */
export type LinkInfo = {
  readonly id: number;
  readonly programId: number;
  readonly ifindex: number;
  readonly direction: TcxDirection | undefined;
};

export class BpfLink {
  readonly fd: number;

  /** Takes over the fd. */
  constructor(fd: number) {
    this.fd = fd;
  }

  info(): LinkInfo {
    const info = objectInfo(this.fd, 64, `read the info of link fd ${this.fd}`);
    const u32 = (offset: number): number => info.getUint32(offset, true);
    if (u32(0) !== LINK_TYPE_TCX) return { id: u32(4), programId: u32(8), ifindex: 0, direction: undefined };
    const direction = u32(20) === ATTACH_TYPE.egress ? 'egress' : 'ingress';
    return { id: u32(4), programId: u32(8), ifindex: u32(16), direction };
  }

  /** Puts another program in the place of the present one: no packet passes without either. ENOLINK: the link is dead. */
  replaceProgram(program: BpfProgram): void {
    const attr = new BpfAttr().u32(0, this.fd).u32(4, program.fd);
    bpf(BPF_CMD.linkUpdate, attr, `replace the program of a link by ${program.info.name}`);
  }

  /** Takes the program off the device at once, though the link be pinned. */
  detach(): void {
    bpf(BPF_CMD.linkDetach, new BpfAttr().u32(0, this.fd), 'detach a link');
  }

  pin(path: string): void {
    pinFd(this.fd, path);
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Attaches behind the programs that are there already. The program comes off again when the link is closed without a pin. */
export function attachTcx(program: BpfProgram, ifindex: number, direction: TcxDirection): BpfLink {
  const attr = new BpfAttr().u32(0, program.fd).u32(4, ifindex).u32(8, ATTACH_TYPE[direction]);
  const tried = `attach ${program.info.name} to ${direction} of device ${ifindex}`;
  return new BpfLink(bpf(BPF_CMD.linkCreate, attr, tried));
}

/** The link pinned at the path; undefined when nothing is there. */
export function openPinnedLink(path: string): BpfLink | undefined {
  const fd = openPin(path);
  return fd === undefined ? undefined : new BpfLink(fd);
}

export type PinnedTcx = {
  /** Pin path of the link. */
  readonly path: string;
  readonly program: BpfProgram;
  readonly ifindex: number;
  readonly direction: TcxDirection;
};

/** `kept`: it was so already; `replaced`: the link stayed, its program changed; `attached`: a new link. */
export type TcxOutcome = 'kept' | 'replaced' | 'attached';

/** Makes the pinned link lead from that device to that program. Idempotent; a dead link, or one to another device, is made anew. */
export function ensureTcx(wanted: PinnedTcx): TcxOutcome {
  const link = openPinnedLink(wanted.path);
  if (link !== undefined) {
    try {
      const info = link.info();
      if (info.ifindex === wanted.ifindex && info.direction === wanted.direction) {
        if (info.programId === wanted.program.info.id) return 'kept';
        link.replaceProgram(wanted.program);
        return 'replaced';
      }
      removePin(wanted.path);
    } finally {
      link.close();
    }
  }
  const fresh = attachTcx(wanted.program, wanted.ifindex, wanted.direction);
  try {
    fresh.pin(wanted.path);
  } finally {
    fresh.close();
  }
  return 'attached';
}

/** Takes the program off the device and removes the pin; absent is fine. */
export function removeTcx(path: string): void {
  const link = openPinnedLink(path);
  if (link === undefined) return;
  try {
    if (link.info().ifindex !== 0) link.detach();
    removePin(path);
  } finally {
    link.close();
  }
}
