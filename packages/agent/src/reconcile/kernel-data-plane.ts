/**
 * The data plane in the kernel. What is ours is found by its place: maps are pinned in this host's directory, programs are on devices as
 * filters with our handle. All of it outlives the agent.
 */
import type { Logger } from '@cable/kit';
import { type CbFlow, cbConf, cbFlow, cbFlowKey, cbProg, cbStatKey, MAPS } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import type { LoadedObject } from '../bpf/object.ts';
import type { BpfProgram } from '../bpf/program.ts';
import type { AgentMap, MapEntry } from '../desired.ts';
import { quietDevice } from '../devices/own-links.ts';
import { absentOn, NetlinkError } from '../ffi/errno.ts';
import { ensureIngressFilter, ingressProgramId } from '../net/filter.ts';
import { listLinks } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
import type { DataPlane, Programmed } from './data-plane.ts';

export type KernelDataPlaneOptions = VrouterDevices & {
  readonly object: LoadedObject;
};

/** Device that carries packets between the hosts, and the vrouter's end of the service link. */
export type VrouterDevices = { readonly overlayIfindex: number; readonly serviceIfindex: number };

/** What the kernel says of a device that has just vanished. */
const GONE = ['ENODEV', 'ENXIO', 'EINVAL'] as const;
/** Programs of the vrouter's object. */
const PROGRAM = { vif: 'from_vif', overlay: 'from_overlay', service: 'from_service' } as const;

export class KernelDataPlane implements DataPlane {
  #object: LoadedObject;
  readonly #socket: NetlinkSocket;
  readonly #log: Logger;
  readonly #signal: AbortSignal;
  /** Programs of the devices that are no VIFs, by ifindex. */
  #fixed: ReadonlyMap<number, string> = new Map();
  readonly #attached = new Set<number>();
  readonly #stats: Set<number>;
  readonly #condemned = new Set<number>();
  /** Programs that are on devices may be another name's, over its maps: ours hold nothing yet. */
  #waits = false;
  #sweep: Promise<void> | undefined;

  /** Use `openKernelDataPlane`. */
  constructor(options: KernelDataPlaneOptions, deps: { readonly log: Logger; readonly signal: AbortSignal }) {
    this.#object = options.object;
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
  }

  deleteEntry(map: AgentMap, entry: MapEntry): void {
    this.#map(map).delete(entry.key);
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
    if (!ensureIngressFilter(this.#socket, ifindex, this.#program(PROGRAM.vif))) {
      throw new NetlinkError(`attach ${PROGRAM.vif} to device ${ifindex}`, 'ENODEV');
    }
    this.#attached.add(ifindex);
    quietDevice(device);
  }

  /** Whether a program of ours was put on the device and has not been said to be lost. */
  hasProgram(ifindex: number): boolean {
    return this.#attached.has(ifindex) || this.#fixed.has(ifindex);
  }

  restore(ifindex: number): void {
    this.#attached.delete(ifindex);
    const fixed = this.#fixed.get(ifindex);
    // A device that is gone itself is made anew elsewhere.
    if (fixed !== undefined) ensureIngressFilter(this.#socket, ifindex, this.#program(fixed));
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
   * Puts the loaded programs in place of those that run: on the fixed devices, and on every VIF that has one. With empty maps they would drop what
   * those that run let pass, so then only where there are none.
   */
  adopt({ overlayIfindex, serviceIfindex }: VrouterDevices): void {
    this.#fixed = new Map([
      [overlayIfindex, PROGRAM.overlay],
      [serviceIfindex, PROGRAM.service],
    ]);
    this.#waits = this.readProgrammed().revision === 0;
    this.#attached.clear();
    if (!this.#waits) {
      this.#replaceAll();
      return;
    }
    for (const [ifindex, program] of this.#fixed) {
      if (this.#hasAny(ifindex)) continue;
      ensureIngressFilter(this.#socket, ifindex, this.#program(program));
    }
    for (const { ifindex } of listLinks(this.#socket)) {
      if (!this.#fixed.has(ifindex) && this.#hasAny(ifindex)) this.#attached.add(ifindex);
    }
  }

  takeOver(): void {
    if (!this.#waits) return;
    this.#replaceAll();
    this.#waits = false;
  }

  /** Goes over to programs loaded anew, over the same maps. */
  reload(object: LoadedObject, devices: VrouterDevices): void {
    this.#object.close();
    this.#object = object;
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
    this.#object.close();
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

  #replaceAll(): void {
    for (const [ifindex, program] of this.#fixed) ensureIngressFilter(this.#socket, ifindex, this.#program(program));
    for (const { ifindex, name } of listLinks(this.#socket)) {
      if (!this.#fixed.has(ifindex) && this.#hasAny(ifindex)) absentOn(GONE, () => this.attach(ifindex, name));
    }
  }

  /** Whether a program with our handle is on the device, whoever's maps it has. */
  #hasAny(ifindex: number): boolean {
    return ingressProgramId(this.#socket, ifindex) !== undefined;
  }

  #map(name: keyof typeof MAPS): BpfMap {
    const map = this.#object.maps.get(name);
    if (map === undefined) throw new Error(`the vrouter object has no map ${name}`);
    return map;
  }

  #program(name: string): BpfProgram {
    const program = this.#object.programs.get(name);
    if (program === undefined) throw new Error(`the vrouter object has no program ${name}`);
    return program;
  }
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
