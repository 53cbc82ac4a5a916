/** Frames that a trace begins with: what a guest would send, byte by byte. Addresses are in the 128-bit form. */
import type { TraceEnds, TracePacket } from '@cable/model';
import { formatAddress, isMapped, parseAddress } from '../plan/address.ts';

const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd, vlan: 0x8100 } as const;
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 } as const;
const BROADCAST = Buffer.alloc(6, 0xff);
const WITH_PORTS: readonly number[] = [PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.sctp];
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');
const ETHERNET_BYTES = 14;
const TAG_BYTES = 4;
const HOP_LIMIT = 64;
const LINK_HOP_LIMIT = 255;
const NEIGHBOUR_SOLICITATION = 135;

export type Sender = { readonly mac: Uint8Array; readonly address: Uint8Array };

/** ARP, or a neighbour solicitation: who has `target`? */
export function whoHas({ mac, address }: Sender, target: Uint8Array): Buffer {
  if (isMapped(target)) {
    const body = [Buffer.from('0001080006040001', 'hex'), mac, v4(address), Buffer.alloc(6), v4(target)];
    return ethernet(BROADCAST, mac, ETHERTYPE.arp, body);
  }
  const low = target.subarray(13);
  const to = Buffer.concat([Buffer.from('ff0200000000000000000001ff', 'hex'), low]);
  const body = Buffer.concat([
    Buffer.from([NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]),
    target,
    Buffer.from([1, 1]),
    mac,
  ]);
  fillChecksum(body, 2, pseudoHeader(address, to, PROTOCOL.icmp6, body.length));
  const group = Buffer.concat([Buffer.from('3333ff', 'hex'), low]);
  return ethernet(group, mac, ETHERTYPE.ipv6, [
    header6(address, to, PROTOCOL.icmp6, body.length, LINK_HOP_LIMIT),
    body,
  ]);
}

/** MAC in an ARP answer or a neighbour advertisement; undefined: the frame is neither. */
export function macOf(frame: Uint8Array): Uint8Array | undefined {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  if (view.length >= 42 && view.readUInt16BE(12) === ETHERTYPE.arp && view.readUInt16BE(20) === 2)
    return view.subarray(22, 28);
  if (view.length >= 86 && view.readUInt16BE(12) === ETHERTYPE.ipv6 && view[54] === 136) return view.subarray(80, 86);
  return undefined;
}

/** Whence the frame's packet comes and whither it goes; undefined: that is not known. */
export function endsOf(frame: Uint8Array): TraceEnds | undefined {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  if (view.length < ETHERNET_BYTES) return undefined;
  const isTagged = view.readUInt16BE(12) === ETHERTYPE.vlan;
  const at = ETHERNET_BYTES + (isTagged ? TAG_BYTES : 0);
  if (view.length < at + 20) return undefined;
  const type = view.readUInt16BE(at - 2);
  const isV4 = type === ETHERTYPE.ipv4;
  if (!isV4 && (type !== ETHERTYPE.ipv6 || view.length < at + 40)) return undefined;
  const protocol = view[at + (isV4 ? 9 : 6)] ?? 0;
  const [from, bytes] = isV4 ? [at + 12, 4] : [at + 8, 16];
  const address = (offset: number): string => {
    const own = view.subarray(offset, offset + bytes);
    return formatAddress(isV4 ? Buffer.concat([MAPPED, own]) : own);
  };
  const ends = { source: address(from), destination: address(from + bytes), sourcePort: 0, destinationPort: 0 };
  const body = view.subarray(at + (isV4 ? ((view[at] ?? 0) & 0xf) * 4 : 40));
  const isIcmp = protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmp6;
  if (isIcmp && body.length >= 6) return { ...ends, sourcePort: body.readUInt16BE(4) };
  if (WITH_PORTS.includes(protocol) && body.length >= 4)
    return { ...ends, sourcePort: body.readUInt16BE(0), destinationPort: body.readUInt16BE(2) };
  return ends;
}

