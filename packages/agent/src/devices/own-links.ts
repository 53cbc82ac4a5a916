/**
 * The links that the agent makes for the vrouter, in its own namespace: `cable0` and `cable1`, the service link's ends, and `cablevx`,
 * the overlay. They are known by name, adopted when there, and stay when the agent goes.
 */
import { absentOn } from '../ffi/errno.ts';
import { setAddresses } from '../net/address.ts';
import { ifinfo, type Link, RTM_LINK } from '../net/link.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { writeSysctl } from '../net/sysctl.ts';
import { ensureVeth } from '../net/veth.ts';
import { ensureVxlan } from '../net/vxlan.ts';
import type { ObservedLink } from './link-rows.ts';
import type { Links } from './link-table.ts';

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
const IFF_NOARP = 0x80;

/** What they shall be like. */
export type OwnLinkSpec = {
  readonly mtuBytes: number;
  /** MAC of the service link, which the programs know; default: what it has, or a random one. */
  readonly serviceMac?: string;
};

/** Makes or adopts the three links, up and addressed. What is right is not touched. EEXIST: a device of that name is something else. */
export function ensureOwnLinks(socket: NetlinkSocket, { mtuBytes, serviceMac }: OwnLinkSpec): OwnLinks {
  const mac = serviceMac === undefined ? {} : { mac: serviceMac };
  const pair = ensureVeth(socket, { name: 'cable0', ...mac, mtuBytes, peer: { name: 'cable1', mtuBytes } });
  const { link: overlay } = ensureVxlan(socket, { name: 'cablevx', port: OVERLAY_UDP_PORT, mtuBytes });
  disableArp(socket, pair.link);
  setAddresses(socket, pair.link.ifindex, [SERVICE_CIDR]);
  for (const name of OWN_NAMES) quietDevice(name);
  return { service: pair.link, servicePeer: pair.peer, overlay };
}

/** In words, what is not as it was made: somebody may have set one down, taken its address, deleted it. Empty: all is well. */
export function ownLinkFaults(own: OwnLinks, links: Pick<Links, 'byName'>, mtuBytes: number): readonly string[] {
  const all = [own.service, own.servicePeer, own.overlay];
  const faults = all.flatMap((made) => linkFaults(made, links.byName(made.name), mtuBytes));
  const service = links.byName(own.service.name);
  return service?.ifindex === own.service.ifindex ? [...faults, ...serviceFaults(own.service, service)] : faults;
}

function linkFaults(made: Link, found: ObservedLink | undefined, mtuBytes: number): readonly string[] {
  if (found === undefined) return [`${made.name} is gone`];
  if (found.ifindex !== made.ifindex) return [`${made.name} is another device`];
  return [
    ...(found.up ? [] : [`${made.name} is down`]),
    ...(found.mtuBytes === mtuBytes ? [] : [`the MTU of ${made.name} is ${found.mtuBytes}, not ${mtuBytes}`]),
  ];
}

function serviceFaults(made: Link, found: ObservedLink): readonly string[] {
  const addresses = found.addresses.filter((one) => !one.linkLocal).map((one) => one.cidr);
  return [
    ...(found.mac === made.mac ? [] : [`the MAC of ${made.name} is ${found.mac}, not ${made.mac}`]),
    ...((found.flags & IFF_NOARP) === 0 ? [`${made.name} speaks ARP`] : []),
    ...(addresses.length === 1 && addresses[0] === SERVICE_CIDR
      ? []
      : [`the addresses of ${made.name} are [${addresses.join(' ')}], not ${SERVICE_CIDR}`]),
  ];
}

/** What the three are called. */
export const OWN_NAMES = ['cable0', 'cable1', 'cablevx'] as const;

/** Keeps the host's own IPv6 (router solicitations, multicast reports) off a device that only guests' packets may use. */
export function quietDevice(name: string): void {
  absentOn(['ENOENT', 'ENODEV', 'ENXIO', 'EINVAL', 'EROFS'], () =>
    writeSysctl(['net', 'ipv6', 'conf', name, 'disable_ipv6'], 1),
  );
}

/** Nobody answers ARP on the service link: the program on the other end takes every frame as it is. */
function disableArp(socket: NetlinkSocket, link: Link): void {
  if ((link.flags & IFF_NOARP) !== 0) return;
  const fixed = ifinfo(link.ifindex, IFF_NOARP, IFF_NOARP);
  socket.change({ type: RTM_LINK.create, fixed, tried: `turn ARP off on ${link.name}` });
}
