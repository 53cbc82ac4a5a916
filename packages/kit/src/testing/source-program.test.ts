import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { sourceProgram } from './source-program.ts';

const before = process.env['CABLE_TEST_BUNDLES'];

afterEach(() => {
  if (before === undefined) delete process.env['CABLE_TEST_BUNDLES'];
  else process.env['CABLE_TEST_BUNDLES'] = before;
});

test('a program is its bundle where there is one for it, and else its source', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'cable-bundles-'));
  t.after(() => rmSync(root, { recursive: true }));
  const fromSource = ['--import', 'tsx', '--conditions=cable-source'];
  const main = join(root, 'packages/agent/src/main.ts');
  const bundles = join(root, 'build/test');
  const bundle = join(bundles, 'packages/agent/src/main.mjs');
  delete process.env['CABLE_TEST_BUNDLES'];
  assert.deepEqual(sourceProgram(main), [...fromSource, main]);
  process.env['CABLE_TEST_BUNDLES'] = bundles;
  assert.deepEqual(sourceProgram(main), [...fromSource, main]);
  mkdirSync(join(bundles, 'packages/agent/src'), { recursive: true });
  writeFileSync(bundle, '');
  assert.deepEqual(sourceProgram(main), [bundle]);
  delete process.env['CABLE_TEST_BUNDLES'];
  assert.deepEqual(sourceProgram(main, root), [bundle]);
  process.env['CABLE_TEST_BUNDLES'] = join(root, 'other/build/test');
  process.env['CABLE_TEST_BUNDLES'] = bundles;
  // Another tree's.
  const other = '/elsewhere/packages/agent/src/main.ts';
  assert.deepEqual(sourceProgram(other), [...fromSource, other]);
});
