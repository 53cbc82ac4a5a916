import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { acceptAll } from './accept-all.ts';
import { Connections } from './connections.ts';

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

type Place = { readonly server: Server; readonly connections: Connections; open(): Promise<Socket> };

async function serve(t: TestContext, limits: { open: number; unread: number }, answers = true): Promise<Place> {
  const connections = new Connections(limits);
  const server = createServer();
  connections.follow(server, 'connection');
  if (answers) server.on('request', (_request, reply) => reply.end('x'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets: Socket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const open = async (): Promise<Socket> => {
    const accepted = once(server, 'connection');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => undefined);
    await accepted;
    return socket;
  };
  return { server, connections, open };
}

async function ask(socket: Socket): Promise<void> {
  const answer = once(socket, 'data');
  socket.write(GET);
  await answer;
}

test('the connection that has sent nothing for the longest gives way to a new one', async (t) => {
  const { open, connections } = await serve(t, { open: 100, unread: 2 });
  const [first, second] = [await open(), await open()];
  const gone = once(first, 'close');
  const third = await open();
  await gone;
  assert.equal(connections.unread, 2);
  await ask(second);
  await ask(third);
  assert.equal(connections.unread, 0);
});

test('of many connections that come in one round as many go as are too many', async (t) => {
  const { connections, server } = await serve(t, { open: 100, unread: 5 });
  acceptAll(server);
  const { port } = server.address() as AddressInfo;
  const clients = Array.from({ length: 40 }, () => connect(port, '127.0.0.1').resume());
  let closed = 0;
  for (const client of clients)
    client
      .on('error', () => undefined)
      .on('close', () => {
        closed += 1;
      });
  while (closed < 35) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(connections.unread, 5);
  for (const client of clients) client.destroy();
});

test('an idle connection gives way before one that has sent nothing; one with a request under way does not', async (t) => {
  const { open, server, connections } = await serve(t, { open: 3, unread: 3 }, false);
  const replies: (() => void)[] = [];
  server.on('request', (request, reply) =>
    request.url === '/' ? reply.end('x') : replies.push(() => reply.end('late')),
  );
  const busy = await open();
  const begun = once(server, 'request');
  busy.write(GET.replace('/ ', '/slow '));
  await begun;
  const unread = await open();
  const idle = await open();
  await ask(idle);
  const idleGone = once(idle, 'close');
  await open();
  await idleGone;
  const unreadGone = once(unread, 'close');
  await open();
  await unreadGone;
  const answer = once(busy, 'data');
  replies[0]?.();
  assert.match(String((await answer)[0]), /late/);
  assert.equal(connections.open, 3);
});

test('a stream takes no place of a connection, and is counted until it closes', async (t) => {
  const { open, server, connections } = await serve(t, { open: 2, unread: 2 });
  server.on('upgrade', (_request, socket) => {
    connections.upgrade(socket);
    socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  });
  const upgrade = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
  const streams: Socket[] = [];
  for (let i = 0; i < 5; i += 1) {
    const socket = await open();
    const answer = once(socket, 'data');
    socket.write(upgrade);
    await answer;
    streams.push(socket);
  }
  assert.deepEqual([connections.streams, connections.open], [5, 0]);
  const closed = streams.map((socket) => once(socket, 'close'));
  connections.destroyStreams();
  await Promise.all(closed);
  assert.equal(connections.streams, 0);
});
