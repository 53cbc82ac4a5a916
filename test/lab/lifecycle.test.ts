/** However a lab ends, nothing of it is left: kept and taken down, interrupted, killed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { ofAll } from '@cable/kit/testing';
import { CABLE, type Running, startLab, traces } from './lab-process.ts';

const NAME = `t${process.pid}`;
const cableLab = (...words: readonly string[]): Running => startLab(NAME, ...words);

after(() => execFileSync(process.execPath, [CABLE, 'lab', 'down', '--name', NAME], { stdio: 'ignore' }));

test('a kept lab works on, refuses a second one, and `down` removes it', async () => {
  const kept = await cableLab('--keep', '--json', '--no-qemu', '--only', 'leases').ended;
  assert.equal(kept.code, 0, kept.stderr);
  const report = JSON.parse(kept.stdout) as { readonly ok: boolean; readonly passed: number; readonly failed: number };
  assert.deepEqual({ ok: report.ok, failed: report.failed }, { ok: true, failed: 0 });
  assert.ok(report.passed >= 5);
  execFileSync('nsenter', [`--net=/run/netns/${NAME}-vm1`, 'ping', '-c', '1', '-W', '2', '10.10.0.1']);

  const second = await cableLab().ended;
  assert.equal(second.code, 1);
  assert.match(second.stderr, /is up already.*lab down/);

  assert.equal((await cableLab('down').ended).code, 0);
  assert.deepEqual(traces(NAME), []);
});

for (const moment of [/starting guests/, /starting the server/, /checking/].slice(0, ofAll(1, 3))) {
  test(`interrupted after "${moment.source}", a lab removes itself`, async () => {
    const lab = cableLab('--no-qemu');
    await lab.said(moment);
    lab.child.kill('SIGINT');
    const { code, stderr } = await lab.ended;
    assert.notEqual(code, 0);
    assert.match(stderr, /interrupted: removing the lab/);
    assert.deepEqual(traces(NAME), []);
  });
}

test('killed outright, a lab is removed by `down`', async () => {
  const lab = cableLab('--no-qemu');
  await lab.said(/starting guests: red1/);
  lab.child.kill('SIGKILL');
  await lab.ended;
  assert.notDeepEqual(traces(NAME), []);
  assert.equal((await cableLab('down').ended).code, 0);
  assert.deepEqual(traces(NAME), []);
});
