import { type Backoff, createBackoff, type Logger, type Loop, startLoop } from '@cable/kit';
import type { LocalPort, VifStatus } from '@cable/model';
import type { ProbeTarget } from '../desired.ts';
import type { WantedEntrances } from '../devices/entrance-keeper.ts';
import type { EntryChange } from '../plan/claims.ts';
import type { Announced, HealthPort } from '../plan/entrances.ts';
import type { IdKind, ToldChange } from '../plan/inputs.ts';
import { type LabelRow, VPN_DEVICE } from '../plan/label-rows.ts';
import type { PlanChanges, Planner } from '../plan/planner.ts';
import type { PseudowireRow } from '../plan/pseudowire-rows.ts';
import { policyName } from '../plan/topics.ts';
import type { Programmed } from '../reconcile/data-plane.ts';
import type { MovedAddress } from '../reconcile/moved-addresses.ts';
import { mayWrite } from '../reconcile/programmed.ts';
import type { Reconciled, Reconciler, UnknownVifs } from '../reconcile/reconciler.ts';
import type { RefusalCount } from '../reconcile/refusals.ts';
import type { SliceChange, SliceReader, StateUpdate } from '../stream/slice-reader.ts';
import { type LinkDriver, MachineLinks } from './applied-links.ts';
import type { IdTable } from './ids.ts';
import { type PlugWait, PlugWaiters } from './plug-waiters.ts';
import { PortStates } from './port-states.ts';

/** The host as of the last round. */
export type HostView = {
  /** Of what is in the kernel; 0: nothing yet. */
  readonly revision: number;
  /** True: the state was in sync with the server in this run. */
  readonly synced: boolean;
  /** State of each port by its id; undefined: no round has written yet. It is kept as things change. */
  readonly ports: ReadonlyMap<string, VifStatus> | undefined;
  /** Why the last round failed; null: it did not. */
  readonly error: string | null;
  /** Why nothing is written; null: it is. */
  readonly held: string | null;
  /** Entries that the maps lack, but for those of local ports and their policies, which say so themselves. */
  readonly refused: readonly RefusalCount[];
  /** Ports that are programmed and that the server does not know, though it was heard: they stay until `confirmUnknown`. Null: none. */
  readonly unknown: UnknownVifs | null;
  /** Rounds that ended well, and map entries written and deleted by them. */
  readonly rounds: number;
  readonly writes: number;
  /** How often flows about a VIF or a network had to be decided again since the start. */
  readonly raises: number;
};

/** What a round changed: ports whose state changed or that are gone. `revision` may be another than before. */
export type HostChange = { readonly revision: number; readonly ports: ReadonlySet<string> };

export type HostLoopDeps = {
  readonly host: string;
  readonly slices: Pick<SliceReader, 'item'>;
  readonly planner: Planner;
  readonly reconciler: Reconciler;
  readonly ids: Readonly<Record<IdKind, Pick<IdTable, 'settle' | 'releaseUnclaimed'>>>;
  /** `stateNumber` of the state directory. */
  readonly stateNumber: bigint;
  /** What the maps held when this run began. */
  readonly programmed: Programmed;
  readonly links: LinkDriver;
  /** Called after a round that wrote when they are others: the members of pools that the host is to probe. Default: nobody does. */
  readonly probe?: (targets: ReadonlyMap<string, ProbeTarget>) => void;
  /** Called after a round that wrote: what this host is to let in from outside. Default: nobody is told. */
  readonly letIn?: (wanted: WantedEntrances) => void;
  /** The same: where it says whether Services have endpoints here. Default: nowhere. */
  readonly sayHealth?: (ports: ReadonlyMap<number, HealthPort>) => void;
  /** The same: addresses of Services that hosts announce, by address and Service; `isWhole`: these are all. Default: nobody is told. */
  readonly announceOn?: (wanted: ReadonlyMap<string, Announced>, isWhole: boolean) => void;
  /** The same: where packets of VPNs go by labels, and come from; `isWhole`: these are all. Default: nobody is told. */
  readonly label?: (rows: readonly LabelRow[], isWhole: boolean) => void;
  /** Called before anything of a round is written: pseudowires; `isWhole`: these are all. Answers names of devices by which something may pass that might not before, or the other way. Default: nobody is told. */
  readonly wire?: (rows: readonly PseudowireRow[], isWhole: boolean) => readonly string[];
  /** Whether a port comes from another host, and its flows are here. Default: none does. */
  readonly hasFlows?: (portId: string) => boolean;
  /** Called after the first round that wrote, which may have found all as it is to be, and after each that changed entries. Default: nobody is. */
  readonly onWritten?: () => void;
  /** Tells guests of addresses that are elsewhere now. */
  readonly announce: (moved: readonly MovedAddress[]) => void;
  /** Called after each round that changed something which is reported. */
  readonly onChange: (change: HostChange) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Of attempts at what failed. Default 0.5 to 30 s. */
  readonly retryMs?: { readonly minMs: number; readonly maxMs: number };
};

