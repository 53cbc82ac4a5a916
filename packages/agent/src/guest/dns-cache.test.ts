import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeDnsName, parseDnsName } from '@cable/model';
import { DnsCache } from './dns-cache.ts';
import { soa } from './dns-content.ts';
import { DnsForwarder, type DnsUpstream } from './dns-forwarder.ts';
import { DNS_FLAG, DNS_TYPE, type DnsRecord, decodeDnsMessage, encodeDnsMessage } from './dns-message.ts';
import { type DnsQuery, internetRecord, parseDnsQuery } from './dns-query.ts';
import { type AskFields, ask, describeDns } from './testing/dns-client.ts';
import { fuzz } from './testing/fuzz.ts';

const HOST = Uint8Array.of(203, 0, 113, 80);
const GUEST = 2;

function nameOf(text: string): readonly string[] {
  return parseDnsName(text) ?? [];
}

function queryOf(name: string, type: number = DNS_TYPE.a, fields: AskFields = {}): DnsQuery {
  const parsed = parseDnsQuery(ask(name, type, fields));
  assert.ok(parsed.kind === 'query');
  return parsed.query;
}

type Parts = { readonly flags?: number; readonly answers?: readonly DnsRecord[]; readonly soa?: DnsRecord };

function answerTo({ question }: DnsQuery, { flags = 0, answers = [], soa: authority }: Parts): Uint8Array {
  return encodeDnsMessage({
    ...{ id: 7, flags: DNS_FLAG.response | flags, questions: [question], answers },
    authorities: authority === undefined ? [] : [authority],
    additionals: [internetRecord(nameOf('ns.evil.example'), DNS_TYPE.a, 60, HOST)],
  });
}

function address(name: string, ttlSeconds: number): DnsRecord {
  return internetRecord(nameOf(name), DNS_TYPE.a, ttlSeconds, HOST);
}

function alias(name: string, target: string, ttlSeconds: number): DnsRecord {
  return internetRecord(nameOf(name), DNS_TYPE.cname, ttlSeconds, encodeDnsName(nameOf(target)));
}

/** A cache with a clock, and what it tells of one answer after a while. */
function fixture(bounds: { readonly maxEntries?: number; readonly maxBytes?: number } = {}) {
  let now = 1000;
  const cache = new DnsCache({ now: () => now, ...bounds });
  return {
    cache,
    pass: (seconds: number): void => {
      now += seconds * 1000;
    },
    keep: (parts: Parts, query = queryOf('www.example.com')): void =>
      cache.put('k', query, answerTo(query, parts), GUEST),
    told: (query = queryOf('www.example.com')): string => {
      const kept = cache.get('k', query);
      if (kept === undefined) return 'nothing';
      const ttls = decodeDnsMessage(kept.bytes, 10)?.answers.map(({ ttlSeconds }) => ttlSeconds);
      return `${kept.isStale ? 'stale ' : ''}${describeDns(kept.bytes)} (${ttls})`;
    },
  };
}

const WWW = 'www.example.com. a 203.0.113.80';

test('an answer counts as long as its least time says, with what is left of it, and nothing additional', () => {
  const { keep, told, pass } = fixture();
  keep({ answers: [address('www.example.com', 60), address('www.example.com', 20)] });
  assert.equal(told(), `0 | ${WWW} + ${WWW} (20,20)`);
  pass(15);
  assert.equal(told(), `0 | ${WWW} + ${WWW} (5,5)`);
  pass(5);
  assert.equal(told(), `stale 0 | ${WWW} + ${WWW} (30,30)`);
  pass(86_400);
  assert.equal(told(), 'nothing');
});

test('the answer comes under the guest’s ID, in its letters, with EDNS where it has it', () => {
  const { keep, cache } = fixture();
  keep({ answers: [address('www.example.com', 60)] });
  const kept = cache.get('k', queryOf('wWw.eXample.COM', 1, { id: 0xbeef, edns: 4096, ednsTtl: 0x8000 }));
  const message = decodeDnsMessage(kept?.bytes ?? new Uint8Array(0), 10);
  assert.equal(message?.id, 0xbeef);
  assert.deepEqual(message?.questions[0]?.name, ['wWw', 'eXample', 'COM']);
  assert.deepEqual(message?.answers[0]?.name, ['wWw', 'eXample', 'COM']);
  assert.deepEqual([message?.additionals[0]?.type, message?.additionals[0]?.ttlSeconds], [41, 0x8000]);
});

const negative = { flags: 3, soa: soa(['example', 'com'], 60) };

for (const [what, parts, lifeS] of [
  ['an hour at the most', { answers: [address('www.example.com', 100_000)] }, 3600],
  ['five seconds at least', { answers: [address('www.example.com', 1)] }, 5],
  ['a chain as its shortest part', { answers: [alias('www.example.com', 'b.net', 30), address('b.net', 60)] }, 30],
  ['a name that does not exist as the SOA says', negative, 60],
  ['no data as the SOA says', { soa: soa(['com'], 40) }, 40],
  ['no more than five minutes of it', { flags: 3, soa: soa(['com'], 86_400) }, 300],
  [
    'the end of a chain that does not exist',
    { flags: 3, answers: [alias('www.example.com', 'b.net', 600)], soa: soa(['net'], 60) },
    60,
  ],
  ['nothing of no time', { answers: [address('www.example.com', 0)] }, 0],
  ['nothing of a time below zero', { answers: [address('www.example.com', 0x80000001)] }, 0],
  ['nothing of no data without a SOA', {}, 0],
  ['nothing of a name that does not exist without a SOA', { flags: 3 }, 0],
  ['nothing of a SOA of another domain', { flags: 3, soa: soa(['example', 'net'], 60) }, 0],
  ['nothing of a failure', { flags: 2 }, 0],
  ['nothing of a refusal', { flags: 5, soa: soa(['com'], 60) }, 0],
  ['nothing of what was cut off', { flags: DNS_FLAG.truncated, answers: [address('www.example.com', 60)] }, 0],
  ['nothing of another name’s address', { answers: [address('bank.example', 60)] }, 0],
  [
    'nothing with another name’s address beside it',
    { answers: [address('www.example.com', 60), address('bank.example', 60)] },
    0,
  ],
  [
    'nothing of a chain that does not begin at the name',
    { answers: [alias('x.net', 'b.net', 60), address('b.net', 60)] },
    0,
  ],
  ['nothing of an address of a name that does not exist', { flags: 3, answers: [address('www.example.com', 60)] }, 0],
] as const) {
  test(`an answer is kept so long: ${what}`, () => {
    const { keep, told, pass } = fixture();
    keep(parts);
    if (lifeS === 0) return assert.equal(told(), 'nothing');
    pass(lifeS - 0.1);
    assert.match(told(), /^[03]/);
    pass(0.1);
    return assert.match(told(), /^stale/);
  });
}

