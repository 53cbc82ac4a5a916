import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { ToldFile } from './told-file.ts';
import type { ToldPair } from './told-table.ts';

const pair = (n: number, untilMs = 1000): ToldPair => ({
  ...{ portId: 'p', name: 'a.example.', untilMs },
  order: `${n.toString(16).padStart(32, '0')}/128`,
});

function fileOf(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), `cable-told-${process.pid}-`));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'told-names');
  return { path, open: () => new ToldFile({ path, log: silentLogger() }) };
}

test('what was written is there for who opens it next, and what is gone is not', async (t) => {
  const { path, open } = fileOf(t);
  const file = open();
  assert.deepEqual(file.load(), []);
  const all = { pairs: () => [], count: 3 };
  await file.write([pair(1), pair(2), pair(3)], all);
  await file.write([pair(2, 0), pair(3, 2000)], all);
  assert.deepEqual(open().load(), [pair(1), pair(3, 2000)]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('a line that was cut off, or makes no sense, costs itself alone', async (t) => {
  const { path, open } = fileOf(t);
  await open().write([pair(1)], { pairs: () => [], count: 1 });
  writeFileSync(path, `${readFileSync(path, 'utf8')}[]\n["p",1]\n["p","a.","x",5]\n["p","a.examp`);
  assert.deepEqual(open().load(), [pair(1)]);
});

test('it is written anew when most of it counts no more', async (t) => {
  const { path, open } = fileOf(t);
  const file = open();
  for (let turn = 1; turn <= 9; turn += 1) {
    await file.write(
      Array.from({ length: 1000 }, () => pair(1, turn)),
      { pairs: () => [pair(1, turn)], count: 1 },
    );
  }
  assert.ok(readFileSync(path, 'utf8').split('\n').length < 6000);
  assert.deepEqual(open().load(), [pair(1, 9)]);
});

test('a disk that takes nothing holds nobody up', async () => {
  const file = new ToldFile({ path: '/proc/no/such/place', log: silentLogger() });
  await file.write([pair(1)], { pairs: () => [], count: 1 });
  assert.deepEqual(file.load(), []);
});
