import { type DnsName, dnsNameKey, encodeDnsName, isWithin } from '@cable/model';
import { type ClusterAnswer, clusterAnswer, clusterReverse } from './cluster-answer.ts';
import type { ClusterZone } from './cluster-zone.ts';
import { hinfo, negative, positive, soa } from './dns-content.ts';
import { DNS_CLASS, DNS_FLAG, DNS_RCODE, DNS_TYPE, type DnsRecord, decodeDnsMessage } from './dns-message.ts';
import {
  type DnsContent,
  type DnsQuery,
  encodeDnsAnswer,
  encodeDnsError,
  internetRecord,
  parseDnsQuery,
} from './dns-query.ts';
import { type DnsEntry, type DnsZone, reverseAddress } from './dns-zone.ts';

/** What a guest's message leads to. `counter`: what to count. */
export type DnsOutcome =
  | { readonly kind: 'answer'; readonly bytes: Uint8Array; readonly counter: string }
  | { readonly kind: 'forward'; readonly query: DnsQuery; readonly counter: string }
  /** The name stands for another one, which is to be asked for: `chain` leads there. */
  | {
      readonly kind: 'alias';
      readonly query: DnsQuery;
      readonly chain: readonly DnsRecord[];
      readonly target: DnsName;
      readonly counter: string;
    }
  | { readonly kind: 'silence'; readonly counter: string };

/** `canForward`: there is an upstream server to ask. `maxUdpBytes`: a longer datagram does not reach the guest in one piece; absent: any does. */
export type DnsAnswerOptions = {
  readonly protocol: 'udp' | 'tcp';
  readonly canForward: boolean;
  readonly maxUdpBytes?: number;
  /** Kubernetes clusters whose Services the guest reaches; absent: none. */
  readonly clusters?: readonly ClusterZone[];
};

/** Short: a name follows its port wherever it goes. */
const TTL_SECONDS = 30;
const NEGATIVE_TTL_SECONDS = 10;

/** Answers a guest's message from the network's own names, or says that others must be asked. Never throws. */
export function answerDns(bytes: Uint8Array, zone: DnsZone, options: DnsAnswerOptions): DnsOutcome {
  const parsed = parseDnsQuery(bytes);
  if (parsed.kind === 'silence') return { kind: 'silence', counter: `dns_ignored_${parsed.reason}` };
  if (parsed.kind === 'error') return { kind: 'answer', bytes: encodeDnsError(parsed), counter: `dns_${parsed.rcode}` };
  const query = withPayload(parsed.query, options.maxUdpBytes);
  const own = ownAnswer(query, zone, options.clusters ?? []);
  if (own !== undefined && 'target' in own) return aliasOutcome(query, zone, own, options);
  const content = own ?? refusal(query, options.canForward);
  if (content === undefined) return { kind: 'forward', query, counter: 'dns_forwarded' };
  const answer = encodeDnsAnswer(query, content, options.protocol, options.canForward);
  return { kind: 'answer', bytes: answer, counter: `dns_${content.rcode}` };
}

/** What can be told without the message that it came in. */
const PORTABLE: ReadonlySet<number> = new Set([
  ...[DNS_TYPE.a, DNS_TYPE.aaaa, DNS_TYPE.cname, DNS_TYPE.ns, DNS_TYPE.ptr, DNS_TYPE.mx],
  ...[DNS_TYPE.txt, DNS_TYPE.srv, 64, 65, 257],
]);
const MAX_ANSWERS = 4096;

/** The answer for a name that stands for another one, which `ask` asks for: clients do not go on by themselves. */
export async function encodeAlias(
  { query, chain, target }: Extract<DnsOutcome, { kind: 'alias' }>,
  ask: (query: DnsQuery, protocol?: 'udp' | 'tcp') => Promise<Uint8Array>,
  protocol: 'udp' | 'tcp',
): Promise<Uint8Array> {
  const asked: DnsQuery = { ...query, question: { ...query.question, name: target } };
  const first = decodeDnsMessage(await ask(asked), MAX_ANSWERS);
  const isCut = first !== undefined && (first.flags & DNS_FLAG.truncated) !== 0;
  const message = isCut && protocol === 'udp' ? decodeDnsMessage(await ask(asked, 'tcp'), MAX_ANSWERS) : first;
  const rcode = message === undefined ? DNS_RCODE.serverFailure : message.flags & DNS_FLAG.rcode;
  const rest = (message?.answers ?? []).filter(({ type }) => PORTABLE.has(type));
  const content = { ...positive([...chain, ...rest]), rcode, authoritative: false, mayBeCut: true } as const;
  return encodeDnsAnswer(query, content, protocol, true);
}

