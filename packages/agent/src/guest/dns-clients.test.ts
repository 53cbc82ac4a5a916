import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { silentLogger } from '@cable/kit';
import { answerDns } from './dns-answer.ts';
import { createDnsFramer, frameDnsMessage } from './dns-framing.ts';
import { type GuestServices, startGuestServices } from './index.ts';
import { ask, describeDns, zone, zoneOf } from './testing/dns-client.ts';
import { fuzz } from './testing/fuzz.ts';
import { guestRecord } from './testing/guest-record.ts';
import { enterOwnNamespace, ip } from './testing/own-namespace.ts';
import type { ToldAnswer } from './told-answer.ts';

const run = promisify(execFile);
const AGENT = '198.18.0.1';
const UPSTREAM = { address: '127.0.0.2', port: 5300 };
const SILENT = { address: '127.0.0.9', port: 5300 };
const stop = new AbortController();
const many = Array.from({ length: 100 }, (_, index) => `203.0.113.${index}`);
const elsewhere = zoneOf('example.com', [
  { fqdn: 'www.example.com', addresses: ['203.0.113.80', '2001:db8::80'] },
  { fqdn: 'many.example.com', addresses: many },
]);
/** Two tenants' networks: both have a web-1 in example.org. */
const networks = new Map([
  ['a', zone()],
  ['b', zoneOf('example.org', [{ fqdn: 'web-1.example.org', addresses: ['10.0.0.77'] }])],
]);
const guests = new Map([
  [2, guestRecord({ networkId: 'a' })],
  [3, guestRecord({ vif: 3, networkId: 'b' })],
]);
let services: GuestServices;
/** Questions that came to the server of others. */
let asked = 0;

/** Called before a guest is told addresses. */
let hold: (told: ToldAnswer) => Promise<void> = async () => {};

async function answered(_portId: string, read: () => ToldAnswer | undefined): Promise<void> {
  const told = read();
  if (told !== undefined) await hold(told);
}

/** The server of others: of example.com, by UDP and TCP. */
async function serveElsewhere(): Promise<void> {
  const reply = (bytes: Uint8Array, protocol: 'udp' | 'tcp'): Uint8Array | undefined => {
    asked += 1;
    const outcome = answerDns(bytes, elsewhere, { protocol, canForward: false });
    return outcome.kind === 'answer' ? outcome.bytes : undefined;
  };
  const udp = createSocket('udp4');
  udp.on('message', (bytes, sender) => {
    const answer = reply(bytes, 'udp');
    if (answer !== undefined) udp.send(answer, sender.port, sender.address);
  });
  udp.bind(UPSTREAM.port, UPSTREAM.address);
  const tcp = createServer((connection) => {
    const framer = createDnsFramer(4096);
    connection.on('error', () => connection.destroy());
    connection.on('data', (chunk) => {
      for (const message of framer.push(chunk) ?? []) {
        const answer = reply(message, 'tcp');
        if (answer !== undefined) connection.write(frameDnsMessage(answer));
      }
    });
  });
  tcp.listen(UPSTREAM.port, UPSTREAM.address);
  await Promise.all([once(udp, 'listening'), once(tcp, 'listening')]);
  stop.signal.addEventListener('abort', () => {
    udp.close();
    tcp.close();
  });
}

before(async () => {
  enterOwnNamespace();
  for (const last of [1, 32, 48, 64]) ip(`addr add 198.18.0.${last}/32 dev lo`);
  ip('addr add 10.0.0.5/32 dev lo');
  await serveElsewhere();
  services = await startGuestServices({
    guests: () => guests,
    dns: { zoneOf: (id) => networks.get(id), upstreams: () => [SILENT, UPSTREAM], answered },
    address: AGENT,
    log: silentLogger(),
    signal: stop.signal,
  });
});

after(() => stop.abort());

