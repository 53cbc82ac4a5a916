import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { addressOf, lastErrno, libc } from '../ffi/libc.ts';
import type { NetlinkSocket } from './socket.ts';

const SIOCETHTOOL = 0x8946;
/** ETHTOOL_STXCSUM, ETHTOOL_STSO (linux/ethtool.h). */
const SETTINGS = [0x17, 0x1f] as const;
const IFREQ_BYTES = 40;
const NAME_BYTES = 16;

/**
 * Turns a device's offloads of what it sends off: packets are in segments, and their checksums complete, before they come to it. That of the socket's namespace. What
 * is so already stays.
 */
export function turnOffloadsOff(socket: Pick<NetlinkSocket, 'fd'>, name: string): void {
  for (const setting of SETTINGS) {
    const value = new Uint8Array(Uint32Array.of(setting, 0).buffer);
    const request = Buffer.alloc(IFREQ_BYTES);
    request.write(name, 0, NAME_BYTES - 1, 'latin1');
    request.writeBigUInt64LE(addressOf(value), NAME_BYTES);
    if (libc().ioctlWith(socket.fd, SIOCETHTOOL, request) >= 0) continue;
    throw new NetlinkError(`turn the offloads of ${name} off`, errnoName(lastErrno()), `value ${value[0]}`);
  }
}
