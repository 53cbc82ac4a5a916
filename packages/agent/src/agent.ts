import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, createClient } from '@cable/api';
import { type HttpTransport, type Logger, LoopDelay } from '@cable/kit';
import { AGENT_FEATURES, type RefusedEntries, TAP_BRIDGES } from '@cable/model';
import { createAnswers } from './asks/answers.ts';
import { openFollows, openLentCaptures } from './asks/open-follows.ts';
import { Tracer } from './asks/tracer.ts';
import { MAPS } from './bpf/abi.gen.ts';
import { textBytes } from './bpf/codec.ts';
import { Captures } from './capture/captures.ts';
import { WatchedDevices } from './capture/watched-devices.ts';
import { createCniHandler } from './cni/index.ts';
import type { GuestRecord } from './desired.ts';
import { type ForeignProgramWatch, watchForeignPrograms } from './devices/foreign-programs.ts';
import { openFragmenterNamespace } from './devices/fragmenter.ts';
import { type GuardKeeper, startGuardKeeper } from './devices/guard-keeper.ts';
import { applyHostLinks, unwantedHostLinks } from './devices/host-links.ts';
import { LinkRemover } from './devices/link-remover.ts';
import type { LinkChanges } from './devices/link-rows.ts';
import { LinkTable, type LinkTableOptions } from './devices/link-table.ts';
import { type OwnLinkKeeper, startOwnLinkKeeper } from './devices/own-link-keeper.ts';
import {
  ensureOwnLinks,
  hasIpv6,
  OWN_NAMES,
  type OwnLinks,
  removeFormerServiceLink,
  SERVICE_ADDRESS,
} from './devices/own-links.ts';
import { openServiceNamespace } from './devices/service-namespace.ts';
import { startTapBridgeSweep, type TapBridgeSweep } from './devices/tap-bridges.ts';
import { UnderlayWatch } from './devices/underlay.ts';
import { concernsNetworks, UnderlayMtu } from './devices/underlay-mtu.ts';
import { startUplinkKeeper, type UplinkKeeper } from './devices/uplink-keeper.ts';
import type { FlowExport } from './flow-export/flow-export.ts';
import { openFlowExport } from './flow-export/open.ts';
import { FailOver } from './gateways/fail-over.ts';
import { QuestionSender, startGatewayKeeper } from './gateways/gateway-keeper.ts';
import { kernelProbeRows } from './gateways/kernel-rows.ts';
import { hostUpstreams } from './guest/dns-upstreams.ts';
import type { GroupMaps } from './guest/group-rows.ts';
import { type GuestServices, type GuestServicesOptions, startGuestServices } from './guest/index.ts';
import { kernelGroupPlaces } from './guest/joined-groups.ts';
import { readMetadataSecret } from './guest/metadata-secret.ts';
import { SERVICE_ADDRESS6 } from './guest/service-address.ts';
import { type Handover, startHandover } from './handover/handover.ts';
import { probeFrom } from './health/probe.ts';
import { Prober } from './health/prober.ts';
import { Announcer } from './host/announcer.ts';
import type { LinkDriver } from './host/applied-links.ts';
import { HostLoop } from './host/host-loop.ts';
import { createHostIds } from './host/ids.ts';
import { keptIds } from './host/kept-ids.ts';
import { heldRows, LeaseUses, startLeaseWatch } from './host/lease-uses.ts';
import { machinePorts } from './host/machine-ports.ts';
import { NeighbourAsker, neighbourRows, startNeighbourWatch } from './host/neighbour-asker.ts';
import { NetworkZones } from './host/network-zones.ts';
import { PortsByDevice } from './host/ports-by-device.ts';
import type { PodClient, ServerAccess } from './joining/server-access.ts';
import { FrameSocket } from './net/frame-socket.ts';
import type { Netns } from './net/netns.ts';
import { NetlinkSocket } from './net/socket.ts';
import type { ChosenOptions } from './options.ts';
import { openPacketLog } from './packet-log/open.ts';
import type { PacketLogCounters } from './packet-log/packet-log.ts';
import { formatAddress } from './plan/address.ts';
import { Planner } from './plan/planner.ts';
import type { KernelDataPlane } from './reconcile/kernel-data-plane.ts';
import { stateNumber } from './reconcile/programmed.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import type { RefusalCount } from './reconcile/refusals.ts';
import { startAgentSocket } from './socket/agent-socket.ts';
import { createAgentView } from './socket/agent-view.ts';
import type { Answer } from './stream/connection.ts';
import type { HostState } from './stream/host-state.ts';
import { openHostState } from './stream/open-state.ts';
import { StreamClient } from './stream/stream-client.ts';
import { openTrace, openVrouter, reloadVrouter } from './vrouter.ts';

