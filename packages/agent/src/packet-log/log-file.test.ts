/** The file of logs of security groups, on a real disk. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { LogFile } from './log-file.ts';

async function place(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), `cable-packet-log-${process.pid}-`));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return join(directory, 'state', 'security-groups.log');
}

test('lines are written in order, for root and its group, and to a new file when somebody moves it away', async (t) => {
  const path = await place(t);
  const file = new LogFile({ path, what: 'lines', log: silentLogger() });
  for (let n = 0; n < 100; n += 1) assert.ok(file.write(`line ${n}`));
  await file.flushed();
  const lines = (await readFile(path, 'utf8')).split('\n');
  assert.deepEqual([lines.length, lines[0], lines[99], lines[100]], [101, 'line 0', 'line 99', '']);
  assert.equal((await stat(path)).mode & 0o777 & ~0o640, 0);
  await rename(path, `${path}.moved`);
  file.write('again');
  await file.flushed();
  assert.equal(await readFile(path, 'utf8'), 'again\n');
});

test('a full file takes the place of the former one, so that two are all there is', async (t) => {
  const path = await place(t);
  const file = new LogFile({ path, what: 'lines', log: silentLogger(), maxBytes: 100 });
  for (let n = 0; n < 50; n += 1) {
    file.write(`line ${String(n).padStart(14, '0')}`);
    await file.flushed();
  }
  const sizes = await Promise.all([path, `${path}.1`].map(async (one) => (await stat(one)).size));
  assert.ok(
    sizes.every((size) => size > 0 && size <= 100),
    `${sizes}`,
  );
  assert.match(await readFile(path, 'utf8'), /line 0+49\n$/);
});

test('what the disk does not take holds nobody up, and is said once', async (t) => {
  const path = await place(t);
  const errors: unknown[] = [];
  const log = { ...silentLogger(), error: (fields: unknown) => void errors.push(fields) };
  const file = new LogFile({ path, what: 'lines', log });
  await writeFile(join(path, '..', '..', 'state'), 'no directory');
  file.write('lost');
  await file.flushed();
  file.write('lost, too');
  await file.flushed();
  assert.equal(errors.length, 1);
  await rm(join(path, '..', '..', 'state'));
  file.write('kept');
  await file.flushed();
  assert.equal(await readFile(path, 'utf8'), 'kept\n');
  let taken = 0;
  while (taken < 100 && file.write('x'.repeat(100_000))) taken += 1;
  assert.ok(taken >= 9 && taken < 12, `${taken} lines of 100 kB wait, and no more`);
  await file.flushed();
  assert.ok(file.write('room again'));
  await file.flushed();
});
