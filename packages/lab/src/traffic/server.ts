import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { CHUNK_BYTES, createPattern } from './pattern.ts';
import { CLOSED_PORTS, OPEN_PORT, type Request, type WhenRequest } from './protocol.ts';

const MAX_REQUEST_BYTES = 1024;

/** Serves the lab's protocol as the guest `name` on all its ports, for ever. Prints `ready` when it listens on all. */
export async function serve(name: string): Promise<void> {
  for (const port of [OPEN_PORT, ...CLOSED_PORTS]) {
    const server = createServer({ allowHalfOpen: true }, (socket) => answerConnection(name, socket));
    await new Promise<void>((resolve) => server.listen(port, '0.0.0.0', resolve));
  }
  await serveDatagrams(name);
  process.stdout.write('ready\n');
}

async function serveDatagrams(name: string): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('message', (message, { address, port }) => {
    const request = JSON.parse(message.toString()) as Request;
    if (request.verb === 'when') void until(request).then(() => socket.send(`${name}\n`, port, address));
  });
  await new Promise<void>((resolve) => socket.bind(OPEN_PORT, '0.0.0.0', resolve));
}

/** Says that it was heard, and resolves when it may be answered. */
async function until({ heard, go }: WhenRequest): Promise<void> {
  writeFileSync(heard, '');
  while (!existsSync(go)) await wait(20);
}

/** Reads one request and answers it. */
export function answerConnection(name: string, socket: Socket): void {
  socket.on('error', () => socket.destroy());
  readRequest(socket, (request, rest) => answer(name, socket, request, rest));
}

function readRequest(socket: Socket, then: (request: Request, rest: Buffer) => void): void {
  let head = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(10);
    if (end < 0) {
      if (head.length > MAX_REQUEST_BYTES) socket.destroy();
      return;
    }
    socket.off('data', onData);
    then(JSON.parse(head.subarray(0, end).toString()) as Request, head.subarray(end + 1));
  };
  socket.on('data', onData);
}

function answer(name: string, socket: Socket, request: Request, rest: Buffer): void {
  if (request.verb === 'who') socket.end(`${name}\n`);
  else if (request.verb === 'put') receive(socket, rest);
  else if (request.verb === 'when') void until(request).then(() => socket.end(`${name}\n`));
  else void sendPattern(socket, request.seed, request.bytes);
}

function receive(socket: Socket, first: Buffer): void {
  const hash = createHash('sha256').update(first);
  let bytes = first.length;
  socket.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  socket.on('end', () => socket.end(`${JSON.stringify({ bytes, sha256: hash.digest('hex') })}\n`));
}

async function sendPattern(socket: Socket, seed: string, bytes: number): Promise<void> {
  const pattern = createPattern(seed);
  for (let left = bytes; left > 0 && !socket.destroyed; left -= CHUNK_BYTES) {
    const full = !socket.write(pattern.next(Math.min(left, CHUNK_BYTES)));
    if (full) await drained(socket);
  }
  socket.end();
}

/** Resolves when more can be written, or the socket is gone. */
export function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}
