/**
 * The links that the agent makes for the vrouter: the service link, with its end `cables0` in the namespace of the guest services and `cables1` in the agent's own,
 * `cablevx`, the overlay, the link to the fragmenter, and the pair `cableq0` and `cableq1`, in which packets wait that are over a limit, and the pair `cablem0` and `cablem1`, through which copies for mirrors go. They are known by name, adopted when there, and stay when the agent goes.
 */

import { existsSync } from 'node:fs';
import { CB_PROBE_FIRST_PORT } from '../bpf/abi.gen.ts';
import { absentOn } from '../ffi/errno.ts';
import { SERVICE_ADDRESS6 } from '../guest/service-address.ts';
import { setAddresses } from '../net/address.ts';
import { deleteLinksAside, getLink, ifinfo, type Link, RTM_LINK } from '../net/link.ts';
import { inNetns, type Netns } from '../net/netns.ts';
import { turnOffloadsOff } from '../net/offloads.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { writeSysctl } from '../net/sysctl.ts';
import { ensureVeth, type VethPair, type VethSpec } from '../net/veth.ts';
import { ensureVxlan } from '../net/vxlan.ts';
import { VPN_DEVICE, VPN_DEVICE_END } from '../plan/label-rows.ts';
import { WIRE_DEVICE, WIRE_QUEUE, WIRE_QUEUE_END } from '../plan/pseudowire-rows.ts';
import { ensureFragmenter, FRAGMENTER_LINK, FRAGMENTER_MTU_BYTES, type Fragmenter } from './fragmenter.ts';
import type { ObservedLink } from './link-rows.ts';
import type { Links } from './link-table.ts';
import { SERVICE_PEER_NAME } from './service-namespace.ts';

export type OwnLinks = {
  /** The agent's end of the service link, in the namespace of the guest services. */
  readonly service: Link;
  /** The vrouter's end. */
  readonly servicePeer: Link;
  readonly overlay: Link;
  /** Where packets wait that are over a limit, and where they come out. */
  readonly queue: Link;
  readonly queueEnd: Link;
  /** Into which copies for mirrors go, and where they come out; a few go back, and come out of the first. */
  readonly mirror: Link;
  readonly mirrorEnd: Link;
  readonly fragmenter: Fragmenter;
};

/** The agent's address on the service link; each VIF's is 198.18.0.0 + its slot. */
export const SERVICE_ADDRESS = '198.18.0.1';
const SERVICE_CIDRS = [`${SERVICE_ADDRESS}/15`, ...(hasIpv6() ? [`${SERVICE_ADDRESS6}/64`] : [])];
const SERVICE_NAME = 'cables0';
const OVERLAY_NAME = 'cablevx';
const QUEUE_NAME = 'cableq0';
const QUEUE_END_NAME = 'cableq1';
const MIRROR_NAME = 'cablem0';
const MIRROR_END_NAME = 'cablem1';
/** Of both pairs: no frame of a guest is larger. */
const PAIR_MTU_BYTES = 65_535;
/** Where hosts send tunnelled packets to. */
export const OVERLAY_UDP_PORT = 4789;
const IFF_NOARP = 0x80;

/** What they shall be like. */
export type OwnLinkSpec = {
  readonly mtuBytes: number;
  /** Of the guest services. */
  readonly netns: Netns;
  /** Of the fragmenter. */
  readonly fragments: Netns;
  /** MAC of the service link, which the programs know; default: what it has, or a random one. */
  readonly serviceMac?: string;
};

/** Makes or adopts the links, up and addressed. What is right is not touched. EEXIST: a device of that name is something else. */
export async function ensureOwnLinks(socket: NetlinkSocket, spec: OwnLinkSpec): Promise<OwnLinks> {
  const { mtuBytes, netns, fragments } = spec;
  const fragmenter = await ensureFragmenter(socket, fragments);
  const { link: overlay } = ensureVxlan(socket, { name: OVERLAY_NAME, port: OVERLAY_UDP_PORT, mtuBytes });
  const queues = ensurePair(socket, QUEUE_NAME, QUEUE_END_NAME);
  const mirrors = ensurePair(socket, MIRROR_NAME, MIRROR_END_NAME);
  // What cannot go on as a GSO packet is sent the other way, to be cut into segments. And the way to a collector is looked for as for a packet that came in there.
  turnOffloadsOff(socket, MIRROR_END_NAME);
  writeSysctl(['net', 'ipv4', 'conf', MIRROR_END_NAME, 'forwarding'], 1);
  const inside = new NetlinkSocket({ netns });
  try {
    const pair = await ensureServiceLink(socket, inside, spec);
    disableArp(inside, pair.peer);
    inNetns(netns, () => {
      allowIpv6(SERVICE_NAME);
      allowProbes();
    });
    setAddresses(inside, pair.peer.ifindex, SERVICE_CIDRS);
    for (const name of OWN_NAMES) quietDevice(name);
    const queue = { queue: queues.link, queueEnd: queues.peer };
    const mirror = { mirror: mirrors.link, mirrorEnd: mirrors.peer };
    return { service: pair.peer, servicePeer: pair.link, overlay, fragmenter, ...queue, ...mirror };
  } finally {
    inside.close();
  }
}

function ensurePair(socket: NetlinkSocket, name: string, end: string): VethPair {
  return ensureVeth(socket, { name, mtuBytes: PAIR_MTU_BYTES, peer: { name: end, mtuBytes: PAIR_MTU_BYTES } });
}

