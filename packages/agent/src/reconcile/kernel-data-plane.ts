/**
 * The data plane in the kernel. What is ours is found by its place: maps and dispatchers are pinned in this host's directory, dispatchers are
 * on devices as filters with our handle. All of it outlives the agent.
 */
import type { Logger } from '@cable/kit';
import {
  CB_DIR_EGRESS,
  CB_DIR_INGRESS,
  cbCount,
  cbDrop,
  cbGauge,
  cbHopKey,
  cbProg,
  cbUse,
  type MAPS,
} from '../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, textBytes } from '../bpf/codec.ts';
import { type BpfMap, fdById, MAP_TYPE } from '../bpf/map.ts';
import { BpfProgram } from '../bpf/program.ts';
import { BPF_CMD } from '../bpf/syscall.ts';
import type { AgentMap, MapEntry } from '../desired.ts';
import { quietDevice } from '../devices/own-links.ts';
import { isShaped, Shaper } from '../devices/shaper.ts';
import { absentOn, BpfError, NetlinkError } from '../ffi/errno.ts';
import type { ProbeMaps } from '../gateways/kernel-rows.ts';
import type { GroupMaps } from '../guest/group-rows.ts';
import type { FlowStep } from '../migrate/flows-1-to-2.ts';
import { ensureIngressFilter, ingressProgramId } from '../net/filter.ts';
import { listLinks } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { dropRows, type RawCounters } from '../show/counters.ts';
import type { DataPlane, Programmed } from './data-plane.ts';
import { ENTRY, type EntryName, enterProgram, OVERLAY_NAMES } from './program-slots.ts';
import type { VrouterPrograms } from './vrouter-programs.ts';

export type KernelDataPlaneOptions = VrouterDevices & {
  readonly programs: VrouterPrograms;
};

/**
 * Device that carries packets between the hosts, the vrouter's ends of the service link and of the link to the fragmenter, and the two ends of the queues; absent:
 * nothing waits.
 */
export type VrouterDevices = {
  readonly overlayIfindex: number;
  readonly serviceIfindex: number;
  readonly fragIfindex: number;
  readonly queues?: { readonly ifindex: number; readonly endIfindex: number };
  /** By which copies for mirrors come out: mostly the second; absent: none are made. */
  readonly mirrors?: { readonly ifindex: number; readonly endIfindex: number };
};

