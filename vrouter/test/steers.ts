/** What an agent writes for policy routes. Networks are named by the test's numbers, as in `World`. */
import {
  CB_ROUTE_NEXTHOP,
  CB_STEER_ALLOW,
  CB_STEER_DROP,
  CB_STEER_F_PORTS,
  CB_STEER_F_PROTOCOL,
  CB_STEER_F_V4,
  CB_STEER_F_V6,
  CB_STEER_REROUTE,
  type CbSteer,
  MAPS,
} from '../../packages/agent/src/bpf/abi.gen.ts';
import { macBytes } from './packet.ts';
import { addr, type World } from './world.ts';

type Range = { readonly min: number; readonly max: number };

/** Left out: any. `way`: of `reroute`; without it the packet is dropped. */
export type Steering = {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly protocol?: number | undefined;
  readonly sports?: Range | undefined;
  readonly dports?: Range | undefined;
  readonly net?: number | undefined;
  readonly family?: 4 | 6 | undefined;
  readonly way?: { readonly vni: number; readonly mac: string; readonly nextHop: string; readonly mtu?: number };
};

const NOBODY = new Uint8Array(16);
const ALL: Range = { min: 0, max: 65_535 };
const NO_ROUTE = {
  ...{ kind: 0, flags: 0, net: 0, mtuBytes: 0, mac: new Uint8Array(6) },
  ...{ nexthop: NOBODY, own: NOBODY, outside: 0 },
};

/** A prefix as address and mask. */
function masked(cidr: string | undefined): readonly [Uint8Array, Uint8Array] {
  if (cidr === undefined) return [NOBODY, NOBODY];
  const [base = '', length = '0'] = cidr.split('/');
  const bits = Number(length) + (base.includes(':') ? 0 : 96);
  const mask = Uint8Array.from({ length: 16 }, (_, at) => 0xff << (8 - Math.max(0, Math.min(8, bits - 8 * at))));
  return [addr(base).map((byte, at) => byte & (mask[at] ?? 0)), mask];
}

/** `policy`: the number by which a trace knows it. */
export function steerOf(
  world: World,
  policy: number,
  action: 'allow' | 'drop' | 'reroute',
  { from, to, protocol, sports, dports, net, family, way }: Steering = {},
): CbSteer {
  const [[src, srcMask], [dst, dstMask]] = [masked(from), masked(to)];
  const [{ min: firstSport, max: lastSport }, { min: firstDport, max: lastDport }] = [sports ?? ALL, dports ?? ALL];
  const leads = action === 'reroute' && way !== undefined;
  return {
    ...{ src, srcMask, dst, dstMask, policy, firstSport, lastSport, firstDport, lastDport, protocol: protocol ?? 0 },
    action: action === 'allow' ? CB_STEER_ALLOW : leads ? CB_STEER_REROUTE : CB_STEER_DROP,
    net: net === undefined ? 0 : world.net(net),
    flags:
      (protocol === undefined ? 0 : CB_STEER_F_PROTOCOL) |
      (sports === undefined && dports === undefined ? 0 : CB_STEER_F_PORTS) |
      (family === 4 ? CB_STEER_F_V4 : family === 6 ? CB_STEER_F_V6 : 0),
    route: leads
      ? {
          ...NO_ROUTE,
          ...{ kind: CB_ROUTE_NEXTHOP, net: world.net(way.vni), mtuBytes: way.mtu ?? 1450 },
          ...{ mac: macBytes(way.mac), nexthop: addr(way.nextHop) },
        }
      : NO_ROUTE,
  };
}

export function setSteers(world: World, vrf: number, steer: readonly CbSteer[]): void {
  world.write(MAPS.cb_steer_1, { vrf }, { count: steer.length, steer });
}
