/** Routes. Ours carry their own protocol number: a fresh agent knows them by it, and no other's route is ever changed. */
import { absentOn, NetlinkError, succeeded } from '../ffi/errno.ts';
import { AF_INET, AF_INET6, decodeIp, encodeIp, encodePrefix } from './ip.ts';
import { bytes, decodeAttributes, fixedHeader, type NetlinkMessage, readU32, u8, u16be, u32 } from './message.ts';
import { type NetlinkSocket, NLM } from './socket.ts';

/** rtm_protocol of every route that Cable makes (`ip route show proto 67`). */
export const ROUTE_PROTOCOL = 67;

export type RouteSpec = {
  /** `10.1.0.0/24`; `0.0.0.0/0` or `::/0`: the default route. Host bits are zero. */
  readonly destination: string;
  readonly ifindex: number;
  /** Next hop; none: the destination is on the link. */
  readonly gateway?: string;
  /** The gateway need not be in a prefix of the device. */
  readonly onlink?: boolean;
  /** Default 0 (IPv6: the kernel makes it 1024). */
  readonly metric?: number;
  /** Number of the table, which is ours alone. Default: the main table. */
  readonly table?: number;
};

export type Route = {
  readonly destination: string;
  readonly ifindex: number;
  /** Empty: none. */
  readonly gateway: string;
  readonly metric: number;
  /** rtm_protocol: 2 kernel, 3 boot, 4 static, 67 ours. */
  readonly protocol: number;
};

export const RTM_ROUTE = { create: 24, delete: 25, get: 26 } as const;
/** Attributes of a route (linux/rtnetlink.h), and of its metrics. */
export const RTA = {
  destination: 1,
  source: 2,
  ifindex: 4,
  gateway: 5,
  metric: 6,
  metrics: 8,
  table: 15,
  via: 18,
  encapsulation: 22,
  ipProtocol: 27,
  destinationPort: 29,
} as const;
export const RTAX = { lock: 1, mtu: 2 } as const;
const IPPROTO_UDP = 17;
const TABLE_MAIN = 254;
const SCOPE = { universe: 0, link: 253 } as const;
const TYPE_UNICAST = 1;
const RTNH_F_ONLINK = 4;
const RTMSG_BYTES = 12;

/** Which routes to list; default: all. */
export type RouteFilter = {
  readonly protocol?: number;
  readonly ifindex?: number;
  /** Number of the table. Default: the main table. */
  readonly table?: number;
};

/** Unicast routes of a table. */
export function listRoutes(socket: NetlinkSocket, filter: RouteFilter = {}): Route[] {
  const attributes = [
    ...(filter.ifindex === undefined ? [] : [u32(RTA.ifindex, filter.ifindex)]),
    ...(filter.table === undefined ? [] : [u32(RTA.table, filter.table)]),
  ];
  return [AF_INET, AF_INET6].flatMap((family) => {
    const fixed = rtmsg({ family, length: 0, protocol: filter.protocol ?? 0, scope: 0, type: TYPE_UNICAST, flags: 0 });
    const request = { type: RTM_ROUTE.get, fixed, attributes, tried: 'list the routes' };
    const answers = absentOn(['EAFNOSUPPORT', 'EOPNOTSUPP', 'ENOENT', 'ENODEV'], () => socket.dump(request)) ?? [];
    const table = filter.table ?? TABLE_MAIN;
    return answers.filter(({ body }) => tableOf(body) === table).map(decodeRoute);
  });
}

/** One of more than a byte is told by an attribute alone. */
function tableOf(body: Uint8Array): number {
  const told = decodeAttributes(body, RTMSG_BYTES).get(RTA.table);
  return told === undefined ? (body[4] ?? 0) : readU32(told);
}

/** Makes the route, or replaces ours to that destination. EEXIST: another's route has the destination and metric. */
export function ensureRoute(socket: NetlinkSocket, spec: RouteSpec): void {
  if (spec.table !== undefined) {
    changeRoute(socket, spec, NLM.create | NLM.replace);
    return;
  }
  if (succeeded(() => changeRoute(socket, spec, NLM.create | NLM.exclusive), ['EEXIST'])) return;
  const others = listRoutes(socket).filter((r) => r.destination === spec.destination && sameMetric(r, spec));
  const foreign = others.find((r) => r.protocol !== ROUTE_PROTOCOL);
  if (foreign !== undefined) {
    const detail = `a route of protocol ${foreign.protocol} has this destination`;
    throw new NetlinkError(`add route ${spec.destination}`, 'EEXIST', detail);
  }
  if (others.some((r) => r.ifindex === spec.ifindex && r.gateway === (spec.gateway ?? ''))) return;
  changeRoute(socket, spec, NLM.create | NLM.replace);
}

/** Removes our route to the destination; false: there was none. */
export function deleteRoute(
  socket: NetlinkSocket,
  spec: Pick<RouteSpec, 'destination' | 'ifindex' | 'metric' | 'table'>,
): boolean {
  const destination = encodePrefix(spec.destination);
  const fixed = rtmsg({ ...destination, protocol: ROUTE_PROTOCOL, scope: 255, type: TYPE_UNICAST, flags: 0 });
  const attributes = [
    bytes(RTA.destination, destination.bytes),
    u32(RTA.ifindex, spec.ifindex),
    ...(spec.metric === undefined ? [] : [u32(RTA.metric, spec.metric)]),
    ...(spec.table === undefined ? [] : [u32(RTA.table, spec.table)]),
  ];
  const request = { type: RTM_ROUTE.delete, fixed, attributes, tried: `delete route ${spec.destination}` };
  return succeeded(() => socket.change(request), ['ESRCH', 'ENODEV', 'ENOENT']);
}

