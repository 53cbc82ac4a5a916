import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { DnsForwarder, type DnsTransport, type DnsUpstream, usableUpstreams } from './dns-forwarder.ts';
import { createDnsFramer, frameDnsMessage } from './dns-framing.ts';
import { DNS_FLAG, decodeDnsMessage, encodeDnsMessage } from './dns-message.ts';
import { type DnsQuery, internetRecord, parseDnsQuery } from './dns-query.ts';
import { ask, describeDns } from './testing/dns-client.ts';

const FIRST: DnsUpstream = { address: '192.0.2.1', port: 53 };
const SECOND: DnsUpstream = { address: '192.0.2.2', port: 53 };

function queryOf(bytes: Uint8Array): DnsQuery {
  const parsed = parseDnsQuery(bytes);
  assert.ok(parsed.kind === 'query');
  return parsed.query;
}

type Changes = { id?: number; flags?: number; name?: readonly string[]; count?: number };

/** What a server answers to a query: an address, with what a test wants otherwise. */
function respond(query: Uint8Array, changes: Changes = {}): Uint8Array {
  const message = decodeDnsMessage(query, 10);
  assert.ok(message !== undefined);
  const [question = { name: [], type: 1, class: 1 }] = message.questions;
  const asked = { ...question, name: changes.name ?? question.name };
  const record = internetRecord(asked.name, 1, 60, Uint8Array.of(203, 0, 113, 9));
  return encodeDnsMessage({
    id: changes.id ?? message.id,
    flags: changes.flags ?? DNS_FLAG.response | DNS_FLAG.recursionAvailable,
    questions: [asked],
    answers: Array.from({ length: changes.count ?? 1 }, () => record),
    authorities: [],
    additionals: [],
  });
}

type Sent = { readonly to: string; readonly protocol: string; readonly query: Uint8Array };

/** A network in which `servers` answer with what they return; undefined: nothing. Each message that is not accepted is passed over. */
function network(
  servers: Record<string, (query: Uint8Array) => readonly Uint8Array[] | undefined>,
  { tryMs = 40 }: { readonly tryMs?: number } = {},
) {
  const sent: Sent[] = [];
  let open = 0;
  const transport: DnsTransport = {
    exchange: async (upstream, protocol, query, accepts, signal) => {
      sent.push({ to: upstream.address, protocol, query });
      const messages = servers[upstream.address]?.(query);
      const found = messages?.find(accepts);
      if (found !== undefined) return found;
      open += 1;
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      open -= 1;
      throw new Error('no answer in time');
    },
  };
  let id = 0x1000;
  const stop = new AbortController();
  const forwarder = new DnsForwarder({
    transport,
    randomId: () => id++,
    now: () => performance.now(),
    signal: stop.signal,
    tryMs,
  });
  return { forwarder, sent, stop, open: () => open };
}

const QUESTION = ask('www.example.com', 1, { id: 0xbeef, edns: 4096 });
const forward = (forwarder: DnsForwarder, bytes: Uint8Array, upstreams = [FIRST, SECOND], guest = 2) =>
  forwarder.forward(queryOf(bytes), guest, upstreams, 'udp');

test('regression: an answer that takes long to read is told to nobody, and no server is blamed for it', async () => {
  let count = 600;
  const { forwarder, sent } = network({ '192.0.2.1': (query) => [respond(query, { count })], '192.0.2.2': () => [] });
  const answer = () => forwarder.forward(queryOf(QUESTION), 2, [FIRST, SECOND], 'tcp');
  assert.equal(describeDns(await answer()), '2 ra |  |  | opt 1232');
  count = 500;
  assert.equal(decodeDnsMessage(await answer(), 512)?.answers.length, 500);
  assert.deepEqual(
    sent.map(({ to }) => to),
    ['192.0.2.1', '192.0.2.1'],
  );
});

test('a question goes out under an id of its own, with nothing of the guest but its question', async () => {
  const { forwarder, sent } = network({ '192.0.2.1': (query) => [respond(query)] });
  const option = Uint8Array.of(0, 8, 0, 4, 0, 1, 24, 0);
  const bytes = Buffer.concat([QUESTION, option]);
  bytes.writeUInt16BE(option.length, QUESTION.length - 2);
  const answer = await forward(forwarder, bytes);
  assert.equal(describeDns(answer), '0 ra | www.example.com. a 203.0.113.9');
  assert.equal(decodeDnsMessage(answer, 10)?.id, 0xbeef);
  assert.equal(sent.length, 1);
  const query = decodeDnsMessage(sent[0]?.query ?? new Uint8Array(0), 10);
  assert.deepEqual([query?.id, query?.flags, query?.additionals[0]?.data.length], [0x1000, 0x0100, 0]);
  assert.equal(query?.additionals[0]?.class, 1232);
});

