import type { Netns } from '../net/netns.ts';
import type { LinkOwner } from './link-owner.ts';

/** The gateway is always on the link, whatever the prefix of the addresses. */
export type PodRoute = { readonly destination: string; readonly gateway: string };

/** A pod's link: a veth pair, one end on the host, the other made directly in the pod's namespace. */
export type PodLink = {
  readonly owner: LinkOwner;
  /** `cv` + the first 11 of the port id: how a restarted agent knows it. */
  readonly hostName: string;
  readonly name: string;
  readonly macAddress: string;
  readonly mtuBytes: number;
  /** With prefix length. */
  readonly addresses: readonly string[];
  /** One to a destination that the container reaches by another interface is not made: what is there first keeps it. */
  readonly routes: readonly PodRoute[];
  /** True: without its default routes the link is not made. */
  readonly needsDefault: boolean;
};

/** What `plug` made. */
export type PluggedLink = { readonly device: PluggedDevice; readonly routes: readonly PodRoute[] };

/** A pod's link that is on this host. */
export type HeldLink = { readonly ifindex: number; readonly hostName: string; readonly owner: LinkOwner };

/** The host's end of a port's link, as the kernel has it. */
export type PluggedDevice = { readonly portId: string; readonly ifindex: number; readonly name: string };

/** What is there of a pod's link. */
export type PodLinkState = {
  readonly hostUp: boolean;
  readonly up: boolean;
  readonly macAddress: string;
  readonly mtuBytes: number;
  readonly addresses: readonly string[];
  readonly routes: readonly PodRoute[];
};

/** What CNI asks of the kernel. */
export type PodLinks = {
  /** Holds the pod's namespace; close it. Throws CniError 3 when it is not there, 4 when it is the agent's own or none at all. */
  open(path: string): Netns;
  /**
   * Makes the link. One of that host name goes when all else of the new one is as it shall be, so whoever has it keeps it if that cannot be. Throws CniError
   * and leaves nothing of its own when it cannot.
   */
  plug(netns: Netns, link: PodLink): Promise<PluggedLink>;
  /** Removes the pairs; absent ones are fine. */
  unplug(links: Iterable<Pick<HeldLink, 'ifindex'>>): Promise<void>;
  /** What is there; a text says what is missing. */
  inspect(netns: Netns, hostName: string, name: string): PodLinkState | string;
  /** All that are on this host now. */
  held(): readonly HeldLink[];
  /** Removes what was left of links that were in the making when an agent was ended: at the start, before any is made. */
  sweep(): Promise<void>;
};

/** True for `0.0.0.0/0` and `::/0`. */
export function isDefault(destination: string): boolean {
  return destination.endsWith('/0');
}

/** Name of a port's link on the host. */
export function hostLinkName(portId: string): string {
  return `cv${portId.slice(0, 11)}`;
}
