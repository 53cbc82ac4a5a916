import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isListenedOn } from './unix-socket.ts';

test('a socket is listened on only while a process does', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), `cable-unix-socket-${process.pid}-`));
  t.after(() => rmSync(dir, { recursive: true }));
  const [path, left, file] = [join(dir, 'live'), join(dir, 'left'), join(dir, 'file')];
  assert.equal(await isListenedOn(path), false);
  const server = createServer().listen(path);
  await once(server, 'listening');
  assert.equal(await isListenedOn(path), true);
  server.close();
  await once(server, 'close');
  assert.equal(await isListenedOn(path), false);
  const crash = `require('net').createServer().listen('${left}', () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', crash]);
  assert.deepEqual([existsSync(left), await isListenedOn(left)], [true, false]);
  writeFileSync(file, '');
  assert.equal(await isListenedOn(file), false);
});
