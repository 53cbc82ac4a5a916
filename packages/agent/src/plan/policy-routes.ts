/** Policy routes of routers, as the vrouter asks them (docs/design/policy-routes.md). */
import type { PolicyRoute } from '@cable/model';
import {
  CB_STEER_ALLOW,
  CB_STEER_DROP,
  CB_STEER_F_PORTS,
  CB_STEER_F_PROTOCOL,
  CB_STEER_F_V4,
  CB_STEER_F_V6,
  CB_STEER_REROUTE,
  CB_STEERS,
  type CbRoute,
  type CbSteer,
} from '../bpf/abi.gen.ts';
import { contains, NO_ADDRESS, parsePrefix, parseUuid } from './address.ts';
import { encodeEntry } from './entries.ts';
import { routeBy } from './route-entries.ts';
import type { Leg } from './router-legs.ts';
import type { StatedFact } from './topics.ts';
import { type Family, headerFamily, itemFamily, type PlanReader } from './unit.ts';

/** Networks by which packets come to a router that has policy routes: those of its interfaces, and the external one of its gateway. */
export const STEERED_NETWORKS: Family = itemFamily(
  { name: 'steered network', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { networkId }, reader) => {
    const router = reader.header('router', routerId);
    if (router?.policies === undefined) return {};
    const networks = [networkId, ...(router.gateway === undefined ? [] : [router.gateway.networkId])];
    return {
      facts: networks.map((key): StatedFact => ({ topic: 'steered', key, member: routerId, value: null })),
    };
  },
);

/** A router's policy routes, all in one entry: no packet meets a part of them. */
export const POLICY_ROUTES: Family = headerFamily(
  { name: 'policy routes', slice: 'router', subject: 'host' },
  ({ scope: routerId }, { policies = [] }, reader) => {
    const vrf = reader.number('router', routerId);
    if (vrf === undefined || policies.length === 0) return {};
    const legs = reader.sortedFacts('leg-of', routerId).map(({ value }) => value);
    const steers = policies.slice(0, CB_STEERS).flatMap((policy) => steerOf(policy, legs, reader));
    if (steers.length === 0) return {};
    return {
      projectId: reader.facts('network', legs[0]?.networkId ?? '').get('')?.value.projectId,
      entries: [encodeEntry('cb_steer_1', { vrf }, { count: steers.length, steer: steers })],
    };
  },
);

/** None: nothing can come by its network here. */
function steerOf(policy: PolicyRoute, legs: readonly Leg[], reader: PlanReader): readonly CbSteer[] {
  const { id, networkId, protocol, ports, sourcePorts } = policy;
  const net = networkId === undefined ? 0 : reader.facts('network', networkId).get('')?.value.net;
  if (net === undefined) return [];
  const [src, srcMask] = masked(policy.source);
  const [dst, dstMask] = masked(policy.destination);
  return [
    {
      ...{ src, srcMask, dst, dstMask, net },
      policy: Buffer.from(parseUuid(id) ?? NO_ADDRESS).readUInt32BE(),
      ...{ firstSport: sourcePorts?.[0] ?? 0, lastSport: sourcePorts?.[1] ?? 65_535 },
      ...{ firstDport: ports?.[0] ?? 0, lastDport: ports?.[1] ?? 65_535 },
      protocol: protocol ?? 0,
      flags:
        (protocol === undefined ? 0 : CB_STEER_F_PROTOCOL) |
        (ports === undefined && sourcePorts === undefined ? 0 : CB_STEER_F_PORTS) |
        (policy.ipVersion === 4 ? CB_STEER_F_V4 : 0) |
        (policy.ipVersion === 6 ? CB_STEER_F_V6 : 0),
      ...leading(policy, legs),
    },
  ];
}

/** Where the next hop cannot be reached the packet is dropped: it must not go by the way that it was taken from. */
function leading({ action, nextHop }: PolicyRoute, legs: readonly Leg[]): Pick<CbSteer, 'action' | 'route'> {
  if (action === 'allow') return { action: CB_STEER_ALLOW, route: NO_ROUTE };
  const hop = action === 'reroute' && nextHop !== undefined ? parsePrefix(nextHop) : undefined;
  const via = hop && legs.find(({ way }) => way !== undefined && contains(way.prefix, hop))?.way;
  if (hop === undefined || via === undefined) return { action: CB_STEER_DROP, route: NO_ROUTE };
  return { action: CB_STEER_REROUTE, route: routeBy(hop, via, hop.bytes).value };
}

const NO_ROUTE: CbRoute = {
  ...{ kind: 0, flags: 0, net: 0, mtuBytes: 0, mac: new Uint8Array(6) },
  ...{ nexthop: NO_ADDRESS, own: NO_ADDRESS, outside: 0 },
};

/** A prefix as address and mask; absent: both are zero, and everything fits. */
function masked(text: string | undefined): readonly [Uint8Array, Uint8Array] {
  const prefix = text === undefined ? undefined : parsePrefix(text);
  if (prefix === undefined) return [NO_ADDRESS, NO_ADDRESS];
  const mask = Uint8Array.from({ length: 16 }, (_, at) => {
    const bits = Math.max(0, Math.min(8, prefix.length - 8 * at));
    return (0xff << (8 - bits)) & 0xff;
  });
  return [prefix.bytes, mask];
}
