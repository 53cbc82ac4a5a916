import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { type HttpUpgrade, httpTransport } from './http-transport.ts';
import { TransportError } from './transport-error.ts';

async function listen(
  t: { after(fn: () => void): void },
  where: number | string,
  on: RequestListener,
): Promise<Server> {
  const server = createServer(on);
  const options = typeof where === 'number' ? { port: where, host: '127.0.0.1' } : { path: where };
  await new Promise<void>((resolve) => server.listen(options, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  assert(typeof address === 'object' && address !== null);
  return address.port;
}

async function failure(promise: Promise<unknown>): Promise<TransportError> {
  const err = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert(err instanceof TransportError, String(err));
  return err;
}

test('a request carries method, path, headers and body, and keeps its connection', async (t) => {
  const sockets = new Set<unknown>();
  const server = await listen(t, 0, (request, response) => {
    sockets.add(request.socket);
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      response.writeHead(201, { 'X-Thing': 'a' });
      response.end(`${request.method} ${request.url} ${request.headers['x-project-id']} ${body}`);
    });
  });
  const transport = httpTransport(`http://127.0.0.1:${portOf(server)}/base/`);
  t.after(() => transport.close());
  for (let i = 0; i < 3; i += 1) {
    const answer = await transport.request({
      method: 'PUT',
      path: '/x?y=1',
      headers: { 'x-project-id': 'p' },
      body: '{"ä":1}',
    });
    assert.deepEqual([answer.status, answer.headers['x-thing'], answer.body], [201, 'a', 'PUT /base/x?y=1 p {"ä":1}']);
  }
  assert.equal(sockets.size, 1);
});

test('a Unix socket serves requests', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-kit-'));
  t.after(() => rmSync(dir, { recursive: true }));
  await listen(t, join(dir, 's.sock'), (request, response) => response.end(request.url));
  const transport = httpTransport(`unix:${join(dir, 's.sock')}`);
  t.after(() => transport.close());
  assert.equal((await transport.request({ method: 'GET', path: '/maps' })).body, '/maps');
});

test('stream gives lines as they come, also when chunks cut lines and characters', async (t) => {
  let release = (): void => undefined;
  const server = await listen(t, 0, (_request, response) => {
    const text = Buffer.from('{"a":1}\n{"ä":2}\n{"b":');
    response.write(text.subarray(0, 11));
    setImmediate(() => response.write(text.subarray(11)));
    release = () => response.end('3}');
  });
  const transport = httpTransport(`http://127.0.0.1:${portOf(server)}`);
  t.after(() => transport.close());
  const stream = await transport.stream({ method: 'GET', path: '/' });
  assert.equal(stream.status, 200);
  const lines: string[] = [];
  for await (const line of stream.lines) {
    lines.push(line);
    if (lines.length === 2) release();
  }
  assert.deepEqual(lines, ['{"a":1}', '{"ä":2}', '{"b":3}']);
});

test('a stream that breaks throws, and one that is aborted says so', async (t) => {
  const server = await listen(t, 0, (request, response) => {
    response.write('one\n');
    if (request.url === '/break') setImmediate(() => response.destroy());
  });
  const transport = httpTransport(`http://127.0.0.1:${portOf(server)}`);
  t.after(() => transport.close());
  const read = async (path: string, signal?: AbortSignal, onLine?: () => void): Promise<void> => {
    const stream = await transport.stream({ method: 'GET', path, ...(signal ? { signal } : {}) });
    for await (const _line of stream.lines) onLine?.();
  };
  assert.equal((await failure(read('/break'))).retryable, true);
  const abort = new AbortController();
  assert.equal((await failure(read('/hold', abort.signal, () => abort.abort()))).code, 'aborted');
});

test('a consumer that leaves a stream closes its connection', async (t) => {
  let closed = (): void => undefined;
  const gone = new Promise<void>((resolve) => {
    closed = resolve;
  });
  const server = await listen(t, 0, (request, response) => {
    request.socket.on('close', () => closed());
    response.write('one\ntwo\n');
  });
  const transport = httpTransport(`http://127.0.0.1:${portOf(server)}`);
  t.after(() => transport.close());
  for await (const line of (await transport.stream({ method: 'GET', path: '/' })).lines) {
    assert.equal(line, 'one');
    break;
  }
  await gone;
});

