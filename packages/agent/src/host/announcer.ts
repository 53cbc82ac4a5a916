import { type Logger, type Loop, sleep, startLoop, startTurns } from '@cable/kit';
import {
  CB_FLOOD_CHUNKS,
  CB_FLOOD_VIF,
  CB_VIF_F_ADMIN_UP,
  type CbVif,
  cbEndpoint,
  cbEpKey,
  cbFlood,
  cbNet,
  cbVif,
} from '../bpf/abi.gen.ts';
import { arrayIndex, byteText, textBytes } from '../bpf/codec.ts';
import { succeeded } from '../ffi/errno.ts';
import { arpAnnouncement, neighborAnnouncement, tagged } from '../net/announcement.ts';
import { isMapped } from '../plan/address.ts';
import type { Planner } from '../plan/planner.ts';
import { desiredChunk } from '../reconcile/flood-lists.ts';
import type { MovedAddress } from '../reconcile/moved-addresses.ts';

export type AnnouncerDeps = {
  /** Who hears of a network: its flood list, and the VIFs in it. */
  readonly entries: Pick<Planner['entries'], 'get'>;
  /** Sends a frame out of the device to its guest; throws a `KernelError`. */
  readonly send: (ifindex: number, frame: Uint8Array) => void;
  /** Calls once, so much later. */
  readonly after: (ms: number, call: () => void) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Where a frame goes out, with its tag; 0: none. */
type Listener = Pick<CbVif, 'ifindex' | 'vlan'>;

/** Addresses that wait to be announced. Who is not told of one finds it when its own entry has run out, in some seconds. */
const WAITING = 4096;
/** So many frames, and then a pause: a large network in which all moves must not take the agent's time from others. */
const FRAMES_AT_ONCE = 1000;
const PAUSE_MS = 20;
/** What is outside is told so often, in such steps (RFC 4861: MAX_NEIGHBOR_ADVERTISEMENT, RetransTimer): nothing says that a frame got there. */
const TIMES = 3;
const AGAIN_MS = 1000;
/** A guest that cannot be told now. */
const NOT_NOW = ['ENODEV', 'ENXIO', 'ENETDOWN', 'ENOBUFS', 'EAGAIN'] as const;

/**
 * Tells the guests of this host that an address has come to another MAC address: they keep what they were told before, and would send to where nobody is
 * any more. Every host tells its own, once its maps have it; and the physical network of an address that this host has there.
 */
export class Announcer {
  readonly #deps: AnnouncerDeps;
  readonly #waiting = new Map<string, MovedAddress>();
  /** Addresses here that the physical network is told of again, by the same key: how often. */
  readonly #again = new Map<string, { readonly moved: MovedAddress; readonly times: number }>();
  #isTimed = false;
  readonly #loop: Loop;
  #frames = 0;

  constructor(deps: AnnouncerDeps) {
    this.#deps = deps;
    this.#loop = startLoop({ name: 'announcer', log: deps.log, signal: deps.signal, run: () => this.#run() });
  }

  /** Resolves after the signal aborted. */
  get done(): Promise<void> {
    return this.#loop.done;
  }

  announce(moved: readonly MovedAddress[]): void {
    for (const one of moved) {
      const key = `${one.net} ${Buffer.from(one.address).toString('hex')}`;
      // The last word counts.
      this.#again.delete(key);
      if (this.#waiting.has(key) || this.#waiting.size < WAITING) this.#waiting.set(key, one);
    }
    this.#loop.trigger();
  }

  async #run(): Promise<void> {
    const turns = startTurns();
    for (const [key, moved] of this.#waiting) {
      this.#waiting.delete(key);
      const again = this.#again.get(key);
      this.#again.delete(key);
      if (again !== undefined && !this.#isStillHere(moved)) continue;
      const uplink = moved.isHere ? this.#uplink(moved.net) : undefined;
      if (!(await this.#tell(moved, uplink, again === undefined, turns))) return;
      const times = (again?.times ?? TIMES) - 1;
      if (uplink !== undefined && times > 0) this.#again.set(key, { moved, times });
    }
    this.#repeat();
  }

  /** False: the agent ends. */
  async #tell(
    moved: MovedAddress,
    uplink: Listener | undefined,
    isFirst: boolean,
    turns: ReturnType<typeof startTurns>,
  ): Promise<boolean> {
    const { signal } = this.#deps;
    const { address, mac, isRouter } = moved;
    const frame = isMapped(address)
      ? arpAnnouncement(mac, address.subarray(12))
      : neighborAnnouncement(mac, address, isRouter);
    for (const { ifindex, vlan } of this.#listeners(moved, uplink, isFirst)) {
      if (signal.aborted) return false;
      succeeded(() => this.#deps.send(ifindex, vlan === 0 ? frame : tagged(frame, vlan)), NOT_NOW);
      this.#frames += 1;
      if (this.#frames % FRAMES_AT_ONCE === 0) await sleep(PAUSE_MS, signal);
      else if (turns.due()) await turns.next();
    }
    return true;
  }

  #repeat(): void {
    if (this.#isTimed || this.#again.size === 0) return;
    this.#isTimed = true;
    this.#deps.after(AGAIN_MS, () => {
      this.#isTimed = false;
      for (const [key, { moved }] of this.#again) this.#waiting.set(key, moved);
      this.#loop.trigger();
    });
  }

  /** Nobody else has it by now, at another MAC or on another host. */
  #isStillHere({ net, address, mac, vif }: MovedAddress): boolean {
    const entry = this.#deps.entries.get('cb_ep_2', byteText(cbEpKey.encode({ net, addr: address })));
    if (entry === undefined) return false;
    const now = cbEndpoint.decode(textBytes(entry.value));
    return now.vif === vif && Buffer.compare(now.mac, mac) === 0;
  }

  /** The physical network, if the address is here, and then, the first time, the guests. */
  *#listeners(moved: MovedAddress, uplink: Listener | undefined, isFirst: boolean): Generator<Listener> {
    if (uplink !== undefined) yield uplink;
    if (isFirst) yield* this.#guests(moved);
  }

  /** The way to the physical network that carries the network; undefined: none does, or its device is not there. */
  #uplink(net: number): Listener | undefined {
    const entry = this.#deps.entries.get('cb_net_1', arrayIndex.text(net));
    if (entry === undefined) return undefined;
    const { uplink, wireId } = cbNet.decode(textBytes(entry.value));
    return uplink === 0 ? undefined : { ifindex: uplink, vlan: wireId };
  }

  /** Devices of the network's ports here that get what is sent to all, but for the port that has the address. */
  *#guests({ net, vif }: MovedAddress): Generator<Listener> {
    for (let chunk = 0; chunk < CB_FLOOD_CHUNKS; chunk += 1) {
      const entry = this.#deps.entries.get('cb_flood_2', desiredChunk(net, chunk));
      if (entry === undefined) return;
      const { count, target } = cbFlood.decode(textBytes(entry.value));
      for (const { kind, id } of target.slice(0, count)) {
        const row =
          kind === CB_FLOOD_VIF && id !== vif ? this.#deps.entries.get('cb_vif_2', arrayIndex.text(id)) : undefined;
        if (row === undefined) continue;
        const { ifindex, vlan, flags } = cbVif.decode(textBytes(row.value));
        if ((flags & CB_VIF_F_ADMIN_UP) !== 0) yield { ifindex, vlan };
      }
    }
  }
}
