/**
 * The members to which connections are balanced. Which one is free to the programs, within what is promised: one that takes connections; with affinity the same for all of a
 * client's, as long as nothing but others' health changes.
 */
import type { Choose } from './balancers.ts';
import type { Member, Pool } from './cloud.ts';
import { readIpv4 } from './headers.ts';
import type { Outcome } from './outcome.ts';
import type { Way } from './ways.ts';

/** The way by one of those to whom a packet may go. Nobody: there is nothing to choose. */
export type Choice = { readonly way: Way; readonly pool?: Pool; readonly member?: Member };

export class Members {
  /** What a client had last, by pool and who of it takes connections. */
  readonly #had = new Map<string, string>();
  /** What the programs have done with the packet. */
  seen: Outcome | undefined;
  /** True: what they have done does not say to whom the packet went, or would have gone. */
  isUncertain = false;

  /** A way for each that may be chosen. */
  choices(client: string, wayBy: (choose: Choose) => Way): readonly Choice[] {
    const choices: Choice[] = [];
    let places = 1;
    while (choices.length < places) {
      let chosen: Omit<Choice, 'way'> = {};
      const way = wayBy((pool, all) => {
        const among = this.#candidates(pool, client, all);
        places = among.length;
        const member = among[choices.length] ?? all[0];
        if (member === undefined) throw new Error(`pool ${pool.name} has nobody to choose`);
        chosen = { pool, member };
        return member;
      });
      choices.push({ way, ...chosen });
    }
    return choices;
  }

  #candidates(pool: Pool, client: string, all: readonly Member[]): readonly Member[] {
    if (!pool.affinity) return all;
    const had = this.#had.get(keyOf(pool, client)) ?? this.#had.get(keyOf(withAllUp(pool), client));
    const same = all.filter(({ name }) => name === had);
    return same.length > 0 ? same : all;
  }

  /** The one that the programs have taken. `refusal`: why a packet would not pass by a way, and whose doing that is; undefined: it would. */
  taken(client: string, choices: readonly Choice[], refusal: (way: Way) => string | undefined): Way {
    const [first] = choices;
    if (first === undefined) throw new Error('there is nothing to choose from');
    if (choices.length === 1) return this.#noted(client, first);
    const likely = choices.filter((choice) => this.#isLike(choice, refusal(choice.way)));
    const [taken = first] = likely;
    if (this.seen?.kind === 'drop' && WHOEVER.has(this.seen.reason))
      return (likely.find(({ way }) => refusal(way) === OWN_ANSWER) ?? taken).way;
    const ends = new Set(likely.map(({ way, member }) => refusal(way) ?? member?.name));
    // Whoever it is, it is refused: that does not say who.
    if (ends.size <= 1)
      return likely.length > 1 && refusal(taken.way) !== undefined ? taken.way : this.#noted(client, taken);
    this.isUncertain = true;
    return taken.way;
  }

  #noted(client: string, { way, pool, member }: Choice): Way {
    if (pool?.affinity === true && member !== undefined) this.#had.set(keyOf(pool, client), member.name);
    return way;
  }

  /** Is what was done what would become of the packet by that choice? */
  #isLike({ member, way }: Choice, refusal: string | undefined): boolean {
    const { seen } = this;
    if (seen === undefined) return true;
    if (seen.kind === 'drop' && WHOEVER.has(seen.reason)) return way.kind !== 'drop';
    if (seen.kind === 'drop') return refusal !== undefined && isOf(refusal, seen.reason);
    if (!('frame' in seen)) return false;
    if ('refusal' in seen) return refusal === (seen.refusal === 'no_member' ? seen.refusal : undefined);
    const ip = readIpv4(seen.frame);
    if (typeof ip === 'string' || refusal !== undefined) return false;
    return ip.to === member?.address && (ip.fragment === 'later' || ip.tuple.dport === member.port);
  }
}

/** Why a packet is dropped that has a way, whoever the member is. */
const WHOEVER: ReadonlySet<string> = new Set(['invalid_state']);
/** But to one it would be its own answer. */
export const OWN_ANSWER = 'invalid_state';

function isOf(refusal: string, reason: string): boolean {
  return refusal.split(' ')[0] === reason;
}

function withAllUp(pool: Pool): Pool {
  return { ...pool, members: pool.members.map((member) => ({ ...member, isDown: false })) };
}

function keyOf({ name, members }: Pool, client: string): string {
  const taking = members.filter(({ weight }) => weight > 0);
  const places = taking.map((member) => `${member.name} ${member.weight} ${member.isDown}`).sort();
  return [client, name, ...places].join();
}