/** The target may be a name of the network's. */
function aliasOutcome(
  query: DnsQuery,
  zone: DnsZone,
  { chain, target }: Extract<ClusterAnswer, { target: DnsName }>,
  { protocol, canForward }: DnsAnswerOptions,
): DnsOutcome {
  const asked: DnsQuery = { ...query, question: { ...query.question, name: target } };
  const rest = ownAnswer(asked, zone, []) ?? refusal(asked, canForward);
  if (rest === undefined) return { kind: 'alias', query, chain, target, counter: 'dns_forwarded' };
  if ('target' in rest) throw new Error('a name of a network stands for no other');
  // That nobody may be asked for the target does not make the alias wrong.
  const rcode = rest.rcode === DNS_RCODE.refused ? DNS_RCODE.noError : rest.rcode;
  const content = { ...rest, rcode, authoritative: true, answers: [...chain, ...rest.answers] };
  return {
    kind: 'answer',
    bytes: encodeDnsAnswer(query, content, protocol, canForward),
    counter: `dns_${content.rcode}`,
  };
}

/** The query of a guest that takes no more than this, whatever it says. */
function withPayload(query: DnsQuery, maxBytes = Number.POSITIVE_INFINITY): DnsQuery {
  if (query.edns === null || query.edns.payloadBytes <= maxBytes) return query;
  return { ...query, edns: { ...query.edns, payloadBytes: maxBytes } };
}

/** What the network itself knows, also that there is nothing; undefined: it does not know. */
function ownAnswer(query: DnsQuery, zone: DnsZone, clusters: readonly ClusterZone[]): ClusterAnswer | undefined {
  const { name, type } = query.question;
  if (query.question.class !== DNS_CLASS.internet) return plain(DNS_RCODE.refused);
  const meta = metaAnswer(type);
  if (meta !== undefined) return meta;
  const ofCluster = clusterAnswer(query.question, clusters);
  if (ofCluster !== undefined) return ofCluster;
  const entry = zone.entry(name);
  if (entry !== undefined) return namedAnswer(query, zone, entry);
  const address = reverseAddress(name);
  if (address !== undefined) {
    return (
      clusterReverse(query.question, address, clusters) ??
      reverseAnswer(query, zone, zone.namesOf(address), zone.isOwn(address))
    );
  }
  return isWithin(name, zone.domain) ? nothing(DNS_RCODE.nameError, soaOwner(name, zone)) : undefined;
}

/** Types that ask for something else than records of a name: transfers, transactions, mail of old. */
function metaAnswer(type: number): DnsContent | undefined {
  if (type === DNS_TYPE.any || type < 128 || type > 254) return undefined;
  return plain(type === 251 || type === 252 ? DNS_RCODE.refused : DNS_RCODE.notImplemented);
}

function namedAnswer(query: DnsQuery, zone: DnsZone, entry: DnsEntry): DnsContent {
  const { name, type } = query.question;
  if (type === DNS_TYPE.any) return positive([hinfo(name, TTL_SECONDS)]);
  if (type === DNS_TYPE.soa && dnsNameKey(name) === dnsNameKey(zone.domain))
    return positive([soa(name, NEGATIVE_TTL_SECONDS)]);
  const addresses = type === DNS_TYPE.a ? entry.v4 : type === DNS_TYPE.aaaa ? entry.v6 : [];
  if (addresses.length === 0) return nothing(DNS_RCODE.noError, soaOwner(name, zone));
  return positive(addresses.map((address) => internetRecord(name, type, TTL_SECONDS, address)));
}

function reverseAnswer(
  query: DnsQuery,
  zone: DnsZone,
  names: readonly DnsName[] | undefined,
  isOwn: boolean,
): DnsContent | undefined {
  const { name, type } = query.question;
  if (names === undefined) return isOwn ? nothing(DNS_RCODE.nameError, soaOwner(name, zone)) : undefined;
  if (type === DNS_TYPE.any) return positive([hinfo(name, TTL_SECONDS)]);
  if (type !== DNS_TYPE.ptr) return isOwn ? nothing(DNS_RCODE.noError, soaOwner(name, zone)) : undefined;
  return positive(names.map((one) => internetRecord(name, DNS_TYPE.ptr, TTL_SECONDS, encodeDnsName(one))));
}

/** Of a foreign name: nobody may be asked, or not for this. Undefined: ask. */
function refusal(query: DnsQuery, canForward: boolean): DnsContent | undefined {
  if (!canForward || !query.recursionDesired || query.question.type === DNS_TYPE.any) return plain(DNS_RCODE.refused);
  return undefined;
}

/** Where the SOA of a negative answer stands (RFC 2308 §3): the domain, or for another name what is above it. */
function soaOwner(name: DnsName, zone: DnsZone): DnsName {
  if (isWithin(name, zone.domain)) return zone.domain;
  return name.length > 1 ? name.slice(1) : name;
}

function nothing(rcode: number, owner: DnsName): DnsContent {
  return negative(rcode, owner, NEGATIVE_TTL_SECONDS);
}

function plain(rcode: number): DnsContent {
  return { rcode, authoritative: false, answers: [], authorities: [] };
}
