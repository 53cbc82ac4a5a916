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
  /** Namespace whose bridge joins the hosts. */
  readonly underlayNamespace: string;
  /** Data, logs, sockets and the ledger. */
  readonly dir: string;
  /** Unix socket of the server or balancer, for the agents: they live in other network namespaces. */
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
  return { lab, overlayIpVersion, underlayNamespace: `${lab}-net`, dir, serverSocket: `${dir}/server.sock` };
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
