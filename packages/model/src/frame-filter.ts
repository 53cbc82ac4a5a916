/** Which frames of a port are captured: said in tcpdump's words by people, as data between programs. */
import { formatIp, parseIp } from './address.ts';

/** What a frame must be; null: any. */
export type FrameFilter = {
  readonly etherType: number | null;
  /** IANA number; of IPv6 the first after the header. */
  readonly protocol: number | null;
  /** Each is the address of one of the ends, of ARP one that is spoken of; at most `MAX_FILTER_ENDS`. */
  readonly hosts: readonly string[];
  /** The same of ports of TCP, UDP and SCTP. */
  readonly ports: readonly number[];
};

/** A frame has two ends. */
export const MAX_FILTER_ENDS = 2;

/** Every frame. */
export const ANY_FRAME: FrameFilter = { etherType: null, protocol: null, hosts: [], ports: [] };

const ETHERTYPE: ReadonlyMap<string, number> = new Map([
  ['arp', 0x0806],
  ['ip', 0x0800],
  ['ip6', 0x86dd],
]);
const PROTOCOLS: ReadonlyMap<string, Partial<FrameFilter>> = new Map([
  ['tcp', { protocol: 6 }],
  ['udp', { protocol: 17 }],
  ['sctp', { protocol: 132 }],
  ['icmp', { etherType: 0x0800, protocol: 1 }],
  ['icmp6', { etherType: 0x86dd, protocol: 58 }],
]);
const MAX_TEXT = 512;

/**
 * Conditions joined by `and`, in tcpdump's words: `arp`, `ip`, `ip6`, `tcp`, `udp`, `sctp`, `icmp`, `icmp6`, `host ADDRESS`, `port NUMBER`. Empty: every frame. A
 * text instead: what is wrong with it.
 */
export function parseFrameFilter(text: string): FrameFilter | string {
  if (text.length > MAX_TEXT) return `it has more than ${MAX_TEXT} characters`;
  const words = text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
  let filter = ANY_FRAME;
  for (let at = 0; at < words.length; ) {
    if (at > 0 && words[at++] !== 'and') return `join conditions by 'and': '${words[at - 1]}' is none`;
    const [word = '', value = ''] = words.slice(at, at + 2);
    const more = parseCondition(word, value);
    if (typeof more === 'string') return more;
    const both = joined(filter, more);
    if (both === undefined) return `no packet is all of it: leave out '${word}', or what it contradicts`;
    filter = both;
    at += word === 'host' || word === 'port' ? 2 : 1;
  }
  return filter;
}

function parseCondition(word: string, value: string): Partial<FrameFilter> | string {
  const etherType = ETHERTYPE.get(word);
  if (etherType !== undefined) return { etherType };
  const found = PROTOCOLS.get(word);
  if (found !== undefined) return found;
  if (word === 'host') {
    const address = parseIp(value);
    return address === undefined ? 'host: give an address' : { hosts: [formatIp(address)] };
  }
  if (word === 'port') {
    const port = /^\d{1,5}$/.test(value) ? Number(value) : 65_536;
    return port > 65_535 ? 'port: give a number of 0 to 65535' : { ports: [port] };
  }
  const known = [...ETHERTYPE.keys(), ...PROTOCOLS.keys()].join(', ');
  return `'${word}' is not known; there are ${known}, host ADDRESS, port NUMBER, joined by 'and'`;
}

/** Undefined: nothing is both. */
function joined(one: FrameFilter, other: Partial<FrameFilter>): FrameFilter | undefined {
  const { etherType = null, protocol = null, hosts = [], ports = [] } = other;
  const both = {
    hosts: [...new Set([...one.hosts, ...hosts])],
    ports: [...new Set([...one.ports, ...ports])],
  };
  if (both.hosts.length > MAX_FILTER_ENDS || both.ports.length > MAX_FILTER_ENDS) return undefined;
  for (const [a, b] of [
    [one.etherType, etherType],
    [one.protocol, protocol],
  ] as const)
    if (a !== null && b !== null && a !== b) return undefined;
  return { etherType: one.etherType ?? etherType, protocol: one.protocol ?? protocol, ...both };
}
