import { type Logger, type Loop, startLoop } from '@cable/kit';
import { type CbNeigh, cbNeigh, cbNeighKey, cbNet } from '../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, textBytes } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { succeeded } from '../ffi/errno.ts';
import { type Asker, arpQuestion, neighborQuestion, tagged } from '../net/announcement.ts';
import { isMapped } from '../plan/address.ts';
import type { Planner } from '../plan/planner.ts';
import type { PlannedAsker } from '../plan/topics.ts';

export type NeighbourAskerDeps = {
  /** Next hops are the keys of `cb_neigh_1`; where a network's frames leave, its row says. */
  readonly planner: { readonly entries: Pick<Planner['entries'], 'get' | 'of'>; readonly askers: Planner['askers'] };
  /** What a next hop has said of itself, by its key; undefined: it has no row yet. */
  readonly row: (key: ByteText) => Pick<CbNeigh, 'learnedNs' | 'mac'> | undefined;
  /** Sends a frame out of the device; throws a `KernelError`. */
  readonly send: (ifindex: number, frame: Uint8Array) => void;
  /** CLOCK_MONOTONIC. */
  readonly nowNs: () => bigint;
};

const MS_NS = 1_000_000n;
/** What was heard so lately counts. */
const FRESH_NS = 15_000n * MS_NS;
/** Between questions to one that does not answer; the last one again and again. */
const WAITS_MS = [200, 400, 1000, 2000, 4000, 10_000] as const;
/** So many in a look, those first that were due first: all next hops that a host may have are asked within their time. */
const MOST_A_LOOK = 500;
const EVERY_MS = 200;
/** The device is not there, is down, or takes nothing now. */
const NOT_NOW = ['ENODEV', 'ENXIO', 'ENETDOWN', 'ENOBUFS', 'EAGAIN'] as const;

type Hop = {
  readonly net: number;
  readonly address: Uint8Array;
  asker: Asker | undefined;
  /** When it is looked at again. */
  dueNs: bigint;
  /** Questions since it was last heard. */
  asked: number;
};

/**
 * Asks the next hops of this host's ways outside where they are, before a packet needs them, and again before what they have said is old. The vrouter hears the
 * answers. One that is known is asked alone, by ARP, and only then all: it may have another MAC, and not have said so.
 */
export class NeighbourAsker {
  readonly #deps: NeighbourAskerDeps;
  #hops = new Map<ByteText, Hop>();
  #isStale = true;

  constructor(deps: NeighbourAskerDeps) {
    this.#deps = deps;
  }

  /** Entries have changed. */
  changed(): void {
    this.#isStale = true;
  }

  look(): void {
    if (this.#isStale) this.#readHops();
    this.#isStale = false;
    const now = this.#deps.nowNs();
    let left = MOST_A_LOOK;
    for (const [key, hop] of this.#hops) {
      if (hop.dueNs > now) continue;
      if (left === 0) return;
      if (!this.#lookAt(key, hop, now)) continue;
      left -= 1;
      // Behind those that wait.
      this.#hops.delete(key);
      this.#hops.set(key, hop);
    }
  }

  #readHops(): void {
    const { planner } = this.#deps;
    const askers = new Map<number, readonly PlannedAsker[]>();
    for (const list of planner.askers()) for (const { net } of list.slice(0, 1)) askers.set(net, list);
    const before = this.#hops;
    this.#hops = new Map();
    // In the order in which they were.
    const keys = planner.entries.of('cb_neigh_1');
    for (const [key, hop] of before) {
      if (!keys.has(key)) continue;
      const asker = askerOf(hop, askers.get(hop.net));
      if (!isSame(asker, hop.asker)) Object.assign(hop, { dueNs: 0n, asked: 0 });
      hop.asker = asker;
      this.#hops.set(key, hop);
    }
    for (const text of keys.keys()) {
      const key = text as ByteText;
      if (before.has(key)) continue;
      const { net, addr: address } = cbNeighKey.decode(textBytes(key));
      const hop = { net, address, dueNs: 0n, asked: 0 };
      this.#hops.set(key, { ...hop, asker: askerOf(hop, askers.get(net)) });
    }
  }

  /** Returns whether it was asked. */
  #lookAt(key: ByteText, hop: Hop, now: bigint): boolean {
    const uplink = this.#uplink(hop.net);
    const row = uplink === undefined || hop.asker === undefined ? undefined : this.#deps.row(key);
    if (uplink === undefined || row === undefined || hop.asker === undefined) return false;
    if (row.learnedNs !== 0n && now - row.learnedNs < FRESH_NS) {
      hop.asked = 0;
      hop.dueNs = row.learnedNs + FRESH_NS;
      return false;
    }
    const frame = question(hop.asker, hop.address, hop.asked === 0 && row.learnedNs !== 0n ? row.mac : undefined);
    const { ifindex, vlan } = uplink;
    if (!succeeded(() => this.#deps.send(ifindex, vlan === 0 ? frame : tagged(frame, vlan)), NOT_NOW)) return false;
    hop.dueNs = now + BigInt(WAITS_MS[Math.min(hop.asked, WAITS_MS.length - 1)] ?? 0) * MS_NS;
    hop.asked += 1;
    return true;
  }

  /** The device of the physical network that carries the network, and its tag there. */
  #uplink(net: number): { readonly ifindex: number; readonly vlan: number } | undefined {
    const entry = this.#deps.planner.entries.get('cb_net_1', arrayIndex.text(net));
    if (entry === undefined) return undefined;
    const { uplink, wireId } = cbNet.decode(textBytes(entry.value));
    return uplink === 0 ? undefined : { ifindex: uplink, vlan: wireId };
  }
}

/** Of the version of the next hop; without an address only ARP asks. */
function askerOf({ address }: Pick<Hop, 'address'>, askers: readonly PlannedAsker[] = []): Asker | undefined {
  const isV4 = isMapped(address);
  for (const { own, mac } of askers) {
    if (own === undefined && isV4) return { own: new Uint8Array(4), mac };
    if (own !== undefined && isMapped(own) === isV4) return { own: isV4 ? own.subarray(12) : own, mac };
  }
  return undefined;
}

function isSame(one: Asker | undefined, other: Asker | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return Buffer.compare(one.own, other.own) === 0 && Buffer.compare(one.mac, other.mac) === 0;
}

/** A solicitation that goes to one MAC may be answered without it (RFC 4861, section 7.2.4): so all are asked. */
function question(asker: Asker, address: Uint8Array, mac: Uint8Array | undefined): Uint8Array {
  return isMapped(address) ? arpQuestion(asker, address.subarray(12), mac) : neighborQuestion(asker, address);
}

/** The map as of now: it is another after the programs were loaded anew. */
export function neighbourRows(map: () => BpfMap): NeighbourAskerDeps['row'] {
  return (key) => {
    const value = map().lookup(textBytes(key));
    return value === undefined ? undefined : cbNeigh.decode(value);
  };
}

export type NeighbourWatchOptions = {
  readonly asker: Pick<NeighbourAsker, 'look'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Looks again and again, and when it is triggered, until the signal aborts. */
export function startNeighbourWatch({ asker, log, signal }: NeighbourWatchOptions): Loop {
  const run = async (): Promise<void> => asker.look();
  return startLoop({ name: 'neighbours', log, signal, everyMs: EVERY_MS, run });
}
