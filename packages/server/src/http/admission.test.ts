import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type Edge, type EdgeAnswer, startEdge } from './edge.fixture.ts';

const NETWORK = JSON.stringify({ network: { name: 'n' } });
const HOST = { underlay: '192.0.2.1', agentVersion: '1' };

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function create(edge: Edge, signal?: AbortSignal): Promise<EdgeAnswer> {
  return edge.ask('POST', '/v2.0/networks', { body: NETWORK, ...(signal ? { signal } : {}) });
}

test('more writes than fit are answered 503 while those are under way, and all else is served meanwhile', async (t) => {
  const edge = await startEdge(t, { writes: 4 });
  const { id } = JSON.parse((await create(edge)).text).network as { id: string };
  const { held, letGo } = edge.hold();
  const running = Array.from({ length: 4 }, () => create(edge));
  await until(() => held() === 4);
  const refused = await Promise.all(Array.from({ length: 300 }, () => create(edge)));
  for (const { status, error, headers } of refused) {
    assert.deepEqual([status, error?.type, headers['retry-after']], [503, 'ServiceUnavailable', '1']);
    assert.match(error?.detail ?? '', /^Nothing was done/);
  }
  for (const path of ['/healthz', '/readyz', '/metrics', '/v2.0/networks', `/v2.0/networks/${id}`]) {
    assert.equal((await edge.ask('GET', path)).status, 200, path);
  }
  assert.equal(held(), 4);
  letGo();
  assert.deepEqual(
    (await Promise.all(running)).map((one) => one.status),
    [201, 201, 201, 201],
  );
  assert.equal((await create(edge)).status, 201);
  const { text } = await edge.ask('GET', '/metrics');
  assert.match(text, /cable_http_errors_total\{type="ServiceUnavailable",status="503"\} 300/);
  assert.match(text, /cable_http_requests\{kind="write",state="running"\} 0/);
  assert.match(text, /cable_http_requests\{kind="list",state="running"\} 0/);
});

test('agents register and are followed while nothing else can be written', async (t) => {
  const edge = await startEdge(t, { writes: 4 });
  assert.equal((await edge.ask('PUT', '/cable/v1/hosts/h1', { body: JSON.stringify(HOST) })).status, 204);
  const { held, letGo } = edge.hold();
  const running = Array.from({ length: 4 }, () => create(edge));
  await until(() => held() === 4);
  assert.equal((await edge.ask('PUT', '/cable/v1/hosts/h1', { body: JSON.stringify(HOST) })).status, 204);
  const report = JSON.stringify({ revision: 0, full: true, vifs: [] });
  assert.equal((await edge.ask('POST', '/cable/v1/hosts/h1/status', { body: report })).status, 204);
  assert.equal((await edge.ask('GET', '/cable/v1/status')).status, 200);
  letGo();
  await Promise.all(running);
});

test('what waits for a client that has left is not begun', async (t) => {
  const edge = await startEdge(t, { writes: 4 });
  const { held, letGo } = edge.hold();
  const running = Array.from({ length: 4 }, () => create(edge));
  await until(() => held() === 4);
  const leaving = new AbortController();
  const waiting = Array.from({ length: 8 }, () => create(edge, leaving.signal).catch((err: unknown) => String(err)));
  const queued = async (): Promise<number> =>
    Number(
      /cable_http_requests\{kind="write",state="waiting"\} (\d+)/.exec((await edge.ask('GET', '/metrics')).text)?.[1],
    );
  while ((await queued()) !== 8);
  leaving.abort();
  while ((await queued()) !== 0);
  letGo();
  await Promise.all([...running, ...waiting]);
  const { networks } = JSON.parse((await edge.ask('GET', '/v2.0/networks')).text) as { networks: unknown[] };
  assert.equal(networks.length, 4);
});

test('a body is not read, nor asked for, when its request is refused by what comes before it', async (t) => {
  const edge = await startEdge(t, { writes: 4 });
  const head = `Host: localhost\r\nContent-Type: application/json\r\n`;
  const large = await edge.raw(`POST /v2.0/ports HTTP/1.1\r\n${head}Content-Length: 4194305\r\n\r\n`);
  assert.match(large, /^HTTP\/1\.1 413 .*\r\nconnection: close\r\n/s);
  const update = await edge.raw(`PUT /v2.0/ports/x HTTP/1.1\r\n${head}Content-Length: 262145\r\n\r\n`);
  assert.match(update, /^HTTP\/1\.1 413 /);
  const expects = await edge.raw(
    `POST /v2.0/ports HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n`,
  );
  assert.match(expects, /^HTTP\/1\.1 403 /);
  const chunks = `${'40000\r\n'}${' '.repeat(0x40000)}\r\n1\r\n \r\n0\r\n\r\n`;
  const grown = await edge.raw(`PUT /v2.0/ports/x HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n${chunks}`);
  assert.match(grown, /^HTTP\/1\.1 413 /);
});

test('who holds large bodies keeps no others out, and gives way to them', async (t) => {
  const edge = await startEdge(t, { bodyBytes: 8 << 20 });
  const half = Buffer.alloc(3 << 20, 0x20);
  const holders = Array.from({ length: 6 }, () => {
    const socket = connect(Number(edge.url.port), edge.url.hostname);
    socket.on('error', () => undefined);
    const head =
      'POST /v2.0/ports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n';
    socket.write(head);
    socket.write(half);
    return socket;
  });
  await Promise.race(holders.map((socket) => once(socket, 'data')));
  const bytes = Number(/cable_http_body_bytes (\d+)/.exec((await edge.ask('GET', '/metrics')).text)?.[1]);
  assert.ok(bytes <= 6 << 20, String(bytes));
  assert.equal((await create(edge)).status, 201);
  const many = Array.from({ length: 500 }, (_, n) => ({ name: `n${n}`, description: 'x'.repeat(250) }));
  const bulk = await edge.ask('POST', '/v2.0/networks', { body: JSON.stringify({ networks: many }) });
  assert.equal(bulk.status, 201, bulk.text.slice(0, 300));
  for (const socket of holders) socket.destroy();
});

test('lists that nobody reads hold up others for a moment only', async (t) => {
  const edge = await startEdge(t, { lists: 2 });
  const many = Array.from({ length: 1000 }, (_, n) => ({ name: `n${n}`, description: 'x'.repeat(250) }));
  for (let i = 0; i < 3; i += 1) {
    const body = JSON.stringify({ networks: many.slice(0, 900) });
    assert.equal((await edge.ask('POST', '/v2.0/networks', { body })).status, 201);
  }
  const readers = Array.from({ length: 2 }, () => {
    const socket = connect(Number(edge.url.port), edge.url.hostname);
    socket.on('error', () => undefined);
    socket.pause();
    socket.write('GET /v2.0/networks HTTP/1.1\r\nHost: localhost\r\nRequest-Timeout: 0.4\r\n\r\n'.repeat(8));
    return socket;
  });
  const running = async (): Promise<number> =>
    Number(
      /cable_http_requests\{kind="list",state="running"\} (\d+)/.exec((await edge.ask('GET', '/metrics')).text)?.[1],
    );
  while ((await running()) !== 2);
  let answer = await edge.ask('GET', '/v2.0/networks?limit=1');
  // While the readers have time left, it is told to come again.
  while (answer.status === 503) answer = await edge.ask('GET', '/v2.0/networks?limit=1');
  assert.equal(answer.status, 200);
  for (const socket of readers) socket.destroy();
});