test('errors name the server and the remedy', async (t) => {
  const server = await listen(t, 0, () => undefined);
  const silent = httpTransport(`http://127.0.0.1:${portOf(server)}`, { timeoutMs: 50 });
  t.after(() => silent.close());
  const slow = await failure(silent.request({ method: 'GET', path: '/' }));
  assert.match(slow.message, /^http:\/\/127\.0\.0\.1:\d+ did not answer within 50 ms$/);
  assert.equal((await failure(silent.stream({ method: 'GET', path: '/' }))).code, 'timeout');

  const closed = await listen(t, 0, () => undefined);
  const port = portOf(closed);
  await new Promise((resolve) => closed.close(resolve));
  const refused = await failure(httpTransport(`http://127.0.0.1:${port}`).request({ method: 'GET', path: '/' }));
  assert.equal(refused.code, 'ECONNREFUSED');
  assert.match(refused.message, /^cannot reach http:\/\/127\.0\.0\.1:\d+: nothing listens there: start the server/);

  const absent = await failure(httpTransport('unix:/nonexistent/agent.sock').request({ method: 'GET', path: '/' }));
  assert.match(absent.message, /unix:\/nonexistent\/agent\.sock: there is no such socket/);
  for (const bad of ['localhost:9696', 'ftp://x', 'unix:relative', '', 'http://h/?q=1']) {
    assert.throws(() => httpTransport(bad), /write https:\/\/HOST:PORT, http:\/\/HOST:PORT or unix:\/PATH/);
  }
});

test('a kept connection that the server closed meanwhile is replaced, except for POST', async (t) => {
  let requests = 0;
  const server = await listen(t, 0, (request, response) => {
    requests += 1;
    if (requests === 2) request.socket.destroy();
    else response.end(String(requests));
  });
  const transport = httpTransport(`http://127.0.0.1:${portOf(server)}`);
  t.after(() => transport.close());
  await transport.request({ method: 'GET', path: '/' });
  assert.equal((await transport.request({ method: 'GET', path: '/' })).body, '3');
  requests = 1;
  const lost = await failure(transport.request({ method: 'POST', path: '/', body: '{}' }));
  assert.equal(lost.code, 'ECONNRESET');
});

