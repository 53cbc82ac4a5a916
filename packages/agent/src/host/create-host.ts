import { randomBytes } from 'node:crypto';
import type { Logger } from '@cable/kit';
import { VPN_WIRE } from '@cable/model';
import type { Announcing } from '../announced/start-announcing.ts';
import { MAPS } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { WatchedDevices } from '../capture/watched-devices.ts';
import { BesideServices } from '../cni/beside-services.ts';
import { HostPortStore } from '../cni/host-port-store.ts';
import { pluggedDevices } from '../cni/plugged-devices.ts';
import type { AgentDeps } from '../deps.ts';
import { type Devices, linkDriver } from '../devices/open-devices.ts';
import { FailOver } from '../gateways/fail-over.ts';
import { QuestionSender } from '../gateways/gateway-keeper.ts';
import { kernelProbeRows } from '../gateways/kernel-rows.ts';
import type { Handover } from '../handover/handover.ts';
import type { Prober } from '../health/prober.ts';
import { ServiceHealth } from '../health/service-health.ts';
import { HostPolicies } from '../host-policies/host-policies.ts';
import { openPortsOf } from '../host-policies/open-ports.ts';
import { FrameSocket } from '../net/frame-socket.ts';
import type { ChosenOptions } from '../options.ts';
import { formatAddress } from '../plan/address.ts';
import type { DeviceReader, LearnedReader, ToldReader } from '../plan/inputs.ts';
import { type LabelRow, VPN_DEVICE } from '../plan/label-rows.ts';
import { Planner } from '../plan/planner.ts';
import type { PseudowireKeeper } from '../pseudowires/pseudowire-keeper.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import { stateNumber } from '../reconcile/programmed.ts';
import { Reconciler } from '../reconcile/reconciler.ts';
import type { HostState } from '../stream/host-state.ts';
import { Announcer } from './announcer.ts';
import { ClusterZones } from './cluster-zones.ts';
import { HostLoop } from './host-loop.ts';
import { createHostIds } from './ids.ts';
import { keptIds } from './kept-ids.ts';
import { heldRows, LeaseUses } from './lease-uses.ts';
import { NeighbourAsker, neighbourRows, startNeighbourWatch } from './neighbour-asker.ts';
import { NetworkZones } from './network-zones.ts';
import { PortsByDevice } from './ports-by-device.ts';

/** What plans and writes this host's part of the data plane, and what is known of it. */
export type Host = {
  readonly loop: HostLoop;
  readonly planner: Planner;
  readonly watched: WatchedDevices;
  readonly ports: PortsByDevice;
  readonly beside: BesideServices;
  readonly zones: NetworkZones;
  readonly clusters: ClusterZones;
  readonly failOver: FailOver;
  readonly leases: LeaseUses;
  /** Those for the host itself. */
  readonly policies: HostPolicies;
  /** What runtimes want of host ports. */
  readonly hostPorts: HostPortStore;
  closeProbes(): void;
  /** Who is told of ports whose state changed, after each round that changed something, and who of policies for the host that are in force, or not; one. */
  onChange(listener: (ports: ReadonlySet<string>) => void, onPolicies: () => void): void;
};