const RETRY_MS = { minMs: 500, maxMs: 30_000 };

/** `names`: of devices that are not as they were; `moved`: names that are another device's now, or nobody's. */
export type DeviceChanges = { readonly names: Iterable<string>; readonly moved: Iterable<string> };

type Position = Omit<StateUpdate, 'changes'>;

/** What is to be done in the next round. */
type Pending = {
  readonly changes: (readonly SliceChange[])[];
  readonly devices: { readonly names: Set<string>; readonly moved: Set<string> };
  /** Members of pools of which the host's own probes say something else. */
  readonly members: Set<string>;
  /** Ports to look at, and to attach if need be. */
  readonly ports: Set<string>;
  /** Routers whose gateway is on another host. */
  readonly routers: Set<string>;
  /** VPNs for which BGP told something else. */
  readonly vpns: Set<string>;
  /** What DNS told ports that it had not, or counts no more. */
  readonly told: ToldChange[];
  /** Who waits until all of this is written. */
  readonly written: (() => void)[];
  retry: boolean;
};

/**
 * Slices and devices in; kernel, guests and status out: the one loop in which the host is made to be as desired. A round costs what changed;
 * without a change there is none, but for what failed, which is tried again after a back-off.
 */
export class HostLoop {
  readonly #deps: HostLoopDeps;
  readonly #links: MachineLinks;
  readonly #states: PortStates;
  readonly #waiters = new PlugWaiters();
  readonly #retries: Backoff;
  #pending: Pending = nothingPending();
  #state: Position = { revision: 0, history: null, commit: 0, synced: false };
  #loop: Loop | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  /** Changes of the plan that the reconciler has not been given. */
  #entries: (readonly EntryChange[])[] = [];
  #areProbesDue = false;
  #areLabelsDue = true;
  #areLabelsWhole = false;
  #areWiresDue = true;
  #areWiresWhole = false;
  /** Keys of what is let in that the last round to write did not know. */
  #entrances = new Set<string>();
  #revision = 0;
  #written = false;
  #released = false;
  #isRefused = false;
  /** A round wrote what was in sync with the server. */
  #isSynced = false;
  #saidUnknown = false;
  #error: string | null = null;
  #rounds = 0;
  #writes = 0;
  #raises = 0;

