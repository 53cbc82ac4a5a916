import { type Logger, startTurns } from '@cable/kit';
import { CB_FLOW_F_TOLD, CB_LIFE_LIVE, CB_USE_PASSING, cbFlow, cbTold, MAPS } from '../bpf/abi.gen.ts';
import { arrayIndex, fieldAt } from '../bpf/codec.ts';
import type { RingBuffer } from '../bpf/ring.ts';
import type { KernelDataPlane } from '../reconcile/kernel-data-plane.ts';
import type { CollectorCounters, FlowCollector } from './collector.ts';
import type { FlowNames } from './flow-names.ts';
import { type FlowRecord, liveRecord, toldRecord, wallClock } from './flow-record.ts';

export type FlowExportDeps = {
  /** What the vrouter tells. */
  readonly ring: Pick<RingBuffer, 'onReadable' | 'read'>;
  readonly plane: Pick<KernelDataPlane, 'readRaw'>;
  readonly names: FlowNames;
  /** Undefined: none was given. */
  readonly collector: FlowCollector | undefined;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

export type FlowCounters = Partial<CollectorCounters> & {
  readonly flow_records_told: number;
  /** For which the ring had no room; drops above the rate at which they are told. */
  readonly flow_records_lost: number;
  readonly flow_drops_held: number;
};

/** Records that one turn of the event loop takes. */
const A_TURN = 256;
/** How often flows that go on are told of. */
const ACTIVE_MS = 60_000;
const LIFE_AT = fieldAt(cbFlow, 'life');
const OWNER_AT = fieldAt(cbFlow, 'owner');
const FLAGS_AT = fieldAt(cbFlow, 'flags');

/** Takes what the vrouter tells of flows, and tells those who listen: the collector, and who follows a port. */
export class FlowExport {
  readonly #deps: FlowExportDeps;
  readonly #listeners = new Set<(record: FlowRecord) => void>();
  #told = 0;
  #isStarted = false;
  #isWalking = false;

  constructor(deps: FlowExportDeps) {
    this.#deps = deps;
  }

  /** Begins, once: when ports have their numbers, or what was told while no agent ran would have no names. What flows that were told of have carried until now is not told again: an agent before this one did. */
  start(): void {
    const { ring, signal } = this.#deps;
    if (this.#isStarted) return;
    this.#isStarted = true;
    ring.onReadable(() => this.#take());
    const timer = setInterval(() => void this.#walk('tell'), ACTIVE_MS).unref();
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    void this.#walk('note');
  }

  /** Tells `listener` of records until what is returned is called. */
  listen(listener: (record: FlowRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get counters(): FlowCounters {
    const { collector } = this.#deps;
    const { toldLost, toldHeld } = this.#gauge();
    return {
      flow_records_told: this.#told,
      flow_records_lost: Number(toldLost),
      flow_drops_held: Number(toldHeld),
      ...collector?.counters,
    };
  }

  #gauge(): { readonly toldLost: bigint; readonly toldHeld: bigint } {
    for (const batch of this.#deps.plane.readRaw('cb_gauge_1'))
      for (const { value } of batch) return MAPS.cb_gauge_1.value.decode(value);
    return { toldLost: 0n, toldHeld: 0n };
  }

  #take(): void {
    const { ring, names, log } = this.#deps;
    const found = ring.read(A_TURN);
    if (found.length === 0) return;
    names.refresh();
    const clock = wallClock();
    for (const bytes of found) {
      const record = toldRecord(cbTold.decode(bytes), names, clock);
      if (record === undefined) log.warn({}, 'the vrouter told of something that this build does not know');
      else this.#tell(record);
    }
  }

  #tell(record: FlowRecord): void {
    this.#told += 1;
    this.#deps.collector?.add(record);
    for (const listener of this.#listeners) listener(record);
  }

  /** Flows of ports that export some, in turns of the event loop. */
  async #walk(what: 'note' | 'tell'): Promise<void> {
    const { plane, names, collector, log, signal } = this.#deps;
    names.refresh();
    if (this.#isWalking || collector === undefined || (what === 'tell' && !names.exports)) return;
    this.#isWalking = true;
    try {
      const turns = startTurns();
      for (const batch of plane.readRaw('cb_flow_2')) {
        const clock = wallClock();
        for (const { key, value } of batch) {
          if (!isLive(value) || !(what === 'note' ? wasTold(value) : exportsSome(value, names))) continue;
          const record = liveRecord(arrayIndex.decode(key), cbFlow.decode(value), names, clock);
          if (record === undefined) continue;
          if (what === 'note') collector.note(record);
          else collector.add(record);
        }
        if (turns.due()) await turns.next();
        if (signal.aborted) return;
      }
    } catch (err) {
      log.warn({ err }, 'flows that go on are not told of');
    } finally {
      this.#isWalking = false;
    }
  }
}

function isLive(value: Uint8Array): boolean {
  return ((value[LIFE_AT] ?? 0) & 3) === CB_LIFE_LIVE;
}

/** An agent before this one was told of its begin. */
function wasTold(value: Uint8Array): boolean {
  return ((value[FLAGS_AT] ?? 0) & CB_FLOW_F_TOLD) !== 0;
}

function exportsSome(value: Uint8Array, names: Pick<FlowNames, 'oneOf'>): boolean {
  return ownersOf(value).some((vif) => names.oneOf(vif) > 0);
}

function ownersOf(value: Uint8Array): readonly number[] {
  return [0, 2]
    .map((at) => (value[OWNER_AT + at] ?? 0) | ((value[OWNER_AT + at + 1] ?? 0) << 8))
    .filter((vif) => vif !== CB_USE_PASSING);
}
