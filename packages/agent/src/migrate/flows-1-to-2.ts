/**
 * The step from the flow table of the first layouts (`cb_flow_1`) to that of this build: connections go on over an upgrade. The work is
 * vrouter/migrate/1-to-2.bpf.c's; here is when it runs. It takes over what a flow is, and no verdict: the first packet of each direction is
 * decided anew.
 */
import { dirname, join } from 'node:path';
import type { Logger } from '@cable/kit';
import { openPinnedMap } from '../bpf/map.ts';
import { type LoadedObject, loadObject } from '../bpf/object.ts';
import { BpfError } from '../ffi/errno.ts';

/** Where the step and the maps of both layouts are. */
export type FlowStepSource = {
  /** Path of the vrouter's object: the step's is beside it. */
  readonly object: string;
  /** Directory in bpffs in which the maps are pinned. */
  readonly pinnedMaps: string;
  /** Records that the flow table has room for. */
  readonly flows: number;
};

export type FlowStep = {
  /** Takes over all flows that are not there yet. */
  takeAll(): void;
  /** Takes over those that had a packet since `takeAll` began: once the new programs are in force, what the old ones have made meanwhile. */
  takeRest(): void;
  close(): void;
};

const OLD_TABLE = 'cb_flow_1';
const STEP_OBJECT = '1-to-2.bpf.o';
/** Of the step alone, or of each load. */
const UNPINNED = ['cb_work_1', 'step_net', 'step_flow'] as const;
/** An entry's time is refreshed at most once a second. */
const REFRESH_NS = 1_000_000_000n;
/** A run makes some thousands of flows: so many runs are more than any table needs, and the end of one that is always behind. */
const MOST_RUNS = 256;

/** `struct step` of the step's program. */
type Run = { readonly made: number; readonly present: number; readonly refused: number };

/** Undefined: no table of the first layouts is pinned, or not one that the step knows, which is logged. */
export function openFlowStep({ object, pinnedMaps, flows }: FlowStepSource, log: Logger): FlowStep | undefined {
  const old = openPinnedMap(join(pinnedMaps, OLD_TABLE));
  if (old === undefined) return undefined;
  old.close();
  try {
    const loaded = loadObject({
      path: join(dirname(object), STEP_OBJECT),
      pinnedMaps,
      unpinned: UNPINNED,
      rodata: { cfg_flows: flows },
    });
    return flowStep(loaded, log);
  } catch (err) {
    if (!(err instanceof BpfError)) throw err;
    log.warn(
      { err },
      'connections of the build before are not taken over: they are taken up in their middle where rules allow it',
    );
    return undefined;
  }
}

function flowStep(loaded: LoadedObject, log: Logger): FlowStep {
  let since = 0n;
  const take = (what: string): void => {
    const from = since;
    since = process.hrtime.bigint() - REFRESH_NS;
    const total = { made: 0, present: 0, refused: 0 };
    for (let runs = 0; runs < MOST_RUNS; runs += 1) {
      const { made, present, refused } = run(loaded, from);
      total.made += made;
      Object.assign(total, { present, refused });
      if (made === 0) break;
    }
    log.info({ ...total, what }, 'took over connections of the build before');
  };
  return { takeAll: () => take('all'), takeRest: () => take('rest'), close: () => loaded.close() };
}

function run({ programs }: LoadedObject, sinceNs: bigint): Run {
  const program = programs.get('import_flows');
  if (program === undefined) throw new Error(`${STEP_OBJECT} has no program import_flows`);
  const context = new DataView(new ArrayBuffer(24));
  context.setBigUint64(0, sinceNs, true);
  const result = program.call(new Uint8Array(context.buffer));
  if (result !== 0) throw new BpfError('take over flows', `E${result}`);
  return {
    made: context.getUint32(8, true),
    present: context.getUint32(12, true),
    refused: context.getUint32(16, true),
  };
}
