import { fileURLToPath } from 'node:url';

/** A simulated host: a network namespace with an agent. Its name is the namespace's and the agent's. */
export type LabHost = {
  readonly name: string;
  /** h1, h2, pm1. */
  readonly short: string;
  readonly underlay: string;
};

/** Everything in the lab that has a name, made from the lab's own name. */
export type LabNames = {
  readonly lab: string;
  readonly h1: LabHost;
  readonly h2: LabHost;
  readonly pm1: LabHost;
  readonly hosts: readonly LabHost[];
  /** Namespace whose bridge joins the hosts. */
  readonly underlayNamespace: string;
  /** Data, logs, sockets and the ledger. */
  readonly dir: string;
  /** Unix socket of the server, for the agents: they live in other network namespaces. */
  readonly serverSocket: string;
};

/** Largest packet of the underlay, as on ordinary Ethernet. */
export const UNDERLAY_MTU = 1500;

export const DEFAULT_LAB = 'lab';

/** Longest lab name: an interface or socket path made of it must fit. */
export const MAX_LAB_NAME = 16;

export function labNames(lab: string): LabNames {
  const host = (short: string, index: number): LabHost => ({
    name: `${lab}-${short}`,
    short,
    underlay: `10.255.255.${index}`,
  });
  const [h1, h2, pm1] = [host('h1', 1), host('h2', 2), host('pm1', 3)];
  const dir = `/run/cable-lab/${lab}`;
  return {
    lab,
    h1,
    h2,
    pm1,
    hosts: [h1, h2, pm1],
    underlayNamespace: `${lab}-net`,
    dir,
    serverSocket: `${dir}/server.sock`,
  };
}

/** The root of the repository this file is in. */
export const REPOSITORY: string = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

export const LAUNCHER: string = `${REPOSITORY}/bin/cable.mjs`;

/** The agent's own directories and pins. */
export function agentPaths(host: string): {
  readonly run: string;
  readonly state: string;
  readonly pins: string;
  readonly socket: string;
} {
  return {
    run: `/run/cable/${host}`,
    state: `/var/lib/cable/${host}`,
    pins: `/sys/fs/bpf/cable/${host}`,
    socket: `/run/cable/${host}/agent.sock`,
  };
}
