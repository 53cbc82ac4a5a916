/** A raw ICMPv6 socket (icmp6(7), RFC 3542): Node has none. The kernel makes checksums, and drops what has a wrong one. */
import { closeSync } from 'node:fs';
import { TURN_MS } from '@cable/kit';
import koffi from 'koffi';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { AF_INET6, decodeIp } from './ip.ts';
import { u32Bytes } from './message.ts';
import type { NetnsRef } from './netns.ts';
import { ICMP6_FILTER, IPPROTO_ICMPV6, IPV6_UNICAST_HOPS, openRawSocket, SOL_IPV6, sendRaw } from './raw-socket.ts';

export type Icmp6SocketOptions = {
  /** Bound to; in digits. */
  readonly address: string;
  /** The one ICMPv6 type that is heard. */
  readonly type: number;
  /** A message from its type on, and who sent it. */
  readonly onMessage: (bytes: Uint8Array, sender: string) => void;
  /** The socket failed, and hears nothing more. */
  readonly onError: (err: Error) => void;
  /** Default: the namespace that this process is in. */
  readonly netns?: NetnsRef;
  readonly signal: AbortSignal;
};

/** `send`: a message from its type on, with hop limit 255. False: the kernel takes it not (no route, no room). */
export type Icmp6Socket = { send(bytes: Uint8Array, address: string): boolean };

const RECEIVE_BYTES = 2048;
const LEAST_MESSAGES = 64;

/** Ends, and lets the process end, when the signal aborts. Throws NetlinkError: EADDRNOTAVAIL, EAFNOSUPPORT. */
export function openIcmp6Socket(options: Icmp6SocketOptions): Icmp6Socket {
  const { address, type, netns } = options;
  const fd = openRawSocket({
    ...{ family: AF_INET6, protocol: IPPROTO_ICMPV6, address, netns, tried: `hear ICMPv6 at ${address}` },
    options: [
      [IPPROTO_ICMPV6, ICMP6_FILTER, allBut(type)],
      [SOL_IPV6, IPV6_UNICAST_HOPS, u32Bytes(255)],
    ],
  });
  let isOpen = true;
  const poll = koffi.node.poll(fd, { readable: true }, () => {
    if (!isOpen) return;
    try {
      readBurst(fd, options.onMessage);
    } catch (err) {
      stop();
      options.onError(err instanceof Error ? err : new Error(String(err)));
    }
  });
  const stop = (): void => {
    if (!isOpen) return;
    isOpen = false;
    poll.close();
    closeSync(fd);
  };
  if (options.signal.aborted) stop();
  else options.signal.addEventListener('abort', stop, { once: true });
  return { send: (bytes, to) => isOpen && sendRaw(fd, bytes, to) };
}

/** struct icmp6_filter: a bit that is set blocks its type. */
function allBut(type: number): Uint8Array {
  const words = new Uint32Array(8).fill(0xffff_ffff);
  words[type >>> 5] = ~(1 << (type & 31));
  return new Uint8Array(words.buffer);
}

function readBurst(fd: number, take: Icmp6SocketOptions['onMessage']): void {
  const until = performance.now() + TURN_MS;
  const buffer = new Uint8Array(RECEIVE_BYTES);
  const sender = new Uint8Array(28);
  for (let messages = 0; messages < LEAST_MESSAGES || performance.now() < until; messages += 1) {
    const senderBytes = u32Bytes(sender.length);
    const size = libc().recvfrom(fd, buffer, buffer.length, 0, sender, senderBytes);
    if (size >= 0) {
      take(buffer.slice(0, size), decodeIp(sender.slice(8, 24)));
      continue;
    }
    const code = errnoName(lastErrno());
    if (code === 'EAGAIN') return;
    if (code !== 'EINTR') throw new NetlinkError('hear ICMPv6', code);
  }
}
