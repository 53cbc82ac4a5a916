/**
 * What pseudowires need of the kernel: the programs of vrouter/pseudowires.bpf.c on the devices of their ports, their maps, and, where they need them, `cablew0`, through which frames go to other hosts, the
 * queue of limits and guarantees on devices of the underlay. All of it comes with the first that needs it and goes with the last. A restarted agent knows the devices by their names and kinds, the
 * programs by their names, the maps by their pins.
 */
import { overlayIpVersion, TUNNELLED } from '@cable/model';
import { CB_PW_MAX, cbPw, cbPwKey } from '../bpf/abi.gen.ts';
import { textBytes } from '../bpf/codec.ts';
import { type KeptTexts, putNew, removeOthers, textsOf } from '../bpf/kept-texts.ts';
import { ensureTcxProgram, removeTcxProgram } from '../bpf/tcx.ts';
import type { LinkTable } from '../devices/link-table.ts';
import { quietDevice } from '../devices/own-links.ts';
import { deleteLinksAside, getLink, setLink } from '../net/link.ts';
import { lookUpWay, type WayTo } from '../net/route.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { ensureVxlan } from '../net/vxlan.ts';
import type { ChosenOptions } from '../options.ts';
import { type PseudowireRow, WIRE_DEVICE, WIRE_UDP_PORT } from '../plan/pseudowire-rows.ts';
import { underlayConfig } from '../vrouter.ts';
import { type DeviceGuarantees, type Guarantee, type GuaranteeDevice, Guarantees } from './guarantees.ts';
import {
  beginsHere,
  hashOf,
  inOrder,
  isTunnelled,
  NO_ENTRIES,
  type PlannedPseudowires,
  type PseudowireEntries,
  pseudowireEntries,
  type WireFault,
  type WireHook,
} from './pseudowire-entries.ts';
import {
  hasPseudowireMaps,
  loadPseudowirePrograms,
  type PseudowirePrograms,
  removePseudowireMaps,
  WIRE_PROGRAMS,
} from './pseudowire-programs.ts';
import { WireNumbers } from './wire-numbers.ts';
import { WireQueue } from './wire-queue.ts';

export type PseudowirePlaneOptions = Pick<ChosenOptions, 'object' | 'pinDir' | 'underlay' | 'bandwidth'> & {
  readonly links: Pick<LinkTable, 'get' | 'values'>;
};

/** A wire as it is on this host. `frames`, `bytes`: that entered it here; `limited`: frames that were over its limit. A GSO packet is one frame. */
export type WireView = {
  readonly id: string;
  readonly name: string;
  readonly beginsHere: boolean;
  readonly frames: number;
  readonly bytes: number;
  readonly limited: number;
};

export type PseudowireView = {
  readonly wires: readonly WireView[];
  /** Names of devices where frames are taken. */
  readonly devices: readonly string[];
  /** Frames by what became of them (`enum cb_pw_kind`). */
  readonly counts: readonly number[];
  readonly faults: readonly WireFault[];
  readonly guarantees: readonly DeviceGuarantees[];
};

/** No frame of a guest is larger. */
const MTU_BYTES = 65_535;
/** Of IP, UDP and VXLAN. */
const OUTER_BYTES = { 4: 36, 6: 56 } as const;

type Hop = WayTo & { readonly frameBytes: number };

export class PseudowirePlane {
  readonly #options: PseudowirePlaneOptions;
  readonly #socket = new NetlinkSocket();
  readonly #queue: WireQueue;
  readonly #guarantees: Guarantees;
  #rows: readonly PseudowireRow[] = [];
  #isWhole = false;
  #loaded: PseudowirePrograms | undefined;
  /** What an agent before has left is still to be looked at. */
  #isFirst = true;
  #numbers = new WireNumbers();
  #entries: PseudowireEntries = NO_ENTRIES;
  #hooks: readonly WireHook[] = [];
  #faults: readonly WireFault[] = [];
  #tunnelIfindex = 0;