/** Makes what the state and the devices are compiled by; `loop.start` begins it. */
export function createHost(
  options: ChosenOptions,
  parts: {
    readonly devices: Devices;
    readonly plane: KernelDataPlane;
    readonly state: HostState;
    readonly prober: Prober;
    readonly moving: Pick<Handover, 'hasFlows'>;
    readonly announcing: Pick<Announcing, 'take' | 'tags'>;
    readonly told: ToldReader;
    readonly learned: LearnedReader;
    /** Is told where packets of VPNs go by labels, and come from. */
    readonly label: (rows: readonly LabelRow[], isWhole: boolean) => void;
    readonly pseudowires: Pick<PseudowireKeeper, 'take' | 'shutBy'>;
    /** How long the server has said nothing. */
    readonly silentMs: () => number | undefined;
  },
  deps: AgentDeps,
): Host {
  const { devices, plane, state, prober, moving } = parts;
  const log = deps.log.child('host');
  const kept = keptIds({ plane, host: options.host, slices: state.slices });
  const ids = createHostIds(kept, () => performance.now());
  const hostPorts = new HostPortStore(options.stateDir, log);
  const watched = new WatchedDevices(
    shutDevices(pluggedDevices(devices.links.table, hostPorts), parts.pseudowires.shutBy),
  );
  const questions = new QuestionSender(options.underlay);
  const failOver: FailOver = createFailOver(options, { ...parts, questions, peers: () => probePeers(planner) }, log);
  const planner = new Planner({
    host: options.host,
    zone: options.availabilityZone,
    gateways: failOver,
    told: parts.told,
    learned: parts.learned,
    ownEncapsulation: options.encapsulation === 'own',
    // Whether its device is there decides whether anything of VPNs passes.
    bridgeMappings: new Map([...options.bridgeMappings, [VPN_WIRE, VPN_DEVICE]]),
    exportsFlows: options.flowCollector !== null,
    snoopsGroups: options.snoopsGroups,
    slices: state.slices,
    devices: watched,
    health: prober,
    ids,
    log: log.child('plan'),
  });
  const announcer = startAnnouncer(planner, { log, signal: deps.signal });
  const asker = startAsker(planner, plane, { log, signal: deps.signal });
  let listener: (ports: ReadonlySet<string>) => void = () => undefined;
  let policiesListener = (): void => undefined;
  const policies = new HostPolicies({
    host: options.host,
    slices: state.slices,
    nodeLinks: () => devices.nodeLinks.names,
    openPorts: openPortsOf(options.hostOpenPorts, options),
    onChange: () => policiesListener(),
    log: deps.log.child('host policies'),
    signal: deps.signal,
  });
  const health = new ServiceHealth({ log, signal: deps.signal });
  const loop = new HostLoop({
    host: options.host,
    slices: state.slices,
    planner,
    reconciler: new Reconciler(plane, planner, { log }),
    ids,
    stateNumber: stateNumber(state.agentId),
    programmed: plane.readProgrammed(),
    links: linkDriver(devices, policies, log),
    sayHealth: (ports) => health.take(ports),
    announceOn: (wanted, isWhole) => parts.announcing.take(wanted, isWhole),
    label: parts.label,
    wire: parts.pseudowires.take,
    letIn: (wanted) => devices.entrances.take(wanted),
    probe: (targets) => prober.take(targets),
    hasFlows: (portId) => moving.hasFlows(portId),
    onWritten: () => asker.changed(),
    announce: (moved) => announcer.announce(moved),
    onChange: ({ ports }) => listener(ports),
    log,
    signal: deps.signal,
  });
  watched.onChange((name) => loop.takeDevices({ names: [], moved: [name] }));
  const onChange = (next: typeof listener, onPolicies: typeof policiesListener): void => {
    listener = next;
    policiesListener = onPolicies;
  };
  const ports = new PortsByDevice(options.host, state.slices);
  const beside = new BesideServices(state.slices);
  const closeProbes = (): void => questions.close();
  const zones = new NetworkZones(state.slices);
  const clusters = new ClusterZones(state.slices);
  const leases = new LeaseUses({
    ...{ host: options.host, slices: state.slices, nowNs: () => process.hrtime.bigint() },
    held: heldRows(() => plane.held),
  });
  const parties = { planner, watched, ports, beside, zones, clusters, failOver, leases, policies, hostPorts };
  return { loop, ...parties, closeProbes, onChange };
}

function createFailOver(
  { host, underlay, bridgeMappings }: ChosenOptions,
  parts: Parameters<typeof createHost>[1] & {
    readonly questions: QuestionSender;
    readonly peers: () => Iterable<string>;
  },
  log: Logger,
): FailOver {
  const { devices, plane, state, questions, peers, silentMs, announcing } = parts;
  const now = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;
  return new FailOver({
    ...{ host, underlay, slices: state.slices, rows: kernelProbeRows(() => plane.probes), peers, now, log },
    ask: (other, question) => questions.send(other, question),
    hasCarrier: (physical) => devices.links.table.byName(bridgeMappings.get(physical) ?? '')?.carrier === true,
    serverHeardMs: () => {
      const silent = silentMs();
      return silent === undefined ? undefined : now() - silent;
    },
    announces: () => announcing.tags,
    isCold: plane.readProgrammed().revision === 0,
    newToken: () => randomBytes(8).readBigUInt64LE(),
  });
}

/** Devices, and why nothing may pass by one. */
function shutDevices(devices: DeviceReader, shutBy: PseudowireKeeper['shutBy']): DeviceReader {
  return {
    byName: (name) => {
      const device = devices.byName(name);
      const shut = shutBy(name);
      return device === undefined || shut === undefined ? device : { ...device, shut };
    },
  };
}

/** Underlay addresses of the hosts with which this one exchanges probes. */
function* probePeers({ entries }: Pick<Planner, 'entries'>): Generator<string> {
  for (const key of entries.of('cb_peer_2').keys()) {
    const { wireId, remote } = MAPS.cb_peer_2.key.decode(textBytes(key));
    if (wireId === 0) yield formatAddress(remote);
  }
}

function startAnnouncer({ entries }: Pick<Planner, 'entries'>, deps: AgentDeps): Announcer {
  const frames = new FrameSocket();
  const announcer = new Announcer({
    entries,
    send: (ifindex, frame) => frames.send(ifindex, frame),
    after: (ms, call) => void setTimeout(call, ms).unref(),
    ...deps,
  });
  void announcer.done.then(() => frames.close());
  return announcer;
}

/** Asks next hops outside where they are. */
function startAsker(
  planner: Pick<Planner, 'entries' | 'askers'>,
  plane: Pick<KernelDataPlane, 'neighbours'>,
  deps: AgentDeps,
): { readonly changed: () => void } {
  const frames = new FrameSocket();
  const asker = new NeighbourAsker({
    planner,
    ...neighbourRows(() => plane.neighbours),
    send: (ifindex, frame) => frames.send(ifindex, frame),
    nowNs: () => process.hrtime.bigint(),
  });
  const watch = startNeighbourWatch({ asker, ...deps });
  void watch.done.then(() => frames.close());
  const changed = (): void => {
    asker.changed();
    watch.trigger();
  };
  return { changed };
}
