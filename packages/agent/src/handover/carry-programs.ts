/**
 * Flows out of the flow table and into it, for other hosts: the programs of vrouter/carry.bpf.c, over the pinned maps of the running ones. Numbers are this host's: what they
 * mean is `flow-record.ts`' to say.
 */
import { dirname, join } from 'node:path';
import { CB_CARRY_HERE, CB_CARRY_ROWS, CB_CARRY_TURNS, CB_MAX_FLOW, type CbCarry, cbCarry } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { loadObject } from '../bpf/object.ts';
import type { BpfProgram } from '../bpf/program.ts';
import { BpfError, errnoName } from '../ffi/errno.ts';
import { type FlowTimeouts, timeoutBytes } from '../flow-timeouts.ts';

export type CarrySource = {
  /** Path of the vrouter's object: the programs are beside it. */
  readonly object: string;
  /** Directory in bpffs in which the running programs' maps are pinned. */
  readonly pinnedMaps: string;
  /** Records that the flow table has room for. Default: all that it ever has. */
  readonly flows?: number;
  /** Default: as built in. */
  readonly flowTimeouts?: FlowTimeouts;
};

/** What is wanted of a VIF's flows: those that are not as they were when they were last taken out, or all. */
export type Follow = 'nothing' | 'changes' | 'all';

/** Of which flows: those that were answered, which are worth most, then the others; or all at once. */
export type Walk = 'whole' | 'answered' | 'others';

/** Of so many flows each: put in; renewed (were put in before, and no packet has passed); known here by packets; refused. */
export type PutResult = {
  readonly made: number;
  readonly renewed: number;
  readonly present: number;
  readonly refused: number;
};

/**
 * An address that a router has outside. `net`: number of the external network. `isOwn`: VIFs of this host have ports of it with which they leave by this host, also when another is the
 * gateway; absent: none does.
 */
export type RouterAddress = { readonly net: number; readonly address: Uint8Array; readonly isOwn?: true };

/** Of so many flows of a router each: as of a port; ended, as at its gateway; and the rows of those with an end inside that is a VIF of this host. */
export type PassResult = PutResult & {
  readonly ended: number;
  readonly here: readonly number[];
  /** Not looked at: their networks are not programmed yet. */
  readonly unready: number;
};

export type CarryPrograms = {
  follow(vif: number, what: Follow): void;
  /** All addresses that the router with this number (not 0, the caller's own) has outside, and what is wanted of its flows. Default: what was wanted before, or nothing. */
  followRouter(router: number, addresses: readonly RouterAddress[], what?: Follow): void;
  /**
   * Flows of what is followed, from flow number `first` on, at most `CB_CARRY_ROWS`; `next`: where to go on, 0: that was all. Of flows that are as they were, those that had a packet since
   * `sinceNs` (CLOCK_MONOTONIC) and whose turn (0..`CB_CARRY_TURNS`-1) it is. The row of a router's flow has its number. `walk`: of two one after the other, which together give what
   * one that is `whole`, the default, gives.
   */
  takeOut(from: { readonly first: number; readonly turn: number; readonly sinceNs: bigint; readonly walk?: Walk }): {
    readonly rows: readonly CbCarry[];
    readonly next: number;
  };
  /** Puts flows of routers in, at most `CB_CARRY_ROWS`. `standsBy`: another host is the gateway, and knows better than this one. */
  passOn(rows: readonly CbCarry[], how: { readonly session: number; readonly standsBy: boolean }): PassResult;
  /** Ends flows of the router that the session did not put in. Says how many. */
  dropOthers(router: number, session: number): number;
  /** This host is becoming the gateway's: flows of its own VIFs, which have no address of the router's, get that. Says how many. At most `CB_CARRY_ROWS`. */
  takeGateway(rows: readonly CbCarry[]): number;
  /** It is the gateway's of these no more: the reverse, for all flows of theirs. Gives what they were, as `takeOut` does. */
  leaveGateways(routers: readonly number[]): readonly CbCarry[];
  /** Puts flows in, at most `CB_CARRY_ROWS`. `session`: 16 bits, not 0. */
  putIn(rows: readonly CbCarry[], session: number): PutResult;
  /** Ends flows of the VIF that were put in by other sessions and that no packet has passed by here. Says how many. */
  sweep(vif: number, session: number): number;
  /** Lets go of the programs. */
  close(): void;
};

