import { cidrContains, dnsNameKey, encodeDnsName, formatIp, parseCidr, parseIp } from '@cable/model';
import { CLUSTER_DNS_ADDRESS } from '../plan/port-subnets.ts';
import type { DnsCache } from './dns-cache.ts';
import { DNS_FLAG, DNS_RCODE, decodeDnsHead, decodeDnsMessage, recordsOf, sameQuestion } from './dns-message.ts';
import { answerLimit, type DnsQuery, encodeDnsAnswer, encodeForwarded, encodeTryTcp } from './dns-query.ts';
import { QuestionShares } from './question-shares.ts';

export type DnsUpstream = { readonly address: string; readonly port: number };

/** How messages come to a server and back. */
export type DnsTransport = {
  /**
   * Sends the query from a port of its own, random and not used for anything else meanwhile (RFC 5452 §9.2), and resolves with the first message
   * of that server for which `accepts` is true. Rejects when the exchange fails or the signal ends it.
   */
  exchange(
    upstream: DnsUpstream,
    protocol: 'udp' | 'tcp',
    query: Uint8Array,
    accepts: (message: Uint8Array) => boolean,
    signal: AbortSignal,
  ): Promise<Uint8Array>;
};

export type DnsForwarderDeps = {
  readonly transport: DnsTransport;
  /** 0 to 65535, not to be guessed. */
  readonly randomId: () => number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Whether it is the node itself, which may ask more than a guest. Absent: none is. */
  readonly isNode?: (guest: number) => boolean;
  /** Answers that are kept; absent: none is. */
  readonly cache?: DnsCache;
  /** Adds one to a counter; absent: nothing is counted. */
  readonly count?: (counter: string) => void;
  /** Ends all questions: the agent stops. */
  readonly signal: AbortSignal;
  /** How long one server may take; the next one is asked then. Default 2,000. */
  readonly tryMs?: number;
};

/** Each question that is asked may have a socket, each that waits some kilobytes. A guest's resolver asks anew after some five seconds. */
const QUESTIONS = { total: 1024, perGuest: 128, waiting: 8192, waitingPerGuest: 512, maxWaitMs: 3000 };
/** Many programs ask as the node itself. */
const WEIGHT_OF_NODE = 4;
const DEFAULT_TRY_MS = 2000;
/** Servers that are asked for one question. */
const MAX_TRIES = 3;
/** A server that gave no answer is asked last for so long. */
const LAST_FOR_MS = 10_000;
const MAX_SILENT = 256;
/** Who can be told what counted before waits no longer (RFC 8767 §5). */
const STALE_AFTER_MS = 1800;
/** What is larger nobody is told: to read it would take the time of others. A name with hundreds of addresses has room. */
const MAX_ANSWER_RECORDS = 512;
const MAX_ANSWER_BYTES = 16 << 10;

/** Never an upstream server: this host, guests' service addresses, groups, and links of IPv6, whose device the address alone does not say. A query to itself would go round for ever. */
const FORBIDDEN = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  `${CLUSTER_DNS_ADDRESS}/32`,
  '198.18.0.0/15',
  '224.0.0.0/3',
  '::/127',
  'fe80::/10',
  'ff00::/8',
]
  .map((text) => parseCidr(text))
  .filter((prefix) => prefix !== undefined);

