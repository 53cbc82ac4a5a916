import { join } from 'node:path';
import { FIRST_INTERFACE, type LocalPort, VPC_INTERFACE } from '@cable/model';
import type { AgentDeps } from '../deps.ts';
import type { Devices } from '../devices/open-devices.ts';
import type { Host } from '../host/create-host.ts';
import type { PortsByDevice } from '../host/ports-by-device.ts';
import type { ChosenOptions } from '../options.ts';
import { PrefixSet } from '../plan/inside.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { HostState } from '../stream/host-state.ts';
import { TOLD_FILES, ToldFile } from './told-file.ts';
import { ToldNames } from './told-names.ts';
import type { ToldTable } from './told-table.ts';

const LOOK_MS = 1000;

/** What keeps the table, with what was kept before in it. Before anything is planned by it. */
export function openToldNames(
  { host: name, stateDir }: Pick<ChosenOptions, 'host' | 'stateDir'>,
  parts: {
    readonly plane: Pick<KernelDataPlane, 'readRaw' | 'flowRecord'>;
    readonly state: Pick<HostState, 'slices' | 'synced'>;
    readonly host: Pick<Host, 'loop' | 'planner' | 'ports'>;
    readonly links: Pick<Devices['links'], 'table'>;
    readonly table: ToldTable;
  },
  deps: AgentDeps,
): ToldNames {
  const { plane, state, host, table, links } = parts;
  const log = deps.log.child('names');
  const names = new ToldNames({
    table,
    file: new ToldFile({ path: join(stateDir, TOLD_FILES[0]), log }),
    portsOf: (portId) => portsOfPod(portId, (id) => state.slices.item(`host:${name}`, id), host.ports),
    domainsOf: (portId) => host.planner.domainsOf(portId),
    hosts: hostAddresses(links, () => host.planner.otherHosts()),
    withheld: () => host.planner.toldWithheld,
    changed: (changes) => host.loop.takeTold(changes),
    isHere: (portId) => state.slices.item(`host:${name}`, portId) !== undefined,
    vifOf: (portId) => host.planner.vifs.get(portId)?.vif,
    flows: { tuples: () => plane.readRaw('cb_tuple_1'), flow: (key) => plane.flowRecord(key) },
    isSynced: () => state.synced,
    nowMs: () => performance.now(),
    unixMs: () => Date.now(),
    nowNs: () => process.hrtime.bigint(),
    log,
    signal: deps.signal,
  });
  names.load();
  return names;
}

/** Addresses of this host's devices, and the underlay's of other hosts, as of a second ago at the most. */
function hostAddresses(links: Pick<Devices['links'], 'table'>, others: () => Iterable<string>): () => PrefixSet {
  let known = new PrefixSet([]);
  let madeAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - madeAt < LOOK_MS) return known;
    const own = [...links.table.values()].flatMap(({ addresses }) => addresses);
    known = new PrefixSet([...own.map(({ cidr }) => cidr.split('/')[0] ?? ''), ...others()]);
    madeAt = performance.now();
    return known;
  };
}

/** A pod of a VPC asks by its leg, and sends by its port in the VPC: those of its interfaces, of one project. */
export function portsOfPod(
  portId: string,
  portOf: (portId: string) => LocalPort | undefined,
  byDevice: Pick<PortsByDevice, 'get'>,
): readonly string[] {
  const port = portOf(portId);
  const pod = port?.deviceId.split(':')[0] ?? '';
  if (port?.networkPolicies === undefined || pod === '') return [portId];
  const others = [FIRST_INTERFACE, VPC_INTERFACE].flatMap((one) => byDevice.get(`${pod}:${one}`));
  const own = others.filter((one) => one.projectId === port.projectId && one.networkPolicies !== undefined);
  return [...new Set([portId, ...own.map(({ id }) => id)])];
}
