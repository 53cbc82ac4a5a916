/** Network devices: list, change, move, delete. What the agent made itself it knows by its name's prefix. */

import { randomInt } from 'node:crypto';
import { startTurns } from '@cable/kit';
import { macToBytes, parseMac } from '@cable/model';
import { absentOn, NetlinkError, succeeded } from '../ffi/errno.ts';
import {
  type Attribute,
  bytes,
  decodeAttributes,
  fixedHeader,
  type NetlinkMessage,
  readText,
  readU32,
  text,
  u32,
  viewOf,
} from './message.ts';
import { type NetnsRef, withNetns } from './netns.ts';
import type { NetlinkRequest, NetlinkSocket } from './socket.ts';

/** A device's name, or its ifindex. */
export type LinkRef = string | number;

export type Link = {
  readonly ifindex: number;
  readonly name: string;
  /** Kind of a virtual device: `veth`, `tun` (a tap too), `vxlan`; empty for a physical one and loopback. */
  readonly kind: string;
  readonly mtuBytes: number;
  /** Lower case; empty: none. */
  readonly mac: string;
  /** RFC 2863; `unknown` for devices that do not track it. */
  readonly operState: OperState;
  /** IFF_*. */
  readonly flags: number;
  /** Administratively up (IFF_UP). */
  readonly up: boolean;
  /** Has a carrier (IFF_LOWER_UP). */
  readonly carrier: boolean;
  /** A veth's peer, in the peer's namespace; 0: none. */
  readonly peerIfindex: number;
  /** This namespace's number for the one that the peer is in; undefined: the same namespace. */
  readonly peerNetnsid: number | undefined;
  /** What somebody wrote about it (`ip link show`); empty: nothing. On a pod's link, whose it is (`cni/link-owner.ts`). */
  readonly alias: string;
};

const OPER_STATES = ['unknown', 'notpresent', 'down', 'lowerlayerdown', 'testing', 'dormant', 'up'] as const;
export type OperState = (typeof OPER_STATES)[number];

/** Message types and attributes of rtnetlink (linux/rtnetlink.h, linux/if_link.h). */
export const RTM_LINK = { create: 16, delete: 17, get: 18, set: 19 } as const;
export const IFLA = {
  address: 1,
  name: 3,
  mtu: 4,
  link: 5,
  operState: 16,
  info: 18,
  alias: 20,
  group: 27,
  netnsFd: 28,
  extMask: 29,
  peerNetnsid: 37,
  xdp: 43,
} as const;
export const IFLA_INFO = { kind: 1, data: 2 } as const;

/** Of the program of whatever mode; of several, one for each mode. */
const IFLA_XDP_IDS = [4, 5, 6, 7] as const;

const IFF_UP = 0x1;
const AF_UNSPEC = 0;
const IFF_LOWER_UP = 0x1_0000;
/** Of `Link.flags`: it takes frames to any MAC. */
export const IFF_PROMISC = 0x100;
const IFINFO_BYTES = 16;
const SKIP_STATISTICS = 1 << 3;
const NAME_BYTES = 15;

/** struct ifinfomsg. */
export function ifinfo(ifindex: number, flags = 0, change = 0): Uint8Array {
  return fixedHeader([1, 0], [1, 0], [2, 0], [4, ifindex], [4, flags], [4, change]);
}

export function listLinks(socket: NetlinkSocket): Link[] {
  const attributes = [u32(IFLA.extMask, SKIP_STATISTICS)];
  const tried = 'list the network devices';
  return socket.dump({ type: RTM_LINK.get, fixed: ifinfo(0), attributes, tried }).map(decodeLink);
}

/** As `listLinks`, a datagram a turn. False: the list changed while it was read. */
export function readLinks(socket: NetlinkSocket, take: (link: Link) => void): Promise<boolean> {
  const attributes = [u32(IFLA.extMask, SKIP_STATISTICS)];
  const request = { type: RTM_LINK.get, fixed: ifinfo(0), attributes, tried: 'list the network devices' };
  return socket.dumpInTurns(request, (message) => take(decodeLink(message)));
}

/** An event of RTNLGRP_LINK: what a device is now, or that it is gone from this namespace. */
export type LinkEvent = { readonly link: Link; readonly gone: boolean };

