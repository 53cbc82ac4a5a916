import { CB_PW_TREE } from '../bpf/abi.gen.ts';
import type { HtbTree } from '../net/htb.ts';

/** Of the classes of wires, in the queue of limits and on devices of the underlay. */
export const WIRE_TREE: HtbTree = { major: CB_PW_TREE };

/** So long a frame waits at the most: then those that come are dropped. */
const QUEUE_MS = 50n;
/** A queue has room for some GSO packets whatever the rate. */
const QUEUE_MIN_BYTES = 200_000n;
const QUEUE_MAX_BYTES = 64_000_000n;

/** Of thousands of bits a second. */
export function bytesPerSecond(kbps: number): bigint {
  return BigInt(kbps) * 125n;
}

/** What may wait at that rate. */
export function queueBytesAt(rate: bigint): number {
  const bytes = (rate * QUEUE_MS) / 1000n;
  return Number(bytes < QUEUE_MIN_BYTES ? QUEUE_MIN_BYTES : bytes > QUEUE_MAX_BYTES ? QUEUE_MAX_BYTES : bytes);
}
