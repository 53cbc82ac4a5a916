/** Ethernet frames for packet tests: builders of bytes, and a reader that says in words what a frame holds. */

/** Numbers of protocols and of ICMP types that the tests use. */
export const PROTO = { icmp: 1, tcp: 6, udp: 17, sctp: 132 } as const;
export const ICMP = { echoReply: 0, unreachable: 3, echo: 8, timeExceeded: 11 } as const;
export const TCP = { fin: 1, syn: 2, rst: 4, ack: 16 } as const;
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
  /** Bytes of options, a multiple of 4. */
  readonly options?: number;
  readonly tos?: number;
  readonly dontFragment?: boolean;
};

export type Ports = { readonly sport: number; readonly dport: number; readonly payload?: Uint8Array };

/** RFC 1071. Over bytes whose checksum is right, 0. */
export function checksum(...parts: readonly Uint8Array[]): number {
  const bytes = Buffer.concat([...parts, ...(parts.reduce((n, p) => n + p.length, 0) % 2 ? [Buffer.alloc(1)] : [])]);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

export function ipBytes(ip: string): Buffer {
  return Buffer.from(ip.split('.').map(Number));
}

export function ethernet(eth: Ethernet, type: number, payload: Uint8Array): Buffer {
  const head = Buffer.concat([macBytes(eth.dst), macBytes(eth.src), Buffer.alloc(2)]);
  head.writeUInt16BE(type, 12);
  return Buffer.concat([head, payload]);
}

export function arp(
  eth: Ethernet,
  what: { op: 'request' | 'reply'; sha: string; spa: string; tha?: string; tpa: string },
): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, what.op === 'request' ? 1 : 2]);
  const tha = macBytes(what.tha ?? '00:00:00:00:00:00');
  return ethernet(eth, 0x0806, Buffer.concat([head, macBytes(what.sha), ipBytes(what.spa), tha, ipBytes(what.tpa)]));
}

export function ipv4(ip: Ipv4, protocol: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(20 + (ip.options ?? 0), 1);
  head.fill(0, 0, 20);
  head[0] = 0x40 | (head.length / 4);
  head[1] = ip.tos ?? 0;
  head.writeUInt16BE(head.length + payload.length, 2);
  head.writeUInt16BE(ip.id ?? 0, 4);
  const flags = (ip.dontFragment ? 0x4000 : 0) | (ip.moreFragments ? 0x2000 : 0);
  head.writeUInt16BE(flags | ((ip.fragmentOffset ?? 0) / 8), 6);
  head[8] = ip.ttl ?? 64;
  head[9] = protocol;
  ipBytes(ip.from).copy(head, 12);
  ipBytes(ip.to).copy(head, 16);
  head.writeUInt16BE(checksum(head), 10);
  return ethernet(ip, 0x0800, Buffer.concat([head, payload]));
}

function pseudoHeader(ip: { from: string; to: string }, protocol: number, length: number): Buffer {
  return Buffer.concat([ipBytes(ip.from), ipBytes(ip.to), Buffer.from([0, protocol, length >> 8, length & 0xff])]);
}

export function udp(ip: Ipv4, ports: Ports & { readonly noChecksum?: boolean }): Buffer {
  const payload = ports.payload ?? Buffer.from('payload!');
  const segment = Buffer.concat([Buffer.alloc(8), payload]);
  segment.writeUInt16BE(ports.sport, 0);
  segment.writeUInt16BE(ports.dport, 2);
  segment.writeUInt16BE(segment.length, 4);
  if (!ports.noChecksum)
    segment.writeUInt16BE(checksum(pseudoHeader(ip, PROTO.udp, segment.length), segment) || 0xffff, 6);
  return ipv4(ip, PROTO.udp, segment);
}

