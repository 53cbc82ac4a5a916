/** Hears what the kernel tells, without polling: of links, addresses and filters; of routes; of nf_tables; of IPsec. */
import { closeSync } from 'node:fs';
import { TURN_MS } from '@cable/kit';
import koffi from 'koffi';
import { absentOn, errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { decodeMessages, type NetlinkMessage } from './message.ts';
import { inNetns, type NetnsRef } from './netns.ts';
import { NETLINK, type NetlinkProtocol, openNetlinkSocket } from './socket.ts';

export type WatchOptions = {
  /** Each message, in the order in which things happened. */
  readonly onMessage: (message: NetlinkMessage) => void;
  /** After each burst of messages. */
  readonly onBurst: () => void;
  /** The kernel could not keep all messages: look for yourself. From this call on all are heard again. */
  readonly onLoss: () => void;
  readonly signal: AbortSignal;
  /** The network namespace to hear; default: the one this process is in. */
  readonly netns?: NetnsRef;
  /** What may wait to be read. Default 16 MiB: some thousands of messages. */
  readonly receiveBytes?: number;
};

/** What is heard since it was made. */
export type NetlinkWatch = {
  /**
   * Reads now what was told already, of much only a part; true: nothing is left. What this process changed itself is told
   * before the change returns, so it is heard by this.
   */
  readNow(): boolean;
};

/** RTNLGRP_LINK and so on (linux/rtnetlink.h): bit n - 1 for group n. */
const GROUP = {
  link: 0x1,
  filter: 0x8,
  ipv4Address: 0x10,
  ipv4Route: 0x40,
  ipv4Rule: 0x80,
  ipv6Address: 0x100,
  ipv6Route: 0x400,
  ipv6Rule: 0x4_0000,
  nextHop: 0x8000_0000,
} as const;
const DEVICE_GROUPS = GROUP.link | GROUP.filter | GROUP.ipv4Address | GROUP.ipv6Address;
const ROUTE_GROUPS = GROUP.ipv4Route | GROUP.ipv4Rule | GROUP.ipv6Route | GROUP.ipv6Rule | GROUP.nextHop;
/** NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h), in the same way. */
const NFTABLES_GROUPS = 1 << 6;
/** XFRMNLGRP_POLICY (linux/xfrm.h), in the same way. */
const XFRM_POLICY_GROUPS = 1 << 3;
const BUFFER_BYTES = 16 << 20;
const RECEIVE_BYTES = 1 << 16;
/** Limits of one turn of the event loop; what does not fit is read in the next. So many are read however long it takes. */
const LEAST_MESSAGES = 64;

/** Starts to hear of links, addresses and filters. Ends, and lets the process end, when the signal aborts. */
export function watchDevices(options: WatchOptions): NetlinkWatch {
  return watch(NETLINK.route, DEVICE_GROUPS, options);
}

/** As `watchDevices`, of what routing rests on: routes, rules and next hops that routes share. */
export function watchRoutes(options: WatchOptions): NetlinkWatch {
  return watch(NETLINK.route, ROUTE_GROUPS, options);
}

/** As `watchDevices`, of nf_tables: what anybody changes in tables, chains and rules. */
export function watchNftables(options: WatchOptions): NetlinkWatch {
  return watch(NETLINK.netfilter, NFTABLES_GROUPS, options);
}

/** As `watchDevices`, of policies of IPsec. Undefined where the kernel has none. */
export function watchIpsecPolicies(options: WatchOptions): NetlinkWatch | undefined {
  return absentOn(['EPROTONOSUPPORT'], () => watch(NETLINK.xfrm, XFRM_POLICY_GROUPS, options));
}

function watch(protocol: NetlinkProtocol, groups: number, options: WatchOptions): NetlinkWatch {
  const { netns, receiveBytes = BUFFER_BYTES } = options;
  const open = (): number => openNetlinkSocket({ protocol, groups, nonBlocking: true, receiveBytes });
  const fd = netns === undefined ? open() : inNetns(netns, open);
  const buffer = new Uint8Array(RECEIVE_BYTES);
  let lost = false;
  const readNow = (): boolean => {
    const burst = readBurst(fd, buffer, options.onMessage);
    lost ||= burst.lost;
    if (burst.messages > 0) options.onBurst();
    // Until all is read the kernel goes on dropping, and does not say so again.
    if (lost && burst.drained) {
      lost = false;
      options.onLoss();
    }
    return burst.drained;
  };
  const listen = (): ReturnType<typeof koffi.node.poll> =>
    koffi.node.poll(fd, { readable: true }, (...[status]: readonly unknown[]) => {
      // The kernel's "messages were lost" is an error of the socket: libuv then listens no more (its status is EBADF).
      if (typeof status === 'number' && status < 0) {
        poll.close();
        poll = listen();
      }
      readNow();
    });
  let poll = listen();
  const stop = (): void => {
    poll.close();
    closeSync(fd);
  };
  if (options.signal.aborted) stop();
  else options.signal.addEventListener('abort', stop, { once: true });
  return { readNow: () => options.signal.aborted || readNow() };
}

type Burst = { readonly messages: number; readonly lost: boolean; readonly drained: boolean };

function readBurst(fd: number, buffer: Uint8Array, take: (message: NetlinkMessage) => void): Burst {
  const until = performance.now() + TURN_MS;
  let messages = 0;
  let lost = false;
  while (messages < LEAST_MESSAGES || performance.now() < until) {
    const size = libc().recv(fd, buffer, buffer.length, 0);
    const code = size < 0 ? errnoName(lastErrno()) : '';
    if (code === 'EAGAIN') return { messages, lost, drained: true };
    if (code === 'ENOBUFS') lost = true;
    else if (code !== '' && code !== 'EINTR') throw new NetlinkError('hear what the kernel tells', code);
    if (size <= 0) continue;
    for (const message of decodeMessages(buffer.slice(0, size))) {
      messages += 1;
      take(message);
    }
  }
  return { messages, lost, drained: false };
}