function changeRoute(socket: NetlinkSocket, spec: RouteSpec, flags: number): void {
  const destination = encodePrefix(spec.destination);
  const scope = spec.gateway === undefined && destination.family === AF_INET ? SCOPE.link : SCOPE.universe;
  const routeFlags = spec.onlink === true ? RTNH_F_ONLINK : 0;
  const head = { ...destination, protocol: ROUTE_PROTOCOL, scope, type: TYPE_UNICAST, flags: routeFlags };
  const attributes = [
    bytes(RTA.destination, destination.bytes),
    u32(RTA.ifindex, spec.ifindex),
    ...(spec.gateway === undefined ? [] : [bytes(RTA.gateway, encodeIp(spec.gateway).bytes)]),
    ...(spec.metric === undefined ? [] : [u32(RTA.metric, spec.metric)]),
    ...(spec.table === undefined ? [] : [u32(RTA.table, spec.table)]),
  ];
  const by = spec.gateway === undefined ? '' : ` by ${spec.gateway}`;
  const tried = `add route ${spec.destination}${by} on device ${spec.ifindex}`;
  socket.change({ type: RTM_ROUTE.create, flags, fixed: rtmsg(head), attributes, tried });
}

/** Where the kernel sends a datagram first. */
export type WayTo = {
  readonly ifindex: number;
  /** The gateway, or the destination itself where it is on the link. */
  readonly nexthop: string;
  /** Of the route, or found on the way (path MTU); 0: what the device has. */
  readonly mtuBytes: number;
};

/** What the kernel says where there is no way, or the source is no address of this host. */
const NO_WAY = [
  'ENETUNREACH',
  'EHOSTUNREACH',
  'EACCES',
  'EINVAL',
  'ENONET',
  'ENODEV',
  'ENETDOWN',
  'EADDRNOTAVAIL',
] as const;

/**
 * The way of a UDP datagram between two addresses of one family, as all rules and routes have it now. Undefined: none, or one of another kind (to this host
 * itself, by a gateway of the other family, into a tunnel of the route's). Of several equal ways, the one that the kernel takes for a datagram without a source port.
 */
export function lookUpWay(
  socket: NetlinkSocket,
  { from, to, port }: { readonly from: string; readonly to: string; readonly port: number },
): WayTo | undefined {
  const { family, bytes: destination } = encodeIp(to);
  const bits = destination.length * 8;
  const lengths = [[1, bits] as const, [1, bits] as const];
  const request = {
    type: RTM_ROUTE.get,
    fixed: fixedHeader([1, family], ...lengths, [1, 0], [1, 0], [1, 0], [1, 0], [1, 0], [4, 0]),
    attributes: [
      bytes(RTA.destination, destination),
      bytes(RTA.source, encodeIp(from).bytes),
      u8(RTA.ipProtocol, IPPROTO_UDP),
      u16be(RTA.destinationPort, port),
    ],
    tried: `look up the route from ${from} to ${to}`,
  };
  const answer = absentOn(NO_WAY, () => socket.get(request));
  return answer === undefined ? undefined : decodeWay(answer, to);
}

function decodeWay({ body }: NetlinkMessage, to: string): WayTo | undefined {
  const attributes = decodeAttributes(body, RTMSG_BYTES);
  const ifindex = readU32(attributes.get(RTA.ifindex));
  const other = attributes.has(RTA.via) || attributes.has(RTA.encapsulation);
  if (body[7] !== TYPE_UNICAST || ifindex === 0 || other) return undefined;
  const gateway = attributes.get(RTA.gateway);
  const metrics = decodeAttributes(attributes.get(RTA.metrics) ?? new Uint8Array());
  return {
    ifindex,
    nexthop: gateway === undefined ? to : decodeIp(gateway),
    mtuBytes: readU32(metrics.get(RTAX.mtu)),
  };
}

type RouteHead = {
  readonly family: number;
  readonly length: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: number;
  readonly flags: number;
};

/** struct rtmsg, of the main table. */
function rtmsg(head: RouteHead): Uint8Array {
  const { family, length, protocol, scope, type, flags } = head;
  const routing = [[1, TABLE_MAIN] as const, [1, protocol] as const, [1, scope] as const, [1, type] as const];
  return fixedHeader([1, family], [1, length], [1, 0], [1, 0], ...routing, [4, flags]);
}

const IPV6_DEFAULT_METRIC = 1024;

function sameMetric(route: Route, spec: RouteSpec): boolean {
  const fallback = spec.destination.includes(':') ? IPV6_DEFAULT_METRIC : 0;
  return route.metric === (spec.metric ?? fallback);
}

function decodeRoute(message: NetlinkMessage): Route {
  const { body } = message;
  const attributes = decodeAttributes(body, RTMSG_BYTES);
  const any = body[0] === AF_INET6 ? '::' : '0.0.0.0';
  const destination = attributes.get(RTA.destination);
  const gateway = attributes.get(RTA.gateway);
  return {
    destination: `${destination === undefined ? any : decodeIp(destination)}/${body[1] ?? 0}`,
    ifindex: readU32(attributes.get(RTA.ifindex)),
    gateway: gateway === undefined ? '' : decodeIp(gateway),
    metric: readU32(attributes.get(RTA.metric)),
    protocol: body[5] ?? 0,
  };
}
