/** A reader that says in words what a frame holds, and names wrong checksums. Tests compare these texts. */
import { checksum, crc32c, ETHERTYPE, PROTO, pseudoHeader } from './packet.ts';

export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':');
}

/** Of four bytes, or of sixteen (RFC 5952). */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length !== 16) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    Buffer.from(bytes)
      .readUInt16BE(i * 2)
      .toString(16),
  );
  const text = words.join(':');
  const zeros = (text.match(/\b0(?::0)+\b/g) ?? []).sort((a, b) => b.length - a.length)[0];
  if (zeros === undefined) return text;
  const at = text.search(new RegExp(`(?<![0-9a-f])${zeros}(?![0-9a-f])`));
  return `${text.slice(0, at).replace(/:$/, '')}::${text.slice(at + zeros.length).replace(/^:/, '')}`;
}

/**
 * A frame in words, e.g. `02:..:01 > 02:..:02 ip 10.0.0.1 > 10.0.0.2 ttl 64 udp 1 > 2`.
 */
export function describe(frame: Uint8Array): string {
  const bytes = Buffer.from(frame);
  return `${macText(bytes.subarray(6, 12))} > ${macText(bytes.subarray(0, 6))} ${describeType(bytes, 12)}`;
}

function describeType(bytes: Buffer, at: number): string {
  const type = bytes.readUInt16BE(at);
  const rest = bytes.subarray(at + 2);
  switch (type) {
    case ETHERTYPE.arp:
      return describeArp(rest);
    case ETHERTYPE.ipv4:
      return describeIpv4(rest);
    case ETHERTYPE.ipv6:
      return describeIpv6(rest);
    case ETHERTYPE.vlan:
    case ETHERTYPE.vlanOuter:
      return `${type === ETHERTYPE.vlan ? 'vlan' : 'outer vlan'} ${rest.readUInt16BE(0) & 0xfff} ${describeType(rest, 2)}`;
    default:
      return `ethertype 0x${type.toString(16)}`;
  }
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

const FRAGMENT_HEADER = 44;
/** Hop-by-hop, routing, destination options. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);

function describeIpv6(bytes: Buffer): string {
  const [from, to] = [ipText(bytes.subarray(8, 24)), ipText(bytes.subarray(24, 40))];
  const end = 40 + bytes.readUInt16BE(4);
  let [next, at, notes, later] = [bytes[6] ?? 0, 40, '', false];
  while (EXTENSIONS.has(next) || next === FRAGMENT_HEADER) {
    if (next === FRAGMENT_HEADER) later = (bytes.readUInt16BE(at + 2) & 0xfff8) > 0;
    notes += next === FRAGMENT_HEADER ? ' fragmented' : ` extension ${next}`;
    const length = next === FRAGMENT_HEADER ? 8 : ((bytes[at + 1] ?? 0) + 1) * 8;
    [next, at] = [bytes[at] ?? 0, at + length];
  }
  const inside = later ? 'fragment' : describeL4({ from, to }, next, bytes.subarray(at, end));
  return `ip6 ${from} > ${to} hop limit ${bytes[7]}${notes} ${inside}`;
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
    case PROTO.icmp6:
      return `icmp6 ${bytes[0]}/${bytes[1]}${check(checksum(pseudo, bytes))}`;
    case PROTO.sctp:
      return `sctp ${ports()}${check(sctpSum(bytes) - bytes.readUInt32LE(8))}`;
    case PROTO.gre:
      return `gre 0x${bytes.readUInt16BE(2).toString(16)}${(bytes[0] ?? 0) & 0x80 ? check(checksum(bytes)) : ''}`;
    default:
      return `protocol ${protocol}`;
  }
}

function sctpSum(bytes: Buffer): number {
  const clear = Buffer.from(bytes);
  clear.writeUInt32LE(0, 8);
  return crc32c(clear);
}
