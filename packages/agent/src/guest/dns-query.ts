import {
  DNS_CLASS,
  DNS_FLAG,
  DNS_RCODE,
  DNS_TYPE,
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  decodeDnsMessage,
  encodeDnsMessage,
} from './dns-message.ts';

/** What a guest says of itself by EDNS (RFC 6891). */
export type DnsEdns = { readonly payloadBytes: number; readonly dnssecOk: boolean };

/** A question of a guest. `edns` null: it knows no EDNS. */
export type DnsQuery = {
  readonly id: number;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  readonly question: DnsQuestion;
  readonly edns: DnsEdns | null;
};

export type DnsQueryParsed =
  | { readonly kind: 'query'; readonly query: DnsQuery }
  /** To be answered with this code and no question. */
  | {
      readonly kind: 'error';
      readonly id: number;
      readonly flags: number;
      readonly rcode: number;
      readonly edns: boolean;
    }
  | { readonly kind: 'silence'; readonly reason: 'short' | 'response' };

/** `records`: those of a right answer, in the answer section, or for a negative one the SOA in the authority section. */
export type DnsContent = {
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  /** Any of the answers are better than none: what a datagram has room for is told. Absent: all or none. */
  readonly mayBeCut?: true;
};

/** One question, an OPT, and some that are passed over. */
const MAX_QUERY_RECORDS = 8;
const MAX_QUERY_BYTES = 4096;
/** What a datagram may have without EDNS (RFC 1035 §4.2.1), and with it: what passes every path unfragmented. */
const PLAIN_UDP_BYTES = 512;
export const EDNS_UDP_BYTES = 1232;
const MAX_TCP_BYTES = 65_535;
const DNSSEC_OK = 0x8000;