  constructor(deps: HostLoopDeps) {
    this.#deps = deps;
    this.#links = new MachineLinks(deps.links);
    this.#retries = createBackoff(deps.retryMs ?? RETRY_MS);
    this.#states = new PortStates({
      port: (portId) => this.#port(portId),
      failure: (portId) => this.#failure(portId),
      hasDevice: (portId) => deps.planner.vifs.has(portId),
      hasFlows: (portId) => deps.hasFlows?.(portId) ?? false,
    });
  }

  get view(): HostView {
    return {
      revision: this.#revision,
      synced: this.#state.synced,
      ports: this.#written ? this.#states.all : undefined,
      error: this.#error,
      held: this.#held(),
      refused: this.#deps.reconciler.otherFailures(),
      unknown: this.#unknown(),
      rounds: this.#rounds,
      writes: this.#writes,
      raises: this.#raises,
    };
  }

  /** Starts with this state; `done` of the result resolves after the signal aborted. */
  start(initial: StateUpdate): { readonly done: Promise<void> } {
    this.#note(initial);
    const { log, signal, reconciler } = this.#deps;
    // Who has a state knows what of it was deleted.
    if (initial.commit > 0) reconciler.prune();
    this.#loop = startLoop({ name: 'host', log, signal, run: () => this.#round() });
    signal.addEventListener('abort', () => clearTimeout(this.#retryTimer), { once: true });
    return this.#loop;
  }

  /** The slices changed. */
  takeState(update: StateUpdate): void {
    this.#note(update);
    this.#loop?.trigger();
  }

  /** Devices are not as they were. */
  takeDevices({ names, moved }: DeviceChanges): void {
    const { devices } = this.#pending;
    const before = devices.names.size + devices.moved.size;
    for (const name of names) if (concernsPorts(name)) devices.names.add(name);
    for (const name of moved) if (concernsPorts(name)) devices.moved.add(name);
    if (devices.names.size + devices.moved.size > before) this.#loop?.trigger();
  }

  /** The host's own probes say something else of these members of pools. */
  takeHealth(members: Iterable<string>): void {
    for (const id of members) this.#pending.members.add(id);
    this.#loop?.trigger();
  }

  /** Whether this port's flows are here is otherwise than it was. */
  takeFlows(portId: string): void {
    this.#pending.ports.add(portId);
    this.#loop?.trigger();
  }

  /** The gateways of these routers are on other hosts, as this one sees it. */
  takeGateways(routerIds: Iterable<string>): void {
    for (const id of routerIds) this.#pending.routers.add(id);
    if (this.#pending.routers.size > 0) this.#loop?.trigger();
  }

  /** BGP neighbours told something else for these VPNs. */
  takeLearned(vpnIds: Iterable<string>): void {
    for (const id of vpnIds) this.#pending.vpns.add(id);
    if (this.#pending.vpns.size > 0) this.#loop?.trigger();
  }

  /** What DNS told ports is otherwise. Resolves when the maps hold it, or what the kernel takes of it. */
  takeTold(changes: Iterable<ToldChange>): Promise<void> {
    const { told, written } = this.#pending;
    for (const one of changes) told.push(one);
    const done = new Promise<void>((resolve) => written.push(resolve));
    this.#loop?.trigger();
    return done;
  }

  /** Somebody took the programs off these devices. */
  takeLostPrograms(ifindexes: Iterable<number>): void {
    for (const ifindex of ifindexes) {
      for (const portId of this.#deps.reconciler.restore(ifindex)) this.#pending.ports.add(portId);
    }
    if (this.#pending.ports.size > 0) this.#loop?.trigger();
  }

  /** Resolves when the port is up, with the device of that ifindex if one is given; rejects when the signal aborts. */
  waitPlugged(wanted: PlugWait, signal: AbortSignal): Promise<void> {
    if (!signal.aborted && this.#isUp(wanted)) return Promise.resolve();
    return this.#waiters.wait(wanted, signal, () => {
      const reason = this.#states.all.get(wanted.portId)?.reason;
      return `port ${wanted.portId} is not up: ${reason ?? this.#held() ?? 'the server has not sent it to this host'}`;
    });
  }

  /** Ports that the server does not know may go. Returns how many that are; null: nothing waits for it. */
  confirmUnknown(): UnknownVifs | null {
    const unknown = this.#unknown();
    if (unknown === null) return null;
    this.#deps.reconciler.prune();
    this.#loop?.trigger();
    return unknown;
  }

  #note({ changes, ...state }: StateUpdate): void {
    this.#state = state;
    this.#pending.changes.push(changes);
  }

  async #round(): Promise<void> {
    const state = this.#state;
    const pending = this.#pending;
    this.#pending = nothingPending();
    const write = this.#mayWrite(state);
    try {
      await this.#plan(pending);
      if (write) await this.#wire(state, pending.ports);
      const result = await this.#reconcile(state, pending, write);
      this.#error = null;
      if (write) for (const done of pending.written) done();
      else this.#pending.written.push(...pending.written);
      this.#publish(state, result, pending.ports, write);
    } catch (err) {
      this.#error = err instanceof Error ? err.message : String(err);
      this.#putOff(pending);
      throw err;
    }
    this.#afterRound(state);
  }

  async #plan(pending: Pending): Promise<void> {
    const { planner } = this.#deps;
    const { changes, devices, members, routers, told, vpns } = pending;
    this.#takePlan(await planner.update(each(changes), devices.moved, members, routers, told, vpns), pending.ports);
    const links = this.#links.apply(planner.hostLinks, pending.devices.names, pending.retry);
    for (const portId of links.ports) pending.ports.add(portId);
    if (links.devices.length > 0) this.#takePlan(await planner.update([], links.devices), pending.ports);
  }

  /** What is before the vrouter on a device is there before the vrouter is. */
  async #wire({ synced }: Position, into: Set<string>): Promise<void> {
    const isNews = synced && !this.#areWiresWhole;
    if (!this.#areWiresDue && !isNews) return;
    this.#areWiresDue = false;
    this.#areWiresWhole ||= synced;
    const { planner, wire } = this.#deps;
    const devices = wire?.(planner.pseudowires, this.#areWiresWhole) ?? [];
    if (devices.length > 0) this.#takePlan(await planner.update([], devices), into);
  }

  #takePlan({ entries, ports, probes, entrances, labels, pseudowires }: PlanChanges, into: Set<string>): void {
    this.#areLabelsDue ||= labels;
    this.#areWiresDue ||= pseudowires;
    for (const key of entrances) this.#entrances.add(key);
    this.#areProbesDue ||= probes;
    if (entries.length > 0) this.#entries.push(entries);
    for (const portId of ports) into.add(portId);
  }

  async #reconcile(state: Position, { ports, retry }: Pending, write: boolean): Promise<Reconciled> {
    const { reconciler, planner } = this.#deps;
    const entries = each(this.#entries);
    this.#entries = [];
    const programmed = this.#programmedOf(state);
    const result = await reconciler.apply({ entries, ports, write, prune: state.synced, retry, state: programmed });
    for (const portId of result.ports) ports.add(portId);
    for (const name of result.policies) for (const portId of planner.portsOf(name)) ports.add(portId);
    return result;
  }

  #publish(state: Position, result: Reconciled, ports: ReadonlySet<string>, write: boolean): void {
    this.#rounds += 1;
    this.#writes += result.puts + result.deletes;
    this.#raises += result.raised;
    if (!write) {
      // What is in the maps is not known; their state is told by the round that writes.
      for (const portId of ports) this.#pending.ports.add(portId);
      return;
    }
    const isFirst = !this.#written;
    this.#written = true;
    if (this.#areProbesDue) this.#deps.probe?.(this.#deps.planner.probes);
    this.#areProbesDue = false;
    this.#label(state);
    this.#letIn(state);
    for (const table of Object.values(this.#deps.ids)) table.settle();
    this.#sayRefused();
    this.#sayUnknown(state);
    if (result.moved.length > 0) this.#deps.announce(result.moved);
    if (isFirst || result.puts + result.deletes > 0) this.#deps.onWritten?.();
    const changed = this.#states.refresh(ports);
    const moved = this.#revision !== state.revision;
    this.#revision = state.revision;
    if (changed.size > 0 || moved) this.#deps.onChange({ revision: this.#revision, ports: changed });
    this.#waiters.wake(ports, (wanted) => this.#isUp(wanted));
  }

  /** Where it leads is in the maps by now. */
  #letIn({ synced }: Position): void {
    const changed = this.#entrances;
    this.#entrances = new Set();
    this.#deps.letIn?.({ all: this.#deps.planner.entrances, changed, isWhole: synced });
    this.#deps.sayHealth?.(this.#deps.planner.healthPorts);
    this.#deps.announceOn?.(this.#deps.planner.announced, synced);
  }

  /** Until the state is in sync for the first time, what was there before may be missing in it. */
  #label({ synced }: Position): void {
    const isNews = synced && !this.#areLabelsWhole;
    if (!this.#areLabelsDue && !isNews) return;
    this.#areLabelsDue = false;
    this.#areLabelsWhole ||= synced;
    this.#deps.label?.(this.#deps.planner.labels, this.#areLabelsWhole);
  }

  #unknown(): UnknownVifs | null {
    return this.#isSynced ? this.#deps.reconciler.unknownVifs : null;
  }

  #sayUnknown({ synced }: Position): void {
    this.#isSynced ||= synced;
    const unknown = this.#unknown();
    if (unknown === null || this.#saidUnknown) return;
    this.#saidUnknown = true;
    this.#deps.log.error(
      { ...unknown, remedy: `cable host confirm-removal --host ${this.#deps.host}` },
      'the server does not know most of the ports that this host carries: keeping them until their removal is confirmed',
    );
  }

  /** What a port or a policy is refused, the port itself says. */
  #sayRefused(): void {
    const refused = this.#deps.reconciler.otherFailures();
    const wasRefused = this.#isRefused;
    this.#isRefused = refused.length > 0;
    if (wasRefused === this.#isRefused) return;
    if (wasRefused) this.#deps.log.info({}, 'the kernel has taken the entries that it had refused');
    else this.#deps.log.warn({ refused }, 'the kernel has refused entries: what needs them does not pass');
  }

  /** The round failed. Changes of slices are in the plan, those of the plan with the reconciler; the rest is to be done again. */
  #putOff({ devices, members, ports, routers, told, vpns, written, retry }: Pending): void {
    for (const id of vpns) this.#pending.vpns.add(id);
    this.#pending.told.push(...told);
    this.#pending.written.push(...written);
    for (const id of members) this.#pending.members.add(id);
    for (const name of devices.names) this.#pending.devices.names.add(name);
    for (const name of devices.moved) this.#pending.devices.moved.add(name);
    for (const portId of ports) this.#pending.ports.add(portId);
    for (const id of routers) this.#pending.routers.add(id);
    this.#pending.retry ||= retry;
  }

  #afterRound(state: Position): void {
    if (state.synced) {
      this.#releaseUnclaimed();
      this.#links.prune(this.#deps.planner.hostLinks);
    }
    const { reconciler, planner } = this.#deps;
    const unfinished = reconciler.unfinished || planner.lacksNumbers || this.#links.failures.size > 0;
    if (!unfinished) this.#retries.reset();
    if (unfinished === (this.#retryTimer !== undefined)) return;
    clearTimeout(this.#retryTimer);
    const again = unfinished && !this.#deps.signal.aborted;
    this.#retryTimer = again ? setTimeout(() => this.#retry(), this.#retries.next()) : undefined;
  }

  /** What nobody wants any more is out of the maps: not while most of it is kept until somebody says that it may go. */
  #releaseUnclaimed(): void {
    if (this.#released || !this.#written || this.#deps.reconciler.unknownVifs !== null) return;
    this.#released = true;
    for (const table of Object.values(this.#deps.ids)) {
      table.releaseUnclaimed();
      table.settle();
    }
  }

  #retry(): void {
    this.#retryTimer = undefined;
    this.#pending.retry = true;
    this.#loop?.trigger();
  }

  /** Once something was written, what follows is newer. */
  #mayWrite(state: Position): boolean {
    return this.#written || mayWrite({ ...this.#programmedOf(state), synced: state.synced }, this.#deps.programmed);
  }

  #held(): string | null {
    if (this.#mayWrite(this.#state)) return null;
    const { revision } = this.#deps.programmed;
    return `the saved state (revision ${this.#state.revision}) is older than what is programmed (${revision}) or of another directory: waiting for the server`;
  }

  #programmedOf({ revision, commit }: Position): Programmed {
    return { revision, state: this.#deps.stateNumber, commit };
  }

  #isUp({ portId, ifindex }: PlugWait): boolean {
    if (this.#states.all.get(portId)?.state !== 'up') return false;
    return ifindex === undefined || this.#deps.planner.vifs.get(portId)?.ifindex === ifindex;
  }

  #port(portId: string): LocalPort | undefined {
    const { slices, host } = this.#deps;
    return slices.item(`host:${host}`, portId) ?? slices.item(`standby:${host}`, portId);
  }

  #failure(portId: string): string | undefined {
    const { planner, reconciler } = this.#deps;
    const own = planner.errors.get(portId) ?? this.#links.failures.get(portId) ?? reconciler.portFailure(portId);
    const port = this.#port(portId);
    if (own !== undefined || port === undefined) return own;
    const { policy, networkPolicies, networkId } = port;
    const keys = [policy ?? undefined, networkPolicies].filter((key) => key !== undefined);
    for (const key of keys) {
      const failure = reconciler.policyFailure(policyName(key, networkId));
      if (failure !== undefined) return failure;
    }
    return undefined;
  }
}

/** One list after the other, without a copy of them. */
function* each<T>(lists: readonly (readonly T[])[]): Generator<T> {
  for (const list of lists) yield* list;
}

function nothingPending(): Pending {
  return {
    changes: [],
    devices: { names: new Set(), moved: new Set() },
    members: new Set(),
    ports: new Set(),
    routers: new Set(),
    told: [],
    vpns: new Set(),
    written: [],
    retry: false,
  };
}

/** Names of devices that ports have, of the machine's ends of their links, and of that of the networks of VPNs. */
function concernsPorts(name: string): boolean {
  return /^(tap|cv|cb)/.test(name) || name === VPN_DEVICE;
}
