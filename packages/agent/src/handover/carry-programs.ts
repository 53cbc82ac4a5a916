/**
 * Flows out of the flow table and into it, for other hosts: the programs of vrouter/carry.bpf.c, over the pinned maps of the running ones. Numbers are this host's: what they
 * mean is `flow-record.ts`' to say.
 */
import { dirname, join } from 'node:path';
import { CB_CARRY_ROWS, CB_CARRY_TURNS, CB_MAX_FLOW, type CbCarry, cbCarry } from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import type { BpfMap } from '../bpf/map.ts';
import { loadObject } from '../bpf/object.ts';
import type { BpfProgram } from '../bpf/program.ts';
import { BpfError, errnoName } from '../ffi/errno.ts';

export type CarrySource = {
  /** Path of the vrouter's object: the programs are beside it. */
  readonly object: string;
  /** Directory in bpffs in which the running programs' maps are pinned. */
  readonly pinnedMaps: string;
  /** Records that the flow table has room for. Default: all that it ever has. */
  readonly flows?: number;
};

/** What is wanted of a VIF's flows: those that are not as they were when they were last taken out, or all. */
export type Follow = 'nothing' | 'changes' | 'all';

/** Of so many flows each: put in; renewed (were put in before, and no packet has passed); known here by packets; refused. */
export type PutResult = {
  readonly made: number;
  readonly renewed: number;
  readonly present: number;
  readonly refused: number;
};

export type CarryPrograms = {
  follow(vif: number, what: Follow): void;
  /**
   * Flows of followed VIFs, from flow number `first` on, at most `CB_CARRY_ROWS`; `next`: where to go on, 0: that was all. Of flows that are as they were, those that had a packet since
   * `sinceNs` (CLOCK_MONOTONIC) and whose turn (0..`CB_CARRY_TURNS`-1) it is.
   */
  takeOut(from: { readonly first: number; readonly turn: number; readonly sinceNs: bigint }): {
    readonly rows: readonly CbCarry[];
    readonly next: number;
  };
  /** Puts flows in, at most `CB_CARRY_ROWS`. `session`: 16 bits. */
  putIn(rows: readonly CbCarry[], session: number): PutResult;
  /** Ends flows of the VIF that were put in by other sessions and that no packet has passed by here. Says how many. */
  sweep(vif: number, session: number): number;
  /** Lets go of the programs. */
  close(): void;
};

const OBJECT = 'carry.bpf.o';
/** Of this load alone. */
const OWN_MAPS = ['cb_work_1', 'cb_carry_1', 'carry_follow', 'carry_seen', 'carry_taking', 'carry_putting'] as const;
const FOLLOW: Readonly<Record<Follow, number>> = { nothing: 0, changes: 1, all: 2 };

/** Throws as `loadObject`. */
export function loadCarryPrograms({ object, pinnedMaps, flows = CB_MAX_FLOW }: CarrySource): CarryPrograms {
  const loaded = loadObject({
    path: join(dirname(object), OBJECT),
    pinnedMaps,
    unpinned: OWN_MAPS,
    rodata: { cfg_flows: flows },
    ...(flows === CB_MAX_FLOW ? {} : { maxEntries: { cb_flow_2: flows, cb_tuple_1: 2 * flows } }),
  });
  const map = (name: string): BpfMap => required(loaded.maps.get(name), `map ${name}`);
  const program = (name: string): BpfProgram => required(loaded.programs.get(name), `program ${name}`);
  try {
    return carryPrograms({ rows: map('cb_carry_1'), follow: map('carry_follow') }, program, () => loaded.close());
  } catch (err) {
    loaded.close();
    throw err;
  }
}

function carryPrograms(
  maps: { readonly rows: BpfMap; readonly follow: BpfMap },
  program: (name: string) => BpfProgram,
  close: () => void,
): CarryPrograms {
  const [take, put, sweep] = [program('take_out'), program('put_in'), program('sweep_flows')];
  return {
    follow: (vif, what) => maps.follow.update(arrayIndex.encode(vif), u32(FOLLOW[what])),
    takeOut: ({ first, turn, sinceNs }) => {
      // struct take
      const context = new DataView(new ArrayBuffer(24));
      context.setBigUint64(0, sinceNs, true);
      context.setUint32(8, turn % CB_CARRY_TURNS, true);
      context.setUint32(12, first, true);
      run(take, context);
      const count = context.getUint32(16, true);
      const rows = count === 0 ? [] : maps.rows.rows(0, count).map((row) => cbCarry.decode(row));
      return { rows, next: context.getUint32(20, true) };
    },
    putIn: (rows, session) => {
      if (rows.length > CB_CARRY_ROWS) throw new RangeError(`${rows.length} flows at once: at most ${CB_CARRY_ROWS}`);
      for (const [at, row] of rows.entries()) maps.rows.update(arrayIndex.encode(at), cbCarry.encode(row));
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
    close,
  };
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
