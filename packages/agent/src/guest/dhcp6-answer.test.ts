import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExtraDhcpOption } from '@cable/model';
import { answerDhcp6, type Dhcp6Guest, MESSAGE6 } from './dhcp6-answer.ts';
import { answerDhcp6Datagram } from './dhcp6-datagram.ts';
import { type Dhcp6Message, decodeDhcp6Message, encodeDhcp6Message } from './dhcp6-message.ts';
import { OPTION6, serverDuid } from './dhcp6-options.ts';
import {
  CLIENT_DUID,
  type Client6Fields,
  client6Message,
  describe6,
  guest6,
  guest6Address,
  iaOption,
  requestedOption,
} from './testing/dhcp6-client.ts';
import { fuzz } from './testing/fuzz.ts';

const POLICY = { leaseSeconds: 86_400 };
const ONE = guest6();
const TWO = guest6({ addresses: [guest6Address(), guest6Address({ ipAddress: '2001:db8::6' })] });
const STATELESS = guest6({ addresses: [guest6Address({ addressMode: 'dhcpv6-stateless' })] });
const SLAAC = guest6({ addresses: [guest6Address({ addressMode: 'slaac' })] });
const UNSET = guest6({ addresses: [guest6Address({ addressMode: null })] });
const OFF = guest6({ addresses: [guest6Address({ enableDhcp: false })] });
const OTHER_DUID = serverDuid('another network');

function summary(guest: Dhcp6Guest, type: number, fields: Client6Fields): string {
  const outcome = answerDhcp6(client6Message(type, fields), guest, POLICY);
  return outcome.kind === 'silence' ? outcome.reason : `${outcome.type}: ${describe6(outcome.message)}`;
}

