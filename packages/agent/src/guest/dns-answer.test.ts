import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cable/kit';
import { dnsNameKey, encodeDnsName, formatDnsName, isWithin, parseDnsName, readDnsName } from '@cable/model';
import { answerDns } from './dns-answer.ts';
import { DNS_FLAG, type DnsMessage, decodeDnsMessage, encodeDnsMessage } from './dns-message.ts';
import { reverseAddress } from './dns-zone.ts';
import { type AskFields, ask, describeDns, zone } from './testing/dns-client.ts';
import { fuzz } from './testing/fuzz.ts';

const ZONE = zone();
const UDP = { protocol: 'udp', canForward: true } as const;

function summary(bytes: Uint8Array, from = ZONE, options: Parameters<typeof answerDns>[2] = UDP): string {
  const outcome = answerDns(bytes, from, options);
  return outcome.kind === 'answer' ? describeDns(outcome.bytes) : outcome.kind;
}

const V6 = 'fd000000000000000000000000000005';
const PTR6 = `5.${'0.'.repeat(29)}d.f.ip6.arpa`;
const CASES: readonly (readonly [string, number, AskFields, string])[] = [
  ['web-1.example.org', 1, {}, '0 aa ra | web-1.example.org. a 10.0.0.5'],
  ['web-1.example.org', 28, {}, `0 aa ra | web-1.example.org. aaaa ${V6}`],
  ['WEB-1.Example.ORG', 1, {}, '0 aa ra | WEB-1.Example.ORG. a 10.0.0.5'],
  ['web-1', 1, {}, '0 aa ra | web-1. a 10.0.0.5'],
  ['web-2.example.org', 1, {}, '0 aa ra | web-2.example.org. a 10.0.0.6 + web-2.example.org. a 203.0.113.6'],
  ['web-2.example.org', 28, {}, '0 aa ra |  | example.org. soa'],
  ['web-1.example.org', 15, {}, '0 aa ra |  | example.org. soa'],
  ['inner.example.org', 1, {}, '0 aa ra |  | example.org. soa'],
  ['nobody.example.org', 1, {}, '3 aa ra |  | example.org. soa'],
  ['example.org', 6, {}, '0 aa ra | example.org. soa'],
  ['example.org', 1, {}, '0 aa ra |  | example.org. soa'],
  ['5.0.0.10.in-addr.arpa', 12, {}, '0 aa ra | 5.0.0.10.in-addr.arpa. ptr web-1.example.org.'],
  [
    '6.0.0.10.in-addr.arpa',
    12,
    {},
    '0 aa ra | 6.0.0.10.in-addr.arpa. ptr web-2.example.org. + 6.0.0.10.in-addr.arpa. ptr alias.example.org.',
  ],
  [PTR6, 12, {}, `0 aa ra | ${PTR6}. ptr web-1.example.org.`],
  ['9.0.0.10.in-addr.arpa', 12, {}, '3 aa ra |  | 0.0.10.in-addr.arpa. soa'],
  ['5.0.0.10.in-addr.arpa', 16, {}, '0 aa ra |  | 0.0.10.in-addr.arpa. soa'],
  ['9.113.0.203.in-addr.arpa', 12, {}, 'forward'],
  ['1.0.168.192.in-addr.arpa', 12, {}, 'forward'],
  ['0.0.10.in-addr.arpa', 12, {}, 'forward'],
  ['www.example.com', 1, {}, 'forward'],
  ['notexample.org', 1, {}, 'forward'],
  ['www.example.com', 1, { flags: 0 }, '5 ra'],
  ['web-1.example.org', 255, {}, '0 aa ra | web-1.example.org. hinfo'],
  ['nobody.example.org', 255, {}, '3 aa ra |  | example.org. soa'],
  ['www.example.com', 255, {}, '5 ra'],
  ['example.org', 252, {}, '5 ra'],
  ['example.org', 251, {}, '5 ra'],
  ['example.org', 250, {}, '4 ra'],
  ['web-1.example.org', 1, { class: 3 }, '5 ra'],
  ['web-1.example.org', 1, { edns: 4096 }, '0 aa ra | web-1.example.org. a 10.0.0.5 |  | opt 1232'],
  [
    'web-1.example.org',
    1,
    { edns: 512, ednsTtl: 0x8000 },
    '0 aa ra | web-1.example.org. a 10.0.0.5 |  | opt 1232 8000',
  ],
  ['web-1.example.org', 1, { edns: 1232, ednsTtl: 0x10000 }, '0 |  |  | opt 1232 1000000'],
  ['web-1.example.org', 41, {}, '1'],
  ['web-1.example.org', 1, { flags: 0x2900 }, '4'],
  ['web-1.example.org', 1, { flags: 0x8180 }, 'silence'],
];

