import { type LoopDelay, startProbeListener } from '@cable/kit';
import type { Announcing } from '../announced/start-announcing.ts';
import type { Speaker } from '../bgp/speaker.ts';
import { Captures } from '../capture/captures.ts';
import { type Cni, createCni, hostPortsView, networkWays } from '../cni/index.ts';
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
import type { LabelKeeper } from '../labels/label-keeper.ts';
import type { ChosenOptions } from '../options.ts';
import type { PacketLogCounters } from '../packet-log/packet-log.ts';
import type { PolicyLogCounters } from '../packet-log/policy-log.ts';
import { knownPorts, ownHealthPorts, ownPortsOf } from '../plan/own-ports.ts';
import type { PseudowireKeeper } from '../pseudowires/pseudowire-keeper.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { HostState } from '../stream/host-state.ts';
import type { StreamClient } from '../stream/stream-client.ts';
import type { ToldNames } from '../told/told-names.ts';
import { startAgentSocket } from './agent-socket.ts';
import { createAgentView } from './agent-view.ts';

/** Serves CNI, `cable agent status` and the operator's commands on a Unix socket until the signal aborts. Answers the CNI plug-in's part. */
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
    readonly labels: Pick<LabelKeeper, 'view'>;
    readonly pseudowires: Pick<PseudowireKeeper, 'view'>;
    readonly speaker: Pick<Speaker, 'view'>;
    readonly state: HostState;
    readonly host: Host;
    readonly handover: Pick<Handover, 'status'>;
    readonly stream: StreamClient;
    readonly prober: Prober;
    readonly announcing: Pick<Announcing, 'view'>;
    readonly flows: Pick<FlowExport, 'counters'>;
    readonly packetLog: { readonly counters: PacketLogCounters & PolicyLogCounters };
    readonly toldNames: Pick<ToldNames, 'counters'>;
    readonly delay: LoopDelay;
  },
  deps: AgentDeps,
): Promise<Cni> {
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
      labels: parts.labels.view,
      pseudowires: parts.pseudowires.view,
      bgp: parts.speaker.view,
      gateways: host.failOver.view,
      announced: parts.announcing.view,
      networksTooLarge: devices.mtu.tooLarge(state.slices),
      guard: devices.guard.status(),
      hostPolicies: host.policies.view,
      node: devices.node.status(),
      foreignPrograms: devices.foreign.found(),
      services: {
        ...services.counters(),
        ...parts.prober.counters(),
        ...parts.flows.counters,
        ...parts.packetLog.counters,
        ...parts.toldNames.counters,
      },
      handover: parts.handover.status,
      hostPorts: hostPortsView(host.hostPorts.all),
      event_loop_p999_ms: parts.delay.take([0.999])[0] ?? 0,
    }),
  });
  const { table } = devices.links;
  const own = [...ownPortsOf(options.probeListen), ...knownPorts(options.hostOpenPorts.ingress)];
  const hostPorts = {
    store: host.hostPorts,
    isNode: () => devices.nodeLinks.names.length > 0,
    planned: () => host.planner.entrances,
    ownPorts: () => [...own, ...ownHealthPorts(host.planner.healthPorts)],
    keeper: devices.entrances,
  };
  const cni = await createCni({
    host: options.host,
    cluster: options.cluster,
    client,
    kernel: { socket: devices.socket, remover: devices.remover, links: table },
    hostPorts,
    localFacts: {
      synced: () => state.synced,
      network: (id) => state.slices.header(`network:${id}`),
      port: (id) => state.slices.item(`host:${options.host}`, id) ?? state.slices.item(`standby:${options.host}`, id),
      portsByDeviceId: (deviceId) => host.ports.get(deviceId),
      ways: (networkId) => networkWays(state.slices, host.beside, networkId),
      watch: (deviceId, onChange) => host.ports.watch(deviceId, onChange),
      unready: () => unreadyOf(state, host.loop),
    },
    devicePlugged: ({ name }) => {
      table.catchUp();
      host.loop.takeDevices({ names: [name], moved: [name] });
    },
    waitPlugged: (wanted, signal) => host.loop.waitPlugged(wanted, signal),
    log: deps.log.child('cni'),
    signal: deps.signal,
  });
  await startAgentSocket(path, {
    view,
    cni: cni.handle,
    captures: new Captures({ ...host, log: deps.log.child('capture'), signal: deps.signal }),
    operator: operatorOf(stream, host.loop),
    log: deps.log.child('socket'),
    signal: deps.signal,
  });
  if (options.probeListen !== null)
    await startProbeListener(options.probeListen, { unready: () => unreadyOf(state, host.loop) }, deps.signal);
  return cni;
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
