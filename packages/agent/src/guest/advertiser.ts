import { type Logger, Repeats } from '@cable/kit';
import type { GuestRecord, RaNetwork } from '../desired.ts';
import { type Icmp6Socket, openIcmp6Socket } from '../net/icmp6-socket.ts';
import type { NetnsRef } from '../net/netns.ts';
import { raTemplate, SOLICITATION, solicitationFault } from './ra.ts';
import { createRateLimit } from './rate-limit.ts';
import { linkLocalServiceAddress, vifOf } from './service-address.ts';

export type AdvertiserOptions = {
  /** The agent's own service address of IPv6; it must be on a link already. */
  readonly address: string;
  /** The network namespace that has it; default: the one this process is in. */
  readonly netns?: NetnsRef;
  readonly guests: () => ReadonlyMap<number, GuestRecord>;
  /** Adds one to a counter. */
  readonly count: (counter: string) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

/** What the schedule of advertisements needs of the world. */
export type AdvertiserDeps = Pick<AdvertiserOptions, 'guests' | 'count' | 'log'> & {
  /** To all nodes behind the VIF. False: it could not go out. */
  readonly send: (bytes: Uint8Array, vif: number) => boolean;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** At least 0, less than 1. */
  readonly random: () => number;
};

/** What one VIF hears. */
type Plan = {
  readonly advertisement: RaNetwork;
  /** Of this port: a VIF's number may become another's. */
  readonly portId: string;
  readonly bytes: Uint8Array;
  /** Prefixes that it had, with the time until which it says that they are no more. */
  readonly withdrawn: ReadonlyMap<string, number>;
  /** When the next one goes. */
  dueMs: number;
  /** How many more go in short intervals. */
  initial: number;
};

/** Longest and shortest time between two that nobody asked for (RFC 4861 §6.2.1): lifetimes are three times the longest. */
const MAX_INTERVAL_MS = 600_000;
const MIN_INTERVAL_MS = 200_000;
/** After a change (§6.2.4, §10): so many, so far apart. */
const INITIAL = 3;
const INITIAL_INTERVAL_MS = 16_000;
/** Guests that are there when the agent starts know their router: their first one may be a while. */
const START_SPREAD_MS = 60_000;
/** So long is a prefix that is gone called so: then no guest has an address in it any more (RFC 4862 §5.5.3). */
const WITHDRAWN_MS = 7_200_000;
/** How often is looked, and how many go out in one look. */
const LOOK_MS = 250;
const MAX_PER_LOOK = 50;
const NONE: Plan['withdrawn'] = new Map();
const SOLICITATIONS = { burst: 10, perSecond: 1 };

/** Starts hearing solicitations and advertising. Ends with the signal. Throws when the socket cannot be opened. */
export function startAdvertiser(options: AdvertiserOptions): void {
  const { log, signal, netns } = options;
  const socket: Icmp6Socket = openIcmp6Socket({
    address: options.address,
    type: SOLICITATION,
    ...(netns === undefined ? {} : { netns }),
    onMessage: (bytes, sender) => advertiser.hear(bytes, sender),
    onError: (err) => log.error({ err }, 'router solicitations are heard no more: restart the agent'),
    signal,
  });
  const advertiser = new Advertiser({
    ...options,
    send: (bytes, vif) => socket.send(bytes, linkLocalServiceAddress(vif)),
    now: () => performance.now(),
    random: Math.random,
  });
  const timer = setInterval(() => advertiser.look(), LOOK_MS);
  const stop = (): void => clearInterval(timer);
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
}

/** Which VIF hears its router when. */
export class Advertiser {
  readonly #deps: AdvertiserDeps;
  readonly #limit;
  readonly #told: Repeats;
  readonly #plans = new Map<number, Plan>();
  /** Some guest was seen: those that come later are new. */
  #started = false;

  constructor(deps: AdvertiserDeps) {
    this.#deps = deps;
    this.#limit = createRateLimit({ ...SOLICITATIONS, now: deps.now });
    this.#told = new Repeats(deps.now);
  }

  /** A message that came from a service address. It is answered at once: nobody but its sender hears the answer, so there is no storm to avoid. */
  hear(bytes: Uint8Array, sender: string): void {
    const vif = vifOf(sender);
    const guest = vif === undefined ? undefined : this.#deps.guests().get(vif);
    const refused = vif === undefined || guest === undefined ? 'unknown_guest' : this.#refusal(bytes, vif);
    const plan = vif === undefined || guest === undefined ? undefined : this.#planOf(vif, guest);
    if (vif === undefined || plan === undefined || refused !== undefined) {
      this.#deps.count(`ra_ignored_${refused ?? 'no_router'}`);
    } else {
      this.#send(vif, plan, 'ra_answered');
    }
  }

  #refusal(bytes: Uint8Array, vif: number): string | undefined {
    return this.#limit.take(vif) ? solicitationFault(bytes)?.replaceAll('-', '_') : 'rate_limited';
  }

  /** Sends what is due: a part of it, if it is much; the rest is due at the next look. */
  look(): void {
    const guests = this.#deps.guests();
    for (const vif of this.#plans.keys()) if (!guests.has(vif)) this.#plans.delete(vif);
    let room = MAX_PER_LOOK;
    for (const [vif, guest] of guests) {
      const plan = this.#planOf(vif, guest);
      if (plan === undefined || plan.dueMs > this.#deps.now()) continue;
      if (room === 0) continue;
      room -= 1;
      this.#send(vif, plan, 'ra_sent');
      this.#defer(plan);
    }
    this.#started ||= guests.size > 0;
  }

  #send(vif: number, { bytes }: Plan, counter: string): void {
    this.#deps.count(this.#deps.send(bytes, vif) ? counter : 'ra_send_failed');
  }

  /** At random, so that VIFs do not fall into step. */
  #defer(plan: Plan): void {
    plan.initial = Math.max(0, plan.initial - 1);
    const interval = MIN_INTERVAL_MS + this.#deps.random() * (MAX_INTERVAL_MS - MIN_INTERVAL_MS);
    plan.dueMs = this.#deps.now() + (plan.initial > 0 ? Math.min(interval, INITIAL_INTERVAL_MS) : interval);
  }

  #planOf(vif: number, guest: GuestRecord): Plan | undefined {
    const { advertisement, portId } = guest;
    const known = this.#plans.get(vif);
    const old = known?.portId === portId ? known : undefined;
    if (old?.advertisement === advertisement && !this.#isOver(old.withdrawn)) return old;
    const withdrawn = advertisement === null ? NONE : this.#withdrawn(advertisement, old);
    const template = advertisement === null ? undefined : raTemplate(advertisement, [...withdrawn.keys()]);
    if (advertisement === null || template === undefined) {
      this.#plans.delete(vif);
      return undefined;
    }
    const isSame = old !== undefined && Buffer.compare(old.bytes, template.bytes) === 0;
    const when = this.#when(isSame ? old : undefined);
    const plan: Plan = { advertisement, portId, bytes: template.bytes, withdrawn, ...when };
    this.#plans.set(vif, plan);
    if (template.omitted.length > 0 && this.#told.isNews(portId, 'omitted')) {
      const fields = { port: portId, omitted: template.omitted };
      this.#deps.log.warn(fields, 'the router advertisement does not say all that the subnets want');
    }
    return plan;
  }

  #isOver(withdrawn: Plan['withdrawn']): boolean {
    const now = this.#deps.now();
    return [...withdrawn.values()].some((until) => until <= now);
  }

  /** What the old plan advertised, or withdrew not long ago, and the new one does not. */
  #withdrawn(advertisement: RaNetwork, old: Plan | undefined): Plan['withdrawn'] {
    if (old === undefined) return NONE;
    const now = this.#deps.now();
    const said = old.advertisement.subnets.filter(({ raMode }) => raMode !== null).map(({ cidr }) => cidr);
    const gone = new Map([...old.withdrawn, ...said.map((cidr) => [cidr, now + WITHDRAWN_MS] as const)]);
    for (const { cidr } of advertisement.subnets) gone.delete(cidr);
    for (const [cidr, until] of gone) if (until <= now) gone.delete(cidr);
    return gone;
  }

  /** What is new or changed is told at once, and again soon. */
  #when(old: Plan | undefined): Pick<Plan, 'dueMs' | 'initial'> {
    if (old !== undefined) return { dueMs: old.dueMs, initial: old.initial };
    const now = this.#deps.now();
    if (this.#started) return { dueMs: now, initial: INITIAL };
    return { dueMs: now + this.#deps.random() * START_SPREAD_MS, initial: 1 };
  }
}
