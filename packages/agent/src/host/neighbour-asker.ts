import { type Logger, type Loop, startLoop } from '@cable/kit';
import { type CbNeigh, cbNeigh, cbNeighKey, cbNet, cbNext } from '../bpf/abi.gen.ts';
import { arrayIndex, type ByteText, textBytes } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { succeeded } from '../ffi/errno.ts';
import { type Asker, arpQuestion, neighborQuestion, tagged } from '../net/announcement.ts';
import { isMapped } from '../plan/address.ts';
import type { Planner } from '../plan/planner.ts';
import type { PlannedAsker } from '../plan/topics.ts';

export type NeighbourAskerDeps = {
  /** Next hops are the keys of `cb_neigh_1`; those that share a destination are in values of `cb_next_1`; where a network's frames leave, its row says. */
  readonly planner: { readonly entries: Pick<Planner['entries'], 'get' | 'of'>; readonly askers: Planner['askers'] };
  /** What a next hop has said of itself, by its key; undefined: it has no row yet. */
  readonly row: (key: ByteText) => Pick<CbNeigh, 'learnedNs' | 'mac'> | undefined;
  /** From now on nothing is known of it, as if it had been asked at that time in vain. */
  readonly forget: (key: ByteText, askedNs: bigint) => void;
  /** Sends a frame out of the device; throws a `KernelError`. */
  readonly send: (ifindex: number, frame: Uint8Array) => void;
  /** CLOCK_MONOTONIC. */
  readonly nowNs: () => bigint;
};

const MS_NS = 1_000_000n;
/** What was heard so lately counts. */
const FRESH_NS = 15_000n * MS_NS;
/** Of one that shares a destination with others: these are to have its flows soon when it is silent. */
const FRESH_SHARED_NS = 3000n * MS_NS;
/** Who has been asked so often in vain is silent. */
const SILENT_AFTER = 4;
/** Between questions to one that does not answer; the last one again and again. (Of those that share a destination the last but one: packets are to ask for none of them.) */
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
  /** Those with which it shares a destination. */
  others: readonly ByteText[];
  /** When it is looked at again. */
  dueNs: bigint;
  /** Questions since it was last heard. */
  asked: number;
};

/**
 * Asks the next hops of this host's ways outside where they are, before a packet needs them, and again before what they have said is old. The vrouter hears the
 * answers. One that is known is asked alone, by ARP, and only then all: it may have another MAC, and not have said so. One that is silent and shares a destination with others
 * that are not is forgotten, so that its flows go to these (`vrouter/lib/nexthop.h`).
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
    const shared = sharedHops(planner.entries.of('cb_next_1').values());
    const before = this.#hops;
    this.#hops = new Map();
    // In the order in which they were.
    const keys = planner.entries.of('cb_neigh_1');
    for (const [key, hop] of before) {
      if (!keys.has(key)) continue;
      const asker = askerOf(hop, askers.get(hop.net));
      if (!isSame(asker, hop.asker)) Object.assign(hop, { dueNs: 0n, asked: 0 });
      hop.asker = asker;
      hop.others = shared.get(key) ?? [];
      this.#hops.set(key, hop);
    }
    for (const text of keys.keys()) {
      const key = text as ByteText;
      if (before.has(key)) continue;
      const { net, addr: address } = cbNeighKey.decode(textBytes(key));
      const hop = { net, address, others: shared.get(key) ?? [], dueNs: 0n, asked: 0 };
      this.#hops.set(key, { ...hop, asker: askerOf(hop, askers.get(net)) });
    }
  }

  /** Returns whether it was asked. */
  #lookAt(key: ByteText, hop: Hop, now: bigint): boolean {
    const uplink = this.#uplink(hop.net);
    const row = uplink === undefined || hop.asker === undefined ? undefined : this.#deps.row(key);
    if (uplink === undefined || row === undefined || hop.asker === undefined) return false;
    const freshNs = hop.others.length === 0 ? FRESH_NS : FRESH_SHARED_NS;
    if (row.learnedNs !== 0n && now - row.learnedNs < freshNs) {
      hop.asked = 0;
      hop.dueNs = row.learnedNs + freshNs;
      return false;
    }
    if (hop.asked >= SILENT_AFTER && this.#isSpared(hop, now)) this.#deps.forget(key, now);
    const frame = question(hop.asker, hop.address, hop.asked === 0 && row.learnedNs !== 0n ? row.mac : undefined);
    const { ifindex, vlan } = uplink;
    if (!succeeded(() => this.#deps.send(ifindex, vlan === 0 ? frame : tagged(frame, vlan)), NOT_NOW)) return false;
    const last = WAITS_MS.length - (hop.others.length === 0 ? 1 : 2);
    hop.dueNs = now + BigInt(WAITS_MS[Math.min(hop.asked, last)] ?? 0) * MS_NS;
    hop.asked += 1;
    return true;
  }

  /** Whether one of those with which it shares a destination was heard lately. */
  #isSpared({ others }: Hop, now: bigint): boolean {
    return others.some((key) => {
      const { learnedNs = 0n } = this.#deps.row(key) ?? {};
      return learnedNs !== 0n && now - learnedNs < 2n * FRESH_SHARED_NS;
    });
  }

  /** The device of the physical network that carries the network, and its tag there. */
  #uplink(net: number): { readonly ifindex: number; readonly vlan: number } | undefined {
    const entry = this.#deps.planner.entries.get('cb_net_1', arrayIndex.text(net));
    if (entry === undefined) return undefined;
    const { uplink, wireId } = cbNet.decode(textBytes(entry.value));
    return uplink === 0 ? undefined : { ifindex: uplink, vlan: wireId };
  }
}

/** Next hops of destinations that have several, each with the others. */
function sharedHops(rows: Iterable<{ readonly value: ByteText }>): ReadonlyMap<ByteText, readonly ByteText[]> {
  const shared = new Map<ByteText, Set<ByteText>>();
  for (const { value } of rows) {
    const { count, hop } = cbNext.decode(textBytes(value));
    const keys = hop.slice(0, count).map(({ net, nexthop: addr }) => cbNeighKey.text({ net, addr }));
    for (const key of keys) {
      const others = shared.get(key) ?? new Set();
      for (const other of keys) if (other !== key) others.add(other);
      shared.set(key, others);
    }
  }
  return new Map([...shared].map(([key, others]) => [key, [...others]]));
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
export function neighbourRows(map: () => BpfMap): Pick<NeighbourAskerDeps, 'row' | 'forget'> {
  return {
    row: (key) => {
      const value = map().lookup(textBytes(key));
      return value === undefined ? undefined : cbNeigh.decode(value);
    },
    forget: (key, askedNs) => {
      // What the vrouter hears meanwhile is lost: it is asked again. A row that is gone is not made anew.
      const nothing = cbNeigh.encode({ learnedNs: 0n, askedNs, mac: new Uint8Array(6) });
      succeeded(() => map().update(textBytes(key), nothing, 'replace'), ['ENOENT']);
    },
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
