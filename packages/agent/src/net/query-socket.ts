/** Raw sockets that send questions for groups of multicast (RFC 3376, RFC 3810): with a hop limit of 1 and a router alert, without which hosts hear none. They receive nothing. */
import { closeSync } from 'node:fs';
import { AF_INET, AF_INET6 } from './ip.ts';
import { u32Bytes } from './message.ts';
import type { NetnsRef } from './netns.ts';
import {
  ICMP6_FILTER,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
  IPV6_UNICAST_HOPS,
  openRawSocket,
  SOL_IPV6,
  type SocketOption,
  sendRaw,
} from './raw-socket.ts';

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

const [IPPROTO_IP, IP_TTL, IP_OPTIONS, IPV6_HOPOPTS] = [0, 2, 4, 54];
const [SOL_SOCKET, SO_RCVBUF] = [1, 8];

/** RFC 2113, and RFC 2711 with the header that carries it. */
const ROUTER_ALERT = { 4: new Uint8Array([148, 4, 0, 0]), 6: new Uint8Array([0, 0, 5, 2, 0, 0, 1, 0]) } as const;
/** What comes in is left lying. */
const LITTLE: SocketOption = [SOL_SOCKET, SO_RCVBUF, u32Bytes(0)];
const NOTHING_HEARD = new Uint8Array(32).fill(0xff);

const KINDS = {
  4: {
    family: AF_INET,
    protocol: IPPROTO_IGMP,
    options: [LITTLE, [IPPROTO_IP, IP_TTL, u32Bytes(1)], [IPPROTO_IP, IP_OPTIONS, ROUTER_ALERT[4]]],
  },
  6: {
    family: AF_INET6,
    protocol: IPPROTO_ICMPV6,
    options: [
      LITTLE,
      [IPPROTO_ICMPV6, ICMP6_FILTER, NOTHING_HEARD],
      [SOL_IPV6, IPV6_UNICAST_HOPS, u32Bytes(1)],
      [SOL_IPV6, IPV6_HOPOPTS, ROUTER_ALERT[6]],
    ],
  },
} as const;

/** Ends when the signal aborts. Throws NetlinkError: EADDRNOTAVAIL, EAFNOSUPPORT. */
export function openQuerySocket({ version, address, netns, signal }: QuerySocketOptions): QuerySocket {
  const fd = openRawSocket({ ...KINDS[version], address, netns, tried: `ask for groups from ${address}` });
  let isOpen = true;
  const stop = (): void => {
    if (isOpen) closeSync(fd);
    isOpen = false;
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return { send: (bytes, to) => isOpen && sendRaw(fd, bytes, to) };
}
