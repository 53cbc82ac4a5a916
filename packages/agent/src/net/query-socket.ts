/** Raw sockets that send questions for groups of multicast (RFC 3376, RFC 3810): with a hop limit of 1 and a router alert, without which hosts hear none. They receive nothing. */
import { closeSync } from 'node:fs';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { socketAddress } from './bound-socket.ts';
import { AF_INET, AF_INET6 } from './ip.ts';
import { u32Bytes } from './message.ts';
import { inNetns, type NetnsRef } from './netns.ts';

export type QuerySocketOptions = {
  readonly version: 4 | 6;
  /** Bound to; in digits. */
  readonly address: string;
  /** Default: the namespace that this process is in. */
  readonly netns?: NetnsRef;
  readonly signal: AbortSignal;
};

/** `send`: a message of IGMP or ICMPv6 from its type on. False: the kernel takes it not (no route, no room). */
export type QuerySocket = { send(bytes: Uint8Array, address: string): boolean };

type SocketOption = readonly [level: number, name: number, value: Uint8Array];

const SOCK_RAW_CLOEXEC_NONBLOCK = 3 | 0x80000 | 0x800;
const [IPPROTO_IP, IPPROTO_IGMP, SOL_IPV6, IPPROTO_ICMPV6] = [0, 2, 41, 58];
const [IP_TTL, IP_OPTIONS, IPV6_UNICAST_HOPS, IPV6_HOPOPTS, ICMP6_FILTER] = [2, 4, 16, 54, 1];
const [SOL_SOCKET, SO_RCVBUF] = [1, 8];

/** RFC 2113, and RFC 2711 with the header that carries it. */
const ROUTER_ALERT = { 4: new Uint8Array([148, 4, 0, 0]), 6: new Uint8Array([0, 0, 5, 2, 0, 0, 1, 0]) } as const;
/** What comes in is left lying. */
const LITTLE: SocketOption = [SOL_SOCKET, SO_RCVBUF, u32Bytes(0)];
const NOTHING_HEARD = new Uint8Array(32).fill(0xff);

const OPTIONS: Readonly<Record<4 | 6, readonly SocketOption[]>> = {
  4: [LITTLE, [IPPROTO_IP, IP_TTL, u32Bytes(1)], [IPPROTO_IP, IP_OPTIONS, ROUTER_ALERT[4]]],
  6: [
    LITTLE,
    [IPPROTO_ICMPV6, ICMP6_FILTER, NOTHING_HEARD],
    [SOL_IPV6, IPV6_UNICAST_HOPS, u32Bytes(1)],
    [SOL_IPV6, IPV6_HOPOPTS, ROUTER_ALERT[6]],
  ],
};

/** Ends when the signal aborts. Throws NetlinkError: EADDRNOTAVAIL, EAFNOSUPPORT. */
export function openQuerySocket(options: QuerySocketOptions): QuerySocket {
  const open = (): number => bindSocket(options);
  const fd = options.netns === undefined ? open() : inNetns(options.netns, open);
  let isOpen = true;
  const stop = (): void => {
    if (isOpen) closeSync(fd);
    isOpen = false;
  };
  if (options.signal.aborted) stop();
  else options.signal.addEventListener('abort', stop, { once: true });
  return {
    send: (bytes, address) => {
      const name = socketAddress(address, 0);
      return isOpen && libc().sendto(fd, bytes, bytes.length, 0, name, name.length) >= 0;
    },
  };
}

function bindSocket({ version, address }: QuerySocketOptions): number {
  const tried = `ask for groups from ${address}`;
  const [family, protocol] = version === 4 ? [AF_INET, IPPROTO_IGMP] : [AF_INET6, IPPROTO_ICMPV6];
  const fd = libc().socket(family, SOCK_RAW_CLOEXEC_NONBLOCK, protocol);
  if (fd < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
  try {
    for (const [level, name, value] of OPTIONS[version])
      if (libc().setsockopt(fd, level, name, value, value.length) < 0)
        throw new NetlinkError(tried, errnoName(lastErrno()));
    const name = socketAddress(address, 0);
    if (libc().bind(fd, name, name.length) < 0) throw new NetlinkError(tried, errnoName(lastErrno()));
    return fd;
  } catch (err) {
    closeSync(fd);
    throw err;
  }
}