test('entries and bytes are bounded, and a guest that asks for much loses its own', () => {
  const { cache } = fixture({ maxEntries: 80, maxBytes: 60_000 });
  const put = (name: string, guest: number): void => {
    const query = queryOf(name);
    cache.put(name, query, answerTo(query, { answers: [address(name, 60)] }), guest);
  };
  put('mine.example', 3);
  for (let n = 0; n < 500; n += 1) put(`n${n}.example`, GUEST);
  assert.equal(cache.size.entries, 11, 'an eighth of 80, and the other guest’s');
  assert.ok(cache.get('mine.example', queryOf('mine.example')) !== undefined);
  assert.equal(cache.get('n0.example', queryOf('n0.example')), undefined);
  for (let n = 0; n < 500; n += 1) put(`m${n}.example`, 4 + (n % 50));
  assert.ok(cache.size.entries <= 80 && cache.size.bytes <= 60_000, JSON.stringify(cache.size));
});

const FIRST: DnsUpstream = { address: '192.0.2.1', port: 53 };
const OTHER: DnsUpstream = { address: '192.0.2.2', port: 53 };

/** A forwarder with a cache; `reply` undefined: nobody answers. */
function forwarding() {
  let now = 0;
  let reply: Parts | undefined = { answers: [address('www.example.com', 10)] };
  const [asked, counted]: [string[], string[]] = [[], []];
  const forwarder = new DnsForwarder({
    transport: {
      exchange: async ({ address: to }, _protocol, bytes, _accepts, signal) => {
        asked.push(to);
        const parsed = parseDnsQuery(bytes);
        if (reply !== undefined && parsed.kind === 'query') return answerTo(parsed.query, reply);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
        throw new Error('silent');
      },
    },
    ...{ randomId: () => 7, now: () => now, tryMs: 20, signal: new AbortController().signal },
    cache: new DnsCache({ now: () => now }),
    count: (counter) => counted.push(counter),
  });
  const forward = async (name: string, upstreams = [FIRST], guest = GUEST): Promise<string> =>
    describeDns(await forwarder.forward(queryOf(name), guest, upstreams, 'udp')).slice(0, 1);
  return {
    ...{ asked, counted, forward },
    become: (parts: Parts | undefined): void => {
      reply = parts;
    },
    pass: (seconds: number): void => {
      now += seconds * 1000;
    },
  };
}

test('who asks what was asked before hears it without a server, in any letters; of other servers nothing is told', async () => {
  const { forward, asked, counted, pass } = forwarding();
  assert.equal(await forward('www.example.com'), '0');
  assert.equal(await forward('WWW.example.com', [FIRST], 9), '0');
  assert.deepEqual(asked, ['192.0.2.1']);
  await forward('www.example.com', [OTHER]);
  assert.deepEqual(asked, ['192.0.2.1', '192.0.2.2']);
  pass(10);
  await forward('www.example.com');
  assert.equal(asked.length, 3);
  assert.deepEqual(counted, ['dns_cache_misses', 'dns_cache_hits', 'dns_cache_misses', 'dns_cache_misses']);
});

test('while nobody answers, what counted before is told, and for half a minute nobody is asked (RFC 8767)', async () => {
  const { forward, asked, counted, pass, become } = forwarding();
  await forward('www.example.com');
  become(undefined);
  pass(60);
  assert.equal(await forward('www.example.com'), '0');
  assert.equal(asked.length, 2);
  assert.equal(await forward('www.example.com'), '0');
  assert.equal(asked.length, 2, 'not asked again so soon');
  assert.equal(await forward('unknown.example.com'), '2');
  become({ answers: [address('www.example.com', 10)] });
  pass(31);
  assert.equal(await forward('www.example.com'), '0');
  assert.equal(asked.length, 4);
  assert.ok(counted.includes('dns_cache_stale'));
});

test('fuzz: whatever a server sends, what is told has the question that was asked', () => {
  const query = queryOf('www.example.com');
  const corpus = [
    answerTo(query, { answers: [alias('www.example.com', 'b.net', 30), address('b.net', 60)] }),
    answerTo(query, negative),
  ];
  fuzz({
    corpus,
    rounds: 3000,
    maxBytes: 300,
    judge: (bytes) => {
      const cache = new DnsCache({ now: () => 0 });
      cache.put('k', query, bytes, GUEST);
      const kept = cache.get('k', query);
      if (kept === undefined) return 'not kept';
      const message = decodeDnsMessage(kept.bytes, 300);
      assert.ok(message !== undefined, 'readable');
      return `kept ${message.answers.length}`;
    },
  });
});
