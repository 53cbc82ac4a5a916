/** The VXLAN device of the overlay: one in "external" mode, whose programs choose VNI and remote for each packet. */
import { NetlinkError } from '../ffi/errno.ts';
import { getLink, IFLA, IFLA_INFO, ifinfo, type Link, linkAttributes, RTM_LINK, requireLink, setLink } from './link.ts';
import { decodeAttributes, type NetlinkMessage, nest, text, u8, u16be, viewOf } from './message.ts';
import { type NetlinkSocket, NLM } from './socket.ts';

export type VxlanSpec = {
  readonly name: string;
  /** UDP port, in and out. */
  readonly port: number;
  /** Default: the kernel's, which leaves room for the headers in 1500. */
  readonly mtuBytes?: number;
  readonly mac?: string;
  /** Default true. */
  readonly up?: boolean;
};

const IFLA_VXLAN = { learning: 7, port: 15, zeroChecksum6Receive: 20, collectMetadata: 25 } as const;
const IFF_UP = 0x1;
const IFINFO_BYTES = 16;

/** Makes the device, or adopts the one there. EEXIST: a device of that name is something else, or another port's. */
export function ensureVxlan(
  socket: NetlinkSocket,
  spec: VxlanSpec,
): { readonly link: Link; readonly created: boolean } {
  const existing = getLink(socket, spec.name);
  if (existing !== undefined) return { link: adopt(socket, existing, spec), created: false };
  const data = [
    u8(IFLA_VXLAN.collectMetadata, 1),
    u8(IFLA_VXLAN.learning, 0),
    u8(IFLA_VXLAN.zeroChecksum6Receive, 1),
    u16be(IFLA_VXLAN.port, spec.port),
  ];
  socket.change({
    type: RTM_LINK.create,
    flags: NLM.create | NLM.exclusive,
    fixed: spec.up === false ? ifinfo(0) : ifinfo(0, IFF_UP, IFF_UP),
    attributes: [...linkAttributes(spec), nest(IFLA.info, [text(IFLA_INFO.kind, 'vxlan'), nest(IFLA_INFO.data, data)])],
    tried: `create the VXLAN device ${spec.name} on port ${spec.port}`,
  });
  return { link: requireLink(socket, spec.name), created: true };
}

function adopt(socket: NetlinkSocket, link: Link, spec: VxlanSpec): Link {
  const tried = `look at device ${spec.name}`;
  const answer = socket.get({ type: RTM_LINK.get, fixed: ifinfo(link.ifindex), tried });
  if (link.kind !== 'vxlan' || !isExternal(answer, spec.port)) {
    const detail = `it is there, but no external VXLAN device on port ${spec.port}`;
    throw new NetlinkError(`create the VXLAN device ${spec.name}`, 'EEXIST', detail);
  }
  const change = {
    ...(spec.mac === undefined || spec.mac.toLowerCase() === link.mac ? {} : { mac: spec.mac }),
    ...(spec.mtuBytes === undefined || spec.mtuBytes === link.mtuBytes ? {} : { mtuBytes: spec.mtuBytes }),
    ...(link.up || spec.up === false ? {} : { up: true }),
  };
  if (Object.keys(change).length > 0) setLink(socket, link.ifindex, change);
  return requireLink(socket, link.ifindex);
}

function isExternal(message: NetlinkMessage, port: number): boolean {
  const info = decodeAttributes(decodeAttributes(message.body, IFINFO_BYTES).get(IFLA.info) ?? new Uint8Array());
  const data = decodeAttributes(info.get(IFLA_INFO.data) ?? new Uint8Array());
  const actual = data.get(IFLA_VXLAN.port);
  return (
    data.get(IFLA_VXLAN.collectMetadata)?.[0] === 1 && actual !== undefined && viewOf(actual).getUint16(0) === port
  );
}
