/** Connections that the kernel tracks (linux/netfilter/nfnetlink_conntrack.h): found, and forgotten. */
import { succeeded } from '../ffi/errno.ts';
import { AF_INET, AF_INET6 } from './ip.ts';
import { type AttributeMap, bytes, decodeAttributes, fixedHeader, nest, u8, u16be, u32, viewOf } from './message.ts';
import type { NetlinkSocket } from './socket.ts';

/** As who began it sees it, and whence it is answered: an address in 4 or 16 bytes, and a port. */
export type Connection = {
  readonly protocol: number;
  readonly to: ConnectionEnd;
  /** Another than `to` where the destination is translated. */
  readonly answeredBy: ConnectionEnd;
  /** What the kernel knows it by. */
  readonly handle: readonly (readonly [attribute: number, data: Uint8Array])[];
};

export type ConnectionEnd = { readonly address: Uint8Array; readonly port: number };

/** Which to find. The kernel looks at all there are, and tells these. */
export type ConnectionFilter = {
  readonly ipVersion: 4 | 6;
  readonly protocol: number;
  /** To which they were begun; absent: to any. */
  readonly port?: number;
};

const SUBSYSTEM = 1;
const MSG = { get: (SUBSYSTEM << 8) | 1, delete: (SUBSYSTEM << 8) | 2 } as const;
const CTA = { original: 1, reply: 2, id: 12, zone: 18, filter: 25 } as const;
const TUPLE = { ip: 1, protocol: 2 } as const;
const IP = { 4: { source: 1, destination: 2 }, 6: { source: 3, destination: 4 } } as const;
const PROTOCOL = { number: 1, sourcePort: 2, destinationPort: 3 } as const;
/** Which parts of a tuple a filter is about. */
const FILTER = { originalFlags: 1, replyFlags: 2, protocolNumber: 1 << 3, destinationPort: 1 << 5 } as const;
const NESTED = 0x8000;
const NFGENMSG_BYTES = 4;

/** Gives them to `take`, some at a time: the event loop is free between. A kernel before 5.8 tells all of the version of IP: here they are looked at again. `socket`: of netfilter. */
export async function findConnections(
  socket: NetlinkSocket,
  { ipVersion, protocol, port }: ConnectionFilter,
  take: (one: Connection) => void,
): Promise<void> {
  const flags = FILTER.protocolNumber | (port === undefined ? 0 : FILTER.destinationPort);
  const place = [u8(PROTOCOL.number, protocol), ...(port === undefined ? [] : [u16be(PROTOCOL.destinationPort, port)])];
  const request = {
    type: MSG.get,
    fixed: nfgenmsg(ipVersion),
    attributes: [
      nest(CTA.original, [nest(TUPLE.protocol, place)]),
      nest(CTA.filter, [u32(FILTER.originalFlags, flags), u32(FILTER.replyFlags, 0)]),
    ],
    tried: 'list connections that the kernel tracks',
  };
  await socket.dumpInTurns(request, ({ body }) => {
    const one = decodeConnection(decodeAttributes(body, NFGENMSG_BYTES), ipVersion);
    if (one?.protocol === protocol && (port === undefined || one.to.port === port)) take(one);
  });
}

/** The next packet of it begins another. False: it was gone. */
export function forgetConnection(socket: NetlinkSocket, { handle }: Connection, ipVersion: 4 | 6): boolean {
  const request = {
    type: MSG.delete,
    fixed: nfgenmsg(ipVersion),
    attributes: handle.map(([type, data]) => bytes(type === CTA.original ? type | NESTED : type, data)),
    tried: 'have the kernel forget a connection',
  };
  return succeeded(() => socket.change(request), ['ENOENT']);
}

function nfgenmsg(ipVersion: 4 | 6): Uint8Array {
  return fixedHeader([1, ipVersion === 4 ? AF_INET : AF_INET6], [1, 0], [2, 0]);
}

function decodeConnection(attributes: AttributeMap, ipVersion: 4 | 6): Connection | undefined {
  const [original, reply] = [CTA.original, CTA.reply].map((tuple) =>
    decodeAttributes(attributes.get(tuple) ?? NOTHING),
  );
  const [to, answeredBy] = [endOf(original, ipVersion, 'destination'), endOf(reply, ipVersion, 'source')];
  const protocol = decodeAttributes(original?.get(TUPLE.protocol) ?? NOTHING).get(PROTOCOL.number)?.[0];
  if (to === undefined || answeredBy === undefined || protocol === undefined) return undefined;
  const handle = [CTA.original, CTA.id, CTA.zone].flatMap((type) => {
    const data = attributes.get(type);
    return data === undefined ? [] : [[type, data] as const];
  });
  return { protocol, to, answeredBy, handle };
}

/** Undefined: it has none, as of a protocol without ports. */
function endOf(
  tuple: AttributeMap | undefined,
  ipVersion: 4 | 6,
  which: 'source' | 'destination',
): ConnectionEnd | undefined {
  const address = decodeAttributes(tuple?.get(TUPLE.ip) ?? NOTHING).get(IP[ipVersion][which]);
  const port = decodeAttributes(tuple?.get(TUPLE.protocol) ?? NOTHING).get(
    which === 'source' ? PROTOCOL.sourcePort : PROTOCOL.destinationPort,
  );
  if (address === undefined || port?.length !== 2) return undefined;
  return { address, port: viewOf(port).getUint16(0) };
}

const NOTHING = new Uint8Array();
