import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

const SOURCE = new URL('./flush-output.ts', import.meta.url).href;
const PROGRAM = `const { flushOutput } = await import(process.argv[1]);
process.stdout.write('x'.repeat(1_000_000));
await flushOutput();
process.exit(0);`;

function run() {
  const args = [
    ...process.execArgv.filter((one) => !one.startsWith('--test')),
    '--input-type=module',
    '--eval',
    PROGRAM,
    SOURCE,
  ];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

test('a slow reader of a pipe gets all of it before the process ends', async () => {
  const child = run();
  const ended = once(child, 'exit');
  await new Promise((resolve) => setTimeout(resolve, 300));
  let length = 0;
  for await (const chunk of child.stdout) length += (chunk as Buffer).length;
  assert.equal(length, 1_000_000);
  assert.deepEqual(await ended, [0, null]);
});

test('a reader that goes away ends it, too', async () => {
  const child = run();
  child.stdout.destroy();
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
