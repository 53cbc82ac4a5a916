/** The frames that a vrouter makes, of those that it was given. */
import { arp, BROADCAST, checksum, ipBytes, macBytes } from '../packet.ts';
import { type ArpHeaders, hasPorts, type IpHeaders, reversed, type Tuple } from './headers.ts';
import { CHECKSUM_AT, replaceSum } from './outcome.ts';

const ETHERNET = 14;
const IP_HEADER = 20;
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ROUTER_TTL = 64;
const ERROR_TTL = 255;

/** What a router sends on: from its own MAC to that of the next hop, with a TTL less one. */
export function routedFrame(frame: Buffer, dst: string, src: string): Buffer {
  const copy = Buffer.concat([macBytes(dst), macBytes(src), frame.subarray(12)]);
  setTtl(copy.subarray(ETHERNET), (frame[ETHERNET + 8] ?? 0) - 1);
  return copy;
}

/** What is to be cut comes to another stack, which takes one off its TTL: within a network it has one more before. */
export function frameToCut(frame: Buffer, isRouted: boolean): Buffer {
  const copy = Buffer.concat([Buffer.alloc(12), frame.subarray(12)]);
  const ttl = frame[ETHERNET + 8] ?? 0;
  if (!isRouted && ttl < 255) setTtl(copy.subarray(ETHERNET), ttl + 1);
  return copy;
}

function setTtl(ip: Buffer, ttl: number): void {
  const before = Buffer.from(ip.subarray(8, 10));
  ip[8] = ttl;
  replaceSum(ip, 10, before, ip.subarray(8, 10));
}

/** The packet as what it becomes: addresses, ports or an identifier, and the checksums over them; an error with what it quotes. */
export function translatedFrame(frame: Buffer, ip: IpHeaders, becomes: Tuple): Buffer {
  const copy = Buffer.from(frame);
  const packet = copy.subarray(ETHERNET);
  const rest = packet.subarray(ip.headerBytes, packet.readUInt16BE(2));
  // An error may be a router's on the way. Outside it keeps its own; behind an address it comes from that (RFC 5508, REQ-5).
  const from = becomes.from === ip.tuple.from ? ip.from : becomes.from;
  const change = replaceAddresses(packet, from, becomes.to);
  if (ip.isError) translateQuote(rest, reversed(ip.tuple), reversed(becomes));
  else if (ip.fragment !== 'later') translateHeader(rest, ip.tuple, becomes, change);
  return copy;
}

type Bytes = { readonly before: Buffer; readonly after: Buffer };

/** Returns what has changed. */
function replaceAddresses(packet: Buffer, from: string, to: string): Bytes {
  const change = { before: Buffer.from(packet.subarray(12, 20)), after: Buffer.concat([ipBytes(from), ipBytes(to)]) };
  change.after.copy(packet, 12);
  replaceSum(packet, 10, change.before, change.after);
  return change;
}

/** Of a packet, or of one that is quoted: then as far as there is of it. */
function translateHeader(header: Buffer, was: Tuple, is: Tuple, addresses: Bytes): void {
  const isIcmp = was.protocol === ICMP;
  const ports = isIcmp
    ? replaceIdentifier(header, was, is)
    : hasPorts(was.protocol)
      ? replacePorts(header, is)
      : undefined;
  const at = CHECKSUM_AT.get(was.protocol);
  if (at === undefined || header.length < at + 2) return;
  if (was.protocol === UDP && header.readUInt16BE(at) === 0) return;
  if (!isIcmp) replaceSum(header, at, addresses.before, addresses.after);
  if (ports !== undefined) replaceSum(header, at, ports.before, ports.after);
  if (was.protocol === UDP && header.readUInt16BE(at) === 0) header.writeUInt16BE(0xffff, at);
}

function replacePorts(header: Buffer, { sport, dport }: Tuple): Bytes {
  const before = Buffer.from(header.subarray(0, 4));
  header.writeUInt16BE(sport, 0);
  header.writeUInt16BE(dport, 2);
  return { before, after: header.subarray(0, 4) };
}

