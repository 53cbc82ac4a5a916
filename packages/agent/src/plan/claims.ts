import { AGENT_MAPS, type AgentMap, type MapEntry } from '../desired.ts';
import type { Planned } from './entries.ts';
import type { Unit } from './units.ts';

/** A unit's word that the map shall hold the entry. */
export type Claim = {
  readonly map: AgentMap;
  readonly entry: MapEntry;
  readonly unit: Unit;
  /** Whose entry it is; undefined: nobody's in particular. */
  readonly projectId: string | undefined;
};

/** What the desired state says of one map key, before and now; undefined: nothing. */
export type EntryChange = {
  readonly map: AgentMap;
  readonly id: string;
  readonly before: Claim | undefined;
  readonly after: Claim | undefined;
};

type Link = Claim & { next: Link | undefined };

type Heads = Map<string, Link>;

/** The claims of all units. Of several on one map key that of the lowest rank stands, whatever order they came in. */
export class Claims {
  readonly #heads: Readonly<Record<AgentMap, Heads>> = byMap(() => new Map<string, Link>());
  /** What stood before the changes that have not been taken yet. */
  #before: Readonly<Record<AgentMap, Map<string, Claim | undefined>>> = byMap(
    () => new Map<string, Claim | undefined>(),
  );

  /** The claim that stands. */
  get(map: AgentMap, id: string): Claim | undefined {
    return this.#heads[map].get(id);
  }

  /** Claims that stand, by entry id. */
  of(map: AgentMap): ReadonlyMap<string, Claim> {
    return this.#heads[map];
  }

  /** The unit claims these now instead of `before`, which an earlier call returned for it. Of two with one key the first counts. */
  replace(unit: Unit, before: readonly Claim[], planned: readonly Planned[]): readonly Claim[] {
    const find = finderOf(before);
    const after: Claim[] = [];
    const seen = planned.length > FEW ? new Set<string>() : undefined;
    for (const { map, entry } of planned) {
      if (
        seen === undefined
          ? after.some((one) => one.map === map && one.entry.id === entry.id)
          : seen.has(keyOf(map, entry))
      )
        continue;
      seen?.add(keyOf(map, entry));
      const known = find(map, entry);
      after.push(known !== undefined && same(known, entry, unit) ? known : this.put(unit, map, entry));
    }
    if (before.length === 0) return after;
    const stands = finderOf(after);
    for (const { map, entry } of before) if (stands(map, entry) === undefined) this.remove(unit, map, entry.id);
    return after;
  }

  /** Adds the unit's claim, or replaces the one it has on this key. */
  put(unit: Unit, map: AgentMap, entry: MapEntry): Claim {
    const heads = this.#heads[map];
    this.#touch(map, entry.id);
    const link: Link = { map, entry, unit, projectId: unit.projectId, next: undefined };
    const rest = without(heads.get(entry.id), unit);
    heads.set(entry.id, inserted(rest, link));
    return link;
  }

  /** Removes the unit's claim; it may have none. */
  remove(unit: Unit, map: AgentMap, id: string): void {
    const head = this.#heads[map].get(id);
    if (head === undefined) return;
    this.#touch(map, id);
    const rest = without(head, unit);
    if (rest === undefined) this.#heads[map].delete(id);
    else this.#heads[map].set(id, rest);
  }

  /** What changed since the last call, by map; nothing that is as it was. */
  take(): readonly EntryChange[] {
    const changes: EntryChange[] = [];
    for (const map of AGENT_MAPS) {
      for (const [id, before] of this.#before[map]) {
        const after = this.#heads[map].get(id);
        if (before !== after) changes.push({ map, id, before, after });
      }
    }
    this.#before = byMap(() => new Map<string, Claim | undefined>());
    return changes;
  }

  #touch(map: AgentMap, id: string): void {
    const before = this.#before[map];
    if (!before.has(id)) before.set(id, this.#heads[map].get(id));
  }
}

/** So many are looked through faster than they are indexed. */
const FEW = 8;

/** Finds the claim on an entry's key. */
function finderOf(claims: readonly Claim[]): (map: AgentMap, entry: MapEntry) => Claim | undefined {
  if (claims.length <= FEW) return (map, entry) => claims.find((one) => one.map === map && one.entry.id === entry.id);
  const index = new Map(claims.map((claim) => [keyOf(claim.map, claim.entry), claim] as const));
  return (map, entry) => index.get(keyOf(map, entry));
}

function byMap<T>(make: () => T): Record<AgentMap, T> {
  return Object.fromEntries(AGENT_MAPS.map((map) => [map, make()])) as Record<AgentMap, T>;
}

function same(claim: Claim, entry: MapEntry, unit: Unit): boolean {
  return claim.projectId === unit.projectId && Buffer.compare(claim.entry.value, entry.value) === 0;
}

/** The chain without the unit's claim. A link that stands behind another is given a new place; those before it are made anew. */
function without(head: Link | undefined, unit: Unit): Link | undefined {
  if (head === undefined) return undefined;
  if (head.unit === unit) return head.next;
  head.next = without(head.next, unit);
  return head;
}

/** The chain with the link at the place of its rank. */
function inserted(head: Link | undefined, link: Link): Link {
  if (head === undefined || link.unit.before(head.unit)) {
    link.next = head;
    return link;
  }
  head.next = inserted(head.next, link);
  return head;
}

function keyOf(map: AgentMap, entry: MapEntry): string {
  return `${map} ${entry.id}`;
}
