import type { GuestRecord } from '../desired.ts';
import type { NetnsRef } from '../net/netns.ts';
import { openQuerySocket } from '../net/query-socket.ts';
import { igmpQuery, mldQuery, QUERY_SECONDS, RESPONSE_SECONDS } from './group-query.ts';
import { linkLocalServiceAddress, serviceAddress } from './service-address.ts';

/** Of a VIF, in cb_asked_2. Times are of CLOCK_MONOTONIC, in nanoseconds; `fromNs` 0: it was not asked. `leftNs`: what it left before is over. */
export type Asked = {
  readonly portId: string;
  readonly fromNs: bigint;
  readonly untilNs: bigint;
  readonly leftNs: bigint;
};

/** A question: who is in any group answers within so many seconds. */
export type Question = 'within 10 s' | 'within 1 s';

/** What the querier needs of the world. */
export type QuerierDeps = {
  readonly guests: () => ReadonlyMap<number, Pick<GuestRecord, 'portId' | 'isHere'>>;
  /** Asks the guest for all groups, of IPv4 and IPv6. False: not both questions could go out. */
  readonly ask: (vif: number, question: Question) => boolean;
  /** Rows of the VIF; null: nobody's. `isUp`: a question reaches its guest. `isRouter`: it has shown itself as a router of multicast, not long ago. */
  readonly rowsOf: (vif: number) => {
    readonly asked: Asked | null;
    readonly joinedBy: string | null;
    readonly isUp: boolean;
    readonly isRouter: boolean;
  };
  /** When a group was left last that still counts, by CLOCK_MONOTONIC; 0: none. */
  readonly leftAt: (vif: number) => bigint;
  /** Makes the VIF's row in cb_joined_1 the port's, with nothing learned. */
  readonly begin: (vif: number, portId: string) => void;
  readonly write: (vif: number, asked: Asked) => void;
  /** Makes both of the VIF's rows nobody's. */
  readonly forget: (vif: number) => void;
  readonly count: (counter: string) => void;
  /** CLOCK_MONOTONIC, in nanoseconds. */
  readonly nowNs: () => bigint;
  /** At least 0, less than 1. */
  readonly random: () => number;
};

export type QuerierOptions = Omit<QuerierDeps, 'ask' | 'nowNs' | 'random'> & {
  /** The agent's own service addresses; without one of IPv6 nobody can be asked, and nothing counts. */
  readonly address: string;
  readonly address6: string;
  /** The network namespace that has them; default: the one this process is in. */
  readonly netns?: NetnsRef;
  readonly signal: AbortSignal;
};

/** How often is looked who is due. */
const LOOK_MS = 250;

/** Starts asking. Ends with the signal. Throws when a socket cannot be opened. */
export function startQuerier(options: QuerierOptions): void {
  const { address, address6, netns, signal } = options;
  const inside = { signal, ...(netns === undefined ? {} : { netns }) };
  const four = openQuerySocket({ version: 4, address, ...inside });
  const six = openQuerySocket({ version: 6, address: address6, ...inside });
  const questions = {
    'within 10 s': { four: igmpQuery(RESPONSE_SECONDS), six: mldQuery(RESPONSE_SECONDS) },
    'within 1 s': { four: igmpQuery(1), six: mldQuery(1) },
  };
  const querier = new Querier({
    ...options,
    ask: (vif, question) => {
      const asked = four.send(questions[question].four, serviceAddress(vif, 4));
      return six.send(questions[question].six, linkLocalServiceAddress(vif)) && asked;
    },
    nowNs: () => process.hrtime.bigint(),
    random: Math.random,
  });
  const timer = setInterval(() => querier.look(), LOOK_MS);
  const stop = (): void => clearInterval(timer);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}

