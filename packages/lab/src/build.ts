import { createClient } from '@cable/api';
import { httpTransport } from '@cable/kit';
import { startAgent } from './agent.ts';
import { untilSynced } from './checks/agent-status.ts';
import { createCloud, type Tenants } from './cloud.ts';
import { startControlPlane } from './control-plane.ts';
import { startGuests, startRealMachines } from './guests/start.ts';
import { giveJoinToken, removeJoinToken } from './joining.ts';
import type { Lab, RunningHost } from './lab.ts';
import type { Ledger } from './ledger.ts';
import { type LabHost, type LabNames, labHost } from './names.ts';
import { createProcesses, type Processes } from './processes.ts';
import { createTopology } from './topology.ts';
import { startServices } from './traffic/in-guest.ts';
import { findFaults, type StoreKind, type World } from './world.ts';

export type LabOptions = {
  readonly names: LabNames;
  readonly ledger: Ledger;
  readonly store: StoreKind;
  /** Of the agents; undefined: their default. */
  readonly encapsulation?: string | undefined;
  /** False: without real machines. */
  readonly qemu: boolean;
  readonly settings: Readonly<Record<string, number>>;
  readonly say: (line: string) => void;
};

/**
 * Builds a world: topology, control plane, agents, cloud, guests. What it makes is in the ledger, also when it throws. Names in the lab are those of the
 * world that was given.
 */
export async function buildLab(world: World, options: LabOptions): Promise<Lab> {
  const { names, ledger, settings, say } = options;
  const faults = findFaults(world);
  if (faults.length > 0) throw new Error(`the world cannot be built: ${faults.join('; ')}`);
  const processes = createProcesses(names.dir, ledger);
  const planned = hostsOf(names, world);
  say(`making ${planned.length} hosts and the underlay that joins them`);
  await createTopology(names, planned, ledger);
  say(`starting ${world.servers === 1 ? 'the server' : `${world.servers} servers`} (store: ${options.store})`);
  const control = await startControlPlane(names, processes, options.store, world.servers);
  say('starting an agent on each host: they join by tokens');
  const hosts = await startAgents(planned, world.agentOptions, {
    ...{ names, processes, ledger },
    encapsulation: options.encapsulation,
  });
  const tenants = clientsOf(control.url, world.projects);
  say('making networks, subnets, routers and security groups over the API');
  const cloud = await createCloud(world, tenants);
  const deps = { names, processes, ledger, hosts, tenants, cloud, say };
  const realMachines = options.qemu ? startRealMachines(world, deps) : {};
  const guests = await startGuests(world, deps);
  await startServices(processes, Object.values(guests));
  return {
    names,
    processes,
    ledger,
    control,
    hosts,
    tenants,
    ...cloud,
    guests,
    realMachines,
    added: new Map(),
    settings,
    encapsulation: options.encapsulation,
    say,
  };
}

/** The hosts of a world, in its order. */
export function hostsOf(names: LabNames, world: Pick<World, 'hosts'>): readonly LabHost[] {
  return Object.entries(world.hosts).map(([short, { posesAs }], index) => labHost(names, short, index + 1, posesAs));
}

/** A client for each project. */
function clientsOf(url: string, projects: readonly string[]): Tenants {
  const transport = httpTransport(url);
  return Object.fromEntries(projects.map((projectId) => [projectId, createClient({ transport, projectId })]));
}

/** On a busy machine, with all hosts at once. */
const JOINED_MS = 60_000;

async function startAgents(
  hosts: readonly LabHost[],
  more: readonly string[] | undefined,
  deps: {
    readonly names: LabNames;
    readonly processes: Processes;
    readonly ledger: Ledger;
    readonly encapsulation: string | undefined;
  },
): Promise<Readonly<Record<string, RunningHost>>> {
  const started = hosts.map(async (host) => {
    if (host.root !== '') return { ...host, agent: undefined };
    deps.ledger.add({ kind: 'host', name: host.name, netns: host.netns });
    await giveJoinToken(deps.names, deps.processes, host);
    const agent = await startAgent(deps.names, deps.processes, host, deps.encapsulation, more);
    await untilSynced(host, JOINED_MS);
    removeJoinToken(deps.names, host);
    return { ...host, agent };
  });
  return Object.fromEntries((await Promise.all(started)).map((host) => [host.short, host]));
}