/** undefined: another message, or one about a part of a device only (a bridge's port, a radio). */
export function decodeLinkEvent(message: NetlinkMessage): LinkEvent | undefined {
  const { type, body } = message;
  if ((type !== RTM_LINK.create && type !== RTM_LINK.delete) || body[0] !== AF_UNSPEC) return undefined;
  const link = decodeLink(message);
  return link.mtuBytes === 0 ? undefined : { link, gone: type === RTM_LINK.delete };
}

/** undefined: no such device. */
export function getLink(socket: NetlinkSocket, ref: LinkRef): Link | undefined {
  const named = typeof ref === 'string';
  const attributes = [u32(IFLA.extMask, SKIP_STATISTICS), ...(named ? [text(IFLA.name, checkName(ref))] : [])];
  const request = { type: RTM_LINK.get, fixed: ifinfo(named ? 0 : ref), attributes, tried: `look at device ${ref}` };
  return absentOn(['ENODEV'], () => decodeLink(socket.get(request)));
}

/** Ids of the XDP programs on a device; none when it is gone. */
export function xdpPrograms(socket: NetlinkSocket, ifindex: number): readonly number[] {
  const attributes = [u32(IFLA.extMask, SKIP_STATISTICS)];
  const request = { type: RTM_LINK.get, fixed: ifinfo(ifindex), attributes, tried: `look at device ${ifindex}` };
  const answer = absentOn(['ENODEV'], () => socket.get(request));
  if (answer === undefined) return [];
  const xdp = decodeAttributes(decodeAttributes(answer.body, IFINFO_BYTES).get(IFLA.xdp) ?? new Uint8Array());
  return [...new Set(IFLA_XDP_IDS.map((id) => readU32(xdp.get(id))))].filter((id) => id !== 0);
}

/** As getLink; throws ENODEV when it is not there. */
export function requireLink(socket: NetlinkSocket, ref: LinkRef): Link {
  const link = getLink(socket, ref);
  if (link === undefined) throw new NetlinkError(`look at device ${ref}`, 'ENODEV');
  return link;
}

export type LinkChange = {
  readonly up?: boolean;
  readonly mtuBytes?: number;
  readonly mac?: string;
  /** The device must be down for it. */
  readonly name?: string;
  /** Empty: none. */
  readonly alias?: string;
  /** The namespace to move to; the device loses its addresses and goes down. */
  readonly netns?: NetnsRef;
};

/** Changes what is given, in one request. Idempotent. ENODEV: no such device. */
export function setLink(socket: NetlinkSocket, ref: LinkRef, change: LinkChange): void {
  const ifindex = typeof ref === 'number' ? ref : requireLink(socket, ref).ifindex;
  const flags = change.up === true ? IFF_UP : 0;
  withNetnsFd(change.netns, (netns) => {
    const attributes = [...linkAttributes(change), ...netns];
    const fixed = ifinfo(ifindex, flags, change.up === undefined ? 0 : IFF_UP);
    socket.change({ type: RTM_LINK.create, fixed, attributes, tried: `change device ${ref}` });
  });
}

/** True: the device takes frames to any MAC, not only its own (IFF_PROMISC, as `ip link set DEVICE promisc on` sets it). Idempotent. ENODEV: no such device. */
export function setPromiscuous(socket: NetlinkSocket, ifindex: number, on: boolean): void {
  const fixed = ifinfo(ifindex, on ? IFF_PROMISC : 0, IFF_PROMISC);
  socket.change({ type: RTM_LINK.set, fixed, attributes: [], tried: `make device ${ifindex} take frames to any MAC` });
}

/** Groups that users give are small numbers. */
const RANDOM_GROUP = 0x4000_0000;

/**
 * Deletes devices, of a veth pair both ends, all at once and in another thread: the kernel takes some 20 ms about it, for one or for many. Several are put into a
 * group for it, a new one each time, so that a crash between leaves nothing behind that a later call would delete. Absent is fine.
 */
export async function deleteLinksAside(socket: NetlinkSocket, refs: Iterable<LinkRef>): Promise<void> {
  const [first, ...others] = refs;
  if (first === undefined) return;
  const { fixed, attributes, tried } = others.length === 0 ? oneLink(first) : await groupOf(socket, [first, ...others]);
  const request = { type: RTM_LINK.delete, fixed, attributes, tried: `delete ${tried}` };
  await socket.changeAside(request).catch((err: unknown) => {
    // It went by itself, as when the namespace of its other end ended; of a group, all of them.
    if (!(err instanceof NetlinkError && err.code === 'ENODEV')) throw err;
  });
}

