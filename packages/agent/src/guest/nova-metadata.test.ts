import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import type { GuestRecord } from '../desired.ts';
import { type GuestServices, startGuestServices } from './index.ts';
import { NovaMetadata } from './nova-metadata.ts';
import { fuzz } from './testing/fuzz.ts';
import { guestRecord } from './testing/guest-record.ts';
import { enterOwnNamespace, ip } from './testing/own-namespace.ts';

const AGENT = '198.18.0.1';
const SECRET = Buffer.from('shared secret');
const INSTANCE = '1c6f9a52-7e0b-4a59-8f43-6d2c9e1b7a08';
const OF_NOVA = guestRecord({ deviceId: INSTANCE, deviceOwner: 'compute:nova', projectId: 'tenant-a' });
const guests = new Map<number, GuestRecord>([
  [2, OF_NOVA],
  [3, guestRecord({ vif: 3, deviceId: 'pod', deviceOwner: 'kubernetes:pod' })],
  [4, guestRecord({ vif: 4, deviceId: 'x\r\nX-Tenant-ID: other', deviceOwner: 'compute:nova' })],
]);

/** What Nova saw, and what it answers next. */
type Seen = {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};
type Next = {
  readonly status: number;
  readonly body: string | Buffer;
  readonly type?: string;
  readonly location?: string;
};
let seen: Seen[] = [];
let next: Next | 'silence' = { status: 200, body: 'of nova' };
let nova: Server;
let services: GuestServices;
let url: string;
const stop = new AbortController();

before(async () => {
  enterOwnNamespace();
  for (const last of [1, 32, 48, 64]) ip(`addr add 198.18.0.${last}/32 dev lo`);
  nova = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body });
    if (next === 'silence') return;
    response.writeHead(next.status, {
      'Content-Type': next.type ?? 'text/plain',
      ...(next.location ? { Location: next.location } : {}),
    });
    response.end(next.body);
  }).listen(0, '127.0.0.1');
  await once(nova, 'listening');
  url = `http://127.0.0.1:${(nova.address() as AddressInfo).port}`;
  services = await startGuestServices({
    guests: () => guests,
    nova: { url: `${url}/metadata/`, secret: SECRET },
    address: AGENT,
    log: silentLogger(),
    signal: stop.signal,
  });
});

beforeEach(() => {
  seen = [];
  next = { status: 200, body: 'of nova' };
});

after(() => {
  stop.abort();
  nova.close();
  nova.closeAllConnections();
});

/** Sends the lines as they are; all that comes back until the connection ends. */
async function raw(localAddress: string, ...lines: readonly string[]): Promise<string> {
  const socket = connect({ host: AGENT, port: 80, localAddress });
  socket.on('error', () => undefined);
  socket.write(lines.join('\r\n'));
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  await once(socket, 'close', { signal: AbortSignal.timeout(60_000) });
  return text;
}

