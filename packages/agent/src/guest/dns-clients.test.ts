import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { answerDns } from './dns-answer.ts';
import { DnsForwarder } from './dns-forwarder.ts';
import { createDnsFramer, frameDnsMessage } from './dns-framing.ts';
import { socketTransport } from './dns-transport.ts';
import { buildDnsZone, type DnsZone } from './dns-zone.ts';
import { zone } from './testing/dns-client.ts';
import { enterOwnNamespace } from './testing/own-namespace.ts';

const run = promisify(execFile);
const stop = new AbortController();
const upstreams = [
  { address: '127.0.0.9', port: 5300 },
  { address: '127.0.0.2', port: 5300 },
];
const forwarder = new DnsForwarder({
  transport: socketTransport,
  randomId: () => Math.floor(Math.random() * 65_536),
  now: () => performance.now(),
  signal: stop.signal,
});
const many = Array.from({ length: 100 }, (_, index) => `203.0.113.${index}`);
const elsewhere = buildDnsZone({
  domain: 'example.com',
  exclusive: true,
  cidrs: [],
  hosts: [
    { fqdn: 'www.example.com', addresses: ['203.0.113.80', '2001:db8::80'] },
    { fqdn: 'many.example.com', addresses: many },
  ],
});

/** A DNS server of these names; a question for another goes upstream when there is any. */
async function serve(address: string, names: DnsZone, canForward: boolean): Promise<void> {
  const reply = async (bytes: Uint8Array, protocol: 'udp' | 'tcp'): Promise<Uint8Array | undefined> => {
    const outcome = answerDns(bytes, names, { protocol, canForward });
    if (outcome.kind === 'forward') return forwarder.forward(outcome.query, 2, upstreams, protocol);
    return outcome.kind === 'answer' ? outcome.bytes : undefined;
  };
  const udp = createSocket('udp4');
  udp.on('message', async (bytes, sender) => {
    const answer = await reply(bytes, 'udp');
    if (answer !== undefined) udp.send(answer, sender.port, sender.address);
  });
  udp.bind(5300, address);
  const tcp = createServer((connection) => {
    const framer = createDnsFramer(4096);
    connection.on('error', () => connection.destroy());
    connection.on('data', async (chunk) => {
      for (const message of framer.push(chunk) ?? []) {
        const answer = await reply(message, 'tcp');
        if (answer !== undefined) connection.write(frameDnsMessage(answer));
      }
    });
  });
  tcp.listen(5300, address);
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
  stop.signal.addEventListener('abort', () => {
    udp.close();
    tcp.close();
  });
}

before(async () => {
  enterOwnNamespace();
  await serve('127.0.0.1', zone(), true);
  await serve('127.0.0.2', elsewhere, false);
});

after(() => stop.abort());

async function dig(words: string): Promise<string> {
  const { stdout } = await run('dig', ['@127.0.0.1', '-p', '5300', '+tries=1', '+time=5', ...words.split(' ')]);
  assert.doesNotMatch(stdout, /Message parser|mismatch|extra bytes/i);
  return stdout.replace(/[\t ]+/g, ' ');
}

for (const transport of ['+notcp', '+tcp', '+noedns', '+bufsize=512', '+dnssec', '+nocookie +noedns +tcp']) {
  test(`dig ${transport} reads answers, reverse answers and negative ones`, async () => {
    assert.match(await dig(`${transport} +norec web-1.example.org`), /^web-1\.example\.org\. 30 IN A 10\.0\.0\.5$/m);
    assert.match(await dig(`${transport} web-1.example.org AAAA`), /IN AAAA fd00::5$/m);
    assert.match(await dig(`${transport} -x 10.0.0.5`), /IN PTR web-1\.example\.org\.$/m);
    assert.match(await dig(`${transport} -x fd00::5`), /IN PTR web-1\.example\.org\.$/m);
    const nothing = await dig(`${transport} nobody.example.org`);
    assert.match(nothing, /status: NXDOMAIN.*\n;; flags: qr aa rd ra/);
    assert.match(nothing, /^example\.org\. 10 IN SOA example\.org\. hostmaster\.example\.org\. 1 3600 600 86400 10$/m);
    assert.match(await dig(`${transport} web-1.example.org ANY`), /IN HINFO "RFC8482" ""$/m);
    const forwarded = await dig(`${transport} www.example.com`);
    assert.match(forwarded, /IN A 203\.0\.113\.80$/m);
    assert.match(forwarded, /^;; flags: qr rd ra;/m);
    assert.match(await dig(`${transport} www.example.com MX`), /status: NOERROR[\s\S]*IN SOA/m);
  });
}

test('dig asks again by TCP for what a datagram has no room for, also upstream', async () => {
  const seen = await dig('many.example.com');
  assert.match(seen, /Truncated, retrying in TCP/);
  assert.equal([...seen.matchAll(/IN A 203\.0\.113\./g)].length, 100);
});

test('dig +ednsopt, a cookie, another version and another opcode are understood', async () => {
  assert.match(await dig('+ednsopt=65001:01ff web-1.example.org'), /status: NOERROR/);
  assert.match(await dig('+edns=1 +noednsnegotiation web-1.example.org'), /status: BADVERS/);
  assert.match(await dig('+opcode=status web-1.example.org'), /status: NOTIMP/);
  assert.match(await dig('example.org AXFR +tcp').catch((err: { stdout: string }) => err.stdout), /Transfer failed/);
});
