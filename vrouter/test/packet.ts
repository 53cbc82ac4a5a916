/**
 * Ethernet frames for packet tests: builders of bytes, with right checksums. `packet-text.ts` reads them; ICMPv6 and what is made of it is in
 * `icmp6.ts`.
 */

/** Numbers of protocols and of ICMP types that the tests use. */
export const PROTO = { icmp: 1, igmp: 2, tcp: 6, udp: 17, gre: 47, icmp6: 58, sctp: 132 } as const;
export const ICMP = {
  echoReply: 0,
  unreachable: 3,
  redirect: 5,
  echo: 8,
  timeExceeded: 11,
  parameterProblem: 12,
} as const;
export const TCP = { fin: 1, syn: 2, rst: 4, ack: 16 } as const;
export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, vlanOuter: 0x88a8 } as const;
export const BROADCAST = 'ff:ff:ff:ff:ff:ff';

export type Ethernet = { readonly src: string; readonly dst: string };

export type Ipv4 = Ethernet & {
  readonly from: string;
  readonly to: string;
  readonly ttl?: number;
  readonly id?: number;
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  readonly dontFragment?: boolean;
  /** Bytes of options, a multiple of 4; or the options themselves. */
  readonly options?: number | Uint8Array;
  readonly tos?: number;
};

/** An extension header: its protocol number and its body, without "next header" and length; padded to whole 8 bytes with zeros (Pad1). */
export type Extension = { readonly protocol: number; readonly body: Uint8Array };

export type Ipv6 = Ethernet & {
  readonly from: string;
  readonly to: string;
  readonly hopLimit?: number;
  readonly flowLabel?: number;
  readonly trafficClass?: number;
  readonly extensions?: readonly Extension[];
  /** A fragment header, after the extensions. `offset` in bytes, a multiple of 8. */
  readonly fragment?: { readonly id: number; readonly offset?: number; readonly more?: boolean };
};

/** A packet of either family, told apart by its addresses. */
export type Ip = Ipv4 | Ipv6;

export type Ports = { readonly sport: number; readonly dport: number; readonly payload?: Uint8Array };

/** RFC 1071. Over bytes whose checksum is right, 0. */
export function checksum(...parts: readonly Uint8Array[]): number {
  const bytes = Buffer.concat([...parts, ...(parts.reduce((n, p) => n + p.length, 0) % 2 ? [Buffer.alloc(1)] : [])]);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** SCTP's checksum (RFC 9260, appendix A), as the number that stands in the header little-endian. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

/** Four bytes, or sixteen. */
export function ipBytes(ip: string): Buffer {
  return ip.includes(':') ? ip6Bytes(ip) : Buffer.from(ip.split('.').map(Number));
}

function ip6Bytes(ip: string): Buffer {
  const [left = '', right] = ip.split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [before, after] = [words(left), words(right ?? '')];
  const zeros = right === undefined ? 0 : 8 - before.length - after.length;
  const bytes = Buffer.alloc(16);
  for (const [i, word] of [...before, ...Array<number>(zeros).fill(0), ...after].entries())
    bytes.writeUInt16BE(word, i * 2);
  return bytes;
}

/** The MAC that a multicast address of either family is sent to (RFC 1112, RFC 2464). */
export function multicastMac(ip: string): string {
  const bytes = ipBytes(ip);
  const mac =
    bytes.length === 16
      ? [0x33, 0x33, ...bytes.subarray(12)]
      : [0x01, 0x00, 0x5e, (bytes[1] ?? 0) & 0x7f, ...bytes.subarray(2)];
  return mac.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function ethernet(eth: Ethernet, type: number, payload: Uint8Array): Buffer {
  const head = Buffer.concat([macBytes(eth.dst), macBytes(eth.src), Buffer.alloc(2)]);
  head.writeUInt16BE(type, 12);
  return Buffer.concat([head, payload]);
}

/** The frame with a tag (IEEE 802.1Q) before its type. `outer`: the tag of a provider (802.1ad). */
export function vlan(frame: Uint8Array, tag: { id: number; priority?: number; outer?: boolean }): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(tag.outer ? ETHERTYPE.vlanOuter : ETHERTYPE.vlan, 0);
  head.writeUInt16BE(((tag.priority ?? 0) << 13) | tag.id, 2);
  return Buffer.concat([frame.subarray(0, 12), head, frame.subarray(12)]);
}

export function arp(
  eth: Ethernet,
  what: { op: 'request' | 'reply'; sha: string; spa: string; tha?: string; tpa: string },
): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, what.op === 'request' ? 1 : 2]);
  const tha = macBytes(what.tha ?? '00:00:00:00:00:00');
  const body = Buffer.concat([head, macBytes(what.sha), ipBytes(what.spa), tha, ipBytes(what.tpa)]);
  return ethernet(eth, ETHERTYPE.arp, body);
}

