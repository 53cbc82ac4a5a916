import type { Netns } from '../net/netns.ts';

/** The gateway is always on the link, whatever the prefix of the addresses. */
export type PodRoute = { readonly destination: string; readonly gateway: string };

/** A pod's link: a veth pair, one end on the host, the other made directly in the pod's namespace. */
export type PodLink = {
  /** Written on the host's end as its alias, so that a link tells whose it is. */
  readonly portId: string;
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
  /** Makes the link; one of that host name goes first. Throws CniError and leaves nothing when it cannot. */
  plug(netns: Netns, link: PodLink): Promise<PluggedLink>;
  /** Removes the pair; absent: fine. */
  unplug(hostName: string): Promise<void>;
  /** What is there; a text says what is missing. */
  inspect(netns: Netns, hostName: string, name: string): PodLinkState | string;
  /** Ports whose links are on this host. */
  ports(): readonly string[];
};

/** True for `0.0.0.0/0` and `::/0`. */
export function isDefault(destination: string): boolean {
  return destination.endsWith('/0');
}

/** Name of a port's link on the host. */
export function hostLinkName(portId: string): string {
  return `cv${portId.slice(0, 11)}`;
}
