/** Packets as values that can be drawn, changed, shrunk and told; and the frames that they are. */
import { arp, ETHERTYPE, ethernet, type Ipv4, icmp, icmpError, ipv4, PROTO, sctp, tcp, udp, vlan } from '../packet.ts';

export type ArpPacket = {
  readonly kind: 'arp';
  readonly src: string;
  readonly dst: string;
  readonly op: 'request' | 'reply';
  readonly sha: string;
  readonly spa: string;
  readonly tha?: string;
  readonly tpa: string;
};

/** What an IPv4 packet carries. `bytes`: so many of payload; default: a few. */
export type Body =
  | {
      readonly kind: 'tcp';
      readonly sport: number;
      readonly dport: number;
      readonly flags: number;
      /** Default: of the first segments of a connection that begins at 0 in both directions. */
      readonly seq?: number;
      readonly ack?: number;
      readonly bytes?: number;
    }
  | { readonly kind: 'udp' | 'sctp'; readonly sport: number; readonly dport: number; readonly bytes?: number }
  | {
      readonly kind: 'icmp';
      readonly type: number;
      readonly code?: number;
      readonly id?: number;
      readonly bytes?: number;
    }
  | { readonly kind: 'error'; readonly type: number; readonly code?: number; readonly about: IpPacket }
  /** `hex`: all that follows the IP header. */
  | { readonly kind: 'other'; readonly protocol: number; readonly hex: string };

export type IpPacket = {
  readonly kind: 'ip';
  readonly src: string;
  readonly dst: string;
  readonly from: string;
  readonly to: string;
  readonly ttl?: number;
  readonly id?: number;
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  readonly dontFragment?: boolean;
  /** Options in hex, a multiple of 4 bytes. */
  readonly options?: string;
  /** Bytes behind what the IP header says. */
  readonly padding?: number;
  readonly body: Body;
};

/** A frame of another kind; `tag`: an IPv4 one behind a VLAN tag. */
export type OtherFrame = { readonly kind: 'frame'; readonly src: string; readonly dst: string; readonly type: number };
export type TaggedFrame = { readonly kind: 'tagged'; readonly tag: number; readonly inside: IpPacket };

/** Whatever it is. */
export type RawFrame = { readonly kind: 'raw'; readonly hex: string };

/** `mangle`: bytes put in place of others; `cut`: so many bytes are left. */
export type Packet = (ArpPacket | IpPacket | OtherFrame | TaggedFrame | RawFrame) & {
  readonly mangle?: readonly { readonly at: number; readonly byte: number }[];
  readonly cut?: number;
};

const DEFAULT_BYTES = 8;
/** The kernel itself refuses a test run of less than an Ethernet header and that of IPv4, or of IPv6 where the type says so. */
const SHORTEST_FRAME = 34;
const SHORTEST_IPV6_FRAME = 54;

export function frameOf(packet: Packet): Buffer {
  const frame = Buffer.from(wholeFrame(packet));
  for (const { at, byte } of packet.mangle ?? []) if (at < frame.length) frame[at] = byte;
  return longEnough(packet.cut === undefined ? frame : frame.subarray(0, packet.cut));
}

/** With zeros behind it, if need be. */
export function longEnough(frame: Buffer): Buffer {
  const type = frame.length < 14 ? 0 : frame.readUInt16BE(12);
  const missing = (type === ETHERTYPE.ipv6 ? SHORTEST_IPV6_FRAME : SHORTEST_FRAME) - frame.length;
  return missing > 0 ? Buffer.concat([frame, Buffer.alloc(missing)]) : frame;
}

function wholeFrame(packet: Packet): Buffer {
  switch (packet.kind) {
    case 'arp':
      return arp(packet, packet);
    case 'frame':
      return ethernet(packet, packet.type, Buffer.alloc(46));
    case 'tagged':
      return vlan(ipFrame(packet.inside), { id: packet.tag });
    case 'raw':
      return Buffer.from(packet.hex, 'hex');
    case 'ip':
      return ipFrame(packet);
  }
}

function ipFrame({ body, padding = 0, options, ...ip }: IpPacket): Buffer {
  const withOptions = options === undefined ? ip : { ...ip, options: Buffer.from(options, 'hex') };
  return Buffer.concat([bodyFrame(withOptions, body), Buffer.alloc(padding)]);
}

const payload = (bytes = DEFAULT_BYTES): Buffer => Buffer.alloc(bytes, 0x2e);

function bodyFrame(ip: Ipv4, body: Body): Buffer {
  switch (body.kind) {
    case 'tcp':
      return tcp(ip, { ...body, payload: payload(body.bytes ?? 0) });
    case 'udp':
      return udp(ip, { ...body, payload: payload(body.bytes) });
    case 'sctp':
      return sctp(ip, { ...body, payload: payload(body.bytes) });
    case 'icmp':
      return icmp(ip, { ...body, payload: payload(body.bytes) });
    case 'error':
      return icmpError(ip, body, frameOf(body.about));
    case 'other':
      return ipv4(ip, body.protocol, Buffer.from(body.hex, 'hex'));
  }
}

/** The IANA number of what a body is. */
export function protocolOf(body: Body): number {
  switch (body.kind) {
    case 'icmp':
    case 'error':
      return PROTO.icmp;
    case 'other':
      return body.protocol;
    default:
      return PROTO[body.kind];
  }
}
