/**
 * What VPNs need of the kernel: the device `cablep0`, the programs of vrouter/labels.bpf.c on it and on the devices of the underlay, and their maps. All of it comes with the first VPN and goes with the
 * last. The device is an end of a pair whose other one nothing reaches: a program is before it. A restarted agent knows the device by its name and kind, the program on other devices by its name, the maps by their pins.
 */
import { type Logger, startLoop } from '@cable/kit';
import { overlayIpVersion } from '@cable/model';
import { CB_LABELLED_MAX } from '../bpf/abi.gen.ts';
import { putNew, removeOthers, textsOf } from '../bpf/kept-texts.ts';
import { ensureTcxProgram, removeTcxProgram, tcxProgramIds } from '../bpf/tcx.ts';
import type { LinkChanges } from '../devices/link-rows.ts';
import type { LinkTable } from '../devices/link-table.ts';
import { isUnderlayDevice } from '../devices/next-hops.ts';
import { quietDevice } from '../devices/own-links.ts';
import type { UnderlayWatch } from '../devices/underlay.ts';
import { deleteLinksAside } from '../net/link.ts';
import { lookUpWay } from '../net/route.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { ensureVeth } from '../net/veth.ts';
import { watchRoutes } from '../net/watch.ts';
import type { ChosenOptions } from '../options.ts';
import { type LabelRow, VPN_DEVICE, VPN_DEVICE_END } from '../plan/label-rows.ts';
import { underlayConfig } from '../vrouter.ts';
import { type LabelEntries, type LabelHop, labelEntries } from './label-entries.ts';
import { FROM_LSP, hasLabelMaps, type LabelPrograms, loadLabelPrograms, removeLabelMaps } from './label-programs.ts';

