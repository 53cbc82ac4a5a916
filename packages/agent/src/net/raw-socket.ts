/** Raw IP sockets (raw(7)): Node has none. */
import { closeSync } from 'node:fs';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { socketAddress } from './bound-socket.ts';
import { inNetns, type NetnsRef } from './netns.ts';

export type SocketOption = readonly [level: number, name: number, value: Uint8Array];

export type RawSocketOptions = {
  /** AF_*, IPPROTO_*. */
  readonly family: number;
  readonly protocol: number;
  readonly options: readonly SocketOption[];
  /** Bound to; in digits. */
  readonly address: string;
  /** What it is for, in errors. */
  readonly tried: string;
  /** Default: the namespace that this process is in. */
  readonly netns?: NetnsRef | undefined;
};

const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0x80000 | 0x800;

export const IPPROTO_IGMP = 2;
export const IPPROTO_ICMPV6 = 58;
export const ICMP6_FILTER = 1;
export const SOL_IPV6 = 41;
export const IPV6_UNICAST_HOPS = 16;

/** Its file descriptor. Throws NetlinkError: EADDRNOTAVAIL, EAFNOSUPPORT. */
export function openRawSocket(options: RawSocketOptions): number {
  const open = (): number => bound(options);
  return options.netns === undefined ? open() : inNetns(options.netns, open);
}

/** Sends what comes after the IP header. False: the kernel takes it not (no route, no room). */
export function sendRaw(fd: number, bytes: Uint8Array, address: string): boolean {
  const name = socketAddress(address, 0);
  return libc().sendto(fd, bytes, bytes.length, 0, name, name.length) >= 0;
}

function bound({ family, protocol, options, address, tried }: RawSocketOptions): number {
  const check = (result: number): void => {
    if (result < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
  };
  const fd = libc().socket(family, SOCK_RAW_CLOEXEC_NONBLOCK, protocol);
  check(fd);
  try {
    for (const [level, name, value] of options) check(libc().setsockopt(fd, level, name, value, value.length));
    const name = socketAddress(address, 0);
    check(libc().bind(fd, name, name.length));
    return fd;
  } catch (err) {
    closeSync(fd);
    throw err;
  }
}
