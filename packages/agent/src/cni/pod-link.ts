import type { Netns } from '../net/netns.ts';
import type { LinkOwner } from './link-owner.ts';

/** The gateway is always on the link, whatever the prefix of the addresses. */
export type PodRoute = { readonly destination: string; readonly gateway: string };

/** How what comes to a link's addresses is answered: by a table of its own. */
export type AnswerWay = {
  /** Number of the table, which is also the priority of the rules that lead there. */
  readonly table: number;
  /** The link's addresses, without prefix length. */
  readonly from: readonly string[];
  /** `gateway` null: on the link. */
  readonly routes: readonly { readonly destination: string; readonly gateway: string | null }[];
  /** True: routes that come later are made, too, and those that went are taken away. */
  readonly follows?: true;
};

/** Routes of a link, but for the default ones. */
export type LinkWays = {
  readonly routes: readonly PodRoute[];
  readonly answers: Omit<AnswerWay, 'from'>;
  readonly defaults: DefaultWays;
};

/** By which of two links of a container its default routes are to be: the one that is spoken of, or the other. One that neither has is not made, for the container has it otherwise. */
export type DefaultWays = {
  readonly own: readonly PodRoute[];
  readonly other: readonly PodRoute[];
  /** The other link. */
  readonly beside: { readonly hostName: string; readonly name: string };
};

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
  /** Absent: as the pod's routes say. */
  readonly answers?: AnswerWay;
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
  /** What is there; a text says what is missing, of `answers` too. */
  inspect(netns: Netns, hostName: string, name: string, answers?: AnswerWay): PodLinkState | string;
  /** Makes the ways of a link that is there as they are to be. A text says why it is not this link's place any more. */
  follow(netns: Netns, hostName: string, name: string, ways: LinkWays): string | undefined;
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
