/**
 * The data plane in the kernel. What is ours is found by its place: maps in `<pins>/maps`, the links that hold programs on devices in
 * `<pins>/links`, VIFs' as `vif-<port id>`. All of it outlives the agent.
 */
import { join } from 'node:path';
import type { Logger } from '@cable/kit';
import { type CbFlow, cbConf, cbFlow, cbFlowKey, cbStatKey, MAPS } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { type BpfLink, ensureTcx, openPinnedLink, removeTcx } from '../bpf/link.ts';
import type { BpfMap } from '../bpf/map.ts';
import type { LoadedObject } from '../bpf/object.ts';
import { listPins, pinName, unpinName } from '../bpf/pin.ts';
import type { BpfProgram } from '../bpf/program.ts';
import type { AgentMap, MapEntry } from '../desired.ts';
import { hex } from '../plan/address.ts';
import type { DataPlane } from './data-plane.ts';

export type KernelDataPlaneOptions = VrouterDevices & {
  readonly object: LoadedObject;
  /** This host's directory in bpffs. */
  readonly pins: string;
};

/** Device that carries packets between the hosts, and the vrouter's end of the service link. */
export type VrouterDevices = { readonly overlayIfindex: number; readonly serviceIfindex: number };

/** Programs of the vrouter's object. */
const PROGRAM = { vif: 'from_vif', overlay: 'from_overlay', service: 'from_service' } as const;
const VIF_PIN = 'vif-';

export class KernelDataPlane implements DataPlane {
  #object: LoadedObject;
  readonly #links: string;
  readonly #log: Logger;
  readonly #signal: AbortSignal;
  readonly #attached = new Map<string, BpfLink>();
  readonly #stats: Set<number>;
  readonly #condemned = new Set<number>();
  #sweep: Promise<void> | undefined;

  /** Use `openKernelDataPlane`. */
  constructor(options: KernelDataPlaneOptions, deps: { readonly log: Logger; readonly signal: AbortSignal }) {
    this.#object = options.object;
    this.#links = join(options.pins, 'links');
    this.#log = deps.log;
    this.#signal = deps.signal;
    this.#stats = new Set(
      this.#map('cb_stat_1')
        .entries()
        .map(({ key }) => cbStatKey.decode(key).ifindex),
    );
  }

  readMap(name: AgentMap): ReadonlyMap<string, MapEntry> {
    return new Map(
      this.#map(name)
        .entries()
        .map(({ key, value }) => [hex(key), { id: hex(key), key, value }] as const),
    );
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

  listAttachments(): ReadonlyMap<string, number> {
    return new Map([...this.#attached].map(([portId, link]) => [portId, link.info().ifindex]));
  }

  attach(portId: string, ifindex: number): void {
    const path = this.#vifPin(portId);
    this.#attached.get(portId)?.close();
    this.#attached.delete(portId);
    ensureTcx({ path, program: this.#program(PROGRAM.vif), ifindex, direction: 'ingress' });
    const link = openPinnedLink(path);
    if (link !== undefined) this.#attached.set(portId, link);
  }

  detach(portId: string): void {
    this.#attached.get(portId)?.close();
    this.#attached.delete(portId);
    removeTcx(this.#vifPin(portId));
  }

  deleteFlows(ifindexes: ReadonlySet<number>): void {
    for (const ifindex of ifindexes) this.#condemned.add(ifindex);
    this.#sweep ??= this.#sweepFlows()
      .catch((err: unknown) => this.#log.warn({ err }, 'cannot delete the flows of vanished devices'))
      .finally(() => {
        this.#sweep = undefined;
      });
  }

  /** Puts the loaded programs in place of those that run: on the fixed devices, and on every VIF a previous run left. */
  adopt(options: VrouterDevices): void {
    this.#releaseLinks();
    this.#attachFixed('overlay', PROGRAM.overlay, options.overlayIfindex);
    this.#attachFixed('service', PROGRAM.service, options.serviceIfindex);
    for (const path of listPins(this.#links)) {
      const name = unpinName(path.split('/').at(-1) ?? '');
      if (name.startsWith(VIF_PIN)) this.#adoptVif(name.slice(VIF_PIN.length), path);
    }
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

  /** Raw entries of any map, for display. */
  readRaw(name: keyof typeof MAPS): readonly { readonly key: Uint8Array; readonly value: Uint8Array }[] {
    return this.#map(name).entries();
  }

  /** Lets go of the handles; what is pinned runs on. */
  async close(): Promise<void> {
    await this.#sweep;
    this.#releaseLinks();
    this.#object.close();
  }

  #releaseLinks(): void {
    for (const link of this.#attached.values()) link.close();
    this.#attached.clear();
  }

  #adoptVif(portId: string, path: string): void {
    const link = openPinnedLink(path);
    if (link === undefined) return;
    const { ifindex } = link.info();
    this.#attached.set(portId, link);
    if (ifindex === 0) return;
    ensureTcx({ path, program: this.#program(PROGRAM.vif), ifindex, direction: 'ingress' });
  }

  #attachFixed(pin: string, program: string, ifindex: number): void {
    const path = join(this.#links, pin);
    ensureTcx({ path, program: this.#program(program), ifindex, direction: 'ingress' });
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

  #vifPin(portId: string): string {
    return join(this.#links, pinName(`${VIF_PIN}${portId}`));
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