/** A server that upgrades; `on` gets the socket and what came with the head. */
async function listenUpgrade(
  t: { after(fn: () => void): void },
  where: number | string,
  on: (socket: Duplex) => void,
): Promise<Server> {
  const server = await listen(t, where, (_request, response) => response.writeHead(200).end('plain\nanswer\n'));
  const sockets = new Set<Duplex>();
  server.on('upgrade', (request, socket) => {
    if (request.headers.upgrade !== 'lines/1') return void socket.end('HTTP/1.1 200 OK\r\n\r\nplain\nanswer\n');
    sockets.add(socket);
    socket.on('error', () => undefined);
    on(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return server;
}

const HEAD = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines/1\r\nX-Thing: a\r\n\r\n';
const ASK = { method: 'GET', path: '/watch', headers: { connection: 'Upgrade', upgrade: 'lines/1' } } as const;

async function upgrade(server: string, signal?: AbortSignal): Promise<HttpUpgrade> {
  const answer = await httpTransport(server).upgrade({ ...ASK, ...(signal ? { signal } : {}) });
  assert(answer.status === 101 && 'send' in answer);
  return answer;
}

test('an upgraded connection carries lines both ways, also over a Unix socket and with lines in the first packet', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-kit-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 's.sock');
  await listenUpgrade(t, path, (socket) => {
    socket.write(`${HEAD}{"first":"ä"}\n{"sec`);
    socket.on('data', (chunk: Buffer) => socket.write(`ond":${JSON.stringify(chunk.toString())}}\n`));
    socket.on('end', () => socket.end('last'));
  });
  const connection = await upgrade(`unix:${path}`);
  assert.equal(connection.headers['x-thing'], 'a');
  const lines: string[] = [];
  for await (const line of connection.lines) {
    lines.push(line);
    if (lines.length === 1) connection.send('up');
    else connection.close();
    if (lines.length === 3) break;
  }
  assert.deepEqual(lines.slice(0, 2), ['{"first":"ä"}', '{"second":"up\\n"}']);
  connection.send('after the end nothing is sent');
});

test('a server that does not upgrade gives its plain answer', async (t) => {
  const server = await listenUpgrade(t, 0, () => undefined);
  const transport = httpTransport(`http://127.0.0.1:${portOf(server)}`);
  const answer = await transport.upgrade({
    method: 'GET',
    path: '/',
    headers: { connection: 'Upgrade', upgrade: 'other' },
  });
  assert.equal(answer.status, 200);
  const lines: string[] = [];
  for await (const line of answer.lines) lines.push(line);
  assert.deepEqual(lines, ['plain', 'answer']);
});

test('an upgraded connection that breaks throws, one that is aborted says so, and one that is closed ends', async (t) => {
  const sockets: Duplex[] = [];
  const server = await listenUpgrade(t, 0, (socket) => {
    sockets.push(socket);
    socket.write(`${HEAD}one\n`);
  });
  const url = `http://127.0.0.1:${portOf(server)}`;
  const read = async (connection: HttpUpgrade, onLine: () => void): Promise<void> => {
    for await (const _line of connection.lines) onLine();
  };
  const broken = await upgrade(url);
  const reset = (): void => {
    const socket = sockets[0];
    assert(socket instanceof Socket);
    socket.resetAndDestroy();
  };
  assert.equal((await failure(read(broken, reset))).retryable, true);
  const abort = new AbortController();
  const aborted = await upgrade(url, abort.signal);
  assert.equal((await failure(read(aborted, () => abort.abort()))).code, 'aborted');
  const closed = await upgrade(url);
  await read(closed, () => closed.close());
});

test('a server that takes nothing is cut before what waits for it grows without bound', async (t) => {
  const server = await listenUpgrade(t, 0, (socket) => {
    socket.pause();
    socket.write(`${HEAD}one\n`);
  });
  const connection = await upgrade(`http://127.0.0.1:${portOf(server)}`);
  const line = 'x'.repeat(1 << 20);
  const read = async (): Promise<void> => {
    for await (const _line of connection.lines) for (let i = 0; i < 40; i += 1) connection.send(line);
  };
  assert.match((await failure(read())).message, /takes nothing/);
});

test('many lines are taken in turns: others have the loop between them', async (t) => {
  const count = 20_000;
  // So short that they come in few chunks.
  const server = await listenUpgrade(t, 0, (socket) => {
    socket.write(HEAD + Array.from({ length: count }, (_, i) => `${i % 10}\n`).join(''));
  });
  const connection = await upgrade(`http://127.0.0.1:${portOf(server)}`);
  let expected = 0;
  let round = 0;
  const rounds = new Set<number>();
  const others = (): void => {
    round += 1;
    if (expected < count) setImmediate(others);
  };
  setImmediate(others);
  for await (const line of connection.lines) {
    assert.equal(line, String(expected % 10));
    rounds.add(round);
    expected += 1;
    const until = performance.now() + 0.01;
    while (performance.now() < until);
    if (expected === count) break;
  }
  // A line takes a hundredth of a millisecond or more, so that a turn has room for some hundred of them, however slow the machine is.
  assert.ok(rounds.size >= 20, `${count} lines were taken in ${rounds.size} rounds of the loop`);
});

test('a long line in many chunks is put together once', { timeout: 60_000 }, async (t) => {
  const long = 'y'.repeat(20 << 20);
  const server = await listenUpgrade(t, 0, (socket) => {
    socket.write(`${HEAD}${long}\nshort\n`);
  });
  const connection = await upgrade(`http://127.0.0.1:${portOf(server)}`);
  const lengths: number[] = [];
  for await (const line of connection.lines) {
    lengths.push(line.length);
    if (lengths.length === 2) break;
  }
  assert.deepEqual(lengths, [long.length, 5]);
});