/** What one guest was asked. */
type Plan = {
  readonly portId: string;
  dueNs: bigint;
  /** Questions that are to go out before its answers count. */
  toStart: number;
  /** From when on they do; 0: not yet. */
  fromNs: bigint;
  /** Until when they do. */
  untilNs: bigint;
  /** When is looked again whether it has left a group. */
  lookNs: bigint;
  /** Groups that it left before are over, or were asked for; 0: none. */
  leftNs: bigint;
  /** It is being asked for groups that it left before that. 0: it is not. */
  leavingNs: bigint;
  /** Questions for them that are to go out. */
  toLeave: number;
};

const SECOND_NS = 1_000_000_000n;
/** Questions before answers count, so far apart (RFC 3376 §8.6, §8.7). */
const STARTUP = 2;
const STARTUP_NS = (BigInt(QUERY_SECONDS) * SECOND_NS) / 4n;
/** A guest may answer so late, and its answer be on its way. */
const ANSWERED_NS = BigInt(RESPONSE_SECONDS + 2) * SECOND_NS;
/**
 * So long after a question what is known counts. A guest that is asked again at the last moment must have answered before what it said first is over (CB_GROUP_SECONDS after
 * it said it), and one question may be lost.
 */
const COUNTS_NS = (2n * BigInt(QUERY_SECONDS) - 5n) * SECOND_NS;
/** After a question that could not go out, and while the guest is a router: it gets all, and would take the question for that of another router. */
const AGAIN_NS = 10n * SECOND_NS;
/** Guests that were asked by an agent before are asked within so many seconds. */
const ADOPTED_SPREAD = 10;
const MAX_PER_LOOK = 100;
/** Who is looked at for groups that were left, at once; of more guests than that is in a second each is looked at less often. */
const MAX_LEFT_LOOKS = 500;
const LEFT_LOOKS_A_SECOND = (1000 / LOOK_MS) * MAX_LEFT_LOOKS;
/** Questions for a group that was left, a second apart, and how long after the last one there may be an answer (RFC 3376 §8.8, §8.9). */
const LAST_QUESTIONS = 2;
const LAST_ANSWER_NS = 2n * SECOND_NS;

/** Which guest is asked when for its groups, and what is known to count: a question that did not go out makes nothing count. */
export class Querier {
  readonly #deps: QuerierDeps;
  readonly #plans = new Map<number, Plan>();

  constructor(deps: QuerierDeps) {
    this.#deps = deps;
  }

  /** Asks who is due: a part of them, if they are many; the rest at the next look. */
  look(): void {
    const { guests, nowNs } = this.#deps;
    const now = nowNs();
    const there = guests();
    for (const vif of this.#plans.keys()) {
      if (there.has(vif)) continue;
      this.#plans.delete(vif);
      this.#deps.forget(vif);
    }
    let room = MAX_PER_LOOK;
    let leftLooks = MAX_LEFT_LOOKS;
    const pauseNs = SECOND_NS * BigInt(Math.max(1, Math.ceil(there.size / LEFT_LOOKS_A_SECOND)));
    for (const [vif, { portId, isHere }] of there) {
      const plan = this.#planOf(vif, portId, now);
      if (plan.lookNs <= now && plan.fromNs > 0n && leftLooks > 0) {
        leftLooks -= 1;
        this.#lookForLeft(vif, plan, now, pauseNs);
      }
      if (plan.dueNs > now || room === 0) continue;
      room -= 1;
      this.#turn(vif, plan, isHere, now);
    }
  }

