/** Small stories for real: one alone, and two at once on one machine. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, test } from 'node:test';
import { CABLE, type Ended, startLab, traces } from './lab-process.ts';

const [ONE, OTHER] = [`s${process.pid}a`, `s${process.pid}b`];

after(() => {
  for (const lab of [ONE, OTHER]) {
    execFileSync(process.execPath, [CABLE, 'lab', 'down', '--name', lab], { stdio: 'ignore' });
  }
});

type Report = {
  readonly ok: boolean;
  readonly story: string;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
};

function reportOf({ code, stdout, stderr }: Ended): Report {
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Report;
}

/** As a user who enters a guest of the kept lab. */
function pingInKept({ stderr }: Ended): void {
  const [, to = ''] = /vm2: vm at ([0-9.]+)/.exec(stderr) ?? [];
  execFileSync('nsenter', [`--net=/run/netns/${ONE}-vm1`, 'ping', '-c', '1', '-W', '2', to]);
}

test('the smallest story holds, kept until it is taken down', async () => {
  const ended = await startLab(ONE, '--story', 'pair', '--keep', '--json').ended;
  const report = reportOf(ended);
  assert.deepEqual([report.ok, report.story, report.checks.length], [true, 'pair', 2]);
  assert.match(ended.stderr, new RegExp(`nsenter --net=/run/netns/${ONE}-vm1 .*vm1: vm at 10\\.10\\.0\\.`));
  assert.match(ended.stderr, new RegExp(`lab down --name ${ONE}`));
  pingInKept(ended);
  assert.equal((await startLab(ONE, 'down').ended).code, 0);
  assert.deepEqual(traces(ONE), []);
});

test('two labs at once do not meet', async () => {
  const kept = startLab(ONE, '--story', 'pair', '--keep', '--json');
  const other = startLab(OTHER, '--story', 'underlay-change', '--json');
  const [first, second] = (await Promise.all([kept.ended, other.ended])).map(reportOf);
  assert.deepEqual([first?.ok, second?.ok], [true, true]);
  assert.deepEqual(traces(OTHER), []);
  // The other gave its h1 another address and took this one away.
  const addresses = execFileSync('ip', ['-netns', `${ONE}-h1`, '-brief', 'addr', 'show', 'dev', 'up0'], {
    encoding: 'utf8',
  });
  assert.match(addresses, /10\.255\.255\.1\/24/);
  pingInKept(await kept.ended);
  assert.equal((await startLab(ONE, 'down').ended).code, 0);
  assert.deepEqual(traces(ONE), []);
});
