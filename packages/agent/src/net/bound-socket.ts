/**
 * Sockets that are bound inside a network namespace, for Node to take over by their descriptor. Node itself looks an address up before it binds, also one
 * in digits, and so in a later turn, when the thread is in its own namespace again.
 */
import { closeSync } from 'node:fs';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { AF_INET6, encodeIp } from './ip.ts';
import { fixedHeader, u32Bytes } from './message.ts';
import { inNetns, type NetnsRef } from './netns.ts';

export type BoundSocketOptions = {
  readonly kind: 'tcp' | 'udp';
  /** IPv4 or IPv6, in digits. */
  readonly address: string;
  readonly port: number;
  /** Default: the namespace that this process is in. */
  readonly netns?: NetnsRef;
  /** What may wait to be read, beyond the limit of the system. Default: the system's, some 200 KiB. */
  readonly receiveBytes?: number;
};

const SOCK = { tcp: 1, udp: 2 } as const;
const SOCK_CLOEXEC_NONBLOCK = 0x80000 | 0x800;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUFFORCE = 33;

/** The descriptor, for whoever takes it to close. Throws NetlinkError: EADDRINUSE, EADDRNOTAVAIL. */
export function openBoundSocket(options: BoundSocketOptions): number {
  const open = (): number => bindSocket(options);
  return options.netns === undefined ? open() : inNetns(options.netns, open);
}

function bindSocket({ kind, address, port, receiveBytes }: BoundSocketOptions): number {
  const tried = `listen on ${address}, ${kind} port ${port}`;
  const fd = libc().socket(encodeIp(address).family, SOCK[kind] | SOCK_CLOEXEC_NONBLOCK, 0);
  if (fd < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
  try {
    // Connections of an agent before may rest still. On UDP it would let others bind the same.
    if (kind === 'tcp') setOption(fd, SO_REUSEADDR, 1, tried);
    if (receiveBytes !== undefined) setOption(fd, SO_RCVBUFFORCE, receiveBytes, tried);
    const name = socketAddress(address, port);
    if (libc().bind(fd, name, name.length) < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
    return fd;
  } catch (err) {
    closeSync(fd);
    throw err;
  }
}

function setOption(fd: number, name: number, value: number, tried: string): void {
  const bytes = u32Bytes(value);
  if (libc().setsockopt(fd, SOL_SOCKET, name, bytes, bytes.length) < 0) {
    throw new NetlinkError(tried, errnoName(lastErrno()));
  }
}

/** struct sockaddr_in or sockaddr_in6. */
export function socketAddress(address: string, port: number): Uint8Array {
  const { family, bytes } = encodeIp(address);
  const head = [...fixedHeader([2, family]), port >> 8, port & 0xff];
  const zeros = (count: number): number[] => new Array(count).fill(0);
  return Uint8Array.of(
    ...head,
    ...(family === AF_INET6 ? [...zeros(4), ...bytes, ...zeros(4)] : [...bytes, ...zeros(8)]),
  );
}