  /** Who has left a group is asked again: others behind the port may be in it. What is not said then is over. */
  #lookForLeft(vif: number, plan: Plan, now: bigint, pauseNs: bigint): void {
    const { leftAt, ask, count } = this.#deps;
    plan.lookNs = now + pauseNs;
    if (plan.leavingNs === 0n && leftAt(vif) > plan.leftNs)
      Object.assign(plan, { leavingNs: now, toLeave: LAST_QUESTIONS });
    if (plan.leavingNs === 0n) return;
    if (plan.toLeave === 0) {
      Object.assign(plan, { leftNs: plan.leavingNs, leavingNs: 0n });
      this.#write(vif, plan);
    } else if (ask(vif, 'within 1 s')) {
      count('group_query_sent');
      plan.toLeave -= 1;
      if (plan.toLeave === 0) plan.lookNs = now + LAST_ANSWER_NS;
    } else {
      count('group_query_failed');
    }
  }

  #write(vif: number, { portId, fromNs, untilNs, leftNs }: Plan): void {
    this.#deps.write(vif, { portId, fromNs, untilNs, leftNs });
  }

  #planOf(vif: number, portId: string, now: bigint): Plan {
    const known = this.#plans.get(vif);
    if (known?.portId === portId) return known;
    const none = { dueNs: now, toStart: STARTUP, fromNs: 0n, untilNs: 0n, leftNs: 0n };
    const plan = { portId, lookNs: now, leavingNs: 0n, toLeave: 0, ...(this.#adopted(vif, portId, now) ?? none) };
    this.#plans.set(vif, plan);
    return plan;
  }

  /** An agent before has asked this port: what is known of it still counts. Undefined: its rows begin anew. */
  #adopted(
    vif: number,
    portId: string,
    now: bigint,
  ): Pick<Plan, 'dueNs' | 'toStart' | 'fromNs' | 'untilNs' | 'leftNs'> | undefined {
    const { rowsOf, begin, write, random } = this.#deps;
    const { asked, joinedBy } = rowsOf(vif);
    const dueNs = now + BigInt(Math.floor(random() * ADOPTED_SPREAD * Number(SECOND_NS)));
    if (joinedBy === portId && asked?.portId === portId && asked.fromNs > 0n && asked.untilNs > now)
      return { dueNs, toStart: 0, fromNs: asked.fromNs, untilNs: asked.untilNs, leftNs: asked.leftNs };
    // Nothing counts before the row is the port's.
    write(vif, { portId, fromNs: 0n, untilNs: 0n, leftNs: 0n });
    if (joinedBy !== portId) begin(vif, portId);
    return undefined;
  }

  /** `isHere`: its machine runs on this host, and hears what it is asked. */
  #turn(vif: number, plan: Plan, isHere: boolean, now: bigint): void {
    const { rowsOf, ask, count, random } = this.#deps;
    const { isUp, isRouter, joinedBy } = rowsOf(vif);
    if (joinedBy !== plan.portId) {
      // The maps are others than it was planned for.
      this.#plans.delete(vif);
      return;
    }
    if (isRouter || !isUp || !isHere) {
      const wasKnown = plan.fromNs > 0n;
      Object.assign(plan, {
        dueNs: now + (isRouter ? AGAIN_NS : SECOND_NS),
        toStart: STARTUP,
        fromNs: 0n,
        untilNs: 0n,
      });
      if (wasKnown) this.#write(vif, plan);
      return;
    }
    if (!ask(vif, 'within 10 s')) {
      count('group_query_failed');
      plan.dueNs = now + AGAIN_NS;
      return;
    }
    count('group_query_sent');
    // Too late: what was known may be over, and the answer is not there yet.
    if (plan.fromNs > 0n && plan.untilNs <= now) Object.assign(plan, { toStart: STARTUP, fromNs: 0n });
    plan.toStart = Math.max(0, plan.toStart - 1);
    if (plan.toStart > 0) {
      plan.dueNs = now + STARTUP_NS;
      return;
    }
    if (plan.fromNs === 0n) plan.fromNs = now + ANSWERED_NS;
    plan.untilNs = now + COUNTS_NS;
    this.#write(vif, plan);
    // A little sooner for some, so that not all hosts' guests fall into step.
    plan.dueNs = now + BigInt(Math.floor((0.9 + random() / 10) * QUERY_SECONDS)) * SECOND_NS;
  }
}
