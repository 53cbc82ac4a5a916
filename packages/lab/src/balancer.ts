/**
 * What an operator puts before several servers: `balancer.js LISTEN... -- SERVER...` takes connections and passes each, byte by byte, to the first of the
 * servers that accepts. Both are given as ADDRESS:PORT, or as paths of Unix sockets.
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
  for (const server of servers) {
    const socket = await tryConnect(server);
    if (socket !== undefined) return socket;
  }
  return undefined;
}

function tryConnect(place: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection({ ...placeOf(place), allowHalfOpen: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

/** As Node takes it. */
function placeOf(place: string): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (place.startsWith('/')) return { path: place };
  const colon = place.lastIndexOf(':');
  return { host: place.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(place.slice(colon + 1)) };
}

for (const place of words.slice(0, cut)) {
  const server = createServer({ allowHalfOpen: true }, (client) => void pass(client));
  if (place.startsWith('/')) rmSync(place, { force: true });
  await new Promise<void>((resolve) => server.listen(placeOf(place), resolve));
}
process.stdout.write('ready\n');