const OBJECT = 'carry.bpf.o';
/** Of this load alone. */
const OWN_MAPS = [
  ...['cb_work_1', 'cb_carry_1', 'carry_follow', 'carry_address', 'carry_seen'],
  ...['carry_taking', 'carry_putting', 'carry_passing'],
] as const;
const FOLLOW: Readonly<Record<Follow, number>> = { nothing: 0, changes: 1, all: 2 };
const FOLLOW_LEAVES = 4;
const FOLLOW_OWN = 8;
const WALK: Readonly<Record<Walk, number>> = { whole: 0, answered: 1, others: 2 };

/** Throws as `loadObject`. */
export function loadCarryPrograms({
  object,
  pinnedMaps,
  flows = CB_MAX_FLOW,
  flowTimeouts = {},
}: CarrySource): CarryPrograms {
  const loaded = loadObject({
    path: join(dirname(object), OBJECT),
    pinnedMaps,
    unpinned: OWN_MAPS,
    rodata: { cfg_flows: flows, cfg_timeout: timeoutBytes(flowTimeouts) },
    ...(flows === CB_MAX_FLOW ? {} : { maxEntries: { cb_flow_2: flows, cb_tuple_1: 2 * flows } }),
  });
  const map = (name: string): BpfMap => required(loaded.maps.get(name), `map ${name}`);
  const program = (name: string): BpfProgram => required(loaded.programs.get(name), `program ${name}`);
  try {
    const maps = { rows: map('cb_carry_1'), follow: map('carry_follow'), addresses: map('carry_address') };
    return carryPrograms(maps, program, () => loaded.close());
  } catch (err) {
    loaded.close();
    throw err;
  }
}

type CarryMaps = { readonly rows: BpfMap; readonly follow: BpfMap; readonly addresses: BpfMap };

function carryPrograms(maps: CarryMaps, program: (name: string) => BpfProgram, close: () => void): CarryPrograms {
  const [take, put, sweep] = [program('take_out'), program('put_in'), program('sweep_flows')];
  const [pass, drop] = [program('pass_on'), program('drop_others')];
  const [turn, turnBack] = [program('take_gateway'), program('leave_gateways')];
  const routers = new RouterRows(maps.addresses);
  const write = (rows: readonly CbCarry[]): void => {
    if (rows.length > CB_CARRY_ROWS) throw new RangeError(`${rows.length} flows at once: at most ${CB_CARRY_ROWS}`);
    for (const [at, row] of rows.entries()) maps.rows.update(arrayIndex.encode(at), cbCarry.encode(row));
  };
  return {
    follow: (vif, what) => maps.follow.update(arrayIndex.encode(vif), u32(FOLLOW[what])),
    followRouter: (router, addresses, what) => routers.set(router, addresses, what),
    takeOut: ({ first, turn: of, sinceNs, walk = 'whole' }) => {
      // struct take
      const context = new DataView(new ArrayBuffer(32));
      context.setBigUint64(0, sinceNs, true);
      context.setUint32(8, of % CB_CARRY_TURNS, true);
      context.setUint32(12, first, true);
      context.setUint32(24, routers.asked, true);
      context.setUint32(28, WALK[walk], true);
      run(take, context);
      const count = context.getUint32(16, true);
      const rows = count === 0 ? [] : maps.rows.rows(0, count).map((row) => cbCarry.decode(row));
      return { rows, next: context.getUint32(20, true) };
    },
    putIn: (rows, session) => {
      write(rows);
      // struct put
      const context = new DataView(new ArrayBuffer(24));
      context.setUint32(0, rows.length, true);
      context.setUint32(4, session, true);
      run(put, context);
      const [made = 0, renewed = 0, present = 0, refused = 0] = [8, 12, 16, 20].map((at) =>
        context.getUint32(at, true),
      );
      return { made, renewed, present, refused };
    },
    sweep: (vif, session) => {
      // struct sweep
      const context = new DataView(new ArrayBuffer(12));
      context.setUint32(0, vif, true);
      context.setUint32(4, session, true);
      run(sweep, context);
      return context.getUint32(8, true);
    },
    passOn: (rows, { session, standsBy }) => {
      write(rows);
      const context = passContext(rows.length, session, standsBy);
      run(pass, context);
      const counts = [12, 16, 20, 24, 28, 32, 36].map((at) => context.getUint32(at, true));
      const [made = 0, renewed = 0, present = 0, refused = 0, ended = 0, here = 0, unready = 0] = counts;
      const results = here === 0 ? [] : maps.rows.rows(0, rows.length).map((row) => cbCarry.decode(row).result);
      const at = results.flatMap((result, index) => (result === CB_CARRY_HERE ? index : []));
      return { made, renewed, present, refused, ended, here: at, unready };
    },
    dropOthers: (router, session) => {
      // struct leave
      const context = new DataView(new ArrayBuffer(12));
      context.setUint32(0, router, true);
      context.setUint32(4, session, true);
      run(drop, context);
      return context.getUint32(8, true);
    },
    takeGateway: (rows) => {
      write(rows);
      const context = passContext(rows.length, 0, true);
      run(turn, context);
      return context.getUint32(12, true);
    },
    leaveGateways: (left) => {
      for (const router of left) routers.mark(router, true);
      // struct turn_back
      const context = new DataView(new ArrayBuffer(12));
      const rows: CbCarry[] = [];
      do {
        context.setUint32(0, context.getUint32(8, true), true);
        context.setUint32(8, 0, true);
        run(turnBack, context);
        const count = context.getUint32(4, true);
        if (count > 0) rows.push(...maps.rows.rows(0, count).map((row) => cbCarry.decode(row)));
      } while (context.getUint32(8, true) !== 0);
      for (const router of left) routers.mark(router, false);
      return rows;
    },
    close,
  };
}