export type LabelKeeperOptions = Pick<ChosenOptions, 'object' | 'pinDir' | 'underlay'> & {
  /** Devices that have the underlay address. */
  readonly devices: Pick<UnderlayWatch, 'now'>;
  readonly links: Pick<LinkTable, 'get' | 'values' | 'byName'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

export type LabelKeeper = {
  /** What is to be there; `isWhole`: this is all. Until it is, nothing is taken away. */
  take(rows: readonly LabelRow[], isWhole: boolean): void;
  /** Devices are not as they were. */
  takeDevices(changes: LinkChanges): void;
  /** For status; null: there is no VPN. */
  readonly view: LabelView | null;
  readonly done: Promise<void>;
};

export type LabelView = {
  /** Entries of the maps, and rows whose remote no route leads to. */
  readonly lsps: number;
  readonly labels: number;
  readonly unreached: number;
  /** Devices of the underlay that labels are taken from. */
  readonly devices: readonly string[];
  /** Packets by what became of them (`enum cb_labelled_kind`). */
  readonly counts: readonly number[];
};

/** RFC 7510, 3. */
export const LABEL_UDP_PORT = 6635;
/** No frame of a guest is larger. */
const MTU_BYTES = 65_535;
/** Of a path MTU that was found nobody is told. */
const LOOK_MS = 60_000;

export function startLabelKeeper(options: LabelKeeperOptions): LabelKeeper {
  const plane = new LabelPlane(options);
  const { log, signal } = options;
  const loop = startLoop({ name: 'labels', log, signal, run: () => plane.round(), everyMs: LOOK_MS });
  const check = (): void => {
    if (plane.isUsed) loop.trigger();
  };
  watchRoutes({ onMessage: () => undefined, onBurst: check, onLoss: check, signal });
  return {
    take: (rows, isWhole) => {
      if (plane.take(rows, isWhole)) loop.trigger();
    },
    takeDevices: (changes) => {
      if (plane.dependsOn(changes)) check();
    },
    get view() {
      return plane.view;
    },
    done: loop.done.finally(() => plane.close()),
  };
}

type Loaded = { readonly programs: LabelPrograms; readonly ifindex: number };

class LabelPlane {
  readonly #options: LabelKeeperOptions;
  readonly #socket = new NetlinkSocket();
  #rows: readonly LabelRow[] = [];
  #isWhole = false;
  #loaded: Loaded | undefined;
  /** What an agent before has left is still to be looked at. */
  #isFirst = true;
  #entries: LabelEntries = { lsps: new Map(), labels: new Map() };
  #unreached = 0;
  #devices: readonly string[] = [];

  constructor(options: LabelKeeperOptions) {
    this.#options = options;
  }

  /** Something is there, or is to be. */
  get isUsed(): boolean {
    return this.#rows.length > 0 || this.#loaded !== undefined;
  }

  get view(): LabelView | null {
    if (this.#loaded === undefined) return null;
    const { lsps, labels } = this.#entries;
    const counts = this.#loaded.programs.counts().map(Number);
    return {
      ...{ lsps: lsps.size, labels: labels.size, unreached: this.#unreached, devices: this.#devices },
      counts: counts.slice(0, CB_LABELLED_MAX),
    };
  }

  /** False: nothing is to be done. */
  take(rows: readonly LabelRow[], isWhole: boolean): boolean {
    this.#rows = rows;
    this.#isWhole = isWhole;
    return this.isUsed || (this.#isFirst && isWhole);
  }

  dependsOn({ names }: LinkChanges): boolean {
    const { devices } = this.#options;
    return names.has(VPN_DEVICE) || devices.now === undefined || devices.now.devices.some((name) => names.has(name));
  }

  async round(): Promise<void> {
    if (this.#rows.length > 0) this.#put();
    else if (this.#isWhole) await this.#removeAll();
  }

  close(): void {
    this.#loaded?.programs.close();
    this.#socket.close();
  }

  #put(): void {
    const { programs, ifindex } = this.#load();
    const hops = new Map<string, LabelHop | undefined>();
    const hopTo = (remote: string): LabelHop | undefined => {
      if (!hops.has(remote)) hops.set(remote, this.#hopTo(remote));
      return hops.get(remote);
    };
    const wanted = labelEntries(this.#rows, hopTo);
    this.#unreached = this.#rows.filter(({ kind }) => kind === 'lsp').length - wanted.lsps.size;
    // Who may send is known before anything is taken, and what is taken no more before its way goes.
    this.#write(programs, wanted);
    ensureTcxProgram(ifindex, programs.toLsp, 'egress');
    this.#attach(programs);
  }

  /** As of the device that is there: one that was made anew has another number. */
  #load(): Loaded {
    const { object, pinDir, underlay } = this.#options;
    const peer = { name: VPN_DEVICE_END, mtuBytes: MTU_BYTES };
    const { ifindex } = ensureVeth(this.#socket, { name: VPN_DEVICE, mtuBytes: MTU_BYTES, peer }).link;
    if (this.#loaded?.ifindex === ifindex) return this.#loaded;
    for (const name of [VPN_DEVICE, VPN_DEVICE_END]) quietDevice(name);
    const config = { ...underlayConfig(underlay), cfg_vpn_ifindex: ifindex };
    const programs = loadLabelPrograms({ object, pinDir, config });
    this.#loaded?.programs.close();
    this.#loaded = { programs, ifindex };
    this.#entries = { lsps: textsOf(programs.lsps), labels: textsOf(programs.labels) };
    this.#isFirst = false;
    return this.#loaded;
  }

  #hopTo(remote: string): LabelHop | undefined {
    const { underlay, links } = this.#options;
    const ifindex = this.#loaded?.ifindex;
    if (remote === underlay && ifindex !== undefined) return { ifindex, nexthop: remote, mtuBytes: MTU_BYTES };
    if (overlayIpVersion(remote) !== overlayIpVersion(underlay)) return undefined;
    const way = lookUpWay(this.#socket, { from: underlay, to: remote, port: LABEL_UDP_PORT });
    const link = way === undefined ? undefined : links.get(way.ifindex);
    if (way === undefined || !isUnderlayDevice(link)) return undefined;
    const mtuBytes = way.mtuBytes === 0 ? link.mtuBytes : Math.min(way.mtuBytes, link.mtuBytes);
    return { ifindex: way.ifindex, nexthop: way.nexthop, mtuBytes };
  }

  #write(programs: LabelPrograms, wanted: LabelEntries): void {
    const before = this.#entries;
    if (this.#isWhole) removeOthers(programs.labels, before.labels, wanted.labels);
    putNew(programs.lsps, before.lsps, wanted.lsps);
    putNew(programs.labels, before.labels, wanted.labels);
    if (this.#isWhole) removeOthers(programs.lsps, before.lsps, wanted.lsps);
    this.#entries = this.#isWhole
      ? wanted
      : {
          lsps: new Map([...before.lsps, ...wanted.lsps]),
          labels: new Map([...before.labels, ...wanted.labels]),
        };
  }

  #attach({ fromLsp }: LabelPrograms): void {
    const { links, devices } = this.#options;
    const names = devices.now?.devices ?? this.#waysBy();
    for (const link of links.values()) {
      const isWanted = names.includes(link.name) && isUnderlayDevice(link);
      if (isWanted) ensureTcxProgram(link.ifindex, fromLsp);
      else if (this.#devices.includes(link.name)) removeTcxProgram(link.ifindex, FROM_LSP);
    }
    this.#devices = names;
  }

  /** Where the underlay address is on no device of the underlay: those by which hosts are reached. */
  #waysBy(): readonly string[] {
    const { links } = this.#options;
    const remotes = new Set(this.#rows.flatMap(({ remote }) => remote ?? []));
    return [...new Set([...remotes].flatMap((remote) => links.get(this.#hopTo(remote)?.ifindex ?? 0)?.name ?? []))];
  }

  /** In the order in which nothing is taken that has no way on. */
  async #removeAll(): Promise<void> {
    const { links, pinDir } = this.#options;
    if (this.#loaded === undefined && !(this.#isFirst && hasLabelMaps(pinDir))) {
      this.#isFirst = false;
      return;
    }
    for (const { ifindex, programId } of [...links.values()]) {
      if (programId === undefined && tcxProgramIds(ifindex, FROM_LSP).length > 0) removeTcxProgram(ifindex, FROM_LSP);
    }
    await deleteLinksAside(this.#socket, [VPN_DEVICE]);
    this.#loaded?.programs.close();
    this.#loaded = undefined;
    removeLabelMaps(pinDir);
    this.#entries = { lsps: new Map(), labels: new Map() };
    this.#devices = [];
    this.#isFirst = false;
  }
}
