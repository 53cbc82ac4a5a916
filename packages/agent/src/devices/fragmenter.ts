/**
 * The fragmenter: a network namespace, one a host, through whose IPv4 stack packets go that must be cut into pieces. In it are `cablef0`, without an address, and a route for
 * each size. It keeps nothing of what passes: no connection is tracked, no fragment put together, no neighbour asked for.
 */
import { CB_CUT_SIZE_SHIFT, CB_CUT_SIZES } from '../bpf/abi.gen.ts';
import { absentOn } from '../ffi/errno.ts';
import { ensureEgressFilter, ensureIngressFilter, type FilterProgram } from '../net/filter.ts';
import { deleteLinksAside, getLink, ifinfo, type Link, RTM_LINK, setLink } from '../net/link.ts';
import { inNetns, type Netns } from '../net/netns.ts';
import { ensureMarkedRoute } from '../net/rule.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { writeSysctl } from '../net/sysctl.ts';
import { ensureVeth, type VethPair, type VethSpec } from '../net/veth.ts';
import { type LinkedNetns, openLinkedNetns, removeLinkedNetns } from './linked-netns.ts';

export type Fragmenter = {
  /** The vrouter's end, in the agent's own namespace. */
  readonly link: Link;
  /** The end within. */
  readonly inside: Link;
  readonly netns: Netns;
};

/** The vrouter's end. */
export const FRAGMENTER_LINK = 'cablef1';
/** Whatever a guest may send: it is the routes that cut. */
export const FRAGMENTER_MTU_BYTES = 65_535;
const INSIDE = 'cablef0';
const NAMESPACE: LinkedNetns = { file: 'fragments.netns', link: FRAGMENTER_LINK, use: 'the fragmenter' };
const IFF_NOARP = 0x80;
/** One neighbour for all packets, whom nobody asks for. */
const GATEWAY = '169.254.0.1';
const FIRST_TABLE = 1000;

/** As `openLinkedNetns`. */
export function openFragmenterNamespace(runDir: string, socket: NetlinkSocket): Netns {
  return openLinkedNetns(NAMESPACE, runDir, socket);
}

/** False: there was none. */
export function removeFragmenterNamespace(runDir: string): boolean {
  return removeLinkedNetns(NAMESPACE, runDir);
}

/** Size number n in bytes, as the vrouter counts them (`CB_CUT_SIZES`). */
export function cutSizeBytes(n: number): number {
  return (8 + (n % 8)) << (3 + Math.floor(n / 8));
}

/** Makes or adopts the link, and the routes. What is right is not touched. EEXIST: a device of that name is something else. */
export async function ensureFragmenter(socket: NetlinkSocket, netns: Netns): Promise<Fragmenter> {
  const within = new NetlinkSocket({ netns });
  try {
    inNetns(netns, () => setStack('default'));
    // The kernel knows what a gateway is once there is some local address.
    setLink(within, 'lo', { up: true });
    const { link, peer } = await ensureLink(socket, within, netns);
    inNetns(netns, () => setStack(INSIDE));
    if ((peer.flags & IFF_NOARP) === 0) {
      const fixed = ifinfo(peer.ifindex, IFF_NOARP, IFF_NOARP);
      within.change({ type: RTM_LINK.create, fixed, tried: `turn ARP off on ${INSIDE}` });
    }
    for (let n = 0; n < CB_CUT_SIZES; n += 1) {
      ensureMarkedRoute(within, {
        mark: (n << CB_CUT_SIZE_SHIFT) >>> 0,
        mask: ((CB_CUT_SIZES - 1) << CB_CUT_SIZE_SHIFT) >>> 0,
        table: FIRST_TABLE + n,
        ifindex: peer.ifindex,
        gateway: GATEWAY,
        mtuBytes: cutSizeBytes(n),
      });
    }
    return { link, inside: peer, netns };
  } finally {
    within.close();
  }
}

/** Puts the programs on both sides of the device within; those of a load before go. */
export function attachFragmenter(
  { inside, netns }: Fragmenter,
  programs: { readonly in: FilterProgram; readonly out: FilterProgram },
): void {
  const within = new NetlinkSocket({ netns });
  try {
    ensureIngressFilter(within, inside.ifindex, programs.in);
    ensureEgressFilter(within, inside.ifindex, programs.out);
  } finally {
    within.close();
  }
}

/** A link whose other end is elsewhere led to a namespace that was not found again: nothing is lost with it. */
async function ensureLink(socket: NetlinkSocket, within: NetlinkSocket, netns: Netns): Promise<VethPair> {
  const mtuBytes = FRAGMENTER_MTU_BYTES;
  const wanted: VethSpec = { name: FRAGMENTER_LINK, mtuBytes, peer: { name: INSIDE, mtuBytes, netns } };
  const made = absentOn(['EEXIST'], () => ensureVeth(socket, wanted));
  if (made !== undefined) return made;
  await deleteLinksAside(within, [INSIDE]);
  const stray = getLink(socket, FRAGMENTER_LINK);
  if (stray?.kind === 'veth' && stray.peerNetnsid !== undefined) await deleteLinksAside(socket, [stray.ifindex]);
  return ensureVeth(socket, wanted);
}

/**
 * A stack that routes whatever comes, and says nothing itself: it has no address, so no source of a packet is its own, and no route but those of
 * the sizes, so an error of its own goes nowhere: it has no mark.
 */
function setStack(device: string): void {
  const settings = { forwarding: 1, rp_filter: 0, send_redirects: 0, accept_redirects: 0, accept_local: 1 };
  for (const name of ['all', device])
    for (const [key, value] of Object.entries(settings)) writeSysctl(['net', 'ipv4', 'conf', name, key], value);
  absentOn(['ENOENT', 'ENODEV', 'ENXIO', 'EINVAL', 'EROFS'], () =>
    writeSysctl(['net', 'ipv6', 'conf', device, 'disable_ipv6'], 1),
  );
}