for (const [name, type, fields, expected] of CASES) {
  test(`${name} type ${type} ${JSON.stringify(fields)}: ${expected}`, () => {
    assert.equal(summary(ask(name, type, fields)), expected);
  });
}

test('without an upstream server a foreign name is refused, and recursion is not offered', () => {
  assert.equal(summary(ask('www.example.com', 1), ZONE, { protocol: 'udp', canForward: false }), '5');
});

test('a datagram is no longer than what reaches the guest in one piece, but 512 bytes', () => {
  const options = { ...UDP, maxUdpBytes: 900 };
  const question = ask('all.example.org', 1, { edns: 4096 });
  assert.equal(summary(question, crowd(53), options).split(' + ').length, 53);
  assert.equal(summary(question, crowd(56), options), '0 aa tc ra |  |  | opt 1232');
  assert.equal(summary(question, crowd(28), { ...UDP, maxUdpBytes: 100 }).split(' + ').length, 28);
});

test('a label with a dot in it is not two labels', () => {
  const name = encodeDnsName(['web-1.example', 'org']);
  const bytes = Buffer.concat([ask('x', 1).subarray(0, 12), name, Uint8Array.of(0, 1, 0, 1)]);
  assert.equal(summary(bytes), 'forward');
});

test('id, question and letters of the question come back', () => {
  const outcome = answerDns(ask('WeB-1.example.org', 1, { id: 0xbeef }), ZONE, UDP);
  assert.ok(outcome.kind === 'answer');
  const message = decodeDnsMessage(outcome.bytes, 10);
  assert.equal(message?.id, 0xbeef);
  assert.deepEqual(message?.questions, [{ name: ['WeB-1', 'example', 'org'], type: 1, class: 1 }]);
  assert.equal(outcome.bytes.length, 12 + 19 + 4 + 2 + 10 + 4, 'the owner of the answer is a pointer');
});

/** So many addresses behind one name. */
const crowd = (count: number): ReturnType<typeof zone> =>
  zone(
    Array.from({ length: count }, (_, index) => ({
      fqdn: 'all.example.org',
      addresses: [`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`],
    })),
  );

test('a datagram that would be too long has the mark and no records; more fits with EDNS, and by TCP', () => {
  assert.equal(summary(ask('all.example.org', 1), crowd(29)).split(' + ').length, 29);
  assert.equal(summary(ask('all.example.org', 1), crowd(30)), '0 aa tc ra');
  assert.equal(summary(ask('all.example.org', 1, { edns: 4096 }), crowd(73)).split(' + ').length, 73);
  assert.equal(summary(ask('all.example.org', 1, { edns: 4096 }), crowd(80)), '0 aa tc ra |  |  | opt 1232');
  const tcp = { protocol: 'tcp', canForward: true } as const;
  assert.equal(summary(ask('all.example.org', 1), crowd(80), tcp).split(' + ').length, 80);
  assert.equal(summary(ask('all.example.org', 1), crowd(6000), tcp).split(' + ').length, 256);
});

const HEADER = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
for (const [what, rest] of [
  ['a name that points to itself', [0xc0, 12, 0, 1, 0, 1]],
  ['a name that points ahead', [0xc0, 20, 0, 1, 0, 1, 0, 0, 0]],
  ['two names that point at each other', [1, 97, 0xc0, 12, 0, 1, 0, 1]],
  ['a label over the end', [63, 97, 0]],
  ['a label of an unknown kind', [0x40, 97, 0, 0, 1, 0, 1]],
  ['a name without an end', [1, 97]],
  ['a name of 256 bytes', [...Array.from({ length: 127 }, () => [1, 97]).flat(), 1, 97, 0, 0, 1, 0, 1]],
  ['bytes after the question', [1, 97, 0, 0, 1, 0, 1, 9]],
] as const) {
  test(`${what}: format error`, () => {
    assert.equal(summary(Uint8Array.from([...HEADER, ...rest])), '1');
  });
}

test('no question, two questions, two OPTs, a long message: format error; less than a header: silence', () => {
  const bytes = ask('web-1.example.org', 1, { edns: 512 });
  assert.equal(summary(Uint8Array.from(HEADER, (byte, at) => (at === 5 ? 0 : byte))), '1');
  const question = bytes.subarray(12, 12 + 23);
  assert.equal(
    summary(Buffer.concat([Uint8Array.from(HEADER, (byte, at) => (at === 5 ? 2 : byte)), question, question])),
    '1',
  );
  const opt = bytes.subarray(bytes.length - 11);
  const two = Uint8Array.from(Buffer.concat([bytes, opt]));
  two[11] = 2;
  assert.equal(summary(two), '1');
  assert.equal(summary(Buffer.concat([bytes, new Uint8Array(4096)])), '1');
  assert.equal(summary(bytes.subarray(0, 11)), 'silence');
});