/** A server that an operator names: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`. He may name one on loopback; what no server can be is undefined. */
export function parseUpstream(text: string): DnsUpstream | undefined {
  const [, bracketed, dotted, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?$/.exec(text) ?? [];
  const ip = parseIp(bracketed ?? dotted ?? text);
  const number = Number(port ?? 53);
  if (ip === undefined || number < 1 || number > 65_535) return undefined;
  const isForbidden =
    FORBIDDEN.some((range) => cidrContains(range, ip)) && !LOOPBACK.some((one) => cidrContains(one, ip));
  return isForbidden ? undefined : { address: formatIp(ip), port: number };
}

const LOOPBACK = ['127.0.0.0/8', '::1/128'].map((text) => parseCidr(text)).filter((prefix) => prefix !== undefined);

/**
 * The servers among these addresses that may be asked, each once, in their order. `own`: addresses of this host, so that the agent never
 * asks itself.
 */
export function usableUpstreams(addresses: readonly string[], own: readonly string[]): readonly DnsUpstream[] {
  const ownTexts = new Set(own.map(parseIp).flatMap((ip) => (ip === undefined ? [] : [formatIp(ip)])));
  const usable = addresses.map(parseIp).flatMap((ip) => {
    if (ip === undefined || FORBIDDEN.some((range) => cidrContains(range, ip))) return [];
    // IPv4 in IPv6 form reaches the same hosts as the IPv4 address.
    if (ip.version === 6 && ip.value >> 32n === 0xffffn) return [];
    return ownTexts.has(formatIp(ip)) ? [] : [formatIp(ip)];
  });
  return [...new Set(usable)].map((address) => ({ address, port: 53 }));
}

/** The servers have not answered yet. */
const LATE: unique symbol = Symbol('late');
/** The question gave way to another's. */
const GIVEN: unique symbol = Symbol('given');

/** A question under way, and how many wait for its answer: when none does it is over. */
type Exchange = { readonly answer: Promise<Uint8Array | undefined>; readonly stop: AbortController; askers: number };

/**
 * Asks upstream servers what the network itself does not know. Each question goes out anew, under a random id, with nothing of the guest's
 * message but its question; the same question of several guests goes out once (RFC 5452 §9.3: many at once make a forged answer likely).
 */
export class DnsForwarder {
  readonly #deps: DnsForwarderDeps;
  readonly #tryMs: number;
  readonly #shares: QuestionShares;
  /** By what is asked of whom. */
  readonly #exchanges = new Map<string, Exchange>();
  /** Servers that gave no answer, and until when they are asked last. */
  readonly #silent = new Map<string, number>();

  constructor(deps: DnsForwarderDeps) {
    this.#deps = deps;
    this.#tryMs = deps.tryMs ?? DEFAULT_TRY_MS;
    this.#shares = new QuestionShares(QUESTIONS, (guest) => (deps.isNode?.(guest) === true ? WEIGHT_OF_NODE : 1));
    // There may be more exchanges than one signal may have listeners.
    const end = (): void => {
      this.#shares.close();
      for (const { stop } of this.#exchanges.values()) stop.abort();
    };
    deps.signal.addEventListener('abort', end, { once: true });
  }

  /**
   * The answer for the guest, always one: SERVFAIL when no server gives any, or too many questions wait. Never rejects. `guest`: number of its VIF.
   */
  async forward(
    query: DnsQuery,
    guest: number,
    upstreams: readonly DnsUpstream[],
    protocol: 'udp' | 'tcp',
  ): Promise<Uint8Array> {
    const { cache, count = () => {} } = this.#deps;
    const key = cacheKey(query, upstreams);
    const kept = cache?.get(key, query);
    if (kept?.isStale === false) {
      count('dns_cache_hits');
      return forGuest(query, kept.bytes, protocol);
    }
    if (cache !== undefined) count('dns_cache_misses');
    const asking = this.#admitted(query, guest, upstreams, protocol);
    const fresh =
      kept === undefined
        ? await asking
        : await Promise.race([asking, after(STALE_AFTER_MS).then((): typeof LATE => LATE)]);
    if (kept === undefined) return fresh === undefined || fresh === LATE ? failure(query, protocol) : fresh;
    if (fresh !== undefined && fresh !== LATE && !isFailure(fresh)) return fresh;
    count('dns_cache_stale');
    // Nobody was asked where there was no room: that says nothing of the servers.
    if (fresh !== undefined) cache?.retryLater(key);
    return forGuest(query, kept.bytes, protocol);
  }

  /** Waits for its turn and for the servers; undefined: others wait already, or were to be asked in its place. */
  async #admitted(
    query: DnsQuery,
    guest: number,
    upstreams: readonly DnsUpstream[],
    protocol: 'udp' | 'tcp',
  ): Promise<Uint8Array | undefined> {
    let giveWay = (): void => undefined;
    const given = new Promise<typeof GIVEN>((resolve) => {
      giveWay = () => resolve(GIVEN);
    });
    const release = await this.#shares.enter(guest, () => giveWay());
    if (release === undefined) {
      this.#deps.count?.('dns_refused_too_many');
      return undefined;
    }
    const exchange = this.#shared(query, upstreams, protocol);
    try {
      const answer = await Promise.race([exchange.answer, given]);
      if (answer === GIVEN) {
        this.#deps.count?.('dns_gave_way');
        return undefined;
      }
      if (answer !== undefined) this.#deps.cache?.put(cacheKey(query, upstreams), query, answer, guest);
      return forGuest(query, answer, protocol);
    } finally {
      exchange.askers -= 1;
      if (exchange.askers === 0) exchange.stop.abort();
      release();
    }
  }

  /** One exchange for all who ask the same servers the same in the same letters. */
  #shared(query: DnsQuery, upstreams: readonly DnsUpstream[], protocol: 'udp' | 'tcp'): Exchange {
    const name = Buffer.from(encodeDnsName(query.question.name)).toString('hex');
    const key = JSON.stringify([
      upstreams,
      protocol,
      name,
      query.question.type,
      query.edns?.dnssecOk ?? null,
      query.checkingDisabled,
    ]);
    const running = this.#exchanges.get(key);
    if (running !== undefined && !running.stop.signal.aborted) {
      running.askers += 1;
      return running;
    }
    const stop = new AbortController();
    const answer = this.#ask(query, { upstreams, protocol, signal: stop.signal }).finally(() => {
      if (this.#exchanges.get(key) === started) this.#exchanges.delete(key);
    });
    const started: Exchange = { answer, stop, askers: 1 };
    this.#exchanges.set(key, started);
    return started;
  }

  /** One server after the other; the last refusal stands when none does better. */
  async #ask(
    query: DnsQuery,
    {
      upstreams,
      protocol,
      signal,
    }: {
      readonly upstreams: readonly DnsUpstream[];
      readonly protocol: 'udp' | 'tcp';
      readonly signal: AbortSignal;
    },
  ): Promise<Uint8Array | undefined> {
    let refused: Uint8Array | undefined;
    for (const upstream of this.#inOrder(upstreams).slice(0, MAX_TRIES)) {
      const answer = await this.#try(query, upstream, protocol, signal);
      if (signal.aborted) break;
      if (answer === undefined) {
        this.#remember(upstream);
        continue;
      }
      this.#silent.delete(upstream.address);
      // Another server would say the same.
      if (isTooLarge(answer)) {
        this.#deps.count?.('dns_answers_too_large');
        return undefined;
      }
      const rcode = (answer[3] ?? 0) & DNS_FLAG.rcode;
      if (rcode !== DNS_RCODE.serverFailure && rcode !== DNS_RCODE.refused) return answer;
      refused = answer;
    }
    return refused;
  }

  async #try(
    query: DnsQuery,
    upstream: DnsUpstream,
    protocol: 'udp' | 'tcp',
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const id = this.#deps.randomId();
    const accepts = (message: Uint8Array): boolean => isAnswer(message, id, query);
    const until = new AbortController();
    const end = (): void => until.abort();
    const timer = setTimeout(end, this.#tryMs);
    signal.addEventListener('abort', end);
    try {
      return await this.#deps.transport.exchange(upstream, protocol, encodeForwarded(query, id), accepts, until.signal);
    } catch {
      // Unreachable, closed, too late: all the same to the guest, who gets another server's answer or SERVFAIL.
      return undefined;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
    }
  }

  #inOrder(upstreams: readonly DnsUpstream[]): readonly DnsUpstream[] {
    const now = this.#deps.now();
    const isSilent = ({ address }: DnsUpstream): boolean => (this.#silent.get(address) ?? 0) > now;
    return [...upstreams.filter((one) => !isSilent(one)), ...upstreams.filter(isSilent)];
  }

  #remember({ address }: DnsUpstream): void {
    this.#silent.delete(address);
    this.#silent.set(address, this.#deps.now() + LAST_FOR_MS);
    const oldest = this.#silent.size > MAX_SILENT ? this.#silent.keys().next().value : undefined;
    if (oldest !== undefined) this.#silent.delete(oldest);
  }
}

