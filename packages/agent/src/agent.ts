import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@cable/api';
import { LoopDelay } from '@cable/kit';
import { createAnnouncing } from './announced/start-announcing.ts';
import { createTracing } from './asks/create-tracing.ts';
import { startSpeaker } from './bgp/speaker.ts';
import type { Cni } from './cni/index.ts';
import type { AgentDeps } from './deps.ts';
import type { GuestRecord } from './desired.ts';
import { keepDevices } from './devices/keep-devices.ts';
import { openDevices, warnOfUnderlay } from './devices/open-devices.ts';
import { removeFormerServiceLink } from './devices/own-links.ts';
import { startTapBridgeSweep } from './devices/tap-bridges.ts';
import { startUplinkKeeper } from './devices/uplink-keeper.ts';
import { openFlowExport } from './flow-export/open.ts';
import { startGatewayKeeper } from './gateways/gateway-keeper.ts';
import type { GroupMaps } from './guest/group-rows.ts';
import { kernelGroupPlaces } from './guest/joined-groups.ts';
import { type Answered, type ClustersOf, type MachineOf, startServices, type ZoneOf } from './guest/start-services.ts';
import { startHandover } from './handover/handover.ts';
import { startProber } from './health/start-prober.ts';
import { createHost } from './host/create-host.ts';
import { startLeaseWatch } from './host/lease-uses.ts';
import { machinePorts } from './host/machine-ports.ts';
import type { ServerAccess } from './joining/server-access.ts';
import { startLabelKeeper } from './labels/label-keeper.ts';
import type { ChosenOptions } from './options.ts';
import { openPacketLog } from './packet-log/open.ts';
import { VPN_DEVICE } from './plan/label-rows.ts';
import { startPseudowireKeeper } from './pseudowires/pseudowire-keeper.ts';
import { startSocket } from './socket/start-socket.ts';
import { createStream } from './stream/create-stream.ts';
import { openHostState } from './stream/open-state.ts';
import { openToldNames } from './told/open.ts';
import { ToldTable } from './told/told-table.ts';
import { openVrouter } from './vrouter.ts';

/** Between looks at the event loop's delay: each wakes the process. */
const LOOK_MS = 10;