type Deps = { readonly log: Logger; readonly signal: AbortSignal };

/** Between looks at the event loop's delay: each wakes the process. */
const LOOK_MS = 10;

/** A report or a pod's port must not wait long for a server that does not answer. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Runs the agent until the signal aborts; then everything that carries traffic stays as it is. Throws when it cannot start. */
export async function runAgent(
  options: ChosenOptions,
  { socketPath, access }: { readonly socketPath: string; readonly access: ServerAccess },
  deps: Deps,
): Promise<void> {
  const { log, signal } = deps;
  const delay = new LoopDelay(LOOK_MS);
  const version = readVersion();
  const transport = access.connect(REQUEST_TIMEOUT_MS);
  const client = createClient({ transport });
  const pods = access.podClient(client, REQUEST_TIMEOUT_MS);
  const devices = await openDevices(options, deps);
  let guests: ReadonlyMap<number, GuestRecord> = new Map();
  let machineOf: MachineOf = (guest) => [guest];
  let zoneOf: ZoneOf = () => undefined;
  let groupMaps = (): GroupMaps => {
    throw new Error('no programs are loaded yet, so there are no guests to ask');
  };
  const told = {
    guests: () => guests,
    groupMaps: () => groupMaps(),
    machineOf: (guest: GuestRecord) => machineOf(guest),
    zoneOf: (networkId: string) => zoneOf(networkId),
  };
  const services = await startServices(options, told, devices, deps);
  const plane = openVrouter(options, devices.own, { log: log.child('bpf') });
  groupMaps = () => plane.groups;
  await removeFormerServiceLink(devices.socket);
  const { state, disk } = await openHostState(options, { log: log.child('state'), signal });
  await Promise.all([devices.links.ready, devices.serviceLinks.ready]);
  warnOfUnderlay(options.underlay, devices.links.table, log);

  const changed: { members: (memberIds: ReadonlySet<string>) => void } = { members: () => undefined };
  const prober = startProber(devices, (memberIds) => changed.members(memberIds), deps);
  let silentMs = (): number | undefined => undefined;
  let hasFlows = (_portId: string): boolean => false;
  const moving = { hasFlows: (portId: string) => hasFlows(portId) };
  const host = createHost(options, { devices, plane, state, prober, moving, silentMs: () => silentMs() }, deps);
  guests = host.planner.guests;
  machineOf = (guest) => machinePorts(guest, host.ports, state.slices);
  const flows = openFlowExport(options, { plane, state, host }, deps);
  const packetLog = openPacketLog(options, { flows, slices: state.slices }, log);
  const tracing = createTracing(options, { devices, plane, state, host, flows }, deps);
  const handover = startHandover({
    ...options,
    pinnedMaps: join(options.pinDir, 'maps'),
    slices: state.slices,
    planner: host.planner,
    gatewayOf: (routerId) => host.failOver.hostOf(routerId),
    groups: options.snoopsGroups
      ? kernelGroupPlaces(
          () => plane.groups.joined,
          () => process.hrtime.bigint(),
        )
      : undefined,
    onFlows: (portId) => host.loop.takeFlows(portId),
    log: log.child('handover'),
    signal,
  });
  hasFlows = (portId) => handover.hasFlows(portId);
  const bridges = startTapBridgeSweep({
    links: devices.links.table,
    ports: () => state.slices.itemKeys(`host:${options.host}`),
    remover: devices.remover,
    log: log.child('devices'),
    signal,
  });
  const stream = createStream(
    options,
    { version, client, transport, state, host, devices, bridges, handover, prober, answer: tracing.answer },
    deps,
  );
  host.onChange((ports) => {
    flows.start();
    handover.portsChanged(ports);
    stream.portsChanged(ports);
    stream.programmed();
  });
  changed.members = (memberIds) => {
    host.loop.takeHealth(memberIds);
    stream.membersChanged(memberIds);
  };
  silentMs = () => stream.silentMs;
  const uplinks = startUplinkKeeper({
    encapsulation: options.encapsulation,
    provider: new Set(options.bridgeMappings.values()),
    underlay: options.underlay,
    devices: devices.underlay,
    plane,
    links: devices.links.table,
    log: log.child('uplinks'),
    signal,
  });
  const keeper = keepDevices(options, { devices, plane, host, uplinks, stream, state, remade: tracing.remade }, deps);
  await uplinks.ready;
  const initial = await state.initialUpdate();
  host.ports.take(initial);
  handover.take(initial);
  handover.takeGateways(initial, host.failOver.take(initial.changes));
  zoneOf = (networkId) => host.zones.get(networkId);
  const running = host.loop.start(initial);
  const gateways = startGatewayKeeper({
    failOver: host.failOver,
    onChange: (routerIds) => {
      handover.takeGateways({ changes: [] }, routerIds);
      host.loop.takeGateways(routerIds);
      stream.gatewaysTaken();
    },
    log: log.child('gateways'),
    signal,
  });
  const leases = startLeaseWatch({
    uses: host.leases,
    onChange: () => stream.leasesUsed(),
    log: log.child('leases'),
    signal,
  });
  const names = [...devices.links.table.values()].map(({ name }) => name);
  host.loop.takeDevices({ names, moved: names });
  await startSocket(
    socketPath,
    {
      options,
      version,
      plane,
      services,
      client: pods.client,
      devices,
      uplinks,
      state,
      host,
      handover,
      stream,
      prober,
      delay,
      flows,
      packetLog,
    },
    deps,
  );
  log.info({ host: options.host, revision: state.position.revision, socket: socketPath }, 'agent is ready');

  access.onNew(() => void stream.certificateChanged());
  await stream.run();
  await Promise.all([
    running.done,
    keeper.done,
    uplinks.done,
    devices.guard.done,
    devices.foreign.done,
    bridges.done,
    gateways.done,
    leases.done,
  ]);
  host.closeProbes();
  await Promise.all([devices.links.done, devices.serviceLinks.done]);
  tracing.close();
  flows.close();
  await packetLog.close();
  handover.close();
  await devices.remover.close();
  await disk.close();
  plane.close();
  devices.socket.close();
  devices.netns.close();
  devices.fragments.close();
  pods.close();
  transport.close();
}