  constructor(options: PseudowirePlaneOptions) {
    this.#options = options;
    this.#queue = new WireQueue(this.#socket);
    this.#guarantees = new Guarantees(this.#socket, options.bandwidth[TUNNELLED]?.egress);
  }

  /** Something is there, or is to be. */
  get isUsed(): boolean {
    return this.#rows.length > 0 || this.#loaded !== undefined;
  }

  /** Null: there is none. */
  get view(): PseudowireView | null {
    const programs = this.#loaded;
    if (programs === undefined) return null;
    return {
      wires: this.#rows.map((row) => this.#wireView(row, programs)),
      devices: [...new Set(this.#hooks.map(({ name }) => name))].sort(),
      counts: programs.counts().slice(0, CB_PW_MAX),
      faults: this.#faults,
      guarantees: this.#guarantees.view,
    };
  }

  /** False: nothing is to be done. */
  take(rows: readonly PseudowireRow[], isWhole: boolean): boolean {
    this.#rows = inOrder(rows);
    this.#isWhole = isWhole;
    return this.isUsed || (this.#isFirst && isWhole);
  }

  /** Makes all that is wanted: who is to be asked before the vrouter is then. Takes nothing away that takes time. */
  put(): void {
    if (this.#rows.length === 0) return;
    const programs = this.#load();
    this.#putTunnel(programs);
    const hops = this.#hops();
    const numbered = this.#rows.filter(({ wire }) => this.#numbers.take(hashOf(wire.id)) !== undefined);
    this.#queue.put(this.#limits(), programs.programs.due);
    this.#guarantees.put(this.#wantedGuarantees(hops));
    const planned = this.#plan(numbered, hops);
    const without = this.#rows.filter((row) => !numbered.includes(row)).map(({ wire: { id, name } }) => ({ id, name }));
    this.#faults = [...planned.faults, ...without.map((one) => ({ ...one, fault: 'the host has too many wires' }))];
    this.#write(programs, planned);
  }

  /** Takes away what is not wanted any more. */
  async tidy(): Promise<void> {
    if (!this.#isWhole) return;
    if (this.#rows.length === 0) return this.#removeAll();
    if (!this.#rows.some(isTunnelled) && (this.#tunnelIfindex !== 0 || this.#isFirst)) await this.#removeTunnel();
    await this.#queue.tidy(this.#limits());
    this.#guarantees.tidy(this.#wantedGuarantees(this.#hops()), this.#isFirst ? this.#underlayDevices() : []);
    this.#numbers.keepOnly(new Set(this.#rows.map(({ wire }) => hashOf(wire.id))));
    this.#isFirst = false;
  }

  close(): void {
    this.#loaded?.close();
    this.#socket.close();
  }

  #wireView(row: PseudowireRow, programs: PseudowirePrograms): WireView {
    const { id, name } = row.wire;
    const number = this.#numbers.get(hashOf(id)) ?? 0;
    const begins = beginsHere(row);
    const use = begins ? programs.useOf(number) : { frames: 0, bytes: 0 };
    const limited = begins && row.wire.admittedKbps !== undefined ? this.#queue.drops(number) : 0;
    return { id, name, beginsHere: begins, ...use, limited };
  }

  #load(): PseudowirePrograms {
    if (this.#loaded !== undefined) return this.#loaded;
    const { object, pinDir, underlay } = this.#options;
    const programs = loadPseudowirePrograms({ object, pinDir, config: underlayConfig(underlay) });
    const { wires, fits, ports, nexts, ends } = programs.maps;
    this.#entries = {
      ...{ wires: textsOf(wires), fits: textsOf(fits), ports: textsOf(ports) },
      ...{ nexts: textsOf(nexts), ends: textsOf(ends) },
    };
    const kept = [...this.#entries.wires].map(
      ([key, value]) => [cbPw.decode(textBytes(value)).id, cbPwKey.decode(textBytes(key)).number] as const,
    );
    this.#numbers = new WireNumbers(kept);
    this.#loaded = programs;
    return programs;
  }

  /** It comes up with its program on it: the host's own stack never has a frame of it. */
  #putTunnel({ programs }: PseudowirePrograms): void {
    if (!this.#rows.some(isTunnelled)) return;
    const spec = { name: WIRE_DEVICE, port: WIRE_UDP_PORT, mtuBytes: MTU_BYTES, up: false };
    const { link } = ensureVxlan(this.#socket, spec);
    if (link.ifindex !== this.#tunnelIfindex) quietDevice(WIRE_DEVICE);
    ensureTcxProgram(link.ifindex, programs.came);
    if (!link.up) setLink(this.#socket, link.ifindex, { up: true });
    this.#tunnelIfindex = link.ifindex;
  }

  async #removeTunnel(): Promise<void> {
    if (getLink(this.#socket, WIRE_DEVICE)?.kind === 'vxlan') await deleteLinksAside(this.#socket, [WIRE_DEVICE]);
    this.#tunnelIfindex = 0;
  }

  /** Ways to the hosts to which wires go from here. */
  #hops(): ReadonlyMap<string, Hop> {
    const { underlay } = this.#options;
    const version = overlayIpVersion(underlay);
    const hops = new Map<string, Hop>();
    for (const { wire, from, to } of this.#rows) {
      const remote = wire.to.underlay;
      if (from === 'elsewhere' || to !== 'elsewhere' || remote === null || hops.has(remote)) continue;
      if (overlayIpVersion(remote) !== version) continue;
      const way = lookUpWay(this.#socket, { from: underlay, to: remote, port: WIRE_UDP_PORT });
      const mtuBytes = way === undefined ? 0 : this.#mtuOf(way);
      if (way !== undefined) hops.set(remote, { ...way, frameBytes: mtuBytes - OUTER_BYTES[version] });
    }
    return hops;
  }

  #mtuOf({ ifindex, mtuBytes }: WayTo): number {
    const ofDevice = this.#options.links.get(ifindex)?.mtuBytes ?? 0;
    return mtuBytes === 0 ? ofDevice : Math.min(mtuBytes, ofDevice);
  }

  #limits(): ReadonlyMap<number, number> {
    return new Map(
      this.#rows.flatMap((row): [number, number][] => {
        const number = this.#numbers.get(hashOf(row.wire.id));
        const { admittedKbps } = row.wire;
        return beginsHere(row) && admittedKbps !== undefined && number !== undefined ? [[number, admittedKbps]] : [];
      }),
    );
  }

  #wantedGuarantees(hops: ReadonlyMap<string, Hop>): ReadonlyMap<GuaranteeDevice, readonly Guarantee[]> {
    const byDevice = new Map<number, Guarantee[]>();
    for (const { wire, from, to } of this.#rows) {
      const { guaranteedKbps: kbps, admittedKbps: mostKbps } = wire;
      const ifindex = hops.get(wire.to.underlay ?? '')?.ifindex;
      const number = this.#numbers.get(hashOf(wire.id));
      if (from === 'elsewhere' || to !== 'elsewhere' || kbps === undefined) continue;
      if (ifindex === undefined || number === undefined) continue;
      byDevice.set(ifindex, [...(byDevice.get(ifindex) ?? []), { number, kbps, mostKbps }]);
    }
    const nameOf = (ifindex: number): string => this.#options.links.get(ifindex)?.name ?? String(ifindex);
    return new Map([...byDevice].map(([ifindex, all]) => [{ ifindex, name: nameOf(ifindex) }, all] as const));
  }

  #plan(rows: readonly PseudowireRow[], hops: ReadonlyMap<string, Hop>): PlannedPseudowires {
    return pseudowireEntries(rows, {
      numberOf: ({ id }) => this.#numbers.get(hashOf(id)) ?? 0,
      tunnelIfindex: this.#tunnelIfindex,
      queueIfindex: this.#queue.ifindex,
      priorityOf: ({ id, to, guaranteedKbps }) => {
        const ifindex = hops.get(to.underlay ?? '')?.ifindex;
        if (guaranteedKbps === undefined || ifindex === undefined) return 0;
        return this.#guarantees.priorityOf(this.#numbers.get(hashOf(id)) ?? 0, ifindex);
      },
      frameBytesTo: (underlay) => hops.get(underlay)?.frameBytes,
    });
  }

  /** A wire is whole before a frame enters it, and none enters when it goes. */
  #write(programs: PseudowirePrograms, { entries, hooks }: PlannedPseudowires): void {
    const { maps } = programs;
    const order = ['wires', 'fits', 'ends', 'nexts', 'ports'] as const;
    for (const name of order) putNew(maps[name], this.#entries[name], entries[name]);
    programs.countOnly(this.#beginning());
    for (const hook of hooks) attach(programs, hook);
    if (!this.#isWhole) {
      const both = (name: keyof PseudowireEntries): KeptTexts => new Map([...this.#entries[name], ...entries[name]]);
      this.#entries = {
        ...{ wires: both('wires'), fits: both('fits'), ports: both('ports') },
        ...{ nexts: both('nexts'), ends: both('ends') },
      };
      this.#hooks = [...this.#hooks, ...hooks.filter((hook) => !this.#hooks.some((one) => isSame(one, hook)))];
      return;
    }
    for (const hook of this.#isFirst ? this.#everyHook() : this.#hooks)
      if (!hooks.some((one) => isSame(one, hook))) detach(hook);
    for (const name of [...order].reverse()) removeOthers(maps[name], this.#entries[name], entries[name]);
    this.#entries = entries;
    this.#hooks = hooks;
  }

  #beginning(): ReadonlySet<number> {
    return new Set(this.#rows.filter(beginsHere).flatMap(({ wire }) => this.#numbers.get(hashOf(wire.id)) ?? []));
  }

  /** All devices of the host, of either kind. */
  #everyHook(): readonly WireHook[] {
    return [...this.#options.links.values()].flatMap(({ ifindex, name }): WireHook[] => [
      { ifindex, name, at: 'sent' },
      { ifindex, name, at: 'delivered' },
    ]);
  }

  #underlayDevices(): readonly number[] {
    return [...this.#options.links.values()].map(({ ifindex }) => ifindex);
  }

  /** In the order in which nothing is taken that has no way on. */
  async #removeAll(): Promise<void> {
    const { pinDir } = this.#options;
    if (this.#loaded === undefined && !(this.#isFirst && hasPseudowireMaps(pinDir))) {
      this.#isFirst = false;
      return;
    }
    for (const hook of this.#isFirst ? this.#everyHook() : this.#hooks) detach(hook);
    this.#guarantees.tidy(new Map(), this.#isFirst ? this.#underlayDevices() : []);
    await this.#queue.tidy(new Map());
    await this.#removeTunnel();
    this.#loaded?.close();
    this.#loaded = undefined;
    removePseudowireMaps(pinDir);
    this.#entries = NO_ENTRIES;
    this.#hooks = [];
    this.#faults = [];
    this.#numbers = new WireNumbers();
    this.#isFirst = false;
  }
}

const HOOKS = { sent: 'ingress', delivered: 'egress' } as const;

function attach({ programs }: PseudowirePrograms, { ifindex, at }: WireHook): void {
  ensureTcxProgram(ifindex, programs[at], HOOKS[at]);
}

function detach({ ifindex, at }: WireHook): void {
  removeTcxProgram(ifindex, WIRE_PROGRAMS[at], HOOKS[at]);
}

function isSame(one: WireHook, other: WireHook): boolean {
  return one.ifindex === other.ifindex && one.at === other.at;
}
