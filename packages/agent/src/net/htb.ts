/**
 * HTB on what a device sends (linux/pkt_sched.h): a root, and a class for each limit or guarantee, which a packet names by its priority. A class has a queue of its own
 * of so many bytes. Changing a class loses nothing of what waits in it.
 */
import { absentOn } from '../ffi/errno.ts';
import { bytes, decodeAttributes, fixedHeader, nest, readText, text, viewOf } from './message.ts';
import { type NetlinkSocket, NLM } from './socket.ts';

const RTM = { newQdisc: 36, deleteQdisc: 37, getQdisc: 38, newClass: 40, deleteClass: 41, getClass: 42 } as const;
const TCA = { kind: 1, options: 2, statistics: 7 } as const;
const TCA_STATS_QUEUE = 3;
const TCA_HTB = { parms: 1, init: 2, rate64: 6, ceil64: 7 } as const;

const ROOT_PARENT = 0xffffffff;
/** Major number of the root where none is said; its classes have it, too, and their queues have the minor as their major. */
const MAJOR = 1;
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
  /** What it may send where others leave something; default: no more. */
  readonly ceilBytesPerSecond?: bigint;
  readonly burstNs: bigint;
  /** Absent: nothing waits in it, other classes are below it. */
  readonly queueBytes?: number;
  /** Of the class above it; default: the root. */
  readonly parent?: number;
};

/** Which tree: the major number of its root; default 1. */
export type HtbTree = { readonly major?: number };

/** Makes HTB the device's root, without classes, unless it is. A packet that names none of them is of class `defaultMinor`; default: it is sent at once. */
export function ensureHtbRoot(
  socket: NetlinkSocket,
  ifindex: number,
  { major = MAJOR, defaultMinor = 0 }: HtbTree & { readonly defaultMinor?: number } = {},
): void {
  const init = Buffer.alloc(20);
  init.writeUInt32LE(HTB_VERSION, 0);
  // Quanta are given, so what the kernel would make of the rate does not count.
  init.writeUInt32LE(10, 4);
  init.writeUInt32LE(defaultMinor, 8);
  absentOn(['EEXIST'], () =>
    socket.change({
      type: RTM.newQdisc,
      flags: NLM.create | NLM.exclusive,
      fixed: tcmsg(ifindex, handleOf(major, 0), ROOT_PARENT),
      attributes: [text(TCA.kind, 'htb'), nest(TCA.options, [bytes(TCA_HTB.init, new Uint8Array(init))])],
      tried: `make HTB the root of device ${ifindex}`,
    }),
  );
}

/** Makes the class, or changes it: what waits goes on at the new rate. */
export function ensureHtbClass(
  socket: NetlinkSocket,
  ifindex: number,
  wanted: HtbClass,
  { major = MAJOR }: HtbTree = {},
): void {
  const handle = handleOf(major, wanted.minor);
  const tried = `limit class ${wanted.minor} of device ${ifindex}`;
  socket.change({
    type: RTM.newClass,
    flags: NLM.create,
    fixed: tcmsg(ifindex, handle, handleOf(major, wanted.parent ?? 0)),
    attributes: [text(TCA.kind, 'htb'), nest(TCA.options, classOptions(wanted))],
    tried,
  });
  if (wanted.queueBytes === undefined) return;
  const limit = Buffer.alloc(4);
  limit.writeUInt32LE(wanted.queueBytes);
  socket.change({
    type: RTM.newQdisc,
    flags: NLM.create,
    fixed: tcmsg(ifindex, handleOf(wanted.minor, 0), handle),
    attributes: [text(TCA.kind, 'bfifo'), bytes(TCA.options, new Uint8Array(limit))],
    tried,
  });
}

/** What waits in it is lost. Absent is fine. */
export function deleteHtbClass(
  socket: NetlinkSocket,
  ifindex: number,
  minor: number,
  { major = MAJOR }: HtbTree = {},
): void {
  absentOn(['ENOENT', 'ENODEV', 'EINVAL'], () =>
    socket.change({
      type: RTM.deleteClass,
      fixed: tcmsg(ifindex, handleOf(major, minor), handleOf(major, 0)),
      attributes: [],
      tried: `delete class ${minor} of device ${ifindex}`,
    }),
  );
}

/** What a device's root is: its kind, and the major number that somebody gave it; 0: it is the kernel's own choice. Undefined: there is none that says so. */
export type RootQdisc = { readonly kind: string; readonly major: number };

