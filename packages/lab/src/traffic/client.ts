import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { CHUNK_BYTES, createPattern } from './pattern.ts';
import type { Digest, Request, TransferResult, WhenRequest } from './protocol.ts';
import { drained } from './server.ts';

export type Target = { readonly host: string; readonly port: number };

/** How long a connection may stand still before it counts as broken. */
const STALL_MS = 15_000;
/** How long an answer may take that waits for something else, such as a VM that moves. */
const IDLE_MS = 110_000;

/** Name of the guest that answers at the address. */
export async function who(target: Target): Promise<string> {
  const socket = await open(target, { verb: 'who' }, STALL_MS);
  socket.end();
  return (await readAll(socket)).trim();
}

/** Name of the guest that answers at the address, once it may: nothing is sent on the connection meanwhile. */
export async function whenTold(target: Target, files: Omit<WhenRequest, 'verb'>): Promise<string> {
  const socket = await open(target, { verb: 'when', ...files }, IDLE_MS);
  return (await readAll(socket)).trim();
}

/** The same by UDP: one datagram there, and one back. */
export async function whenToldByUdp(target: Target, files: Omit<WhenRequest, 'verb'>): Promise<string> {
  const socket = createSocket('udp4');
  const request: WhenRequest = { verb: 'when', ...files };
  try {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer from ${target.host} for ${IDLE_MS} ms`)), IDLE_MS);
      socket.once('message', (answer) => {
        clearTimeout(timer);
        resolve(answer.toString().trim());
      });
      socket.send(JSON.stringify(request), target.port, target.host);
    });
  } finally {
    socket.close();
  }
}

/** Fetches `bytes` and compares their digest with the pattern's. */
export async function get(target: Target, bytes: number, seed: string): Promise<TransferResult> {
  const startedAt = performance.now();
  const socket = await open(target, { verb: 'get', bytes, seed }, STALL_MS);
  const hash = createHash('sha256');
  let received = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    hash.update(chunk);
    received += chunk.length;
  }
  const ms = performance.now() - startedAt;
  return { ok: received === bytes && hash.digest('hex') === patternDigest(seed, bytes), bytes, received, ms };
}

export type PutOptions = {
  readonly seed: string;
  /** Ends after so many bytes, or so long, whichever is given. */
  readonly bytes?: number;
  readonly seconds?: number;
  /** Bytes a second; absent: as fast as it goes. */
  readonly rate?: number;
};

/** Sends the pattern and compares the receiver's digest with its own. */
export async function put(target: Target, options: PutOptions): Promise<TransferResult> {
  const startedAt = performance.now();
  const socket = await open(target, { verb: 'put' }, STALL_MS);
  const answer = readAll(socket);
  const sent = await send(socket, options);
  socket.end();
  const digest = JSON.parse(await answer) as Digest;
  const ms = performance.now() - startedAt;
  return {
    ok: digest.bytes === sent.bytes && digest.sha256 === sent.sha256,
    bytes: sent.bytes,
    received: digest.bytes,
    ms,
  };
}

async function send(socket: Socket, options: PutOptions): Promise<Digest> {
  const pattern = createPattern(options.seed);
  const hash = createHash('sha256');
  const startedAt = performance.now();
  const limit = options.bytes ?? Number.POSITIVE_INFINITY;
  const endAt = startedAt + (options.seconds ?? 3600) * 1000;
  let bytes = 0;
  while (bytes < limit && performance.now() < endAt && !socket.destroyed) {
    const chunk = pattern.next(Math.min(CHUNK_BYTES, limit - bytes));
    hash.update(chunk);
    bytes += chunk.length;
    if (!socket.write(chunk)) await drained(socket);
    const early = options.rate === undefined ? 0 : (bytes / options.rate) * 1000 - (performance.now() - startedAt);
    if (early > 1) await wait(early);
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** True when a connection to the target is accepted within the time. A refusal (RST) is an answer too: then it is false at once. */
export async function accepts(target: Target, timeoutMs: number): Promise<boolean> {
  try {
    const socket = await open(target, { verb: 'who' }, timeoutMs);
    socket.destroy();
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens a new connection every 10 ms until one is accepted; returns when (Unix ms), or null when none was before the deadline.
 * A connection's own retransmissions would only come after a second: hence many.
 */
export async function firstAccepted(target: Target, deadlineMs: number): Promise<number | null> {
  const until = Date.now() + deadlineMs;
  return new Promise((resolve) => {
    const attempt = async (): Promise<void> => {
      if (await accepts(target, 400)) finish(Date.now());
    };
    const finish = (at: number | null): void => {
      clearInterval(timer);
      resolve(at);
    };
    const timer = setInterval(() => {
      if (Date.now() > until) finish(null);
      else void attempt();
    }, 10);
  });
}

function open(target: Target, request: Request, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: target.host, port: target.port, noDelay: true });
    const fail = (err: Error): void => {
      socket.destroy();
      reject(err);
    };
    socket.setTimeout(timeoutMs, () =>
      fail(new Error(`nothing from ${target.host}:${target.port} for ${timeoutMs} ms`)),
    );
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.write(`${JSON.stringify(request)}\n`);
      resolve(socket);
    });
  });
}

async function readAll(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString();
  return text;
}

function patternDigest(seed: string, bytes: number): string {
  const pattern = createPattern(seed);
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) hash.update(pattern.next(Math.min(left, CHUNK_BYTES)));
  return hash.digest('hex');
}
