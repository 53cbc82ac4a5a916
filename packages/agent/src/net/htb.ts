/**
 * HTB on what a device sends (linux/pkt_sched.h): a root, and a class for each limit, which a packet names by its priority. A class has a queue of its own
 * of so many bytes. Changing a class loses nothing of what waits in it.
 */
import { absentOn } from '../ffi/errno.ts';
import { bytes, decodeAttributes, fixedHeader, nest, text, viewOf } from './message.ts';
import { type NetlinkSocket, NLM } from './socket.ts';

const RTM = { newQdisc: 36, getQdisc: 38, newClass: 40, deleteClass: 41, getClass: 42 } as const;
const TCA = { kind: 1, options: 2, statistics: 7 } as const;
const TCA_STATS_QUEUE = 3;
const TCA_HTB = { parms: 1, init: 2, rate64: 6, ceil64: 7 } as const;

const ROOT_PARENT = 0xffffffff;
/** Major number of the root; its classes are ROOT | minor, and their queues have the minor as their major. */
const ROOT = 0x10000;
const MINOR_MASK = 0xffff;
const HTB_VERSION = 3;
/** Without it the kernel wants tables. */
const LINKLAYER_ETHERNET = 1;
/** The kernel's tick of times, as a power of two of nanoseconds. */
const TICK_SHIFT = 6n;
/** Bytes that a class may send in its turn, of several that may: no less than a GSO packet. */
const QUANTUM_BYTES = 65_536;
const MAX_U32 = 0xffff_ffff;
const TCMSG_BYTES = 20;
const HANDLE_AT = 8;
const PARENT_AT = 12;

/** A class: so many bytes a second, so long at full speed after a pause, and so many bytes that may wait. */
export type HtbClass = {
  /** 1..65535. */
  readonly minor: number;
  readonly bytesPerSecond: bigint;
  readonly burstNs: bigint;
  readonly queueBytes: number;
};

/** Makes HTB the device's root, without classes, unless it is. A packet that names none of them is sent at once. */
export function ensureHtbRoot(socket: NetlinkSocket, ifindex: number): void {
  const init = Buffer.alloc(20);
  init.writeUInt32LE(HTB_VERSION, 0);
  // Quanta are given, so what the kernel would make of the rate does not count.
  init.writeUInt32LE(10, 4);
  absentOn(['EEXIST'], () =>
    socket.change({
      type: RTM.newQdisc,
      flags: NLM.create | NLM.exclusive,
      fixed: tcmsg(ifindex, ROOT, ROOT_PARENT),
      attributes: [text(TCA.kind, 'htb'), nest(TCA.options, [bytes(TCA_HTB.init, new Uint8Array(init))])],
      tried: `make HTB the root of device ${ifindex}`,
    }),
  );
}

/** Makes the class, or changes it: what waits goes on at the new rate. */
export function ensureHtbClass(socket: NetlinkSocket, ifindex: number, wanted: HtbClass): void {
  const handle = ROOT | wanted.minor;
  const tried = `limit class ${wanted.minor} of device ${ifindex}`;
  socket.change({
    type: RTM.newClass,
    flags: NLM.create,
    fixed: tcmsg(ifindex, handle, ROOT),
    attributes: [text(TCA.kind, 'htb'), nest(TCA.options, classOptions(wanted))],
    tried,
  });
  const limit = Buffer.alloc(4);
  limit.writeUInt32LE(wanted.queueBytes);
  socket.change({
    type: RTM.newQdisc,
    flags: NLM.create,
    fixed: tcmsg(ifindex, wanted.minor << 16, handle),
    attributes: [text(TCA.kind, 'bfifo'), bytes(TCA.options, new Uint8Array(limit))],
    tried,
  });
}

/** What waits in it is lost. Absent is fine. */
export function deleteHtbClass(socket: NetlinkSocket, ifindex: number, minor: number): void {
  absentOn(['ENOENT', 'ENODEV', 'EINVAL'], () =>
    socket.change({
      type: RTM.deleteClass,
      fixed: tcmsg(ifindex, ROOT | minor, ROOT),
      attributes: [],
      tried: `delete class ${minor} of device ${ifindex}`,
    }),
  );
}

/** Minor numbers of the classes that there are. */
export function htbClasses(socket: NetlinkSocket, ifindex: number): readonly number[] {
  const request = { type: RTM.getClass, fixed: tcmsg(ifindex, 0, 0), tried: `list the classes of device ${ifindex}` };
  const answers = absentOn(['ENODEV', 'EINVAL', 'ENOENT'], () => socket.dump(request)) ?? [];
  return answers.flatMap(({ body }) => {
    if (body.length < TCMSG_BYTES) return [];
    const view = viewOf(body);
    // A class of the root has nobody above it.
    const isOfRoot = view.getUint32(PARENT_AT, true) === ROOT_PARENT || view.getUint32(PARENT_AT, true) === ROOT;
    const handle = view.getUint32(HANDLE_AT, true);
    return isOfRoot && (handle & ~MINOR_MASK) >>> 0 === ROOT ? [handle & MINOR_MASK] : [];
  });
}

/** Packets that found no room in the class's queue since that was made; a GSO packet is one. 0: no such class. */
export function htbDrops(socket: NetlinkSocket, ifindex: number, minor: number): number {
  const request = {
    type: RTM.getQdisc,
    // Without it the answer goes to those alone who listen to all changes.
    flags: NLM.echo,
    fixed: tcmsg(ifindex, minor << 16, ROOT | minor),
    tried: `look at the queue of class ${minor} of device ${ifindex}`,
  };
  const answer = absentOn(['ENOENT', 'ENODEV', 'EINVAL', 'ENODATA'], () => socket.get(request));
  if (answer === undefined) return 0;
  const statistics = decodeAttributes(answer.body, TCMSG_BYTES).get(TCA.statistics) ?? new Uint8Array();
  const queue = decodeAttributes(statistics).get(TCA_STATS_QUEUE);
  // struct gnet_stats_queue
  return queue === undefined || queue.length < 12 ? 0 : viewOf(queue).getUint32(8, true);
}

function classOptions({ bytesPerSecond, burstNs }: HtbClass): ReturnType<typeof bytes>[] {
  const rate = Number(bytesPerSecond);
  const small = Math.min(rate, MAX_U32);
  const ticks = Number(burstNs >> TICK_SHIFT);
  const parms = Buffer.alloc(44);
  for (const at of [0, 12]) {
    parms.writeUInt8(LINKLAYER_ETHERNET, at + 1);
    parms.writeUInt32LE(small, at + 8);
  }
  for (const at of [24, 28]) parms.writeUInt32LE(Math.min(ticks, MAX_U32), at);
  parms.writeUInt32LE(QUANTUM_BYTES, 32);
  const rate64 = Buffer.alloc(8);
  rate64.writeBigUInt64LE(bytesPerSecond);
  const wide =
    rate > MAX_U32 ? [TCA_HTB.rate64, TCA_HTB.ceil64].map((type) => bytes(type, new Uint8Array(rate64))) : [];
  return [...wide, bytes(TCA_HTB.parms, new Uint8Array(parms))];
}

/** struct tcmsg. */
function tcmsg(ifindex: number, handle: number, parent: number): Uint8Array {
  return fixedHeader([1, 0], [1, 0], [2, 0], [4, ifindex], [4, handle], [4, parent], [4, 0]);
}