const { solicit, request, confirm, renew, rebind, release, decline, informationRequest } = MESSAGE6;
const rapid = { code: OPTION6.rapidCommit, value: new Uint8Array(0) };
const CASES: readonly (readonly [string, Dhcp6Guest, number, Client6Fields, string])[] = [
  ['SOLICIT', ONE, solicit, { options: [iaOption(1)] }, 'advertise: na 1: 2001:db8::5 for 86400'],
  [
    'SOLICIT with rapid commit',
    ONE,
    solicit,
    { options: [rapid, iaOption(1)] },
    'reply: rapid; na 1: 2001:db8::5 for 86400',
  ],
  [
    "SOLICIT with a stranger's address as hint",
    ONE,
    solicit,
    { options: [iaOption(1, ['2001:db8::99'])] },
    'advertise: na 1: 2001:db8::5 for 86400',
  ],
  [
    'SOLICIT for a port with two addresses',
    TWO,
    solicit,
    { options: [iaOption(1)] },
    'advertise: na 1: 2001:db8::5 for 86400, 2001:db8::6 for 86400',
  ],
  [
    'SOLICIT with two IAs for two addresses',
    TWO,
    solicit,
    { options: [iaOption(1), iaOption(2)] },
    'advertise: na 1: 2001:db8::5 for 86400; na 2: 2001:db8::6 for 86400',
  ],
  [
    'SOLICIT with two IAs for one address, which the second names',
    ONE,
    solicit,
    { options: [iaOption(1), iaOption(2, ['2001:db8::5'])] },
    'advertise: na 1: status 2; na 2: 2001:db8::5 for 86400',
  ],
  [
    'SOLICIT for a temporary address and a prefix',
    ONE,
    solicit,
    { options: [iaOption(1, [], OPTION6.iaTa), iaOption(2, [], OPTION6.iaPd)] },
    'advertise: ta 1: status 2; pd 2: status 6',
  ],
  ['SOLICIT in a stateless subnet', STATELESS, solicit, { options: [iaOption(1)] }, 'advertise: na 1: status 2'],
  ['SOLICIT with SLAAC alone', SLAAC, solicit, { options: [iaOption(1)] }, 'no-dhcp-subnet'],
  ['SOLICIT without an address mode', UNSET, solicit, { options: [iaOption(1)] }, 'no-dhcp-subnet'],
  ['SOLICIT without DHCP', OFF, solicit, { options: [iaOption(1)] }, 'no-dhcp-subnet'],
  ['SOLICIT of nobody', ONE, solicit, { client: null }, 'no-client-id'],
  ['SOLICIT that names a server', ONE, solicit, { server: 'ours' }, 'unwanted-server-id'],
  [
    'SOLICIT with an identity that is too long',
    ONE,
    solicit,
    { client: new Uint8Array(131), options: [iaOption(1)] },
    'malformed',
  ],
  [
    'SOLICIT with two identities',
    ONE,
    solicit,
    { options: [{ code: OPTION6.clientId, value: CLIENT_DUID }] },
    'malformed',
  ],
  [
    'SOLICIT with an address of 8 bytes',
    ONE,
    solicit,
    {
      options: [{ code: 3, value: Buffer.concat([new Uint8Array(12), Uint8Array.of(0, 5, 0, 8), new Uint8Array(8)]) }],
    },
    'malformed',
  ],
  [
    'REQUEST',
    ONE,
    request,
    { server: 'ours', options: [iaOption(1, ['2001:db8::5'])] },
    'reply: na 1: 2001:db8::5 for 86400',
  ],
  [
    'REQUEST of an address of another link',
    ONE,
    request,
    { server: 'ours', options: [iaOption(1, ['fd00::5'])] },
    'reply: na 1: status 4',
  ],
  [
    "REQUEST of a stranger's address",
    ONE,
    request,
    { server: 'ours', options: [iaOption(1, ['2001:db8::99'])] },
    'reply: na 1: 2001:db8::5 for 86400',
  ],
  ['REQUEST of another server', ONE, request, { server: OTHER_DUID, options: [iaOption(1)] }, 'other-server'],
  ['REQUEST of no server', ONE, request, { options: [iaOption(1)] }, 'no-server-id'],
  [
    'RENEW',
    ONE,
    renew,
    { server: 'ours', options: [iaOption(7, ['2001:db8::5'])] },
    'reply: na 7: 2001:db8::5 for 86400',
  ],
  [
    'RENEW of an address that the port lost',
    ONE,
    renew,
    { server: 'ours', options: [iaOption(7, ['2001:db8::4'])] },
    'reply: na 7: 2001:db8::5 for 86400, 2001:db8::4 for 0',
  ],
  [
    'RENEW where the port has no address any longer',
    STATELESS,
    renew,
    { server: 'ours', options: [iaOption(7, ['2001:db8::4'])] },
    'reply: na 7: 2001:db8::4 for 0',
  ],
  [
    'RENEW of nothing where the port has no address',
    STATELESS,
    renew,
    { server: 'ours', options: [iaOption(7), iaOption(8, [], OPTION6.iaPd)] },
    'reply: na 7: status 3; pd 8: status 3',
  ],
  ['REBIND', ONE, rebind, { options: [iaOption(7, ['2001:db8::5'])] }, 'reply: na 7: 2001:db8::5 for 86400'],
  ['REBIND that names a server', ONE, rebind, { server: 'ours', options: [iaOption(7)] }, 'unwanted-server-id'],
  ['CONFIRM', ONE, confirm, { options: [iaOption(1, ['2001:db8::5'])] }, 'reply: status 0'],
  [
    'CONFIRM of an address that the port lost',
    ONE,
    confirm,
    { options: [iaOption(1, ['2001:db8::5', '2001:db8::4'])] },
    'reply: status 4',
  ],
  ['CONFIRM of nothing', ONE, confirm, { options: [iaOption(1)] }, 'nothing-to-confirm'],
  ['RELEASE', ONE, release, { server: 'ours', options: [iaOption(1, ['2001:db8::5'])] }, 'reply: status 0'],
  [
    "RELEASE of a stranger's address",
    ONE,
    release,
    { server: 'ours', options: [iaOption(1, ['2001:db8::99'])] },
    'reply: status 0; na 1: status 3',
  ],
  ['DECLINE', ONE, decline, { server: 'ours', options: [iaOption(1, ['2001:db8::5'])] }, 'reply: status 0'],
  ['INFORMATION-REQUEST', STATELESS, informationRequest, {}, 'reply: '],
  ['INFORMATION-REQUEST of nobody', STATELESS, informationRequest, { client: null }, 'reply: '],
  ['INFORMATION-REQUEST with an IA', ONE, informationRequest, { options: [iaOption(1)] }, 'malformed'],
  ['INFORMATION-REQUEST to another server', ONE, informationRequest, { server: OTHER_DUID }, 'other-server'],
  ['ADVERTISE from a guest', ONE, MESSAGE6.advertise, {}, 'not-a-request'],
  ['RECONFIGURE from a guest', ONE, 10, {}, 'not-a-request'],
  ['an unknown type', ONE, 77, {}, 'not-a-request'],
];

