import { dnsNameKey, encodeDnsName, isWithin, readDnsName } from '@cable/model';
import { DNS_CLASS, DNS_FLAG, DNS_RCODE, DNS_TYPE, type DnsMessage, decodeDnsMessage } from './dns-message.ts';
import type { DnsQuery } from './dns-query.ts';

export type DnsCacheOptions = {
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Default 20,000. */
  readonly maxEntries?: number;
  /** Of answers and their keys. Default 16 MiB. */
  readonly maxBytes?: number;
};

/** `isStale`: its time is over; it is told only where nobody answers. */
export type CachedAnswer = { readonly bytes: Uint8Array; readonly isStale: boolean };

/** An answer without its EDNS record. */
type Entry = {
  readonly bytes: Uint8Array;
  /** Where in it times to live are. */
  readonly ttlPlaces: readonly number[];
  readonly storedAt: number;
  readonly lifeMs: number;
  readonly guest: number;
  readonly size: number;
  /** Until then nobody is asked again: those who were did not answer. */
  retryAt: number;
};

const MAX_ENTRIES = 20_000;
const MAX_BYTES = 16 << 20;
/** What one guest has asked for takes at most this part of the cache. */
const SHARE_OF_GUEST = 8;
const MAX_ANSWER_BYTES = 4096;
const MAX_RECORDS = 256;
/** Whatever a server says, an answer counts so long, and no longer. 0 is kept for nobody. */
const MIN_LIFE_S = 5;
const MAX_LIFE_S = 3600;
const MAX_NEGATIVE_LIFE_S = 300;
/** RFC 8767 §5. */
const STALE_MS = 86_400_000;
const STALE_TTL_S = 30;
const RETRY_MS = 30_000;
const OVERHEAD_BYTES = 200;
const HEADER_BYTES = 12;

/**
 * Answers of upstream servers, by servers and question: whoever asks another question, or other servers, gets none of them, so a server can lie about nothing but what it
 * was asked. Positive answers count as long as their records say, negative ones by their SOA (RFC 2308); what says neither is not kept. The oldest goes first, and of a guest that
 * asks for more than an eighth its own.
 */
export class DnsCache {
  readonly #now: () => number;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  /** The one used longest ago is first. */
  readonly #entries = new Map<string, Entry>();
  readonly #ofGuest = new Map<number, { readonly keys: Set<string>; bytes: number }>();
  #bytes = 0;

  constructor({ now, maxEntries = MAX_ENTRIES, maxBytes = MAX_BYTES }: DnsCacheOptions) {
    this.#now = now;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  get size(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#entries.size, bytes: this.#bytes };
  }

  /** The answer under the guest's ID and in its letters, with what is left of its time. Undefined: there is none. */
  get(key: string, query: DnsQuery): CachedAnswer | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const now = this.#now();
    const ageMs = now - entry.storedAt;
    if (ageMs >= entry.lifeMs + STALE_MS) {
      this.#delete(key, entry);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    const isOver = ageMs >= entry.lifeMs;
    return { bytes: copyFor(entry, query, ageMs, isOver), isStale: isOver && now >= entry.retryAt };
  }

  /** Nobody answered: what is there counts on for a while, without anybody being asked. */
  retryLater(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) entry.retryAt = this.#now() + RETRY_MS;
  }

  /** Keeps an answer to the question that a guest has asked. */
  put(key: string, query: DnsQuery, answer: Uint8Array, guest: number): void {
    const read = readAnswer(answer, query);
    if (read === undefined) return;
    const before = this.#entries.get(key);
    if (before !== undefined) this.#delete(key, before);
    const size = read.bytes.length + 2 * key.length + OVERHEAD_BYTES;
    this.#entries.set(key, { ...read, storedAt: this.#now(), guest, size, retryAt: 0 });
    this.#bytes += size;
    const own = this.#ofGuest.get(guest) ?? { keys: new Set<string>(), bytes: 0 };
    this.#ofGuest.set(guest, own);
    own.keys.add(key);
    own.bytes += size;
    while (own.keys.size > this.#maxEntries / SHARE_OF_GUEST || own.bytes > this.#maxBytes / SHARE_OF_GUEST)
      this.#deleteFirst(own.keys);
    while (this.#entries.size > this.#maxEntries || this.#bytes > this.#maxBytes)
      this.#deleteFirst(this.#entries.keys());
  }

  #deleteFirst(keys: Iterable<string>): void {
    for (const key of keys) {
      const entry = this.#entries.get(key);
      if (entry !== undefined) this.#delete(key, entry);
      return;
    }
  }

  #delete(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.size;
    const own = this.#ofGuest.get(entry.guest);
    if (own === undefined) return;
    own.keys.delete(key);
    own.bytes -= entry.size;
    if (own.keys.size === 0) this.#ofGuest.delete(entry.guest);
  }
}