type Deleted = Pick<NetlinkRequest, 'fixed' | 'tried'> & { readonly attributes: readonly Attribute[] };

/** Nothing waits for the kernel in this thread: that may have its hands full with what was deleted before. */
function oneLink(ref: LinkRef): Deleted {
  const tried = `device ${ref}`;
  return typeof ref === 'number'
    ? { fixed: ifinfo(ref), attributes: [], tried }
    : { fixed: ifinfo(0), attributes: [text(IFLA.name, checkName(ref))], tried };
}

/** Those that are there, in a group. */
async function groupOf(socket: NetlinkSocket, refs: readonly LinkRef[]): Promise<Deleted> {
  const group = RANDOM_GROUP + randomInt(RANDOM_GROUP);
  const turns = startTurns();
  for (const ref of refs) {
    if (turns.due()) await turns.next();
    const { fixed, attributes, tried } = oneLink(ref);
    const request = { type: RTM_LINK.set, fixed, attributes: [...attributes, u32(IFLA.group, group)] };
    succeeded(() => socket.change({ ...request, tried: `put ${tried} into group ${group}` }), ['ENODEV']);
  }
  return { fixed: ifinfo(0), attributes: [u32(IFLA.group, group)], tried: `${refs.length} devices` };
}

/** Name, MAC, MTU and alias as attributes. */
export function linkAttributes(change: Pick<LinkChange, 'name' | 'mac' | 'mtuBytes' | 'alias'>): Attribute[] {
  return [
    ...(change.name === undefined ? [] : [text(IFLA.name, checkName(change.name))]),
    ...(change.mac === undefined ? [] : [bytes(IFLA.address, parseMacOrThrow(change.mac))]),
    ...(change.mtuBytes === undefined ? [] : [u32(IFLA.mtu, change.mtuBytes)]),
    ...(change.alias === undefined ? [] : [bytes(IFLA.alias, new Uint8Array(Buffer.from(change.alias)))]),
  ];
}

/** Runs `call` with the attribute that names the namespace, or with none. */
export function withNetnsFd<T>(netns: NetnsRef | undefined, call: (attributes: readonly Attribute[]) => T): T {
  if (netns === undefined) return call([]);
  return withNetns(netns, ({ fd }) => call([u32(IFLA.netnsFd, fd)]));
}

export function decodeLink(message: NetlinkMessage): Link {
  const view = viewOf(message.body);
  const attributes = decodeAttributes(message.body, IFINFO_BYTES);
  const info = decodeAttributes(attributes.get(IFLA.info) ?? new Uint8Array());
  const flags = view.getUint32(8, true);
  const netnsid = attributes.get(IFLA.peerNetnsid);
  const ifindex = view.getInt32(4, true);
  const peer = readU32(attributes.get(IFLA.link));
  return {
    ifindex,
    name: readText(attributes.get(IFLA.name)),
    kind: readText(info.get(IFLA_INFO.kind)),
    mtuBytes: readU32(attributes.get(IFLA.mtu)),
    mac: Array.from(attributes.get(IFLA.address) ?? [], (b) => b.toString(16).padStart(2, '0')).join(':'),
    operState: OPER_STATES[attributes.get(IFLA.operState)?.[0] ?? 0] ?? 'unknown',
    flags,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
    peerIfindex: peer,
    alias: readText(attributes.get(IFLA.alias)),
    peerNetnsid: netnsid === undefined ? undefined : viewOf(netnsid).getInt32(0, true),
  };
}

function parseMacOrThrow(mac: string): Uint8Array {
  const parsed = parseMac(mac);
  if (parsed === undefined) throw new NetlinkError(`set the MAC address ${mac}`, 'EINVAL', 'not a MAC address');
  return macToBytes(parsed);
}

function checkName(name: string): string {
  if (/^[^\s/:]+$/.test(name) && name !== '.' && name !== '..' && Buffer.byteLength(name) <= NAME_BYTES) return name;
  throw new NetlinkError(
    `name a device "${name}"`,
    'EINVAL',
    `a name has 1 to ${NAME_BYTES} characters, no space, / or :`,
  );
}
