import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Check } from './checks/check.ts';
import type { Lab } from './lab.ts';
import { formatLogs, makeReport, runChecks } from './report.ts';
import { STORIES } from './stories/index.ts';

const dir = mkdtempSync(join(tmpdir(), 'cable-report-'));
mkdirSync(join(dir, 'logs'));
after(() => rmSync(dir, { recursive: true }));

/** The checks below look at nothing in it. */
const LAB = {} as Lab;

function check(name: string, run: () => Promise<string>): Check {
  return { group: 'g', name, concerns: [], run };
}

test('a failed check does not end the run, and the report is not ok', async () => {
  const told: string[] = [];
  const checks = [
    check('holds', async () => '1 ms'),
    check('fails', async () => {
      throw new Error('the reason');
    }),
    check('goes on', async () => 'yes'),
  ];
  const outcomes = await runChecks(LAB, checks, (outcome) => told.push(outcome.name), new AbortController().signal);
  assert.deepEqual(
    outcomes.map(({ ok, detail }) => [ok, detail]),
    [
      [true, '1 ms'],
      [false, 'the reason'],
      [true, 'yes'],
    ],
  );
  assert.deepEqual(told, ['holds', 'fails', 'goes on']);
  const [story] = STORIES;
  const report = makeReport(outcomes, { story, store: 'lmdb' }, 0);
  assert.deepEqual([report.ok, report.passed, report.failed, report.story], [false, 2, 1, 'demo']);
  assert.equal(makeReport([], { story, store: 'lmdb' }, 0).ok, false);
});

test('an aborted run checks no further', async () => {
  const stop = new AbortController();
  const checks = [
    check('aborts', async () => {
      stop.abort();
      return '';
    }),
    check('never', async () => assert.fail('it ran')),
  ];
  assert.equal((await runChecks(LAB, checks, () => undefined, stop.signal)).length, 1);
});

test('a concern means the log of that name and those of its instances', () => {
  for (const name of ['agent-h1', 'agent-h2', 'agents', 'server'])
    writeFileSync(join(dir, 'logs', `${name}.log`), `${name}\n`);
  assert.equal(formatLogs(dir, ['agent']), '  agent-h1:\n    | agent-h1\n  agent-h2:\n    | agent-h2');
  assert.equal(formatLogs(dir, ['agent-h2', 'server', 'none']), '  agent-h2:\n    | agent-h2\n  server:\n    | server');
});
