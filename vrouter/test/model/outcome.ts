/** What becomes of a packet, in the words of the cloud. */
import { createHash } from 'node:crypto';
import { checksum, pseudoHeader } from '../packet.ts';
import { describe, ipText } from '../packet-text.ts';

export type Outcome =
  | { readonly kind: 'drop'; readonly reason: string }
  /**
   * To a port of this host. `handover`: `peer` into a pod's namespace, `vif` to the device. `refusal`: the frame is an ICMP error about what
   * was sent, which is dropped for this reason.
   */
  | {
      readonly kind: 'port';
      readonly port: string;
      readonly handover: 'vif' | 'peer';
      readonly frame: Buffer;
      readonly refusal?: string;
    }
  /** To another host, in a network. */
  | { readonly kind: 'host'; readonly host: string; readonly network: string; readonly frame: Buffer }
  /** To the agent, which knows by it which port it is from. Both MACs and addresses are zeroed here. */
  | { readonly kind: 'agent'; readonly port: string; readonly frame: Buffer }
  /** To be cut into pieces. Both MACs, which say what it belongs to, are zeroed here. */
  | { readonly kind: 'cut'; readonly frame: Buffer }
  /** A later fragment, until its first comes. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'copies'; readonly count: number; readonly frame: Buffer }
  /** Out of the uplink, into a network there. `refusal`: the frame is an error about what came, or a question; that is dropped for this reason. */
  | { readonly kind: 'wire'; readonly network: string; readonly frame: Buffer; readonly refusal?: string }
  /** Left to the host, as it came. */
  | { readonly kind: 'pass' };

/** Packets and bytes from and to a port, and drops by reason. */
export type Counters = {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
  readonly drops: Map<string, number>;
};

export function noCounters(): Counters {
  return { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0, drops: new Map() };
}

/** The key of counters that are no port's. */
export const NO_PORT = '(no port)';

export function countersText(all: ReadonlyMap<string, Counters>): string {
  return [...all]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { rxPackets, rxBytes, txPackets, txBytes, drops }]) => {
      const reasons = [...drops].sort(([a], [b]) => (a < b ? -1 : 1)).map(([reason, n]) => ` ${reason} ${n}`);
      return `${name}: from it ${rxPackets} (${rxBytes} bytes), to it ${txPackets} (${txBytes} bytes)${reasons.join('')}`;
    })
    .join('\n');
}

/** In words and bytes. Outcomes are the same when their texts are. */
export function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'drop':
      return `drop ${outcome.reason}`;
    case 'port':
      return `to ${outcome.handover} ${outcome.port}${refusalText(outcome.refusal)}: ${frameText(outcome.frame)}`;
    case 'host':
      return `to host ${outcome.host} in network ${outcome.network}: ${frameText(outcome.frame)}`;
    case 'agent':
      return `to the agent, as port ${outcome.port}: ${frameText(outcome.frame)}`;
    case 'cut':
      return `to be cut: ${frameText(outcome.frame)}`;
    case 'wait':
      return 'waits';
    case 'wire':
      return `out into ${outcome.network}${refusalText(outcome.refusal)}: ${frameText(outcome.frame)}`;
    case 'pass':
      return 'left to the host';
    case 'copies':
      return `${outcome.count} copies: ${frameText(outcome.frame)}`;
  }
}

function refusalText(refusal: string | undefined): string {
  return refusal === undefined ? '' : ` (${refusal})`;
}

/** The words, and the bytes without what checksums are made of, and how far these are from right. */
function frameText(frame: Buffer): string {
  const bytes = canonical(frame);
  if (bytes.length < MOST_DIGITS) return `${words(frame)} [${bytes}]`;
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  return `${words(frame)} [${bytes.slice(0, MOST_DIGITS)}..., ${frame.length} bytes, digest ${digest}]`;
}

/** Of a frame's bytes in a text. */
const MOST_DIGITS = 320;

function words(frame: Buffer): string {
  try {
    return describe(frame);
  } catch {
    return 'unreadable';
  }
}

const ETHERNET = 14;