/** A report or a pod's port must not wait long for a server that does not answer. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Runs the agent until the signal aborts; then everything that carries traffic stays as it is. Throws when it cannot start. */
export async function runAgent(
  options: ChosenOptions,
  { socketPath, access }: { readonly socketPath: string; readonly access: ServerAccess },
  deps: AgentDeps,
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
  let clustersOf: ClustersOf = () => [];
  let answered: Answered = () => undefined;
  let groupMaps = (): GroupMaps => {
    throw new Error('no programs are loaded yet, so there are no guests to ask');
  };
  const told = {
    guests: () => guests,
    groupMaps: () => groupMaps(),
    machineOf: (guest: GuestRecord) => machineOf(guest),
    zoneOf: (networkId: string) => zoneOf(networkId),
    clustersOf: (networkId: string) => clustersOf(networkId),
    answered: (...told: Parameters<Answered>) => answered(...told),
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
  const announcing = createAnnouncing(options, { devices, plane, state }, log.child('announced'));
  const toldTable = new ToldTable();
  const learnedFor: { vpns: (vpnIds: readonly string[]) => void } = { vpns: () => undefined };
  const speaker = startSpeaker({
    ...{ host: options.host, underlay: options.underlay, runDir: options.runDir, slices: state.slices },
    ...{ onLearned: (vpnIds) => learnedFor.vpns(vpnIds), log: log.child('bgp'), signal },
  });
  const labels = startLabelKeeper({
    ...{ object: options.object, pinDir: options.pinDir, underlay: options.underlay },
    ...{ devices: devices.underlay, links: devices.links.table, log: log.child('labels'), signal },
  });
  const shut: { devices: (names: readonly string[]) => void } = { devices: () => undefined };
  const pseudowires = startPseudowireKeeper({
    ...{ object: options.object, pinDir: options.pinDir, underlay: options.underlay, bandwidth: options.bandwidth },
    ...{ devices: devices.underlay, links: devices.links.table, onShut: (names) => shut.devices(names) },
    ...{ log: log.child('pseudowires'), signal },
  });
  const host = createHost(
    options,
    {
      devices,
      plane,
      state,
      prober,
      moving,
      announcing,
      told: toldTable,
      silentMs: () => silentMs(),
      learned: speaker.learned,
      label: labels.take,
      pseudowires,
    },
    deps,
  );
  const toldNames = openToldNames(options, { plane, state, host, links: devices.links, table: toldTable }, deps);
  answered = (portId, read) => toldNames.answered(portId, read);
  guests = host.planner.guests;
  machineOf = (guest) => machinePorts(guest, host.ports, state.slices);
  const flows = openFlowExport(options, { plane, state, host }, deps);
  const packetLog = openPacketLog(options, { flows, slices: state.slices, planner: host.planner }, log);
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
  let cni: Cni | undefined;
  const stream = createStream(
    options,
    {
      ...{ version, client, transport, state, host, devices, bridges, handover, prober, announcing, speaker },
      answer: tracing.answer,
      waysChanged: () => cni?.waysChanged(),
    },
    deps,
  );
  host.onChange(
    (ports) => {
      flows.start();
      handover.portsChanged(ports);
      stream.portsChanged(ports);
      stream.programmed();
    },
    () => stream.programmed(),
  );
  shut.devices = (names) => host.loop.takeDevices({ names: [], moved: names });
  learnedFor.vpns = (vpnIds) => host.loop.takeLearned(vpnIds);
  changed.members = (memberIds) => {
    host.loop.takeHealth(memberIds);
    stream.membersChanged(memberIds);
  };
  silentMs = () => stream.silentMs;
  const uplinks = startUplinkKeeper({
    encapsulation: options.encapsulation,
    provider: new Set([...options.bridgeMappings.values(), VPN_DEVICE]),
    announcing: () => announcing.devices,
    underlay: options.underlay,
    devices: devices.underlay,
    plane,
    links: devices.links.table,
    log: log.child('uplinks'),
    signal,
  });
  const keeper = keepDevices(
    options,
    { devices, plane, host, uplinks, labels, pseudowires, stream, state, remade: tracing.remade },
    deps,
  );
  await uplinks.ready;
  const initial = await state.initialUpdate();
  host.ports.take(initial);
  host.beside.take(initial);
  host.policies.take(initial);
  speaker.take(initial);
  handover.take(initial);
  handover.takeGateways(initial, host.failOver.take(initial.changes));
  zoneOf = (networkId) => host.zones.get(networkId);
  clustersOf = (networkId) => host.clusters.of(networkId);
  const running = host.loop.start(initial);
  const names = toldNames.start();
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
  const announced = announcing.start({
    ...{ failOver: host.failOver, uplinks, signal },
    onChange: () => stream.announcedChanged(),
  });
  const leases = startLeaseWatch({
    uses: host.leases,
    onChange: () => stream.leasesUsed(),
    log: log.child('leases'),
    signal,
  });
  const deviceNames = [...devices.links.table.values()].map(({ name }) => name);
  host.loop.takeDevices({ names: deviceNames, moved: deviceNames });
  cni = await startSocket(
    socketPath,
    {
      options,
      version,
      plane,
      services,
      client: pods.client,
      devices,
      uplinks,
      labels,
      pseudowires,
      speaker,
      state,
      host,
      handover,
      stream,
      prober,
      announcing,
      delay,
      flows,
      packetLog,
      toldNames,
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
    labels.done,
    pseudowires.done,
    speaker.done,
    devices.guard.done,
    devices.foreign.done,
    devices.node.done,
    bridges.done,
    gateways.done,
    announced.done,
    leases.done,
    names.done,
    host.policies.done,
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

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
}
