import { type Logger, sleep, startLoop, startTurns } from '@cable/kit';
import type { ByteText } from '../bpf/codec.ts';
import { ensureTcxProgram, removeTcxProgram, tcxProgramIds } from '../bpf/tcx.ts';
import { succeeded } from '../ffi/errno.ts';
import { IFF_PROMISC, setPromiscuous } from '../net/link.ts';
import { NetlinkSocket } from '../net/socket.ts';
import { watchRoutes } from '../net/watch.ts';
import type { Encapsulation } from '../options.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import { ENTRY } from '../reconcile/program-slots.ts';
import type { LinkChanges } from './link-rows.ts';
import type { LinkTable } from './link-table.ts';
import { isUnderlayDevice, NextHops } from './next-hops.ts';
import type { UnderlayWatch } from './underlay.ts';

export type UplinkKeeperOptions = {
  /** `kernel`: what an agent with `own` has left is removed, and nothing else done. */
  readonly encapsulation: Encapsulation;
  /** Names of this host's interfaces on physical networks. */
  readonly provider: ReadonlySet<string>;
  /** Names of those on which it announces addresses of Services; undefined: not known yet, what is there stays. */
  readonly announcing: () => readonly string[] | undefined;
  /** This host's address in the underlay. */
  readonly underlay: string;
  /** Devices that have that address. */
  readonly devices: Pick<UnderlayWatch, 'now'>;
  readonly plane: Pick<KernelDataPlane, 'underlay' | 'hosts' | 'hasHost' | 'onHost'>;
  readonly links: Pick<LinkTable, 'get' | 'values' | 'byName'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

export type UplinkKeeper = {
  /** Devices are not as they were. */
  takeDevices(changes: LinkChanges): void;
  /** Programs were loaded anew, or something was found otherwise than it should be. */
  check(): void;
  /** The first round has ended, well or not: no other name's program is on an uplink any more. */
  readonly ready: Promise<void>;
  /** For status. */
  readonly view: UplinkView;
  readonly done: Promise<void>;
};

export type UplinkView = {
  readonly encapsulation: Encapsulation;
  /** Peers that packets are sent to without the overlay device. */
  readonly peers: number;
  /** Devices of the underlay, and why packets are not taken from one; null: they are. */
  readonly devices: readonly { readonly name: string; readonly error: string | null }[];
};

const DISPATCHER = ENTRY.uplink.dispatcher;
/** Of some changes nobody is told: a path MTU was found, a program was taken off. */
const LOOK_MS = 60_000;
/** A part of the time may go into looking at routes that change all the time: after a round it rests so many times as long as the round took. */
const REST_FACTOR = 3;
const REST_MIN_MS = 20;

/**
 * Keeps `cb_hop_1` as the kernel's routes are, and the uplink's dispatcher on the devices that have the underlay address; on those that hops lead by, where
 * routing decides (the address is on loopback); on the interfaces of physical networks, which take frames to any MAC then; and on those by which addresses of Services are announced. A restarted agent knows its programs by their name, its hops by their map. Where something fails, the overlay device does the work.
 */
export function startUplinkKeeper(options: UplinkKeeperOptions): UplinkKeeper {
  const uplinks = new Uplinks(options);
  const { log, signal, plane } = options;
  let settle = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const run = async (): Promise<void> => {
    const startedAt = performance.now();
    await uplinks.round().finally(() => settle());
    await sleep(Math.max(REST_MIN_MS, REST_FACTOR * (performance.now() - startedAt)), signal);
  };
  const isOwn = options.encapsulation === 'own';
  const isWatching = (): boolean => isOwn || options.provider.size > 0 || options.announcing()?.length !== 0;
  const loop = startLoop({ name: 'uplink keeper', log, signal, run, everyMs: LOOK_MS });
  const check = (): void => {
    uplinks.lookAtAll();
    loop.trigger();
  };
  if (isOwn) {
    plane.onHost((key) => {
      uplinks.lookAt(key);
      loop.trigger();
    });
    watchRoutes({
      onMessage: () => undefined,
      onBurst: check,
      onLoss: check,
      signal,
    });
  }
  const done = loop.done.finally(() => {
    settle();
    uplinks.close();
  });
  const takeDevices = (changes: LinkChanges): void => {
    if (isWatching() && uplinks.dependOn(changes)) check();
  };
  return {
    takeDevices,
    check,
    ready,
    get view() {
      return uplinks.view;
    },
    done,
  };
}

class Uplinks {
  readonly #options: UplinkKeeperOptions;
  readonly #socket = new NetlinkSocket();
  readonly #hops: NextHops;
  /** Devices with our program; why it could not be put there, if so. */
  readonly #devices = new Map<number, string | null>();
  readonly #peers = new Set<ByteText>();
  /** Devices that this run has made take frames to any MAC. */
  readonly #promiscuous = new Set<number>();
  /** A round is to look at every peer and device. */
  #all = true;
  #adopted = false;

  constructor(options: UplinkKeeperOptions) {
    this.#options = options;
    this.#hops = new NextHops({ ...options, socket: this.#socket });
  }

  get view(): UplinkView {
    const { encapsulation, links } = this.#options;
    const devices = [...this.#devices].map(([ifindex, error]) => ({
      name: links.get(ifindex)?.name ?? String(ifindex),
      error,
    }));
    return { encapsulation, peers: this.#hops.size, devices };
  }

  lookAt(peer: ByteText): void {
    this.#peers.add(peer);
  }

  lookAtAll(): void {
    this.#all = true;
  }

  dependOn({ ifindexes, names }: LinkChanges): boolean {
    const { devices, provider } = this.#options;
    if (devices.now?.devices.some((name) => names.has(name))) return true;
    if ([...provider, ...(this.#options.announcing() ?? [])].some((name) => names.has(name))) return true;
    return [...ifindexes].some((ifindex) => this.#devices.has(ifindex) || this.#hops.dependsOn(ifindex));
  }

  async round(): Promise<void> {
    const all = this.#all;
    this.#all = false;
    try {
      if (!this.#adopted) await this.#adopt();
      this.#adopted = true;
      await this.#refreshHops(all);
      this.#putPrograms();
    } catch (err) {
      this.#all = true;
      throw err;
    }
  }

  close(): void {
    this.#socket.close();
  }

  /** Programs that a previous run left. A device of a port has another one, never this. */
  async #adopt(): Promise<void> {
    const turns = startTurns();
    for (const { ifindex, programId } of [...this.#options.links.values()]) {
      if (programId !== undefined) continue;
      if (tcxProgramIds(ifindex, DISPATCHER).length > 0) this.#devices.set(ifindex, null);
      if (turns.due()) await turns.next();
    }
  }

  async #refreshHops(all: boolean): Promise<void> {
    const { encapsulation, signal } = this.#options;
    const turns = startTurns();
    const peers = all ? this.#everyPeer() : [...this.#peers];
    this.#peers.clear();
    if (all) this.#hops.forgetAwaited();
    for (const peer of peers) {
      if (signal.aborted) return;
      if (encapsulation === 'own') this.#hops.refresh(peer);
      else this.#hops.remove(peer);
      if (turns.due()) await turns.next();
    }
  }

  /** With those that only have a hop. */
  #everyPeer(): Iterable<ByteText> {
    return new Set([...this.#hops.keys(), ...this.#options.plane.hosts]);
  }

  #putPrograms(): void {
    const wanted = this.#wanted();
    for (const ifindex of [...this.#devices.keys()]) {
      if (wanted.has(ifindex)) continue;
      removeTcxProgram(ifindex, DISPATCHER);
      this.#devices.delete(ifindex);
      if (this.#promiscuous.delete(ifindex)) this.#setPromiscuous(ifindex, false);
    }
    for (const ifindex of wanted) this.#put(ifindex);
  }

  /** Those by which the guard lets tunnelled packets in, and those on physical networks. */
  #wanted(): ReadonlySet<number> {
    const provider = this.#provider();
    for (const ifindex of provider) this.#setPromiscuous(ifindex, true);
    return new Set([...this.#underlay(), ...provider, ...this.#announcing()]);
  }

  #announcing(): readonly number[] {
    const { links, announcing } = this.#options;
    return announcing()?.flatMap((name) => links.byName(name)?.ifindex ?? []) ?? [...this.#devices.keys()];
  }

  #provider(): readonly number[] {
    const { provider, links } = this.#options;
    return [...provider].flatMap((name) => links.byName(name)?.ifindex ?? []);
  }

  /** Guests' MACs are none of the device's. */
  #setPromiscuous(ifindex: number, on: boolean): void {
    const flags = this.#options.links.get(ifindex)?.flags ?? 0;
    if (on && this.#promiscuous.has(ifindex) && (flags & IFF_PROMISC) !== 0) return;
    if (!succeeded(() => setPromiscuous(this.#socket, ifindex, on), ['ENODEV'])) return;
    if (on) this.#promiscuous.add(ifindex);
  }

  #underlay(): ReadonlySet<number> {
    const { encapsulation, devices, links } = this.#options;
    if (encapsulation !== 'own') return new Set();
    const names = devices.now?.devices;
    if (names === undefined) return new Set(this.#hops.devices);
    const found = [...links.values()].filter((link) => names.includes(link.name) && isUnderlayDevice(link));
    return new Set(found.map(({ ifindex }) => ifindex));
  }

  #put(ifindex: number): void {
    const error = this.#tryPut(ifindex, this.#options.plane.underlay.dispatcher);
    if (error === undefined) {
      this.#devices.delete(ifindex);
      return;
    }
    if (error !== null && this.#devices.get(ifindex) !== error) {
      const device = this.#options.links.get(ifindex)?.name;
      this.#options.log.warn(
        { device, error },
        'cannot take packets from an uplink: what is tunnelled here comes by the overlay device, and provider networks on it get nothing',
      );
    }
    this.#devices.set(ifindex, error);
  }

  /** Null: it is there; undefined: the device is gone. */
  #tryPut(ifindex: number, dispatcher: KernelDataPlane['underlay']['dispatcher']): string | null | undefined {
    try {
      return ensureTcxProgram(ifindex, dispatcher) ? null : undefined;
    } catch (err) {
      return err instanceof Error ? err.message : String(err);
    }
  }
}
