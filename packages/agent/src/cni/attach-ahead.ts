import koffi from 'koffi';
import { BpfLink } from '../bpf/link.ts';
import { removePin } from '../bpf/pin.ts';
import type { BpfProgram } from '../bpf/program.ts';
import { BPF_CMD, BpfAttr } from '../bpf/syscall.ts';

/** A program attached to a device whose port is not known yet. Until it is kept, nothing but this holds it. */
export type AheadLink = {
  /** Pins it as the port's: the reconciler finds its work done. */
  keepFor(portId: string): void;
  /** Removes that pin; absent is fine. */
  forget(): void;
  /** Lets go: without a pin the program comes off. */
  close(): void;
};

const TCX_INGRESS = 46;
const SYSCALL: Readonly<Record<string, number>> = { x64: 321, arm64: 280 };

let asyncSyscall: AsyncCall | undefined;

type AsyncCall = { async(...args: readonly unknown[]): void };

/**
 * Attaches a VIF's program in another thread. The kernel waits for a grace period in that call (some 10 ms, measured on
 * Linux 6.18), longer than everything else that ADD does; begun first, it is over when the server has answered.
 * Undefined: it did not come about; the reconciler will attach the program itself, and say what is wrong.
 */
export async function attachAhead(
  program: BpfProgram,
  ifindex: number,
  pinOf: (portId: string) => string,
): Promise<AheadLink | undefined> {
  asyncSyscall ??= koffi.load('libc.so.6').func('long syscall(long number, int command, void *attr, uint size)');
  const call = asyncSyscall;
  const attr = new BpfAttr().u32(0, program.fd).u32(4, ifindex).u32(8, TCX_INGRESS);
  const fd = await new Promise<number>((resolve) => {
    const done = (err: unknown, result: unknown): void => resolve(!err && attr.bytes.length > 0 ? Number(result) : -1);
    call.async(SYSCALL[process.arch] ?? -1, BPF_CMD.linkCreate, attr.bytes, attr.bytes.length, done);
  });
  return fd < 0 ? undefined : aheadLink(new BpfLink(fd), pinOf);
}

function aheadLink(link: BpfLink, pinOf: (portId: string) => string): AheadLink {
  let pin: string | undefined;
  return {
    keepFor: (portId) => {
      const path = pinOf(portId);
      removePin(path);
      link.pin(path);
      pin = path;
    },
    forget: () => {
      if (pin !== undefined) removePin(pin);
    },
    close: () => link.close(),
  };
}