const ask = (path: string, ...headers: readonly string[]): Promise<string> =>
  raw('198.18.0.32', `GET ${path} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers, '', '');

test('Nova is told who asks, signed, and gets nothing else of the guest’s request but its path', async () => {
  const answer = await ask(
    '/openstack/latest/meta_data.json?x=1',
    'X-Instance-ID: 00000000-0000-4000-8000-000000000000',
    'X-Tenant-ID: other',
    'X-Forwarded-For: 10.9.9.9',
    'X-Instance-ID-Signature: 00',
    'X-Metadata-Provider: x',
    'Cookie: a',
  );
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nof nova$/s);
  const [{ url: path, method, headers }] = seen as [Seen];
  assert.equal(`${method} ${path}`, 'GET /metadata/openstack/latest/meta_data.json');
  const { host, connection, ...rest } = headers;
  assert.deepEqual(rest, {
    'x-forwarded-for': '10.0.0.5',
    'x-instance-id': INSTANCE,
    'x-tenant-id': 'tenant-a',
    'x-instance-id-signature': createHmac('sha256', SECRET).update(INSTANCE).digest('hex'),
  });
});

test('whom Nova does not know the agent answers itself: pods, and a device_id that is none of Nova’s', async () => {
  const own = (from: string) => raw(from, 'GET /latest/meta-data/mac HTTP/1.1', 'Host: x', 'Connection: close', '', '');
  assert.match(await own('198.18.0.48'), /fa:16:3e:00:00:05$/);
  assert.match(await own('198.18.0.64'), /fa:16:3e:00:00:05$/);
  assert.deepEqual(seen, []);
});

for (const path of [
  '/../identity',
  '/latest/%2e%2e/%2e%2e/admin',
  '/latest/.%2e/x',
  '/a%2fb',
  '/%0d%0aX-Tenant-ID:%20x/..',
]) {
  test(`${path} does not lead out of Nova’s metadata`, async () => {
    assert.match(await ask(path), /^HTTP\/1\.1 404 /);
    assert.deepEqual(seen, []);
  });
}

test('names are escaped anew: line ends, spaces and marks stay inside of a name', async () => {
  await ask('/latest/a%0d%0ab%20c%3fd%23e%25f');
  assert.equal(seen[0]?.url, '/metadata/latest/a%0D%0Ab%20c%3Fd%23e%25f');
});

test('a request behind a body that was not read is not one', async () => {
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
  const answer = await raw(
    '198.18.0.32',
    'GET /a HTTP/1.1',
    'Host: x',
    `Content-Length: ${smuggled.length}`,
    '',
    smuggled,
  );
  assert.match(answer, /^HTTP\/1\.1 200 .*Connection: close/s);
  const both = ['Transfer-Encoding: chunked', 'Content-Length: 4'];
  assert.match(
    await raw('198.18.0.32', 'GET /b HTTP/1.1', 'Host: x', ...both, '', `0\r\n\r\n${smuggled}`),
    /^HTTP\/1\.1 400 /,
  );
  assert.deepEqual(
    seen.map((one) => one.url),
    ['/metadata/a'],
  );
});

test('a password is posted, within bounds, and nothing else is', async () => {
  const post = (path: string, body: string) =>
    raw(
      '198.18.0.32',
      `POST ${path} HTTP/1.1`,
      'Host: x',
      'Connection: close',
      `Content-Length: ${body.length}`,
      '',
      body,
    );
  assert.match(await post('/openstack/2013-04-04/password', 'secret'), /^HTTP\/1\.1 200 /);
  assert.deepEqual(
    seen.map(({ method, url: to, body }) => [method, to, body]),
    [['POST', '/metadata/openstack/2013-04-04/password', 'secret']],
  );
  assert.match(await post('/openstack/2013-04-04/password', 'x'.repeat(1025)), /^HTTP\/1\.1 413 /);
  assert.match(await post('/latest/meta-data', 'x'), /^HTTP\/1\.1 405 .*Allow: GET, HEAD\r\n/s);
  assert.equal(seen.length, 1);
});

test('what Nova refuses the guest hears; redirections, failures and floods it does not', async () => {
  const cases: readonly (readonly [Next, number, RegExp])[] = [
    [{ status: 404, body: 'none' }, 404, /none$/],
    [{ status: 403, body: 'bad signature' }, 403, /bad signature$/],
    [{ status: 302, body: '', location: 'http://127.0.0.1/' }, 502, /not set up\n$/],
    [{ status: 500, body: 'stack trace' }, 500, /the metadata service fails: try again\n$/],
    [{ status: 200, body: Buffer.alloc((1 << 20) + 1) }, 502, /too large\n$/],
    [{ status: 200, body: '{}', type: 'application/json' }, 200, /Content-Type: application\/json\r\n.*\{\}$/s],
  ];
  for (const [answer, status, wanted] of cases) {
    next = answer;
    const text = await ask('/latest/x');
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.match(text, wanted);
    assert.doesNotMatch(text, /Location|stack trace/);
  }
});

test('a Nova that is silent costs a guest 503 in time, a guest no more than its share, and others nothing', async () => {
  next = 'silence';
  const proxy = new NovaMetadata({ url, secret: SECRET, log: silentLogger(), timeoutMs: 3000 });
  const { signal } = new AbortController();
  const request = (vif: number) => proxy.ask({ guest: { ...OF_NOVA, vif }, path: '/x', body: null }, signal);
  const waiting = Array.from({ length: 8 }, () => request(2));
  assert.match(Buffer.from((await request(2)).body).toString(), /too many requests at once/);
  const other = request(3);
  await eventually(() => seen.length === 9);
  assert.deepEqual(
    (await Promise.all([...waiting, other])).map(({ status }) => status),
    Array(9).fill(503),
  );
  assert.equal(seen.length, 9);
  next = { status: 200, body: 'again' };
  assert.equal((await request(2)).status, 200);
  proxy.close();
});

test('no Nova there: 503', async () => {
  const proxy = new NovaMetadata({ url: 'http://127.0.0.1:1', secret: SECRET, log: silentLogger() });
  const answer = await proxy.ask({ guest: OF_NOVA, path: '/x', body: null }, new AbortController().signal);
  assert.equal(answer.status, 503);
  proxy.close();
});

test('a guest that goes away takes its question back', async () => {
  next = 'silence';
  const socket = connect({ host: AGENT, port: 80, localAddress: '198.18.0.32' });
  socket.write('GET /latest/x HTTP/1.1\r\nHost: x\r\n\r\n');
  await eventually(() => seen.length === 1);
  const before = services.counters()['metadata_nova_503'] ?? 0;
  socket.destroy();
  await eventually(() => (services.counters()['metadata_nova_503'] ?? 0) === before + 1);
});

test('fuzz: whatever a guest sends, Nova hears one request for each that is one, as that guest', async () => {
  const inputs: Uint8Array[] = [];
  const corpus = [
    'GET /latest/meta-data HTTP/1.1\r\nHost: x\r\nX-Instance-ID: other\r\n\r\n',
    'POST /openstack/latest/password HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc',
    'GET http://a/b%2e?c#d HTTP/1.0\r\nX-Tenant-ID:\tx\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /openstack/x/password HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /s HTTP/1.1\r\n\r\n',
  ].map((text) => Buffer.from(text));
  fuzz({ corpus, judge: (bytes) => String(inputs.push(bytes) % 7), rounds: 700, maxBytes: 600 });
  const limit = 24;
  for (let from = 0; from < inputs.length; from += limit) {
    const batch = inputs.slice(from, from + limit);
    await Promise.all(batch.map((bytes, index) => throwAt(index % 2 === 0 ? '198.18.0.32' : '198.18.0.48', bytes)));
  }
  assert.ok(seen.length > 10, `${seen.length} reached Nova`);
  for (const { headers, url: path } of seen) {
    const { 'x-instance-id': id, 'x-tenant-id': tenant, 'x-forwarded-for': from } = headers;
    assert.deepEqual([id, tenant, from], [INSTANCE, 'tenant-a', '10.0.0.5']);
    assert.ok(path.startsWith('/metadata/') && !/\/\.\.?(\/|$)/.test(decodeURIComponent(path)), path);
  }
});

async function throwAt(localAddress: string, bytes: Uint8Array): Promise<void> {
  const socket = connect({ host: AGENT, port: 80, localAddress });
  socket.on('error', () => undefined);
  socket.resume();
  socket.write(bytes);
  // What is no whole request waits for more; an answer comes sooner than this.
  await once(socket, 'close', { signal: AbortSignal.timeout(300) }).catch(() => socket.destroy());
}

async function eventually(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, 'it did not come about in a minute');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