/** What the guest asks. Never throws. */
export function parseDnsQuery(bytes: Uint8Array): DnsQueryParsed {
  if (bytes.length < 12) return { kind: 'silence', reason: 'short' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const id = view.getUint16(0);
  const flags = view.getUint16(2);
  // A response is never answered, or two servers could answer each other for ever.
  if ((flags & DNS_FLAG.response) !== 0) return { kind: 'silence', reason: 'response' };
  const error = (rcode: number, edns = false): DnsQueryParsed => ({ kind: 'error', id, flags, rcode, edns });
  if ((flags & DNS_FLAG.opcode) !== 0) return error(DNS_RCODE.notImplemented);
  const message = bytes.length > MAX_QUERY_BYTES ? undefined : decodeDnsMessage(bytes, MAX_QUERY_RECORDS);
  const [question] = message?.questions ?? [];
  if (message === undefined || question === undefined || message.questions.length !== 1)
    return error(DNS_RCODE.formatError);
  const opts = message.additionals.filter((record) => record.type === DNS_TYPE.opt);
  const [opt] = opts;
  if (opts.length > 1 || (opt !== undefined && opt.name.length > 0) || question.type === DNS_TYPE.opt)
    return error(DNS_RCODE.formatError);
  if (opt !== undefined && ((opt.ttlSeconds >>> 16) & 255) !== 0) return error(DNS_RCODE.badVersion, true);
  const edns = opt === undefined ? null : { payloadBytes: opt.class, dnssecOk: (opt.ttlSeconds & DNSSEC_OK) !== 0 };
  const query: DnsQuery = {
    id,
    recursionDesired: (flags & DNS_FLAG.recursionDesired) !== 0,
    checkingDisabled: (flags & DNS_FLAG.checkingDisabled) !== 0,
    question,
    edns,
  };
  return { kind: 'query', query };
}

/** What an answer may have: what the guest says it takes, within bounds. */
export function answerLimit(query: DnsQuery, protocol: 'udp' | 'tcp'): number {
  if (protocol === 'tcp') return MAX_TCP_BYTES;
  if (query.edns === null) return PLAIN_UDP_BYTES;
  return Math.min(Math.max(query.edns.payloadBytes, PLAIN_UDP_BYTES), EDNS_UDP_BYTES);
}

/** The answer as bytes. What would be too long has no records and asks for TCP (RFC 2181 §9). */
export function encodeDnsAnswer(
  query: DnsQuery,
  content: DnsContent,
  protocol: 'udp' | 'tcp',
  recursionAvailable: boolean,
): Uint8Array {
  const message: DnsMessage = {
    id: query.id,
    flags: answerFlags(query, content, recursionAvailable),
    questions: [query.question],
    answers: content.answers,
    authorities: content.authorities,
    additionals: optOf(query.edns),
  };
  const whole = encodeDnsMessage(message);
  const limit = answerLimit(query, protocol);
  if (whole.length <= limit) return whole;
  return content.mayBeCut === true ? encodeSome(message, limit) : encodeTruncated(message);
}

/** As many of the answers as there is room for, with the mark that there are more: not all resolvers of old ask again by TCP. */
function encodeSome(message: DnsMessage, limit: number): Uint8Array {
  let [fits, over] = [0, message.answers.length];
  while (over - fits > 1) {
    const middle = (fits + over) >> 1;
    if (encodeCut(message, middle).length <= limit) fits = middle;
    else over = middle;
  }
  return encodeCut(message, fits);
}

function encodeCut(message: DnsMessage, count: number): Uint8Array {
  const flags = message.flags | DNS_FLAG.truncated;
  return encodeDnsMessage({ ...message, flags, answers: message.answers.slice(0, count), authorities: [] });
}

/** As an answer, without records, with the mark that there are some. */
function encodeTruncated(message: DnsMessage): Uint8Array {
  return encodeDnsMessage({ ...message, flags: message.flags | DNS_FLAG.truncated, answers: [], authorities: [] });
}

/** Tells the guest to ask by TCP. */
export function encodeTryTcp(query: DnsQuery): Uint8Array {
  const content: DnsContent = { rcode: DNS_RCODE.noError, authoritative: false, answers: [], authorities: [] };
  return encodeTruncated({
    id: query.id,
    flags: answerFlags(query, content, true),
    questions: [query.question],
    answers: [],
    authorities: [],
    additionals: optOf(query.edns),
  });
}

function answerFlags(query: DnsQuery, content: DnsContent, recursionAvailable: boolean): number {
  return (
    DNS_FLAG.response |
    (content.authoritative ? DNS_FLAG.authoritative : 0) |
    (query.recursionDesired ? DNS_FLAG.recursionDesired : 0) |
    (recursionAvailable ? DNS_FLAG.recursionAvailable : 0) |
    (query.checkingDisabled ? DNS_FLAG.checkingDisabled : 0) |
    content.rcode
  );
}

/** The answer to what `parseDnsQuery` found wrong. */
export function encodeDnsError(error: Extract<DnsQueryParsed, { kind: 'error' }>): Uint8Array {
  const { id, flags, rcode } = error;
  const kept = flags & (DNS_FLAG.opcode | DNS_FLAG.recursionDesired);
  return encodeDnsMessage({
    id,
    flags: DNS_FLAG.response | kept | (rcode & DNS_FLAG.rcode),
    questions: [],
    answers: [],
    authorities: [],
    additionals: error.edns ? [optRecord(EDNS_UDP_BYTES, (rcode >>> 4) * 0x1000000)] : [],
  });
}

/** The query as it is sent upstream: the guest's question, with nothing else that it wrote. */
export function encodeForwarded(query: DnsQuery, id: number): Uint8Array {
  return encodeDnsMessage({
    id,
    flags: DNS_FLAG.recursionDesired | (query.checkingDisabled ? DNS_FLAG.checkingDisabled : 0),
    questions: [query.question],
    answers: [],
    authorities: [],
    additionals: optOf(query.edns),
  });
}

function optOf(edns: DnsEdns | null): readonly DnsRecord[] {
  return edns === null ? [] : [optRecord(EDNS_UDP_BYTES, edns.dnssecOk ? DNSSEC_OK : 0)];
}

function optRecord(payloadBytes: number, ttlSeconds: number): DnsRecord {
  return { name: [], type: DNS_TYPE.opt, class: payloadBytes, ttlSeconds, data: new Uint8Array(0) };
}

/** A record of class IN. */
export function internetRecord(name: DnsRecord['name'], type: number, ttlSeconds: number, data: Uint8Array): DnsRecord {
  return { name, type, class: DNS_CLASS.internet, ttlSeconds, data };
}
