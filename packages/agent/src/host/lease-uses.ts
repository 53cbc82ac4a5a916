import { type Logger, startLoop } from '@cable/kit';
import type { LeaseUse, SnatLeaseState } from '@cable/model';
import { CB_BLOCK_PORTS, type CbHeld, cbHeld, cbHeldKey } from '../bpf/abi.gen.ts';
import type { BpfMap } from '../bpf/map.ts';
import { parseAddress } from '../plan/address.ts';
import type { SliceReader } from '../stream/slice-reader.ts';

/** How a block of an address is used, as the vrouter says; undefined: it is not programmed. */
export type HeldRows = (address: Uint8Array, block: number) => Pick<CbHeld, 'usedNs' | 'wantedNs'> | undefined;

export type LeaseUsesDeps = {
  readonly host: string;
  readonly slices: Pick<SliceReader, 'items'>;
  readonly held: HeldRows;
  /** CLOCK_MONOTONIC. */
  readonly nowNs: () => bigint;
};

const SECOND_NS = 1_000_000_000n;
/** A guest that ran short so lately still does. */
const WANTED_NS = 5n * SECOND_NS;
/** What was given since is in the kernel by then: who ran short of what there was before does not count. */
const SETTLED_NS = SECOND_NS / 2n;
const IDLE_NS = 600n * SECOND_NS;
/** Between looks at blocks that nothing uses. */
const IDLE_EVERY_NS = 30n * SECOND_NS;
/** What is so still is said again. */
const AGAIN_NS = 10n * SECOND_NS;
const EVERY_MS = 1000;

/** What is remembered of a lease: its blocks, and when each was first seen. */
type Known = {
  readonly ports: readonly number[];
  readonly sinceNs: bigint;
  readonly seenNs: ReadonlyMap<number, bigint>;
};

/** Which leases of this host's guests need more blocks, and which have some that nothing uses. */
export class LeaseUses {
  readonly #deps: LeaseUsesDeps;
  #known = new Map<string, Known>();
  #uses: readonly LeaseUse[] = [];
  #toldNs = 0n;
  #idleNs = 0n;

  constructor(deps: LeaseUsesDeps) {
    this.#deps = deps;
  }

  /** As of the last look. */
  get uses(): readonly LeaseUse[] {
    return this.#uses;
  }

  /** Looks, and says whether the server is to be told. */
  look(): boolean {
    const { host, slices, nowNs } = this.#deps;
    const now = nowNs();
    const known = new Map<string, Known>();
    const looksAtIdle = now - this.#idleNs >= IDLE_EVERY_NS;
    if (looksAtIdle) this.#idleNs = now;
    const before = new Map(this.#uses.map((use) => [use.leaseId, use]));
    const uses: LeaseUse[] = [];
    for (const [leaseId, lease] of slices.items<'leases'>(`leases:${host}`)) {
      const now_ = remembered(this.#known.get(leaseId), lease, now);
      known.set(leaseId, now_);
      const wanted = this.#isShort(lease, now_, now);
      const blocks = lease.firstPorts.length;
      const last = before.get(leaseId);
      const kept = last?.blocks === blocks ? last.idle : [];
      const idle = looksAtIdle ? this.#idleOf(lease, now_, now) : kept;
      if (wanted || idle.length > 0) uses.push({ leaseId, blocks, wanted, idle });
    }
    this.#known = known;
    const isSame = JSON.stringify(uses) === JSON.stringify(this.#uses);
    this.#uses = uses;
    if (uses.length === 0 || (isSame && now - this.#toldNs < AGAIN_NS)) return false;
    this.#toldNs = now;
    return true;
  }

  #isShort({ address, firstPorts }: SnatLeaseState, { sinceNs }: Known, now: bigint): boolean {
    const { wantedNs = 0n } = this.#row(address, firstPorts[0]) ?? {};
    return wantedNs > sinceNs + SETTLED_NS && now - wantedNs < WANTED_NS;
  }

  /** All but the first, by which it is noted that a guest runs short. */
  #idleOf({ address, firstPorts }: SnatLeaseState, { seenNs }: Known, now: bigint): readonly number[] {
    return firstPorts.slice(1).filter((port) => {
      const { usedNs } = this.#row(address, port) ?? { usedNs: now };
      const seen = seenNs.get(port) ?? now;
      return now - (usedNs > seen ? usedNs : seen) >= IDLE_NS;
    });
  }

  #row(address: string, port: number | undefined): ReturnType<HeldRows> {
    const addr = parseAddress(address);
    return addr === undefined || port === undefined
      ? undefined
      : this.#deps.held(addr, Math.floor(port / CB_BLOCK_PORTS));
  }
}

function remembered(known: Known | undefined, { firstPorts }: SnatLeaseState, now: bigint): Known {
  if (known !== undefined && JSON.stringify(known.ports) === JSON.stringify(firstPorts)) return known;
  const seenNs = new Map(firstPorts.map((port) => [port, known?.seenNs.get(port) ?? now]));
  // Of what ran short before this agent nothing is known to have been said.
  return { ports: firstPorts, sinceNs: known === undefined ? now - WANTED_NS : now, seenNs };
}

/** The map as of now: it is another after the programs were loaded anew. */
export function heldRows(map: () => BpfMap): HeldRows {
  return (addr, block) => {
    const value = map().lookup(cbHeldKey.encode({ addr, block }));
    return value === undefined ? undefined : cbHeld.decode(value);
  };
}

export type LeaseWatchOptions = {
  readonly uses: LeaseUses;
  readonly onChange: () => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** Looks again and again until the signal aborts. */
export function startLeaseWatch({ uses, onChange, log, signal }: LeaseWatchOptions): { readonly done: Promise<void> } {
  const run = async (): Promise<void> => {
    if (uses.look()) onChange();
  };
  return startLoop({ name: 'leases', log, signal, everyMs: EVERY_MS, run });
}
