/** `cb_hop_1`: how the kernel's routes lead to each host that a tunnel leads to, a peer. What the agent wrote before a restart is read back from the map. */
import { overlayIpVersion } from '@cable/model';
import { CB_PEER_F_UPLINK, cbHop, cbHopKey, cbPeer, cbPeerKey } from '../bpf/abi.gen.ts';
import { type ByteText, textBytes } from '../bpf/codec.ts';
import { lookUpWay, type WayTo } from '../net/route.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import { formatAddress, NO_ADDRESS, parseAddress } from '../plan/address.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import { isHostLink } from './host-links.ts';
import type { ObservedLink } from './link-rows.ts';
import type { Links } from './link-table.ts';
import { OVERLAY_UDP_PORT, OWN_NAMES } from './own-links.ts';

export type NextHopsDeps = {
  /** This host's address in the underlay. */
  readonly underlay: string;
  readonly plane: Pick<KernelDataPlane, 'underlay' | 'hasHost'>;
  readonly socket: NetlinkSocket;
  readonly links: Pick<Links, 'get'>;
};

const ETHERNET_MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/;
const IFF_LOOPBACK = 0x8;

/**
 * Whether a device may be one of the underlay's: Ethernet, up, and neither the agent's own nor a port's, whose packets would go back into the
 * overlay.
 */
export function isUnderlayDevice(link: ObservedLink | undefined): link is ObservedLink {
  if (link === undefined || !link.up || (link.flags & IFF_LOOPBACK) !== 0 || !ETHERNET_MAC.test(link.mac)) return false;
  const names: readonly string[] = OWN_NAMES;
  return !names.includes(link.name) && link.programId === undefined && !isHostLink(link);
}

/**
 * Deletes hops that nobody has kept: an agent that does not know them, or that was told not to use them, was the last to write their peers. To be done before
 * programs that follow hops are in force.
 */
export function dropUnkeptHops({ peers, hops }: Pick<KernelDataPlane['underlay'], 'peers' | 'hops'>): void {
  const kept = new Set<string>();
  for (const batch of peers.batches()) {
    for (const { key, value } of batch) {
      if ((cbPeer.decode(value).flags & CB_PEER_F_UPLINK) !== 0) kept.add(formatAddress(cbPeerKey.decode(key).remote));
    }
  }
  for (const { key } of [...hops.entries()]) {
    if (!kept.has(formatAddress(cbHopKey.decode(key).addr))) hops.delete(key);
  }
}

/** Hops by peer, as they are in the map. A peer without one is sent to by the overlay device. */
export class NextHops {
  readonly #deps: NextHopsDeps;
  readonly #hops = new Map<ByteText, ByteText>();
  /** How many peers are reached by each device. */
  readonly #uses = new Map<number, number>();
  /** Devices that a way leads to and that may not be used yet. */
  readonly #awaited = new Set<number>();

  constructor(deps: NextHopsDeps) {
    this.#deps = deps;
    for (const batch of deps.plane.underlay.hops.texts()) {
      for (const { key, value } of batch) this.#note(key, value);
    }
  }

  /** Peers that have a hop. */
  get size(): number {
    return this.#hops.size;
  }

  /** Devices that hops lead to. */
  get devices(): Iterable<number> {
    return this.#uses.keys();
  }

  /** Whether what becomes of the device may change a hop. */
  dependsOn(ifindex: number): boolean {
    return this.#uses.has(ifindex) || this.#awaited.has(ifindex);
  }

  /** Keys of all that there are. */
  keys(): readonly ByteText[] {
    return [...this.#hops.keys()];
  }

  /** Looks at the way to a peer as it is now, and makes the map say it. One that is no peer any more loses its hop. */
  refresh(key: ByteText): void {
    const { plane } = this.#deps;
    const hop = plane.hasHost(key) ? this.#find(key) : undefined;
    if (hop === undefined) this.remove(key);
    else if (this.#hops.get(key) !== hop) {
      plane.underlay.hops.update(key, hop);
      this.#note(key, hop);
    }
  }

  remove(key: ByteText): void {
    if (!this.#hops.has(key)) return;
    this.#deps.plane.underlay.hops.delete(key);
    this.#note(key, undefined);
  }

  /** Every peer is going to be looked at. */
  forgetAwaited(): void {
    this.#awaited.clear();
  }

  #find(key: ByteText): ByteText | undefined {
    const { socket, underlay, links } = this.#deps;
    const to = formatAddress(cbHopKey.decode(textBytes(key)).addr);
    if (overlayIpVersion(to) !== overlayIpVersion(underlay)) return undefined;
    const way = lookUpWay(socket, { from: underlay, to, port: OVERLAY_UDP_PORT });
    if (way === undefined) return undefined;
    const link = links.get(way.ifindex);
    if (isUnderlayDevice(link)) return encodeHop(way, link);
    this.#awaited.add(way.ifindex);
    return undefined;
  }

  #note(key: ByteText, hop: ByteText | undefined): void {
    const old = this.#hops.get(key);
    if (old !== undefined) this.#count(old, -1);
    if (hop === undefined) this.#hops.delete(key);
    else {
      this.#hops.set(key, hop);
      this.#count(hop, 1);
    }
  }

  #count(hop: ByteText, by: 1 | -1): void {
    const { ifindex } = cbHop.decode(textBytes(hop));
    const uses = (this.#uses.get(ifindex) ?? 0) + by;
    if (uses === 0) this.#uses.delete(ifindex);
    else this.#uses.set(ifindex, uses);
  }
}

function encodeHop(way: WayTo, link: ObservedLink): ByteText {
  const mtuBytes = way.mtuBytes === 0 ? link.mtuBytes : Math.min(way.mtuBytes, link.mtuBytes);
  return cbHop.text({ ifindex: way.ifindex, mtuBytes, nexthop: parseAddress(way.nexthop) ?? NO_ADDRESS });
}
