import {
  CB_MAX_BACKEND,
  CB_MAX_BLOCK,
  CB_MAX_CLASS,
  CB_MAX_ENDPOINT,
  CB_MAX_EXIT,
  CB_MAX_FLOOD,
  CB_MAX_FORWARD,
  CB_MAX_IN,
  CB_MAX_LEASE,
  CB_MAX_LIMIT,
  CB_MAX_MAGLEV,
  CB_MAX_MEMBER,
  CB_MAX_METER,
  CB_MAX_MIRROR,
  CB_MAX_NAT,
  CB_MAX_NEIGHBOUR,
  CB_MAX_NET,
  CB_MAX_NEXT,
  CB_MAX_PAIR,
  CB_MAX_PEER,
  CB_MAX_ROUTE,
  CB_MAX_RULE,
  CB_MAX_SERVICE,
  CB_MAX_SNAT,
  CB_MAX_SOURCE,
  CB_MAX_STEER,
  CB_MAX_SVC,
  CB_MAX_TUNNEL,
  CB_MAX_VIF,
} from '../bpf/abi.gen.ts';
import type { AgentMap } from '../desired.ts';

/** How many entries a map holds, what makes room in it, and into how many shares it is divided; absent: two. */
type MapRoom = { readonly size: number; readonly remedy: string; readonly shares?: number };

const FEWER_PORTS = 'move ports to another host';
const FEWER_LIMITS = 'give fewer floating IPs and gateways a QoS policy, or move them to other hosts';

const ROOM: Readonly<Record<AgentMap, MapRoom>> = {
  cb_tunnel_1: { size: CB_MAX_TUNNEL, remedy: 'remove hosts that are gone' },
  cb_rule_1: { size: CB_MAX_RULE, remedy: `use fewer rules or port ranges, or ${FEWER_PORTS}` },
  cb_class_1: { size: CB_MAX_CLASS, remedy: `use smaller remote groups, or ${FEWER_PORTS}` },
  cb_nat_1: { size: CB_MAX_NAT, remedy: 'use fewer floating IPs, or move gateways of routers to other hosts' },
  cb_snat_1: { size: CB_MAX_SNAT, remedy: 'move gateways of routers to other hosts' },
  cb_forward_1: {
    size: CB_MAX_FORWARD,
    remedy:
      'use fewer port forwardings, with ranges that begin and end at multiples of 8, or move gateways of routers to other hosts',
  },
  cb_lease_1: { size: CB_MAX_LEASE, remedy: 'move gateways of routers to other hosts' },
  cb_held_1: { size: CB_MAX_BLOCK, remedy: 'move gateways of routers to other hosts' },
  cb_block_1: { size: CB_MAX_BLOCK, remedy: 'move gateways of routers to other hosts' },
  cb_neigh_1: { size: CB_MAX_NEIGHBOUR, remedy: 'use fewer next hops on external networks' },
  cb_next_1: { size: CB_MAX_NEXT, remedy: 'use fewer destinations with several next hops' },
  cb_exit_1: { size: CB_MAX_EXIT, remedy: 'use fewer pods in subnets of other VPCs that leave by named nodes' },
  cb_steer_1: { size: CB_MAX_STEER, remedy: 'use policy routes at fewer routers' },
  cb_backend_1: { size: CB_MAX_BACKEND, remedy: 'use fewer endpoints of Services', shares: 4 },
  cb_service_1: {
    size: CB_MAX_SERVICE,
    remedy: 'use fewer Services, or fewer ports and addresses of each',
    shares: 4,
  },
  cb_route_2: { size: CB_MAX_ROUTE, remedy: 'use fewer extra routes' },
  cb_source_2: { size: CB_MAX_SOURCE, remedy: `use fewer allowed address pairs, or ${FEWER_PORTS}` },
  cb_member_1: { size: CB_MAX_MEMBER, remedy: 'use fewer members of load balancers' },
  cb_maglev_1: { size: CB_MAX_MAGLEV, remedy: 'use fewer pools of load balancers, or fewer members in each' },
  cb_svc_1: { size: CB_MAX_SVC, remedy: 'use fewer listeners of load balancers' },
  cb_pair_1: { size: CB_MAX_PAIR, remedy: `use fewer allowed address pairs, or ${FEWER_PORTS}` },
  cb_ep_2: { size: CB_MAX_ENDPOINT, remedy: `use smaller networks, or ${FEWER_PORTS}` },
  cb_mac_2: { size: CB_MAX_ENDPOINT, remedy: `use smaller networks, or ${FEWER_PORTS}` },
  cb_flood_2: { size: CB_MAX_FLOOD, remedy: FEWER_PORTS },
  cb_announce_1: { size: CB_MAX_FLOOD, remedy: FEWER_PORTS },
  cb_net_1: { size: CB_MAX_NET, remedy: FEWER_PORTS },
  cb_meter_1: { size: CB_MAX_METER, remedy: FEWER_PORTS },
  cb_mirrored_1: { size: CB_MAX_MIRROR, remedy: `use fewer mirrors, or ${FEWER_PORTS}` },
  cb_mirror_1: { size: CB_MAX_MIRROR, remedy: `use fewer mirrors, or ${FEWER_PORTS}` },
  cb_limited_1: { size: CB_MAX_LIMIT, remedy: FEWER_LIMITS },
  cb_limit_1: { size: CB_MAX_LIMIT, remedy: FEWER_LIMITS },
  cb_vif_2: { size: CB_MAX_VIF, remedy: FEWER_PORTS },
  cb_peer_2: { size: CB_MAX_PEER, remedy: `join fewer networks by routers, or ${FEWER_PORTS}` },
  cb_in_1: { size: CB_MAX_IN, remedy: FEWER_PORTS },
};

