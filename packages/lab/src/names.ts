import { fileURLToPath } from 'node:url';
import type { OverlayIpVersion } from '@cable/model';

/** A simulated host: a network namespace with an agent. */
export type LabHost = {
  /** The agent's name for it. */
  readonly name: string;
  /** Its name in the story: h1, pm1. */
  readonly short: string;
  readonly netns: string;
  readonly underlay: string;
  /** Where the directories of its agent begin: empty, or a folder of the lab when the host has file systems of its own. */
  readonly root: string;
};

/** Everything that a lab shares with others on the machine has a name made from the lab's own. */
export type LabNames = {
  readonly lab: string;
  /** Of the hosts' underlay addresses. */
  readonly overlayIpVersion: OverlayIpVersion;
  /** Namespace whose bridge joins the hosts, and which routes between them and the control plane. */
  readonly underlayNamespace: string;
  /** Namespace of the store, the servers and the balancer before them. */
  readonly controlNamespace: string;
  /** Data, logs, sockets and the ledger. */
  readonly dir: string;
  /** Where hosts find the server, or the balancer before several. */
  readonly serverUrl: string;
  /** Unix socket of the server or balancer, for the operator on the machine. */
  readonly serverSocket: string;
};

/** Largest packet of the underlay, as on ordinary Ethernet. */
export const UNDERLAY_MTU = 1500;

/** The demonstration's lab. */
export const DEFAULT_LAB = 'lab';

/** Longest lab name: a socket path made of it must fit. */
export const MAX_LAB_NAME = 24;

/** Where labs keep their directories. */
export const LABS_DIR = '/run/cable-lab';

/** Without dashes: names that are made of it have one after it, so those of two labs never meet. */
export function isLabName(text: string): boolean {
  return /^[a-z][a-z0-9]*$/.test(text) && text.length <= MAX_LAB_NAME;
}

/** The lab that a story gets when the user names none. */
export function labOfStory(story: string): string {
  return story === 'demo' ? DEFAULT_LAB : story.replaceAll('-', '').slice(0, MAX_LAB_NAME);
}

export function labNames(lab: string, overlayIpVersion: OverlayIpVersion = 4): LabNames {
  const dir = `${LABS_DIR}/${lab}`;
  return {
    lab,
    overlayIpVersion,
    underlayNamespace: `${lab}-net`,
    controlNamespace: `${lab}-ctl`,
    dir,
    serverUrl: `https://${socketAddress(controlAddress(0, overlayIpVersion), SERVER_PORT)}`,
    serverSocket: `${dir}/server.sock`,
  };
}

/** The `index`th host of a lab, from 1. `posesAs`: the host whose name its agent is given. */
export function labHost(names: LabNames, short: string, index: number, posesAs?: string): LabHost {
  return {
    name: `${names.lab}-${posesAs ?? short}`,
    short,
    netns: `${names.lab}-${short}`,
    underlay: underlayAddress(index, names.overlayIpVersion),
    root: posesAs === undefined ? '' : `${names.dir}/${short}`,
  };
}

/** The `index`th address of the underlay, from 1. Each lab's underlay is its own. */
export function underlayAddress(index: number, version: OverlayIpVersion = 4): string {
  return version === 6 ? `fd00:255::${index}` : `10.255.255.${index}`;
}

/** Of HTTPS, at every address of the control plane. */
export const SERVER_PORT = 9697;

/** Where hosts ask (0), and the address of the `index`th of several servers behind it, from 1. */
export function controlAddress(index: number, version: OverlayIpVersion = 4): string {
  const last = index === 0 ? 1 : 10 + index;
  return version === 6 ? `fd00:254::${last}` : `10.255.254.${last}`;
}

/** The two subnets, and the addresses of the router between them. */
export function routesOf(version: OverlayIpVersion = 4): {
  readonly prefixLength: number;
  readonly underlay: { readonly subnet: string; readonly router: string };
  readonly control: { readonly subnet: string; readonly router: string };
} {
  if (version === 6)
    return {
      prefixLength: 64,
      underlay: { subnet: 'fd00:255::/64', router: 'fd00:255::fffe' },
      control: { subnet: 'fd00:254::/64', router: 'fd00:254::fffe' },
    };
  return {
    prefixLength: 24,
    underlay: { subnet: '10.255.255.0/24', router: '10.255.255.254' },
    control: { subnet: '10.255.254.0/24', router: '10.255.254.254' },
  };
}

/** `10.0.0.1:80`, `[fd00::1]:80`. */
export function socketAddress(address: string, port: number): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/** The root of the repository this file is in. */
export const REPOSITORY: string = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

export const LAUNCHER: string = `${REPOSITORY}/bin/cable.mjs`;

/** The agent's own directories and pins. `root`: see `LabHost`; pins of a host with file systems of its own are not seen from here. */
export function agentPaths(
  host: string,
  root = '',
): { readonly run: string; readonly state: string; readonly pins: string; readonly socket: string } {
  return {
    run: `${root}/run/cable/${host}`,
    state: `${root}/var/lib/cable/${host}`,
    pins: `${root}/sys/fs/bpf/cable/${host}`,
    socket: `${root}/run/cable/${host}/agent.sock`,
  };
}