/** Maps of which the keys are the agent's, and the values the vrouter's. */
const KEYS_ALONE: ReadonlySet<AgentMap> = new Set<AgentMap>([
  'cb_neigh_1',
  'cb_mirrored_1',
  'cb_held_1',
  'cb_limited_1',
]);

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
  /** Kinds of the devices that are no VIFs, by ifindex. */
  #fixed: ReadonlyMap<number, EntryName> = new Map();
  readonly #attached = new Set<number>();
  /** Undefined: there are no devices for it. */
  #shaper: Shaper | undefined;
  /** Programs that packets meet may run over other maps: ours do not hold the state yet. */
  #waits = false;
  /** Hosts that tunnels lead to, as keys of cb_hop_1, by key of cb_tunnel_1. */
  readonly #hosts = new Map<ByteText, ByteText>();
  readonly #hostKeys = new Set<ByteText>();
  #hostListener: (host: ByteText) => void = () => undefined;

  /** Use `openKernelDataPlane`. */
  constructor(options: KernelDataPlaneOptions, deps: { readonly log: Logger }) {
    this.#programs = options.programs;
    this.#socket = new NetlinkSocket();
    this.#log = deps.log;
    for (const batch of this.readMap('cb_tunnel_1')) {
      for (const { key, value } of batch) this.#noteHost(key, hostOf(value));
    }
  }

  *readMap(name: AgentMap): Generator<readonly MapEntry[]> {
    const map = this.#map(name);
    const zero = zeroOf(map);
    if (KEYS_ALONE.has(name)) {
      // What is in it is the vrouter's, and nothing is desired of it.
      for (const batch of map.texts()) yield batch.map(({ key }) => ({ key, value: zero }));
      return;
    }
    if (map.info.type !== MAP_TYPE.array) {
      yield* map.texts();
      return;
    }
    for (const batch of map.texts()) yield batch.filter(({ value }) => value !== zero);
  }

  putEntry(map: AgentMap, entry: MapEntry): void {
    if (map === 'cb_meter_1') this.#putMeter(entry);
    else if (KEYS_ALONE.has(map)) this.#putKey(map, entry);
    else this.#map(map).update(entry.key, entry.value);
    if (map === 'cb_tunnel_1') this.#noteHost(entry.key, hostOf(entry.value));
  }

  /** A limit's class is there before packets are sent to it, and goes after. */
  #putMeter({ key, value }: MapEntry): void {
    const row = arrayIndex.decode(textBytes(key));
    const bytes = textBytes(value);
    this.#shaper?.put(row, bytes);
    this.#map('cb_meter_1').update(key, value);
    if (!isShaped(bytes)) this.#shaper?.release(row);
  }

  /** What the vrouter has learned under the key stays. */
  #putKey(map: AgentMap, { key, value }: MapEntry): void {
    try {
      this.#map(map).update(key, value, 'create');
    } catch (err) {
      if (!(err instanceof BpfError) || err.code !== 'EEXIST') throw err;
    }
  }

  deleteEntry(name: AgentMap, entry: MapEntry): void {
    const map = this.#map(name);
    if (map.info.type === MAP_TYPE.array) map.update(entry.key, zeroOf(map));
    else map.delete(entry.key);
    if (name === 'cb_tunnel_1') this.#noteHost(entry.key, undefined);
    if (name === 'cb_meter_1') this.#shaper?.release(arrayIndex.decode(textBytes(entry.key)));
  }

  get underlay(): UnderlayParts {
    return {
      dispatcher: this.#programs.dispatchers.uplink,
      peers: this.#map('cb_peer_2'),
      hops: this.#map('cb_hop_1'),
    };
  }

  /** What is known of other hosts' answers to probes. Of the programs loaded last: ask again after a reload. */
  get probes(): ProbeMaps {
    return { heard: this.#map('cb_heard_1'), beacon: this.#map('cb_beacon_1') };
  }

  /** Which addresses of Services this host answers for on its links. As `probes`. */
  get announced(): BpfMap {
    return this.#map('cb_announced_1');
  }

  /** Which guests were asked for their groups, and what they have joined. As `probes`. */
  get groups(): GroupMaps {
    return { asked: this.#map('cb_asked_2'), joined: this.#map('cb_joined_1'), vifs: this.#map('cb_vif_2') };
  }

  /** What neighbours outside have said of themselves. As `probes`. */
  get neighbours(): BpfMap {
    return this.#map('cb_neigh_1');
  }

  /** How blocks of ports are used. As `probes`. */
  get held(): BpfMap {
    return this.#map('cb_held_1');
  }

  /** Keys of cb_hop_1 for the hosts that there are tunnels to. */
  get hosts(): Iterable<ByteText> {
    return this.#hosts.values();
  }

  /** Whether there is a tunnel to the host. */
  hasHost(host: ByteText): boolean {
    return this.#hostKeys.has(host);
  }

  /** Who is told of hosts that tunnels lead to, or no longer; one. */
  onHost(listener: (host: ByteText) => void): void {
    this.#hostListener = listener;
  }

  readProgrammed(): Programmed {
    const value = this.#map('cb_prog_2').lookup(arrayIndex.encode(0));
    if (value === undefined) return { revision: 0, state: 0n, commit: 0 };
    const { revision, state, commit } = cbProg.decode(value);
    return { revision: Number(revision), state, commit: Number(commit) };
  }

  writeProgrammed({ revision, state, commit }: Programmed): void {
    const value = cbProg.encode({ revision: BigInt(revision), state, commit: BigInt(commit) });
    this.#map('cb_prog_2').update(arrayIndex.encode(0), value);
  }

  purge(kind: 'vif' | 'network', id: number): void {
    const ended = this.#programs.purge(kind, id);
    this.#log.debug({ kind, id, ended }, 'ended the flows of a number');
  }

  resetCounters(vif: number): void {
    this.#map('cb_count_1').update(arrayIndex.encode(vif), new Uint8Array(cbCount.size));
    const { first, count } = dropRows(vif);
    const drops = this.#map('cb_drop_1');
    const zero = new Uint8Array(cbDrop.size);
    for (let row = first; row < first + count; row += 1) drops.update(arrayIndex.encode(row), zero);
    for (const row of meterRows(vif)) this.#shaper?.forgetDrops(row);
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

  /**
   * Makes the loaded programs those of the fixed devices, and of every VIF that has one, if what runs there runs over the same maps. Otherwise ours,
   * over maps that are empty or of long ago, would drop what those let pass, or let pass what has been revoked: they stay until `takeOver`, and
   * only devices that have none are given one, and nothing is taken on the underlay's, so that what is tunnelled here comes to the device that the program
   * which runs has.
   */
  adopt({ overlayIfindex, serviceIfindex, fragIfindex, queues, mirrors }: VrouterDevices): void {
    this.#fixed = new Map<number, EntryName>([
      [overlayIfindex, 'overlay'],
      [serviceIfindex, 'service'],
      [fragIfindex, 'frag'],
      // What has waited comes in as from a guest, which its mark tells.
      ...(queues === undefined ? [] : [[queues.endIfindex, 'vif'] as const]),
      ...(mirrors === undefined ? [] : [[mirrors.ifindex, 'vif'] as const, [mirrors.endIfindex, 'vif'] as const]),
    ]);
    if (queues !== undefined) this.#takeQueues(queues.ifindex);
    const inForce = this.#programs.inForce();
    const foreign = inForce === 'others' || this.#hasOthers();
    this.#waits = foreign || this.readProgrammed().revision === 0;
    this.#attached.clear();
    if (!this.#waits) {
      this.#takeDevices();
      return;
    }
    if (inForce === 'nothing') this.#programs.enter(OVERLAY_NAMES);
    for (const [ifindex, kind] of this.#fixed) if (!this.#hasAny(ifindex)) this.#dispatch(ifindex, kind);
    for (const { ifindex } of listLinks(this.#socket)) {
      if (!this.#fixed.has(ifindex) && this.#hasAny(ifindex)) this.#attached.add(ifindex);
    }
  }

  #takeQueues(ifindex: number): void {
    this.#shaper ??= new Shaper(this.#socket, ifindex, this.#log);
    const rows = [...this.readMap('cb_meter_1')].flat();
    this.#shaper.take(
      ifindex,
      rows.map(({ key, value }) => [arrayIndex.decode(textBytes(key)), textBytes(value)] as const),
    );
  }

  takeOver(): void {
    if (!this.#waits) return;
    const step = this.#programs.openFlowStep(this.#log);
    this.#takeDevices(step);
    step?.close();
    this.#waits = false;
  }

  /** Goes over to programs loaded anew, over the same maps. */
  reload(programs: VrouterPrograms, devices: VrouterDevices): void {
    this.#programs.close();
    this.#programs = programs;
    this.adopt(devices);
  }

  /** What is counted of a VIF; 0: of packets from and to other hosts, and of those that are no VIF's. */
  readCounters(vif: number): RawCounters {
    const { first, count } = dropRows(vif);
    return {
      perCpu: this.#map('cb_count_1').lookupPerCpu(arrayIndex.encode(vif)) ?? [],
      drops: this.#map('cb_drop_1').rows(first, count),
      queueFull: meterRows(vif).reduce((sum, row) => sum + (this.#shaper?.drops(row) ?? 0), 0),
    };
  }

  /** What of the VIF was not told to who follows it: more than may be; and what the ring had no room for, of all VIFs. */
  readNotTold(vif: number): number {
    const use = this.#map('cb_use_1').lookup(arrayIndex.encode(vif));
    const gauge = this.#map('cb_gauge_1').lookup(arrayIndex.encode(0));
    const held = use === undefined ? 0n : cbUse.decode(use).toldHeld;
    return Number(held + (gauge === undefined ? 0n : cbGauge.decode(gauge).toldLost));
  }

  /** The raw value of one entry of any map, for display; undefined: there is none. */
  readEntry(name: keyof typeof MAPS, key: Uint8Array): Uint8Array | undefined {
    return this.#map(name).lookup(key);
  }

  /** Raw entries of any map, some hundreds at a time, for display. */
  readRaw(name: keyof typeof MAPS): Iterable<readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]> {
    return this.#map(name).batches();
  }

  /** A record of cb_flow_2 by its number as a key; undefined: there is none. */
  flowRecord(key: Uint8Array): Uint8Array | undefined {
    return this.#map('cb_flow_2').lookup(key);
  }

  /** Lets go of the handles; what is pinned runs on. */
  close(): void {
    this.#shaper?.close();
    this.#socket.close();
    this.#programs.close();
  }

  /**
   * Devices that have another build's own programs, from before there were dispatchers, are given dispatchers that go on in these programs first:
   * so all devices change at one time, whatever their number, and an agent that is killed among them leaves each with a program.
   */
  #takeDevices(step?: FlowStep): void {
    this.#keepInForce();
    if (this.#programs.inForce() === 'nothing') this.#programs.enter(OVERLAY_NAMES);
    this.#dispatchAll();
    this.#carryFlows(() => step?.takeAll());
    this.#programs.enter();
    this.#carryFlows(() => step?.takeRest());
    this.#programs.disownOthers();
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

  /** Without them connections are taken up in their middle: no reason to keep from taking over. */
  #carryFlows(take: () => void): void {
    try {
      take();
    } catch (err) {
      this.#log.warn({ err }, 'cannot take over connections of the build before');
    }
  }

  #noteHost(key: ByteText, host: ByteText | undefined): void {
    const before = this.#hosts.get(key);
    if (before === host) return;
    if (before !== undefined) this.#hostKeys.delete(before);
    if (host === undefined) this.#hosts.delete(key);
    else {
      this.#hosts.set(key, host);
      this.#hostKeys.add(host);
    }
    for (const one of [before, host]) if (one !== undefined) this.#hostListener(one);
  }

  /** Whether some device has a program with our handle that is no dispatcher of ours: another build's, or another name's. */
  #hasOthers(): boolean {
    const known = new Set<number>(Object.values(this.#programs.dispatchers).map(({ info }) => info.id));
    return listLinks(this.#socket).some(({ ifindex }) => {
      const id = ingressProgramId(this.#socket, ifindex);
      return id !== undefined && !known.has(id);
    });
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

/** Rows of cb_meter_1 that are a VIF's. */
function meterRows(vif: number): readonly number[] {
  return vif === 0 ? [] : [vif * 2 + CB_DIR_INGRESS, vif * 2 + CB_DIR_EGRESS];
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
export function openKernelDataPlane(options: KernelDataPlaneOptions, deps: { readonly log: Logger }): KernelDataPlane {
  const plane = new KernelDataPlane(options, deps);
  plane.adopt(options);
  return plane;
}

/** The host's key in cb_hop_1: its address, which a row of cb_tunnel_1 begins with. */
function hostOf(tunnel: ByteText): ByteText {
  return tunnel.slice(0, cbHopKey.size);
}

function zeroOf(map: BpfMap): ByteText {
  return '\0'.repeat(map.info.valueSize);
}
