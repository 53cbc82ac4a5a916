/** A pod's link: a veth pair, one end on the host, the other made directly in the pod's namespace. */
export type PodLink = {
  /** `cv` + the first 11 of the port id: how a restarted agent knows it. */
  readonly hostName: string;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  readonly name: string;
  readonly macAddress: string;
  readonly mtuBytes: number;
  /** With prefix length. */
  readonly addresses: readonly string[];
  readonly routes: readonly PodRoute[];
};

/** The gateway is always on the link, whatever the prefix of the addresses. */
export type PodRoute = { readonly destination: string; readonly gateway: string };

/** What is there of a pod's link. */
export type PodLinkState = {
  readonly hostUp: boolean;
  readonly up: boolean;
  readonly macAddress: string;
  readonly mtuBytes: number;
  readonly addresses: readonly string[];
  readonly routes: readonly PodRoute[];
};

/** A pair whose port is not known yet: no addresses, down, under a passing name on the host. */
export type PreparedLink = { readonly hostName: string; readonly ifindex: number };

/** What CNI asks of the kernel. Nothing here waits, so a namespace entered is left before other code runs. */
export type PodLinks = {
  /** Makes the pair; undefined: the container has an interface of that name already. Throws CniError 3 without the namespace. */
  prepare(netns: string, name: string): PreparedLink | undefined;
  /** Completes the prepared pair, or a new one; a link of that host name goes first. Throws CniError and leaves nothing when it cannot. */
  plug(link: PodLink, prepared: PreparedLink | undefined): void;
  /** Removes the pair; absent: fine. */
  unplug(hostName: string): void;
  /** What is there; a text says what is missing. Throws CniError 3 without the namespace. */
  inspect(hostName: string, netns: string, name: string): PodLinkState | string;
};

/** Name of a port's link on the host. */
export function hostLinkName(portId: string): string {
  return `cv${portId.slice(0, 11)}`;
}
