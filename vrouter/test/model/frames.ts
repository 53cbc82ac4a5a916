/** The frames that a vrouter makes, of those that it was given. */
import { checksum, ipBytes, macBytes } from '../packet.ts';
import type { ArpHeaders, IpHeaders } from './headers.ts';
import { replaceSum } from './outcome.ts';

const ETHERNET = 14;
const IP_HEADER = 20;
const TCP = 6;
const ICMP = 1;
const ROUTER_TTL = 64;

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

/** RFC 792: "fragmentation needed" (with the MTU, RFC 1191) or "time exceeded", back to the sender. Of TCP it quotes the whole of 20 bytes. */
export function icmpErrorAbout(
  frame: Buffer,
  { from, protocol }: IpHeaders,
  about: { readonly from: string; readonly reason: 'too_big' | 'ttl_exceeded'; readonly mtuBytes: number },
): Buffer {
  const quote = Buffer.alloc(IP_HEADER + (protocol === TCP ? 20 : 8));
  frame.copy(quote, 0, ETHERNET);
  const icmp = Buffer.concat([Buffer.alloc(8), quote]);
  icmp.set(about.reason === 'too_big' ? [3, 4] : [11, 0], 0);
  icmp.writeUInt16BE(about.mtuBytes, 6);
  icmp.writeUInt16BE(checksum(icmp), 2);
  const ip = Buffer.alloc(IP_HEADER);
  ip[0] = 0x45;
  ip.writeUInt16BE(IP_HEADER + icmp.length, 2);
  ip.set([ROUTER_TTL, ICMP], 8);
  Buffer.concat([ipBytes(about.from), ipBytes(from)]).copy(ip, 12);
  ip.writeUInt16BE(checksum(ip), 10);
  return Buffer.concat([frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12, 14), ip, icmp]);
}