for (const [name, guest, type, fields, expected] of CASES) {
  test(`${name} gets: ${expected}`, () => {
    assert.equal(summary(guest, type, fields), expected);
  });
}

function replyTo(guest: Dhcp6Guest, message: Dhcp6Message): Dhcp6Message {
  const outcome = answerDhcp6(message, guest, POLICY);
  assert.equal(outcome.kind, 'reply');
  return outcome.kind === 'reply' ? outcome.message : message;
}

const hexOptions = (message: Dhcp6Message): Record<string, string> =>
  Object.fromEntries(message.options.map(({ code, value }) => [code, Buffer.from(value).toString('hex')]));

test('a full answer: identities, lease, name servers, search domain; the highest preference', () => {
  const reply = replyTo(ONE, client6Message(solicit, { options: [iaOption(1)] }));
  assert.equal(reply.transactionId, 0xabcdef);
  assert.deepEqual(hexOptions(reply), {
    1: '00030001fa163e000005',
    2: Buffer.from(serverDuid(ONE.networkId)).toString('hex'),
    3: '00000001' + '0000a8c0' + '00010e00' + '00050018' + '20010db8000000000000000000000005' + '0001518000015180',
    7: 'ff',
    23: '20010db8000000000000000000000053',
    24: '076578616d706c65036f726700',
  });
});

test('only what the client asks for is sent; the refresh time to who asks for information and for it', () => {
  const ask = (type: number, ...codes: number[]): string[] =>
    Object.keys(hexOptions(replyTo(ONE, client6Message(type, { options: [requestedOption(...codes)] }))));
  assert.deepEqual(ask(informationRequest, 24, 99), ['1', '2', '24']);
  assert.deepEqual(ask(informationRequest, 32), ['1', '2', '32']);
  assert.deepEqual(ask(solicit, 32), ['1', '2', '7']);
});

test('the identity of the server is the same for a network everywhere, and another in another network', () => {
  assert.deepEqual(serverDuid('a'), serverDuid('a'));
  assert.notDeepEqual(serverDuid('a'), serverDuid('b'));
  assert.equal(Buffer.from(serverDuid('a')).toString('hex', 0, 2), '0004');
});

test("a port's extra options win over its subnet's", () => {
  const parsed = parseExtraDhcpOption(6, 'dns-server', '2001:db8::1');
  assert.ok(parsed.ok);
  const reply = replyTo(guest6({ extraOptions: [parsed.option] }), client6Message(informationRequest));
  assert.equal(hexOptions(reply)[23], '20010db8000000000000000000000001');
});

test('iPXE gets the options that are for it alone, and others theirs', () => {
  const url = (tag: string, value: string) => parseExtraDhcpOption(6, `tag:${tag},59`, value);
  const extraOptions = [url('ipxe6', 'b'), url('!ipxe6', 'a')].flatMap((one) => (one.ok ? [one.option] : []));
  const asked = { code: OPTION6.userClass, value: Uint8Array.of(0, 4, ...Buffer.from('iPXE')) };
  const plain = replyTo(guest6({ extraOptions }), client6Message(informationRequest));
  const ipxe = replyTo(guest6({ extraOptions }), client6Message(informationRequest, { options: [asked] }));
  assert.deepEqual([hexOptions(plain)[59], hexOptions(ipxe)[59]], ['61', '62']);
});

test('an answer stays within 1,232 bytes; what has no room is named', () => {
  const url = parseExtraDhcpOption(6, 'bootfile-url', 'x'.repeat(1000));
  const parameters = parseExtraDhcpOption(6, 'bootfile-param', 'y'.repeat(500));
  assert.ok(url.ok && parameters.ok);
  const guest = guest6({ extraOptions: [parameters.option, url.option] });
  const { bytes } = encodeDhcp6Message(client6Message(solicit, { options: [iaOption(1)] }), 1232);
  const { answer, omitted } = answerDhcp6Datagram(bytes, guest, POLICY);
  assert.deepEqual(omitted, [59]);
  assert.ok(answer !== undefined && answer.length <= 1232 && answer.length > 500);
});

