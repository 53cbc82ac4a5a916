import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, createClient } from '@cable/api';
import { httpTransport, type Logger, startLoop } from '@cable/kit';
import { MAPS } from './bpf/abi.gen.ts';
import { type LoadedObject, loadObject } from './bpf/object.ts';
import { createCniHandler } from './cni/index.ts';
import type { DesiredState } from './desired.ts';
import { applyHostLinks, type HostLinkRemover, startHostLinkRemover, unwantedHostLinks } from './devices/host-links.ts';
import { concernsUs, LinkReader, type LinkTable } from './devices/link-table.ts';
import { ensureOwnLinks, type OwnLinks, ownLinksStand, SERVICE_ADDRESS } from './devices/own-links.ts';
import { type GuestServices, startGuestServices } from './guest/index.ts';
import { HostLoop } from './host/host-loop.ts';
import { SlotTable } from './host/slots.ts';
import { usableState } from './host/usable-state.ts';
import { listAddresses } from './net/address.ts';
import { NetlinkSocket } from './net/socket.ts';
import { watchLinks } from './net/watch.ts';
import type { AgentOptions } from './options.ts';
import { formatUuid, NO_ADDRESS, parseAddress, parseMac } from './plan/address.ts';
import { createPlanner } from './plan/plan.ts';
import { type KernelDataPlane, openKernelDataPlane, type VrouterDevices } from './reconcile/kernel-data-plane.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import { startAgentSocket } from './socket/agent-socket.ts';
import { createAgentView } from './socket/agent-view.ts';
import type { HostState } from './stream/host-state.ts';
import { runHostStream } from './stream/host-stream.ts';
import { readStateFile, startStateFile } from './stream/state-file.ts';
import { type StatusReporter, startStatusReporter } from './stream/status-reporter.ts';

/** How long a guest may be without its program at the most. One look costs a request to the kernel for each device. */
const PROGRAM_CHECK_MS = 5_000;

type Deps = { readonly log: Logger; readonly signal: AbortSignal };

const HEARTBEAT_MS = 5_000;
/** A report or a pod's port must not wait long for a server that does not answer. */
const REQUEST_TIMEOUT_MS = 10_000;

/** Runs the agent until the signal aborts; then everything that carries traffic stays as it is. Throws when it cannot start. */
export async function runAgent(options: AgentOptions, socketPath: string, deps: Deps): Promise<void> {
  const { log, signal } = deps;
  const version = readVersion();
  const transport = httpTransport(options.server, { timeoutMs: REQUEST_TIMEOUT_MS });
  const netlink = new NetlinkSocket();
  const own = ensureOwnLinks(netlink, options.underlayMtuBytes);
  let host: Host | undefined;
  const services = await startServices(() => host?.loop.snapshot.desired?.guests ?? new Map(), deps);
  const plane = openDataPlane(options, own, deps);
  warnOfUnderlay(options.underlay, netlink, log);
  const client = createClient({ transport });
  const statePath = join(options.stateDir, 'state.json');
  const initial = usableState(await readStateFile(statePath, log), options.host, log);
  const stateFile = startStateFile(statePath, { log: log.child('state'), signal });

  let reporter: StatusReporter | undefined;
  let connection: Connection = { connected: false, reason: 'not yet connected' };
  host = createHostLoop(options, { netlink, own, plane, onChange: () => reporter?.trigger() }, deps);
  const { loop } = host;
  const running = loop.start(initial);
  startLinkWatch(host, signal);
  startProgramCheck(host, plane, deps);
  const view = { host: options.host, underlay: options.underlay, version, plane, connection: () => connection };
  await startSocket(socketPath, { view, loop, services, client }, deps);
  log.info({ host: options.host, revision: initial.revision, socket: socketPath }, 'agent is ready');

  const startReporter = (): StatusReporter =>
    startStatusReporter(
      { host: options.host, status: () => loop.snapshot, everyMs: HEARTBEAT_MS },
      { client, log: log.child('status'), signal },
    );
  await runHostStream(
    {
      host: options.host,
      registration: { underlay: options.underlay, agentVersion: version },
      initial,
      onState: (state: HostState) => {
        loop.setState(state);
        stateFile.save(state);
      },
      onConnection: (next) => {
        connection = next;
        if (!next.connected) return;
        if (reporter === undefined) reporter = startReporter();
        else reporter.resend();
      },
    },
    { client, log: log.child('stream'), signal },
  );
  await Promise.all([running.done, host.remover.done, reporter?.done, stateFile.done]);
  await plane.close();
  netlink.close();
  transport.close();
}

type Connection = { readonly connected: boolean; readonly reason: string | null };

type Host = { readonly loop: HostLoop; readonly links: LinkReader; readonly remover: HostLinkRemover };

/** Before anything is loaded: two agents in one network namespace would take each other's packets. */
async function startServices(guests: () => DesiredState['guests'], deps: Deps): Promise<GuestServices> {
  try {
    return await startGuestServices({
      guests,
      address: SERVICE_ADDRESS,
      log: deps.log.child('guest'),
      signal: deps.signal,
    });
  } catch (err) {
    const reason = err instanceof Error ? err.message : String(err);
    throw new Error(
      `cannot answer guests on ${SERVICE_ADDRESS} (${reason}): does another agent, or a DHCP or web server on all addresses, run in this network namespace?`,
    );
  }
}