/** One of the two "ports" of a query is its identifier. */
function replaceIdentifier(header: Buffer, was: Tuple, is: Tuple): Bytes | undefined {
  if (was.sport === is.sport && was.dport === is.dport) return undefined;
  const before = Buffer.from(header.subarray(4, 6));
  header.writeUInt16BE(was.sport === is.sport ? is.dport : is.sport, 4);
  return { before, after: header.subarray(4, 6) };
}

/** `error`: from the ICMP header on. */
function translateQuote(error: Buffer, was: Tuple, is: Tuple): void {
  const before = Buffer.from(error);
  const quote = error.subarray(8);
  const change = replaceAddresses(quote, is.from, is.to);
  translateHeader(quote.subarray(((quote[0] ?? 0) & 0xf) * 4), was, is, change);
  const even = error.length - (error.length % 2);
  replaceSum(error, 2, before.subarray(4, even), error.subarray(4, even));
}

/** "Who has `address`?", of all on the network. It has zeros behind it. */
export function arpQuestion(asks: { readonly mac: string; readonly own: string; readonly address: string }): Buffer {
  const ends = { src: asks.mac, dst: BROADCAST };
  const question = arp(ends, { op: 'request', sha: asks.mac, spa: asks.own, tpa: asks.address });
  return Buffer.concat([question, Buffer.alloc(QUESTION_BYTES - question.length)]);
}

const QUESTION_BYTES = 76;

/** "`mac` has the address that you asked for." */
export function arpAnswer(frame: Buffer, { sha, spa, tpa }: ArpHeaders, mac: string): Buffer {
  const copy = Buffer.from(frame);
  const answer = [macBytes(mac), ipBytes(tpa), macBytes(sha), ipBytes(spa)];
  Buffer.concat([macBytes(sha), macBytes(mac)]).copy(copy, 0);
  copy.writeUInt16BE(2, ETHERNET + 6);
  Buffer.concat(answer).copy(copy, ETHERNET + 8);
  return copy;
}

/** A router's echo reply. */
export function echoAnswer(frame: Buffer, { headerBytes, from, to }: IpHeaders): Buffer {
  const copy = Buffer.concat([frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12)]);
  const ip = copy.subarray(ETHERNET);
  Buffer.concat([ipBytes(to), ipBytes(from)]).copy(ip, 12);
  setTtl(ip, ROUTER_TTL);
  const icmp = ip.subarray(headerBytes);
  const before = Buffer.from(icmp.subarray(0, 2));
  icmp[0] = 0;
  replaceSum(icmp, 2, before, icmp.subarray(0, 2));
  return copy;
}

const CODES = { too_big: [3, 4], ttl_exceeded: [11, 0], no_member: [3, 3] } as const;

/** RFC 792: "fragmentation needed" (with the MTU, RFC 1191), "time exceeded" or "port unreachable", back to the sender. Of TCP it quotes the whole of 20 bytes. */
export function icmpErrorAbout(
  frame: Buffer,
  { from, protocol }: IpHeaders,
  about: {
    readonly from: string;
    readonly reason: 'too_big' | 'ttl_exceeded' | 'no_member';
    readonly mtuBytes: number;
  },
): Buffer {
  const quote = Buffer.alloc(IP_HEADER + (protocol === TCP ? 20 : 8));
  frame.copy(quote, 0, ETHERNET);
  const icmp = Buffer.concat([Buffer.alloc(8), quote]);
  icmp.set(CODES[about.reason], 0);
  icmp.writeUInt16BE(about.mtuBytes, 6);
  icmp.writeUInt16BE(checksum(icmp), 2);
  const ip = Buffer.alloc(IP_HEADER);
  ip[0] = 0x45;
  ip.writeUInt16BE(IP_HEADER + icmp.length, 2);
  ip.set([ERROR_TTL, ICMP], 8);
  Buffer.concat([ipBytes(about.from), ipBytes(from)]).copy(ip, 12);
  ip.writeUInt16BE(checksum(ip), 10);
  return Buffer.concat([frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12, 14), ip, icmp]);
}
