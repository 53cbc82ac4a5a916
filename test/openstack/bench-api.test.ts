/** The benchmark beside a stock neutron-server runs, and leaves nothing behind. How fast anything is, no test says. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const PROGRAM = fileURLToPath(new URL('../../bench/api.ts', import.meta.url));
const run = promisify(execFile);

type Figures = { readonly perSecond: number; readonly p99Ms: number; readonly count: number };

test('bench:api --quick asks both servers the same', { timeout: 600_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), `cable-bench-test-${process.pid}-`));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const picture = join(directory, 'ratios.svg');
  const made = join(directory, 'tmp');
  const args = ['--import', 'tsx', '--conditions=cable-source', PROGRAM, '--quick', '--json', '--svg', picture];
  const { stdout } = await run(process.execPath, args, {
    env: { ...process.env, TMPDIR: mkdtempSync(`${made}-`) },
    maxBuffer: 16 << 20,
  });
  const { rows } = JSON.parse(stdout) as {
    rows: readonly { what: string; clients: number; cable: Figures; neutron: Figures; ratio: number }[];
  };
  for (const what of ['create', 'update', 'bind', 'show', 'delete'])
    assert.ok(
      rows.some((row) => row.what === what),
      what,
    );
  assert.ok(rows.some(({ what }) => what.startsWith('list of ')));
  for (const row of rows) {
    for (const { perSecond, p99Ms, count } of [row.cable, row.neutron])
      assert.ok(perSecond > 0 && p99Ms > 0 && count > 0, JSON.stringify(row));
    assert.ok(row.ratio > 0);
  }
  assert.match(readFileSync(picture, 'utf8'), /^<svg /);
  const [left = ''] = readdirSync(directory).filter((name) => name.startsWith('tmp-'));
  assert.deepEqual(
    readdirSync(join(directory, left)).filter((name) => name.startsWith('cable-')),
    [],
  );
});
