/** Addresses of devices. */
import { absentOn, succeeded } from '../ffi/errno.ts';
import { decodeIp, encodePrefix, type PrefixBytes } from './ip.ts';
import { bytes, decodeAttributes, fixedHeader, type NetlinkMessage, u32, viewOf } from './message.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM } from './socket.ts';

export type LinkAddress = {
  readonly ifindex: number;
  /** With prefix length: `10.0.0.5/24`. */
  readonly cidr: string;
  /** Given by the kernel itself (IPv6 link-local). */
  readonly linkLocal: boolean;
};

export type AddressOptions = {
  /** Do not add the route to the prefix. Default: the kernel adds it. */
  readonly noPrefixRoute?: boolean;
  /** Of a group of multicast: the host is a member of it on the device, and says so (MLD), as long as the address is there, whoever has added it. */
  readonly joins?: boolean;
};

const RTM_ADDRESS = { create: 20, delete: 21, get: 22 } as const;
const IFA = { address: 1, local: 2, flags: 8 } as const;
const IFA_F_NODAD = 0x02;
const IFA_F_NOPREFIXROUTE = 0x200;
const IFA_F_MCAUTOJOIN = 0x400;
const IFADDR_BYTES = 8;
const SCOPE_LINK = 253;

/** An event of RTNLGRP_IPV4_IFADDR or RTNLGRP_IPV6_IFADDR; undefined: another message. */
export type AddressEvent = { readonly address: LinkAddress; readonly gone: boolean };

export function decodeAddressEvent(message: NetlinkMessage): AddressEvent | undefined {
  const { type } = message;
  if (type !== RTM_ADDRESS.create && type !== RTM_ADDRESS.delete) return undefined;
  return { address: decodeAddress(message), gone: type === RTM_ADDRESS.delete };
}

/** All addresses, a datagram a turn. False: the list changed while it was read. */
export function readAddresses(socket: NetlinkSocket, take: (address: LinkAddress) => void): Promise<boolean> {
  const request = { type: RTM_ADDRESS.get, fixed: ifaddr(undefined, 0), tried: 'list the addresses' };
  return socket.dumpInTurns(request, (message) => take(decodeAddress(message)));
}

/** Addresses of one device, or of all. */
export function listAddresses(socket: NetlinkSocket, ifindex?: number): LinkAddress[] {
  const tried = ifindex === undefined ? 'list the addresses' : `list the addresses of device ${ifindex}`;
  const request = { type: RTM_ADDRESS.get, fixed: ifaddr(undefined, ifindex ?? 0), tried };
  return (absentOn(['ENODEV'], () => socket.dump(request)) ?? []).map(decodeAddress);
}

/** `cidr`: the address with its prefix length. Idempotent. IPv6 is usable at once (no duplicate detection: the server assigns). */
export function addAddress(socket: NetlinkSocket, ifindex: number, cidr: string, options: AddressOptions = {}): void {
  const { noPrefixRoute = false, joins = false } = options;
  const flags = IFA_F_NODAD | (noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0) | (joins ? IFA_F_MCAUTOJOIN : 0);
  const request = addressRequest(RTM_ADDRESS.create, ifindex, cidr, `add address ${cidr} to device ${ifindex}`);
  const attributes = [...(request.attributes ?? []), u32(IFA.flags, flags)];
  succeeded(() => socket.change({ ...request, attributes, flags: NLM.create | NLM.exclusive }), ['EEXIST']);
}

/** False: it was not there. */
export function deleteAddress(socket: NetlinkSocket, ifindex: number, cidr: string): boolean {
  const request = addressRequest(RTM_ADDRESS.delete, ifindex, cidr, `delete address ${cidr} of device ${ifindex}`);
  return succeeded(() => socket.change(request), ['EADDRNOTAVAIL', 'ENODEV']);
}

/** Makes these the device's only addresses (but IPv6 link-local ones); those that are right are not touched. */
export function setAddresses(socket: NetlinkSocket, ifindex: number, cidrs: readonly string[]): void {
  const canonical = new Set(cidrs.map((cidr) => formatPrefix(encodePrefix(cidr))));
  const assigned = (): string[] =>
    listAddresses(socket, ifindex)
      .filter((address) => !address.linkLocal)
      .map((address) => address.cidr);
  for (const cidr of assigned()) if (!canonical.has(cidr)) deleteAddress(socket, ifindex, cidr);
  // Read again: with a primary address the kernel removes the secondary ones of its prefix (promote_secondaries is off).
  const left = new Set(assigned());
  for (const cidr of canonical) if (!left.has(cidr)) addAddress(socket, ifindex, cidr);
}

function addressRequest(type: number, ifindex: number, cidr: string, tried: string): NetlinkRequest {
  const prefix = encodePrefix(cidr);
  const attributes = [bytes(IFA.local, prefix.bytes), bytes(IFA.address, prefix.bytes)];
  return { type, fixed: ifaddr(prefix, ifindex), attributes, tried };
}

/** struct ifaddrmsg. */
function ifaddr(prefix: PrefixBytes | undefined, ifindex: number): Uint8Array {
  return fixedHeader([1, prefix?.family ?? 0], [1, prefix?.length ?? 0], [1, 0], [1, 0], [4, ifindex]);
}

function decodeAddress(message: NetlinkMessage): LinkAddress {
  const attributes = decodeAttributes(message.body, IFADDR_BYTES);
  const address = attributes.get(IFA.local) ?? attributes.get(IFA.address) ?? new Uint8Array();
  return {
    ifindex: viewOf(message.body).getUint32(4, true),
    cidr: `${decodeIp(address)}/${message.body[1] ?? 0}`,
    linkLocal: message.body[3] === SCOPE_LINK && address.length === 16,
  };
}

function formatPrefix(prefix: PrefixBytes): string {
  return `${decodeIp(prefix.bytes)}/${prefix.length}`;
}