function copyFor(entry: Entry, query: DnsQuery, ageMs: number, isOver: boolean): Uint8Array {
  const opt = query.edns === null ? 0 : OPT.length;
  const bytes = new Uint8Array(entry.bytes.length + opt);
  bytes.set(entry.bytes);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, query.id);
  // The name is as long in any letters, and the names of records point to it.
  bytes.set(encodeDnsName(query.question.name), HEADER_BYTES);
  const age = Math.floor(ageMs / 1000);
  for (const place of entry.ttlPlaces) {
    const ttl = Math.min(view.getUint32(place), Math.ceil(entry.lifeMs / 1000));
    view.setUint32(place, isOver ? STALE_TTL_S : Math.max(ttl - age, 0));
  }
  if (query.edns === null) return bytes;
  bytes.set(OPT, entry.bytes.length);
  if (query.edns.dnssecOk) bytes[entry.bytes.length + 7] = 0x80;
  view.setUint16(10, 1);
  return bytes;
}

/** An OPT record that says 1,232 bytes. */
const OPT = Uint8Array.of(0, 0, 41, 1232 >> 8, 1232 & 255, 0, 0, 0, 0, 0, 0);

/** Undefined: it is not to be kept. */
function readAnswer(answer: Uint8Array, query: DnsQuery): Pick<Entry, 'bytes' | 'ttlPlaces' | 'lifeMs'> | undefined {
  if (answer.length > MAX_ANSWER_BYTES) return undefined;
  const message = decodeDnsMessage(answer, MAX_RECORDS);
  if (message === undefined || message.questions.length !== 1 || (message.flags & DNS_FLAG.truncated) !== 0)
    return undefined;
  const lifeS = lifeOf(message, query);
  if (lifeS === undefined) return undefined;
  const places = recordPlaces(answer, message);
  if (places === undefined) return undefined;
  const bytes = Uint8Array.from(answer.subarray(0, places.end));
  // What is additional is left out: it is no answer to the question.
  bytes[10] = 0;
  bytes[11] = 0;
  return { bytes, ttlPlaces: places.ttls, lifeMs: lifeS * 1000 };
}

/** Seconds; undefined: it says no time, or is no answer to the question. */
function lifeOf(message: DnsMessage, { question }: DnsQuery): number | undefined {
  const rcode = message.flags & DNS_FLAG.rcode;
  const extended = message.additionals.some(({ type, ttlSeconds }) => type === DNS_TYPE.opt && ttlSeconds >>> 24 !== 0);
  if ((rcode !== DNS_RCODE.noError && rcode !== DNS_RCODE.nameError) || extended) return undefined;
  // Where the question leads: records on the way, and what there is at the end of it.
  let key = dnsNameKey(question.name);
  let [lifeS, isAnswered] = [MAX_LIFE_S, false];
  for (const record of message.answers) {
    if (record.class !== DNS_CLASS.internet || dnsNameKey(record.name) !== key) {
      if (record.type === DNS_TYPE.cname || record.type === question.type) return undefined;
      continue;
    }
    if (record.ttlSeconds === 0) return undefined;
    lifeS = Math.min(lifeS, record.ttlSeconds > 0x7fffffff ? 0 : record.ttlSeconds);
    if (record.type === question.type) isAnswered = true;
    else if (record.type === DNS_TYPE.cname) {
      const target = readDnsName(record.data, 0)?.name;
      if (target === undefined) return undefined;
      key = dnsNameKey(target);
    }
  }
  if (lifeS === 0) return undefined;
  if (isAnswered && rcode === DNS_RCODE.noError) return Math.max(lifeS, MIN_LIFE_S);
  if (isAnswered) return undefined;
  const soa = message.authorities.find(({ type, class: of }) => type === DNS_TYPE.soa && of === DNS_CLASS.internet);
  const end = key.split('.').slice(0, -1);
  if (soa === undefined || soa.data.length < 20 || !isWithin(end, soa.name)) return undefined;
  const minimum = new DataView(soa.data.buffer, soa.data.byteOffset).getUint32(soa.data.length - 4);
  const negative = Math.min(lifeS, soa.ttlSeconds, minimum, MAX_NEGATIVE_LIFE_S);
  return negative === 0 ? undefined : Math.max(negative, MIN_LIFE_S);
}

/** Where the times of the records of the first two sections are, and where these end. */
function recordPlaces(
  bytes: Uint8Array,
  { answers, authorities }: DnsMessage,
): { readonly ttls: readonly number[]; readonly end: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const question = readDnsName(bytes, HEADER_BYTES);
  if (question === undefined) return undefined;
  let at = question.next + 4;
  const ttls: number[] = [];
  for (let left = answers.length + authorities.length; left > 0; left -= 1) {
    const name = readDnsName(bytes, at);
    if (name === undefined) return undefined;
    ttls.push(name.next + 4);
    at = name.next + 10 + view.getUint16(name.next + 8);
  }
  return { ttls, end: at };
}
