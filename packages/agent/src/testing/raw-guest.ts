/** For tests: a guest behind a real tap that sends any frame and hears what comes back, and an ear on any device. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { fixedHeader } from '../net/message.ts';
import { inNetns, type NetnsRef } from '../net/netns.ts';

const TUNSETIFF = 0x400454ca;
const IFF_TAP_NO_PI = 0x0002 | 0x1000;
const O_RDWR_NONBLOCK = 0o4002;
const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0x80000 | 0x800;
/** ETH_P_ALL in network order. */
const ALL_PROTOCOLS = 0x0300;
const FRAME_BYTES = 1 << 16;

/** `take`: the frames that were delivered since it was called last, with their VLAN tags. */
export type RawGuest = { send(frame: Uint8Array): void; take(): readonly Buffer[]; close(): void };

/** Holds a tap that is there, as a hypervisor does: it has a carrier then. */
export function holdTap(netns: NetnsRef, name: string): RawGuest {
  const ioctl = koffi.load('libc.so.6').func('int ioctl(int fd, ulong request, void *argument)');
  const fd = inNetns(netns, () => {
    const tun = openSync('/dev/net/tun', O_RDWR_NONBLOCK);
    const request = Buffer.alloc(40);
    request.write(name, 'latin1');
    request.writeUInt16LE(IFF_TAP_NO_PI, 16);
    if (ioctl(tun, TUNSETIFF, request) === 0) return tun;
    closeSync(tun);
    throw new NetlinkError(`hold tap ${name}`, errnoName(lastErrno()));
  });
  const send = (frame: Uint8Array): void => void writeSync(fd, frame);
  return { send, take: () => framesIn(fd), close: () => closeSync(fd) };
}

function framesIn(fd: number): readonly Buffer[] {
  const frames: Buffer[] = [];
  const buffer = Buffer.alloc(FRAME_BYTES);
  try {
    for (;;) frames.push(Buffer.from(buffer.subarray(0, readSync(fd, buffer))));
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EAGAIN') throw err;
    return frames;
  }
}

/** `take`: the frames that passed since it was called last. */
export type Ear = { take(): readonly Buffer[]; close(): void };

/** Hears what passes by a device, either way. */
export function hearFrames(netns: NetnsRef, ifindex: number): Ear {
  const fd = inNetns(netns, () => libc().socket(AF_PACKET, SOCK_RAW_CLOEXEC_NONBLOCK, ALL_PROTOCOLS));
  const address = fixedHeader([2, AF_PACKET], [2, ALL_PROTOCOLS], [4, ifindex], [4, 0], [4, 0], [4, 0]);
  if (fd < 0 || libc().bind(fd, address, address.length) < 0) {
    throw new NetlinkError(`hear device ${ifindex}`, errnoName(lastErrno()));
  }
  const buffer = new Uint8Array(FRAME_BYTES);
  const take = (): readonly Buffer[] => {
    const frames: Buffer[] = [];
    for (;;) {
      const size = libc().recv(fd, buffer, buffer.length, 0);
      if (size < 0) return frames;
      frames.push(Buffer.from(buffer.slice(0, size)));
    }
  };
  take();
  return { take, close: () => closeSync(fd) };
}
