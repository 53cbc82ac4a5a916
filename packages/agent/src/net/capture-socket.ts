/** Hears every frame of a device, both ways (packet(7)). */
import { closeSync } from 'node:fs';
import { TURN_MS } from '@cable/kit';
import koffi from 'koffi';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc, timespecUs, wallMs } from '../ffi/libc.ts';
import { fixedHeader, u32Bytes } from './message.ts';

export type CaptureSocketOptions = {
  readonly ifindex: number;
  /** A socket filter: which frames are heard, and how much of each. Default: all. */
  readonly filter?: { readonly fd: number };
  /** Room for frames that wait. Default: 8 MiB. */
  readonly roomBytes?: number;
  /** A frame that goes either way. Of one that is longer than `FRAME_BYTES` the beginning. `atUs`: when the kernel had it, since 1970. */
  readonly onFrame: (frame: Uint8Array, atUs: number) => void;
  /** The device is gone, or the socket failed: nothing more is heard. */
  readonly onError: (err: Error) => void;
};

export type CaptureSocket = {
  /** Frames that came faster than they were read, since the last call. */
  takeLost(): number;
  /** Idempotent. */
  close(): void;
};

/** Longest frame that is heard whole: what one that is cut into segments only later may have. */
export const FRAME_BYTES = 65_549;

const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0x80000 | 0x800;
/** ETH_P_ALL, network byte order. */
const ALL_PROTOCOLS = 0x0300;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_ATTACH_BPF = 50;
const SIOCGSTAMPNS = 0x8907;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const RECEIVE_BYTES = 8 << 20;
const LEAST_FRAMES = 64;

/** Throws NetlinkError: ENODEV when there is no such device, EPERM. */
export function openCaptureSocket(options: CaptureSocketOptions): CaptureSocket {
  const { onFrame, onError } = options;
  const fd = bindSocket(options);
  const buffer = new Uint8Array(FRAME_BYTES);
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    poll.close();
    closeSync(fd);
  };
  const poll = koffi.node.poll(fd, { readable: true }, () => {
    if (!isOpen) return;
    try {
      readBurst(fd, buffer, (frame) => isOpen && onFrame(frame, stampOf(fd)));
    } catch (err) {
      close();
      onError(err instanceof Error ? err : new Error(String(err)));
    }
  });
  return { takeLost: () => (isOpen ? readLost(fd) : 0), close };
}

function bindSocket({ ifindex, filter, roomBytes = RECEIVE_BYTES }: CaptureSocketOptions): number {
  const tried = `capture on device ${ifindex}`;
  // Without a protocol nothing is heard before it is bound.
  const fd = libc().socket(AF_PACKET, SOCK_RAW_CLOEXEC_NONBLOCK, 0);
  if (fd < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
  const room = u32Bytes(roomBytes);
  const attached = filter === undefined ? undefined : u32Bytes(filter.fd);
  const address = fixedHeader([2, AF_PACKET], [2, ALL_PROTOCOLS], [4, ifindex], [4, 0], [4, 0], [4, 0]);
  if (
    libc().setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, room, room.length) >= 0 &&
    (attached === undefined || libc().setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, attached, attached.length) >= 0) &&
    libc().bind(fd, address, address.length) >= 0
  ) {
    // The first call has the kernel stamp what comes from now on.
    stampOf(fd);
    return fd;
  }
  const code = errnoName(lastErrno());
  closeSync(fd);
  throw new NetlinkError(tried, code);
}

function readBurst(fd: number, buffer: Uint8Array, take: (frame: Uint8Array) => void): void {
  const until = performance.now() + TURN_MS;
  for (let frames = 0; frames < LEAST_FRAMES || performance.now() < until; frames += 1) {
    const size = libc().recv(fd, buffer, buffer.length, 0);
    if (size >= 0) {
      take(buffer.slice(0, size));
      continue;
    }
    const code = errnoName(lastErrno());
    if (code === 'EAGAIN') return;
    if (code !== 'EINTR') throw new NetlinkError('capture', code);
  }
}

/** Of the frame that was read last: struct timespec. Of one that has none it is now. */
function stampOf(fd: number): number {
  const time = new Uint8Array(16);
  return Math.round(libc().ioctlWith(fd, SIOCGSTAMPNS, time) < 0 ? 1000 * wallMs() : timespecUs(time));
}

/** struct tpacket_stats: frames, and of these those that were dropped. Reading sets both to 0. */
function readLost(fd: number): number {
  const stats = new Uint8Array(8);
  const size = u32Bytes(stats.length);
  if (libc().getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, stats, size) < 0) return 0;
  return new DataView(stats.buffer).getUint32(4, true);
}
