/** The balancer as a process, before servers that say who they are. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';

const BALANCER = fileURLToPath(new URL('balancer.ts', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'cable-balancer-'));
const front = join(dir, 'front.sock');
const paths = ['one', 'two'].map((name) => join(dir, `${name}.sock`));
const sockets = new Set<Socket>();
let balancer: ChildProcess;

before(async () => {
  balancer = spawn(process.execPath, [...sourceProgram(BALANCER), front, '--', ...paths], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  assert.ok(balancer.stdout);
  const [said] = (await once(balancer.stdout, 'data')) as [Buffer];
  assert.match(said.toString(), /ready/);
});

after(() => {
  balancer.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

/** Says its name and repeats what it hears. */
async function startServer(path: string, name: string): Promise<Server> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.write(name);
    socket.pipe(socket);
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

async function meet(): Promise<{ readonly socket: Socket; readonly name: string }> {
  const socket = createConnection(front);
  const [name] = (await once(socket, 'data')) as [Buffer];
  return { socket, name: name.toString() };
}

test('connections go to the first server that accepts, and end with it', async () => {
  const [one, two] = [await startServer(paths[0] ?? '', 'one'), await startServer(paths[1] ?? '', 'two')];
  const first = await meet();
  assert.equal(first.name, 'one');
  first.socket.write('hello');
  assert.equal(String((await once(first.socket, 'data'))[0]), 'hello');

  const ended = once(first.socket, 'close');
  one.close();
  for (const socket of sockets) socket.destroy();
  await ended;
  const second = await meet();
  assert.equal(second.name, 'two');

  const again = await startServer(paths[0] ?? '', 'one');
  const third = await meet();
  assert.equal(third.name, 'one');
  for (const { socket } of [second, third]) socket.destroy();
  again.close();
  two.close();
});

test('without any server a connection is ended', async () => {
  const socket = createConnection(front);
  socket.on('error', () => undefined);
  await once(socket, 'close');
});