type Devices = {
  readonly socket: NetlinkSocket;
  readonly underlay: UnderlayWatch;
  readonly guard: GuardKeeper;
  /** Of the guest services. */
  readonly netns: Netns;
  /** Of the fragmenter. */
  readonly fragments: Netns;
  readonly own: OwnLinks;
  readonly mtu: UnderlayMtu;
  readonly links: ObservedLinks;
  /** Of the namespace of the guest services. */
  readonly serviceLinks: ObservedLinks;
  readonly foreign: ForeignProgramWatch;
  readonly remover: LinkRemover;
  /** Who is told of changes of `links`, and of any of `serviceLinks`; one. */
  onChange(listener: (changes: LinkChanges) => void, onServiceChange: () => void): void;
};

type ObservedLinks = { readonly table: LinkTable; readonly ready: Promise<void>; readonly done: Promise<void> };

/** The guard before anything else, then the agent's own devices as they shall be, and the observed tables of all. */
async function openDevices(options: ChosenOptions, deps: Deps): Promise<Devices> {
  const { log, signal } = deps;
  const socket = new NetlinkSocket();
  const underlay = new UnderlayWatch(options.underlay, socket);
  const spec = () => ({ tunnelDevices: underlay.now?.devices });
  const guard = startGuardKeeper({ spec, log: log.child('guard'), signal });
  const mtu = new UnderlayMtu({
    ...{ underlay, address: options.underlay, wantedBytes: options.underlayMtuBytes, log: log.child('devices') },
  });
  const netns = openServiceNamespace(options.runDir, socket);
  const fragments = openFragmenterNamespace(options.runDir, socket);
  const own = await ensureOwnLinks(socket, { mtuBytes: mtu.innerBytes, netns, fragments });
  let listener: (changes: LinkChanges) => void = () => undefined;
  let serviceListener = (): void => undefined;
  const links = observe({ onChange: (changes) => listener(changes) }, deps);
  const serviceLinks = observe({ onChange: () => serviceListener(), netns }, deps);
  const onChange = (next: typeof listener, onServiceChange: typeof serviceListener): void => {
    listener = next;
    serviceListener = onServiceChange;
  };
  const foreign = watchForeignPrograms({ socket, links: links.table, log: log.child('devices'), signal });
  return {
    socket,
    underlay,
    guard,
    netns,
    fragments,
    own,
    mtu,
    links,
    serviceLinks,
    foreign,
    remover: new LinkRemover(),
    onChange,
  };
}

