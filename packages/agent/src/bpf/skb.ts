/** struct __sk_buff (linux/bpf.h): the part of it that a test run takes in and gives back. */

export const SKB_SIZE = 192;

/** Fields of a packet's context; zero when not given. */
export type SkbContext = {
  readonly mark?: number;
  readonly priority?: number;
  /** Device that the packet came in by. */
  readonly ingressIfindex?: number;
  /** Device that the program runs on; it must exist. */
  readonly ifindex?: number;
  /** Five words of scratch. */
  readonly cb?: readonly number[];
  /** Bytes of payload in each segment that the packet will become; of no kind of GSO that the kernel knows. */
  readonly gsoSize?: number;
};

const OFFSET = { mark: 8, priority: 32, ingressIfindex: 36, ifindex: 40, cb: 48, gsoSize: 176 } as const;
const CB_WORDS = 5;

export function encodeSkb(context: SkbContext): Uint8Array {
  const bytes = new Uint8Array(SKB_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(OFFSET.mark, context.mark ?? 0, true);
  view.setUint32(OFFSET.priority, context.priority ?? 0, true);
  view.setUint32(OFFSET.ingressIfindex, context.ingressIfindex ?? 0, true);
  view.setUint32(OFFSET.ifindex, context.ifindex ?? 0, true);
  view.setUint32(OFFSET.gsoSize, context.gsoSize ?? 0, true);
  for (const [i, word] of (context.cb ?? []).slice(0, CB_WORDS).entries())
    view.setUint32(OFFSET.cb + i * 4, word, true);
  return bytes;
}

export function decodeSkb(bytes: Uint8Array): Required<SkbContext> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const u32 = (offset: number): number => view.getUint32(offset, true);
  return {
    mark: u32(OFFSET.mark),
    priority: u32(OFFSET.priority),
    ingressIfindex: u32(OFFSET.ingressIfindex),
    ifindex: u32(OFFSET.ifindex),
    gsoSize: u32(OFFSET.gsoSize),
    cb: Array.from({ length: CB_WORDS }, (_, i) => u32(OFFSET.cb + i * 4)),
  };
}
