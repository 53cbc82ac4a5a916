import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { openProbe, type ProbeQuestion } from './probe-socket.ts';

/** A server on loopback that treats connections so; its port. */
async function serve(t: TestContext, host: string, treat: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    treat(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** What a probe comes to; undefined: nothing before `until` resolves. */
async function probed(
  address: string,
  port: number,
  question: ProbeQuestion,
  until?: Promise<unknown>,
): Promise<true | string | undefined> {
  return new Promise((resolve) => {
    const probe = openProbe({ address, port, question, onEnd: resolve });
    void until?.then(() => {
      probe.close();
      resolve(undefined);
    });
  });
}

const TCP: ProbeQuestion = { kind: 'tcp' };

/** Asks, and is content with an answer that has this in it. */
function exchange(wanted: string): ProbeQuestion {
  const judge = (answer: Uint8Array) => (Buffer.from(answer).includes(wanted) ? true : undefined);
  return { kind: 'exchange', request: Buffer.from('how are you?'), judge };
}

for (const host of ['127.0.0.1', '::1']) {
  test(`a server at ${host} is well when it takes a connection, and refuses when it is gone`, async (t) => {
    const port = await serve(t, host, () => undefined);
    assert.equal(await probed(host, port, TCP), true);
    const gone = createServer().listen(0, host);
    await once(gone, 'listening');
    const { port: free } = gone.address() as AddressInfo;
    await new Promise((resolve) => gone.close(resolve));
    assert.equal(await probed(host, free, TCP), 'ECONNREFUSED');
  });
}

test('an exchange sends its request and judges what comes, in pieces', async (t) => {
  const port = await serve(t, '127.0.0.1', (socket) => {
    socket.on('data', (request) => {
      socket.write(`you said ${request}; I am `);
      setImmediate(() => socket.end('well'));
    });
  });
  assert.equal(await probed('127.0.0.1', port, exchange('how are you?; I am well')), true);
  assert.equal(await probed('127.0.0.1', port, exchange('ill')), 'the connection ended without an answer');
});

test('an answer without an end is left after some kilobytes', async (t) => {
  const port = await serve(t, '127.0.0.1', (socket) => {
    const flood = (): void => {
      while (!socket.destroyed && socket.write(Buffer.alloc(65_536, 'x')));
    };
    socket.on('drain', flood);
    flood();
  });
  assert.equal(await probed('127.0.0.1', port, exchange('well')), 'the answer has no end');
});

test('one who resets the connection is not well', async (t) => {
  const port = await serve(t, '127.0.0.1', (socket) => socket.resetAndDestroy());
  assert.match(String(await probed('127.0.0.1', port, exchange('well'))), /^(ECONNRESET|EPIPE)$/);
});

test('a datagram is refused where nobody hears, and else nobody tells', async (t) => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  const heard = once(socket, 'message');
  assert.equal(await probed('127.0.0.1', port, { kind: 'udp' }, heard), undefined);
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  assert.equal(await probed('127.0.0.1', port, { kind: 'udp' }), 'ECONNREFUSED');
  t.diagnostic(`port ${port}`);
});

test('what cannot be sent at all is told in a later turn, and not after the probe was closed', async () => {
  let told: unknown;
  const probe = openProbe({
    address: '127.0.0.1',
    port: 1,
    source: '192.0.2.77',
    question: TCP,
    onEnd: (result) => {
      told = result;
    },
  });
  assert.equal(told, undefined);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  assert.equal(told, 'EADDRNOTAVAIL');
  probe.close();
  const closed = openProbe({
    address: '127.0.0.1',
    port: 1,
    source: '192.0.2.77',
    question: TCP,
    onEnd: () => assert.fail(),
  });
  closed.close();
  closed.close();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
});

test('a machine has its own address, or has it not', async () => {
  const own = (source: string): Promise<true | string> =>
    new Promise((resolve) => {
      openProbe({ address: source, source, port: 0, question: { kind: 'own' }, onEnd: resolve });
    });
  assert.equal(await own('127.0.0.1'), true);
  assert.equal(await own('192.0.2.77'), 'EADDRNOTAVAIL');
});
