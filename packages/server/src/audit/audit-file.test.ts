import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Logger, silentLogger, sleep } from '@cable/kit';
import { mountSmall } from '../testing/small-disk.ts';
import { AuditFile, type AuditFileDeps } from './audit-file.ts';

type Told = { readonly log: Logger; next(message: RegExp): Promise<object> };

/** What the file's log says. */
function listen(): Told {
  const said: { readonly message: string; readonly fields: object }[] = [];
  let wake = (): void => undefined;
  const hear = (fields: object, message: string): void => {
    said.push({ message, fields });
    wake();
  };
  const next = async (wanted: RegExp): Promise<object> => {
    for (;;) {
      const at = said.findIndex(({ message }) => wanted.test(message));
      if (at >= 0) return said.splice(0, at + 1).at(-1)?.fields ?? {};
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { log: { ...silentLogger(), info: hear, error: hear }, next };
}

function depsOf(log: Logger, more: Partial<AuditFileDeps> = {}): AuditFileDeps {
  return { log, now: () => new Date(0), monotonicMs: () => performance.now(), retryMs: 20, ...more };
}

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), `cable-audit-${process.pid}-`));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

function numbers(path: string): readonly number[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).n);
}

const lineOf = (n: number): string => JSON.stringify({ n, text: 'x'.repeat(1000) });

test('lines are written in order, for the owner alone, behind what is there, of which a part of a line stays one', async (t) => {
  const path = join(directoryOf(t), 'audit');
  const first = await AuditFile.open(path, depsOf(silentLogger()));
  for (let n = 0; n < 1000; n += 1) first.add(lineOf(n));
  await first.close();
  assert.equal(statSync(path).mode & 0o777, 0o600);
  writeFileSync(path, '{"n":1000', { flag: 'a' });
  const second = await AuditFile.open(path, depsOf(silentLogger()));
  second.add(lineOf(1001));
  await second.close();
  const lines = readFileSync(path, 'utf8').split('\n');
  assert.deepEqual(
    lines.slice(0, 1000).map((line) => JSON.parse(line).n),
    [...Array(1000).keys()],
  );
  assert.equal(lines[1000], '{"n":1000');
  assert.equal(JSON.parse(lines[1001] ?? '').n, 1001);
});

test('after a rename the lines go on in a new file, and none is missing or twice', async (t) => {
  const path = join(directoryOf(t), 'audit');
  const told = listen();
  const file = await AuditFile.open(path, depsOf(told.log));
  for (let n = 0; n < 300; n += 1) {
    file.add(lineOf(n));
    if (n % 100 !== 50) continue;
    renameSync(path, `${path}.${n}`);
    file.reopen();
    await told.next(/goes on/);
  }
  await file.close();
  const all = [50, 150, 250].flatMap((n) => numbers(`${path}.${n}`));
  assert.deepEqual([...all, ...numbers(path)], [...Array(300).keys()]);
});

test('on a full disk lines wait, what has no room is counted and told in the file, and no line is torn', async (t) => {
  const { path: mount, leave } = mountSmall(t);
  const path = join(mount, 'audit');
  const told = listen();
  const file = await AuditFile.open(path, depsOf(told.log, { waitingBytes: 64 << 10 }));
  t.after(() => file.close());
  file.add(lineOf(0));
  leave(6 << 10);
  for (let n = 1; n <= 100; n += 1) file.add(lineOf(n));
  assert.deepEqual(await told.next(/are lost/), { file: path, count: file.lost, from: new Date(0).toISOString() });
  assert.deepEqual(await told.next(/cannot be written/), {
    file: path,
    reason: 'ENOSPC: no space left on device, write',
    waitingBytes: file.waitingBytes,
    lost: file.lost,
  });
  const { lost } = file;
  assert.ok(lost > 30 && lost < 50, `${lost}`);
  // A part of a line is there by now: the file that follows has it whole, and this one only whole lines and that part.
  renameSync(path, `${path}.before`);
  leave(1 << 20);
  file.reopen();
  await told.next(/goes on/);
  while (file.waitingBytes > 0) await sleep(5);
  file.add(lineOf(101));
  await file.close();
  // What is behind the last newline is the part.
  const before = readFileSync(`${path}.before`, 'utf8').split('\n').slice(0, -1);
  const after = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const there = [...before.map((line) => JSON.parse(line).n), ...after.flatMap(({ n }) => n ?? [])];
  assert.deepEqual(there, [...Array(101 - lost).keys(), 101]);
  assert.deepEqual(
    after.flatMap(({ event, count }) => (event === undefined ? [] : [{ event, count }])),
    [{ event: 'lines lost', count: lost }],
  );
});

test('what can be no audit log is refused at the start, with what to do', async (t) => {
  const directory = directoryOf(t);
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  for (const path of [join(directory, 'none', 'audit'), directory, join(directory, 'pipe'), '/dev/null'])
    await assert.rejects(AuditFile.open(path, depsOf(silentLogger())), /--audit-log: cannot write .*give a file in/);
});