export function ipv4(ip: Ipv4, protocol: number, payload: Uint8Array): Buffer {
  const options = typeof ip.options === 'object' ? ip.options : Buffer.alloc(ip.options ?? 0, 1);
  const head = Buffer.concat([Buffer.alloc(20), options]);
  head[0] = 0x40 | (head.length / 4);
  head[1] = ip.tos ?? 0;
  head.writeUInt16BE(head.length + payload.length, 2);
  head.writeUInt16BE(ip.id ?? 0, 4);
  const flags = (ip.moreFragments ? 0x2000 : 0) | (ip.dontFragment ? 0x4000 : 0);
  head.writeUInt16BE(flags | ((ip.fragmentOffset ?? 0) / 8), 6);
  head[8] = ip.ttl ?? 64;
  head[9] = protocol;
  ipBytes(ip.from).copy(head, 12);
  ipBytes(ip.to).copy(head, 16);
  head.writeUInt16BE(checksum(head), 10);
  return ethernet(ip, ETHERTYPE.ipv4, Buffer.concat([head, payload]));
}

const FRAGMENT_HEADER = 44;

export function ipv6(ip: Ipv6, protocol: number, payload: Uint8Array): Buffer {
  const headers = (ip.extensions ?? []).map(({ protocol, body }) => ({ protocol, bytes: extensionBytes(body) }));
  if (ip.fragment !== undefined) headers.push({ protocol: FRAGMENT_HEADER, bytes: fragmentBytes(ip.fragment) });
  for (const [i, { bytes }] of headers.entries()) bytes[0] = headers[i + 1]?.protocol ?? protocol;
  const rest = Buffer.concat([...headers.map(({ bytes }) => bytes), payload]);
  const head = Buffer.alloc(40);
  head.writeUInt32BE(((6 << 28) | ((ip.trafficClass ?? 0) << 20) | (ip.flowLabel ?? 0)) >>> 0, 0);
  head.writeUInt16BE(rest.length, 4);
  head[6] = headers[0]?.protocol ?? protocol;
  head[7] = ip.hopLimit ?? 64;
  ipBytes(ip.from).copy(head, 8);
  ipBytes(ip.to).copy(head, 24);
  return ethernet(ip, ETHERTYPE.ipv6, Buffer.concat([head, rest]));
}

function extensionBytes(body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(Math.ceil((body.length + 2) / 8) * 8);
  bytes[1] = bytes.length / 8 - 1;
  bytes.set(body, 2);
  return bytes;
}

function fragmentBytes(fragment: NonNullable<Ipv6['fragment']>): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16BE((fragment.offset ?? 0) | (fragment.more ? 1 : 0), 2);
  bytes.writeUInt32BE(fragment.id, 4);
  return bytes;
}

function isIpv6(ip: Ip): ip is Ipv6 {
  return ip.from.includes(':');
}

