import { type Logger, sleep, startTurns, type Turns } from '@cable/kit';
import { CB_CARRY_TURNS, type CbCarry } from '../bpf/abi.gen.ts';
import type { CarryPrograms } from './carry-programs.ts';
import { type FlowRecord, type RecordNames, recordOf } from './flow-record.ts';

/** Who wants to know a VIF's flows. */
export type Follower = {
  take(flow: FlowRecord): void;
  /** All flows that there were when it began have been given. */
  whole(): void;
  /** Resolves when it takes more, or never will; undefined: it takes more. */
  full(): Promise<void> | undefined;
};

export type FlowSourceDeps = {
  readonly carry: () => Pick<CarryPrograms, 'follow' | 'takeOut'>;
  readonly names: () => RecordNames;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Between looks at the table. Default 200. */
  readonly everyMs?: number;
  /** CLOCK_MONOTONIC. Default: the machine's. */
  readonly nowNs?: () => bigint;
};

/** `isNew`: it has not been given all yet. */
type Place = { readonly vif: number; isNew: boolean };

const EVERY_MS = 200;

/** Tells what becomes of flows of VIFs: looks at the whole table again and again, as long as anybody follows one, and once for all who do. */
export class FlowSource {
  readonly #deps: FlowSourceDeps;
  readonly #followers = new Map<Follower, Place>();
  /** VIFs of which the programs know that they are followed. */
  readonly #marked = new Set<number>();
  /** When turns began last, by turn. */
  readonly #turns: bigint[] = new Array(CB_CARRY_TURNS).fill(0n);
  #turn = 0;
  #running = false;
  #hurry = new AbortController();

  constructor(deps: FlowSourceDeps) {
    this.#deps = deps;
  }

  get followers(): number {
    return this.#followers.size;
  }

  /** Gives the follower all flows of the VIF, and then those that are different, until what is returned is called. */
  follow(vif: number, follower: Follower): () => void {
    this.#followers.set(follower, { vif, isNew: true });
    this.hurry();
    if (!this.#running) void this.#run();
    return () => this.#followers.delete(follower);
  }

  /** Looks at once: something has moved. */
  hurry(): void {
    this.#hurry.abort();
  }

  async #run(): Promise<void> {
    const { signal, log } = this.#deps;
    this.#running = true;
    while (!signal.aborted && (this.#followers.size > 0 || this.#marked.size > 0)) {
      this.#hurry = new AbortController();
      const soon = AbortSignal.any([signal, this.#hurry.signal]);
      try {
        await this.#look();
      } catch (err) {
        log.error({ err }, 'flows cannot be taken out for other hosts: connections of ports that move may end');
      }
      await sleep(this.#deps.everyMs ?? EVERY_MS, soon);
    }
    this.#running = false;
  }

  async #look(): Promise<void> {
    const { carry, names, nowNs = () => process.hrtime.bigint() } = this.#deps;
    const programs = carry();
    const begun = [...this.#followers];
    this.#mark(programs, begun);
    if (begun.length === 0) return;
    const turn = this.#turn;
    const sinceNs = this.#turns[turn] ?? 0n;
    this.#turns[turn] = nowNs();
    this.#turn = (turn + 1) % CB_CARRY_TURNS;
    const turns = startTurns();
    const known = names();
    for (let first = 0; ; ) {
      const { rows, next } = programs.takeOut({ first, turn, sinceNs });
      await this.#give(rows, known, turns);
      if (next === 0) break;
      first = next;
    }
    for (const [follower, place] of begun) {
      if (!place.isNew || !this.#followers.has(follower)) continue;
      place.isNew = false;
      follower.whole();
    }
  }

  /** Of a VIF that somebody has not been given all of, all are taken out. */
  #mark(programs: Pick<CarryPrograms, 'follow'>, followers: readonly (readonly [Follower, Place])[]): void {
    const wanted = new Map<number, boolean>();
    for (const [, { vif, isNew }] of followers) wanted.set(vif, (wanted.get(vif) ?? false) || isNew);
    for (const vif of this.#marked) if (!wanted.has(vif)) programs.follow(vif, 'nothing');
    this.#marked.clear();
    for (const [vif, all] of wanted) {
      this.#marked.add(vif);
      programs.follow(vif, all ? 'all' : 'changes');
    }
  }

  /** Whoever is slow is waited for: he has what comes next the sooner, and is cut when he takes nothing. */
  async #give(rows: readonly CbCarry[], names: RecordNames, turns: Turns): Promise<void> {
    for (const row of rows) {
      for (const vif of new Set(row.vif)) this.#giveOne(row, vif, names);
      if (turns.due()) await turns.next();
    }
    for (const follower of [...this.#followers.keys()]) await follower.full();
  }

  #giveOne(row: CbCarry, vif: number, names: RecordNames): void {
    let flow: FlowRecord | undefined;
    for (const [follower, place] of this.#followers) {
      if (place.vif !== vif || vif === 0) continue;
      flow ??= recordOf(row, vif, names);
      if (flow === undefined) return;
      follower.take(flow);
    }
  }
}
