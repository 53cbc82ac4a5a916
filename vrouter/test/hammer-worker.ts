/** A thread that runs a program many times on end, in the namespace of the world's devices. */
import { parentPort, workerData } from 'node:worker_threads';
import { BpfProgram } from '../../packages/agent/src/bpf/program.ts';
import type { SkbContext } from '../../packages/agent/src/bpf/skb.ts';
import { inNetns } from '../../packages/agent/src/net/netns.ts';

export type HammerWork = {
  readonly fd: number;
  readonly netns: string;
  readonly frame: Uint8Array;
  readonly context: SkbContext;
  readonly repeat: number;
};

const { fd, netns, frame, context, repeat } = workerData as HammerWork;
const program = new BpfProgram(fd);
inNetns(netns, () => program.testRun({ data: frame, context, repeat }).verdict);
parentPort?.postMessage('done');
