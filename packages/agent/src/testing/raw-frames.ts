/** For tests: frames as a hostile guest makes them, byte by byte. */
import { ipToBytes, parseIp } from '@cable/model';

export type FrameEnds = { readonly fromMac: string; readonly toMac: string };
export type Packet = FrameEnds & { readonly from: string; readonly to: string };

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;

export function ethernet({ fromMac, toMac }: FrameEnds, type: number, payload: Uint8Array): Buffer {
  return Buffer.concat([macBytes(toMac), macBytes(fromMac), u16(type), payload]);
}

/** Who has `to`, asks `from`. */
export function arpRequest(packet: Packet): Buffer {
  const head = Buffer.from('0001080006040001', 'hex');
  const ends = [macBytes(packet.fromMac), ipBytes(packet.from), Buffer.alloc(6), ipBytes(packet.to)];
  return ethernet(packet, ETHERTYPE.arp, Buffer.concat([head, ...ends]));
}

/** An IPv4 or IPv6 packet, by the addresses; the checksum of UDP, TCP and ICMPv6 is filled in at `checksumAt` of the payload. */
export function ipPacket(packet: Packet, protocol: number, payload: Uint8Array, checksumAt: number): Buffer {
  const from = ipBytes(packet.from);
  const to = ipBytes(packet.to);
  const body = Buffer.from(payload);
  const pseudo = protocol === PROTOCOL.icmp ? [] : [from, to, u16(0), u16(body.length), u16(protocol)];
  body.writeUInt16BE(checksum(Buffer.concat([...pseudo, body])), checksumAt);
  if (from.length === 16) {
    const head = Buffer.concat([Buffer.from('60000000', 'hex'), u16(body.length), Buffer.from([protocol, 255])]);
    return ethernet(packet, ETHERTYPE.ipv6, Buffer.concat([head, from, to, body]));
  }
  const head = Buffer.concat([
    ...[Buffer.from('4500', 'hex'), u16(20 + body.length), Buffer.alloc(4), Buffer.from([64, protocol, 0, 0])],
    ...[from, to],
  ]);
  head.writeUInt16BE(checksum(head), 10);
  return ethernet(packet, ETHERTYPE.ipv4, Buffer.concat([head, body]));
}

export function udp(packet: Packet, toPort: number, data: Uint8Array = Buffer.from('hello')): Buffer {
  const body = Buffer.concat([u16(40_000), u16(toPort), u16(8 + data.length), u16(0), data]);
  return ipPacket(packet, PROTOCOL.udp, body, 6);
}

export function tcpSyn(packet: Packet, toPort: number): Buffer {
  const body = Buffer.concat([u16(40_000), u16(toPort), Buffer.alloc(8), Buffer.from('5002ffff00000000', 'hex')]);
  return ipPacket(packet, PROTOCOL.tcp, body, 16);
}

/** An echo request, of ICMP or ICMPv6. */
export function ping(packet: Packet): Buffer {
  const v6 = packet.from.includes(':');
  const body = Buffer.concat([Buffer.from([v6 ? 128 : 8, 0, 0, 0]), u16(7), u16(1), Buffer.from('ping')]);
  return ipPacket(packet, v6 ? PROTOCOL.icmp6 : PROTOCOL.icmp, body, 2);
}

/** VXLAN (RFC 7348) around a frame. */
export function vxlan(packet: Packet, vni: number, inner: Uint8Array, port = 4789): Buffer {
  const head = Buffer.alloc(8);
  head[0] = 0x08;
  head.writeUIntBE(vni, 4, 3);
  return udp(packet, port, Buffer.concat([head, inner]));
}

function checksum(data: Uint8Array): number {
  const even = Buffer.concat([data, Buffer.alloc(data.length % 2)]);
  let sum = 0;
  for (let at = 0; at < even.length; at += 2) sum += even.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function ipBytes(text: string): Buffer {
  const ip = parseIp(text);
  if (ip === undefined) throw new Error(`no address: ${text}`);
  const bytes = ipToBytes(ip);
  return Buffer.from(ip.version === 4 ? bytes.subarray(12) : bytes);
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
