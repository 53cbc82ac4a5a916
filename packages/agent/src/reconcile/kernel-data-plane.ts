/**
 * The data plane in the kernel. What is ours is found by its place: maps and dispatchers are pinned in this host's directory, dispatchers are
 * on devices as filters with our handle. All of it outlives the agent.
 */
import type { Logger } from '@cable/kit';
import { type CbFlow, cbConf, cbFlow, cbFlowKey, cbProg, cbStatKey, MAPS } from '../bpf/abi.gen.ts';
import { arrayIndex, type ByteText } from '../bpf/codec.ts';
import { type BpfMap, fdById } from '../bpf/map.ts';
import { BpfProgram } from '../bpf/program.ts';
import { BPF_CMD } from '../bpf/syscall.ts';
import type { AgentMap, MapEntry } from '../desired.ts';
import { quietDevice } from '../devices/own-links.ts';
import { absentOn, NetlinkError } from '../ffi/errno.ts';
import { ensureIngressFilter, ingressProgramId } from '../net/filter.ts';
import { listLinks } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
import type { DataPlane, Programmed } from './data-plane.ts';
import { ENTRY, type EntryName, enterProgram, OVERLAY_NAMES } from './program-slots.ts';
import type { VrouterPrograms } from './vrouter-programs.ts';

export type KernelDataPlaneOptions = VrouterDevices & {
  readonly programs: VrouterPrograms;
};

/** Device that carries packets between the hosts, and the vrouter's end of the service link. */
export type VrouterDevices = { readonly overlayIfindex: number; readonly serviceIfindex: number };

/** What the kernel says of a device that has just vanished. */
const GONE = ['ENODEV', 'ENXIO', 'EINVAL'] as const;

/** What devices of the underlay need of the data plane. Of the programs loaded last: ask again after a reload. */
export type UnderlayParts = {
  readonly dispatcher: BpfProgram;
  readonly peers: BpfMap;
  readonly hops: BpfMap;
};

export class KernelDataPlane implements DataPlane {
  #programs: VrouterPrograms;
  readonly #socket: NetlinkSocket;
  readonly #log: Logger;
  readonly #signal: AbortSignal;
  /** Kinds of the devices that are no VIFs, by ifindex. */
  #fixed: ReadonlyMap<number, EntryName> = new Map();
  readonly #attached = new Set<number>();
  readonly #stats: Set<number>;
  readonly #condemned = new Set<number>();
  /** Programs that are on devices may be another name's, over its maps: ours hold nothing yet. */
  #waits = false;
  #sweep: Promise<void> | undefined;
  #peerListener: (key: ByteText) => void = () => undefined;

