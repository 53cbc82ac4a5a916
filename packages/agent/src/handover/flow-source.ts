import { type Logger, sleep, startTurns, type Turns } from '@cable/kit';
import { CB_CARRY_TURNS, type CbCarry } from '../bpf/abi.gen.ts';
import type { CarryPrograms, RouterAddress, Walk } from './carry-programs.ts';
import { type FlowRecord, type RecordNames, recordOf } from './flow-record.ts';
import { type PassedFlow, passedFlowOf } from './passed-flow.ts';

/** Who wants to know flows of a VIF, or of a router. */
export type Follower<T = FlowRecord> = {
  take(flow: T): void;
  /** All flows that there were when it began have been given. */
  whole(): void;
  /** Resolves when it takes more, or never will; undefined: it takes more. */
  full(): Promise<void> | undefined;
};

/** A router whose gateway this host is, and its addresses: another array when they are others, the same as long as they are not. */
export type SourceRouter = { readonly number: number; readonly addresses: () => readonly RouterAddress[] };

export type FlowSourceDeps = {
  readonly carry: () => Pick<CarryPrograms, 'follow' | 'followRouter' | 'takeOut'>;
  readonly names: () => RecordNames;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Between looks at the table. Default: 200 while ports are followed, and 400 while routers alone are, which is always. */
  readonly everyMs?: number;
  /** CLOCK_MONOTONIC. Default: the machine's. */
  readonly nowNs?: () => bigint;
};

/** `isNew`: it has not been given all yet. */
type Place = { readonly vif: number; isNew: boolean };
type RouterPlace = { readonly router: SourceRouter; isNew: boolean };
type Followers = {
  readonly ports: readonly (readonly [Follower, Place])[];
  readonly routers: readonly (readonly [Follower<PassedFlow>, RouterPlace])[];
};

const AT_ONCE: readonly Walk[] = ['whole'];
/** A port may have so many flows that it is gone before all are told: datagrams that nobody answers then wait. */
const ANSWERED_FIRST: readonly Walk[] = ['answered', 'others'];
const EVERY_MS = 200;
/** `CB_CARRY_TURNS` looks take less than the shortest time-out of what goes on. */
const ROUTERS_EVERY_MS = 400;

/** Tells what becomes of flows of VIFs and routers: looks at the whole table again and again, as long as anybody follows one, and once for all who do. */
export class FlowSource {
  readonly #deps: FlowSourceDeps;
  readonly #followers = new Map<Follower, Place>();
  readonly #routerFollowers = new Map<Follower<PassedFlow>, RouterPlace>();
  /** VIFs of which the programs know that they are followed. */
  readonly #marked = new Set<number>();
  readonly #markedRouters = new Map<number, SourceRouter>();
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

  /** Connections by which other hosts follow flows of routers whose gateway this one is. */
  get routerFollowers(): number {
    return this.#routerFollowers.size;
  }

  get #isWanted(): boolean {
    const sizes = [this.#followers.size, this.#routerFollowers.size, this.#marked.size, this.#markedRouters.size];
    return sizes.some((size) => size > 0);
  }

  /** Gives the follower all flows of the VIF, and then those that are different, until what is returned is called. */
  follow(vif: number, follower: Follower): () => void {
    this.#followers.set(follower, { vif, isNew: true });
    this.hurry();
    if (!this.#running) void this.#run();
    return () => this.#followers.delete(follower);
  }

  /** The same of a router. */
  followRouter(router: SourceRouter, follower: Follower<PassedFlow>): () => void {
    this.#routerFollowers.set(follower, { router, isNew: true });
    this.hurry();
    if (!this.#running) void this.#run();
    return () => this.#routerFollowers.delete(follower);
  }

  /** Looks at once: something has moved. */
  hurry(): void {
    this.#hurry.abort();
  }

  async #run(): Promise<void> {
    const { signal, log } = this.#deps;
    this.#running = true;
    while (!signal.aborted && this.#isWanted) {
      this.#hurry = new AbortController();
      const soon = AbortSignal.any([signal, this.#hurry.signal]);
      try {
        await this.#look();
      } catch (err) {
        log.error({ err }, 'flows cannot be taken out for other hosts: connections of ports that move may end');
      }
      await sleep(this.#deps.everyMs ?? (this.#followers.size > 0 ? EVERY_MS : ROUTERS_EVERY_MS), soon);
    }
    this.#running = false;
  }

  async #look(): Promise<void> {
    const { carry, names, nowNs = () => process.hrtime.bigint() } = this.#deps;
    const programs = carry();
    const begun: Followers = { ports: [...this.#followers], routers: [...this.#routerFollowers] };
    this.#mark(programs, begun.ports);
    this.#markRouters(programs, begun.routers);
    if (begun.ports.length === 0 && begun.routers.length === 0) return;
    const turn = this.#turn;
    const sinceNs = this.#turns[turn] ?? 0n;
    this.#turns[turn] = nowNs();
    this.#turn = (turn + 1) % CB_CARRY_TURNS;
    const turns = startTurns();
    let known: RecordNames | undefined;
    for (const walk of begun.ports.some(([, { isNew }]) => isNew) ? ANSWERED_FIRST : AT_ONCE) {
      for (let first = 0; ; ) {
        const { rows, next } = programs.takeOut({ first, turn, sinceNs, walk });
        if (rows.length > 0) known ??= names();
        if (known !== undefined) await this.#give(rows, known, turns);
        if (next === 0) break;
        first = next;
      }
    }
    for (const [follower, place] of begun.ports) if (this.#followers.has(follower)) endFirst(follower, place);
    for (const [follower, place] of begun.routers) if (this.#routerFollowers.has(follower)) endFirst(follower, place);
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

  #markRouters(programs: Pick<CarryPrograms, 'followRouter'>, followers: Followers['routers']): void {
    const wanted = new Map<number, { readonly router: SourceRouter; readonly all: boolean }>();
    for (const [, { router, isNew }] of followers) {
      wanted.set(router.number, { router, all: (wanted.get(router.number)?.all ?? false) || isNew });
    }
    for (const [number, router] of this.#markedRouters) {
      if (!wanted.has(number)) programs.followRouter(number, router.addresses(), 'nothing');
    }
    this.#markedRouters.clear();
    for (const [number, { router, all }] of wanted) {
      this.#markedRouters.set(number, router);
      programs.followRouter(number, router.addresses(), all ? 'all' : 'changes');
    }
  }

  /** Whoever is slow is waited for: he has what comes next the sooner, and is cut when he takes nothing. */
  async #give(rows: readonly CbCarry[], names: RecordNames, turns: Turns): Promise<void> {
    for (const row of rows) {
      for (const vif of new Set(row.vif)) this.#giveOne(row, vif, names);
      if (row.router !== 0) this.#giveRouter(row);
      if (turns.due()) await turns.next();
    }
    for (const follower of [...this.#followers.keys(), ...this.#routerFollowers.keys()]) await follower.full();
  }

  #giveRouter(row: CbCarry): void {
    for (const [follower, { router }] of this.#routerFollowers) {
      if (router.number !== row.router) continue;
      const flow = passedFlowOf(row, router.addresses()[0]?.net ?? 0);
      if (flow === undefined) return;
      follower.take(flow);
    }
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

/** All of its first look has been given. */
function endFirst({ whole }: Pick<Follower, 'whole'>, place: { isNew: boolean }): void {
  if (!place.isNew) return;
  place.isNew = false;
  whole();
}
