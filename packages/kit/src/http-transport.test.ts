import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { httpTransport, TransportError } from './http-transport.ts';

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
    assert.throws(() => httpTransport(bad), /write http:\/\/HOST:PORT or unix:\/PATH/);
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
