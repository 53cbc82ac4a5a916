import { closeSync } from 'node:fs';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { fixedHeader } from './message.ts';

const AF_PACKET = 17;
const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0x80000 | 0x800;

/** Sends Ethernet frames out of devices of this namespace (packet(7)); it receives none. */
export class FrameSocket {
  readonly #fd: number;

  constructor() {
    this.#fd = libc().socket(AF_PACKET, SOCK_RAW_CLOEXEC_NONBLOCK, 0);
    if (this.#fd < 0) throw new NetlinkError('open a packet socket', errnoName(lastErrno()));
  }

  /**
   * To whoever is at the other end of the device. Throws NetlinkError: ENXIO or ENODEV when the device is gone, ENETDOWN when it is down, ENOBUFS or EAGAIN
   * when it takes nothing now.
   */
  send(ifindex: number, frame: Uint8Array): void {
    const address = fixedHeader([2, AF_PACKET], [2, 0], [4, ifindex], [4, 0], [4, 0], [4, 0]);
    if (libc().sendto(this.#fd, frame, frame.length, 0, address, address.length) >= 0) return;
    throw new NetlinkError(`send a frame out of device ${ifindex}`, errnoName(lastErrno()));
  }

  close(): void {
    closeSync(this.#fd);
  }
}
