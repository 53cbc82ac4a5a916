import type { Logger } from '@cable/kit';
import type { MemberHealth } from '@cable/model';
import type { ProbeTarget } from '../desired.ts';
import { afterProbe, type MemberState, NOTHING_TOLD } from './member-state.ts';

/** What time it is, and to be called later; the result takes that back. */
export type ProbeClock = { now(): number; after(ms: number, call: () => void): () => void };

export type ProberDeps = {
  /** Begins a probe. `onEnd`: called once, in a later turn: true, or why the member is not well; not after `close`. */
  readonly open: (target: ProbeTarget, onEnd: (result: true | string) => void) => { close(): void };
  readonly clock: ProbeClock;
  /** 0..1 */
  readonly random: () => number;
  /** Told of members whose state is another, or that are probed no more. */
  readonly onChange: (memberIds: ReadonlySet<string>) => void;
  readonly log: Logger;
};

/** Probes that begin in a second at the most: who has many waits longer for each, and takes none from others' time to answer. */
const STARTS_A_SECOND = 1000;

/** Probes under way, and those of one project, which may all take the time they are given. */
const MOST = 2048;
const MOST_OF_PROJECT = MOST / 2;

/** The first probe comes within so long: nobody waits an hour to be found well. */
const FIRST_MS = 1000;

/** Part of the time between probes by which they come sooner or later, so that those that began together part. */
const JITTER = 0.05;

/** A state stays at least so long: who goes up and down with each probe makes no more work for servers and hosts than that. */
const HOLD_MS = 5000;

/** A member that is probed. `since`: when its state became what it is. `stop`: takes back whatever is to happen next. */
type Probed = { target: ProbeTarget; state: MemberState; since: number; reason: string | null; stop: () => void };

/**
 * Probes members, each at its own times, and says how they are. It costs the same whatever they answer: each has one probe under way at the most, which ends when its time is over. The
 * server need not be there.
 */
export class Prober {
  readonly #deps: ProberDeps;
  readonly #probed = new Map<string, Probed>();
  /** Who waits for others to end, the first first. */
  readonly #waiting = new Set<Probed>();
  readonly #underWay = new Map<string, number>();
  #count = 0;
  /** When the next probe may begin. */
  #nextStart = 0;
  readonly #counts = { well: 0, failed: 0 };
  #isClosed = false;

  constructor(deps: ProberDeps) {
    this.#deps = deps;
  }

  /** What this host finds; undefined: nothing yet, or it does not look. */
  stateOf(memberId: string): 'up' | 'down' | undefined {
    return this.#probed.get(memberId)?.state.state;
  }

  /** What is to be told of a member. */
  healthOf(memberId: string): MemberHealth {
    const probed = this.#probed.get(memberId);
    if (probed === undefined) return { memberId, state: 'gone', reason: null };
    const { state } = probed.state;
    return { memberId, state: state ?? 'unknown', reason: state === 'down' ? probed.reason : null };
  }

  /** Those that are probed. */
  get members(): Iterable<string> {
    return this.#probed.keys();
  }

