/**
 * What an operator puts before several servers: `balancer.js LISTEN... -- SOCKET...` takes connections on ports of loopback and on Unix sockets, and
 * passes each to the first of the servers' sockets that accepts.
 */
import { rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';

const words = process.argv.slice(2);
const cut = words.indexOf('--');
const servers = words.slice(cut + 1);

async function pass(client: Socket): Promise<void> {
  client.on('error', () => client.destroy());
  const server = await firstAccepting();
  if (server === undefined) return void client.destroy();
  server.on('error', () => client.destroy());
  server.on('close', () => client.destroy());
  client.on('close', () => server.destroy());
  client.pipe(server).pipe(client);
}

async function firstAccepting(): Promise<Socket | undefined> {
  for (const path of servers) {
    const socket = await tryConnect(path);
    if (socket !== undefined) return socket;
  }
  return undefined;
}

function tryConnect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ path, allowHalfOpen: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

for (const place of words.slice(0, cut)) {
  const server = createServer({ allowHalfOpen: true }, (client) => void pass(client));
  if (place.startsWith('/')) rmSync(place, { force: true });
  await new Promise<void>((resolve) =>
    place.startsWith('/') ? server.listen(place, resolve) : server.listen(Number(place), '127.0.0.1', resolve),
  );
}
process.stdout.write('ready\n');
