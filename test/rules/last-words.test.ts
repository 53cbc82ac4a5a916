/** A test file that does not end says what keeps it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const LAST_WORDS = new URL('../../scripts/lib/last-words.mjs', import.meta.url).href;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const LEAVES = `
  import { createServer } from 'node:net';
  setInterval(() => 'left behind', 60_000);
  setTimeout(() => 'keeps nothing', 60_000).unref();
  createServer().listen(0, '127.0.0.1', () => process.stdout.write('listens'));
`;

test('a process says which timers and sockets keep it', { timeout: 60_000 }, async (t) => {
  const args = ['--import', LAST_WORDS, '--input-type=module', '--eval', LEAVES];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  child.kill('SIGUSR2');
  let said = '';
  for await (const chunk of child.stderr.setEncoding('utf8')) {
    said += chunk;
    if (said.includes('tcp')) break;
  }
  assert.match(said, /^what keeps the process: timer every 60000 ms: \(\) => ["']left behind["']$/m);
  assert.match(said, /^what keeps the process: tcp 127\.0\.0\.1:\d+$/m);
  assert.doesNotMatch(said, /keeps nothing/);
});