/** A packet of the family that its addresses have. */
export function packet(ip: Ip, protocol: number, payload: Uint8Array): Buffer {
  return isIpv6(ip) ? ipv6(ip, protocol, payload) : ipv4(ip, protocol, payload);
}

/** What checksums of transport protocols cover besides them (RFC 793, RFC 8200 section 8.1). */
export function pseudoHeader(ip: { from: string; to: string }, protocol: number, length: number): Buffer {
  const ends = Buffer.concat([ipBytes(ip.from), ipBytes(ip.to)]);
  const rest = Buffer.alloc(8);
  rest.writeUInt32BE(length, 0);
  rest[7] = protocol;
  return Buffer.concat([ends, rest]);
}

export function udp(ip: Ip, ports: Ports & { readonly noChecksum?: boolean }): Buffer {
  const payload = ports.payload ?? Buffer.from('payload!');
  const segment = Buffer.concat([Buffer.alloc(8), payload]);
  segment.writeUInt16BE(ports.sport, 0);
  segment.writeUInt16BE(ports.dport, 2);
  segment.writeUInt16BE(segment.length, 4);
  if (!ports.noChecksum)
    segment.writeUInt16BE(checksum(pseudoHeader(ip, PROTO.udp, segment.length), segment) || 0xffff, 6);
  return packet(ip, PROTO.udp, segment);
}

/** Numbers that are left out are those of the first segments of a connection that begins at 0 in both directions. */
export function tcp(
  ip: Ip,
  ports: Ports & { readonly flags: number; readonly seq?: number; readonly ack?: number; readonly window?: number },
): Buffer {
  const segment = Buffer.concat([Buffer.alloc(20), ports.payload ?? Buffer.alloc(0)]);
  segment.writeUInt16BE(ports.sport, 0);
  segment.writeUInt16BE(ports.dport, 2);
  segment.writeUInt32BE(ports.seq ?? (ports.flags & TCP.syn ? 0 : 1), 4);
  segment.writeUInt32BE(ports.ack ?? (ports.flags & TCP.ack ? 1 : 0), 8);
  segment[12] = 0x50;
  segment[13] = ports.flags;
  segment.writeUInt16BE(ports.window ?? 64240, 14);
  segment.writeUInt16BE(checksum(pseudoHeader(ip, PROTO.tcp, segment.length), segment), 16);
  return packet(ip, PROTO.tcp, segment);
}

/** Types of SCTP chunks (RFC 9260). */
export const SCTP_CHUNK = { data: 0, init: 1, initAck: 2, abort: 6, cookieEcho: 10, cookieAck: 11 } as const;

/** An SCTP packet with one chunk (default: DATA, with the payload). `tag`: of verification; 0 in an INIT. */
export function sctp(ip: Ip, ports: Ports & { readonly tag?: number; readonly chunk?: number }): Buffer {
  const type = ports.chunk ?? SCTP_CHUNK.data;
  const value = sctpValue(type, ports.payload);
  const bytes = Buffer.alloc(12 + 4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16BE(ports.sport, 0);
  bytes.writeUInt16BE(ports.dport, 2);
  bytes.writeUInt32BE(ports.tag ?? 0, 4);
  bytes[12] = type;
  bytes[13] = type === SCTP_CHUNK.data ? WHOLE_MESSAGE : 0;
  bytes.writeUInt16BE(4 + value.length, 14);
  value.copy(bytes, 16);
  bytes.writeUInt32LE(crc32c(bytes), 8);
  return packet(ip, PROTO.sctp, bytes);
}

/** Flags of a DATA chunk that is the first and the last of its message. */
const WHOLE_MESSAGE = 3;

function sctpValue(type: number, payload: Uint8Array | undefined): Buffer {
  if (type === SCTP_CHUNK.data) return Buffer.concat([Buffer.alloc(12), payload ?? Buffer.from('payload!')]);
  if (type !== SCTP_CHUNK.init && type !== SCTP_CHUNK.initAck) return Buffer.from(payload ?? []);
  const fixed = Buffer.alloc(16);
  for (const [at, word] of [1, 65_536, 0x0001_0001, 1].entries()) fixed.writeUInt32BE(word, at * 4);
  return Buffer.concat([fixed, payload ?? Buffer.alloc(0)]);
}

/** A GRE packet (RFC 2784, RFC 2890). `type`: of what it carries. Fields that are not given are not in the header. */
export function gre(
  ip: Ip,
  what: { type: number; key?: number; sequence?: number; checksum?: boolean; payload?: Uint8Array },
): Buffer {
  const has = [what.checksum === true, what.key !== undefined, what.sequence !== undefined];
  const words = [what.checksum ? 0 : undefined, what.key, what.sequence].filter((word) => word !== undefined);
  const bytes = Buffer.concat([Buffer.alloc(4 + words.length * 4), what.payload ?? Buffer.from('payload!')]);
  bytes.writeUInt16BE((has[0] ? 0x8000 : 0) | (has[1] ? 0x2000 : 0) | (has[2] ? 0x1000 : 0), 0);
  bytes.writeUInt16BE(what.type, 2);
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, 4 + i * 4);
  if (what.checksum) bytes.writeUInt16BE(checksum(bytes), 4);
  return packet(ip, PROTO.gre, bytes);
}

