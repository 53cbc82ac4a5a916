import type { ByteText } from '../bpf/codec.ts';
import type { AgentMap } from '../desired.ts';
import type { Due } from './due.ts';

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

/** Whether a decision that a flow rests on may be another once these are written, so that the epoch must rise. */
export class Decisions {
  /** Routes in the kernel by router number. */
  readonly #routes = new Map<string, number>();

  concern({ map, key, have }: Due): boolean {
    if (have !== undefined) return DECIDING.has(map);
    // A route added to a vrf that has routes may take packets from a shorter one. Other additions revoke nothing: a class of a longer prefix
    // holds at least the rules of the prefix around it, and refusals are not remembered in flows.
    return map === 'cb_route_1' && this.#routes.has(vrfOf(key));
  }

  /** The kernel got an entry that it had not, or lost one. */
  count(map: AgentMap, key: ByteText, by: 1 | -1): void {
    if (map !== 'cb_route_1') return;
    const vrf = vrfOf(key);
    const routes = (this.#routes.get(vrf) ?? 0) + by;
    if (routes > 0) this.#routes.set(vrf, routes);
    else this.#routes.delete(vrf);
  }
}

/** The vrf field of a cb_route_1 key: the four bytes after the prefix length. */
function vrfOf(key: ByteText): ByteText {
  return key.slice(4, 8);
}
