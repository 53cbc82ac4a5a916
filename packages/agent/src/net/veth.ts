/** veth pairs, made or adopted: a pair that is already as wanted is taken as it is. */
import { absentOn, NetlinkError } from '../ffi/errno.ts';
import {
  getLink,
  IFLA,
  IFLA_INFO,
  ifinfo,
  type Link,
  linkAttributes,
  RTM_LINK,
  requireLink,
  setLink,
  withNetnsFd,
} from './link.ts';
import { type Attribute, bytes, decodeAttributes, encodeAttributes, nest, readU32, text } from './message.ts';
import type { NetnsRef } from './netns.ts';
import { NetlinkSocket, NLM } from './socket.ts';

export type VethEnd = {
  readonly name: string;
  /** Default: random, kept when adopted. */
  readonly mac?: string;
  /** Default 1500. */
  readonly mtuBytes?: number;
  /** Default true. */
  readonly up?: boolean;
};

export type VethSpec = VethEnd & {
  /** `netns`: the namespace that the peer lives in; default: the socket's own. */
  readonly peer: VethEnd & { readonly netns?: NetnsRef };
};

export type VethPair = {
  readonly link: Link;
  readonly peer: Link;
  /** False: it was there already. */
  readonly created: boolean;
};

const VETH_INFO_PEER = 1;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;

/**
 * Makes the pair, or brings an existing one to the wanted MAC, MTU and state. EEXIST: a device of that name is something else,
 * or the pair's other end is not the wanted one.
 */
export function ensureVeth(socket: NetlinkSocket, spec: VethSpec): VethPair {
  const existing = getLink(socket, spec.name);
  return withPeerSocket(socket, spec.peer.netns, (peerSocket) => {
    if (existing !== undefined) return adopt(socket, peerSocket, existing, spec);
    createVeth(socket, spec);
    // Only a complete pair can come up: veth_open answers ENOTCONN while the other end is not there.
    if (spec.up !== false) setLink(socket, spec.name, { up: true });
    if (spec.peer.up !== false) setLink(peerSocket, spec.peer.name, { up: true });
    return { link: requireLink(socket, spec.name), peer: requireLink(peerSocket, spec.peer.name), created: true };
  });
}

function withPeerSocket<T>(socket: NetlinkSocket, netns: NetnsRef | undefined, call: (peer: NetlinkSocket) => T): T {
  if (netns === undefined) return call(socket);
  const peerSocket = new NetlinkSocket({ netns });
  try {
    return call(peerSocket);
  } finally {
    peerSocket.close();
  }
}

/** Makes both ends by one request, down, the peer in its namespace from the start. EEXIST: one end has a name that is taken. */
export function createVeth(socket: NetlinkSocket, spec: VethSpec): void {
  withNetnsFd(spec.peer.netns, (netns) => {
    const peer = bytes(VETH_INFO_PEER, peerInfo(spec.peer, netns));
    const info = nest(IFLA.info, [text(IFLA_INFO.kind, 'veth'), nest(IFLA_INFO.data, [peer])]);
    socket.change({
      type: RTM_LINK.create,
      flags: NLM.create | NLM.exclusive,
      fixed: ifinfo(0),
      attributes: [...linkAttributes(spec), info],
      tried: `create the veth pair ${spec.name} and ${spec.peer.name}`,
    });
  });
}

/** The peer is described as a device of its own: struct ifinfomsg, then its attributes. */
function peerInfo(peer: VethEnd, netns: readonly Attribute[]): Uint8Array {
  const attributes = encodeAttributes([...linkAttributes(peer), ...netns]);
  return new Uint8Array(Buffer.concat([ifinfo(0), attributes]));
}

function adopt(socket: NetlinkSocket, peerSocket: NetlinkSocket, link: Link, spec: VethSpec): VethPair {
  const peer = getLink(peerSocket, spec.peer.name);
  const paired =
    link.kind === 'veth' &&
    peer?.kind === 'veth' &&
    link.peerIfindex === peer.ifindex &&
    peer.peerIfindex === link.ifindex &&
    link.peerNetnsid === (spec.peer.netns === undefined ? undefined : netnsNumber(socket, spec.peer.netns));
  if (peer === undefined || !paired) {
    const detail = `it is there, but its other end is not ${spec.peer.name}${spec.peer.netns === undefined ? '' : ` in ${nameOf(spec.peer.netns)}`}`;
    throw new NetlinkError(`create the veth pair ${spec.name}`, 'EEXIST', detail);
  }
  bringTo(socket, link, spec);
  bringTo(peerSocket, peer, spec.peer);
  return { link: requireLink(socket, link.ifindex), peer: requireLink(peerSocket, peer.ifindex), created: false };
}

/** Writes only what differs, so that an adopted pair in use is not disturbed. */
function bringTo(socket: NetlinkSocket, link: Link, end: VethEnd): void {
  const change = {
    ...(end.mac === undefined || end.mac.toLowerCase() === link.mac ? {} : { mac: end.mac }),
    ...(end.mtuBytes === undefined || end.mtuBytes === link.mtuBytes ? {} : { mtuBytes: end.mtuBytes }),
    ...((end.up ?? true) === link.up ? {} : { up: end.up ?? true }),
  };
  if (Object.keys(change).length > 0) setLink(socket, link.ifindex, change);
}

/** This namespace's number for another one; undefined: it has none, or is the same namespace. */
export function netnsNumber(socket: NetlinkSocket, netns: NetnsRef): number | undefined {
  return withNetnsFd(netns, ([attribute]) => {
    if (attribute === undefined) return undefined;
    const attributes = [{ type: NETNSA_FD, data: attribute.data }];
    const request = {
      type: RTM_GETNSID,
      fixed: Uint8Array.of(0),
      attributes,
      tried: `number namespace ${nameOf(netns)}`,
    };
    const answer = absentOn(['ENOENT'], () => socket.get(request));
    const id = answer === undefined ? -1 : readU32(decodeAttributes(answer.body, 4).get(NETNSA_NSID)) | 0;
    return id < 0 ? undefined : id;
  });
}

function nameOf(netns: NetnsRef): string {
  return typeof netns === 'string' ? netns : netns.path;
}
