/** The benchmark of pods runs, and leaves nothing behind. How fast anything is, no test says. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';

/** Without a Kubernetes, whatever is here. */
const ALONE = { ...process.env, CABLE_KUBE_BIN: '' };
const PROGRAM = fileURLToPath(new URL('../../bench/kube.ts', import.meta.url));

test('bench:kube measures plug-ins, policies and Services, and leaves nothing', () => {
  const few = ['--calls', '2', '--levels', '1,2', '--pods', '1', '--policy-pods', '4', '--services', '2'];
  const options = ['--rounds', '1', '--seconds', '1', ...few, '--json'];
  const node = [...sourceProgram(PROGRAM), ...options];
  const text = execFileSync(process.execPath, node, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: ALONE,
  });
  const { rows, services } = JSON.parse(text) as {
    rows: readonly { command: string; parallel: number; plugin: string; medianMs: number; p99Ms: number }[];
    services: { rows: readonly { path: string }[]; updates: readonly { times: readonly number[] }[] };
  };
  assert.equal(rows.length, 2 * 2 * 4);
  for (const { medianMs, p99Ms } of rows) assert.ok(medianMs > 0 && p99Ms >= medianMs);
  assert.equal(services.rows.length, 4);
  for (const { times } of services.updates) assert.ok(times.length > 0 && times.every((ms) => ms > 0));
  assert.doesNotMatch(execFileSync('ip', ['netns'], { encoding: 'utf8' }), /^cbench/m);
});

test('bench:kube says what lacks where pods cannot become ready', () => {
  const node = [...sourceProgram(PROGRAM), '--only', 'ready'];
  const { status, stdout, stderr } = spawnSync(process.execPath, node, { encoding: 'utf8', env: ALONE });
  assert.equal(stdout, '');
  assert.match(stderr, /pods to Ready cannot be measured: CABLE_KUBE_BIN/);
  assert.equal(status, 1);
});