function observe(options: Pick<LinkTableOptions, 'onChange' | 'netns'>, { log, signal }: Deps): ObservedLinks {
  const table = new LinkTable({ ...options, log: log.child('devices'), signal });
  return { table, ...table.start() };
}

type MachineOf = NonNullable<GuestServicesOptions['machineOf']>;
type ZoneOf = NonNullable<GuestServicesOptions['dns']>['zoneOf'];

/** The state is read after the guest services listen: until then `told` knows nobody. */
function startServices(
  { novaMetadata, dns, snoopsGroups }: ChosenOptions,
  {
    groupMaps,
    ...told
  }: Pick<GuestServicesOptions, 'guests' | 'machineOf' | 'groupMaps'> & {
    readonly zoneOf: ZoneOf;
  },
  devices: Pick<Devices, 'netns' | 'links'>,
  { log, signal }: Deps,
): Promise<GuestServices> {
  const secret = novaMetadata === null ? undefined : readMetadataSecret(novaMetadata.secretFile);
  if (secret?.ok === false) throw new Error(secret.reason);
  const nova =
    novaMetadata === null || secret === undefined ? {} : { nova: { url: novaMetadata.url, secret: secret.secret } };
  const ownAddresses = () =>
    [...devices.links.table.values()].flatMap(({ addresses }) => addresses.map(({ cidr }) => cidr.split('/')[0] ?? ''));
  const upstreams = dns?.upstreams ?? hostUpstreams({ ownAddresses, now: () => performance.now() });
  return startGuestServices({
    ...told,
    ...nova,
    ...(dns === null
      ? {}
      : { dns: { zoneOf: told.zoneOf, upstreams: typeof upstreams === 'function' ? upstreams : () => upstreams } }),
    address: SERVICE_ADDRESS,
    ...(hasIpv6() ? { address6: SERVICE_ADDRESS6 } : {}),
    ...(snoopsGroups && groupMaps !== undefined ? { groupMaps } : {}),
    netns: devices.netns,
    log: log.child('guest'),
    signal,
  });
}

function warnOfUnderlay(underlay: string, links: Pick<LinkTable, 'values'>, log: Logger): void {
  for (const { addresses } of links.values()) {
    if (addresses.some(({ cidr }) => cidr.split('/')[0] === underlay)) return;
  }
  log.warn({ underlay }, 'no device has the underlay address: other hosts cannot reach this one');
}

type Host = {
  readonly loop: HostLoop;
  readonly planner: Planner;
  readonly watched: WatchedDevices;
  readonly ports: PortsByDevice;
  readonly zones: NetworkZones;
  readonly failOver: FailOver;
  readonly leases: LeaseUses;
  closeProbes(): void;
  /** Who is told of ports whose state changed, after each round that changed something; one. */
  onChange(listener: (ports: ReadonlySet<string>) => void): void;
};