/** struct pass */
function passContext(count: number, session: number, standsBy: boolean): DataView {
  const context = new DataView(new ArrayBuffer(40));
  context.setUint32(0, count, true);
  context.setUint32(4, session, true);
  context.setUint32(8, standsBy ? 1 : 0, true);
  return context;
}

type RouterRow = { readonly addresses: readonly RouterAddress[]; readonly what: Follow };

/** Rows of carry_address. */
class RouterRows {
  readonly #map: BpfMap;
  readonly #rows = new Map<number, RouterRow>();
  #asked = 0;

  constructor(map: BpfMap) {
    this.#map = map;
  }

  /** ROUTERS_*: some are followed, some are so anew. */
  get asked(): number {
    return this.#asked;
  }

  set(router: number, addresses: readonly RouterAddress[], wanted?: Follow): void {
    const before = this.#rows.get(router);
    const what = wanted ?? before?.what ?? 'nothing';
    if (before?.addresses === addresses && before.what === what) return;
    const rows = new Map(addresses.map((address) => [keyText(address), address]));
    for (const old of before?.addresses ?? []) if (!rows.has(keyText(old))) this.#map.delete(addressKey(old));
    for (const row of rows.values()) this.#map.update(addressKey(row), addressValue(router, row, FOLLOW[what]));
    if (addresses.length === 0) this.#rows.delete(router);
    else this.#rows.set(router, { addresses, what });
    const all = [...this.#rows.values()].map((row) => row.what);
    this.#asked = (all.some((one) => one !== 'nothing') ? 1 : 0) | (all.includes('all') ? 2 : 0);
  }

  /** Its gateway leaves this host, or has left. */
  mark(router: number, leaves: boolean): void {
    const { addresses = [], what = 'nothing' } = this.#rows.get(router) ?? {};
    const flags = FOLLOW[what] | (leaves ? FOLLOW_LEAVES : 0);
    for (const row of addresses) this.#map.update(addressKey(row), addressValue(router, row, flags));
  }
}

function keyText({ net, address }: RouterAddress): string {
  return `${net} ${Buffer.from(address).toString('hex')}`;
}

/** struct address_key */
function addressKey({ net, address }: RouterAddress): Uint8Array {
  const key = new Uint8Array(20);
  key.set(address);
  new DataView(key.buffer).setUint16(16, net, true);
  return key;
}

/** struct address */
function addressValue(router: number, { isOwn }: RouterAddress, flags: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(router, flags | (isOwn === true ? FOLLOW_OWN : 0)).buffer);
}

function run(program: BpfProgram, context: DataView): void {
  const result = program.call(new Uint8Array(context.buffer));
  if (result !== 0) throw new BpfError(`run ${program.info.name}`, errnoName(-result));
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function required<T>(found: T | undefined, name: string): T {
  if (found === undefined) throw new Error(`${OBJECT} has no ${name}`);
  return found;
}