/** What may be answered alike: names in any letters. Who does not want DNSSEC's records gets none, and what was checked or not differs. */
function cacheKey({ question, edns, checkingDisabled }: DnsQuery, upstreams: readonly DnsUpstream[]): string {
  const flags = (edns?.dnssecOk === true ? 1 : 0) + (checkingDisabled ? 2 : 0);
  const servers = upstreams.map(({ address, port }) => `${address} ${port}`).join();
  return `${dnsNameKey(question.name)} ${question.type} ${flags} ${servers}`;
}

function isFailure(answer: Uint8Array): boolean {
  const rcode = (answer[3] ?? 0) & DNS_FLAG.rcode;
  return rcode === DNS_RCODE.serverFailure || rcode === DNS_RCODE.refused;
}

function after(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
}

/** Whether the bytes are a whole answer to this question, or one that is too large to be read; what else comes is a late or a forged one. */
function isAnswer(bytes: Uint8Array, id: number, query: DnsQuery): boolean {
  const message = decodeDnsHead(bytes, 1);
  if (message === undefined || message.id !== id) return false;
  if (!isTooLarge(bytes) && decodeDnsMessage(bytes, MAX_ANSWER_RECORDS) === undefined) return false;
  if ((message.flags & (DNS_FLAG.response | DNS_FLAG.opcode)) !== DNS_FLAG.response) return false;
  const [question] = message.questions;
  // A server that cannot read the question does not repeat it.
  if (question === undefined) return (message.flags & DNS_FLAG.rcode) === DNS_RCODE.formatError;
  return message.questions.length === 1 && sameQuestion(question, query.question);
}

function isTooLarge(answer: Uint8Array): boolean {
  if (answer.length > MAX_ANSWER_BYTES) return true;
  const head = decodeDnsHead(answer, 1);
  return head !== undefined && recordsOf(head) > MAX_ANSWER_RECORDS;
}

function forGuest(query: DnsQuery, answer: Uint8Array | undefined, protocol: 'udp' | 'tcp'): Uint8Array {
  if (answer === undefined) return failure(query, protocol);
  if (answer.length > answerLimit(query, protocol)) return encodeTryTcp(query);
  const own = Uint8Array.from(answer);
  own[0] = query.id >>> 8;
  own[1] = query.id & 255;
  // Whatever the server is: to the guest the answer is not authoritative, and recursion is to be had here. That data was authenticated is for
  // the guest to find out: the way from the server is not secured.
  own[2] = (own[2] ?? 0) & ~(DNS_FLAG.authoritative >>> 8);
  own[3] = ((own[3] ?? 0) | DNS_FLAG.recursionAvailable) & ~DNS_FLAG.authenticData;
  return own;
}

function failure(query: DnsQuery, protocol: 'udp' | 'tcp'): Uint8Array {
  const content = { rcode: DNS_RCODE.serverFailure, authoritative: false, answers: [], authorities: [] };
  return encodeDnsAnswer(query, content, protocol, true);
}