/** The packet; `isAnswer`: of TCP a SYN with ACK, else a SYN. */
export function packetFrame(
  macs: { from: Uint8Array; to: Uint8Array },
  packet: TracePacket,
  isAnswer: boolean,
): Buffer {
  const source = parseAddress(packet.source) ?? NONE;
  const destination = parseAddress(packet.destination) ?? NONE;
  const isV4 = isMapped(destination);
  const headers = isV4 ? 20 : 40;
  const segment = segmentOf(packet, isAnswer);
  const body = Buffer.concat([segment, Buffer.alloc(Math.max(0, packet.bytes - headers - segment.length))]);
  const at = CHECKSUM_AT[packet.protocol];
  if (packet.protocol === PROTOCOL.udp) body.writeUInt16BE(body.length, 4);
  if (at !== undefined) {
    const pseudo =
      packet.protocol === PROTOCOL.icmp
        ? Buffer.alloc(0)
        : pseudoHeader(isV4 ? v4(source) : source, isV4 ? v4(destination) : destination, packet.protocol, body.length);
    fillChecksum(body, at, pseudo);
  }
  if (isV4) {
    const head = header4(v4(source), v4(destination), packet.protocol, body.length);
    return ethernet(macs.to, macs.from, ETHERTYPE.ipv4, [head, body]);
  }
  const head = header6(source, destination, packet.protocol, body.length, HOP_LIMIT);
  return ethernet(macs.to, macs.from, ETHERTYPE.ipv6, [head, body]);
}

const NONE = new Uint8Array(16);

const CHECKSUM_AT: Readonly<Record<number, number>> = {
  [PROTOCOL.icmp]: 2,
  [PROTOCOL.icmp6]: 2,
  [PROTOCOL.tcp]: 16,
  [PROTOCOL.udp]: 6,
};

/** The transport header; of protocols without one that is known nothing. SCTP: an INIT, or its answer. */
function segmentOf(
  { protocol, sourcePort, destinationPort, icmpType, icmpCode }: TracePacket,
  isAnswer: boolean,
): Buffer {
  const ports = Buffer.concat([u16(sourcePort), u16(destinationPort)]);
  switch (protocol) {
    case PROTOCOL.tcp:
      return Buffer.concat([
        ports,
        u32(1),
        u32(isAnswer ? 1 : 0),
        Buffer.from([0x50, isAnswer ? 0x12 : 0x02]),
        u16(0xffff),
        u32(0),
      ]);
    case PROTOCOL.udp:
      return Buffer.concat([ports, u32(0)]);
    case PROTOCOL.sctp:
      return Buffer.concat([
        ports,
        u32(isAnswer ? 1 : 0),
        u32(0),
        Buffer.from([isAnswer ? 2 : 1, 0]),
        u16(20),
        Buffer.alloc(16),
      ]);
    case PROTOCOL.icmp:
    case PROTOCOL.icmp6:
      return Buffer.concat([Buffer.from([icmpType, icmpCode]), u16(0), u16(sourcePort), u16(1)]);
    default:
      return Buffer.alloc(8);
  }
}

function ethernet(to: Uint8Array, from: Uint8Array, type: number, parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([to, from, u16(type), ...parts]);
}

/** Don't Fragment is set, as hosts that look for the path's MTU do. */
function header4(from: Uint8Array, to: Uint8Array, protocol: number, bytes: number): Buffer {
  const fixed = [
    Buffer.from([0x45, 0]),
    u16(20 + bytes),
    u16(1),
    u16(0x4000),
    Buffer.from([HOP_LIMIT, protocol]),
    u16(0),
  ];
  const head = Buffer.concat([...fixed, from, to]);
  fillChecksum(head, 10, Buffer.alloc(0));
  return head;
}

function header6(from: Uint8Array, to: Uint8Array, protocol: number, bytes: number, hopLimit: number): Buffer {
  return Buffer.concat([u32(0x60000000), u16(bytes), Buffer.from([protocol, hopLimit]), from, to]);
}

function pseudoHeader(from: Uint8Array, to: Uint8Array, protocol: number, bytes: number): Buffer {
  return Buffer.concat([from, to, u32(bytes), u32(protocol)]);
}

/** RFC 1071. The field is zero before. */
function fillChecksum(bytes: Buffer, at: number, pseudo: Uint8Array): void {
  const all = Buffer.concat([pseudo, bytes, Buffer.alloc((pseudo.length + bytes.length) % 2)]);
  let sum = 0;
  for (let n = 0; n < all.length; n += 2) sum += all.readUInt16BE(n);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.writeUInt16BE(~sum & 0xffff, at);
}

function v4(address: Uint8Array): Uint8Array {
  return address.subarray(12);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
