import type { ByteText } from '../bpf/codec.ts';
import { AGENT_MAPS, type AgentMap, type MapEntry } from '../desired.ts';
import type { Claim, EntryChange } from '../plan/claims.ts';
import type { Unit } from '../plan/units.ts';

/** A map key where the kernel is not as desired yet. */
export type Due = {
  readonly map: AgentMap;
  readonly key: ByteText;
  /** What the kernel holds, and under whose name it was counted. */
  have: MapEntry | undefined;
  project: string | undefined;
  /** Undefined: nothing shall be there. */
  want: Claim | undefined;
  /** The unit whose entry it was until nobody wanted it any more; undefined: it is wanted, or of an earlier run. */
  loser: Unit | undefined;
  /** Undefined: it was not refused. */
  refusal: Refusal | undefined;
};

/** Why the kernel, or the project's share, has no room for an entry of the unit. */
export type Refusal = { readonly reason: string; readonly unit: Unit };

/** What is to be written, by map and key. */
export class DueTable {
  readonly #maps = Object.fromEntries(AGENT_MAPS.map((map) => [map, new Map()])) as Record<AgentMap, Map<string, Due>>;

  /** In no order; entries may be added and deleted meanwhile. */
  of(map: AgentMap): Iterable<Due> {
    return this.#maps[map].values();
  }

  get(map: AgentMap, key: ByteText): Due | undefined {
    return this.#maps[map].get(key);
  }

  add(due: Due): void {
    this.#maps[due.map].set(due.key, due);
  }

  delete(due: Due): void {
    this.#maps[due.map].delete(due.key);
  }

  /**
   * The desired state changed. What the kernel holds is what was desired before, unless it is still due, or `stale`: an entry of an earlier
   * run that nobody wanted until now.
   */
  note({ map, key, before, after }: EntryChange, stale: MapEntry | undefined): Due {
    const known = this.#maps[map].get(key);
    const loser = after === undefined ? before?.unit : undefined;
    if (known !== undefined) {
      known.want = after;
      known.loser = loser;
      return known;
    }
    const have = stale ?? before;
    const project = stale === undefined ? before?.projectId : undefined;
    const due: Due = { map, key, have, project, want: after, loser, refusal: undefined };
    this.add(due);
    return due;
  }
}

/** Whether the kernel holds these very bytes. */
export function holds({ have, want }: Due): boolean {
  if (have === undefined || want === undefined) return have === undefined && want === undefined;
  return have.value === want.value;
}