async function ensureServiceLink(socket: NetlinkSocket, inside: NetlinkSocket, spec: OwnLinkSpec): Promise<VethPair> {
  const { mtuBytes, netns, serviceMac } = spec;
  const mac = serviceMac === undefined ? {} : { mac: serviceMac };
  const peer = { name: SERVICE_NAME, ...mac, mtuBytes, netns };
  const wanted: VethSpec = { name: SERVICE_PEER_NAME, mtuBytes, peer };
  const made = absentOn(['EEXIST'], () => ensureVeth(socket, wanted));
  if (made !== undefined) return made;
  await removeStrayEnds(socket, inside);
  return ensureVeth(socket, wanted);
}

/**
 * Ends that do not belong together: the namespace of the guest services is the agent's alone, and one whose other end is in a namespace that was not found again led
 * to one that an agent had before.
 */
async function removeStrayEnds(socket: NetlinkSocket, inside: NetlinkSocket): Promise<void> {
  await deleteLinksAside(inside, [SERVICE_NAME]);
  const outside = getLink(socket, SERVICE_PEER_NAME);
  if (outside?.kind === 'veth' && outside.peerNetnsid !== undefined) await deleteLinksAside(socket, [outside.ifindex]);
}

/** The service link of builds that had both of its ends in the agent's own namespace; devices of these names that are something else stay. */
export async function removeFormerServiceLink(socket: NetlinkSocket): Promise<void> {
  const [service, peer] = [getLink(socket, 'cable0'), getLink(socket, 'cable1')];
  if (service?.kind !== 'veth' || peer?.kind !== 'veth' || service.peerIfindex !== peer.ifindex) return;
  if (service.peerNetnsid === undefined) await deleteLinksAside(socket, [service.ifindex]);
}

/** The observed links of the agent's own namespace, and of that of the guest services. */
export type OwnLinkTables = { readonly own: Pick<Links, 'byName'>; readonly services: Pick<Links, 'byName'> };

/** In words, what is not as it was made: somebody may have set one down, taken its address, deleted it. Empty: all is well. */
export function ownLinkFaults(own: OwnLinks, tables: OwnLinkTables, mtuBytes: number): readonly string[] {
  const service = tables.services.byName(own.service.name);
  return [
    ...linkFaults(own.service, service, mtuBytes),
    ...[own.servicePeer, own.overlay].flatMap((made) => linkFaults(made, tables.own.byName(made.name), mtuBytes)),
    ...[own.queue, own.queueEnd, own.mirror, own.mirrorEnd].flatMap((made) =>
      linkFaults(made, tables.own.byName(made.name), PAIR_MTU_BYTES),
    ),
    ...linkFaults(own.fragmenter.link, tables.own.byName(FRAGMENTER_LINK), FRAGMENTER_MTU_BYTES),
    ...(service?.ifindex === own.service.ifindex ? serviceFaults(own.service, service) : []),
  ];
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
  const isRight = addresses.length === SERVICE_CIDRS.length && SERVICE_CIDRS.every((cidr) => addresses.includes(cidr));
  return [
    ...(found.mac === made.mac ? [] : [`the MAC of ${made.name} is ${found.mac}, not ${made.mac}`]),
    ...((found.flags & IFF_NOARP) === 0 ? [`${made.name} speaks ARP`] : []),
    ...(isRight
      ? []
      : [`the addresses of ${made.name} are [${addresses.join(' ')}], not [${SERVICE_CIDRS.join(' ')}]`]),
  ];
}

/** What those in the agent's own namespace are called. */
export const OWN_NAMES: readonly string[] = [
  SERVICE_PEER_NAME,
  OVERLAY_NAME,
  FRAGMENTER_LINK,
  QUEUE_NAME,
  QUEUE_END_NAME,
  MIRROR_NAME,
  MIRROR_END_NAME,
  VPN_DEVICE,
  VPN_DEVICE_END,
  WIRE_DEVICE,
  WIRE_QUEUE,
  WIRE_QUEUE_END,
];

/** Keeps the host's own IPv6 (router solicitations, multicast reports) off a device that only guests' packets may use. */
export function quietDevice(name: string): void {
  absentOn(['ENOENT', 'ENODEV', 'ENXIO', 'EINVAL', 'EROFS'], () =>
    writeSysctl(['net', 'ipv6', 'conf', name, 'disable_ipv6'], 1),
  );
}

/** False: the kernel was started without it, so guests get no services over IPv6. */
export function hasIpv6(): boolean {
  return existsSync('/proc/sys/net/ipv6');
}

/** IPv6 with the addresses that the agent gives it, and no others: nothing is learned from what comes, and nothing sent by itself. */
function allowIpv6(name: string): void {
  if (!hasIpv6()) return;
  const settings = {
    addr_gen_mode: 1,
    accept_ra: 0,
    autoconf: 0,
    forwarding: 0,
    router_solicitations: 0,
    accept_redirects: 0,
  };
  for (const [key, value] of Object.entries(settings)) writeSysctl(['net', 'ipv6', 'conf', name, key], value);
  writeSysctl(['net', 'ipv6', 'conf', name, 'disable_ipv6'], 0);
}

/** Probes come from ports by which the vrouter knows them, and ask for echoes without the right to forge packets. */
function allowProbes(): void {
  writeSysctl(['net', 'ipv4', 'ip_local_port_range'], `${CB_PROBE_FIRST_PORT}\t65535`);
  writeSysctl(['net', 'ipv4', 'ping_group_range'], '0\t0');
}

/** Nobody answers ARP or neighbour solicitations on the service link: the program on the other end takes every frame as it is. */
function disableArp(socket: NetlinkSocket, link: Link): void {
  if ((link.flags & IFF_NOARP) !== 0) return;
  const fixed = ifinfo(link.ifindex, IFF_NOARP, IFF_NOARP);
  socket.change({ type: RTM_LINK.create, fixed, tried: `turn ARP off on ${link.name}` });
}