test('property: messages survive encoding and decoding, compressed names too', () => {
  const random = seededRandom(1035);
  const below = (bound: number): number => Math.floor(random() * bound);
  const labels = ['a', 'B', 'example', 'org', 'x'.repeat(63), String.fromCharCode(0, 46, 255)];
  const name = () => Array.from({ length: below(4) }, () => labels[below(labels.length)] ?? '');
  const record = () => ({
    name: name(),
    type: below(65_536),
    class: below(65_536),
    ttlSeconds: below(2 ** 32),
    data: Uint8Array.from({ length: below(20) }, () => below(256)),
  });
  for (let round = 0; round < 2000; round += 1) {
    const message: DnsMessage = {
      id: below(65_536),
      flags: below(65_536),
      questions: Array.from({ length: below(3) }, () => ({ name: name(), type: below(65_536), class: below(65_536) })),
      answers: Array.from({ length: below(5) }, record),
      authorities: Array.from({ length: below(3) }, record),
      additionals: Array.from({ length: below(3) }, record),
    };
    assert.deepEqual(decodeDnsMessage(encodeDnsMessage(message), 20), message);
  }
});

test('names: text, keys, ancestors, addresses of reverse names', () => {
  assert.deepEqual(parseDnsName('a.b.'), ['a', 'b']);
  assert.deepEqual(parseDnsName('.'), []);
  for (const bad of ['', 'a..b', '.a', 'a b', 'ä', 'x'.repeat(64), `${'a.'.repeat(128)}`])
    assert.equal(parseDnsName(bad), undefined, bad);
  assert.equal(formatDnsName(['a.b', 'c']), 'a\\046b.c.');
  assert.equal(dnsNameKey(['A', 'Ü']), 'a.\\220.');
  assert.ok(isWithin(['a', 'B'], ['b']) && !isWithin(['b'], ['a', 'b']) && !isWithin(['ab'], ['b']));
  assert.equal(reverseAddress(['5', '0', '0', '10', 'IN-ADDR', 'arpa'])?.version, 4);
  assert.equal(reverseAddress(['256', '0', '0', '10', 'in-addr', 'arpa']), undefined);
  assert.equal(reverseAddress(['05', '0', '0', '10', 'in-addr', 'arpa']), undefined);
  const mapped = `5.0.0.0.0.0.a.0.f.f.f.f.${'0.'.repeat(20)}ip6.arpa`.split('.');
  assert.equal(reverseAddress(mapped), undefined, 'IPv4 in IPv6 form is nobody’s address');
  assert.equal(reverseAddress([...Array.from({ length: 32 }, () => 'g'), 'ip6', 'arpa']), undefined);
});

test('fuzz: names end wherever they point, within 255 bytes', () => {
  const judge = (bytes: Uint8Array): string => {
    const read = readDnsName(bytes, bytes.length >> 1);
    if (read === undefined) return 'none';
    assert.ok(read.next <= bytes.length && read.next > bytes.length >> 1);
    const encoded = encodeDnsName(read.name);
    assert.ok(encoded.length <= 255);
    assert.deepEqual(readDnsName(encoded, 0), { name: read.name, next: encoded.length });
    return `${read.name.length > 3 ? 'long' : 'short'}`;
  };
  const corpus = [Uint8Array.of(1, 97, 1, 98, 1, 99, 0, 1, 100, 0xc0, 2, 0xc0, 7, 0), Uint8Array.of(0, 0)];
  const outcomes = fuzz({ corpus, judge, rounds: 30_000, maxBytes: 600 });
  assert.ok((outcomes.get('long') ?? 0) > 10);
});

test('fuzz: whatever comes, the answer has its id and repeats its question, or there is none', () => {
  const judge = (bytes: Uint8Array): string => {
    const outcome = answerDns(bytes, ZONE, UDP);
    if (outcome.kind !== 'answer') return outcome.counter;
    const limit = 1232;
    const message = decodeDnsMessage(outcome.bytes, 100);
    assert.ok(message !== undefined && outcome.bytes.length <= limit);
    assert.equal(message.id, ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0));
    assert.ok((message.flags & DNS_FLAG.response) !== 0);
    const [question] = message.questions;
    if (question !== undefined) {
      const sent = readDnsName(bytes, 12);
      assert.deepEqual(question.name, sent?.name);
    }
    return describeDns(outcome.bytes)
      .replace(/[^ ]+\. /g, '')
      .slice(0, 40);
  };
  const corpus = CASES.map(([name, type, fields]) => ask(name, type, fields));
  const outcomes = fuzz({ corpus, judge, rounds: 30_000, maxBytes: 5000 });
  for (const wanted of [
    '1',
    '4',
    '5 ra',
    'dns_forwarded',
    'dns_ignored_short',
    'dns_ignored_response',
    '0 aa ra | a 10.0.0.5',
  ])
    assert.ok((outcomes.get(wanted) ?? 0) > 5, `${wanted} was reached: ${[...outcomes.keys()].join('; ')}`);
});
