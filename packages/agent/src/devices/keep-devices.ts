import type { AgentDeps } from '../deps.ts';
import type { Host } from '../host/create-host.ts';
import type { LabelKeeper } from '../labels/label-keeper.ts';
import type { ChosenOptions } from '../options.ts';
import type { PseudowireKeeper } from '../pseudowires/pseudowire-keeper.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { HostState } from '../stream/host-state.ts';
import type { StreamClient } from '../stream/stream-client.ts';
import { reloadVrouter } from '../vrouter.ts';
import type { Devices } from './open-devices.ts';
import { type OwnLinkKeeper, startOwnLinkKeeper } from './own-link-keeper.ts';
import { OWN_NAMES, type OwnLinks } from './own-links.ts';
import type { UplinkKeeper } from './uplink-keeper.ts';

/** What becomes of devices is taken in as it is told; whoever takes a program off one, or sets the agent's own down, is answered. */
export function keepDevices(
  options: ChosenOptions,
  parts: {
    readonly devices: Devices;
    readonly plane: KernelDataPlane;
    readonly host: Host;
    readonly uplinks: Pick<UplinkKeeper, 'check' | 'takeDevices'>;
    readonly labels: Pick<LabelKeeper, 'takeDevices'>;
    readonly pseudowires: Pick<PseudowireKeeper, 'takeDevices'>;
    readonly stream: StreamClient;
    readonly state: HostState;
    /** Told of the agent's own devices when they were made anew. */
    readonly remade: (own: OwnLinks) => void;
  },
  { log, signal }: AgentDeps,
): OwnLinkKeeper {
  const { devices, plane, host, uplinks, labels, pseudowires, stream, state } = parts;
  const { table } = devices.links;
  const keeper = startOwnLinkKeeper({
    own: devices.own,
    mtuBytes: () => devices.mtu.innerBytes,
    socket: devices.socket,
    netns: devices.netns,
    fragments: devices.fragments,
    tables: { own: table, services: devices.serviceLinks.table },
    onRemade: (own) => {
      reloadVrouter(plane, options, own);
      parts.remade(own);
      uplinks.check();
      host.loop.takeLostPrograms([...table.values()].map(({ ifindex }) => ifindex));
    },
    log: log.child('devices'),
    signal,
  });
  devices.onChange((changes) => {
    const { ifindexes, names } = changes;
    if (OWN_NAMES.some((name) => names.has(name))) keeper.check();
    const lost = [...ifindexes].filter((ifindex) => plane.hasProgram(ifindex) && !table.get(ifindex)?.programId);
    if (lost.length > 0) host.loop.takeLostPrograms(lost);
    host.loop.takeDevices(changes);
    uplinks.takeDevices(changes);
    labels.takeDevices(changes);
    pseudowires.takeDevices(changes);
    devices.foreign.check(ifindexes);
    devices.addresses.take(changes);
    if (devices.underlay.concerns(changes, table) && devices.underlay.look(table)) underlayChanged();
  }, keeper.check);
  const underlayChanged = (): void => {
    devices.mtu.deviceChanged();
    devices.mtu.checkNetworks(state.slices);
    devices.guard.check();
    keeper.check();
    uplinks.check();
    void stream.underlayChanged();
  };
  devices.mtu.checkNetworks(state.slices);
  devices.foreign.check([...table.values()].map(({ ifindex }) => ifindex));
  return keeper;
}