test('answers with another id, another name, no answer mark or broken bytes are passed over', async () => {
  const { forwarder } = network({
    '192.0.2.1': (query) => [
      respond(query, { id: 0x0fff }),
      respond(query, { name: ['evil', 'example', 'com'] }),
      respond(query, { flags: 0 }),
      respond(query, { flags: DNS_FLAG.response | 0x2000 }),
      respond(query).subarray(0, 30),
      respond(query, { count: 2 }),
    ],
  });
  const answer = await forward(forwarder, QUESTION);
  assert.equal(describeDns(answer).split(' + ').length, 2);
});

test('a silent server is left for the next, and asked last for a while', async () => {
  const { forwarder, sent } = network({ '192.0.2.2': (query) => [respond(query)] });
  await forward(forwarder, QUESTION);
  assert.deepEqual(
    sent.map(({ to }) => to),
    ['192.0.2.1', '192.0.2.2'],
  );
  await forward(forwarder, QUESTION);
  assert.deepEqual(
    sent.slice(2).map(({ to }) => to),
    ['192.0.2.2'],
  );
});

test('a server that refuses is left for the next; when all do, the guest hears so', async () => {
  const refuse = (query: Uint8Array) => [respond(query, { flags: DNS_FLAG.response | 5, count: 0 })];
  const mixed = network({ '192.0.2.1': refuse, '192.0.2.2': (query) => [respond(query)] });
  assert.match(describeDns(await forward(mixed.forwarder, QUESTION)), /^0 /);
  const all = network({ '192.0.2.1': refuse, '192.0.2.2': refuse });
  assert.equal(describeDns(await forward(all.forwarder, QUESTION)), '5 ra');
});

test('when no server answers, or there is none, the guest gets SERVFAIL', async () => {
  const { forwarder, sent } = network({});
  assert.equal(describeDns(await forward(forwarder, QUESTION)), '2 ra |  |  | opt 1232');
  assert.equal(describeDns(await forward(forwarder, QUESTION, [])), '2 ra |  |  | opt 1232');
  assert.equal(sent.length, 2);
});

test('an answer is not authoritative nor authenticated to the guest, and says that recursion is to be had', async () => {
  const flags = DNS_FLAG.response | DNS_FLAG.authoritative | DNS_FLAG.authenticData;
  const { forwarder } = network({ '192.0.2.1': (query) => [respond(query, { flags })] });
  const answer = decodeDnsMessage(await forward(forwarder, QUESTION), 10);
  assert.equal(answer?.flags, DNS_FLAG.response | DNS_FLAG.recursionAvailable);
});

test('an answer that is longer than the guest takes becomes a request for TCP', async () => {
  const { forwarder } = network({ '192.0.2.1': (query) => [respond(query, { count: 60 })] });
  assert.equal(describeDns(await forward(forwarder, ask('www.example.com', 1))), '0 tc ra');
  const whole = await forwarder.forward(queryOf(ask('www.example.com', 1)), 2, [FIRST], 'tcp');
  assert.equal(describeDns(whole).split(' + ').length, 60);
});

