import type { Turns } from '@cable/kit';
import { AGENT_MAPS, type AgentMap, type MapEntry } from '../desired.ts';
import type { Planned } from './entries.ts';
import type { Unit } from './units.ts';

/** A unit's word that the map shall hold the entry. */
export type Claim = Planned & {
  readonly unit: Unit;
  /** Whose entry it is; undefined: nobody's in particular. */
  readonly projectId: string | undefined;
  /** Number of the last reading of the maps that met its key there; 0: none did. */
  metBy: number;
};

/** What the desired state says of one map key, before and now; undefined: nothing. */
export type EntryChange = {
  readonly map: AgentMap;
  readonly key: string;
  readonly before: Claim | undefined;
  readonly after: Claim | undefined;
};

type Link = Claim & { next: Link | undefined };

type Heads = Map<string, Link>;

type Befores = Readonly<Record<AgentMap, Map<string, Claim | undefined>>>;

/** The claims of all units. Of several on one map key that of the lowest rank stands, whatever order they came in. */
export class Claims {
  readonly #heads: Readonly<Record<AgentMap, Heads>> = byMap(() => new Map<string, Link>());
  /** What stood before the changes that have not been taken yet; undefined until the first time: everything is new. */
  #before: Befores | undefined;

  /** The claim that stands. */
  get(map: AgentMap, key: string): Claim | undefined {
    return this.#heads[map].get(key);
  }

  /** Claims that stand, by key. */
  of(map: AgentMap): ReadonlyMap<string, Claim> {
    return this.#heads[map];
  }

  /** The unit claims these now instead of `before`, which an earlier call returned for it. Of two with one key the first counts. */
  replace(unit: Unit, before: readonly Claim[], planned: readonly Planned[]): readonly Claim[] {
    if (planned.length === 0 && before.length === 0) return before;
    const wanted = unique(planned);
    if (before.length === 0) return wanted.map((one) => this.put(unit, one.map, one));
    const find = finderOf(before);
    const after = wanted.map((one) => {
      const known = find(one);
      return known !== undefined && same(known, one, unit) ? known : this.put(unit, one.map, one);
    });
    const stands = finderOf(after);
    for (const one of before) if (stands(one) === undefined) this.remove(unit, one.map, one.key);
    return after;
  }

  /** Adds the unit's claim, or replaces the one it has on this key. */
  put(unit: Unit, map: AgentMap, { key, value, onlyAllows }: MapEntry): Claim {
    const heads = this.#heads[map];
    const head = heads.get(key);
    this.#touch(map, key, head);
    const more = onlyAllows === undefined ? {} : { onlyAllows };
    const link: Link = { map, key, value, ...more, unit, projectId: unit.projectId, metBy: 0, next: undefined };
    heads.set(key, head === undefined ? link : inserted(without(head, unit), link));
    return link;
  }

  /** Removes the unit's claim; it may have none. */
  remove(unit: Unit, map: AgentMap, key: string): void {
    const head = this.#heads[map].get(key);
    if (head === undefined) return;
    this.#touch(map, key, head);
    const rest = without(head, unit);
    if (rest === undefined) this.#heads[map].delete(key);
    else this.#heads[map].set(key, rest);
  }

  /** What changed since the last call, by map; nothing that is as it was. The first call tells nothing: all that stands is new. */
  async take(turns: Turns): Promise<readonly EntryChange[]> {
    const taken = this.#before;
    this.#before = byMap(() => new Map<string, Claim | undefined>());
    const changes: EntryChange[] = [];
    if (taken === undefined) return changes;
    for (const map of AGENT_MAPS) {
      for (const [key, before] of taken[map]) {
        const after = this.#heads[map].get(key);
        if (before !== after) changes.push({ map, key, before, after });
        if (turns.due()) await turns.next();
      }
    }
    return changes;
  }

  #touch(map: AgentMap, key: string, head: Claim | undefined): void {
    const before = this.#before?.[map];
    if (before !== undefined && !before.has(key)) before.set(key, head);
  }
}

/** So many are looked through faster than they are indexed. */
const FEW = 8;

/** Finds the one with the same map and key. */
function finderOf<T extends Planned>(list: readonly T[]): (wanted: Planned) => T | undefined {
  if (list.length <= FEW) return (wanted) => list.find((one) => sameKey(one, wanted));
  const index = new Map(list.map((one) => [`${one.map} ${one.key}`, one] as const));
  return ({ map, key }) => index.get(`${map} ${key}`);
}

/** Without those that have the key of an earlier one. */
function unique(planned: readonly Planned[]): readonly Planned[] {
  if (planned.length <= FEW) {
    const repeats = (one: Planned, i: number): boolean => planned.findIndex((other) => sameKey(one, other)) < i;
    return planned.some(repeats) ? planned.filter((one, i) => !repeats(one, i)) : planned;
  }
  const seen = new Set<string>();
  return planned.filter(({ map, key }) => {
    const known = seen.size;
    return seen.add(`${map} ${key}`).size > known;
  });
}

function sameKey(a: Planned, b: Planned): boolean {
  return a.map === b.map && a.key === b.key;
}

function byMap<T>(make: () => T): Record<AgentMap, T> {
  return Object.fromEntries(AGENT_MAPS.map((map) => [map, make()])) as Record<AgentMap, T>;
}

function same(claim: Claim, { value }: MapEntry, unit: Unit): boolean {
  return claim.projectId === unit.projectId && claim.value === value;
}

/** The chain without the unit's claim. A link that stands behind another is given a new place. Of one key many may claim: no recursion. */
function without(head: Link | undefined, unit: Unit): Link | undefined {
  if (head?.unit === unit) return head.next;
  for (let at = head; at !== undefined; at = at.next) {
    if (at.next?.unit !== unit) continue;
    at.next = at.next.next;
    break;
  }
  return head;
}

/** The chain with the link at the place of its rank. */
function inserted(head: Link | undefined, link: Link): Link {
  if (head === undefined || link.unit.before(head.unit)) {
    link.next = head;
    return link;
  }
  let at = head;
  while (at.next !== undefined && !link.unit.before(at.next.unit)) at = at.next;
  link.next = at.next;
  at.next = link;
  return head;
}
