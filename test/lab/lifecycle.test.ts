/** However a lab ends, nothing of it is left: kept and taken down, interrupted, killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const CABLE = fileURLToPath(new URL('../../bin/cable.mjs', import.meta.url));
const NAME = `t${process.pid}`;

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string };
type Running = {
  readonly child: ChildProcess;
  readonly said: (words: RegExp) => Promise<void>;
  readonly ended: Promise<Ended>;
};

after(() => execFileSync(process.execPath, [CABLE, 'lab', 'down', '--name', NAME], { stdio: 'ignore' }));

function cableLab(...args: readonly string[]): Running {
  const child = spawn(process.execPath, [CABLE, 'lab', ...args, '--name', NAME], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  const waiting: { readonly words: RegExp; readonly go: () => void }[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    for (const { words, go } of waiting) if (words.test(stderr)) go();
  });
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
  const said = async (words: RegExp): Promise<void> => {
    const heard = new Promise<void>((go) => waiting.push({ words, go }));
    const over = ended.then(({ stderr: all }) => assert.match(all, words));
    await Promise.race([heard, over]);
  };
  return { child, said, ended };
}

/** Whatever carries the lab's name in places where labs and agents put things. */
function traces(): readonly string[] {
  const places = ['/run/netns', '/run/cable', '/run/cable-lab', '/var/lib/cable', '/sys/fs/bpf/cable'];
  const files = places.flatMap((place) =>
    existsSync(place) ? readdirSync(place).map((name) => `${place}/${name}`) : [],
  );
  return [...files.filter((path) => path.includes(`/${NAME}`)), ...processTraces()];
}

function processTraces(): readonly string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && Number(pid) !== process.pid)
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        return [];
      }
    })
    .filter((command) => command.includes(`${NAME}-`) || command.includes(`cable-lab/${NAME}/`));
}

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
  assert.deepEqual(traces(), []);
});

for (const moment of [/starting the server/, /starting VMs/, /checking/]) {
  test(`interrupted after "${moment.source}", a lab removes itself`, async () => {
    const lab = cableLab('--no-qemu');
    await lab.said(moment);
    lab.child.kill('SIGINT');
    const { code, stderr } = await lab.ended;
    assert.notEqual(code, 0);
    assert.match(stderr, /interrupted: removing the lab/);
    assert.deepEqual(traces(), []);
  });
}

test('killed outright, a lab is removed by `down`', async () => {
  const lab = cableLab('--no-qemu');
  await lab.said(/starting the other tenant/);
  lab.child.kill('SIGKILL');
  await lab.ended;
  assert.notDeepEqual(traces(), []);
  assert.equal((await cableLab('down').ended).code, 0);
  assert.deepEqual(traces(), []);
});