function createHost(
  options: ChosenOptions,
  parts: {
    readonly devices: Devices;
    readonly plane: KernelDataPlane;
    readonly state: HostState;
    readonly prober: Prober;
    readonly moving: Pick<Handover, 'hasFlows'>;
    /** How long the server has said nothing. */
    readonly silentMs: () => number | undefined;
  },
  deps: Deps,
): Host {
  const { devices, plane, state, prober, moving } = parts;
  const log = deps.log.child('host');
  const kept = keptIds({ plane, host: options.host, slices: state.slices });
  const ids = createHostIds(kept, () => performance.now());
  const watched = new WatchedDevices(devices.links.table);
  const questions = new QuestionSender(options.underlay);
  const failOver: FailOver = createFailOver(options, { ...parts, questions, peers: () => probePeers(planner) }, log);
  const planner = new Planner({
    host: options.host,
    gateways: failOver,
    ownEncapsulation: options.encapsulation === 'own',
    bridgeMappings: options.bridgeMappings,
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
  const loop = new HostLoop({
    host: options.host,
    slices: state.slices,
    planner,
    reconciler: new Reconciler(plane, planner, { log }),
    ids,
    stateNumber: stateNumber(state.agentId),
    programmed: plane.readProgrammed(),
    links: linkDriver(devices, log),
    probe: (targets) => prober.take(targets),
    hasFlows: (portId) => moving.hasFlows(portId),
    onWritten: () => asker.changed(),
    announce: (moved) => announcer.announce(moved),
    onChange: ({ ports }) => listener(ports),
    log,
    signal: deps.signal,
  });
  watched.onChange((name) => loop.takeDevices({ names: [], moved: [name] }));
  const onChange = (next: typeof listener): void => {
    listener = next;
  };
  const ports = new PortsByDevice(options.host, state.slices);
  const closeProbes = (): void => questions.close();
  const zones = new NetworkZones(state.slices);
  const leases = new LeaseUses({
    ...{ host: options.host, slices: state.slices, nowNs: () => process.hrtime.bigint() },
    held: heldRows(() => plane.held),
  });
  return { loop, planner, watched, ports, zones, failOver, leases, closeProbes, onChange };
}

function createFailOver(
  { host, underlay, bridgeMappings }: ChosenOptions,
  parts: Parameters<typeof createHost>[1] & {
    readonly questions: QuestionSender;
    readonly peers: () => Iterable<string>;
  },
  log: Logger,
): FailOver {
  const { devices, plane, state, questions, peers, silentMs } = parts;
  const now = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;
  return new FailOver({
    ...{ host, underlay, slices: state.slices, rows: kernelProbeRows(() => plane.probes), peers, now, log },
    ask: (other, question) => questions.send(other, question),
    hasCarrier: (physical) => devices.links.table.byName(bridgeMappings.get(physical) ?? '')?.carrier === true,
    serverHeardMs: () => {
      const silent = silentMs();
      return silent === undefined ? undefined : now() - silent;
    },
    isCold: plane.readProgrammed().revision === 0,
    newToken: () => randomBytes(8).readBigUInt64LE(),
  });
}

/** Underlay addresses of the hosts with which this one exchanges probes. */
function* probePeers({ entries }: Pick<Planner, 'entries'>): Generator<string> {
  for (const key of entries.of('cb_peer_2').keys()) {
    const { wireId, remote } = MAPS.cb_peer_2.key.decode(textBytes(key));
    if (wireId === 0) yield formatAddress(remote);
  }
}

/** Probes members of pools until the signal aborts. */
function startProber(
  { netns }: Pick<Devices, 'netns'>,
  onChange: (memberIds: ReadonlySet<string>) => void,
  { log, signal }: Deps,
): Prober {
  const clock = {
    now: () => performance.now(),
    after: (ms: number, call: () => void) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  };
  const prober = new Prober({
    open: probeFrom(netns),
    clock,
    random: Math.random,
    onChange,
    log: log.child('health'),
  });
  signal.addEventListener('abort', () => prober.close(), { once: true });
  return prober;
}

function startAnnouncer({ entries }: Pick<Planner, 'entries'>, deps: Deps): Announcer {
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
  deps: Deps,
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

function linkDriver({ socket, links, remover }: Devices, log: Logger): LinkDriver {
  return {
    apply: (wanted) => {
      const result = applyHostLinks(wanted, { socket, log });
      if (result.changed) links.table.catchUp();
      return result;
    },
    prune: (wanted) => {
      const going = unwantedHostLinks(wanted, links.table.values()).map(({ ifindex }) => ifindex);
      remover.remove(going).catch((err: unknown) => log.warn({ err }, 'cannot remove links of ports that are gone'));
    },
  };
}

/** Answers to what the server asks about ports, traces among them. */
function createTracing(
  options: ChosenOptions,
  parts: {
    readonly devices: Pick<Devices, 'own'>;
    readonly plane: KernelDataPlane;
    readonly state: HostState;
    readonly host: Host;
    readonly flows: Pick<FlowExport, 'listen'>;
  },
  deps: Deps,
): { readonly answer: Answer; readonly remade: (own: OwnLinks) => void; close(): void } {
  const { plane, state, host, flows } = parts;
  const log = deps.log.child('asks');
  let { own } = parts.devices;
  const known = { slices: state.slices, planner: host.planner, log };
  const tracer = new Tracer({ ...known, host: options.host, load: () => openTrace(options, own) });
  const follows = openFollows(options, { ...known, plane, watched: host.watched, flows });
  const captures = openLentCaptures(options, { ...known, watched: host.watched });
  return {
    answer: createAnswers({ ...known, plane, tracer, follows, captures, monotonicMs: () => performance.now() }),
    remade: (next) => {
      own = next;
      tracer.close();
    },
    close: () => {
      tracer.close();
      follows.close();
      captures.close();
    },
  };
}

function createStream(
  options: ChosenOptions,
  parts: {
    readonly version: string;
    readonly client: Client;
    readonly transport: HttpTransport;
    readonly state: HostState;
    readonly host: Host;
    readonly devices: Pick<Devices, 'underlay' | 'mtu'>;
    readonly bridges: Pick<TapBridgeSweep, 'take'>;
    readonly handover: Pick<Handover, 'take' | 'takeGateways'>;
    readonly prober: Prober;
    readonly answer: Answer;
  },
  { log, signal }: Deps,
): StreamClient {
  const { client, transport, state, host, devices, bridges, handover, prober, answer } = parts;
  const { host: name, underlay } = options;
  return new StreamClient(
    { host: name, underlay, agentVersion: parts.version, session: randomUUID() },
    {
      client,
      transport,
      state,
      source: {
        programmedRevision: () => host.loop.view.revision,
        ports: () => host.loop.view.ports,
        refused: () => sumOf(host.loop.view.refused),
        gateways: () => host.failOver.taken,
        leases: () => host.leases.uses,
      },
      members: prober,
      onUpdate: (update) => {
        host.ports.take(update);
        host.zones.take(update);
        handover.take(update);
        const moved = host.failOver.take(update.changes);
        handover.takeGateways(update, moved);
        host.loop.takeState(update);
        host.loop.takeGateways(moved);
        bridges.take(update);
        if (concernsNetworks(update.changes)) devices.mtu.checkNetworks(state.slices);
      },
      answer,
      underlayMtuBytes: () => devices.underlay.now?.mtuBytes,
      bridgeMappings: options.bridgeMappings,
      bandwidth: options.bandwidth,
      availabilityZone: options.availabilityZone,
      features: featuresOf(options),
      log: log.child('stream'),
      signal,
    },
  );
}

/** What the host's row says that it can do, sorted. */
function featuresOf({ vifType }: Pick<ChosenOptions, 'vifType'>): readonly string[] {
  return vifType === 'bridge' ? [...AGENT_FEATURES, TAP_BRIDGES].sort() : AGENT_FEATURES;
}

/** All maps' together, with the reason of one. */
function sumOf([first, ...others]: readonly RefusalCount[]): RefusedEntries | undefined {
  if (first === undefined) return undefined;
  return { entries: others.reduce((sum, { entries }) => sum + entries, first.entries), reason: first.reason };
}

/** What becomes of devices is taken in as it is told; whoever takes a program off one, or sets the agent's own down, is answered. */
function keepDevices(
  options: ChosenOptions,
  parts: {
    readonly devices: Devices;
    readonly plane: KernelDataPlane;
    readonly host: Host;
    readonly uplinks: Pick<UplinkKeeper, 'check' | 'takeDevices'>;
    readonly stream: StreamClient;
    readonly state: HostState;
    /** Told of the agent's own devices when they were made anew. */
    readonly remade: (own: OwnLinks) => void;
  },
  { log, signal }: Deps,
): OwnLinkKeeper {
  const { devices, plane, host, uplinks, stream, state } = parts;
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
    devices.foreign.check(ifindexes);
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

async function startSocket(
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
  deps: Deps,
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
  const cni = createCniHandler({
    host: options.host,
    client,
    kernel: { socket: devices.socket, remover: devices.remover, links: table },
    localFacts: {
      synced: () => state.synced,
      network: (id) => state.slices.header(`network:${id}`),
      portsByDeviceId: (deviceId) => host.ports.get(deviceId),
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

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
}