async function dig(words: string, from = '198.18.0.32'): Promise<string> {
  const { stdout } = await run('dig', [`@${AGENT}`, '-b', from, '+tries=1', '+time=20', ...words.split(' ')]);
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

test('equal names of two networks are each its own', async () => {
  assert.match(await dig('+short web-1.example.org'), /^10\.0\.0\.5\n$/);
  assert.match(await dig('+short web-1.example.org', '198.18.0.48'), /^10\.0\.0\.77\n$/);
  assert.match(await dig('web-2.example.org', '198.18.0.48'), /status: NXDOMAIN/);
});

test('an answer waits for who is told of it, a second at the most, and is told all the same when that fails', async () => {
  const told: string[] = [];
  hold = async ({ vif, names, addresses }) => {
    told.push(`${vif} ${names} ${addresses}`);
    if (names[0] === 'web-1.example.org.') throw new Error('as a test has it');
    if (names[0] === 'web-2.example.org.') await new Promise(() => {});
  };
  assert.match(await dig('+short web-1.example.org'), /^10\.0\.0\.5\n$/);
  assert.match(await dig('+short www.example.com'), /^203\.0\.113\.80\n$/);
  const startedAt = performance.now();
  assert.match(await dig('+short web-2.example.org'), /10\.0\.0\.6/);
  assert.ok(performance.now() - startedAt >= 1000);
  await dig('web-1.example.org MX');
  hold = async () => {};
  assert.deepEqual(told, [
    '2 web-1.example.org. 10.0.0.5',
    '2 www.example.com. 203.0.113.80',
    '2 web-2.example.org. 10.0.0.6,203.0.113.6',
  ]);
  assert.equal(services.counters()['dns_held_too_long'], 1);
  assert.ok((services.counters()['dns_cache_hits'] ?? 0) > 0);
});

test('names of the domain are never asked of others', async () => {
  const before = asked;
  await dig('nobody.example.org');
  await dig('example.org NS');
  await dig('_acme.web-1.example.org TXT');
  await dig('-x 10.0.0.200');
  assert.equal(asked, before);
});

/** The answer to a datagram from an address; undefined: none within half a second. */
async function datagram(from: string, bytes: Uint8Array): Promise<Uint8Array | undefined> {
  const socket = createSocket('udp4');
  socket.bind(0, from);
  await once(socket, 'listening');
  socket.send(bytes, 53, AGENT);
  const answer = await once(socket, 'message', { signal: AbortSignal.timeout(500) }).catch(() => []);
  socket.close();
  return answer[0];
}

test('no open resolver: strangers, and guests that are not known, get nothing', async () => {
  const before = asked;
  assert.equal(await datagram('10.0.0.5', ask('www.example.com', 1)), undefined);
  assert.equal(await datagram('198.18.0.64', ask('www.example.com', 1)), undefined);
  const socket = await connection('10.0.0.5');
  await once(socket, 'close');
  assert.equal(asked, before);
});

async function connection(localAddress: string): Promise<Socket> {
  const socket = connect({ host: AGENT, port: 53, localAddress });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** What comes back on a connection until it ends. */
async function answersTo(socket: Socket, bytes: Uint8Array): Promise<readonly string[]> {
  const framer = createDnsFramer(65_535);
  const answers: string[] = [];
  socket.on('data', (chunk: Buffer) => answers.push(...(framer.push(chunk) ?? []).map(describeDns)));
  socket.end(bytes);
  await once(socket, 'close', { signal: AbortSignal.timeout(60_000) });
  return answers;
}

test('questions one behind the other on a connection that is half closed are all answered', async () => {
  const names = ['web-1.example.org', 'www.example.com', 'web-2.example.org'];
  const bytes = Buffer.concat(names.map((name) => frameDnsMessage(ask(name, 1))));
  const answers = await answersTo(await connection('198.18.0.32'), bytes);
  assert.deepEqual([...answers].sort(), [
    '0 aa ra | web-1.example.org. a 10.0.0.5',
    '0 aa ra | web-2.example.org. a 10.0.0.6 + web-2.example.org. a 203.0.113.6',
    '0 ra | www.example.com. a 203.0.113.80',
  ]);
});

test('a connection with what is no DNS is closed', async () => {
  assert.deepEqual(await answersTo(await connection('198.18.0.32'), Buffer.from('GET / HTTP/1.1\r\n\r\n')), []);
  assert.deepEqual(await answersTo(await connection('198.18.0.32'), Uint8Array.of(0, 0)), []);
});

test('a guest holds at most 8 connections, others are not concerned', async () => {
  const sockets = await Promise.all(Array.from({ length: 8 }, () => connection('198.18.0.48')));
  const ninth = await connection('198.18.0.48');
  await once(ninth, 'close');
  assert.equal(services.counters()['dns_connections_refused'], 2, 'with the stranger');
  assert.match(await dig('+tcp +short web-1.example.org'), /^10\.0\.0\.5\n$/);
  for (const socket of sockets) socket.destroy();
});

test('a guest that asks without end is held to its rate; another is not', async () => {
  const socket = createSocket('udp4');
  socket.bind(0, '198.18.0.48');
  await once(socket, 'listening');
  let answers = 0;
  socket.on('message', () => {
    answers += 1;
  });
  const question = ask('web-1.example.org', 1);
  const startedAt = performance.now();
  for (let i = 0; i < 6_000; i += 1) {
    await new Promise((resolve) => socket.send(question, 53, AGENT, resolve));
    if (i === 4_000) assert.match(await dig('+short web-1.example.org'), /^10\.0\.0\.5\n$/);
  }
  // An answer to the other is behind those to this one.
  assert.match(await dig('+short web-1.example.org'), /^10\.0\.0\.5\n$/);
  socket.close();
  const most = 2000 + ((performance.now() - startedAt) / 1000) * 1000 + 1;
  assert.ok(answers > 0 && answers <= most, `${answers} answers, ${most} at most`);
});

test('fuzz: whatever is sent, by datagram and by connection, the next guest is answered', async () => {
  const inputs: Uint8Array[] = [];
  const corpus = [ask('web-1.example.org', 1), frameDnsMessage(ask('www.example.com', 28, { edns: 1232 }))];
  fuzz({ corpus, judge: (bytes) => String(inputs.push(bytes) % 5), rounds: 600, maxBytes: 400 });
  const socket = createSocket('udp4');
  socket.bind(0, '198.18.0.48');
  await once(socket, 'listening');
  for (const [index, bytes] of inputs.entries()) {
    socket.send(bytes, 53, AGENT);
    if (index % 6 > 0) continue;
    const stream = await connection('198.18.0.48');
    stream.resume();
    stream.write(bytes);
    await once(stream, 'close', { signal: AbortSignal.timeout(20) }).catch(() => stream.destroy());
  }
  socket.close();
  assert.match(await dig('+short web-1.example.org'), /^10\.0\.0\.5\n$/);
});
