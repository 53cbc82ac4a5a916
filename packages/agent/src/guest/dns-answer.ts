import { type DnsName, dnsNameKey, encodeDnsName, isWithin } from '@cable/model';
import { DNS_CLASS, DNS_RCODE, DNS_TYPE, type DnsRecord } from './dns-message.ts';
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
  | { readonly kind: 'silence'; readonly counter: string };

/** `canForward`: there is an upstream server to ask. `maxUdpBytes`: a longer datagram does not reach the guest in one piece; absent: any does. */
export type DnsAnswerOptions = {
  readonly protocol: 'udp' | 'tcp';
  readonly canForward: boolean;
  readonly maxUdpBytes?: number;
};

/** Short: a name follows its port wherever it goes. */
const TTL_SECONDS = 30;
const NEGATIVE_TTL_SECONDS = 10;
const SOA_TIMES = [1, 3600, 600, 86_400, NEGATIVE_TTL_SECONDS];

/** Answers a guest's message from the network's own names, or says that others must be asked. Never throws. */
export function answerDns(bytes: Uint8Array, zone: DnsZone, options: DnsAnswerOptions): DnsOutcome {
  const parsed = parseDnsQuery(bytes);
  if (parsed.kind === 'silence') return { kind: 'silence', counter: `dns_ignored_${parsed.reason}` };
  if (parsed.kind === 'error') return { kind: 'answer', bytes: encodeDnsError(parsed), counter: `dns_${parsed.rcode}` };
  const query = withPayload(parsed.query, options.maxUdpBytes);
  const content = ownAnswer(query, zone) ?? refusal(query, options.canForward);
  if (content === undefined) return { kind: 'forward', query, counter: 'dns_forwarded' };
  const answer = encodeDnsAnswer(query, content, options.protocol, options.canForward);
  return { kind: 'answer', bytes: answer, counter: `dns_${content.rcode}` };
}

/** The query of a guest that takes no more than this, whatever it says. */
function withPayload(query: DnsQuery, maxBytes = Number.POSITIVE_INFINITY): DnsQuery {
  if (query.edns === null || query.edns.payloadBytes <= maxBytes) return query;
  return { ...query, edns: { ...query.edns, payloadBytes: maxBytes } };
}

/** What the network itself knows, also that there is nothing; undefined: it does not know. */
function ownAnswer(query: DnsQuery, zone: DnsZone): DnsContent | undefined {
  const { name, type } = query.question;
  if (query.question.class !== DNS_CLASS.internet) return plain(DNS_RCODE.refused);
  const meta = metaAnswer(type);
  if (meta !== undefined) return meta;
  const entry = zone.entry(name);
  if (entry !== undefined) return namedAnswer(query, zone, entry);
  const address = reverseAddress(name);
  if (address !== undefined) return reverseAnswer(query, zone, zone.namesOf(address), zone.isOwn(address));
  return isWithin(name, zone.domain) ? negative(DNS_RCODE.nameError, soaOwner(name, zone)) : undefined;
}

/** Types that ask for something else than records of a name: transfers, transactions, mail of old. */
function metaAnswer(type: number): DnsContent | undefined {
  if (type === DNS_TYPE.any || type < 128 || type > 254) return undefined;
  return plain(type === 251 || type === 252 ? DNS_RCODE.refused : DNS_RCODE.notImplemented);
}

function namedAnswer(query: DnsQuery, zone: DnsZone, entry: DnsEntry): DnsContent {
  const { name, type } = query.question;
  if (type === DNS_TYPE.any) return positive([hinfo(name)]);
  if (type === DNS_TYPE.soa && dnsNameKey(name) === dnsNameKey(zone.domain)) return positive([soa(name)]);
  const addresses = type === DNS_TYPE.a ? entry.v4 : type === DNS_TYPE.aaaa ? entry.v6 : [];
  if (addresses.length === 0) return negative(DNS_RCODE.noError, soaOwner(name, zone));
  return positive(addresses.map((address) => internetRecord(name, type, TTL_SECONDS, address)));
}

function reverseAnswer(
  query: DnsQuery,
  zone: DnsZone,
  names: readonly DnsName[] | undefined,
  isOwn: boolean,
): DnsContent | undefined {
  const { name, type } = query.question;
  if (names === undefined) return isOwn ? negative(DNS_RCODE.nameError, soaOwner(name, zone)) : undefined;
  if (type === DNS_TYPE.any) return positive([hinfo(name)]);
  if (type !== DNS_TYPE.ptr) return isOwn ? negative(DNS_RCODE.noError, soaOwner(name, zone)) : undefined;
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

function soa(owner: DnsName): DnsRecord {
  const server = encodeDnsName(owner);
  // A mailbox that would make the name too long is left out.
  const mailbox = server.length + 11 <= 255 ? encodeDnsName(['hostmaster', ...owner]) : server;
  const times = new DataView(new ArrayBuffer(20));
  SOA_TIMES.forEach((seconds, index) => {
    times.setUint32(index * 4, seconds);
  });
  const data = Buffer.concat([server, mailbox, new Uint8Array(times.buffer)]);
  return internetRecord(owner, DNS_TYPE.soa, NEGATIVE_TTL_SECONDS, data);
}

/** RFC 8482 §4.2: a question for everything gets one record that says why not. */
function hinfo(name: DnsName): DnsRecord {
  const text = new TextEncoder().encode('RFC8482');
  return internetRecord(
    name,
    DNS_TYPE.hinfo,
    TTL_SECONDS,
    Buffer.concat([Uint8Array.of(text.length), text, Uint8Array.of(0)]),
  );
}

function positive(answers: readonly DnsRecord[]): DnsContent {
  return { rcode: DNS_RCODE.noError, authoritative: true, answers, authorities: [] };
}

function negative(rcode: number, owner: DnsName): DnsContent {
  return { rcode, authoritative: true, answers: [], authorities: [soa(owner)] };
}

function plain(rcode: number): DnsContent {
  return { rcode, authoritative: false, answers: [], authorities: [] };
}