/**
 * The bytes in hex with zeros for the checksums of IP and of what is inside, and, instead, what these sum up to: a checksum that was wrong
 * before is as wrong afterwards, whichever of its two zeros it is written with.
 */
function canonical(frame: Buffer): string {
  if (frame.length < ETHERNET + 20 || frame.readUInt16BE(12) !== 0x0800) return frame.toString('hex');
  const copy = Buffer.from(frame);
  const ip = copy.subarray(ETHERNET);
  const header = ip.subarray(0, ((ip[0] ?? 0) & 0xf) * 4);
  if (header.length < 20) return frame.toString('hex');
  const sums = [checksum(header) % 0xffff, ...transportSum(ip, header.length)];
  header.writeUInt16BE(0, 10);
  return `${copy.toString('hex')} sums ${sums.join(' ')}`;
}

/** Where a protocol's header has its checksum. */
export const CHECKSUM_AT: ReadonlyMap<number, number> = new Map([
  [1, 2],
  [6, 16],
  [17, 6],
  [33, 6],
  [136, 6],
]);

/** The sum over a whole packet's transport header and payload, whose field is zeroed. None: there is none, or it is not all here. */
function transportSum(ip: Buffer, headerBytes: number): readonly number[] {
  const protocol = ip[9] ?? 0;
  const at = CHECKSUM_AT.get(protocol);
  const segment = ip.subarray(headerBytes, ip.readUInt16BE(2));
  const whole = (ip.readUInt16BE(6) & 0x3fff) === 0 && segment.length === ip.readUInt16BE(2) - headerBytes;
  if (at === undefined || !whole || segment.length < at + 2) return [];
  if (protocol === 17 && segment.readUInt16BE(at) === 0) return [-1];
  const ends = { from: ipText(ip.subarray(12, 16)), to: ipText(ip.subarray(16, 20)) };
  const sum = protocol === 1 ? checksum(segment) : checksum(pseudoHeader(ends, protocol, segment.length), segment);
  segment.writeUInt16BE(0, at);
  return [sum % 0xffff];
}

/**
 * A packet to the agent, with MACs and addresses zeroed and the checksums made to match, so that it says nothing of how the vrouter tells
 * the agent who sent it.
 */
export function withoutEnds(frame: Buffer): Buffer {
  return withAddresses(frame, {
    src: Buffer.alloc(6),
    dst: Buffer.alloc(6),
    from: Buffer.alloc(4),
    to: Buffer.alloc(4),
  });
}

/** The frame between other ends; checksums are changed by as much, and are as right or wrong as before. */
export function withAddresses(
  frame: Buffer,
  ends: { readonly src: Buffer; readonly dst: Buffer; readonly from: Buffer; readonly to: Buffer },
): Buffer {
  const copy = Buffer.concat([ends.dst, ends.src, frame.subarray(12)]);
  const ip = copy.subarray(ETHERNET);
  const addresses = Buffer.concat([ends.from, ends.to]);
  const before = Buffer.from(ip.subarray(12, 20));
  addresses.copy(ip, 12);
  replaceSum(ip, 10, before, addresses);
  const [protocol, segment] = [ip[9] ?? 0, ip.subarray(((ip[0] ?? 0) & 0xf) * 4)];
  const at = protocol === 1 ? undefined : CHECKSUM_AT.get(protocol);
  const none = protocol === 17 && segment.length >= 8 && segment.readUInt16BE(6) === 0;
  if (at !== undefined && !none && segment.length >= at + 2) replaceSum(segment, at, before, addresses);
  return copy;
}

/** RFC 1624: the field after some of what it covers has changed. */
export function replaceSum(bytes: Buffer, at: number, before: Buffer, after: Buffer): void {
  let sum = ~bytes.readUInt16BE(at) & 0xffff;
  for (let i = 0; i < before.length; i += 2) sum += (~before.readUInt16BE(i) & 0xffff) + after.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.writeUInt16BE(~sum & 0xffff, at);
}

/** The frame with both MACs zeroed. */
export function withoutMacs(frame: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(12), frame.subarray(12)]);
}
