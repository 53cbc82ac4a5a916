/**
 * The links that the agent makes for the vrouter, in its own namespace: `cable0` and `cable1`, the service link's ends, and `cablevx`,
 * the overlay. They are known by name, adopted when there, and stay when the agent goes.
 */
import { absentOn } from '../ffi/errno.ts';
import { setAddresses } from '../net/address.ts';
import { deleteLink, ifinfo, type Link, RTM_LINK } from '../net/link.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { writeSysctl } from '../net/sysctl.ts';
import { ensureVeth } from '../net/veth.ts';
import { ensureVxlan } from '../net/vxlan.ts';
import type { LinkTable } from './link-table.ts';

export type OwnLinks = {
  /** The agent's end of the service link. */
  readonly service: Link;
  /** The vrouter's end. */
  readonly servicePeer: Link;
  readonly overlay: Link;
};

/** The agent's address on the service link; each VIF's is 198.18.0.0 + its slot. */
export const SERVICE_ADDRESS = '198.18.0.1';
const SERVICE_CIDR = `${SERVICE_ADDRESS}/15`;
const OVERLAY_UDP_PORT = 4789;
/** Outer IPv4, UDP, VXLAN and inner Ethernet headers. */
export const OVERLAY_OVERHEAD_BYTES = 50;
const IFF_NOARP = 0x80;

/** Makes or adopts the three links, up and addressed. */
export function ensureOwnLinks(socket: NetlinkSocket, underlayMtuBytes: number): OwnLinks {
  const mtuBytes = underlayMtuBytes - OVERLAY_OVERHEAD_BYTES;
  const pair = ensureVeth(socket, { name: 'cable0', mtuBytes, peer: { name: 'cable1', mtuBytes } });
  const { link: overlay } = ensureVxlan(socket, { name: 'cablevx', port: OVERLAY_UDP_PORT, mtuBytes });
  disableArp(socket, pair.link);
  setAddresses(socket, pair.link.ifindex, [SERVICE_CIDR]);
  for (const name of ['cable0', 'cable1', 'cablevx']) quietDevice(name);
  return { service: pair.link, servicePeer: pair.peer, overlay };
}

/** True while each of them is the same device as when it was made. */
export function ownLinksStand(own: OwnLinks, links: LinkTable): boolean {
  const all = [own.service, own.servicePeer, own.overlay];
  return all.every(({ name, ifindex }) => links.get(name)?.ifindex === ifindex);
}

/** Removes them; absent is fine. */
export function removeOwnLinks(socket: NetlinkSocket): void {
  for (const name of ['cable0', 'cablevx']) deleteLink(socket, name);
}

/** Keeps the host's own IPv6 (router solicitations, multicast reports) off a device that only guests' packets may use. */
export function quietDevice(name: string): void {
  absentOn(['ENOENT', 'EROFS'], () => writeSysctl(['net', 'ipv6', 'conf', name, 'disable_ipv6'], 1));
}

/** Nobody answers ARP on the service link: the program on the other end takes every frame as it is. */
function disableArp(socket: NetlinkSocket, link: Link): void {
  if ((link.flags & IFF_NOARP) !== 0) return;
  const fixed = ifinfo(link.ifindex, IFF_NOARP, IFF_NOARP);
  socket.change({ type: RTM_LINK.create, fixed, tried: `turn ARP off on ${link.name}` });
}
