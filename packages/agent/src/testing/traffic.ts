/** Real traffic between namespaces, for tests: it says what did not arrive as it was sent. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { TestNetns } from '../net/testing.ts';

/** Sends MiB by TCP, until there are enough or SIGTERM says so, and asks for their SHA-256; or datagrams of every kind of size, which come back. */
const TOOL = `
const { createHash, randomBytes } = require('node:crypto');
const net = require('node:net');
const dgram = require('node:dgram');
const [mode, address, amount, pauseMs] = process.argv.slice(1);
const fail = (why) => { console.error(why); process.exit(1); };
if (mode === 'serve') {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    socket.on('data', (data) => hash.update(data)).on('end', () => socket.end(hash.digest('hex'))).on('error', () => 0);
  });
  const echo = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
  echo.on('message', (data, from) => echo.send(data, from.port, from.address));
  server.listen(7000, address, () => echo.bind(7000, address, () => console.log('ready')));
} else if (mode === 'tcp') {
  const block = randomBytes(1 << 20);
  const hash = createHash('sha256');
  let left = Number(amount);
  process.on('SIGTERM', () => { left = 0; });
  let answer = '';
  const socket = net.connect(7000, address);
  socket.setTimeout(60000, () => fail('nothing is heard'));
  const push = () => {
    if (left <= 0) return socket.end();
    left -= 1;
    hash.update(block);
    socket.write(block, () => setTimeout(push, Number(pauseMs)));
  };
  socket.on('connect', push).on('data', (data) => { answer += data; }).on('error', (err) => fail(err.message));
  socket.on('close', () => (answer === hash.digest('hex') ? process.exit(0) : fail('other bytes: ' + answer)));
} else {
  const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const sizes = Array.from({ length: Number(amount) }, (_, i) => 1 + ((i * 37) % 1380));
  const wanted = new Set();
  socket.on('message', (data) => {
    wanted.delete(data.toString('latin1'));
    if (wanted.size === 0 && sizes.length === 0) process.exit(0);
  });
  const push = () => {
    const size = sizes.pop();
    if (size === undefined) return setTimeout(() => (wanted.size === 0 ? process.exit(0) : fail('lost ' + wanted.size)), 60000);
    const data = randomBytes(size);
    wanted.add(data.toString('latin1'));
    socket.send(data, 7000, address, () => setTimeout(push, 1));
  };
  push();
}
`;

/** Programs in a namespace that live until the test ends. */
export class Inside {
  readonly #running: ChildProcess[] = [];

  async serve(netns: string, address: string): Promise<void> {
    const child = spawn('nsenter', [`--net=${netns}`, process.execPath, '-e', TOOL, 'serve', address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#running.push(child);
    await once(child.stdout, 'data');
  }

  async end(): Promise<void> {
    for (const child of this.#running) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
  }
}

/** One of them: so many MiB by TCP, or so many datagrams. */
export function inside(
  netns: TestNetns,
  mode: 'tcp' | 'udp',
  address: string,
  amount: number,
  pauseMs = 0,
): ChildProcess {
  const words = [`--net=${netns.path}`, process.execPath, '-e', TOOL, mode, address, String(amount), String(pauseMs)];
  return spawn('nsenter', words, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Waits for its end, which must be a good one. */
export async function ended(child: ChildProcess, what: string): Promise<void> {
  if (child.exitCode === null) await once(child, 'exit');
  assert.equal(child.exitCode, 0, what);
}

/** What a guest may send another, whole: pings up to the MTU, in fragments where guests cut (IPv6), datagrams of many sizes, a stream. */
export async function carries(from: TestNetns, to: string, what: string, mtu = 1450): Promise<void> {
  from.run('ping', '-c', '20', '-i', '0.01', '-W', '1', '-q', to);
  const largest = mtu - (to.includes(':') ? 48 : 28);
  from.run('ping', '-c', '3', '-i', '0.01', '-W', '1', '-M', 'do', '-s', String(largest), '-q', to);
  if (to.includes(':')) from.run('ping', '-c', '3', '-i', '0.01', '-W', '1', '-s', '4000', '-q', to);
  await ended(inside(from, 'udp', to, 200), `${what}: UDP`);
  await ended(inside(from, 'tcp', to, 40), `${what}: TCP`);
}