/** One or two entries a port: who has how many ports on a host is for those who place them, not for the tenant. */
const PLACED: ReadonlySet<AgentMap> = new Set<AgentMap>(['cb_vif_2', 'cb_in_1', 'cb_meter_1']);

/** What the kernel says when a map is full; LPM tries say the second. */
const FULL: ReadonlySet<string> = new Set(['E2BIG', 'ENOSPC']);

/** What it says when a device has vanished. */
const GONE: ReadonlySet<string> = new Set(['ENODEV', 'ENXIO']);

export type MapSizes = Readonly<Record<AgentMap, number>>;

export const MAP_SIZES: MapSizes = Object.fromEntries(
  Object.entries(ROOM).map(([map, { size }]) => [map, size]),
) as MapSizes;

/** Entries in the maps by project: none may have more than half of a map, of some less. */
export class Shares {
  readonly #sizes: MapSizes;
  readonly #counts = new Map<AgentMap, Map<string, number>>();

  constructor(sizes: MapSizes) {
    this.#sizes = sizes;
  }

  count(map: AgentMap, project: string | undefined, by: 1 | -1): void {
    if (project === undefined || PLACED.has(map)) return;
    const projects = this.#counts.get(map) ?? new Map<string, number>();
    this.#counts.set(map, projects);
    const entries = (projects.get(project) ?? 0) + by;
    if (entries > 0) projects.set(project, entries);
    else projects.delete(project);
  }

  /** Why the project may not have one more; undefined: it may. */
  refusal(map: AgentMap, project: string | undefined): string | undefined {
    if (project === undefined) return undefined;
    const { shares = 2, remedy } = ROOM[map];
    const most = Math.floor(this.#sizes[map] / shares);
    if ((this.#counts.get(map)?.get(project) ?? 0) < most) return undefined;
    const share = shares === 2 ? 'half' : `one of ${shares} shares`;
    return `project ${project} has ${share} of map ${map} (${most} entries), which is all that one may have: ${remedy}`;
  }
}

/** Whether the kernel refused an entry because the map has no room. */
export function isFull(err: unknown): boolean {
  return FULL.has(codeOf(err));
}

/** Whether the kernel refused something because the device is not there. */
export function isGone(err: unknown): boolean {
  return GONE.has(codeOf(err));
}

/** Why the kernel did not take an entry, and what makes room. */
export function refusalOf(map: AgentMap, err: unknown): string {
  if (isFull(err)) return `map ${map} is full (${ROOM[map].size} entries): ${ROOM[map].remedy}`;
  return `map ${map}: ${err instanceof Error ? err.message : String(err)}`;
}

/** The errno's name; empty: it is another kind of error. */
export function codeOf(err: unknown): string {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : '';
}