test('the same question of many goes out once, and each gets its own id back', async () => {
  const { forwarder, sent } = network({ '192.0.2.1': (query) => [respond(query)] });
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      forward(forwarder, ask('www.example.com', 1, { id: index }), [FIRST], index),
    ),
  );
  assert.equal(sent.length, 1);
  assert.deepEqual(
    answers.map((answer) => decodeDnsMessage(answer, 10)?.id),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test("a guest's questions that are asked and that wait are bounded, and take nothing from another guest", async () => {
  const { forwarder, stop, open } = network({ '192.0.2.2': (query) => [respond(query)] }, { tryMs: 60_000 });
  const names = Array.from({ length: 700 }, (_, index) => `n${index}.example.com`);
  let refused = 0;
  const flood = names.map((name) =>
    forward(forwarder, ask(name, 1), [FIRST], 2).then((answer) => {
      refused += 1;
      return describeDns(answer);
    }),
  );
  // No timer ends between, however slow this machine is.
  for (let turn = 0; turn < 100; turn += 1) await undefined;
  assert.deepEqual([open(), refused], [128, 60], 'the others wait');
  const other = await forward(forwarder, QUESTION, [SECOND], 3);
  assert.match(describeDns(other), /^0 /);
  stop.abort();
  assert.deepEqual(new Set(await Promise.all(flood)), new Set(['2 ra']));
});

test('regression: a pod that resolves many names at once gets them all', async () => {
  const { forwarder } = network({ '192.0.2.1': (query) => [respond(query)] });
  const names = Array.from({ length: 80 }, (_, index) => `n${index}.example.com`);
  const answers = await Promise.all(
    names.flatMap((name) => [1, 28].map((type) => forward(forwarder, ask(name, type), [FIRST]))),
  );
  assert.deepEqual(new Set(answers.map((answer) => describeDns(answer).slice(0, 2))), new Set(['0 ']));
});

test('regression: guests whose servers are silent do not shut out another, whose first questions are asked at once', async () => {
  const { forwarder, sent, stop, open } = network({ '192.0.2.2': (query) => [respond(query)] }, { tryMs: 60_000 });
  const flood = Array.from({ length: 40 }, (_, guest) =>
    Array.from({ length: 60 }, (_, index) =>
      forward(forwarder, ask(`n${index}.g${guest}.example.com`, 1), [FIRST], 100 + guest),
    ),
  ).flat();
  await new Promise(setImmediate);
  assert.equal(open(), 1024);
  for (let index = 0; index < 10; index += 1) {
    const other = await forward(forwarder, ask(`m${index}.example.com`, 1), [SECOND], 3);
    assert.match(describeDns(other), /^0 /);
  }
  assert.ok(open() <= 1024, `${open()} of ${sent.length} are asked`);
  stop.abort();
  await Promise.all(flood);
  assert.equal(open(), 0);
});

test('the end of the agent ends what waits', async () => {
  const { forwarder, stop } = network({});
  const waiting = forward(forwarder, QUESTION, [FIRST]);
  stop.abort();
  assert.match(describeDns(await waiting), /^2 /);
});

test('this host, service addresses, links of IPv6 and groups are no upstream servers; links of IPv4 are: clouds have theirs there', () => {
  const own = ['192.0.2.7', '169.254.25.10', '2001:db8::7'];
  const bad = ['127.0.0.1', '127.9.9.9', '0.0.0.0', '169.254.20.10', '198.18.0.1', '224.0.0.251', '255.255.255.255'];
  const bad6 = [
    '::',
    '::1',
    'fe80::1',
    'ff02::fb',
    '::ffff:127.0.0.1',
    '::ffff:192.0.2.1',
    '2001:DB8::7',
    'no address',
  ];
  assert.deepEqual(usableUpstreams([...bad, ...bad6, ...own], own), []);
  assert.deepEqual(usableUpstreams(['192.0.2.1', '2001:DB8::1', '2001:db8:0::1'], own), [
    { address: '192.0.2.1', port: 53 },
    { address: '2001:db8::1', port: 53 },
  ]);
  const clouds = ['169.254.169.254', '169.254.169.253'];
  assert.deepEqual(
    usableUpstreams(clouds, own).map(({ address }) => address),
    clouds,
  );
});

test('property: a stream in any pieces gives the messages that went in', () => {
  const random = seededRandom(7766);
  for (let round = 0; round < 500; round += 1) {
    const messages = Array.from({ length: Math.floor(random() * 5) }, () =>
      Uint8Array.from({ length: 1 + Math.floor(random() * 300) }, () => Math.floor(random() * 256)),
    );
    const stream = Buffer.concat(messages.map(frameDnsMessage));
    const framer = createDnsFramer(300);
    const found: Uint8Array[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = 1 + Math.floor(random() * 200);
      found.push(...(framer.push(stream.subarray(at, at + size)) ?? assert.fail('broken')));
      at += size;
    }
    assert.deepEqual(
      found.map((one) => Uint8Array.from(one)),
      messages,
    );
  }
});

test('a length of 0, or over the bound, breaks the stream for good', () => {
  for (const start of [Uint8Array.of(0, 0), Uint8Array.of(1, 45)]) {
    const framer = createDnsFramer(300);
    assert.equal(framer.push(start), undefined);
    assert.equal(framer.push(frameDnsMessage(Uint8Array.of(1))), undefined);
  }
});
