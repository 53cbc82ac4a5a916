/**
 * What a classifier says in its `acl`: entries with `;` or a line break between them, each of words with spaces between them. Pure.
 *
 *   port=<id> [ip=4|6] [proto=<name or number>] [src=<CIDR>] [dst=<CIDR>] [sport=<n>[-<m>]] [dport=<n>[-<m>]]
 *
 * What an entry does not say fits any. One without `port` is of the port of the entry before it.
 */
import { protocolNumber } from '@cable/compiler';
import { formatCidr, isUuid, parseIpOrCidr, type StoredPseudowire } from '@cable/model';

/** One of a wire's matches. */
export type Match = StoredPseudowire['matches'][number];

/** What is led at one port. */
export type AclPort = { readonly portId: string; readonly matches: readonly Match[] };

/** `problem`: what is wrong with it, and where, without a full stop. */
export type Acl = { readonly ports: readonly AclPort[] } | { readonly problem: string };

/** Most entries of one text: each comes to a match of each version of IP. */
const ENTRIES_MAX = 32;

const WORDS = ['port', 'ip', 'proto', 'src', 'dst', 'sport', 'dport'] as const;

type Word = (typeof WORDS)[number];
type Words = ReadonlyMap<Word, string>;

/** TCP, UDP, UDP-Lite and DCCP. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 136]);

/** Never throws. */
export function parseAcl(text: string): Acl {
  const entries = text
    .split(/[;\n]/)
    .map((one) => one.trim())
    .filter((one) => one !== '');
  if (entries.length === 0) return { problem: 'it has no entry: give port=<id of a port>' };
  if (entries.length > ENTRIES_MAX) return { problem: `it has ${entries.length} entries, ${ENTRIES_MAX} are the most` };
  const found = new Map<string, readonly Match[]>();
  let portId: string | undefined;
  for (const [at, entry] of entries.entries()) {
    const words = wordsOf(entry);
    const own = typeof words === 'string' ? words : matchesOf(words);
    if (typeof words === 'string' || typeof own === 'string') return { problem: `entry ${at + 1}: ${String(own)}` };
    portId = words.get('port')?.toLowerCase() ?? portId;
    if (portId === undefined) return { problem: `entry ${at + 1}: say at which port: port=<id of a port>` };
    found.set(portId, [...(found.get(portId) ?? []), ...own]);
  }
  return { ports: [...found].map(([id, matches]) => ({ portId: id, matches })) };
}

/** The words, or what is wrong with one. */
function wordsOf(entry: string): Words | string {
  const words = new Map<Word, string>();
  for (const text of entry.split(/\s+/)) {
    const [name = '', ...rest] = text.split('=');
    const word = WORDS.find((one) => one === name);
    if (word === undefined || rest.length !== 1) return `${text.slice(0, 64)} is none of ${WORDS.join('=, ')}=`;
    if (words.has(word)) return `${word} is there twice`;
    words.set(word, rest[0] ?? '');
  }
  const port = words.get('port');
  return port === undefined || isUuid(port) ? words : `port: ${port.slice(0, 64)} is no id of a port`;
}

/** Matches of the versions of IP that the words fit, or what is wrong with one. */
function matchesOf(words: Words): readonly Match[] | string {
  const source = prefixOf(words, 'src');
  if (typeof source === 'string') return source;
  const destination = prefixOf(words, 'dst');
  if (typeof destination === 'string') return destination;
  const source_ports = portsOf(words, 'sport');
  if (typeof source_ports === 'string') return source_ports;
  const destination_ports = portsOf(words, 'dport');
  if (typeof destination_ports === 'string') return destination_ports;
  const versions = versionsOf(words, [source, destination]);
  if (typeof versions === 'string') return versions;
  const matches: Match[] = [];
  for (const ip_version of versions) {
    const protocol = protocolOf(words, ip_version);
    if (typeof protocol === 'string') return protocol;
    const hasPorts = (source_ports ?? destination_ports) !== null;
    if (hasPorts && !(protocol !== null && WITH_PORTS.has(protocol)))
      return 'sport and dport are of tcp, udp, udplite and dccp: say which by proto=';
    const prefixes = { source: source?.cidr ?? null, destination: destination?.cidr ?? null };
    matches.push({ ip_version, ...prefixes, protocol, source_ports, destination_ports });
  }
  return matches;
}

type Prefix = { readonly version: 4 | 6; readonly cidr: string } | null;
type Ports = { readonly first: number; readonly last: number } | null;

function versionsOf(words: Words, prefixes: readonly Prefix[]): readonly (4 | 6)[] | string {
  const ip = words.get('ip');
  if (ip !== undefined && ip !== '4' && ip !== '6') return `ip: ${ip.slice(0, 16)} is neither 4 nor 6`;
  const said = [...(ip === undefined ? [] : [Number(ip)]), ...prefixes.flatMap((one) => one?.version ?? [])];
  if (new Set(said).size > 1) return 'ip, src and dst are of different versions of IP';
  const [version] = said;
  return version === undefined ? [4, 6] : [version === 6 ? 6 : 4];
}

function prefixOf(words: Words, word: 'src' | 'dst'): Prefix | string {
  const text = words.get(word);
  if (text === undefined) return null;
  const prefix = parseIpOrCidr(text);
  if (prefix === undefined) return `${word}: ${text.slice(0, 64)} is neither an address nor a prefix`;
  return { version: prefix.base.version, cidr: formatCidr(prefix) };
}

function portsOf(words: Words, word: 'sport' | 'dport'): Ports | string {
  const text = words.get(word);
  if (text === undefined) return null;
  const [, from = '', to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [first, last] = [from, to].map(Number);
  if (from !== '' && first !== undefined && last !== undefined && first <= last && last <= 65_535)
    return { first, last };
  return `${word}: ${text.slice(0, 64)} is no port from 0 to 65535, and no range of them`;
}

function protocolOf(words: Words, version: 4 | 6): number | null | string {
  const text = words.get('proto');
  const number = protocolNumber(text?.toLowerCase() ?? null, version === 6 ? 'IPv6' : 'IPv4');
  return number === undefined ? `proto: ${text?.slice(0, 32)} is no protocol of IP` : number;
}

/** The same of the packets of the other direction. */
export function reversed(match: Match): Match {
  return {
    ...match,
    ...{ source: match.destination, destination: match.source },
    ...{ source_ports: match.destination_ports, destination_ports: match.source_ports },
  };
}