export function tcp(ip: Ipv4, ports: Ports & { readonly flags: number }): Buffer {
  const segment = Buffer.concat([Buffer.alloc(20), ports.payload ?? Buffer.alloc(0)]);
  segment.writeUInt16BE(ports.sport, 0);
  segment.writeUInt16BE(ports.dport, 2);
  segment[12] = 0x50;
  segment[13] = ports.flags;
  segment.writeUInt16BE(64240, 14);
  segment.writeUInt16BE(checksum(pseudoHeader(ip, PROTO.tcp, segment.length), segment), 16);
  return ipv4(ip, PROTO.tcp, segment);
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

/** A frame tunnelled by VXLAN (RFC 7348), without an outer UDP checksum unless `checksum` says otherwise. */
export function vxlan(
  outer: Ipv4,
  tunnel: { readonly vni: number; readonly sport?: number; readonly dport?: number; readonly checksum?: boolean },
  inner: Uint8Array,
): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(0x0800_0000, 0);
  head.writeUInt32BE(tunnel.vni * 256, 4);
  const ports = { sport: tunnel.sport ?? 49152, dport: tunnel.dport ?? 4789, payload: Buffer.concat([head, inner]) };
  return udp(outer, { ...ports, noChecksum: tunnel.checksum !== true });
}

/** An ICMP error about a frame's packet: quotes its IP header and 8 bytes. */
export function icmpError(ip: Ipv4, error: { type: number; code?: number }, about: Uint8Array): Buffer {
  const header = ((about[14] ?? 0) & 0xf) * 4;
  return icmp(ip, { ...error, payload: about.subarray(14, 14 + header + 8) });
}

/** A DHCP message's fixed part. */
export function bootp(fields: { ciaddr?: string; broadcast?: boolean }): Buffer {
  const bytes = Buffer.alloc(240);
  bytes[0] = 2;
  if (fields.broadcast) bytes.writeUInt16BE(0x8000, 10);
  if (fields.ciaddr !== undefined) ipBytes(fields.ciaddr).copy(bytes, 12);
  return bytes;
}

function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':');
}

function ipText(bytes: Uint8Array): string {
  return bytes.join('.');
}

/**
 * A frame in words, e.g. `02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 ttl 64 udp 1 > 2`. Wrong checksums are named. Tests compare
 * these texts.
 */
export function describe(frame: Uint8Array): string {
  const bytes = Buffer.from(frame);
  const macs = `${macText(bytes.subarray(6, 12))} > ${macText(bytes.subarray(0, 6))}`;
  const type = bytes.readUInt16BE(12);
  if (type === 0x0806) return `${macs} ${describeArp(bytes.subarray(14))}`;
  if (type !== 0x0800) return `${macs} ethertype 0x${type.toString(16)}`;
  return `${macs} ${describeIpv4(bytes.subarray(14))}`;
}

function describeArp(bytes: Buffer): string {
  const ends = [8, 18].map((at) => `${macText(bytes.subarray(at, at + 6))} ${ipText(bytes.subarray(at + 6, at + 10))}`);
  return `arp ${bytes[7] === 1 ? 'request' : 'reply'} ${ends.join(' to ')}`;
}

export function describeIpv4(bytes: Buffer): string {
  const header = bytes.subarray(0, ((bytes[0] ?? 0) & 0xf) * 4);
  const [from, to] = [ipText(bytes.subarray(12, 16)), ipText(bytes.subarray(16, 20))];
  const wrong = checksum(header) === 0 ? '' : ' BAD IP CHECKSUM';
  const payload = bytes.subarray(header.length, bytes.readUInt16BE(2));
  const later = (bytes.readUInt16BE(6) & 0x1fff) > 0;
  return `ip ${from} > ${to} ttl ${bytes[8]}${wrong} ${later ? 'fragment' : describeL4({ from, to }, bytes[9] ?? 0, payload)}`;
}

function describeL4(ip: { from: string; to: string }, protocol: number, bytes: Buffer): string {
  const ports = (): string => `${bytes.readUInt16BE(0)} > ${bytes.readUInt16BE(2)}`;
  const check = (got: number): string => (got === 0 ? '' : ' BAD CHECKSUM');
  const pseudo = pseudoHeader(ip, protocol, bytes.length);
  switch (protocol) {
    case PROTO.tcp:
      return `tcp ${ports()}${check(checksum(pseudo, bytes))}`;
    case PROTO.udp:
      return `udp ${ports()}${bytes.readUInt16BE(6) === 0 ? ' no checksum' : check(checksum(pseudo, bytes))}`;
    case PROTO.icmp:
      return `icmp ${bytes[0]}/${bytes[1]} id ${bytes.readUInt16BE(4)}${check(checksum(bytes))}`;
    default:
      return `protocol ${protocol}`;
  }
}
