/** Routing by the mark of packets, IPv4: a rule for a mark, and the default route of its table with the size that packets are cut to. */
import { succeeded } from '../ffi/errno.ts';
import { AF_INET, encodeIp } from './ip.ts';
import { bytes, fixedHeader, nest, u32 } from './message.ts';
import { ROUTE_PROTOCOL, RTA, RTAX, RTM_ROUTE } from './route.ts';
import { type NetlinkSocket, NLM } from './socket.ts';

export type MarkedRoute = {
  /** Packets with these bits of the mark take it. */
  readonly mark: number;
  readonly mask: number;
  /** Number of the table, which is also the rule's priority; 256 or more. */
  readonly table: number;
  readonly ifindex: number;
  /** Needs not be reachable by a route; the device must be up. */
  readonly gateway: string;
  /** Packets that may be cut are, into this size; found path MTUs do not count. */
  readonly mtuBytes: number;
};

const RTM_NEWRULE = 32;
const FRA = { priority: 6, mark: 10, table: 15, mask: 16 } as const;
const FR_ACT_TO_TABLE = 1;
/** The table is told by an attribute. */
const TABLE_UNSPECIFIED = 0;
const TYPE_UNICAST = 1;
const RTNH_F_ONLINK = 4;

/** Makes the rule and the route, or takes those that are there; the route becomes as it is wanted. */
export function ensureMarkedRoute(socket: NetlinkSocket, spec: MarkedRoute): void {
  const { mark, mask, table, ifindex, gateway, mtuBytes } = spec;
  const tried = `route packets with the mark ${mark.toString(16)} by device ${ifindex}`;
  const metrics = [u32(RTAX.lock, 1 << RTAX.mtu), u32(RTAX.mtu, mtuBytes)];
  socket.change({
    type: RTM_ROUTE.create,
    flags: NLM.create | NLM.replace,
    fixed: fixedHeader(
      ...([
        [1, AF_INET],
        [1, 0],
        [1, 0],
        [1, 0],
        [1, TABLE_UNSPECIFIED],
        [1, ROUTE_PROTOCOL],
        [1, 0],
      ] as const),
      ...([
        [1, TYPE_UNICAST],
        [4, RTNH_F_ONLINK],
      ] as const),
    ),
    attributes: [
      u32(RTA.table, table),
      u32(RTA.ifindex, ifindex),
      bytes(RTA.gateway, encodeIp(gateway).bytes),
      nest(RTA.metrics, metrics),
    ],
    tried,
  });
  const rule = {
    type: RTM_NEWRULE,
    flags: NLM.create | NLM.exclusive,
    fixed: fixedHeader(
      ...([
        [1, AF_INET],
        [1, 0],
        [1, 0],
        [1, 0],
        [1, TABLE_UNSPECIFIED],
        [1, 0],
        [1, 0],
      ] as const),
      ...([
        [1, FR_ACT_TO_TABLE],
        [4, 0],
      ] as const),
    ),
    attributes: [u32(FRA.priority, table), u32(FRA.mark, mark), u32(FRA.mask, mask), u32(FRA.table, table)],
    tried,
  };
  succeeded(() => socket.change(rule), ['EEXIST']);
}