export function rootQdisc(socket: NetlinkSocket, ifindex: number): RootQdisc | undefined {
  const request = {
    type: RTM.getQdisc,
    flags: NLM.echo,
    fixed: tcmsg(ifindex, 0, ROOT_PARENT),
    tried: `look at the root of device ${ifindex}`,
  };
  const answer = absentOn(['ENOENT', 'ENODEV', 'EINVAL', 'ENODATA'], () => socket.get(request));
  if (answer === undefined || answer.body.length < TCMSG_BYTES) return undefined;
  const kind = readText(decodeAttributes(answer.body, TCMSG_BYTES).get(TCA.kind));
  return { kind, major: viewOf(answer.body).getUint32(HANDLE_AT, true) >>> 16 };
}

/** Takes the tree off the device, which gets the kernel's own choice again. Absent is fine. */
export function deleteHtbRoot(socket: NetlinkSocket, ifindex: number, { major = MAJOR }: HtbTree = {}): void {
  absentOn(['ENOENT', 'ENODEV', 'EINVAL'], () =>
    socket.change({
      type: RTM.deleteQdisc,
      fixed: tcmsg(ifindex, handleOf(major, 0), ROOT_PARENT),
      attributes: [],
      tried: `take HTB off device ${ifindex}`,
    }),
  );
}

/** Minor numbers of the classes that there are. */
export function htbClasses(socket: NetlinkSocket, ifindex: number, { major = MAJOR }: HtbTree = {}): readonly number[] {
  const request = { type: RTM.getClass, fixed: tcmsg(ifindex, 0, 0), tried: `list the classes of device ${ifindex}` };
  const answers = absentOn(['ENODEV', 'EINVAL', 'ENOENT'], () => socket.dump(request)) ?? [];
  return answers.flatMap(({ body }) => {
    if (body.length < TCMSG_BYTES) return [];
    const view = viewOf(body);
    // A class of the root has nobody above it.
    const [parent, handle] = [view.getUint32(PARENT_AT, true), view.getUint32(HANDLE_AT, true)];
    const isOfTree = parent === ROOT_PARENT || parent >>> 16 === major;
    return isOfTree && handle >>> 16 === major ? [handle & MINOR_MASK] : [];
  });
}

/** Packets that found no room in the class's queue since that was made; a GSO packet is one. 0: no such class. */
export function htbDrops(
  socket: NetlinkSocket,
  ifindex: number,
  minor: number,
  { major = MAJOR }: HtbTree = {},
): number {
  const request = {
    type: RTM.getQdisc,
    // Without it the answer goes to those alone who listen to all changes.
    flags: NLM.echo,
    fixed: tcmsg(ifindex, handleOf(minor, 0), handleOf(major, minor)),
    tried: `look at the queue of class ${minor} of device ${ifindex}`,
  };
  const answer = absentOn(['ENOENT', 'ENODEV', 'EINVAL', 'ENODATA'], () => socket.get(request));
  if (answer === undefined) return 0;
  const statistics = decodeAttributes(answer.body, TCMSG_BYTES).get(TCA.statistics) ?? new Uint8Array();
  const queue = decodeAttributes(statistics).get(TCA_STATS_QUEUE);
  // struct gnet_stats_queue
  return queue === undefined || queue.length < 12 ? 0 : viewOf(queue).getUint32(8, true);
}

function classOptions({
  bytesPerSecond,
  ceilBytesPerSecond = bytesPerSecond,
  burstNs,
}: HtbClass): ReturnType<typeof bytes>[] {
  const ticks = Number(burstNs >> TICK_SHIFT);
  const parms = Buffer.alloc(44);
  const rates = [
    { at: 0, rate: bytesPerSecond, wide: TCA_HTB.rate64 },
    { at: 12, rate: ceilBytesPerSecond, wide: TCA_HTB.ceil64 },
  ];
  for (const { at, rate } of rates) {
    parms.writeUInt8(LINKLAYER_ETHERNET, at + 1);
    parms.writeUInt32LE(Math.min(Number(rate), MAX_U32), at + 8);
  }
  for (const at of [24, 28]) parms.writeUInt32LE(Math.min(ticks, MAX_U32), at);
  parms.writeUInt32LE(QUANTUM_BYTES, 32);
  const wide = rates.flatMap(({ rate, wide: type }) => (rate > MAX_U32 ? [bytes(type, u64Bytes(rate))] : []));
  return [...wide, bytes(TCA_HTB.parms, new Uint8Array(parms))];
}

function u64Bytes(value: bigint): Uint8Array {
  const data = Buffer.alloc(8);
  data.writeBigUInt64LE(value);
  return new Uint8Array(data);
}

/** As an unsigned number: majors go up to 65535. */
function handleOf(major: number, minor: number): number {
  return major * 0x10000 + minor;
}

/** struct tcmsg. */
function tcmsg(ifindex: number, handle: number, parent: number): Uint8Array {
  return fixedHeader([1, 0], [1, 0], [2, 0], [4, ifindex], [4, handle], [4, parent], [4, 0]);
}