export function icmp(
  ip: Ipv4,
  message: { type: number; code?: number; id?: number; sequence?: number; payload?: Uint8Array },
): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(8), message.payload ?? Buffer.from('payload!')]);
  bytes[0] = message.type;
  bytes[1] = message.code ?? 0;
  bytes.writeUInt16BE(message.id ?? 0, 4);
  bytes.writeUInt16BE(message.sequence ?? 0, 6);
  bytes.writeUInt16BE(checksum(bytes), 2);
  return ipv4(ip, PROTO.icmp, bytes);
}

/** A frame tunnelled by VXLAN (RFC 7348) over either family, without an outer UDP checksum unless `checksum` says otherwise. */
export function vxlan(
  outer: Ip,
  tunnel: { readonly vni: number; readonly sport?: number; readonly dport?: number; readonly checksum?: boolean },
  inner: Uint8Array,
): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(0x0800_0000, 0);
  head.writeUInt32BE(tunnel.vni * 256, 4);
  const ports = { sport: tunnel.sport ?? 49152, dport: tunnel.dport ?? 4789, payload: Buffer.concat([head, inner]) };
  return udp(outer, { ...ports, noChecksum: tunnel.checksum !== true });
}

/**
 * An ICMP error about a frame's packet: quotes its IP header and so many bytes of the rest, 8 if not said. `mtu`: of "fragmentation needed";
 * `gateway`: of a redirect; `pointer`: of a parameter problem.
 */
export function icmpError(
  ip: Ipv4,
  error: { type: number; code?: number; mtu?: number; gateway?: string; pointer?: number; quoted?: number },
  about: Uint8Array,
): Buffer {
  const header = ((about[14] ?? 0) & 0xf) * 4;
  const word = error.gateway === undefined ? Buffer.alloc(4) : ipBytes(error.gateway);
  if (error.mtu !== undefined) word.writeUInt16BE(error.mtu, 2);
  if (error.pointer !== undefined) word[0] = error.pointer;
  return icmp(ip, {
    ...{ type: error.type, code: error.code ?? 0, id: word.readUInt16BE(0), sequence: word.readUInt16BE(2) },
    payload: about.subarray(14, 14 + header + (error.quoted ?? 8)),
  });
}

/** A DHCP message's fixed part. */
export function bootp(fields: { ciaddr?: string; broadcast?: boolean }): Buffer {
  const bytes = Buffer.alloc(240);
  bytes[0] = 2;
  if (fields.broadcast) bytes.writeUInt16BE(0x8000, 10);
  if (fields.ciaddr !== undefined) ipBytes(fields.ciaddr).copy(bytes, 12);
  return bytes;
}