  /** Use `openKernelDataPlane`. */
  constructor(options: KernelDataPlaneOptions, deps: { readonly log: Logger; readonly signal: AbortSignal }) {
    this.#programs = options.programs;
    this.#socket = new NetlinkSocket();
    this.#log = deps.log;
    this.#signal = deps.signal;
    this.#stats = new Set(
      this.#map('cb_stat_1')
        .entries()
        .map(({ key }) => cbStatKey.decode(key).ifindex),
    );
  }

  readMap(name: AgentMap): Iterable<readonly MapEntry[]> {
    return this.#map(name).texts();
  }

  putEntry(map: AgentMap, entry: MapEntry): void {
    this.#map(map).update(entry.key, entry.value);
    if (map === 'cb_peer_1') this.#peerListener(entry.key);
  }

  deleteEntry(map: AgentMap, entry: MapEntry): void {
    this.#map(map).delete(entry.key);
    if (map === 'cb_peer_1') this.#peerListener(entry.key);
  }

  get underlay(): UnderlayParts {
    return {
      dispatcher: this.#programs.dispatchers.uplink,
      peers: this.#map('cb_peer_1'),
      hops: this.#map('cb_hop_1'),
    };
  }

  /** Who is told of keys of `cb_peer_1` that were written or deleted; one. */
  onPeer(listener: (key: ByteText) => void): void {
    this.#peerListener = listener;
  }

  readEpoch(): number {
    const value = this.#map('cb_conf_1').lookup(arrayIndex.encode(0));
    return value === undefined ? 0 : cbConf.decode(value).epoch;
  }

  writeEpoch(epoch: number): void {
    this.#map('cb_conf_1').update(arrayIndex.encode(0), cbConf.encode({ epoch }));
  }

  readProgrammed(): Programmed {
    const value = this.#map('cb_prog_1').lookup(arrayIndex.encode(0));
    if (value === undefined) return { revision: 0, state: 0n, commit: 0 };
    const { revision, state, commit } = cbProg.decode(value);
    return { revision: Number(revision), state, commit: Number(commit) };
  }

  writeProgrammed({ revision, state, commit }: Programmed): void {
    const value = cbProg.encode({ revision: BigInt(revision), state, commit: BigInt(commit) });
    this.#map('cb_prog_1').update(arrayIndex.encode(0), value);
  }

  listStats(): ReadonlySet<number> {
    return this.#stats;
  }

  createStat(ifindex: number): void {
    this.#map('cb_stat_1').update(cbStatKey.encode({ ifindex }), new Uint8Array(MAPS.cb_stat_1.value.size));
    this.#stats.add(ifindex);
  }

  deleteStat(ifindex: number): void {
    this.#map('cb_stat_1').delete(cbStatKey.encode({ ifindex }));
    this.#stats.delete(ifindex);
  }

  listAttached(): ReadonlySet<number> {
    return this.#attached;
  }

  attach(ifindex: number, device: string): void {
    if (!this.#dispatch(ifindex, 'vif')) throw new NetlinkError(`attach enter_vif to device ${ifindex}`, 'ENODEV');
    this.#attached.add(ifindex);
    quietDevice(device);
  }

  /** Whether a program of ours was put on the device and has not been said to be lost. */
  hasProgram(ifindex: number): boolean {
    return this.#attached.has(ifindex) || this.#fixed.has(ifindex);
  }

  restore(ifindex: number): void {
    this.#attached.delete(ifindex);
    const kind = this.#fixed.get(ifindex);
    // A device that is gone itself is made anew elsewhere.
    if (kind !== undefined) this.#dispatch(ifindex, kind);
  }

  forget(ifindex: number): void {
    this.#attached.delete(ifindex);
  }

  deleteFlows(ifindexes: ReadonlySet<number>): void {
    for (const ifindex of ifindexes) this.#condemned.add(ifindex);
    this.#sweep ??= this.#sweepFlows()
      .catch((err: unknown) => this.#log.warn({ err }, 'cannot delete the flows of vanished devices'))
      .finally(() => {
        this.#sweep = undefined;
      });
  }

  /**
   * Makes the loaded programs those of the fixed devices, and of every VIF that has one. Devices that have another build's own programs, from
   * before there were dispatchers, are given dispatchers that go on in these programs first: so all devices change at one time, whatever
   * their number, and an agent that is killed among them leaves each with a program. With empty maps ours would drop what those that
   * run let pass: then only devices that have none are given one, and nothing is taken on the underlay's, so that what is tunnelled here comes to
   * the device that the program which runs has.
   */
  adopt({ overlayIfindex, serviceIfindex }: VrouterDevices): void {
    this.#fixed = new Map([
      [overlayIfindex, 'overlay'],
      [serviceIfindex, 'service'],
    ]);
    this.#waits = this.readProgrammed().revision === 0;
    this.#attached.clear();
    if (!this.#waits) {
      this.#keepInForce();
      this.#dispatchAll();
      this.#programs.enter();
      return;
    }
    this.#programs.enter(OVERLAY_NAMES);
    for (const [ifindex, kind] of this.#fixed) if (!this.#hasAny(ifindex)) this.#dispatch(ifindex, kind);
    for (const { ifindex } of listLinks(this.#socket)) {
      if (!this.#fixed.has(ifindex) && this.#hasAny(ifindex)) this.#attached.add(ifindex);
    }
  }

  takeOver(): void {
    if (!this.#waits) return;
    this.#dispatchAll();
    this.#programs.enter(['uplink']);
    this.#waits = false;
  }

  /** Goes over to programs loaded anew, over the same maps. */
  reload(programs: VrouterPrograms, devices: VrouterDevices): void {
    this.#programs.close();
    this.#programs = programs;
    this.adopt(devices);
  }

  /** Counters of a device, one value for each CPU; undefined: it has none. */
  readStat(ifindex: number): readonly Uint8Array[] | undefined {
    return this.#map('cb_stat_1').lookupPerCpu(cbStatKey.encode({ ifindex }));
  }

  /** Raw entries of any map, some hundreds at a time, for display. */
  readRaw(name: keyof typeof MAPS): Iterable<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]> {
    return this.#map(name).batches();
  }

  /** Lets go of the handles; what is pinned runs on. */
  async close(): Promise<void> {
    await this.#sweep;
    this.#socket.close();
    this.#programs.close();
  }

  async #sweepFlows(): Promise<void> {
    await new Promise(setImmediate);
    while (this.#condemned.size > 0 && !this.#signal.aborted) {
      const ifindexes = new Set(this.#condemned);
      this.#condemned.clear();
      const deleted = await this.#deleteFlowsOf(ifindexes);
      this.#log.debug({ ifindexes: [...ifindexes], deleted }, 'deleted flows of vanished devices');
    }
  }

  /** Looks at the table batch by batch, with the process free to do other work between. */
  async #deleteFlowsOf(ifindexes: ReadonlySet<number>): Promise<number> {
    const flows = this.#map('cb_flow_1');
    let deleted = 0;
    for (const batch of flows.batches()) {
      for (const { key, value } of batch) {
        const flow = cbFlow.decode(value);
        if (!concerns(flow, ifindexes)) continue;
        flows.delete(key);
        flows.delete(peerKey(key, flow));
        deleted += 1;
      }
      await new Promise(setImmediate);
      if (this.#signal.aborted) break;
    }
    return deleted;
  }

  /** Dispatchers, once they are on devices, go on in what runs there now. */
  #keepInForce(): void {
    const known = new Set<number | undefined>(Object.values(this.#programs.dispatchers).map(({ info }) => info.id));
    for (const { ifindex } of listLinks(this.#socket)) {
      const id = ingressProgramId(this.#socket, ifindex);
      if (id === undefined || known.has(id)) continue;
      known.add(id);
      const kind = this.#fixed.get(ifindex) ?? 'vif';
      // Not another name's dispatcher. A program that goes just now, by whoever took it off, is none that a device has.
      if (nameOfProgram(id) !== ENTRY[kind].program) continue;
      absentOn(['ENOENT'], () => enterProgram(this.#programs.slots, kind, id));
    }
  }

  #dispatchAll(): void {
    for (const [ifindex, kind] of this.#fixed) this.#dispatch(ifindex, kind);
    for (const { ifindex, name } of listLinks(this.#socket)) {
      if (!this.#fixed.has(ifindex) && this.#hasAny(ifindex)) absentOn(GONE, () => this.attach(ifindex, name));
    }
  }

  /** False: the device is gone. A device that has the dispatcher is not touched. */
  #dispatch(ifindex: number, kind: EntryName): boolean {
    const dispatcher = this.#programs.dispatchers[kind];
    if (ingressProgramId(this.#socket, ifindex) === dispatcher.info.id) return true;
    return ensureIngressFilter(this.#socket, ifindex, dispatcher);
  }

  /** Whether a program with our handle is on the device, whoever's maps it has. */
  #hasAny(ifindex: number): boolean {
    return ingressProgramId(this.#socket, ifindex) !== undefined;
  }

  #map(name: keyof typeof MAPS): BpfMap {
    const map = this.#programs.maps.get(name);
    if (map === undefined) throw new Error(`the vrouter object has no map ${name}`);
    return map;
  }
}

/** Undefined: it is gone. */
function nameOfProgram(id: number): string | undefined {
  const fd = absentOn(['ENOENT'], () => fdById(BPF_CMD.progFdById, id, `open program ${id}`));
  if (fd === undefined) return undefined;
  const program = new BpfProgram(fd);
  program.close();
  return program.info.name;
}

/** Takes over what a previous run left, or starts afresh. */
export function openKernelDataPlane(
  options: KernelDataPlaneOptions,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
): KernelDataPlane {
  const plane = new KernelDataPlane(options, deps);
  plane.adopt(options);
  return plane;
}

/** Key of the other direction's entry, which names no device until its first packet. */
function peerKey(key: Uint8Array, flow: CbFlow): Uint8Array {
  const { src, dst, sportBe, dportBe, protocol } = cbFlowKey.decode(key);
  return cbFlowKey.encode({ zone: flow.peerZone, src: dst, dst: src, sportBe: dportBe, dportBe: sportBe, protocol });
}

function concerns(flow: CbFlow, ifindexes: ReadonlySet<number>): boolean {
  return ifindexes.has(flow.inIfindex) || ifindexes.has(flow.outIfindex);
}