  /** For people: members by state, and how probes ended since the start. */
  counters(): Readonly<Record<string, number>> {
    const counters = { members_up: 0, members_down: 0, members_unknown: 0 };
    for (const { state } of this.#probed.values()) counters[`members_${state.state ?? 'unknown'}`] += 1;
    return {
      ...counters,
      probes_under_way: this.#count,
      probes_well: this.#counts.well,
      probes_failed: this.#counts.failed,
    };
  }

  /** These are to be probed, and no others; after `close` none is. */
  take(targets: ReadonlyMap<string, ProbeTarget>): void {
    if (this.#isClosed) return;
    const changed = new Set<string>();
    for (const [id, probed] of this.#probed) {
      if (targets.has(id)) continue;
      probed.stop();
      this.#probed.delete(id);
      changed.add(id);
    }
    for (const [id, target] of targets) {
      const probed = this.#probed.get(id);
      if (probed?.target === target) continue;
      probed?.stop();
      // It is another machine, perhaps; else what was found of it counts until it is found otherwise.
      const isSame = probed?.target.address === target.address && probed.target.port === target.port;
      const next: Probed = {
        target,
        state: isSame ? probed.state : NOTHING_TOLD,
        since: isSame ? probed.since : 0,
        reason: isSame ? probed.reason : null,
        stop: () => undefined,
      };
      this.#probed.set(id, next);
      changed.add(id);
      this.#schedule(next, this.#deps.random() * Math.min(FIRST_MS, target.monitor.delayMs));
    }
    if (changed.size > 0) this.#deps.onChange(changed);
  }

  /** Ends all probes. */
  close(): void {
    this.#isClosed = true;
    for (const probed of this.#probed.values()) probed.stop();
    this.#probed.clear();
  }

  #schedule(probed: Probed, waitMs: number): void {
    probed.stop = this.#deps.clock.after(waitMs, () => this.#takePlace(probed));
  }

  /** Each start has its place in time. */
  #takePlace(probed: Probed): void {
    const now = this.#deps.clock.now();
    const at = Math.max(now, this.#nextStart);
    this.#nextStart = at + 1000 / STARTS_A_SECOND;
    if (at === now) this.#start(probed);
    else probed.stop = this.#deps.clock.after(at - now, () => this.#start(probed));
  }

  #mayStart({ target: { projectId } }: Probed): boolean {
    return this.#count < MOST && (this.#underWay.get(projectId) ?? 0) < MOST_OF_PROJECT;
  }

  #start(probed: Probed): void {
    if (!this.#mayStart(probed)) {
      this.#waiting.add(probed);
      probed.stop = () => this.#waiting.delete(probed);
      return;
    }
    const { clock, open } = this.#deps;
    const { target } = probed;
    const began = clock.now();
    this.#note(target.projectId, 1);
    let isOver = false;
    /** False: it is over already. */
    const release = (): boolean => {
      if (isOver) return false;
      isOver = true;
      cancelTimeout();
      socket.close();
      this.#note(target.projectId, -1);
      return true;
    };
    const end = (result: true | string): void => {
      if (!release()) return;
      this.#takeResult(probed, result);
      const { delayMs } = probed.target.monitor;
      const next = began + delayMs * (1 - JITTER + 2 * JITTER * this.#deps.random());
      this.#schedule(probed, Math.max(0, next - clock.now()));
      this.#startWaiting();
    };
    const socket = open(target, end);
    // What came in while the process was held up is read before it is missed.
    const cancelTimeout = clock.after(target.monitor.timeoutMs, () => {
      setImmediate(() => end(target.monitor.type === 'UDP-CONNECT' ? true : 'no answer in time'));
    });
    probed.stop = () => {
      if (release()) this.#startWaiting();
    };
  }

  #note(projectId: string, by: 1 | -1): void {
    this.#count += by;
    const count = (this.#underWay.get(projectId) ?? 0) + by;
    if (count === 0) this.#underWay.delete(projectId);
    else this.#underWay.set(projectId, count);
  }

  /** The first that may. */
  #startWaiting(): void {
    for (const probed of this.#waiting) {
      if (this.#count >= MOST) return;
      if (!this.#mayStart(probed)) continue;
      this.#waiting.delete(probed);
      this.#start(probed);
      return;
    }
  }

  #takeResult(probed: Probed, result: true | string): void {
    const { target, state: before } = probed;
    const isWell = result === true;
    this.#counts[isWell ? 'well' : 'failed'] += 1;
    if (!isWell) probed.reason = result;
    const after = afterProbe(before, isWell, target.monitor);
    const now = this.#deps.clock.now();
    const isOther = after.state !== before.state;
    // The next one that says the same may change it.
    if (isOther && before.state !== undefined && now - probed.since < HOLD_MS) return;
    probed.state = after;
    if (!isOther) return;
    probed.since = now;
    const { memberId: member } = target;
    const { state } = probed.state;
    this.#deps.log.info(
      { member, state, ...(isWell ? {} : { reason: result }) },
      'a member of a pool has another state',
    );
    this.#deps.onChange(new Set([member]));
  }
}