test('an address without lifetimes, IAs, addresses and options beyond the bounds: malformed', () => {
  const half = Buffer.concat([new Uint8Array(12), Uint8Array.of(0, 5, 0, 16), new Uint8Array(16)]);
  const addresses = (count: number): string[] => Array.from({ length: count }, (_, index) => `2001:db8::${index}`);
  const ias = (count: number) => Array.from({ length: count }, (_, index) => iaOption(index));
  assert.equal(summary(ONE, solicit, { options: [{ code: OPTION6.iaNa, value: half }] }), 'malformed');
  assert.equal(summary(ONE, solicit, { options: ias(17) }), 'malformed');
  assert.match(summary(ONE, solicit, { options: ias(16) }), /^advertise/);
  assert.equal(summary(ONE, solicit, { options: [iaOption(1, addresses(17))] }), 'malformed');
  assert.match(summary(ONE, solicit, { options: [iaOption(1, addresses(16))] }), /^advertise/);
  assert.ok(decodeDhcp6Message(Uint8Array.of(1, 0, 0, 0, ...new Uint8Array(4 * 128))).ok);
  assert.ok(!decodeDhcp6Message(Uint8Array.of(1, 0, 0, 0, ...new Uint8Array(4 * 129))).ok);
});

test('a relayed message is refused', () => {
  const relayed = Uint8Array.of(12, 0, ...new Uint8Array(32), 0, 9, 0, 0);
  assert.equal(answerDhcp6Datagram(relayed, ONE, POLICY).counter, 'dhcp6_ignored_relayed');
});

test('fuzz: whatever comes, an answer tells the port’s addresses or there is none', () => {
  const encode = (type: number, fields: Client6Fields): Uint8Array =>
    encodeDhcp6Message(client6Message(type, fields), 1500).bytes;
  const ia = [iaOption(1, ['2001:db8::5', '2001:db8::99']), iaOption(2)];
  const corpus = [
    encode(solicit, { options: [rapid, ...ia, requestedOption(23, 24, 56)] }),
    encode(solicit, { options: [iaOption(3, [], OPTION6.iaTa), iaOption(4, [], OPTION6.iaPd)] }),
    encode(request, { server: 'ours', options: ia }),
    encode(renew, { server: 'ours', options: ia }),
    encode(rebind, { options: ia }),
    encode(confirm, { options: ia }),
    encode(release, { server: 'ours', options: ia }),
    encode(decline, { server: 'ours', options: ia }),
    encode(informationRequest, { options: [requestedOption(32)] }),
  ];
  const judge = (bytes: Uint8Array): string => {
    const { counter, answer } = answerDhcp6Datagram(bytes, TWO, POLICY);
    if (answer === undefined) return counter;
    const decoded = decodeDhcp6Message(answer);
    assert.ok(decoded.ok && answer.length <= 1232);
    assert.equal(Buffer.compare(answer.subarray(1, 4), bytes.subarray(1, 4)), 0);
    const text = describe6(decoded.message);
    for (const [, address, seconds] of text.matchAll(/([0-9a-f:.?]+) for ([0-9]+)/g))
      assert.ok(seconds === '0' || address === '2001:db8::5' || address === '2001:db8::6', text);
    assert.equal(hexOptions(decoded.message)[2], Buffer.from(serverDuid(TWO.networkId)).toString('hex'));
    return `${counter} ${text.replace(/[0-9a-f:]+ for /g, '').replace(/(na|ta|pd) [0-9]+/g, '$1')}`.slice(0, 60);
  };
  const outcomes = fuzz({ corpus, judge, rounds: 20_000, maxBytes: 5000 });
  for (const wanted of ['malformed', 'bad_option', 'other_server', 'no_client_id', 'relayed', 'short'])
    assert.ok((outcomes.get(`dhcp6_ignored_${wanted}`) ?? 0) > 10, `${wanted} was reached`);
});
