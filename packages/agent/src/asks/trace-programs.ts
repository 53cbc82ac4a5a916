/**
 * A load of the vrouter's programs that only traces: over the maps of the running ones, which it reads, with slots, work record and trace of its own. It is met by
 * test runs alone.
 */
import { join } from 'node:path';
import {
  CB_TRACE_F_BEGAN,
  CB_TRACE_FLOWS,
  CB_TRACE_STEPS,
  type CbStep,
  type CbTrace,
  type CbTraceFlow,
  cbTrace,
} from '../bpf/abi.gen.ts';
import { arrayIndex } from '../bpf/codec.ts';
import { loadObject } from '../bpf/object.ts';
import type { BpfProgram } from '../bpf/program.ts';
import type { RodataValue } from '../bpf/rodata.ts';
import { BpfError } from '../ffi/errno.ts';
import { ENTRY, fillBank } from '../reconcile/program-slots.ts';

export type TraceSource = {
  /** Path of the compiled object. */
  readonly object: string;
  /** This host's directory in bpffs. */
  readonly pinDir: string;
  /** Values of config.h, as of the running load. */
  readonly config: Readonly<Record<string, RodataValue>>;
  /** Other sizes than the object's, by map name. Default: none. */
  readonly maxEntries?: Readonly<Record<string, number>>;
};

/** Where the packet comes from. */
export type TraceInput = {
  readonly from:
    | { readonly vif: number }
    /** `tunnel`: the one to the host that it comes from; 0: none leads there. */
    | { readonly wireId: number; readonly tunnel: number }
    /** Number of the network whose uplink receives it. */
    | { readonly net: number };
  readonly flags: number;
  /** With `CB_TRACE_F_ANSWER`: flows that the packet which it answers would have begun here. Default: none. */
  readonly flows?: readonly CbTraceFlow[];
  readonly frame: Uint8Array;
};

/** What became of it. Numbers are the host's; `deliver` 0: nothing was. */
export type RawTrace = {
  readonly steps: readonly CbStep[];
  readonly ifindex: number;
  readonly deliver: number;
  readonly wire: number;
  /** To another host the tunnel, to a collector its IPv4 address, host byte order; of copies how many. */
  readonly remote: number;
  readonly reason: number;
  /** The flow that it would begin. */
  readonly began: CbTraceFlow | undefined;
  readonly frame: Uint8Array;
};

export type TracePrograms = {
  run(input: TraceInput): RawTrace;
  close(): void;
};

const NO_TUPLE = { src: new Uint8Array(16), dst: new Uint8Array(16), sportBe: 0, dportBe: 0, net: 0, protocol: 0 };
const NO_FLOW: CbTraceFlow = { tuple: [NO_TUPLE, NO_TUPLE], vif: 0, member: 0, served: 0 };

/** What a load has for itself; all others are the running programs'. */
const OWN_MAPS = ['cb_work_1', 'cb_scratch_2', 'cb_trace_3', 'cb_enter_1'] as const;
const DISPATCHERS = Object.values(ENTRY).map(({ dispatcher }) => dispatcher);

/** Loads it. The programs must have been loaded on this host before. Throws as `loadObject`. */
export function loadTracePrograms({ object, pinDir, config, maxEntries }: TraceSource): TracePrograms {
  const loaded = loadObject({
    path: object,
    pinnedMaps: join(pinDir, 'maps'),
    rodata: { ...config, cfg_trace: 1, cfg_bank: 0, cfg_own_encapsulation: 0 },
    unpinned: OWN_MAPS,
    skip: DISPATCHERS,
    ...(maxEntries === undefined ? {} : { maxEntries }),
  });
  const required = <T>(found: T | undefined, name: string): T => {
    if (found === undefined) throw new Error(`${object} has no ${name}`);
    return found;
  };
  try {
    const trace = required(loaded.maps.get('cb_trace_3'), 'map cb_trace_3');
    fillBank(required(loaded.maps.get('cb_enter_1'), 'map cb_enter_1'), 0, loaded.programs);
    const fromVif = required(loaded.programs.get('trace_vif'), 'program trace_vif');
    const fromHost = required(loaded.programs.get('trace_overlay'), 'program trace_overlay');
    const fromUplink = required(loaded.programs.get('trace_uplink'), 'program trace_uplink');
    const entryOf = (from: TraceInput['from']): readonly [BpfProgram, Pick<CbTrace, 'vif' | 'wireId' | 'tunnel'>] => {
      if ('vif' in from) return [fromVif, { vif: from.vif, wireId: 0, tunnel: 0 }];
      if ('net' in from) return [fromUplink, { vif: 0, wireId: from.net, tunnel: 0 }];
      return [fromHost, { vif: 0, wireId: from.wireId, tunnel: from.tunnel }];
    };
    return {
      run: ({ from, flags, flows = [], frame }) => {
        const [program, start] = entryOf(from);
        const flow = flows.slice(0, CB_TRACE_FLOWS);
        const row = { ...start, flags, count: 0, flows: flow.length, began: NO_FLOW, flow, step: [] };
        trace.update(arrayIndex.encode(0), cbTrace.encode(row));
        const outcome = runOnce(program, frame);
        const after = cbTrace.decode(required(trace.lookup(arrayIndex.encode(0)), 'row of cb_trace_3'));
        const began = after.flags & CB_TRACE_F_BEGAN ? after.began : undefined;
        return { ...outcome, began, steps: after.step.slice(0, Math.min(after.count, CB_TRACE_STEPS)) };
      },
      close: () => loaded.close(),
    };
  } catch (err) {
    loaded.close();
    throw err;
  }
}

function runOnce(program: BpfProgram, frame: Uint8Array): Omit<RawTrace, 'steps' | 'began'> {
  const { context, data } = program.testRun({ data: frame });
  const [ifindex = 0, deliver = 0, wire = 0, remote = 0, reason = 0] = context.cb ?? [];
  if (deliver === 0 && reason === 0) throw new BpfError(`trace by ${program.info.name}`, 'EIO', 'it said nothing');
  return { ifindex, deliver, wire, remote, reason, frame: data };
}
