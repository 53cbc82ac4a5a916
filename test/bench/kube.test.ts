/** The benchmark of pods runs, and leaves nothing behind. How fast anything is, no test says. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../bench/kube.ts', import.meta.url));

test('bench:kube measures ADD and DEL of every plug-in, and leaves nothing', () => {
  const options = ['--rounds', '1', '--calls', '2', '--levels', '1,2', '--pods', '1', '--json'];
  const node = ['--import', 'tsx', '--conditions=cable-source', PROGRAM, ...options];
  const text = execFileSync(process.execPath, node, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const { rows } = JSON.parse(text) as {
    rows: readonly { command: string; parallel: number; plugin: string; medianMs: number; p99Ms: number }[];
  };
  assert.equal(rows.length, 2 * 2 * 4);
  for (const { medianMs, p99Ms } of rows) assert.ok(medianMs > 0 && p99Ms >= medianMs);
  assert.doesNotMatch(execFileSync('ip', ['netns'], { encoding: 'utf8' }), /^cbench/m);
});
