import type { LoopDelay } from '@cable/kit';
import { Captures } from '../capture/captures.ts';
import { createCniHandler } from '../cni/index.ts';
import type { AgentDeps } from '../deps.ts';
import type { Devices } from '../devices/open-devices.ts';
import type { UplinkKeeper } from '../devices/uplink-keeper.ts';
import type { FlowExport } from '../flow-export/flow-export.ts';
import type { GuestServices } from '../guest/index.ts';
import type { Handover } from '../handover/handover.ts';
import type { Prober } from '../health/prober.ts';
import type { Host } from '../host/create-host.ts';
import type { HostLoop } from '../host/host-loop.ts';
import type { PodClient } from '../joining/server-access.ts';
import type { ChosenOptions } from '../options.ts';
import type { PacketLogCounters } from '../packet-log/packet-log.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { HostState } from '../stream/host-state.ts';
import type { StreamClient } from '../stream/stream-client.ts';
import { startAgentSocket } from './agent-socket.ts';
import { createAgentView } from './agent-view.ts';

/** Serves CNI, `cable agent status` and the operator's commands on a Unix socket until the signal aborts. */
export async function startSocket(
  path: string,
  parts: {
    readonly options: ChosenOptions;
    readonly version: string;
    readonly plane: KernelDataPlane;
    readonly services: GuestServices;
    readonly client: PodClient;
    readonly devices: Devices;
    readonly uplinks: Pick<UplinkKeeper, 'view'>;
    readonly state: HostState;
    readonly host: Host;
    readonly handover: Pick<Handover, 'status'>;
    readonly stream: StreamClient;
    readonly prober: Prober;
    readonly flows: Pick<FlowExport, 'counters'>;
    readonly packetLog: { readonly counters: PacketLogCounters };
    readonly delay: LoopDelay;
  },
  deps: AgentDeps,
): Promise<void> {
  const { options, version, plane, services, client, devices, state, host, stream } = parts;
  const view = createAgentView({
    host: options.host,
    underlay: options.underlay,
    version,
    slices: state.slices,
    planner: host.planner,
    view: () => host.loop.view,
    plane,
    status: () => ({
      server: stream.status,
      devices: devices.links.table.counters(),
      underlayDevices: devices.underlay.now?.devices ?? null,
      underlayMtuBytes: devices.underlay.now?.mtuBytes ?? null,
      underlayPath: parts.uplinks.view,
      gateways: host.failOver.view,
      networksTooLarge: devices.mtu.tooLarge(state.slices),
      guard: devices.guard.status(),
      foreignPrograms: devices.foreign.found(),
      services: {
        ...services.counters(),
        ...parts.prober.counters(),
        ...parts.flows.counters,
        ...parts.packetLog.counters,
      },
      handover: parts.handover.status,
      event_loop_p999_ms: parts.delay.take([0.999])[0] ?? 0,
    }),
  });
  const { table } = devices.links;
  const cni = await createCniHandler({
    host: options.host,
    cluster: options.cluster,
    client,
    kernel: { socket: devices.socket, remover: devices.remover, links: table },
    localFacts: {
      synced: () => state.synced,
      network: (id) => state.slices.header(`network:${id}`),
      port: (id) => state.slices.item(`host:${options.host}`, id),
      portsByDeviceId: (deviceId) => host.ports.get(deviceId),
      watch: (deviceId, onChange) => host.ports.watch(deviceId, onChange),
      unready: () => unreadyOf(state, host.loop),
    },
    devicePlugged: ({ name }) => {
      table.catchUp();
      host.loop.takeDevices({ names: [name], moved: [name] });
    },
    waitPlugged: (wanted, signal) => host.loop.waitPlugged(wanted, signal),
    log: deps.log.child('cni'),
  });
  await startAgentSocket(path, {
    view,
    cni,
    captures: new Captures({ ...host, log: deps.log.child('capture'), signal: deps.signal }),
    operator: operatorOf(stream, host.loop),
    log: deps.log.child('socket'),
    signal: deps.signal,
  });
}

/** What this host was sent it plugs also while the server is away. */
function unreadyOf({ position }: Pick<HostState, 'position'>, { view }: Pick<HostLoop, 'view'>): string | null {
  return position.revision === 0 ? 'the server has never sent it what is on this host' : view.held;
}

/** A removal of ports is confirmed whatever it waits for: what the server left out, or what the maps hold beyond all that it knows. */
function operatorOf(stream: StreamClient, loop: HostLoop): Pick<StreamClient, 'adoptStore' | 'confirmRemoval'> {
  return {
    adoptStore: () => stream.adoptStore(),
    confirmRemoval: async () => {
      const answer = await stream.confirmRemoval();
      const unknown = loop.confirmUnknown();
      if (unknown === null) return answer;
      const message = `${unknown.absent} of ${unknown.of} ports that the server does not know are removed.`;
      return { changed: true, message: answer.changed ? `${answer.message} ${message}` : message };
    },
  };
}
