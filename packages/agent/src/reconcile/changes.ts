import { AGENT_MAPS, type AgentMap, type DesiredState, type MapEntry } from '../desired.ts';

/** Kernel content by map. The reconciler is its only writer. */
export type Shadow = Record<AgentMap, Map<string, MapEntry>>;

export type Change = { readonly map: AgentMap; readonly entry: MapEntry };

export type Changes = {
  /** In the order in which they must be made. */
  readonly puts: readonly Change[];
  /** In the order in which they must be made, after all puts. */
  readonly deletes: readonly Change[];
  /** True: a decision that a flow rests on may now be another, so that the epoch must rise. */
  readonly decisions: boolean;
};

/** Maps whose entries decide about packets: a changed or deleted entry may revoke or redirect what a flow was granted. */
const DECIDING: ReadonlySet<AgentMap> = new Set<AgentMap>([
  'cb_rule_1',
  'cb_class_1',
  'cb_route_1',
  'cb_source_1',
  'cb_ep_1',
  'cb_mac_1',
  'cb_vif_1',
]);

/**
 * What to write so that the kernel holds the desired entries: puts with the referent before its reference, deletes the other way.
 * `mayDelete` tells which undesired entries are known to be stale. An entry equal to the shadow's is not written; it replaces the
 * shadow's object, so that the next comparison is by identity.
 */
export function diffMaps(
  shadow: Shadow,
  desired: DesiredState['maps'],
  mayDelete: (map: AgentMap, id: string) => boolean,
): Changes {
  const puts: Change[] = [];
  const deletes: Change[] = [];
  let decisions = false;
  for (const map of AGENT_MAPS) {
    const actual = shadow[map];
    const additionsDecide = map === 'cb_route_1' ? routedVrfs(actual) : undefined;
    for (const [id, entry] of desired[map]) {
      const have = actual.get(id);
      if (have === entry) continue;
      if (have !== undefined && Buffer.compare(have.value, entry.value) === 0) {
        actual.set(id, entry);
        continue;
      }
      puts.push({ map, entry });
      if (have === undefined ? additionsDecide?.has(vrfOf(id)) : DECIDING.has(map)) decisions = true;
    }
  }
  for (const map of [...AGENT_MAPS].reverse()) {
    for (const [id, entry] of shadow[map]) {
      if (desired[map].has(id) || !mayDelete(map, id)) continue;
      deletes.push({ map, entry });
      if (DECIDING.has(map)) decisions = true;
    }
  }
  return { puts, deletes, decisions };
}

/**
 * A route added to a vrf that has routes may take packets from a shorter one. Other additions revoke nothing: a class of a longer
 * prefix holds at least the rules of the prefix around it, and refusals are not remembered in flows.
 */
function routedVrfs(routes: ReadonlyMap<string, MapEntry>): ReadonlySet<string> {
  return new Set([...routes.keys()].map(vrfOf));
}

/** The vrf field of a cb_route_1 key in hex: the four bytes after the prefix length. */
function vrfOf(id: string): string {
  return id.slice(8, 16);
}