/** The vrouter's programs, made for these devices, over the maps that are there. */
function loadVrouter(options: AgentOptions, own: OwnLinks): LoadedObject {
  return loadObject({
    path: options.object,
    pinnedMaps: join(options.pinDir, 'maps'),
    rodata: {
      cfg_overlay_ifindex: own.overlay.ifindex,
      cfg_underlay: ipv4Number(options.underlay),
      cfg_service_ifindex: own.servicePeer.ifindex,
      cfg_service_mac: parseMac(own.service.mac) ?? new Uint8Array(6),
    },
  });
}

/** In host byte order. */
function ipv4Number(text: string): number {
  return Buffer.from(parseAddress(text) ?? NO_ADDRESS).readUInt32BE(12);
}

function devicesOf(own: OwnLinks): VrouterDevices {
  return { overlayIfindex: own.overlay.ifindex, serviceIfindex: own.servicePeer.ifindex };
}

function openDataPlane(options: AgentOptions, own: OwnLinks, deps: Deps): KernelDataPlane {
  const object = loadVrouter(options, own);
  const bpfDeps = { ...deps, log: deps.log.child('bpf') };
  return openKernelDataPlane({ object, ...devicesOf(own) }, bpfDeps);
}

function warnOfUnderlay(underlay: string, netlink: NetlinkSocket, log: Logger): void {
  if (listAddresses(netlink).some(({ cidr }) => cidr.split('/')[0] === underlay)) return;
  log.warn({ underlay }, 'no device has the underlay address: other hosts cannot reach this one');
}

function createHostLoop(
  options: AgentOptions,
  parts: {
    readonly netlink: NetlinkSocket;
    readonly own: OwnLinks;
    readonly plane: KernelDataPlane;
    readonly onChange: () => void;
  },
  deps: Deps,
): Host {
  const log = deps.log.child('host');
  let { own } = parts;
  const repairDevices = (table: LinkTable): boolean => {
    if (ownLinksStand(own, table)) return false;
    log.warn({}, 'a device of the vrouter is gone, making it anew');
    const made = ensureOwnLinks(parts.netlink, options.underlayMtuBytes);
    parts.plane.reload(loadVrouter(options, made), devicesOf(made));
    // Only now: where the programs did not come onto the new devices, the next round must try again.
    own = made;
    return true;
  };
  const links = new LinkReader(parts.netlink);
  const remover = startHostLinkRemover({ log, signal: deps.signal });
  const loop = new HostLoop({
    host: options.host,
    plan: createPlanner(options.host),
    reconciler: new Reconciler(parts.plane, log),
    slots: new SlotTable(readSlots(parts.plane), () => performance.now()),
    links,
    repairDevices,
    applyHostLinks: (wanted) => applyHostLinks(wanted, { socket: parts.netlink, log }),
    pruneHostLinks: (wanted, table) => remover.remove(unwantedHostLinks(wanted, table)),
    onChange: parts.onChange,
    log,
    signal: deps.signal,
  });
  return { loop, links, remover };
}

/** Slots that a previous run gave, by port id. */
function readSlots(plane: KernelDataPlane): ReadonlyMap<string, number> {
  const vifs = [...plane.readMap('cb_vif_1').values()].map((entry) => MAPS.cb_vif_1.value.decode(entry.value));
  return new Map(vifs.map((vif) => [formatUuid(vif.portId), vif.slot]));
}

function startLinkWatch({ loop, links }: Host, signal: AbortSignal): void {
  watchLinks(
    (hint) => {
      links.note(hint);
      if (concernsUs(hint)) loop.trigger();
    },
    { signal },
  );
}

/** Whoever may change qdiscs can take a program off a device; then the guest's packets would reach the host. */
function startProgramCheck({ loop }: Host, plane: KernelDataPlane, { log, signal }: Deps): void {
  const run = async (): Promise<void> => {
    const lost = plane.recheck();
    if (lost === 0) return;
    log.warn({ lost }, 'devices have lost their program, putting it back');
    loop.trigger();
  };
  startLoop({ name: 'program check', log, signal, run, everyMs: PROGRAM_CHECK_MS });
}

async function startSocket(
  path: string,
  parts: {
    readonly view: Omit<Parameters<typeof createAgentView>[0], 'snapshot' | 'services'>;
    readonly loop: HostLoop;
    readonly services: GuestServices;
    readonly client: Client;
  },
  deps: Deps,
): Promise<void> {
  const { loop, services, client } = parts;
  const view = createAgentView({ ...parts.view, snapshot: () => loop.snapshot, services: () => services.counters() });
  const waitPlugged = (portId: string, signal: AbortSignal): Promise<void> => loop.waitPlugged(portId, signal);
  const { host } = parts.view;
  const localFacts = (): HostState => loop.snapshot.state;
  const cni = createCniHandler({ host, client, localFacts, waitPlugged, log: deps.log.child('cni') });
  await startAgentSocket(path, { view, cni, log: deps.log.child('socket'), signal: deps.signal });
}

function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { readonly version: string };
  return version;
}
